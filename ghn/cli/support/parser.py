"""From words to a command's options, by tyro; whatever does not fit is told in one line, on any terminal."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields
from types import ModuleType, UnionType
from typing import Any, Union, get_args, get_type_hints

WIDE = "2000"
"""Columns for messages that are put on one line: narrower, they would be cut within words."""

NARROWEST = 20
"""Columns that help has at least; in fewer, tyro does not come to an end."""


def parse(module: ModuleType, command: str, words: Sequence[str]) -> Any:
    """The command's options, read from the words after its name.

    Args:
        module: The command's module. Its `Options` says what there is. `RENAMED`, where it has one, says which options
            had other names; `TASKS`, which words may come first; and `described(words)` gives what the help says of
            these words: options as defaults and a text, or None.
        command: The command's name.
        words: What the user gave.

    Raises:
        ValueError: In one line, if they do not fit.
        SystemExit: After `--help`.
    """
    import tyro

    if tasks := getattr(module, "TASKS", None):
        _check_task(command, words, tasks)
    known = renamed(words, getattr(module, "RENAMED", {}))
    settings: dict[str, Any] = {"prog": f"ghn {command}", "config": (tyro.conf.FlagCreatePairsOff,)}
    _with_plain_unions(module.Options)
    if "-h" in known or "--help" in known:
        described = module.described(known) if hasattr(module, "described") else None
        if described is not None:
            settings |= {"default": described[0], "description": described[1]}
            known = [word for word in known if word in ("-h", "--help")]
        with _shown_as_asked():
            return tyro.cli(module.Options, args=known, **settings)
    complaint = _Page("utf-8")
    try:
        with contextlib.redirect_stderr(complaint), contextlib.redirect_stdout(_Page("utf-8")), _in_columns(WIDE):
            return tyro.cli(module.Options, args=known, **settings)
    except SystemExit as error:
        cause: BaseException = error
        line = complaint_line(complaint.getvalue())
        if line.startswith("Missing") and (unknown := _unknown_options(module.Options, known)):
            # Whoever misspells an option has to hear of it first, and not of what it may have stood for.
            line = f"Unrecognized options: {', '.join(unknown)}"
    except ValueError as error:
        # Of the options' own checks; some versions of tyro print these as complaints.
        cause, line = error, str(error)
    raise ValueError(f"{line}; see `ghn {command} --help`") from cause


def flags_of(name: str, hint: Any, default: Any) -> tuple[str, ...]:
    """What is typed for a field of `Options`, short forms first: `-o`, `--output`."""
    turns_off = default is True and (hint is bool or bool in get_args(hint))
    shorts = [alias for extra in getattr(hint, "__metadata__", ()) for alias in getattr(extra, "aliases", None) or ()]
    return (*shorts, f"--{'no-' if turns_off else ''}{name}".replace("_", "-"))


def _check_task(command: str, words: Sequence[str], tasks: Collection[str]) -> None:
    """Refuse a first word that is no task."""
    from difflib import get_close_matches

    given = next(iter(words), None)
    if given is not None and (given in tasks or given in ("-h", "--help")):
        return
    if given is None or given.startswith("-"):
        raise ValueError(f"no task given: ghn {command} TASK; there are {', '.join(tasks)}")
    near = get_close_matches(given, tasks, n=2)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise ValueError(f"unknown task {given!r}: {hint}there are {', '.join(tasks)}")


def _unknown_options(options: type[Any], words: Sequence[str]) -> list[str]:
    """Words that look like options of a command and are none, with what may have been meant."""
    from difflib import get_close_matches

    hints = get_type_hints(options, include_extras=True)
    flags = [flag for it in fields(options) for flag in flags_of(it.name, hints[it.name], it.default)]
    found = []
    for word in words:
        name = word.partition("=")[0].replace("_", "-")
        if name.startswith("--") and name != "--" and name not in flags:
            near = get_close_matches(name, flags, n=2)
            found.append(f"{name} (perhaps you meant {' or '.join(near)})" if near else name)
    return found


def renamed(words: Sequence[str], names: Mapping[str, str]) -> list[str]:
    """The words with today's names of options."""
    found = []
    for word in words:
        name, equals, value = word.partition("=")
        found.append(names.get(name.replace("_", "-"), name) + equals + value)
    return found


class _Page(io.StringIO):
    """What is printed, as if to a file or terminal of an encoding: in boxes where that can hold them."""

    def __init__(self, encoding: str, *, terminal: bool = False) -> None:
        super().__init__()
        self._encoding, self._terminal = encoding, terminal

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the file it stands for."""
        return self._encoding

    def isatty(self) -> bool:
        """Whether it stands for a terminal, which gets colours."""
        return self._terminal


@contextlib.contextmanager
def _shown_as_asked() -> Iterator[None]:
    """Help in lines of the terminal's width, and in colours unless the user asks for none (https://no-color.org)."""
    import shutil

    page = _Page(sys.stdout.encoding, terminal=sys.stdout.isatty() and not os.environ.get("NO_COLOR"))
    columns = max(NARROWEST, shutil.get_terminal_size().columns)
    try:
        with contextlib.redirect_stdout(page), _in_columns(str(columns)):
            yield
    finally:
        sys.stdout.write(filled(page.getvalue(), columns))


def filled(text: str, width: int) -> str:
    """Text whose sentences before the first box are broken between words; tyro breaks those in boxes only.

    Commands, to be copied, stay as they are.
    """
    lines = text.splitlines(keepends=True)
    boxes = next((index for index, line in enumerate(lines) if "╭" in line), len(lines))
    before = [_broken(line, width) if len(_plain_text(line).rstrip()) > width else line for line in lines[:boxes]]
    return re.sub(r"\n{3,}", "\n\n", "".join(before)) + "".join(lines[boxes:])


def _broken(line: str, width: int) -> str:
    import textwrap

    plain = _plain_text(line).rstrip()
    usage = plain.startswith("usage:")
    if not (usage or plain.endswith((".", ":"))):
        return line
    indent = "  " if usage else ""
    return textwrap.fill(plain, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False) + "\n"


def _plain_text(line: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", line)


@contextlib.contextmanager
def _in_columns(columns: str) -> Iterator[None]:
    """Context in which a terminal is said to be so wide."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = columns
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


def _with_plain_unions(options: type[Any]) -> None:
    """Write `int | None` as `Optional[int]`: tyro would load a library of its own to check a default of the former."""
    hints = get_type_hints(options, include_extras=True)
    options.__annotations__ = {name: _plain(hints[name]) for name in options.__annotations__}


def _plain(kind: Any) -> Any:
    if isinstance(kind, UnionType):
        # None first: it is most defaults, and is found before the others are looked at.
        others = [_plain(other) for other in get_args(kind) if other is not type(None)]
        return Union[tuple([None, *others] if len(others) < len(get_args(kind)) else others)]  # noqa: UP007
    if hasattr(kind, "__metadata__"):
        first, *_ = get_args(kind)
        return kind if _plain(first) is first else kind.copy_with((_plain(first),))
    return kind


def complaint_line(text: str) -> str:
    """The first part of tyro's boxed message, without the box, as one line."""
    rows = text.splitlines()
    if text.startswith("╭"):
        rows = [re.sub(r"^│ ?|\s*│$", "", row) for row in rows if not row.startswith(("╭", "╰"))]
    else:  # without UTF-8: a title and a rule, then rows indented by two
        rows = [row[2:].rstrip() for row in rows[2:]]
    parts = re.split(r"^[─-]+$", "\n".join(rows), flags=re.MULTILINE)
    message = re.sub(r"^\s*Error parsing Options: ", "", parts[0]).split("\n\n")[0]
    line = _joined([row for row in message.splitlines() if not row.startswith(" " * 8)])
    if len(parts) > 1 and "Perhaps you meant" in parts[1]:
        near = re.findall(r"^ {4}(?:-\w [\w|]+, )?(\S+)", parts[1], flags=re.MULTILINE)
        line += f"; perhaps you meant {' or '.join(name for name in near if name.startswith('-'))}"
    return _in_words(line) or "the options cannot be read"


_NO_NUMBER = re.compile(
    r"Error parsing (?P<name>\S+): (?:invalid literal for (?P<whole>int).*?: |could not convert string to float: |"
    r"no type matching \{None\}\|(?P<kind>INT|FLOAT) could be instantiated from \[)(?P<given>'.*?')\]?$"
)


def _in_words(line: str) -> str:
    """What the parser says of numbers that are none, in the user's words."""
    found = _NO_NUMBER.match(line)
    if found is None:
        return line
    whole = found["whole"] is not None or found["kind"] == "INT"
    return f"{found['name']} must be a {'whole ' if whole else ''}number, not {found['given']}"


def _joined(rows: Sequence[str]) -> str:
    """Rows as one line; indented ones are items of a list."""
    line = ""
    for row in rows:
        if row.startswith("    "):
            line += (" " if line.endswith(":") else ", ") + row.strip()
        else:
            line = f"{line} {row.strip()}".strip()
    return line.removesuffix(".")
