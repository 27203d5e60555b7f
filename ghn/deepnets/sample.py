"""Random architectures: number i of a split is a function of (split, seed, i), so any process can make any of them.

Source: GHN-2 (NeurIPS 2021, section 3.2 and appendix A); the rules for widths are those of the released training code.

No architecture is in two splits, whatever the seed (`wide` holds the networks of `test` with more channels): a hash of
what defines an architecture sends it to training, validation or test, and candidates of another kind are drawn again.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from ghn.deepnets.genotype import Edge, Genotype, NetworkArguments
from ghn.deepnets.operations.table import CONVOLUTIONS, LARGE_CONVOLUTIONS, NOT_LEARNABLE, OPERATIONS, RECORDS
from ghn.deepnets.plan import LARGE_IMAGE, count_parameters, plan_network

EVALUATION_CHANNELS = 32
"""Channels at which networks are counted, and of the networks for evaluation."""

_SCORE_STD = 1e-3
_MOST_CANDIDATES = 100_000
_KINDS = 32
"""Of this many hash values one is for `val`, one for `test` and its likes, and one for `search`."""

_EVERYTHING = np.arange(len(OPERATIONS))
_SOMETHING = np.array([index for index, record in enumerate(RECORDS.values()) if record.gives])
_UNLEARNABLE = np.array([index for index, record in enumerate(RECORDS.values()) if not record.learnable])
_UNLEARNABLE_SOMETHING = np.intersect1d(_UNLEARNABLE, _SOMETHING)


@dataclass(frozen=True, kw_only=True)
class Split:
    """The rules of a split; `dataclasses.replace(SPLITS["train"], cells=(4, 8))` makes one of smaller networks.

    Attributes:
        name: Its name.
        size: Number of architectures.
        stream: Number that seeds its random draws; `wide` shares that of `test`.
        kind: "train", "val", "test" or "search": which architectures, by hash, it may hold.
        cells: Least and most cells.
        threshold: Least and most value of t, drawn per network: with more than t cells they are shallow.
        steps: Least intermediate nodes of a cell, most with more than t cells, and most otherwise.
        max_parameters: Largest number of parameters at C = 32, at 32×32 and at 224×224.
        batch_norm: Whether networks may have batch normalisation.
        channel_factor: Multiplies the channels at 224×224 and at 32×32.
        draw_widths: Whether channels and fully connected widths are drawn, as in training.
        widest: Most channels that are drawn.
    """

    name: str
    size: int
    stream: int
    kind: str
    cells: tuple[int, int] = (4, 18)
    threshold: tuple[int, int] = (7, 10)
    steps: tuple[int, int, int] = (1, 2, 4)
    max_parameters: int = 10_000_000
    batch_norm: bool = True
    channel_factor: tuple[int, int] = (1, 1)
    draw_widths: bool = False
    widest: int = 128


SPLITS = MappingProxyType(
    {
        split.name: split
        for split in (
            Split(name="train", size=1_000_000, stream=0, kind="train", draw_widths=True),
            Split(name="val", size=500, stream=1, kind="val"),
            Split(name="test", size=500, stream=2, kind="test"),
            Split(name="wide", size=100, stream=2, kind="test", channel_factor=(2, 4)),
            Split(
                name="deep",
                size=100,
                stream=3,
                kind="test",
                cells=(10, 36),
                threshold=(18, 18),
                max_parameters=100_000_000,
            ),
            Split(name="dense", size=100, stream=4, kind="test", steps=(2, 6, 10), max_parameters=100_000_000),
            Split(name="bnfree", size=100, stream=5, kind="test", batch_norm=False),
            Split(name="search", size=100_000, stream=6, kind="search"),
        )
    }
)
"""The splits of random architectures by name."""


def split_named(name: str) -> Split:
    """The split of that name.

    Raises:
        ValueError: When there is none.
    """
    if name not in SPLITS:
        raise ValueError(f"unknown split {name!r}; there are {', '.join(SPLITS)}")
    return SPLITS[name]


def sample_architecture(split: str | Split, index: int, *, seed: int = 1) -> NetworkArguments:
    """Architecture number `index` of a split, at 32 channels.

    Args:
        split: The split or its name.
        index: From 0 to the split's size, exclusive.
        seed: Of the whole data set.

    Raises:
        ValueError: When there is no such split or index, or the seed is negative.
    """
    split = split_named(split) if isinstance(split, str) else split
    if not 0 <= index < split.size:
        raise ValueError(f"{split.name} has architectures 0 to {split.size - 1}, not {index}")
    if seed < 0:
        raise ValueError(f"seed must not be negative, as {seed} is")
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, split.stream, index))))
    for _ in range(_MOST_CANDIDATES):
        candidate = _draw(split, generator)
        if _is_admitted(candidate, split):
            return candidate
    raise ValueError(f"none of {_MOST_CANDIDATES} candidates fits the rules of split {split.name}: loosen them")


def with_widths(
    arguments: NetworkArguments, split: str | Split, image_size: int, generator: np.random.Generator
) -> NetworkArguments:
    """Give an architecture the channels it has when loaded: drawn in training, fixed for evaluation.

    Args:
        arguments: From `sample_architecture` or the published metadata.
        split: The split that it is from, or the split's name.
        image_size: Side of the images in pixels; evaluation networks of `wide` depend on it, and training networks
            for large images may get a stem with stride 2.
        generator: Draws training widths.
    """
    split = split_named(split) if isinstance(split, str) else split
    if not split.draw_widths:
        factor = split.channel_factor[0 if image_size >= LARGE_IMAGE else 1]
        return replace(arguments, C=EVALUATION_CHANNELS * factor)
    widest = _widest(arguments)
    channels = int(generator.choice(np.arange(32, min(widest, split.widest) + 1, 16)))
    fc_dim = int(generator.choice(np.arange(64, (512 if channels <= 64 else 256) + 1, 64)))
    stride = arguments.imagenet_stride
    if image_size >= LARGE_IMAGE and arguments.stem_pool and not arguments.is_vit and widest == 128:
        stride = int(generator.choice((2, 4)))
    return replace(arguments, C=channels, fc_dim=fc_dim, imagenet_stride=stride)


def parameter_count(arguments: NetworkArguments, image_size: int = 32) -> int:
    """Parameters at 32 channels with 10 classes, unused ones included, as in the published metadata."""
    return count_parameters(plan_network(replace(arguments, C=EVALUATION_CHANNELS), 10, image_size))


def _widest(arguments: NetworkArguments) -> int:
    """Most channels that a training network of this size may get."""
    count, cells = parameter_count(arguments), arguments.n_cells
    large = LARGE_CONVOLUTIONS.intersection(arguments.genotype.operations)
    if count > 2_000_000 or not arguments.glob_avg or large or cells > 14:
        return 32
    if count > 400_000 or cells > 10:
        return 80
    if count > 200_000 or cells > 8:
        return 96
    return 128


def _draw(split: Split, generator: np.random.Generator) -> NetworkArguments:
    """Draw a candidate."""
    n_cells = _between(generator, *split.cells)
    threshold = _between(generator, *split.threshold)
    least, shallow, deep = split.steps
    steps = _between(generator, least, deep if n_cells <= threshold else shallow)
    genotype = draw_genotype(steps, generator)
    is_vit = genotype.is_vit
    stem_type = _between(generator, 0, 1)
    multiplier = _between(generator, 1, 2)
    preproc = steps > 1 or multiplier > 1 or not is_vit or generator.random() < 0.2
    may_lack_norm = n_cells <= 5 and steps <= 2
    return NetworkArguments(
        genotype=genotype,
        n_cells=n_cells,
        C=EVALUATION_CHANNELS,
        C_mult=multiplier,
        ks=(3, 5, 7)[_between(generator, 0, 2)],
        stem_type=stem_type,
        stem_pool=stem_type == 0 and generator.random() < 0.5,
        preproc=preproc,
        norm="bnorm" if split.batch_norm and not (may_lack_norm and generator.random() < 0.5) else None,
        glob_avg=is_vit or n_cells > threshold or generator.random() < 0.9,
        fc_layers=_between(generator, 1, 2),
        fc_dim=256,
    )


def draw_genotype(steps: int, generator: np.random.Generator) -> Genotype:
    """Draw two cells, without asking whether they make a sensible network.

    Args:
        steps: Intermediate nodes of each cell.
        generator: Source of chance.
    """
    allowed = _SOMETHING if steps == 1 else _EVERYTHING
    normal = tuple(_draw_cell(steps, allowed, generator))
    if generator.random() < 0.5:
        allowed = _UNLEARNABLE_SOMETHING if steps == 1 else _UNLEARNABLE
    reduce = tuple(_draw_cell(steps, allowed, generator))
    states = np.arange(2, steps + 2)
    if steps > 1 and generator.random() < 0.5:
        states = states[np.append(generator.random(steps - 1) < 0.5, True)]
    concat = tuple(states.tolist())
    return Genotype(normal=normal, normal_concat=concat, reduce=reduce, reduce_concat=concat)


def _draw_cell(steps: int, allowed: np.ndarray, generator: np.random.Generator) -> Iterator[Edge]:
    """Edges of a cell: to each node its two predecessors of highest score, higher first, each by its best operation."""
    for node in range(steps):
        scores = _SCORE_STD * generator.standard_normal((node + 2, len(OPERATIONS)))
        probabilities = np.exp(scores)
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        candidates = probabilities[:, allowed]
        best = candidates.max(axis=1)
        for source in np.argsort(-best, kind="stable")[:2].tolist():
            yield OPERATIONS[allowed[candidates[source].argmax()]], source


def _between(generator: np.random.Generator, least: int, most: int) -> int:
    return int(generator.integers(least, most, endpoint=True))


def _is_admitted(arguments: NetworkArguments, split: Split) -> bool:
    """Whether a candidate belongs to the split."""
    if not is_sensible(arguments.genotype) or _kind_of(arguments) != split.kind:
        return False
    plans = [plan_network(arguments, 10, size) for size in (32, 224)]
    return plans[0].depends_on_input and max(map(count_parameters, plans)) <= split.max_parameters


def is_sensible(genotype: Genotype) -> bool:
    """Whether the released generator's rules admit two cells, apart from size and connectedness."""
    cells = [[name for name, _ in edges] for edges in (genotype.normal, genotype.reduce)]
    if any(cell.count("cse") > 1 or sum(name in LARGE_CONVOLUTIONS for name in cell) > 1 for cell in cells):
        return False
    operations = set(genotype.operations)
    if operations <= NOT_LEARNABLE:
        return False
    return "cse" not in operations or not operations.isdisjoint(CONVOLUTIONS)


def _kind_of(arguments: NetworkArguments) -> str:
    """Which splits may hold an architecture: a hash of everything but widths, blind to the order of added edges."""
    genotype = arguments.genotype
    fields = [
        [sorted(edges[position : position + 2]) for position in range(0, len(edges), 2)]
        for edges in (genotype.normal, genotype.reduce)
    ]
    stem = (0, 0, False) if arguments.is_vit else (arguments.stem_type, arguments.ks, arguments.stem_pool)
    others = (arguments.n_cells, arguments.C_mult, arguments.preproc, arguments.norm, arguments.glob_avg)
    key = (fields, genotype.normal_concat, genotype.reduce_concat, stem, others, arguments.fc_layers)
    value = zlib.crc32(json.dumps(key).encode()) % _KINDS
    return ("val", "test", "search")[value] if value < 3 else "train"
