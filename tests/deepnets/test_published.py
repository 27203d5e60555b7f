import json
import os
import resource
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ghn.deepnets import SPLITS, DeepNets, PublishedDeepNets, graph_from_arguments, write_published
from ghn.deepnets.published import PublishedArrays, arrays_of, read_arrays, read_metadata
from tests.deepnets.architectures import cells, metadata_files, wild

pytest.importorskip("h5py")


def used_parameters(arrays: PublishedArrays) -> Counter[tuple[str, str, int]]:
    """Rows of nodes with parameters: primitive, name, cell."""
    rows = zip(arrays.primitives, arrays.names, arrays.cells, strict=True)
    return Counter(row for row in rows if "." in row[1])


def others(arrays: PublishedArrays) -> Counter[str]:
    """Primitives of nodes without parameters; the files put some of them into a neighbouring cell."""
    return Counter(op for op, name in zip(arrays.primitives, arrays.names, strict=True) if "." not in name)


def profile(distances: np.ndarray) -> Counter[tuple[int, ...]]:
    """How far each node is from all others, whatever the order of nodes."""
    return Counter(tuple(sorted(row)) for row in [*distances.tolist(), *distances.T.tolist()])


@pytest.mark.parametrize("file", [0, 1])
def test_arrays_are_the_released_ones(file: int, reference: Path) -> None:
    """But for attention and gates, of which the released tracer loses some."""
    metadata = metadata_files(reference)[file]
    compared = 0
    for split, networks in read_metadata(metadata).items():
        for index, arguments in enumerate(networks):
            released, ours = read_arrays(metadata, split, index), arrays_of(arguments)
            assert used_parameters(released) == used_parameters(ours)
            lost = others(ours) - others(released)
            assert not others(released) - others(ours)
            assert set(lost) <= {"msa", "cse"}
            if not lost:
                assert profile(released.distances) == profile(ours.distances)
                compared += 1
    assert compared > 15


@pytest.mark.parametrize("split", ["train", "val", "test", "wide", "deep", "dense", "bnfree"])
def test_published_split_is_used_as_a_drawn_one(split: str, reference: Path) -> None:
    metadata = metadata_files(reference)[split != "train"]
    deepnets = PublishedDeepNets(metadata, split, num_classes=10)
    assert len(deepnets) == len(json.loads(metadata.read_text())[split]["nets"])
    network, graph, net_args = deepnets[1]
    assert net_args["C"] == {"train": net_args["C"], "wide": 128}.get(split, 32)
    assert set(graph.parameters) | set(graph.kept) == {name for name, _ in network.named_parameters()}
    assert deepnets.arguments(1).genotype == read_metadata(metadata)[split][1].genotype


def test_round_trip(tmp_path: Path) -> None:
    drawn = {split: [DeepNets(split).arguments(index) for index in range(3)] for split in ("val", "dense")}
    drawn["test"] = [wild(seed) for seed in range(10)]
    arrays, metadata = write_published(tmp_path / "new", "mine", drawn)
    assert (arrays.name, metadata.name) == ("deepnets1m_mine.hdf5", "deepnets1m_mine_meta.json")
    assert read_metadata(metadata) == drawn
    for split, networks in drawn.items():
        for index, arguments in enumerate(networks):
            stored, expected = read_arrays(metadata, split, index), arrays_of(arguments)
            assert stored[1:] == expected[1:]
            assert stored.distances.dtype == np.uint8
            assert (stored.distances == expected.distances).all()
            graph = graph_from_arguments(arguments)
            near = graph.distances > 0
            assert (stored.distances[near] == graph.distances[near]).all()
            assert json.loads(metadata.read_text())[split]["nets"][index]["num_nodes"] == len(graph)


def test_long_paths_are_kept() -> None:
    arrays = arrays_of(cells(("sep_conv_3x3", 1), ("none", 0), C=8, n_cells=12))
    assert 50 < arrays.distances.max() < 255


def test_counts_are_those_of_the_released_files(reference: Path, tmp_path: Path) -> None:
    source = metadata_files(reference)[1]
    _, metadata = write_published(tmp_path, "eval", read_metadata(source))
    released, ours = (json.loads(path.read_text()) for path in (source, metadata))
    for split, content in released.items():
        for theirs, mine in zip(content["nets"], ours[split]["nets"], strict=True):
            assert mine["num_params"] == theirs["num_params"]
            assert mine["genotype"] == theirs["genotype"]


def test_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "deepnets1m_x_meta.json"
    with pytest.raises(ValueError, match=r"cannot read .*: there is no such file"):
        read_metadata(path)
    path.write_text('{"train": {"nets": [')
    with pytest.raises(ValueError, match="is damaged, or no JSON"):
        read_metadata(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="is damaged, or no JSON"):
        read_metadata(path)
    path.write_text("[1, 2]")
    with pytest.raises(ValueError, match="is no metadata of DeepNets-1M"):
        read_metadata(path)
    path.write_text('{"train": {"nets": [{"n_cells": 3}]}}')
    with pytest.raises(ValueError, match="split 'train': the network arguments have no 'genotype'"):
        read_metadata(path)


def test_missing_arrays(tmp_path: Path) -> None:
    arrays, metadata = write_published(tmp_path, "x", {"val": [wild(0)]})
    with pytest.raises(ValueError, match="cannot read network 1 of split 'val'"):
        read_arrays(metadata, "val", 1)
    with pytest.raises(ValueError, match="cannot read network 0 of split 'test'"):
        read_arrays(metadata, "test", 0)
    arrays.write_bytes(arrays.read_bytes()[:100])
    with pytest.raises(ValueError, match="cannot read network 0 of split 'val'"):
        read_arrays(metadata, "val", 0)


@pytest.mark.parametrize(
    ("tables", "part"),
    [
        ({}, "KeyError: 'primitives_ext'"),
        ({"primitives_ext": {}, "unique_op_names": {}}, "KeyError: '0'"),
        ({"primitives_ext": {}}, "KeyError: 'unique_op_names'"),
        ({"primitives_ext": None, "unique_op_names": 3}, "TypeError"),
        ([1], "TypeError"),
        ("primitives_ext", "TypeError"),
        (None, "TypeError"),
    ],
)
def test_tables_that_explain_nothing(tables: object, part: str, tmp_path: Path) -> None:
    _, metadata = write_published(tmp_path, "x", {"val": [wild(0)]})
    content = json.loads(metadata.read_text())
    content["val"]["meta"] = tables
    metadata.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"the tables of split 'val' in .* do not explain network 0") as caught:
        read_arrays(metadata, "val", 0)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    del content["val"]["meta"]
    metadata.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"the tables of split 'val' in .* do not explain network 0"):
        read_arrays(metadata, "val", 0)


def test_unknown_splits(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"unknown split 'mine'; there are {', '.join(SPLITS)}"):
        write_published(tmp_path, "x", {"mine": []})
    _, metadata = write_published(tmp_path, "x", {"val": [wild(0)]})
    with pytest.raises(ValueError, match="holds no split 'test', only val"):
        PublishedDeepNets(metadata, "test")


def test_without_h5py(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ModuleNotFoundError, match=r'need h5py: pip install "ghn\[published\]"'):
        write_published(tmp_path, "x", {"val": [wild(0)]})
    assert not list(tmp_path.iterdir())


def file_link(other: Path) -> Any:
    import h5py

    return h5py.ExternalLink(str(other), "secret")


def _replace(file: Any, name: str, data: Any = None, **options: Any) -> None:
    del file[f"val/0/{name}"]
    if data is not None or options:
        file.create_dataset(f"val/0/{name}", data=data, **options)


def _virtual(file: Any, other: Path) -> None:
    import h5py

    del file["val/0/adj"]
    layout = h5py.VirtualLayout(shape=(4, 4), dtype="u1")
    layout[:] = h5py.VirtualSource(str(other), "secret", shape=(4, 4))
    file.create_virtual_dataset("val/0/adj", layout)


def _linked(file: Any, link: Any) -> None:
    del file["val/0/adj"]
    file["val/0/adj"] = link


def _soft() -> Any:
    import h5py

    return h5py.SoftLink("/val/0/nodes")


HOSTILE: dict[str, Callable[[Any, Path], None]] = {
    "link to another file": lambda file, other: _linked(file, file_link(other)),
    "link within the file": lambda file, other: _linked(file, _soft()),
    "numbers of another file": lambda file, other: _replace(
        file, "adj", shape=(4, 4), dtype="u1", external=[(str(other), 0, 16)]
    ),
    "virtual": _virtual,
    "gigabytes of nothing": lambda file, other: _replace(
        file, "adj", shape=(1 << 20, 1 << 20), dtype="u1", chunks=(1, 9)
    ),
    "huge pieces": lambda file, other: _replace(
        file, "adj", shape=(4, 4), dtype="u1", chunks=(1 << 14, 1 << 14), maxshape=(None, None)
    ),
    "countless pieces": lambda file, other: _replace(file, "adj", shape=(500, 500), dtype="u1", chunks=(1, 1)),
    "text": lambda file, other: _replace(file, "adj", data=np.array([[b"a"]])),
    "fractions": lambda file, other: _replace(file, "nodes", data=np.zeros((2, 3))),
    "one axis": lambda file, other: _replace(file, "adj", data=np.zeros(3, np.uint8)),
    "no dataset": lambda file, other: (_replace(file, "adj"), file.create_group("val/0/adj")),  # type: ignore
    "missing": lambda file, other: _replace(file, "nodes"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_only_numbers_of_the_file_itself_are_read(case: str, tmp_path: Path) -> None:
    import h5py

    arrays, metadata = write_published(tmp_path, "x", {"val": [DeepNets("val").arguments(0)]})
    other = tmp_path / "other.hdf5"
    with h5py.File(other, "w") as file:
        file.create_dataset("secret", data=np.ones((4, 4), np.uint8))
    with h5py.File(arrays, "r+") as file:
        HOSTILE[case](file, other)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match="cannot read network 0 of split 'val'") as caught:
        read_arrays(metadata, "val", 0)
    assert str(caught.value).isprintable()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64_000  # KiB


@pytest.mark.parametrize("name", ["x_meta.json", "x.hdf5"])
def test_pipes_are_no_files(name: str, tmp_path: Path) -> None:
    (tmp_path / "x_meta.json").write_text("{}")
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises(ValueError, match="not a regular file"):
        read_arrays(tmp_path / "x_meta.json", "val", 0)


@pytest.mark.parametrize(("name", "shape"), [("nodes", (2_000_000, 3)), ("nodes", (5, 2)), ("adj", (3, 5))])
def test_tables_of_other_sizes(name: str, shape: tuple[int, int], tmp_path: Path) -> None:
    import h5py

    path, metadata = write_published(tmp_path, "mine", {"val": [DeepNets("val").arguments(0)]})
    with h5py.File(path, "a") as file:
        del file[f"val/0/{name}"]
        file["val/0"].create_dataset(name, data=np.zeros(shape, np.uint8), chunks=True, compression="gzip")
    with pytest.raises(ValueError, match="nodes do not fit distances of shape"):
        read_arrays(metadata, "val", 0)
