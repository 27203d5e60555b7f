"""Configurations: every kind of annotation, limits, and the way through JSON."""

from __future__ import annotations

import json
import math
from dataclasses import FrozenInstanceError, dataclass, field, replace
from typing import Any, Literal

import pytest

from ghn.common.settings import POSITIVE, SHARE, Settings, at_least
from ghn.deepnets import Space
from ghn.evaluate import EvaluationConfig
from ghn.finetuning import FinetuneConfig
from ghn.hypernet import GHNConfig


@dataclass(frozen=True, kw_only=True)
class Inner(Settings):
    width: int = field(default=1, metadata=at_least(1))
    names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Every(Settings):
    """One field of each kind."""

    whole: int = 1
    number: float = 1.0
    text: str = "x"
    flag: bool = False
    choice: Literal["a", "b", "c"] = "a"
    maybe: int | None = None
    maybe_choice: Literal["a", "b"] | None = None
    pair: tuple[int, float] = (1, 1.0)
    many: tuple[int, ...] = ()
    maybe_many: tuple[float, ...] | None = None
    table: dict[str, int] = field(default_factory=dict)
    inner: Inner = field(default_factory=Inner)
    maybe_inner: Inner | None = None


@dataclass(frozen=True, kw_only=True)
class Limited(Settings):
    least: int | None = field(default=3, metadata=at_least(3))
    positive: float | None = field(default=1.0, metadata=POSITIVE)
    share: float = field(default=0.5, metadata=SHARE)
    shares: tuple[float, float] = field(default=(0.5, 0.5), metadata=SHARE)
    many: tuple[int, ...] = field(default=(), metadata=at_least(2))
    both: int = field(default=5, metadata={**at_least(5), **POSITIVE})


@dataclass(frozen=True, kw_only=True)
class Child(Limited):
    """Overrides with other limits, with the same, with none, and not at all."""

    least: int | None = field(default=1, metadata=at_least(1))
    positive: float | None = field(default=2.0, metadata=POSITIVE)
    share: float = 7.0


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("whole", True, "whole must be of type int, not True"),
        ("whole", 1.0, r"whole must be of type int, not 1\.0"),
        ("whole", "1", "whole must be of type int, not '1'"),
        ("whole", None, "whole must be of type int, not None"),
        ("number", True, "number must be a finite number, not True"),
        ("number", math.nan, "number must be a finite number, not nan"),
        ("number", -math.inf, "number must be a finite number, not -inf"),
        ("number", 10**400, "number must be a finite number, not 1000"),
        ("number", "1e-3", "number must be a finite number, not '1e-3'"),
        ("number", 1j, "number must be a finite number, not 1j"),
        ("text", 3, "text must be of type str, not 3"),
        ("text", None, "text must be of type str, not None"),
        ("flag", 1, "flag must be of type bool, not 1"),
        ("flag", "true", "flag must be of type bool, not 'true'"),
        ("choice", "d", "choice must be a, b or c, not 'd'"),
        ("choice", None, "choice must be a, b or c, not None"),
        ("choice", ["a"], r"choice must be a, b or c, not \['a'\]"),
        ("maybe", True, "maybe must be of type int, not True"),
        ("maybe", "none", "maybe must be of type int, not 'none'"),
        ("maybe_choice", "c", "maybe_choice must be a or b, not 'c'"),
        ("pair", (1,), r"pair must be 2 values, not \(1,\)"),
        ("pair", (1, 1.0, 1), "pair must be 2 values"),
        ("pair", [1, 1.0], r"pair must be 2 values, not \[1, 1\.0\]"),
        ("pair", (1.0, 1), r"pair must be of type int, not 1\.0"),
        ("pair", (1, math.inf), "pair must be a finite number, not inf"),
        ("many", 3, "many must be a tuple, not 3"),
        ("many", [3], r"many must be a tuple, not \[3\]"),
        ("many", "34", "many must be a tuple, not '34'"),
        ("many", (1, 2, True), "many must be of type int, not True"),
        ("many", (1, None), "many must be of type int, not None"),
        ("maybe_many", (1.0, math.nan), "maybe_many must be a finite number, not nan"),
        ("table", [("a", 1)], "table must be of type dict"),
        ("table", {"a": 1, "b": True}, r"table\['b'\] must be of type int, not True"),
        ("table", {1: 1}, "a key of table must be of type str, not 1"),
        ("table", None, "table must be of type dict, not None"),
        ("inner", {"width": 1}, "inner must be of type Inner, not {'width': 1}"),
        ("inner", None, "inner must be of type Inner, not None"),
        ("maybe_inner", {"width": 1}, "maybe_inner must be of type Inner"),
    ],
)
def test_a_value_of_another_kind_is_refused(name: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        Every(**{name: value})


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"number": 3, "maybe": 0, "maybe_choice": "b", "flag": True, "text": ""},
        {"pair": (0, -1), "many": (3,), "maybe_many": (1, 2.5), "table": {"a": 1}},
        {"maybe_many": (), "inner": Inner(width=5, names=("a", "b")), "maybe_inner": Inner(names=("c",))},
    ],
)
def test_what_is_allowed_comes_back_from_json(values: dict[str, Any]) -> None:
    settings = Every(**values)
    back = Every.from_dict(json.loads(json.dumps(settings.to_dict())))
    assert back == settings
    for name in ("pair", "many", "maybe_many"):
        assert type(getattr(back, name)) is type(getattr(settings, name)), name
    assert type(back.inner.names) is tuple


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"least": 2}, "least must be at least 3, not 2"),
        ({"positive": 0.0}, r"positive must be positive, not 0\.0"),
        ({"positive": -1}, "positive must be positive, not -1"),
        ({"share": 1}, "share is a share, from 0 to below 1, not 1"),
        ({"share": -1e-9}, "share is a share, from 0 to below 1, not -1e-09"),
        ({"shares": (0.0, 1.0)}, r"shares is a share, .*, not \(0\.0, 1\.0\)"),
        ({"many": (2, 3, 1)}, r"many must be at least 2, not \(2, 3, 1\)"),
        ({"both": 4}, "both must be at least 5, not 4"),
    ],
)
def test_a_value_beyond_its_limits_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        Limited(**changes)


def test_limits_are_allowed_and_none_has_no_limits() -> None:
    Limited(least=3, positive=1e-300, share=0, shares=(0.0, 0.999), many=(2,), both=5)
    assert Limited(least=None, positive=None) == Limited(positive=None, least=None)


def test_a_subclass_keeps_limits_where_it_keeps_the_field_and_has_its_own_where_not() -> None:
    assert (Child().least, Child().share) == (1, 7.0)
    Child(least=2)
    Child(share=-3.0)
    for changes in ({"least": 0}, {"positive": 0.0}, {"shares": (0.5, 1.0)}, {"many": (1,)}):
        with pytest.raises(ValueError, match=r"must be|is a share"):
            Child(**changes)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="least must be at least 3"):
        Limited(least=2)


def test_a_default_beyond_its_own_limits_is_noticed() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Careless(Settings):
        share: float = field(default=7.0, metadata=SHARE)

    with pytest.raises(ValueError, match="share is a share"):
        Careless()


def test_changes_are_checked_as_well_and_only_by_replace() -> None:
    with pytest.raises(ValueError, match="least must be at least 3"):
        replace(Limited(), least=1)
    with pytest.raises(FrozenInstanceError):
        Limited().least = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        Limited(3)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hue": 1}, "Every has no field 'hue'; it was saved by another version of ghn"),
        ({"whole": "x", "hue": 1, "beta": 2}, "Every has no field 'beta'"),
        ({"inner": {"width": 1, "hue": 1}}, "Inner has no field 'hue'"),
        ({"maybe_inner": {"hue": 1}}, "Inner has no field 'hue'"),
        ({"inner": {"width": 0}}, "width must be at least 1, not 0"),
        ({"inner": [1]}, "inner must be of type Inner"),
        ({"pair": [1, 2, 3]}, "pair must be 2 values"),
        ({"number": None}, "number must be a finite number, not None"),
    ],
)
def test_what_cannot_be_read_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Every.from_dict(values)


def test_to_dict_is_a_copy() -> None:
    settings = Every(table={"a": 1})
    settings.to_dict()["table"]["a"] = 2
    assert settings.table == {"a": 1}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Space(split="nonsense"), "unknown split 'nonsense'"),
        (lambda: Space(split=3), "split must be of type str, not 3"),  # type: ignore[arg-type]
        (lambda: Space(channels=(32, 0)), r"channels must be at least 1, not \(32, 0\)"),
        (lambda: Space(attention=1.5), "attention is a share"),
        (lambda: FinetuneConfig(precision="float8"), "precision must be float32, bfloat16 or float16"),  # type: ignore[arg-type]
        (lambda: FinetuneConfig(warmup=7.0), "warmup is a share"),
        (lambda: GHNConfig(hidden=True), "hidden must be of type int, not True"),
        (lambda: GHNConfig(spatial=0), "spatial must be at least 1, not 0"),
        (lambda: GHNConfig(encoder="gcn"), "encoder must be graphormer, gated_gnn or mlp, not 'gcn'"),  # type: ignore[arg-type]
        (lambda: GHNConfig(centrality=1), "centrality must be of type bool, not 1"),  # type: ignore[arg-type]
        (lambda: EvaluationConfig(splits={"val": True}), r"splits\['val'\] must be of type int, not True"),
        (lambda: EvaluationConfig(images=math.inf), "images must be of type int, not inf"),  # type: ignore[arg-type]
    ],
)
def test_the_configurations_of_the_library(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("settings", [Space(channels=(32,)), GHNConfig(), FinetuneConfig(), EvaluationConfig()])
def test_those_come_back_from_json(settings: Settings) -> None:
    assert type(settings).from_dict(json.loads(json.dumps(settings.to_dict()))) == settings
