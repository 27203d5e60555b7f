"""The list of experiments, which is made without loading any."""

from __future__ import annotations

import subprocess
import sys

from ghn.experiments.catalogue import experiment_named
from ghn.experiments.listing import EXPERIMENTS


def test_every_entry_leads_to_the_experiment_of_its_name() -> None:
    for name, entry in EXPERIMENTS.items():
        experiment = experiment_named(name)
        assert experiment.name == name
        assert experiment.title == entry.title


def test_listing_is_light() -> None:
    program = "import ghn.experiments.listing, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
