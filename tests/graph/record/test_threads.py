"""Layers that run in other threads are recorded; what cannot be seen is not lost in silence."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.pool import ThreadPool
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ghn.graph.trace import trace
from tests.graph.graphs import edges, named

X = torch.zeros(2, 4)


class Branches(nn.Module):
    def __init__(self, run: Callable[[list[nn.Module], Tensor], list[Tensor]]) -> None:
        super().__init__()
        self.run = run
        self.branches = nn.ModuleList(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.LayerNorm(4)) for _ in range(3))
        self.out = nn.Linear(12, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.cat(self.run(list(self.branches), x), -1))


def here(branches: list[nn.Module], x: Tensor) -> list[Tensor]:
    return [branch(x) for branch in branches]


def executor(branches: list[nn.Module], x: Tensor) -> list[Tensor]:
    with ThreadPoolExecutor(2) as pool:
        return [future.result() for future in [pool.submit(branch, x) for branch in branches]]


def mapped(branches: list[nn.Module], x: Tensor) -> list[Tensor]:
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda branch: branch(x), branches))


def nested(branches: list[nn.Module], x: Tensor) -> list[Tensor]:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(executor, branches, x).result()


def threads(branches: list[nn.Module], x: Tensor) -> list[Tensor]:
    results: dict[int, Tensor] = {}
    barrier = threading.Barrier(len(branches))

    def work(index: int) -> None:
        barrier.wait(10)
        results[index] = branches[index](x)

    workers = [threading.Thread(target=work, args=(index,)) for index in range(len(branches))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return [results[index] for index in range(len(branches))]


@pytest.mark.parametrize("run", [executor, mapped, nested, threads])
def test_threads_of_the_forward_pass(run: Callable[[list[nn.Module], Tensor], list[Tensor]]) -> None:
    start, submit = threading.Thread.start, ThreadPoolExecutor.submit
    graph = trace(Branches(run), X)
    assert graph.traced_by == "meta"
    assert edges(graph) == edges(trace(Branches(here), X))
    assert sorted(named(graph).nodes) == sorted(named(trace(Branches(here), X)).nodes)
    assert (threading.Thread.start, ThreadPoolExecutor.submit) == (start, submit)


def test_an_executor_that_lives_on() -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        graph = trace(Branches(lambda branches, x: list(pool.map(lambda branch: branch(x), branches))), X)
        assert len(graph.parameters) == 14
        # Its worker is an ordinary thread again.
        assert torch.equal(pool.submit(torch.ones, 2).result(), torch.ones(2))


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_modules_that_a_thread_started_before_runs(device: str) -> None:
    with ThreadPool(1) as pool:
        model = Branches(lambda branches, x: pool.map(lambda branch: branch(x), branches)).to(device)
        graph = trace(model, X)
    assert graph.traced_by == "meta"
    assert edges(graph) == edges(trace(Branches(here), X))


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_what_runs_out_of_sight_takes_the_order_of_modules(device: str) -> None:
    def unseen(branch: Any, x: Tensor) -> Tensor:
        return functional.linear(x, branch[0].weight, branch[0].bias)

    with ThreadPool(1) as pool:
        model = Branches(lambda branches, x: pool.map(lambda branch: unseen(branch, x), branches)).to(device)
        graph = trace(model, X)
    assert graph.traced_by == "modules"
    assert set(graph.parameters) == {name for name, _ in model.named_parameters()}


def test_other_threads_are_left_alone() -> None:
    seen: list[Tensor] = []
    started, traced = threading.Event(), threading.Event()

    def bystander() -> None:
        started.wait(10)
        worker = threading.Thread(target=lambda: seen.append(torch.ones(2) * 2))
        worker.start()
        worker.join()
        traced.set()

    class Waiting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out = nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            started.set()
            assert traced.wait(10)
            return self.out(x)

    other = threading.Thread(target=bystander)
    other.start()
    graph = trace(Waiting(), X)
    other.join()
    assert [node.op for node in graph.nodes] == ["input", "conv", "bias"]
    assert torch.equal(seen[0], torch.full((2,), 2.0))


def test_attributes_without_numbers_are_no_work_of_others() -> None:
    class Keeping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out, self.unused = nn.Linear(4, 2), nn.Linear(4, 2)
            self.register_buffer("shift", torch.zeros(4))
            self.constants = [torch.zeros(4)]
            self.scales = {"scale": torch.ones(4)}

        def forward(self, x: Tensor) -> Tensor:
            return self.out((x - self.get_buffer("shift")) * self.scales["scale"] + self.constants[0])

    with torch.device("meta"):
        model = Keeping()
    assert trace(model, X).traced_by == "meta"


def _new_tensor(values: list[float], *, device: torch.device) -> Tensor:
    return torch.ones((), device=device).new_tensor(values)


@pytest.mark.parametrize("make", [torch.tensor, torch.as_tensor, torch.asarray, _new_tensor])
def test_constants_and_detached_data_are_no_work_of_others(make: Callable[..., Tensor]) -> None:
    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out, self.unused = nn.Linear(4, 2), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = x.data + make([1.0, 2.0, 3.0, 4.0], device=x.device) + make([], device=x.device).sum()
            return nn.functional.linear(x, self.out.weight.data, nn.Parameter(self.out.bias))

    graph = trace(Constant(), X)
    assert graph.traced_by == "meta"
    assert set(graph.parameters) == {"out.weight", "out.bias"}


@pytest.mark.parametrize("make", [torch.as_tensor, torch.asarray])
def test_others_work_stays_unknown_whatever_it_goes_through(make: Callable[..., Tensor]) -> None:
    class Handing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.out = nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            # Past `submit`, which would be followed.
            done: Future[Tensor] = Future()
            work.put((lambda: functional.linear(x, self.first.weight, self.first.bias), done))
            return self.out(make(done.result()))

    work: queue.Queue[Any] = queue.Queue()

    def serve() -> None:
        while (item := work.get()) is not None:
            try:
                item[1].set_result(item[0]())
            except Exception as error:
                item[1].set_exception(error)

    server = threading.Thread(target=serve)
    server.start()
    try:
        graph = trace(Handing(), X)
    finally:
        work.put(None)
        server.join()
    assert graph.traced_by == "modules"
    assert "first.weight" in graph.parameters
