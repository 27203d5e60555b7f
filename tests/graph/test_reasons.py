"""Reasons: strings for people, codes for programs."""

import copy
import json
import pickle
import re

import numpy as np
import pytest

from ghn.graph import ComputationalGraph, Node
from ghn.graph.files import from_json, to_json
from ghn.graph.reasons import TEXTS, Reason, ReasonCode

NO_EDGES = np.zeros((0, 2), dtype=np.int64)


def reason_of(code: ReasonCode) -> Reason:
    """A reason with awkward details: names of parameters may hold anything but a dot."""
    return Reason(code, **dict.fromkeys(re.findall(r"{(\w+)}", TEXTS[code]), "a, which is (predicted\n.*"))


@pytest.mark.parametrize("code", ReasonCode)
def test_code_is_found_again_from_the_text(code: ReasonCode) -> None:
    reason = reason_of(code)
    assert Reason.read(reason.text).code is code
    assert type(reason.text) is type(str(reason)) is str
    assert Reason.read(reason) is reason


@pytest.mark.parametrize("code", ReasonCode)
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda reason: pickle.loads(pickle.dumps(reason))])
def test_goes_through_copies_and_pickle(code: ReasonCode, copied) -> None:
    reason = reason_of(code)
    assert (type(copied(reason)), copied(reason), copied(reason).code) == (Reason, reason, code)


def test_pickle_keeps_the_code_where_the_text_is_that_of_another() -> None:
    reason = Reason(ReasonCode.OTHER, text=TEXTS[ReasonCode.UNUSED])
    assert pickle.loads(pickle.dumps(reason)).code is ReasonCode.OTHER


def test_is_a_string() -> None:
    reason = Reason(ReasonCode.REPARAMETRISES, weight="a.weight")
    assert reason == "reparametrises a.weight"
    assert hash(reason) == hash("reparametrises a.weight")
    assert f"{reason:>25}" == "  reparametrises a.weight"
    assert json.dumps({"a": reason}) == '{"a": "reparametrises a.weight"}'


def test_is_immutable() -> None:
    reason = Reason(ReasonCode.UNUSED)
    with pytest.raises(AttributeError):
        reason.code = ReasonCode.OTHER  # type: ignore[misc]
    with pytest.raises(AttributeError):
        reason.note = "more"  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", ["", "unused", "Integers", "no primitive for ", "shares memory with a"])
def test_other_words(text: str) -> None:
    assert Reason.read(text).code is ReasonCode.OTHER
    assert Reason.read(text) == text


def test_missing_details() -> None:
    with pytest.raises(KeyError, match="weight"):
        Reason(ReasonCode.REPARAMETRISES)


def test_graphs_hold_reasons_whatever_they_are_given() -> None:
    given = {"a": "unused: no path to the output", "b": "because", "c": Reason(ReasonCode.SCALE)}
    graph = ComputationalGraph((Node("input"),), NO_EDGES, {}, given)  # type: ignore[arg-type]
    codes = [ReasonCode.UNUSED, ReasonCode.OTHER, ReasonCode.SCALE]
    for found in (graph, copy.deepcopy(graph), pickle.loads(pickle.dumps(graph)), from_json(to_json(graph))):
        assert dict(found.kept) == given
        assert [reason.code for reason in found.kept.values()] == codes
        assert found.has_unused
    with pytest.raises(TypeError, match="a reason is a sentence, not int"):
        ComputationalGraph((Node("input"),), NO_EDGES, {}, {"a": 1})  # type: ignore[dict-item]


def test_json_writes_the_text_alone() -> None:
    graph = ComputationalGraph((Node("input"),), NO_EDGES, {}, {"a": Reason(ReasonCode.SLOPE)})
    assert json.loads(to_json(graph))["kept"] == {"a": "the slope of an activation"}
    assert not graph.has_unused


def test_graphs_that_hold_plain_sentences_are_unpickled() -> None:
    graph = ComputationalGraph((Node("input"),), np.zeros((0, 2), dtype=np.int64), {}, {"a": Reason(ReasonCode.UNUSED)})
    state = {**graph.__getstate__(), "kept": {"a": "unused: no path to the output", "b": "whatever"}}
    read = ComputationalGraph.__new__(ComputationalGraph)
    read.__setstate__(state)
    assert [reason.code for reason in read.kept.values()] == [ReasonCode.UNUSED, ReasonCode.OTHER]
    assert read.has_unused


def test_codes_are_codes() -> None:
    assert Reason("unused").code is ReasonCode.UNUSED  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="nonsense"):
        Reason("nonsense")  # type: ignore[arg-type]
