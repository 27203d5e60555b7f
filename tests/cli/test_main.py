"""The command line itself: help, bad usage, errors, exit codes."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from tyro.conf import Positional

import ghn.cli
from ghn.cli import COMMANDS, main
from ghn.cli.support.commands import module_of
from ghn.cli.support.parser import filled
from tests.cli.conftest import Run


@pytest.mark.parametrize("words", [["--quiet"], ["predit"]])
def test_without_a_known_command(words: list[str], refused: Callable[..., str]) -> None:
    line = refused(*words)
    assert all(command in line for command in COMMANDS)


def test_the_nearest_command_is_named(refused: Callable[..., str]) -> None:
    assert "did you mean predict?" in refused("predit")


@pytest.mark.parametrize("words", [["-h"], ["--help"], ["help"], []])
def test_help_lists_every_command(words: list[str], ghn: Callable[..., Run]) -> None:
    result = ghn(*words)
    assert result.code == 0
    assert result.err == ""
    for command, summary in COMMANDS.items():
        assert re.search(rf"^  {command} +{summary}$", result.out, re.MULTILINE)
    assert all(len(line) <= 80 for line in result.out.splitlines())


def test_version(ghn: Callable[..., Run]) -> None:
    assert ghn("--version").out == f"ghn {version('ghn')}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_options_with_help(command: str, ghn: Callable[..., Run]) -> None:
    module = import_module(module_of(command))
    assert callable(module.run)
    result = ghn(command, "--help")
    assert result.code == 0
    assert f"usage: ghn {command}" in result.out
    for field in module.Options.__dataclass_fields__.values():
        hint = get_type_hints(module.Options, include_extras=True)[field.name]
        marks = getattr(hint, "__metadata__", ())
        shared = any(getattr(mark, "help", None) for mark in marks)
        explained = re.search(rf"^ +{field.name}: \S", module.Options.__doc__, re.MULTILINE)
        assert shared or explained, f"{field.name} is not explained"
        positional = Positional[str].__metadata__[0] in marks  # type: ignore[attr-defined]
        if not positional and "Subcommands" not in str(field.type):
            name = field.name.replace("_", "-")
            assert f"--{name}" in result.out or f"--no-{name}" in result.out
    assert all(len(line) <= 80 for line in result.out.splitlines()), "wider than a terminal"


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("command", COMMANDS)
def test_help_breaks_lines_between_words(
    command: str, columns: int, ghn: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    boxes = r"^\W*(?:positional arguments|options|subcommands)\b"
    text = re.split(boxes, ghn(command, "--help").out, flags=re.MULTILINE)[0]
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n")]
    docstring = import_module(module_of(command)).Options.__doc__.split("Attributes:")[0]
    assert "\n\n\n" not in text
    for part in filter(str.strip, docstring.split("\n\n")):
        assert " ".join(part.split()) in paragraphs
    for line, following in pairwise(text.splitlines()):
        if line.strip() and following.strip():
            assert len(line) <= columns < len(f"{line} {following.split()[0]}"), "broken too late or too early"


def test_help_shows_defaults_and_units(ghn: Callable[..., Run]) -> None:
    text = " ".join(re.sub("[│╭╮╰╯]", " ", ghn("predict", "--help").out).split())
    assert "(default: ghn3-t-cifar10)" in text
    assert re.search(r"--image-size PIXELS .*\(default: its own\)", text)
    assert re.search(r"--head \{keep,predict\} .*\(default: keep\)", text)
    assert "-o FILE, --output FILE" in text


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["predict"], "Missing from ghn predict: MODEL, -o FILE, --output FILE; see `ghn predict --help`"),
        (
            ["predict", "x", "-o"],
            "Missing value for argument '-o/--output'. Expected 1 values; see `ghn predict --help`",
        ),
        (
            ["predict", "x", "-o", "OUT/y", "--nun-classes", "3"],
            "Unrecognized options: --nun-classes, 3; perhaps you meant --num-classes; see `ghn predict --help`",
        ),
        (
            ["predict", "x", "-o", "OUT/y", "--head", "off"],
            "invalid choice 'off' for argument '--head'. Expected one of ('keep', 'predict'); see `ghn predict --help`",
        ),
        (
            ["predict", "x", "-o", "OUT/y", "--seed", "1.5"],
            "--seed must be a whole number, not '1.5'; see `ghn predict --help`",
        ),
        (
            ["predict", "x", "-o", "OUT/y", "--min-fraction", "1.5"],
            "--strict must lie between 0 and 1, not 1.5; see `ghn predict --help`",
        ),
        (
            ["predict", "x", "-o", "OUT/y", "--seed", str(2**63)],
            f"--seed must fit in 64 bits, not {2**63}; see `ghn predict --help`",
        ),
    ],
)
def test_bad_usage_is_told_in_one_line(words: list[str], line: str, refused: Callable[..., str]) -> None:
    assert refused(*words) == line


def test_bad_values_of_optional_numbers_are_told_in_one_line(refused: Callable[..., str]) -> None:
    assert "--image-size" in refused("predict", "x", "-o", "OUT/y", "--image-size", "big")


def fail_with(error: BaseException) -> Callable[[Any], None]:
    def run(options: Any) -> None:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ValueError("two\nlines"), 2, "error: two lines\n"),
        (ValueError(), 2, "error: ValueError\n"),
        (KeyError("x"), 1, "error: KeyError: 'x' (run again with --debug to see where)\n"),
        (RuntimeError("a\n b"), 1, "error: RuntimeError: a b (run again with --debug to see where)\n"),
        (ModuleNotFoundError("no x"), 1, "error: ModuleNotFoundError: no x (run again with --debug to see where)\n"),
        (KeyboardInterrupt(), 130, "error: interrupted\n"),
    ],
)
def test_exit_codes(
    error: BaseException, code: int, line: str, monkeypatch: pytest.MonkeyPatch, ghn: Callable[..., Run]
) -> None:
    monkeypatch.setattr(import_module("ghn.cli.info"), "run", fail_with(error))
    result = ghn("info")
    assert (result.code, result.out, result.err) == (code, "", line)


@pytest.mark.parametrize("words", [["--debug", "info"], ["info", "--debug"]])
@pytest.mark.parametrize("error", [ValueError("x"), RuntimeError("x")])
def test_debug_lets_errors_through(words: list[str], error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("ghn.cli.info"), "run", fail_with(error))
    with pytest.raises(type(error), match="x"):
        main(words)


def test_log_records_of_libraries_stay_off_the_terminal(
    monkeypatch: pytest.MonkeyPatch, ghn: Callable[..., Run], caplog: pytest.LogCaptureFixture
) -> None:
    import logging

    monkeypatch.setattr(import_module("ghn.cli.info"), "run", lambda options: logging.error("noise"))
    assert ghn("info").err == ""
    assert not caplog.records
    logging.error("heard again")
    assert len(caplog.records) == 1


def test_every_module_of_a_command_is_registered() -> None:
    folder = Path(ghn.cli.__file__).parent
    files = [*folder.glob("*.py"), *folder.glob("shell/*.py")]
    with_options = {path.stem for path in files if "\nclass Options" in path.read_text(encoding="utf-8")}
    assert with_options == set(COMMANDS)


# Real processes


def python(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False, **options)


def test_messages_do_not_depend_on_the_terminal() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "COLUMNS": "40"}
    result = python("-m", "ghn", "predict", "x", "-o", "y", "--nun-classes", "3", env=environment)
    line = "error: Unrecognized options: --nun-classes, 3; perhaps you meant --num-classes; see `ghn predict --help`\n"
    assert (result.returncode, result.stderr) == (2, line)


def test_the_installed_command_exits_with_its_code() -> None:
    script = Path(sys.executable).with_name("ghn")
    command = [str(script)] if script.exists() else [sys.executable, "-m", "ghn"]
    result = subprocess.run([*command, "nothing"], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("error: unknown command 'nothing'")


def test_interrupting_leaves_nothing_behind(folder: Path, tmp_path: Path) -> None:
    words = ["predict", "zoo:sleeps", "--ghn", str(folder / "tiny"), "-o", f"{tmp_path}/x.safetensors"]
    marker = tmp_path / "started"
    slow = (folder / "zoo.py").read_text().replace("time.sleep(60)", f"open({str(marker)!r}, 'w'); time.sleep(60)")
    (tmp_path / "zoo.py").write_text(slow)
    # Processes started in the background of a shell ignore the signal unless told otherwise.
    program = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    program += f"from ghn.cli import main; sys.exit(main({words}))"
    process = subprocess.Popen(
        [sys.executable, "-B", "-c", program],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    while not marker.exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=50)
    assert (process.returncode, out, err) == (130, "", "error: interrupted\n")
    assert {path.name for path in tmp_path.iterdir()} == {"zoo.py", "started"}


def test_a_closed_pipe_is_no_error(folder: Path) -> None:
    command = f"{sys.executable} -m ghn info {folder / 'tiny'} | true"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert result.stderr == ""


ASCII = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
ASCII_COMMANDS = [
    ["info", "ghn3tm8"],
    *(
        pytest.param(words, marks=pytest.mark.slow)
        for words in (["train"], ["train", "--help"], ["deepnets", "--help"])
    ),
]


@pytest.mark.parametrize("words", ASCII_COMMANDS)
def test_terminals_without_unicode(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ghn", *words], env=os.environ | ASCII, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert "Error" not in done.stderr


def test_what_errors_name_does_nothing_to_the_terminal(refused: Callable[..., str]) -> None:
    line = refused("predict", "resnet\x1b[2J\u202e", "-o", "x.safetensors")
    assert line.isprintable()


def test_want_of_memory_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def lacks(_: object) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory\nframe 0")

    monkeypatch.setattr("ghn.cli.info.run", lacks)
    assert main(["info"]) == 1
    assert capsys.readouterr().err.startswith("error: there is not enough memory for this")


def test_commands_in_the_help_stay_whole_and_colours_are_no_columns() -> None:
    command = "torchrun --nproc-per-node 8 -m ghn train NAME --output runs/NAME"
    usage = "\x1b[1musage:\x1b[0m \x1b[1mghn\x1b[0m compare [-h] [OPTIONS] MODEL"
    prose = "One sentence that is wider than the terminal is."
    shown = filled(f"{usage}\n\n\n{prose}\n{command}\n╭ {'─' * 60} ╮\n", 36).splitlines()
    assert shown[:2] == ["usage: ghn compare [-h] [OPTIONS]", "  MODEL"]
    assert shown[3:5] == ["One sentence that is wider than the", "terminal is."]
    assert shown[5:] == [command, f"╭ {'─' * 60} ╮"]


@pytest.mark.slow
def test_files_that_a_model_left_open_are_written(tmp_path: Path) -> None:
    (tmp_path / "logs.py").write_text(
        "from torch import nn\nLOG = open('log', 'w')\ndef make():\n    LOG.write('made')\n    return nn.Linear(3, 2)\n"
    )
    words = [sys.executable, "-m", "ghn", "graph", "nothing:make", "-o", "x.json"]
    assert subprocess.run(words, cwd=tmp_path, capture_output=True, check=False).returncode == 2
    words[4] = "logs:make"
    subprocess.run(words, cwd=tmp_path, capture_output=True, check=False)
    assert (tmp_path / "log").read_text().startswith("made")
