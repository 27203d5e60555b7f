"""Architectures for tests: released ones, and random ones with many `none`."""

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ghn.deepnets import Genotype, NetworkArguments
from ghn.deepnets.plan import plan_network
from ghn.deepnets.sample import draw_genotype

CONFIGURATIONS = {"ghn3t-c10": (10, 32), "ghn3t": (1000, 224)}
"""Classes and image size of the two groups of released networks."""

SPLITS = ("train", "val", "test", "wide", "deep", "dense", "bnfree")


@cache
def _read(path: Path) -> dict[str, Any]:
    with gzip.open(path) as stream:
        return json.load(stream)


def golden(reference: Path, configuration: str) -> dict[str, Any]:
    """Released networks for an image size, and the hypernetwork's shapes."""
    return _read(reference / "golden" / "deepnets1m_ghn3-t.json.gz")[configuration]


def metadata_files(reference: Path) -> list[Path]:
    """The small files in the published layout."""
    return [reference / "golden" / f"deepnets1m_{name}_meta.json" for name in ("train", "eval")]


def cells(*edges: tuple[str, int], concat: tuple[int, ...] | None = None, **arguments: Any) -> NetworkArguments:
    """A network whose normal and reduction cell are the same; by default all states are concatenated."""
    states = concat or tuple(range(2, len(edges) // 2 + 2))
    genotype = Genotype(normal=edges, normal_concat=states, reduce=edges, reduce_concat=states)
    return NetworkArguments(genotype=genotype, **{"n_cells": 4, **arguments})


def wild(seed: int, most_steps: int = 4) -> NetworkArguments:
    """A random network outside of all splits' rules, as small as they come, whose output depends on its input."""
    generator = np.random.default_rng(seed)
    while True:
        steps = int(generator.integers(1, most_steps + 1))
        genotype = draw_genotype(steps, generator)
        if generator.random() < 0.5:
            genotype = _with_nothing(genotype, generator)
        coin = generator.integers(0, 2, size=6).tolist()
        plain = genotype.is_vit and len(genotype.normal_concat) == 1 and len(genotype.reduce_concat) == 1 and coin[0]
        arguments = NetworkArguments(
            genotype=genotype,
            n_cells=int(generator.integers(1, 6)),
            C=8 * int(generator.integers(1, 4)),
            C_mult=1 if plain else 1 + coin[1],
            ks=int(generator.choice((3, 5, 7))),
            stem_type=coin[2],
            stem_pool=not coin[2] and bool(coin[3]),
            preproc=not plain,
            norm="bnorm" if coin[4] else None,
            glob_avg=bool(coin[5]),
            fc_layers=int(generator.integers(1, 4)),
            fc_dim=int(generator.choice((8, 24))),
        )
        if plan_network(arguments).depends_on_input:
            return arguments


def _with_nothing(genotype: Genotype, generator: np.random.Generator) -> Genotype:
    """The same with `none` in half of the places."""
    normal, reduce = (
        tuple((name if generator.random() < 0.5 else "none", source) for name, source in edges)
        for edges in (genotype.normal, genotype.reduce)
    )
    return Genotype(
        normal=normal, normal_concat=genotype.normal_concat, reduce=reduce, reduce_concat=genotype.reduce_concat
    )
