"""What a rank's part of a step adds up to."""

from __future__ import annotations

import math
import time

import pytest
import torch

from ghn.training.stepper import COUNTED, Tally


def a_tally() -> Tally:
    return Tally(("loss", "right"), ("pass",), scale=0.25, step=3, clock=time.perf_counter, device=torch.device("cpu"))


def test_sums_and_units_add_up() -> None:
    tally = a_tally()
    tally.add(torch.tensor(2.0), torch.tensor(1.0), units=3)
    tally.add(torch.tensor(0.5), torch.tensor(4))
    tally.lack_memory(2)
    tally.lack_memory(1)
    tally.set("stop", 1.0)
    assert tally.read() == {"loss": 2.5, "right": 5.0, "units": 4.0, "out_of_memory": 3.0, "stop": 1.0, "elapsed": 0.0}
    assert tally.names == ("loss", "right", *COUNTED)
    assert tally.seconds == {"pass": 0.0}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.int64])
def test_units_are_counted_whatever_the_type_of_the_sums(dtype: torch.dtype) -> None:
    tally = a_tally()
    tally.add(torch.tensor(2, dtype=dtype), torch.tensor(1.0), units=4097)
    assert (tally.read()["units"], tally.read()["loss"]) == (4097, 2)


@pytest.mark.parametrize("sums", [1, 3])
def test_another_number_of_sums_is_an_error(sums: int) -> None:
    with pytest.raises(AssertionError, match=f"{sums} sums for "):
        a_tally().add(*[torch.tensor(1.0)] * sums)


def test_what_is_spoilt_stays_so() -> None:
    tally = a_tally()
    tally.spoil()
    tally.add(torch.tensor(1.0), torch.tensor(1.0))
    assert math.isnan(tally.read()["loss"])
    assert tally.read()["right"] == 1
