"""Geometry, liveness and counts, without a module."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from ghn.deepnets import Genotype, NetworkArguments, network_from_arguments
from ghn.deepnets.plan import NetworkPlan, count_parameters, plan_connected, plan_network, stem_channels
from tests.deepnets.architectures import cells, metadata_files, wild


@pytest.mark.parametrize("file", [0, 1])
@pytest.mark.parametrize(("name", "image_size"), [("cifar10", 32), ("imagenet", 224)])
def test_published_parameter_counts(file: int, name: str, image_size: int, reference: Path) -> None:
    for split in json.loads(metadata_files(reference)[file].read_text()).values():
        for entry in split["nets"]:
            plan = plan_network(NetworkArguments.from_dict(entry), 10, image_size)
            assert count_parameters(plan) == entry["num_params"][name]


@pytest.mark.parametrize("image_size", [32, 224])
@pytest.mark.parametrize("seed", range(30))
def test_count_without_building(seed: int, image_size: int) -> None:
    arguments = wild(seed)
    with torch.device("meta"):
        network = network_from_arguments(arguments, 7, image_size)
    assert count_parameters(network.plan) == sum(parameter.numel() for parameter in network.parameters())


def live_edges(plan: NetworkPlan) -> list[str]:
    """The operations that count, as cell.edge."""
    return [f"{cell.index}.{index}" for cell in plan.cells for index, edge in enumerate(cell.edges) if edge.live]


def test_what_leads_to_none_or_from_it_is_not_live() -> None:
    """State 2 is nothing, so the edge from it is not live; state 4 is no output, so its edges are not."""
    edges = (("none", 0), ("none", 1), ("conv_3x3", 2), ("conv_1x1", 1), ("msa", 3), ("skip_connect", 0))
    plan = plan_network(cells(*edges, n_cells=1, C=8, concat=(2, 3)))
    (cell,) = plan.cells
    assert live_edges(plan) == ["0.3"]
    assert cell.present == (False, True)
    assert [list(cell.operands(state)) for state in (2, 3, 4)] == [[], [(3, cell.edges[3])], []]
    assert (cell.inputs[0].live, cell.inputs[1].live) == plan.stem_live == (False, True)
    assert cell.out_channels == 16


def test_a_cell_that_gives_nothing_is_passed_by() -> None:
    """Reduction cells give nothing; of five cells the others still reach each other, of four they do not."""
    genotype = Genotype(
        normal=(("conv_3x3", 0), ("conv_1x1", 1)),
        normal_concat=(2,),
        reduce=(("none", 0), ("none", 1)),
        reduce_concat=(2,),
    )
    plan = plan_connected(NetworkArguments(genotype=genotype, n_cells=5, C=8))
    assert [cell.live for cell in plan.cells] == [True, False, True, False, True]
    assert live_edges(plan) == ["0.0", "0.1", "2.0", "4.0"]
    cut = NetworkArguments(genotype=genotype, n_cells=4, C=8)
    plan = plan_network(cut)
    assert not plan.depends_on_input
    assert not live_edges(plan)
    assert plan.stem_live == (False, False)
    with pytest.raises(ValueError, match="`none` operations cut the output off from the input; draw another one"):
        plan_connected(cut)


def test_a_skipped_cell_is_not_live() -> None:
    """Each cell reads input 0 only, the output of the cell before the last: every other cell leads nowhere."""
    plan = plan_network(cells(("conv_3x3", 0), ("none", 1), n_cells=5, C=8))
    assert [cell.live for cell in plan.cells] == [True, False, True, False, True]
    assert plan.stem_live == (True, False)


def test_reductions_halve_and_multiply() -> None:
    plan = plan_network(cells(("conv_3x3", 0), ("conv_1x1", 1), ("conv_1x1", 2), ("none", 0), n_cells=6, C=8, C_mult=3))
    assert [cell.channels for cell in plan.cells] == [8, 8, 24, 24, 72, 72]
    assert [[edge.stride for edge in cell.edges] for cell in plan.cells] == [
        [2, 2, 1, 2] if cell.index in (2, 4) else [1] * 4 for cell in plan.cells
    ]
    # What comes from before a reduction must be halved to meet what comes out of it.
    assert [cell.inputs[0].kind for cell in plan.cells] == ["pointwise"] * 3 + ["factorized", "pointwise", "factorized"]
    assert {cell.inputs[1].kind for cell in plan.cells} == {"pointwise"}
    assert [cell.inputs[1].channels for cell in plan.cells] == [24, 16, 16, 48, 48, 144]


def test_the_deep_stem_hands_its_first_half_over_at_twice_the_resolution() -> None:
    edges, transformer = (("conv_3x3", 0), ("conv_1x1", 1)), (("msa", 0), ("conv_1x1", 1))
    plans = [plan_network(cells(*each, n_cells=4, C=8, stem_type=1)) for each in (edges, transformer)]
    assert [plan.cells[0].inputs[0].kind for plan in plans] == ["factorized", "pointwise"]
    assert {plan.cells[0].inputs[1].kind for plan in plans} == {"pointwise"}


@pytest.mark.parametrize("preproc", [True, False])
def test_transformers_keep_their_resolution(preproc: bool) -> None:
    plan = plan_network(cells(("msa", 1), ("skip_connect", 0), n_cells=4, C=8, preproc=preproc))
    assert {edge.stride for cell in plan.cells for edge in cell.edges} == {1}
    kinds = {source.kind for cell in plan.cells for source in cell.inputs}
    assert kinds == ({"pointwise"} if preproc else {"identity"})
    assert (plan.patch, plan.grid, plan.final_side) == ((3, 3, 1), 11, 11)


@pytest.mark.parametrize(
    ("image_size", "patch", "grid"),
    [(8, (3, 3, 1), 3), (127, (3, 3, 1), 43), (128, (16, 16, 0), 8), (224, (16, 16, 0), 14)],
)
def test_patches(image_size: int, patch: tuple[int, int, int], grid: int) -> None:
    plan = plan_network(cells(("msa", 1), ("none", 0), C=8), image_size=image_size)
    assert (plan.patch, plan.grid) == (patch, grid)


@pytest.mark.parametrize(
    ("arguments", "small", "large"),
    [
        ({}, 24, 8),
        ({"stem_type": 1}, 8, 8),
        ({"edges": (("msa", 1), ("none", 0))}, 8, 8),
    ],
)
def test_stem_channels(arguments: dict[str, Any], small: int, large: int) -> None:
    """Only the single convolution for small images triples them."""
    edges = arguments.pop("edges", (("conv_3x3", 1), ("none", 0)))
    network = cells(*edges, C=8, **arguments)
    assert (stem_channels(network, large_images=False), stem_channels(network, large_images=True)) == (small, large)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ((8, 10),)),
        ({"fc_layers": 3, "fc_dim": 24}, ((8, 24), (24, 24), (24, 10))),
        ({"glob_avg": False}, ((8 * 64, 10),)),
    ],
)
def test_fully_connected(changes: dict[str, Any], expected: tuple[tuple[int, int], ...]) -> None:
    assert plan_network(cells(("conv_3x3", 1), ("none", 0), C=8, **changes)).fully_connected == expected


@pytest.mark.parametrize(
    ("num_classes", "image_size", "message"), [(0, 32, "num_classes must be"), (10, 4, "at least 8 pixels")]
)
def test_impossible_sizes(num_classes: int, image_size: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan_network(cells(("conv_3x3", 1), ("none", 0)), num_classes, image_size)
