"""What docs/deepnets.md names is what there is."""

from __future__ import annotations

import re

from ghn.deepnets import SPLITS
from tests.documents import text

TEXT = text("docs/deepnets.md")


def test_every_split_is_named() -> None:
    rows = re.findall(r"^\| (`.*?`) \|", TEXT, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`([a-z]+)`", row)} == {*SPLITS, "predefined"}
