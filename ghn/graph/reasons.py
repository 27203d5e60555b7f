"""Why a parameter keeps the model's own initialisation: a code for programs, a sentence for people."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import Any


class ReasonCode(StrEnum):
    """What a program may ask; `TEXTS` says each in words."""

    # The reading of a forward pass finds no primitive that the parameter belongs to.
    UNUSED = "unused"
    INTEGERS = "integers"
    COMPLEX = "complex"
    LOOKUP = "lookup"
    SCALE = "scale"
    SCALAR = "scalar"
    SCORE_BIAS = "score_bias"
    TOKEN = "token"
    FEATURES = "features"
    SLOPE = "slope"
    SHAPE = "shape"
    PICKED = "picked"
    VECTOR = "vector"
    WRITTEN = "written"
    NO_PRIMITIVE = "no_primitive"
    REPARAMETRISES = "reparametrises"
    COMPUTED = "computed"
    MIXED = "mixed"
    SHARED_WITH_PREDICTED = "shared_with_predicted"
    SHARED_WITH_KEPT = "shared_with_kept"
    NOT_RUN = "not_run"
    # A hypernetwork cannot predict it.
    NOT_IN_GRAPH = "not_in_graph"
    NO_SHAPE = "no_shape"
    DTYPE = "dtype"
    NO_ELEMENTS = "no_elements"
    CLASS = "class"
    LAYOUT = "layout"
    OVERLAPPING = "overlapping"
    NO_MEMORY = "no_memory"
    PLACEMENTS = "placements"
    OTHER_HEAD = "other_head"
    # Someone else's words.
    OTHER = "other"


TEXTS: Mapping[ReasonCode, str] = MappingProxyType(
    {
        ReasonCode.UNUSED: "unused: no path to the output",
        ReasonCode.INTEGERS: "integers",
        ReasonCode.COMPLEX: "complex numbers",
        ReasonCode.LOOKUP: "a lookup table: tiling would make its rows alike",
        ReasonCode.SCALE: "an elementwise scale",
        ReasonCode.SCALAR: "a single number",
        ReasonCode.SCORE_BIAS: "a bias of attention logits (relative positions)",
        ReasonCode.TOKEN: "a token concatenated with features",
        ReasonCode.FEATURES: "features that layers are applied to (learned queries, a start token)",
        ReasonCode.SLOPE: "the slope of an activation",
        ReasonCode.SHAPE: "added to features in a shape that is neither a bias nor a position embedding",
        ReasonCode.PICKED: "a table of which elements are picked",
        ReasonCode.VECTOR: "a vector multiplied with features",
        ReasonCode.WRITTEN: "written into features",
        ReasonCode.NO_PRIMITIVE: "no primitive for {operator}",
        ReasonCode.REPARAMETRISES: "reparametrises {weight}",
        ReasonCode.COMPUTED: "part of a weight that is computed from parameters",
        ReasonCode.MIXED: "part of a weight that is computed from parameters and data",
        ReasonCode.SHARED_WITH_PREDICTED: "shares memory with {other}, which is predicted",
        ReasonCode.SHARED_WITH_KEPT: "shares memory with {other}, which keeps its own initialisation",
        ReasonCode.NOT_RUN: "the model could not be run, and its module does not say what this parameter does",
        ReasonCode.NOT_IN_GRAPH: "not part of the traced graph",
        ReasonCode.NO_SHAPE: "has no shape yet; run the model once first",
        ReasonCode.DTYPE: "is of type {dtype}, which is not predicted",
        ReasonCode.NO_ELEMENTS: "has no elements",
        ReasonCode.CLASS: "is a {name}, which only its own class can write",
        ReasonCode.LAYOUT: "is stored as {layout}, which is not predicted",
        ReasonCode.OVERLAPPING: "its elements share memory, as those of an expanded tensor do",
        ReasonCode.NO_MEMORY: "its memory has been freed",
        ReasonCode.PLACEMENTS: "is spread over processes as {placements}, which is not predicted",
        ReasonCode.OTHER_HEAD: "classification head of {classes} classes; the hypernetwork predicts {predicted}",
        ReasonCode.OTHER: "{text}",
    }
)
"""The sentence of each code; what stands in braces is given to `Reason` by name."""


class Reason(str):
    """Why a parameter is not predicted: a string, with the code that programs decide by. Immutable.

    Args:
        code: The reason.
        details: What the braces of the code's sentence in `TEXTS` stand for.
    """

    __slots__ = ("_code",)
    _code: ReasonCode

    def __new__(cls, code: ReasonCode, **details: Any) -> Reason:
        return cls._of(ReasonCode(code), TEXTS[code].format(**details))

    @classmethod
    def read(cls, text: str) -> Reason:
        """The reason that a sentence states, of code `OTHER` if it is none of `TEXTS`; a `Reason` as it is.

        Raises:
            TypeError: If `text` is no string.
        """
        if isinstance(text, Reason):
            return text
        if not isinstance(text, str):
            raise TypeError(f"a reason is a sentence, not {type(text).__name__}")
        return cls._of(_code_of(text), text)

    @classmethod
    def _of(cls, code: ReasonCode, text: str) -> Reason:
        reason = super().__new__(cls, text)
        reason._code = code
        return reason

    @property
    def code(self) -> ReasonCode:
        """What programs decide by."""
        return self._code

    @property
    def text(self) -> str:
        """The sentence, as a plain string."""
        return str(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return Reason._of, (self._code, self.text)


def _code_of(text: str) -> ReasonCode:
    fixed, patterns = _sentences()
    code = fixed.get(text)
    if code is None:
        code = next((code for code, pattern in patterns.items() if pattern.fullmatch(text)), ReasonCode.OTHER)
    return code


@cache
def _sentences() -> tuple[dict[str, ReasonCode], dict[ReasonCode, re.Pattern[str]]]:
    """Sentences without details, and patterns of those with some."""
    fixed = {text: code for code, text in TEXTS.items() if "{" not in text}
    detailed = {code: text for code, text in TEXTS.items() if "{" in text and code is not ReasonCode.OTHER}
    patterns = {code: "(.+)".join(map(re.escape, re.split(r"{\w+}", text))) for code, text in detailed.items()}
    return fixed, {code: re.compile(pattern, re.DOTALL) for code, pattern in patterns.items()}
