"""What models are given is refused where they refuse it, though no numbers are there."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from ghn.graph.record.refused.fitting import Fitting, OutOfRangeError
from ghn.graph.trace import trace
from tests.graph.graphs import Lambda, works

DTYPES = (torch.float32, torch.float64, torch.int64, torch.bool, torch.bfloat16, torch.uint8)

MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]] = {
    "linear": (lambda: nn.Linear(8, 3), (2, 8), 1),
    "without bias": (lambda: nn.Linear(8, 3, bias=False), (2, 8), 1),
    "cell": (lambda: nn.LSTMCell(8, 3), (2, 8), 1),
    "attention": (lambda: nn.MultiheadAttention(8, 2), (2, 8), 3),
    "transposed": (lambda: nn.ConvTranspose1d(8, 3, 1, bias=False), (2, 8, 4), 1),
    "batch norm": (lambda: nn.BatchNorm1d(8), (2, 8), 1),
    "recurrent": (lambda: nn.GRU(8, 3), (4, 2, 8), 1),
}


@pytest.mark.parametrize("own", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", MODELS)
def test_models_are_traced_on_what_they_take(kind: str, own: torch.dtype) -> None:
    build, shape, count = MODELS[kind]
    model = build().to(own)
    for dtype in DTYPES:
        inputs = (torch.zeros(shape, dtype=dtype),) * count
        takes = works(model, *inputs)
        assert takes or dtype is not own
        if takes:
            assert not trace(model, inputs).has_unused
            continue
        with pytest.raises(ValueError, match="check the shapes and types of example_inputs") as caught:
            trace(model, inputs)
        assert "aten." not in str(caught.value), "PyTorch says it better"


def test_guessed_inputs_need_not_fit() -> None:
    model = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 3).bfloat16())
    assert trace(model).traced_by == "meta"
    with pytest.raises(ValueError, match="same dtype"):
        trace(model, torch.zeros(2, 8))


def test_automatic_casts_are_left_to_themselves() -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            hidden = self.a(x.to(torch.bfloat16))
        return self.b(hidden)

    model = Lambda(forward, a=nn.Linear(8, 8), b=nn.Linear(8, 3).bfloat16())
    assert trace(model, torch.zeros(2, 8)).traced_by == "meta"


def test_numbers_count_where_there_are_some() -> None:
    name, table = "aten.embedding.default", torch.empty(5, 4, device="meta")
    with pytest.raises(OutOfRangeError, match="given 0 to 5, of 5"):
        Fitting(strict=True).check_numbers(name, (table, torch.tensor([0, 5])))
    Fitting(strict=False).check_numbers(name, (table, torch.tensor([5])))
    for fine in (torch.empty(0, dtype=torch.int64), torch.tensor([5], device="meta"), torch.tensor([4])):
        Fitting(strict=True).check_numbers(name, (table, fine))
    guessing = Fitting(strict=True)
    guessing.guessed = True
    guessing.check_numbers(name, (table, torch.tensor([5])))
