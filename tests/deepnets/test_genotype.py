import dataclasses
import json
from typing import Any

import pytest

from ghn.deepnets import Genotype, NetworkArguments
from ghn.deepnets.genotype import reduction_cells
from tests.deepnets.architectures import cells, metadata_files, wild

CELLS = {"normal": [["conv_3x3", 1], ["none", 0]], "normal_concat": [2], "reduce": [["msa", 0], ["cse", 1]]}


@pytest.mark.parametrize("seed", range(5))
def test_round_trip(seed: int) -> None:
    arguments = wild(seed)
    assert NetworkArguments.from_dict(json.loads(json.dumps(arguments.to_dict()))) == arguments


def test_published_entries_are_read_whole(reference: Any) -> None:
    for path in metadata_files(reference):
        for split in json.loads(path.read_text()).values():
            for entry in split["nets"]:
                read = NetworkArguments.from_dict(entry).to_dict()
                del entry["num_nodes"], entry["num_params"]
                assert read == {**entry, "imagenet_stride": 4}


def test_defaults_stand_in_for_what_is_missing() -> None:
    genotype = {**CELLS, "reduce_concat": [2]}
    arguments = NetworkArguments.from_dict({"genotype": genotype, "n_cells": 5, "num_nodes": 3})
    assert (arguments.C, arguments.fc_dim, arguments.norm, arguments.is_vit) == (32, 256, "bnorm", True)


@pytest.mark.parametrize(("count", "expected"), [(1, {0}), (2, {0, 1}), (4, {1, 2}), (5, {1, 3}), (18, {6, 12})])
def test_reduction_cells(count: int, expected: set[int]) -> None:
    assert reduction_cells(count) == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"normal": [["conv_9x9", 0], ["none", 1]]}, "unknown operation 'conv_9x9' in the normal cell"),
        ({"normal": [["none", 0]]}, "two edges for each intermediate node, not 1 edges"),
        ({"normal": []}, "two edges for each intermediate node"),
        ({"normal": [["none", 0], ["none", 2]]}, "edge 1 of the normal cell reads state 2"),
        ({"normal": [["none", 0], ["none", -1]]}, "reads state -1"),
        ({"reduce_concat": []}, r"reduce_concat must name some of the states 2 to 2, not \[\]"),
        ({"reduce_concat": [3]}, "must name some of the states"),
        ({"reduce_concat": [2, 2]}, "must name some of the states"),
        ({"reduce_concat": 2}, "must be a list of integers, not 2"),
        ({"reduce_concat": "2"}, "must be a list of integers, not '2'"),
        ({"reduce_concat": ["2"]}, "must name some of the states"),
        ({"reduce_concat": [2.0]}, "must name some of the states"),
        ({"reduce_concat": [[2]]}, "must name some of the states"),
        ({"normal": [["none", 0], ["none", 0.9]]}, r"edge 1 of the normal cell reads state 0\.9"),
        ({"normal": [["none", 0], ["none", "1"]]}, "edge 1 of the normal cell reads state '1'"),
        ({"normal": [["none", 0], ["none", True]]}, "edge 1 of the normal cell reads state True"),
        ({"normal": [["none", 0], ["none", None]]}, "edge 1 of the normal cell reads state None"),
        ({"normal": [[["none"], 0], ["none", 0]]}, r"unknown operation \['none'\] in the normal cell"),
        ({"normal": [["none", 0], ["none", 0, 1]]}, r"must be a list of pairs \[operation, state\]"),
        ({"normal": ["conv_3x3", "none"]}, r"must be a list of pairs \[operation, state\]"),
        ({"normal": None}, "must be a list of pairs"),
    ],
)
def test_impossible_cells(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Genotype.from_dict({**CELLS, "reduce_concat": [2], **change})


def test_no_cells() -> None:
    with pytest.raises(ValueError, match="a genotype must be a dict of two cells, not 'resnet'"):
        NetworkArguments.from_dict({"genotype": "resnet", "n_cells": 4})


def test_missing_cells() -> None:
    with pytest.raises(ValueError, match="the genotype has no reduce_concat"):
        Genotype.from_dict(CELLS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_cells": 0}, "n_cells must be an integer from 1 to 1000, not 0"),
        ({"n_cells": True}, "n_cells must be an integer from 1 to 1000, not True"),
        ({"n_cells": 10**8}, "n_cells must be an integer from 1 to 1000, not 100000000"),
        ({"fc_layers": 10**8}, "fc_layers must be an integer from 1 to 100, not"),
        ({"C": 32.0}, r"C must be an integer from 1 to 65536, not 32\.0"),
        ({"fc_dim": "256"}, "fc_dim must be an integer from 1 to 65536, not '256'"),
        ({"preproc": "False"}, "preproc must be true or false, not 'False'"),
        ({"glob_avg": "False"}, "glob_avg must be true or false, not 'False'"),
        ({"stem_pool": 1}, "stem_pool must be true or false, not 1"),
        ({"stem_type": True}, "stem_type must be 0 or 1, not True"),
        ({"ks": 4}, "must be odd"),
        ({"stem_type": 2}, "stem_type must be 0 or 1"),
        ({"norm": "group"}, "norm must be"),
        ({"C": 33}, "C must be even"),
        ({"preproc": False}, "preproc=False is for vision transformers"),
    ],
)
def test_impossible_arguments(change: dict[str, Any], message: str) -> None:
    arguments = cells(("conv_3x3", 0), ("none", 1))
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(arguments, **change)
    with pytest.raises(ValueError, match=message):
        NetworkArguments.from_dict({**arguments.to_dict(), **change})


@pytest.mark.parametrize(
    ("change", "message"), [({"C": 12}, "multiple of the 8"), ({"preproc": False, "C_mult": 2}, "needs C_mult=1")]
)
def test_impossible_transformers(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(cells(("msa", 0), ("none", 1)), **change)


@pytest.mark.parametrize("entry", [["genotype", "n_cells"], "genotype", None, 3])
def test_no_arguments(entry: Any) -> None:
    with pytest.raises(ValueError, match="the network arguments must be a dict, not"):
        NetworkArguments.from_dict(entry)


@pytest.mark.parametrize("missing", ["genotype", "n_cells"])
def test_missing_arguments(missing: str) -> None:
    net_args = cells(("conv_3x3", 0), ("none", 1)).to_dict()
    del net_args[missing]
    with pytest.raises(ValueError, match=f"the network arguments have no '{missing}'"):
        NetworkArguments.from_dict(net_args)
