"""What docs/comparing.md shows compares what it says."""

from __future__ import annotations

import pytest

from ghn.cli.compare import configured
from tests.documents import blocks, commands, options_of

pytest.importorskip("sklearn")


def test_the_command_compares_a_calibrated_start_with_a_calibrated_one() -> None:
    listing, comparing = commands("docs/comparing.md")
    assert options_of(listing[1:]).list
    config = configured(options_of(comparing[1:]))
    assert {"default+calibrate", "ghn+calibrate"} < set(config.inits)
    assert config.seeds > 2


@pytest.mark.slow
def test_the_program_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (program,) = blocks("docs/comparing.md", "python")
    exec(program.code, {})
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["default", "ghn+calibrate"]
