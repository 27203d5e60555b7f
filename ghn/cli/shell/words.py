"""What can be typed after each command, read from its `Options`."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from tyro.conf import Positional

from ghn.cli.support import options as shared
from ghn.cli.support.commands import COMMANDS, module_of
from ghn.cli.support.parser import flags_of

Kind = Literal["none", "words", "file", "model"]

NAMED: Mapping[str, tuple[str, ...]] = {
    "data": ("cifar10", "cifar100", "digits", "imagenet"),
    "calibrate": ("cifar10", "cifar100", "digits"),
    "device": ("cpu", "cuda"),
    "shell": ("bash", "zsh", "fish"),
}
"""Values of options, by name, whose types do not say them; files and folders may follow as well."""

MODELS = ("model", "models", "positional", "pattern")
"""Options and arguments that take names of models."""

HYPERNETWORKS = ("ghn", "hypernetwork", "name", "start_from")
"""Those that take names of hypernetworks."""


@dataclass(frozen=True, kw_only=True)
class Word:
    """An option, or a positional argument.

    Attributes:
        flags: `-o`, `--output`; none of a positional argument.
        kind: What completes its value: nothing (a switch, a number), `values`, files, or names of models.
        values: Words that it can be.
    """

    flags: tuple[str, ...] = ()
    kind: Kind = "none"
    values: tuple[str, ...] = ()
    switch: bool = False


HELP = Word(flags=("-h", "--help"), switch=True)


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command: its name, a line on it, and what can follow."""

    name: str
    summary: str
    options: tuple[Word, ...]
    positional: Word


def all_commands() -> list[Command]:
    """What `ghn` can do, in the order of its help; tasks of a command follow it, as `analyze scores`."""
    found = []
    for name, summary in COMMANDS.items():
        module = importlib.import_module(module_of(name))
        tasks = getattr(module, "TASKS", {})
        if tasks:
            words = Word(kind="words", values=tuple(tasks))
            found.append(Command(name=name, summary=summary, options=(HELP,), positional=words))
        else:
            found.append(_command(name, summary, module.Options))
        found += [_command(f"{name} {task}", about, part.Options) for task, (part, about) in tasks.items()]
    return found


def _command(name: str, summary: str, kind: type[Any]) -> Command:
    hints = get_type_hints(kind, include_extras=True)
    positional = [entry.name for entry in fields(kind) if _is_positional(hints[entry.name])]
    words = {entry.name: _word(name, entry.name, hints[entry.name], entry.default) for entry in fields(kind)}
    first = words[positional[0]] if positional else Word()
    options = [word for option, word in words.items() if option not in positional]
    return Command(name=name, summary=summary, options=(HELP, *options), positional=first)


def _is_positional(hint: Any) -> bool:
    return Positional[str].__metadata__[0] in getattr(hint, "__metadata__", ())  # type: ignore[attr-defined]


def _word(command: str, name: str, hint: Any, default: Any) -> Word:
    plain = set(_kinds(hint))
    switch = plain == {bool}
    flags = flags_of(name, hint, default)
    choices = tuple(str(choice) for kind in plain if get_origin(kind) is Literal for choice in get_args(kind))
    if name in MODELS:
        return Word(flags=flags, kind="model")
    if name in HYPERNETWORKS and (command, name) not in OF_COMMANDS:
        return Word(flags=flags, kind="words", values=_hypernetworks())
    if choices or (name in NAMED and str in plain):
        return Word(flags=flags, kind="words", values=choices or NAMED[name])
    if (command, name) in OF_COMMANDS:
        return Word(flags=flags, kind="words", values=OF_COMMANDS[command, name]())
    if name == "init" and str in plain:
        return Word(flags=flags, kind="words", values=_starts())
    return Word(flags=flags, kind="file" if Path in plain or hint == shared.DataRoot else "none", switch=switch)


def _kinds(hint: Any) -> Iterator[Any]:
    """The types that a hint consists of, without None."""
    if get_origin(hint) is Literal:
        yield hint
    elif hasattr(hint, "__metadata__"):
        yield from _kinds(get_args(hint)[0])
    elif get_args(hint):
        for inner in get_args(hint):
            yield from _kinds(inner)
    elif hint is not type(None) and hint is not Ellipsis:
        yield hint


def _hypernetworks() -> tuple[str, ...]:
    from ghn.checkpoint.hub import available

    return tuple(available())


def _runs() -> tuple[str, ...]:
    from ghn.meta.runs import RUNS

    return tuple(RUNS)


def _starts() -> tuple[str, ...]:
    from ghn.initializers import NAMES

    return tuple(NAMES)


def _experiments() -> tuple[str, ...]:
    from ghn.experiments.listing import EXPERIMENTS

    return tuple(EXPERIMENTS)


def _scales() -> tuple[str, ...]:
    from ghn.experiments.scales import SCALES

    return tuple(SCALES)


def _splits() -> tuple[str, ...]:
    from ghn.cli.deepnets import PREDEFINED
    from ghn.deepnets import SPLITS

    return (*SPLITS, PREDEFINED)


def _scores() -> tuple[str, ...]:
    from ghn.analysis.zero_cost import SCORES

    return tuple(SCORES)


OF_COMMANDS: Mapping[tuple[str, str], Callable[[], tuple[str, ...]]] = {
    ("train", "run"): _runs,
    ("experiment", "name"): _experiments,
    ("experiment", "scale"): _scales,
    ("deepnets", "split"): _splits,
    ("analyze scores", "score"): _scores,
    ("analyze rank", "score"): _scores,
}
"""Words that an option or argument of one command can be."""
