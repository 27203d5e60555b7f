"""What other threads notice of tracing, and what is left of it."""

import functools
import gc
import logging
import os
import queue
import random
import sys
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ghn import GHN, GHNConfig
from ghn.common.private_torch import fake_tensor_mode, is_fake
from ghn.graph.record.recorder import TURNS
from ghn.graph.run.process import process_untouched
from ghn.graph.trace import TraceError, trace
from tests.graph.graphs import edges

X = torch.zeros(2, 4)
asked: queue.Queue[Any] = queue.Queue()
done: queue.Queue[Any] = queue.Queue()


def switches() -> tuple[Any, ...]:
    backends: Any = torch.backends
    return (
        *(backends.cuda.flash_sdp_enabled(), backends.cuda.math_sdp_enabled(), backends.mha.get_fastpath_enabled()),
        *(backends.cuda.mem_efficient_sdp_enabled(), backends.mkldnn.enabled, torch.is_grad_enabled()),
        *(threading.Thread.start, ThreadPoolExecutor.submit, nn.Module.__call__, torch.get_default_dtype()),
        *(random.getstate(), torch.get_rng_state().tolist(), repr(np.random.get_state())),
        *(list(warnings.filters), list(logging.getLogger("torch._subclasses.fake_tensor").filters)),
    )


class Slow(nn.Module):
    """Waits in the middle of its forward pass, and fails or decides by value when told to."""

    def __init__(self, during: Callable[[], Any] = lambda: None, *, fails: bool = False) -> None:
        super().__init__()
        self.a, self.norm, self.b = nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)
        self.during, self.fails = during, fails

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.dropout(self.norm(self.a(x)), 0.5, self.training)
        warnings.warn("slow", UserWarning, stacklevel=1)
        self.during()
        if self.fails:
            raise ArithmeticError("told to")
        return self.b(x) * (torch.rand(()) + random.random() + np.random.rand())


def test_threads_at_once_leave_every_switch_and_trace_alike() -> None:
    model, other = Slow(lambda: time.sleep(0.01)), Slow()
    failing = Slow(lambda: time.sleep(0.01), fails=True)
    expected, before = trace(model, X), switches()

    def work(index: int) -> Any:
        if index % 3 == 1:
            with pytest.raises(TraceError, match="told to"):
                trace(failing, X)
            return None
        return trace(model if index % 3 else other, X)

    with ThreadPoolExecutor(6) as pool:
        graphs = [graph for graph in pool.map(work, range(12)) if graph is not None]
    assert switches() == before
    assert len(graphs) == 8
    assert all(graph.nodes == expected.nodes and (graph.edges == expected.edges).all() for graph in graphs)
    assert model.norm.num_batches_tracked == 0


def test_predictions_of_threads_are_those_of_one() -> None:
    torch.manual_seed(0)
    hypernet, model = GHN(GHNConfig.preset("ghn3-t", num_classes=3)).eval(), Slow()
    expected = hypernet.predict(model, X)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: hypernet.predict(model, X), range(4)))
    assert all(torch.equal(weights[name], expected[name]) for weights in found for name in expected)


def _train(steps: int) -> list[float]:
    """Losses of a model with all that other threads could disturb: dropout, attention, a scheduler of warnings."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.TransformerEncoderLayer(8, 2, 8, 0.1, batch_first=True), nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    losses = []
    for step in range(steps):
        loss = model.train(step % 3 > 0)(torch.randn(2, 5, 8)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_a_training_in_another_thread_notices_nothing() -> None:
    expected = _train(30)
    # Lists that the model reaches are put back, a queue is not.
    found: queue.Queue[list[float]] = queue.Queue()
    # The training runs from the first to the last step while a model is being traced.
    trace(Slow(lambda: found.put(_in_thread(lambda: _train(30)))), X)
    assert found.get() == expected


def _in_thread(function: Callable[[], Any]) -> Any:
    results: list[Any] = []
    asked.put((function, results))
    done.get(timeout=60)
    return results[0]


def test_warnings_of_other_threads_are_theirs() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with process_untouched():
            warnings.warn("ours", UserWarning, stacklevel=1)
            _in_thread(lambda: warnings.warn("theirs", UserWarning, stacklevel=1))
        warnings.warn("later", UserWarning, stacklevel=1)
    assert [str(warning.message) for warning in caught] == ["theirs", "later"]


def test_filters_that_another_thread_changes_meanwhile_stay_as_it_leaves_them() -> None:
    before = list(warnings.filters)
    catching = warnings.catch_warnings()
    catching.__enter__()
    warnings.simplefilter("ignore")
    with process_untouched():
        catching.__exit__(None, None, None)
    assert list(warnings.filters) == before


@pytest.fixture(autouse=True, scope="module")
def _server() -> Any:
    """A thread that is older than any trace."""

    def serve() -> None:
        while (item := asked.get()) is not None:
            try:
                item[1].append(item[0]())
            finally:
                done.put(None)

    thread = threading.Thread(target=serve)
    thread.start()
    yield
    asked.put(None)
    thread.join()


def test_switches_that_a_model_sets_are_set_back() -> None:
    def during() -> None:
        torch.backends.cuda.enable_flash_sdp(False)
        torch.backends.mha.set_fastpath_enabled(False)
        torch.use_deterministic_algorithms(True)
        torch.autograd.set_detect_anomaly(True)
        torch.set_default_dtype(torch.float64)

    model = Slow(during)
    before = switches()
    trace(model, X)
    assert switches() == before
    assert not torch.is_anomaly_enabled()
    assert not torch.are_deterministic_algorithms_enabled()


def _attribute(name: str, value: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    *path, last = name.split(".")
    holder = functools.reduce(getattr, path, torch)
    return lambda: setattr(holder, last, value), lambda: getattr(holder, last)


def _set_precision(holder: Any) -> None:
    if hasattr(torch.backends, "fp32_precision"):
        holder.fp32_precision = "tf32"


# How a forward pass changes something of the whole process, and how one sees that.
CHANGES: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "default device": (lambda: torch.set_default_device("meta"), lambda: torch.empty(0).device),
    "warnings": (lambda: warnings.filterwarnings("ignore", message="zzz"), lambda: list(warnings.filters)),
    "no warnings": (warnings.resetwarnings, lambda: list(warnings.filters)),
    "matmul precision": (
        lambda: torch.set_float32_matmul_precision("medium"),
        lambda: (torch.get_float32_matmul_precision(), torch.backends.cuda.matmul.allow_tf32),
    ),
    "newer precision": (
        lambda: _set_precision(torch.backends),
        lambda: (getattr(torch.backends, "fp32_precision", None), torch.backends.cudnn.allow_tf32),
    ),
    "newer precision of matmul": (
        lambda: _set_precision(torch.backends.cuda.matmul),
        lambda: (torch.get_float32_matmul_precision(), torch.backends.cuda.matmul.allow_tf32),
    ),
    "benchmark": _attribute("backends.cudnn.benchmark", True),
    "cudnn deterministic": _attribute("backends.cudnn.deterministic", True),
    "cudnn tf32": _attribute("backends.cudnn.allow_tf32", False),
    "cudnn": _attribute("backends.cudnn.enabled", False),
    "mkldnn": (lambda: torch.backends.mkldnn.set_flags(False), lambda: torch._C._get_mkldnn_enabled()),
    "autocast": (lambda: torch.set_autocast_enabled("cpu", True), lambda: torch.is_autocast_enabled("cpu")),
    "autocast type": (lambda: torch.set_autocast_dtype("cpu", torch.float16), lambda: torch.get_autocast_dtype("cpu")),
    "autocast cache": (lambda: torch.set_autocast_cache_enabled(False), torch.is_autocast_cache_enabled),
    "reduction of attention": (
        lambda: torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True),
        torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed,
    ),
    "fill": _attribute("utils.deterministic.fill_uninitialized_memory", False),
    "printing": (lambda: torch.set_printoptions(precision=2, sci_mode=True), lambda: str(torch.tensor([1 / 3]))),
    "printing of arrays": (lambda: np.set_printoptions(precision=2), lambda: str(np.array([1 / 3]))),
    "hooks": (
        lambda: nn.modules.module.register_module_forward_hook(lambda *_: None),
        lambda: len(nn.modules.module._global_forward_hooks),
    ),
    "recursion": (lambda: sys.setrecursionlimit(5000), sys.getrecursionlimit),
    "environment": (lambda: os.environ.update(GHN_TEST="1"), lambda: dict(os.environ)),
    "less environment": (lambda: os.environ.pop("PATH"), lambda: dict(os.environ)),
    "folder": (lambda: os.chdir("/"), os.getcwd),
    "collection": (gc.disable, gc.isenabled),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("fails", [False, True])
def test_what_a_forward_pass_sets_for_the_whole_process_is_set_back(name: str, fails: bool) -> None:
    change, ask = CHANGES[name]
    before = ask()
    changed = []

    def during() -> None:
        change()
        # Newer precisions cannot be asked for by the older name.
        try:
            changed.append(ask() != before)
        except RuntimeError:
            changed.append("precision" in name)

    model = Slow(during, fails=fails)
    if fails:
        with pytest.raises(TraceError):
            trace(model, X)
    else:
        trace(model, X)
    assert ask() == before


@pytest.mark.parametrize("in_thread", [False, True])
def test_a_forward_pass_that_traces_another_model(in_thread: bool) -> None:
    inner = nn.Linear(4, 3)
    expected = edges(trace(inner, X))

    def during() -> None:
        graphs = []

        def work() -> None:
            graphs.append(trace(inner, X))

        thread = threading.Thread(target=work, daemon=True)
        (thread.start if in_thread else work)()
        if in_thread:
            thread.join(20)
        assert [edges(graph) for graph in graphs] == [expected]
        assert graphs[0].traced_by == "meta"

    model, plain = Slow(during), Slow()
    before = switches()
    alone = trace(plain, X)
    assert edges(trace(model, X)) == edges(alone)
    assert alone.traced_by == "meta"
    assert switches() == before


@pytest.mark.parametrize("fake", [False, True])
def test_inside_a_mode_of_fake_tensors(fake: bool) -> None:
    plain = Slow()
    expected = edges(trace(plain, X))
    mode = fake_tensor_mode()
    with mode:
        model, x = (Slow(), torch.zeros(2, 4)) if fake else (plain, X)
        assert is_fake(x) == fake
        graph = trace(model, x)
        assert is_fake(torch.ones(1))
    assert (edges(graph), graph.traced_by) == (expected, "meta")


class Interrupt:
    """Interrupts at one of the lines by which tracing begins and ends what concerns the process."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, frame: Any, event: str, argument: Any) -> Any:
        path, name = frame.f_code.co_filename, frame.f_code.co_name
        begins = name in ("__enter__", "__exit__") and path.endswith("recorder.py")
        return self.line if begins or path.endswith(("process.py", "threads.py", "thread_stack.py")) else None

    def line(self, frame: Any, event: str, argument: Any) -> Any:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt
        return self.line


def test_an_interrupt_at_any_instant_leaves_nothing_behind() -> None:
    model = nn.Linear(4, 3)
    trace(model, X)
    before, tracer = (switches(), torch._C._len_torch_dispatch_stack()), sys.gettrace()
    left, after = [], 1
    while True:
        interrupt = Interrupt(after)
        sys.settrace(interrupt)
        try:
            trace(model, X)
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(tracer)
        if interrupt.left > 0:
            break
        if (switches(), torch._C._len_torch_dispatch_stack()) != before or TURNS.current is not None:
            left.append(after)
        after += 1
    assert left == []
    assert after > 100
