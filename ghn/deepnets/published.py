"""Read and write files in the layout of the published DeepNets-1M.

`deepnets1m_NAME_meta.json` defines the networks, and all that is needed to rebuild them and their graphs.
`deepnets1m_NAME.hdf5` holds each graph as arrays, for inspection: `SPLIT/INDEX/adj`, lengths of the shortest paths as
uint8, and `SPLIT/INDEX/nodes`, one row (primitive, cell, operation name) a node, numbers that the metadata's tables
explain. Needs h5py for the arrays, `pip install "ghn[published]"`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ghn.common.errors import OneLineError
from ghn.common.files import replaced, write_text
from ghn.common.text import shown
from ghn.common.untrusted.errors import FormatError
from ghn.common.untrusted.json_text import read_json
from ghn.common.untrusted.opening import open_regular
from ghn.deepnets.dataset import DeepNets
from ghn.deepnets.direct_graph import graph_from_arguments, node_cells
from ghn.deepnets.genotype import NetworkArguments
from ghn.deepnets.sample import SPLITS, parameter_count
from ghn.graph.computational_graph import ComputationalGraph, Node
from ghn.graph.distances import shortest_paths

MOST_BYTES = 32 << 20
"""Of an array: networks have some hundred nodes, 5,000 would fit."""

MOST_CHUNKS = 4096
"""Pieces of a dataset, each of which takes the library 6 KB; it cuts 30 MB into 700 itself."""

FILTERS = frozenset({1, 2, 3})
"""By which arrays may be written: deflate, shuffle and checksums. Others are plugins, code of other files."""

MOST_METADATA = 4 << 30
"""Bytes; the published ones of a million networks take a third."""

METADATA_EXPANSION = 24
"""Bytes of memory for a byte of metadata, which consist of short lists."""

LONGEST_PATH = 255
"""Longer paths do not fit the stored type and are stored as none."""


class PublishedArrays(NamedTuple):
    """A graph as stored; rows of published files are in no particular order.

    Attributes:
        distances: (N, N) uint8, length of the shortest path from i to j, 0 where there is none.
        primitives: Primitive of each node; 1×1 convolutions and linear layers are told apart as "conv_1x1".
        cells: Cell of each node.
        names: Parameter name within the cell, or the primitive's name.
    """

    distances: NDArray[np.uint8]
    primitives: tuple[str, ...]
    cells: tuple[int, ...]
    names: tuple[str, ...]


class PublishedDeepNets(DeepNets):
    """A split of published metadata, used as a drawn one is.

    Args:
        metadata: The JSON file.
        split: One of the splits that it holds.
        image_size: Side of the images in pixels.
        num_classes: Outputs of the networks.
        seed: Of training widths, which are drawn when an architecture is loaded.
    """

    def __init__(
        self, metadata: Path | str, split: str, image_size: int = 32, num_classes: int = 10, *, seed: int = 1
    ) -> None:
        stored = read_metadata(metadata)
        if split not in stored:
            raise OneLineError(f"{metadata} holds no split {split!r}, only {', '.join(stored)}")
        super().__init__(split, image_size, num_classes, seed=seed)
        self.networks_of_file = stored[split]
        self.size = len(self.networks_of_file)

    def _architecture(self, index: int) -> NetworkArguments:
        return self.networks_of_file[index]


def open_split(
    split: str,
    image_size: int = 32,
    num_classes: int = 10,
    *,
    seed: int = 1,
    metadata: Path | str | None = None,
) -> DeepNets:
    """A split as it is drawn, or, with published metadata (the JSON file), as that file has it."""
    if metadata is None:
        return DeepNets(split, image_size, num_classes, seed=seed)
    return PublishedDeepNets(metadata, split, image_size, num_classes, seed=seed)


def read_metadata(path: Path | str) -> dict[str, list[NetworkArguments]]:
    """The network arguments of each split of a metadata file, in order.

    Raises:
        ValueError: When the file cannot be read, is damaged, or is no metadata of DeepNets-1M.
    """
    splits = {}
    for split, content in _read_json(path).items():
        try:
            splits[split] = [NetworkArguments.from_dict(net_args) for net_args in content["nets"]]
        except (KeyError, TypeError, ValueError) as error:
            raise OneLineError(f"{path} is no metadata of DeepNets-1M: split {shown(split)!r}: {error}") from error
    return splits


def read_arrays(metadata: Path | str, split: str, index: int) -> PublishedArrays:
    """The stored arrays of a graph.

    Args:
        metadata: The JSON file; the HDF5 file stands beside it.
        split: One of its splits.
        index: Number of the network in the split.

    Raises:
        ValueError: When a file cannot be read, is damaged, or holds no such network.
        ModuleNotFoundError: When h5py is not installed.
    """
    h5py = _import_h5py()
    content = _read_json(metadata)
    path = _arrays_path(metadata)
    try:
        open_regular(path).close()
        with h5py.File(path, "r") as file:
            distances = _dataset(file, f"{split}/{index}/adj", axes=2)
            table = _dataset(file, f"{split}/{index}/nodes", axes=2)
            if distances.shape != (len(table),) * 2 or table.shape[1] != 3:
                raise FormatError(f"{table.shape} nodes do not fit distances of shape {distances.shape}")
            rows = table.tolist()
    # The library raises errors of many kinds where a file is damaged.
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise OneLineError(f"cannot read network {index} of split {split!r} from {path}: {error}") from error
    try:
        tables = content[split]["meta"]
        primitives, names = tables["primitives_ext"], tables["unique_op_names"]
        return PublishedArrays(
            distances=distances,
            primitives=tuple(primitives[str(primitive)] for primitive, _, _ in rows),
            cells=tuple(cell for _, cell, _ in rows),
            names=tuple(names[str(name)] for _, _, name in rows),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise OneLineError(
            f"the tables of split {split!r} in {metadata} do not explain network {index} of {path} "
            f"({type(error).__name__}: {error}); fetch or write both files again"
        ) from error


def _dataset(file: Any, name: str, axes: int) -> NDArray[Any]:
    """A dataset of small numbers that lies in this file: links and virtual datasets can lead to any other."""
    h5py = _import_h5py()
    group = file
    for part in name.split("/"):
        if not isinstance(group, h5py.Group):
            raise FormatError(f"there is no {name}")
        if not isinstance(group.get(part, getlink=True), h5py.HardLink):
            raise FormatError(f"{name} is not there, or is a link to elsewhere")
        group = group.get(part)
    if not isinstance(group, h5py.Dataset):
        raise FormatError(f"{name} holds no numbers")
    plan = group.id.get_create_plist()
    if group.external or group.is_virtual or plan.get_external_count():
        raise FormatError(f"{name} lies in another file")
    filters = {plan.get_filter(index)[0] for index in range(plan.get_nfilters())}
    if not filters <= FILTERS:
        raise FormatError(f"{name} is written by a filter that is not known")
    if group.ndim != axes or group.dtype.kind not in "iu":
        raise FormatError(f"{name} is no table of whole numbers")
    chunk = math.prod(group.chunks or (0,)) * group.dtype.itemsize
    if group.nbytes > MOST_BYTES or chunk > MOST_BYTES:
        raise FormatError(f"{name} takes {max(group.nbytes, chunk):,} bytes; a sound one at most {MOST_BYTES:,}")
    sides = zip(group.shape, group.chunks or group.shape, strict=True)
    number = math.prod(-(-size // side) for size, side in sides if side)
    if number > MOST_CHUNKS:
        raise FormatError(f"{name} is cut into {number:,} pieces; a sound one into at most {MOST_CHUNKS:,}")
    content: NDArray[Any] = group[:]
    return content


def write_published(
    folder: Path | str, name: str, splits: Mapping[str, Sequence[NetworkArguments]]
) -> tuple[Path, Path]:
    """Write both files.

    Args:
        folder: Where to; made if it does not exist.
        name: What to call them, e.g. "eval" for `deepnets1m_eval.hdf5`.
        splits: Networks by split.

    Returns:
        The paths of the HDF5 and the JSON file.

    Raises:
        ValueError: For a split that DeepNets-1M does not have.
        ModuleNotFoundError: When h5py is not installed.
    """
    h5py = _import_h5py()
    unknown = [split for split in splits if split not in SPLITS]
    if unknown:
        raise ValueError(f"unknown split {unknown[0]!r}; there are {', '.join(SPLITS)}")
    metadata = Path(folder) / f"deepnets1m_{name}_meta.json"
    metadata.parent.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {}
    path = _arrays_path(metadata)
    with replaced(path) as partial, h5py.File(partial, "w") as file:
        file.attrs["title"] = "DeepNets-1M"
        for split, networks in splits.items():
            primitives, names = _Table(), _Table()
            entries = []
            for index, arguments in enumerate(networks):
                arrays = arrays_of(arguments)
                codes = zip(map(primitives, arrays.primitives), arrays.cells, map(names, arrays.names), strict=True)
                group = file.create_group(f"{split}/{index}")
                group.create_dataset("adj", data=arrays.distances)
                group.create_dataset("nodes", data=np.array(list(codes), dtype=np.uint16))
                entries.append(_entry(arguments, len(arrays.names)))
            tables = {"primitives_ext": primitives.by_code(), "unique_op_names": names.by_code()}
            content[split] = {"nets": entries, "meta": tables}
    write_text(metadata, json.dumps(content))
    return path, metadata


def arrays_of(arguments: NetworkArguments) -> PublishedArrays:
    """What is stored of a network's graph."""
    graph = graph_from_arguments(arguments)
    primitives, names = zip(*(_labels(graph, node) for node in graph.nodes), strict=True)
    distances = shortest_paths(len(graph), graph.edges, max_distance=LONGEST_PATH).astype(np.uint8)
    return PublishedArrays(distances=distances, primitives=primitives, cells=node_cells(arguments), names=names)


def _labels(graph: ComputationalGraph, node: Node) -> tuple[str, str]:
    """Primitive and name of a node in the published vocabulary."""
    if not node.parameters:
        return node.op, node.op
    name = node.parameters[0].removeprefix("cells.")
    if name != node.parameters[0]:
        name = name.partition(".")[2].replace(".attn.", ".")
    shape = graph.parameters[node.parameters[0]].shape
    is_pointwise = node.op == "conv" and all(side == 1 for side in shape[2:])
    return "conv_1x1" if is_pointwise else node.op, name


def _entry(arguments: NetworkArguments, node_count: int) -> dict[str, Any]:
    counts = {"cifar10": parameter_count(arguments, 32), "imagenet": parameter_count(arguments, 224)}
    return {**arguments.to_dict(), "num_nodes": node_count, "num_params": counts}


class _Table:
    """Numbers words in the order in which they come."""

    def __init__(self) -> None:
        self.codes: dict[str, int] = {}

    def __call__(self, word: str) -> int:
        return self.codes.setdefault(word, len(self.codes))

    def by_code(self) -> dict[str, str]:
        return {str(code): word for word, code in self.codes.items()}


def _arrays_path(metadata: Path | str) -> Path:
    metadata = Path(metadata)
    return metadata.with_name(metadata.name.removesuffix("_meta.json") + ".hdf5")


def _read_json(path: Path | str) -> dict[str, Any]:
    try:
        content = read_json(path, MOST_METADATA, expansion=METADATA_EXPANSION)
    except FormatError as error:
        fault = str(error)
        if "file" in fault:
            raise OneLineError(f"cannot read {path}: {fault}") from None
        raise OneLineError(f"{path} is damaged, or no JSON: it {fault}") from None
    if not isinstance(content, dict) or not all(isinstance(value, dict) for value in content.values()):
        raise OneLineError(f"{path} is no metadata of DeepNets-1M: it must map splits to networks")
    return content


def _import_h5py() -> Any:
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError('the arrays of DeepNets-1M need h5py: pip install "ghn[published]"') from error
    return h5py
