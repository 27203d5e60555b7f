"""The same grid on Ray; a process of the cluster that is killed changes nothing."""

from __future__ import annotations

import socket
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from ghn.experiments.grid.cell import Cell
from ghn.experiments.grid.drive import Grid
from ghn.experiments.grid.place import open_place
from ghn.experiments.grid.ray_cluster import RayCluster
from ghn.experiments.grid.store import Store
from ghn.training.state import StateError
from tests.experiments import some
from tests.experiments.some import adding

pytest.importorskip("ray")


@pytest.fixture
def cluster() -> Iterator[RayCluster]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray announces its own changes
        made = RayCluster("local", slots=2)
        yield made
        made.close()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_same_results_and_a_killed_process_is_replaced(cluster: RayCluster, tmp_path: Path) -> None:
    log = tmp_path / "log"
    deadly = Cell(kind=some.DEADLY, settings={"deaths": 1})
    made = Cell(kind=some.FOLDER, settings={}, seed=7)
    reading = Cell(kind=some.READ, settings={}, needs={"made": made})
    cells = [*adding(20, log=str(log)), deadly, reading, Cell(kind=some.BROKEN, settings={"raises": "other"})]
    with Store(open_place(tmp_path / "ray")) as store:
        ran = Grid(store, cluster).run(cells)
        found = {record["digest"]: record["value"] for record in store.records(cell.digest for cell in cells)}
    assert list(ran.errors.values()) == ["RuntimeError: it cannot be"]
    assert found[deadly.digest] == {"deaths": 1}
    assert found[reading.digest] == {"text": "made of 7"}
    assert [found[cell.digest] for cell in cells[:20]] == [{"sum": number + 1} for number in range(20)]
    assert len(log.read_text().splitlines()) == 20


def test_a_cluster_that_is_not_there_is_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}", "no.such.host.invalid:6379", "nonsense"):
            with pytest.raises(StateError, match=f"no Ray cluster answers at {address}; start one"):
                RayCluster(address)
