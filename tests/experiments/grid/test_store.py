"""Who computes what, and what is kept of it."""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ghn.experiments.grid.place import Place, open_place
from ghn.experiments.grid.store import Store
from ghn.training.state import StateError

A, B, C = (letter * 32 for letter in "abc")


@pytest.fixture(params=["folder", "memory"])
def opened(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Place]:
    """Opens the same place as often as it is called."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    if request.param == "memory":
        pytest.importorskip("fsspec")
        address = f"memory://{uuid.uuid4().hex}"
        return lambda: open_place(address)
    return lambda: open_place(tmp_path / "results")


def record(digest: str, **more: Any) -> dict[str, Any]:
    return {"digest": digest, "value": {"top1": 0.5}, **more}


def dead(store: Store) -> None:
    """As after kill -9: its lock is gone, its files stay."""
    assert store._beat is not None
    store._beat._ended.set()
    store._beat._thread.join()
    if hasattr(store._beat._held, "close"):
        store._beat._held.close()


def test_what_is_finished_is_known_to_all(opened: Callable[[], Place]) -> None:
    with Store(opened()) as one, Store(opened()) as two:
        assert one.claim(A)
        assert not two.claim(A), "one computes it"
        assert not one.claim(A), "once"
        one.finish(record(A, value={"top1": 0.25}))
        assert A in one
        assert not two.claim(A), "it is finished"
        assert A in two
        assert two.claim(B)
        two.finish(record(B))
        one.refresh()
        assert B in one
        assert len(one) == 2
    with Store(opened()) as three:
        assert {A, B} == {digest for digest in (A, B, C) if digest in three}
        assert {found["digest"]: found["value"]["top1"] for found in three.records([A, B, C])} == {A: 0.25, B: 0.5}
    assert opened().sizes("claims") == {}
    assert opened().sizes("drivers") == {}


def test_a_claim_that_is_let_go_can_be_made_by_others(opened: Callable[[], Place]) -> None:
    with Store(opened()) as two:
        with Store(opened()) as one:
            assert one.claim(A)
            one.release(A)
            assert two.claim(A)
            assert one.claim(B)
        assert two.claim(B), "a driver that ends lets its claims go"


def test_claims_of_a_driver_that_has_gone_are_taken_over_by_one_other(opened: Callable[[], Place]) -> None:
    gone = Store(opened(), beat=0.01).__enter__()
    assert gone.claim(A)
    # Of addresses, and other machines: nobody sees more than that its count stands still.
    with Store(opened(), lease=0.3) as one, Store(opened(), lease=0.3) as two:
        assert not one.claim(A)
        assert not two.claim(A)
        dead(gone)
        taken: list[Store] = []
        while not taken:
            taken = [store for store in (one, two) if store.claim(A)]
        assert len(taken) == 1
        other = two if taken[0] is one else one
        assert not other.claim(A)
        # A third death in a row.
        dead(taken[0])
        while not other.claim(A):
            pass
        other.finish(record(A))
        taken[0].refresh()
        assert A in taken[0]
    assert opened().sizes("claims") == {}


def test_on_another_machine_only_its_signs_of_life_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("ghn.experiments.grid.store.machine", lambda: "elsewhere")
        gone = Store(open_place(tmp_path), beat=0.05).__enter__()
    assert gone.claim(A)
    with Store(open_place(tmp_path), lease=0.5) as store:
        dead(gone)
        assert not store.claim(A), "it may live: half a second has not gone by"
        while not store.claim(A):
            pass


def test_a_claim_without_an_owner_is_left_alone_for_a_lease(tmp_path: Path) -> None:
    """As it is for a moment, and for ever where its driver was killed in that moment."""
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / f"{A}.0").touch()
    with Store(open_place(tmp_path), lease=0.3) as store:
        assert not store.claim(A)
        while not store.claim(A):
            pass
        store.finish(record(A))
    assert not list((tmp_path / "claims").iterdir())


GONE = b"gone-1-0a1b2c3d"


@pytest.mark.parametrize(
    "files",
    [
        {"claims/{}.0": b"\0" * 24},
        {"claims/{}.0": b"\xff\xfe"},
        {"claims/{}.0": b"../format.json"},
        {"claims/{}.0": b"x" * 5000},
        {"claims/{}.0": GONE, "drivers/gone-1-0a1b2c3d": b"\xff\n0\n"},
        {"claims/{}.0": GONE, "drivers/gone-1-0a1b2c3d": b"\0" * 99},
        {"claims/{}.1": GONE},
        {"claims/{}.3": b"\0"},
        {"claims/{}.07": GONE},
        {"claims/{}.\u0663": GONE},
    ],
)
def test_damaged_claims_and_drivers_are_those_of_one_who_went(tmp_path: Path, files: dict[str, bytes]) -> None:
    """As a loss of power leaves them, or somebody's hand."""
    for name, content in files.items():
        file = tmp_path / name.format(A)
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
    with Store(open_place(tmp_path), lease=0.2) as store, Store(open_place(tmp_path), lease=0.2) as other:
        end = time.monotonic() + 5
        while not store.claim(A) and time.monotonic() < end:
            time.sleep(0.01)
        assert not other.claim(A), "it is held"
        store.finish(record(A))
        assert not other.claim(A)
        assert A in other
    assert time.monotonic() < end


def test_lines_that_were_cut_short_or_damaged_are_none(tmp_path: Path) -> None:
    with Store(open_place(tmp_path)) as store:
        assert store.claim(A)
        store.finish(record(A))
    (file,) = (tmp_path / "results").iterdir()
    whole = file.read_text()
    other = whole.replace(A, B)
    damaged = ['"\n', '"}\n', '","value":null}\n', '","value":[1]}\n']
    damaged = [f'{{"digest":"{C}{rest}' for rest in damaged]
    file.write_text("".join(["nonsense\n", whole, *damaged, '{"digest":"xyz","value":{}}\n', other[:-9]]))
    with Store(open_place(tmp_path)) as store:
        assert A in store
        assert B not in store
        assert C not in store
        assert [found["digest"] for found in store.records([A, B, C])] == [A]
        # The driver that had been cut short goes on.
        with open(file, "a") as appended:
            appended.write(other[-9:])
        store.refresh()
        assert B in store


@pytest.mark.parametrize(
    "line",
    [
        f'{{"digest":"{A}","digest":"{B}","value":{{}}}}',
        f'{{"digest":"","digest":"{A}","value":{{}}}}',
        f'{{"digest":"{"z" * 32}","digest":"{A}","value":{{}}}}',
        f'{{"digest":"\\u0061{A[1:]}","value":{{}}}}',
        f'{{"digest":"{A[1:]}\u00e4","value":{{}}}}',
        f'{{"digest":"{A[2:]}  ","value":{{}}}}',
        f'{{"digest":"{A}{A}","value":{{}}}}',
        f'{{"digest":"{A.upper()}","value":{{}}}}',
        f'{{"digest":"{A}","value":{{}},"digest":["{A}"]}}',
    ],
)
def test_a_line_whose_digest_is_not_as_it_is_written_is_none(tmp_path: Path, line: str) -> None:
    with Store(open_place(tmp_path)) as store:
        store.finish(record(C))
    (file,) = (tmp_path / "results").iterdir()
    file.write_text(f"{line}\n{file.read_text()}", encoding="utf-8")
    with Store(open_place(tmp_path)) as store:
        assert len(store) == 1
        assert [found["digest"] for found in store.records([A, B, C])] == [C]
        assert store.claim(A), "it is computed again"


def test_of_a_cell_that_is_stored_twice_the_first_counts(tmp_path: Path) -> None:
    with Store(open_place(tmp_path)) as store:
        store.finish(record(A, value={"top1": 1}))
        store.finish(record(A, value={"top1": 2}))
        assert [found["value"]["top1"] for found in store.records([A])] == [1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"format": 99}', "holds results of version 99, this ghn writes version 1; take another folder"),
        ("[", "holds a damaged format.json"),
        ("7", "holds a damaged format.json"),
    ],
)
def test_results_of_another_version_are_left_alone(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "format.json").write_text(content)
    (tmp_path / "results").mkdir()
    with pytest.raises(StateError, match=message):
        Store(open_place(tmp_path))
    assert (tmp_path / "format.json").read_text() == content


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "drivers").touch()
    with pytest.raises(StateError, match="cannot hold results"), Store(open_place(tmp_path)):
        pass
    (tmp_path / "drivers").unlink()

    with Store(open_place(tmp_path)) as store:
        assert store.claim(A)

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(store.place, "add", full)
        with pytest.raises(StateError, match="No space left on device"):
            store.finish(record(A))
        assert A not in store
    (tmp_path / "claims" / f"{B}.0").mkdir()
    with Store(open_place(tmp_path)) as store, pytest.raises(StateError, match=rf"cannot hold results \(.*/{B}\.0\)"):
        store.claim(B)


def test_a_line_is_a_plain_record(tmp_path: Path) -> None:
    with Store(open_place(tmp_path)) as store:
        store.finish(record(A, kind="evaluate"))
    (file,) = (tmp_path / "results").iterdir()
    assert json.loads(file.read_text()) == {"digest": A, "kind": "evaluate", "value": {"top1": 0.5}}


def test_a_claim_counts_where_the_list_of_claims_is_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = open_place(tmp_path)
    with Store(place) as one, Store(open_place(tmp_path)) as two:
        monkeypatch.setattr(place, "sizes", lambda folder: {})
        assert one.claim(A)
        assert not two.claim(A)
        assert not one.claim(A)


def test_a_claim_below_one_that_is_held_does_not_hold(opened: Callable[[], Place]) -> None:
    gone = Store(opened()).__enter__()
    with Store(opened()) as one, Store(opened()) as two, Store(opened()) as three:
        assert gone.claim(A)
        dead(gone)
        opened().remove(f"drivers/{gone.driver}")
        assert one.claim(A), "by a greater number"
        opened().remove(f"claims/{A}.0")
        assert not two.claim(A), "the lowest is free, and made; the greater one holds"
        assert not three.claim(A)
        assert opened().sizes("claims").keys() == {f"{A}.1"}, "what does not hold is taken away"
        one.release(A)
        assert two.claim(A)
        assert not two.claim(A), "once"
        assert not three.claim(A)


def test_two_that_find_a_claim_of_one_who_went_do_not_both_take_it(tmp_path: Path) -> None:
    """Between the look of the first and its claim, the owner goes in good order, and the second makes the lowest."""
    place = open_place(tmp_path)
    owner = Store(open_place(tmp_path)).__enter__()
    assert owner.claim(A)
    with Store(place) as one, Store(open_place(tmp_path)) as two:
        taken: list[bool] = []
        read, lives = place.read, one._lives

        def goes(driver: str) -> bool:
            owner.__exit__()
            found = lives(driver)
            taken.append(two.claim(A))
            return found

        one._lives = goes  # type: ignore[method-assign]
        assert not one.claim(A)
        assert taken == [True]
        assert read(f"claims/{A}.1") is None, "nothing stays of what did not hold"


def test_an_empty_claim_that_comes_and_goes_is_waited_for_each_time(tmp_path: Path) -> None:
    place = open_place(tmp_path)
    with Store(place, lease=0.3) as one, Store(open_place(tmp_path)) as two:
        for _ in range(2):
            assert place.create(f"claims/{A}.0", b"")
            assert not one.claim(A)
            place.remove(f"claims/{A}.0")
            assert two.claim(A)
            assert not one.claim(A)
            two.release(A)
            time.sleep(0.4)


def test_drivers_that_come_and_go_never_hold_one_cell_together(tmp_path: Path) -> None:
    """Each claims what it can, lets go or finishes, ends and begins anew, until all is finished."""
    digests = [f"{number:032x}" for number in range(12)]
    held: dict[str, str] = {}
    finished: list[str] = []
    lock, faults = threading.Lock(), []

    def drive(seed: int) -> None:
        chance = random.Random(seed)
        while len(set(finished)) < len(digests):
            with Store(open_place(tmp_path)) as store:
                for digest in chance.sample(digests, 6):
                    if not store.claim(digest):
                        continue
                    with lock:
                        if digest in held or digest in finished:
                            faults.append(digest)
                        held[digest] = store.driver
                    time.sleep(chance.random() / 500)
                    with lock:
                        del held[digest]
                        ends = chance.random()
                        if ends < 0.1:
                            finished.append(digest)
                    if ends < 0.1:
                        store.finish(record(digest))
                    elif ends < 0.8:
                        store.release(digest)
                    else:
                        break  # with what it holds, in good order

    threads = [threading.Thread(target=drive, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert sorted(finished) == digests
    assert open_place(tmp_path).sizes("claims") == {}
