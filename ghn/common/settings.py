"""Configurations: dataclasses whose values are checked against their annotations and stated limits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any, Literal, Self, get_args, get_origin, get_type_hints

from ghn.common.text import said, shown


class SettingError(ValueError):
    """A value that a setting cannot have.

    Args:
        name: The setting, a field of a configuration.
        fault: What is wrong with it, as a sentence goes on after its name.
    """

    def __init__(self, name: str, fault: str) -> None:
        super().__init__(f"{name} {fault}")
        self.name, self.fault = name, fault


POSITIVE: Mapping[str, Any] = {"positive": True}
"""For `field(metadata=...)`: a number above 0."""

SHARE: Mapping[str, Any] = {"share": True}
"""For `field(metadata=...)`: a number from 0 on, below 1."""


def at_least(least: float) -> Mapping[str, Any]:
    """For `field(metadata=...)`: a number not below `least`."""
    return {"least": least}


def between(least: float, most: float) -> Mapping[str, Any]:
    """For `field(metadata=...)`: a number neither below `least` nor above `most`."""
    return {"least": least, "most": most}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A configuration; subclasses are dataclasses too, frozen and with keywords only.

    Types and limits are checked when one is made: JSON and YAML files hold strings where numbers are meant, and True
    counts as an int. None is allowed where the annotation says so, and has no limits.
    """

    def __post_init__(self) -> None:
        kinds = _kinds(type(self))  # type: ignore[arg-type]
        for entry in fields(self):
            value = getattr(self, entry.name)
            _check_kind(entry.name, value, kinds[entry.name])
            if value is not None:
                _check_limits(entry.name, value, entry.metadata)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as saved beside every result."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`, also after a way through JSON.

        Raises:
            ValueError: For a name that is no field, or a value that cannot be.
        """
        if not isinstance(values, Mapping) or not all(isinstance(name, str) for name in values):
            raise ValueError(f"{cls.__name__} is read from values by name, not from {shown(values)}")
        kinds = _kinds(cls)  # type: ignore[arg-type]
        unknown = sorted(set(values) - set(kinds))
        if unknown:
            raise ValueError(
                f"{cls.__name__} has no field {shown(unknown[0])!r}; it was saved by another version of ghn"
            )
        return cls(**{name: _read(value, kinds[name]) for name, value in values.items()})


def _read(value: Any, kind: Any) -> Any:
    options = get_args(kind)
    if type(None) in options:
        kind = options[0]
    if isinstance(kind, type) and issubclass(kind, Settings) and isinstance(value, Mapping):
        return kind.from_dict(value)
    return tuple(value) if isinstance(value, list) else value


@cache
def _kinds(cls: Any) -> dict[str, Any]:
    hints = get_type_hints(cls)
    return {entry.name: hints[entry.name] for entry in fields(cls)}


def _check_kind(name: str, value: Any, kind: Any) -> None:
    options, origin = get_args(kind), get_origin(kind)
    if origin is Literal:
        if value not in options:
            raise SettingError(name, f"must be {', '.join(map(str, options[:-1]))} or {options[-1]}, not {said(value)}")
    elif type(None) in options:
        if value is not None:
            _check_kind(name, value, options[0])
    elif origin is tuple:
        _check_tuple(name, value, options)
    elif origin is dict:
        if not isinstance(value, dict):
            raise SettingError(name, f"must be of type dict, not {said(value)}")
        for key, entry in value.items():
            _check_kind(f"a key of {name}", key, options[0])
            _check_kind(f"{name}[{said(key)}]", entry, options[1])
    elif kind is float:
        if type(value) not in (int, float) or not _is_finite(value):
            raise SettingError(name, f"must be a finite number, not {said(value)}")
    elif type(value) is not kind:
        raise SettingError(name, f"must be of type {kind.__name__}, not {said(value)}")


def _is_finite(value: int | float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _check_tuple(name: str, value: Any, options: tuple[Any, ...]) -> None:
    any_length = options[-1] is Ellipsis
    if not isinstance(value, tuple) or not (any_length or len(value) == len(options)):
        raise SettingError(name, f"must be {'a tuple' if any_length else f'{len(options)} values'}, not {said(value)}")
    for index, entry in enumerate(value):
        _check_kind(name, entry, options[0] if any_length else options[index])


def _check_limits(name: str, value: Any, limits: Mapping[str, Any]) -> None:
    for entry in value if isinstance(value, tuple) else (value,):
        if "least" in limits and entry < limits["least"]:
            raise SettingError(name, f"must be at least {limits['least']}, not {shown(value)}")
        if "most" in limits and entry > limits["most"]:
            raise SettingError(name, f"must be at most {limits['most']:,}, not {shown(value)}")
        if limits.get("positive") and not entry > 0:
            raise SettingError(name, f"must be positive, not {shown(value)}")
        if limits.get("share") and not 0 <= entry < 1:
            raise SettingError(name, f"is a share, from 0 to below 1, not {shown(value)}")
