"""What is shown of values, against the definitions."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from ghn.analysis.explorer import values
from ghn.analysis.explorer.values import BINS, OWN, own_values, values_by_start, values_of
from ghn.hypernet import GHN, GHNConfig


@pytest.mark.parametrize("shape", [(1,), (7,), (3, 5, 2), (40, 9), (0,), ()])
@pytest.mark.parametrize("piece", [4, 1 << 20])
def test_moments_and_histogram_are_those_of_all_elements(
    shape: tuple[int, ...], piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(values, "PIECE", piece)
    tensor = torch.randn(shape, generator=torch.Generator().manual_seed(0)) + 2
    found = values_of(nn.Parameter(tensor))
    if not tensor.numel():
        assert found is None
        return
    array = tensor.double().numpy()
    assert found is not None
    assert found.norm == pytest.approx(np.sqrt((array**2).sum()))
    assert found.mean == pytest.approx(array.mean())
    assert found.std == pytest.approx(array.std(), abs=1e-12)
    assert (found.least, found.most, found.strange) == (array.min(), array.max(), 0)
    expected = np.histogram(array, BINS)[0].tolist() if array.size > 1 else []
    assert list(found.counts) == expected


def test_tensors_that_are_not_in_one_piece_of_memory() -> None:
    tensor = torch.arange(12.0).reshape(3, 4).t()
    assert values_of(tensor) == values_of(tensor.contiguous())


def test_half_precision_is_summed_in_full() -> None:
    tensor = torch.full((70_000,), 8.0, dtype=torch.float16)
    found = values_of(tensor)
    assert found is not None
    assert found.norm == pytest.approx(8 * math.sqrt(70_000))
    assert (found.mean, found.std, found.counts) == (8.0, 0.0, ())


def test_what_is_not_finite_is_counted_and_left_out() -> None:
    found = values_of(torch.tensor([1.0, float("nan"), 3.0, float("inf")]))
    assert found is not None
    assert (found.strange, found.mean, found.least, found.most) == (2, 2.0, 1.0, 3.0)
    nothing = values_of(torch.tensor([float("nan")]))
    assert nothing is not None
    assert (nothing.strange, nothing.norm, nothing.counts) == (1, 0.0, ())


@pytest.mark.parametrize(
    "tensor", [torch.zeros(3, device="meta"), torch.zeros(3, dtype=torch.int64), torch.zeros(2, dtype=torch.complex64)]
)
def test_tensors_without_real_numbers_have_no_values(tensor: torch.Tensor) -> None:
    assert values_of(tensor) is None


class Odd(nn.Module):
    """With a frozen parameter, a buffer, a tied weight and integers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)
        self.second.weight = self.first.weight
        self.table = nn.Parameter(torch.arange(3), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(self.norm(self.conv(x)).mean((2, 3))))


def test_starts_leave_the_model_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    hypernet = GHN(GHNConfig(hidden=8, layers=1, heads=2, max_channels=8, spatial=5, num_classes=10))

    class Predicted:
        """A start by a small hypernetwork."""

        name, needs_images = "small", 0

        def __call__(self, model: nn.Module, batches: object = None, *, seed: int = 0) -> object:
            from ghn.initialization import initialize
            from ghn.initializers import StartReport

            report = initialize(hypernet, model, seed=seed)
            return StartReport(name="small", changed=report.predicted, kept=dict(report.kept))

    from ghn.initializers import create

    monkeypatch.setattr(values, "create", lambda name: Predicted() if name == "small" else create(name))
    model = Odd()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    own = own_values(model)
    orthogonal, small, default = values_by_start(model, ["orthogonal", "small", "default"])
    assert [own.name, orthogonal.name, small.name] == [OWN, "orthogonal", "small"]
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert own.values["table"] is None
    assert "second.weight" not in own.values
    assert own.values == default.values
    assert own.values["conv.weight"] != orthogonal.values["conv.weight"] != small.values["conv.weight"]
    assert "conv.weight" not in small.kept
    assert "table" in small.kept


def test_a_start_that_fails_leaves_the_model_as_it_was() -> None:
    model = Odd()
    before = model.conv.weight.clone()
    with pytest.raises(ValueError, match="unknown initialiser"):
        list(values_by_start(model, ["orthogonal", "nonsense"]))
    with pytest.raises(ValueError, match="images"):
        list(values_by_start(model, ["orthogonal+calibrate"]))
    assert torch.equal(model.conv.weight, before)
