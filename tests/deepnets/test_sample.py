import dataclasses
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from ghn.deepnets import (
    OPERATIONS,
    SPLITS,
    Genotype,
    NetworkArguments,
    graph_from_arguments,
    sample,
    sample_architecture,
)
from ghn.deepnets.operations.table import LARGE_CONVOLUTIONS, NOT_LEARNABLE
from ghn.deepnets.plan import plan_network
from ghn.deepnets.published import read_metadata
from ghn.deepnets.sample import _kind_of, draw_genotype, is_sensible, parameter_count, with_widths
from tests.deepnets.architectures import cells, metadata_files

DRAWN = 60
"""Architectures of each split that are looked at."""

FIRST_OF_TRAIN = {
    "n_cells": 11,
    "C": 32,
    "C_mult": 2,
    "ks": 3,
    "stem_type": 1,
    "stem_pool": False,
    "imagenet_stride": 4,
    "preproc": True,
    "norm": "bnorm",
    "glob_avg": True,
    "fc_layers": 2,
    "fc_dim": 256,
    "genotype": {
        "normal": [["msa", 1], ["avg_pool_3x3", 0], ["max_pool_3x3", 0], ["conv_1x1", 2]],
        "normal_concat": [3],
        "reduce": [["conv_5x5", 1], ["dil_conv_3x3", 0], ["max_pool_3x3", 1], ["none", 0]],
        "reduce_concat": [3],
    },
}

LAST_OF_TEST = {
    "n_cells": 11,
    "C": 32,
    "C_mult": 2,
    "ks": 3,
    "stem_type": 1,
    "stem_pool": False,
    "imagenet_stride": 4,
    "preproc": True,
    "norm": "bnorm",
    "glob_avg": True,
    "fc_layers": 1,
    "fc_dim": 256,
    "genotype": {
        "normal": [["none", 0], ["conv_1x1", 1], ["conv_3x3", 1], ["dil_conv_3x3", 0]],
        "normal_concat": [3],
        "reduce": [["conv_1x1", 1], ["sep_conv_5x5", 0], ["msa", 2], ["sep_conv_3x3", 0]],
        "reduce_concat": [3],
    },
}


@cache
def drawn(split: str, count: int = DRAWN) -> list[NetworkArguments]:
    return [sample_architecture(split, index) for index in range(count)]


@pytest.mark.parametrize("split", SPLITS)
def test_a_function_of_split_seed_and_index(split: str) -> None:
    forwards, last = drawn(split)[:15], SPLITS[split].size - 1
    assert [sample_architecture(split, index) for index in reversed(range(15))] == forwards[::-1]
    assert sample_architecture(split, last) == sample_architecture(SPLITS[split], last)
    assert sum(sample_architecture(split, index, seed=2) == forwards[index] for index in range(15)) < 2


def test_numbers_stay_what_they_are() -> None:
    """Checkpoints and results name architectures by number."""
    first, last = sample_architecture("train", 0), sample_architecture("test", 499)
    assert first.to_dict() == FIRST_OF_TRAIN
    assert last.to_dict() == LAST_OF_TEST


@pytest.mark.parametrize("split", SPLITS)
def test_rules(split: str) -> None:
    rules = SPLITS[split]
    least, shallow, deep = rules.steps
    for arguments in drawn(split):
        genotype, n_cells = arguments.genotype, arguments.n_cells
        steps = len(genotype.normal) // 2
        assert rules.cells[0] <= n_cells <= rules.cells[1]
        assert least <= steps <= (deep if n_cells <= rules.threshold[1] else shallow)
        assert len(genotype.reduce) == 2 * steps
        assert genotype.normal_concat == genotype.reduce_concat
        assert genotype.normal_concat[-1] == steps + 1
        for edges in (genotype.normal, genotype.reduce):
            assert all(len({source for _, source in edges[k : k + 2]}) == 2 for k in range(0, 2 * steps, 2))
        if steps == 1:
            assert "none" not in genotype.operations
        assert is_sensible(genotype)
        assert plan_network(arguments).depends_on_input
        assert max(parameter_count(arguments, size) for size in (32, 224)) <= rules.max_parameters
        check_arguments(arguments, steps, rules.threshold[1], rules.batch_norm)


def check_arguments(arguments: NetworkArguments, steps: int, threshold: int, batch_norm: bool) -> None:
    assert arguments.ks in (3, 5, 7)
    assert arguments.C_mult in (1, 2)
    assert arguments.fc_layers in (1, 2)
    assert (arguments.C, arguments.fc_dim) == (32, 256)
    assert not (arguments.stem_pool and arguments.stem_type == 1)
    assert arguments.preproc or (steps == 1 and arguments.C_mult == 1 and arguments.is_vit)
    assert arguments.glob_avg or (arguments.n_cells <= threshold and not arguments.is_vit)
    if not batch_norm:
        assert arguments.norm is None
    elif arguments.n_cells > 5 or steps > 2:
        assert arguments.norm == "bnorm"


@pytest.mark.parametrize(
    ("normal", "reduce", "expected"),
    [
        (["conv_1x1", "skip_connect"], ["max_pool_3x3", "avg_pool_3x3"], True),
        (["skip_connect", "none"], ["max_pool_3x3", "avg_pool_3x3"], False),
        (["skip_connect", "none"], ["msa", "avg_pool_3x3"], True),
        (["cse", "msa"], ["skip_connect", "none"], False),
        (["cse", "msa"], ["dil_conv_3x3", "none"], True),
        (["cse", "sep_conv_5x5"], ["cse", "none"], True),
        (["cse", "conv_3x3", "cse", "none"], ["none", "none", "none", "none"], False),
        (["conv_5x5", "conv_7x7"], ["conv_1x1", "none"], False),
        (["conv_5x5", "none"], ["conv_7x7", "none"], True),
        (["conv_3x3", "conv_3x3"], ["conv_7x7", "conv_7x7"], False),
    ],
)
def test_sensible_cells(normal: list[str], reduce: list[str], expected: bool) -> None:
    concat = tuple(range(2, len(normal) // 2 + 2))
    edges = [tuple((name, index % 2) for index, name in enumerate(names)) for names in (normal, reduce)]
    genotype = Genotype(normal=edges[0], normal_concat=concat, reduce=edges[1], reduce_concat=concat)
    assert is_sensible(genotype) == expected


def test_wide_is_test() -> None:
    assert drawn("wide") == drawn("test")


def test_no_architecture_in_two_splits() -> None:
    kinds = {split: {_kind_of(arguments) for arguments in drawn(split)} for split in SPLITS}
    assert kinds.pop("train") == {"train"}
    assert kinds.pop("val") == {"val"}
    assert kinds.pop("search") == {"search"}
    assert set.union(*kinds.values()) == {"test"}


def test_kind_is_blind_to_what_makes_no_difference() -> None:
    first = cells(("conv_3x3", 1), ("msa", 0), C=32)
    same = [
        cells(("msa", 0), ("conv_3x3", 1)),
        dataclasses.replace(first, C=64, fc_dim=64),
        dataclasses.replace(first, stem_type=1, ks=7),
    ]
    assert {_kind_of(arguments) for arguments in same} == {_kind_of(first)}
    others = [dataclasses.replace(first, n_cells=n_cells) for n_cells in range(4, 200)]
    assert Counter(map(_kind_of, others)).keys() == {"train", "val", "test", "search"}


def test_concatenation() -> None:
    generator = np.random.default_rng(0)
    concats = Counter(len(draw_genotype(5, generator).normal_concat) for _ in range(4000))
    # Half of the cells keep all five states; in the others each but the last stays with probability ½.
    expected = [stats.binom.pmf(k, 4, 0.5) / 2 + (k == 4) / 2 for k in range(5)]
    assert stats.chisquare([concats[k + 1] for k in range(5)], np.array(expected) * 4000).pvalue > 0.01


def test_predecessors() -> None:
    """All pairs of predecessors are as likely, and so is either order."""
    generator = np.random.default_rng(0)
    pairs = Counter(tuple(source for _, source in draw_genotype(3, generator).normal[4:6]) for _ in range(6000))
    assert len(pairs) == 12
    assert stats.chisquare(list(pairs.values())).pvalue > 0.01


def test_operations_of_a_cell() -> None:
    generator = np.random.default_rng(0)
    genotypes = [draw_genotype(2, generator) for _ in range(3000)]
    normal = Counter(name for genotype in genotypes for name, _ in genotype.normal)
    assert len(normal) == len(OPERATIONS)
    assert stats.chisquare(list(normal.values())).pvalue > 0.01
    unlearnable = sum({name for name, _ in genotype.reduce} <= NOT_LEARNABLE for genotype in genotypes)
    expected = 0.5 + 0.5 * (len(NOT_LEARNABLE) / len(OPERATIONS)) ** 4
    assert stats.binomtest(unlearnable, 3000, expected).pvalue > 0.01


def widths(arguments: NetworkArguments, image_size: int = 32, split: str = "train") -> set[tuple[int, int, int]]:
    generator = np.random.default_rng(0)
    drawn = [with_widths(arguments, split, image_size, generator) for _ in range(600)]
    return {(item.C, item.fc_dim, item.imagenet_stride) for item in drawn}


CROSSES = cells(("conv_7x1_1x7", 1), ("conv_7x1_1x7", 0)).genotype
MORE_CROSSES = cells(("conv_7x1_1x7", 1), ("conv_7x1_1x7", 0), ("conv_7x1_1x7", 2), ("msa", 0)).genotype
SMALL = cells(("conv_1x1", 1), ("skip_connect", 0), stem_pool=True)


@pytest.mark.parametrize(
    ("changes", "widest"),
    [
        ({}, 128),
        ({"n_cells": 8}, 128),
        ({"n_cells": 9}, 96),
        ({"n_cells": 10}, 96),
        ({"n_cells": 11}, 80),
        ({"n_cells": 14}, 80),
        ({"n_cells": 15}, 32),
        ({"glob_avg": False}, 32),
        ({"genotype": cells(("conv_5x5", 1), ("none", 0)).genotype}, 32),
        ({"genotype": cells(("conv_7x7", 1), ("none", 0)).genotype}, 32),
        ({"genotype": CROSSES, "n_cells": 8}, 96),
        ({"genotype": CROSSES, "n_cells": 8, "C_mult": 2}, 80),
        ({"genotype": MORE_CROSSES, "n_cells": 8}, 80),
        ({"genotype": MORE_CROSSES, "n_cells": 8, "C_mult": 2}, 32),
    ],
)
def test_training_widths(changes: dict[str, object], widest: int) -> None:
    arguments = dataclasses.replace(SMALL, **changes)  # type: ignore[arg-type]
    found = widths(arguments)
    assert {channels for channels, _, _ in found} == set(range(32, widest + 1, 16))
    for narrow in range(32, min(widest, 64) + 1, 16):
        assert {fc_dim for channels, fc_dim, _ in found if channels == narrow} == set(range(64, 513, 64))
    assert {fc_dim for channels, fc_dim, _ in found if channels > 64} <= set(range(64, 257, 64))
    assert {stride for _, _, stride in found} == {4}


@pytest.mark.parametrize(
    ("changes", "strides"), [({}, {2, 4}), ({"stem_pool": False}, {4}), ({"n_cells": 9}, {4}), ({"C_mult": 2}, {2, 4})]
)
def test_stem_strides_on_large_images(changes: dict[str, object], strides: set[int]) -> None:
    arguments = dataclasses.replace(SMALL, **changes)  # type: ignore[arg-type]
    assert {stride for _, _, stride in widths(arguments, image_size=224)} == strides


@pytest.mark.parametrize(
    ("split", "image_size", "channels"),
    [("test", 32, 32), ("deep", 224, 32), ("bnfree", 32, 32), ("wide", 32, 128), ("wide", 224, 64)],
)
def test_evaluation_widths(split: str, image_size: int, channels: int) -> None:
    assert widths(SMALL, image_size, split) == {(channels, 256, 4)}


def test_own_rules() -> None:
    rules = dataclasses.replace(SPLITS["train"], cells=(4, 5), max_parameters=60_000, widest=48)
    for index in range(20):
        arguments = sample_architecture(rules, index)
        assert arguments.n_cells <= 5
        assert parameter_count(arguments, 224) <= 60_000
        assert with_widths(arguments, rules, 32, np.random.default_rng(index)).C <= 48


def test_rules_that_nothing_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "_MOST_CANDIDATES", 10)
    with pytest.raises(ValueError, match="candidates fits the rules of split train: loosen them"):
        sample_architecture(dataclasses.replace(SPLITS["train"], kind="no such kind"), 0)


@pytest.mark.parametrize(
    ("split", "index", "seed", "message"),
    [
        ("tests", 0, 1, "unknown split 'tests'; there are train, val"),
        ("test", 500, 1, "test has architectures 0 to 499, not 500"),
        ("test", -1, 1, "test has architectures 0 to 499, not -1"),
        ("test", 0, -1, "seed must not be negative"),
    ],
)
def test_impossible_numbers(split: str, index: int, seed: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sample_architecture(split, index, seed=seed)


# Agreement with the published files


@cache
def published(reference: Path) -> list[NetworkArguments]:
    """Networks of the in-distribution splits; the small file's test networks are its first training networks."""
    stored = {split: nets for path in metadata_files(reference) for split, nets in read_metadata(path).items()}
    return [*stored["train"], *stored["val"]]


QUANTITIES: dict[str, Callable[[NetworkArguments], float]] = {
    "cells": lambda arguments: arguments.n_cells,
    "parameters": parameter_count,
    "parameters at 224": lambda arguments: parameter_count(arguments, 224),
    "nodes": lambda arguments: len(graph_from_arguments(arguments)),
    "steps": lambda arguments: len(arguments.genotype.normal) // 2,
    "states": lambda arguments: len(arguments.genotype.normal_concat),
}

FRACTIONS: dict[str, Callable[[NetworkArguments], bool]] = {
    "transformers": lambda arguments: arguments.is_vit,
    "without norm": lambda arguments: arguments.norm is None,
    "stem type": lambda arguments: arguments.stem_type == 1,
    "stem pooling": lambda arguments: arguments.stem_pool,
    "without preprocessing": lambda arguments: not arguments.preproc,
    "without pooling": lambda arguments: not arguments.glob_avg,
    "large kernel": lambda arguments: arguments.ks == 7,
    "two layers": lambda arguments: arguments.fc_layers == 2,
    "multiplier": lambda arguments: arguments.C_mult == 2,
    "unlearnable reduction": lambda arguments: {name for name, _ in arguments.genotype.reduce} <= NOT_LEARNABLE,
    "gates": lambda arguments: "cse" in arguments.genotype.operations,
    "large convolutions": lambda arguments: not LARGE_CONVOLUTIONS.isdisjoint(arguments.genotype.operations),
}


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_quantities_agree_with_the_published_ones(quantity: str, reference: Path) -> None:
    measure = QUANTITIES[quantity]
    ours, theirs = ([measure(item) for item in items] for items in (drawn("train", 600), published(reference)))
    assert stats.ks_2samp(ours, theirs).pvalue > 0.01


@pytest.mark.parametrize("fraction", FRACTIONS)
def test_fractions_agree_with_the_published_ones(fraction: str, reference: Path) -> None:
    measure = FRACTIONS[fraction]
    ours, theirs = ([measure(item) for item in items] for items in (drawn("train", 600), published(reference)))
    table = [[sum(items), len(items) - sum(items)] for items in (ours, theirs)]
    assert stats.fisher_exact(table).pvalue > 0.01


@pytest.mark.parametrize("cell", ["normal", "reduce"])
def test_operations_agree_with_the_published_ones(cell: str, reference: Path) -> None:
    ours, theirs = (
        Counter(name for item in items for name, _ in getattr(item.genotype, cell))
        for items in (drawn("train", 600), published(reference))
    )
    table = [[counts[name] for name in OPERATIONS] for counts in (ours, theirs)]
    assert stats.chi2_contingency(table).pvalue > 0.01


@pytest.mark.parametrize("split", ["deep", "dense"])
@pytest.mark.parametrize("quantity", ["cells", "nodes", "steps"])
def test_the_comparison_tells_splits_apart(quantity: str, split: str, reference: Path) -> None:
    if (quantity, split) in (("cells", "dense"), ("steps", "deep")):
        return
    measure = QUANTITIES[quantity]
    ours, theirs = ([measure(item) for item in items] for items in (drawn(split), published(reference)))
    assert stats.ks_2samp(ours, theirs).pvalue < 1e-3
