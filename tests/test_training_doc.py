"""What docs/training.md shows runs, and names what there is."""

from __future__ import annotations

import re
from dataclasses import fields

from ghn.cli import evaluate, train
from ghn.meta import RUNS
from ghn.meta.stepper import MetaStepper
from ghn.training.trainer import StepReport
from tests.documents import text

TEXT = text("docs/training.md")
TORCHRUN = {"--standalone", "--nproc-per-node", "--nnodes", "--rdzv-endpoint"}


def test_options_exist_and_no_ablation_switch_is_left_out() -> None:
    named = {flag.strip("`") for flag in re.findall(r"--[a-z][a-z-]+", TEXT)}
    known = {"--" + field.name.replace("_", "-") for kind in (train, evaluate) for field in fields(kind.Options)}
    known |= {flag.replace("--", "--no-", 1) for flag in known} | TORCHRUN | {"--ghn", "--compare"}
    assert named <= known
    switches = [field.name for field in fields(train.Options) if "(ablation)" in _description(field.name)]
    assert len(switches) == 8
    assert {"--" + name.replace("_", "-") for name in switches} <= named


def _description(option: str) -> str:
    # What several commands share is explained where it is declared.
    return "".join(re.findall(rf"^ +{option}: (.*)$", train.Options.__doc__ or "", re.MULTILINE))


def test_what_is_logged_is_named() -> None:
    report = {field.name for field in fields(StepReport)} - {"means", "units", "finite", "seconds", "stop"}
    parts = ("data", "hypernet_forward", "target_forward", "target_backward", "hypernet_backward", "optimizer")
    for name in [*MetaStepper.sums, *report, *(f"seconds_{part}" for part in parts), "memory_gb", "skipped"]:
        assert f"`{name}`" in TEXT, name


def test_runs_exist() -> None:
    names = set(re.findall(r"`((?:ghn3-t|ghn2|mlp|digits)-[a-z0-9-]+)`", TEXT))
    assert len(names) >= 8
    assert names <= set(RUNS)
