import contextvars
import sys
import threading

import pytest
import torch
from torch import Tensor, nn

from ghn import trace
from ghn.common.modules import named_parameters
from ghn.graph.run.depth import DEEP, is_roomy, with_room
from ghn.graph.trace import TraceError, materialise
from ghn.hypernet import GHN, GHNConfig
from ghn.initialization import initialize, predict

setting = contextvars.ContextVar("setting", default="")


class Wrapper(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.layer = inner, nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.inner(x))


class Endless(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return self(x + 1)


class Recursive(nn.Linear):
    """One module that calls itself, as networks over trees do."""

    def forward(self, x: Tensor, left: int = 700) -> Tensor:
        x = super().forward(x)
        return self(x, left - 1) if left else x


def nested(levels: int, first: nn.Module | None = None) -> nn.Module:
    model: nn.Module = nn.Linear(4, 4) if first is None else first
    for _ in range(levels):
        model = Wrapper(model)
    return model


def process_state() -> tuple[int, int, int]:
    return sys.getrecursionlimit(), threading.stack_size(), threading.active_count()


@pytest.mark.parametrize("levels", [DEEP - 20, DEEP + 20, 1500])
def test_models_of_any_depth_are_initialised(levels: int) -> None:
    model, before = nested(levels), process_state()
    graph = trace(model, torch.zeros(2, 4))
    assert (len(graph), graph.traced_by) == (2 * levels + 3, "meta")
    hypernet = GHN(GHNConfig.preset("mlp"))
    assert len(initialize(hypernet, model, graph=graph).predicted) == 2 * levels  # but the head
    complete = predict(hypernet, model, torch.zeros(2, 4), graph=graph, complete=True)
    assert len(complete) == 2 * levels + 2
    assert process_state() == before


def test_a_module_that_calls_itself() -> None:
    before = process_state()
    assert len(trace(Recursive(4, 4), torch.zeros(2, 4))) == 2 * 701 + 1
    assert process_state() == before


def test_endless_recursion_is_an_error_in_one_line() -> None:
    before = process_state()
    with pytest.raises(TraceError, match=r"^the forward pass of Endless fails on .*recursion") as raised:
        trace(Endless(4, 4), torch.zeros(2, 4))
    assert "\n" not in str(raised.value)
    assert process_state() == before


def test_lazy_layers_at_any_depth() -> None:
    model = nested(DEEP + 20, nn.LazyLinear(4))
    materialise(model, torch.zeros(2, 3))
    assert next(iter(named_parameters(model).values())).shape == (4, 3)


def test_shallow_models_run_in_the_thread_of_the_caller() -> None:
    assert with_room(threading.get_ident, nn.Linear(1, 1)) == threading.get_ident()
    assert not is_roomy()


def test_the_callers_context_holds() -> None:
    def found() -> tuple[str, bool, torch.device, bool]:
        return setting.get(), torch.is_grad_enabled(), torch.empty(1).device, is_roomy()

    setting.set("here")
    with torch.no_grad(), torch.device("meta"):
        assert with_room(found, nested(DEEP)) == ("here", False, torch.device("meta"), True)
    assert with_room(found, nested(DEEP)) == ("here", True, torch.device("cpu"), True)


def test_errors_pass_through() -> None:
    def fail() -> None:
        raise KeyError("own")

    for model in (nn.Linear(1, 1), nested(DEEP)):
        with pytest.raises(KeyError, match="own"):
            with_room(fail, model)


def test_several_threads_at_once_leave_the_limit() -> None:
    before = sys.getrecursionlimit()
    model = nested(DEEP)
    results: list[int] = []
    barrier = threading.Barrier(4)

    def count(left: int) -> int:
        return 1 + count(left - 1) if left else 0

    def run() -> None:
        barrier.wait()
        results.append(with_room(lambda: count(20_000), model))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [20_000] * 4
    assert sys.getrecursionlimit() == before
