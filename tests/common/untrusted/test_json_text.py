"""JSON that is deep, wide or no JSON is refused before it takes time or memory."""

import json
import resource
import time
from pathlib import Path

import pytest

from ghn.common.untrusted.errors import FormatError
from ghn.common.untrusted.json_text import parse_json, read_json

BAD = {
    "deep": ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
    "deep objects": ('{"a":' * 100_000 + "1" + "}" * 100_000, "nested too deeply"),
    "wide": ("[" + "[]," * 2_000_000 + "[]]", "would take"),
    "objects": ("[" + "{}," * 2_000_000 + "{}]", "would take"),
    "long number": ("1" * 5000, "is no JSON"),
    "no number": ('{"a": NaN}', "NaN, which is no number"),
    "endless number": ("[-Infinity]", "-Infinity, which is no number"),
    "text": ("hello", "is no JSON"),
    "nothing": ("", "is no JSON"),
}


@pytest.mark.parametrize("case", BAD)
def test_refused_at_once(case: str) -> None:
    text, message = BAD[case]
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(FormatError, match=message):
        parse_json(text)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB
    assert time.process_time() - start < 5


def test_ordinary_text_is_read(tmp_path: Path) -> None:
    value = {"a": [1, 2.5, None, "x"], "b": {}}
    assert parse_json(json.dumps(value)) == value
    (tmp_path / "file").write_text(json.dumps(value), encoding="utf-8")
    assert read_json(tmp_path / "file", 1000) == value


def test_files_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b'"\xff"')
    with pytest.raises(FormatError, match=r"no text in UTF-8 \(byte 1\)"):
        read_json(tmp_path / "file", 100)
