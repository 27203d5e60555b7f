"""States of the right form and wrong content are refused before PyTorch believes them."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ghn.common.untrusted.run_states import check_optimizer_state
from ghn.training.state import StateError, load_state, save_state
from tests.training.test_loop import CONFIG, make, run, works


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("run")
    run(CONFIG, folder, stop_after=2)
    state = load_state(folder)
    assert state is not None
    return state


def of_parameters(change: Callable[[Any], Any], *names: str) -> Callable[[dict[str, Any]], None]:
    """Changes what the optimiser keeps of each parameter under these names."""

    def changed(state: dict[str, Any]) -> None:
        for kept in state["optimizer"]["state"].values():
            kept.update({name: change(kept[name]) for name in names})

    return changed


def of_run(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda state: state.update(changes)


def of_group(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda state: state["optimizer"]["param_groups"][0].update(changes)


def of_weights(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[dict[str, Any]], None]:
    return lambda state: state.update(linear={name: change(value) for name, value in state["linear"].items()})


CASES: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    **{
        f"{name} = {value!r}": (of_run(**{name: value}), f"{name} is no")
        for name, values in {
            "step": (-5, True, 2.5, "2", 10**30, None),
            "elapsed": (math.nan, math.inf, "x", -1, None),
            "skipped": (None, -3, [1]),
            "out_of_memory": ("x",),
            "nonfinite_in_a_row": ("x", -(10**9)),
        }.items()
        for value in values
    },
    "scaler of something else": (of_run(scaler={"x": 1}), "scaler of losses"),
    "scale of nothing": (
        lambda state: state.update(
            scaler={"scale": 0.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 1}
            | {"_growth_tracker": 0}
        ),
        "scaler of losses",
    ),
    # A fused AdamW wrote past the ends of these.
    "moments of one element": (
        of_parameters(lambda value: value.flatten()[:1], "exp_avg", "exp_avg_sq"),
        "has the shape",
    ),
    "moments of integers": (of_parameters(lambda value: value.long(), "exp_avg"), "torch.int64"),
    "complex moments": (of_parameters(lambda value: value + 0j, "exp_avg_sq"), "complex64"),
    "sparse moments": (of_parameters(lambda value: value.to_sparse(), "exp_avg_sq"), "no dense tensor"),
    "moments of text": (of_parameters(lambda _: "x", "exp_avg"), "no dense tensor"),
    "steps of text": (of_parameters(lambda _: "x", "step"), "step of parameter 0"),
    "many steps": (of_parameters(lambda _: torch.ones(7), "step"), "step of parameter 0"),
    "negative steps": (of_parameters(lambda _: torch.tensor(-1.0), "step"), "step of parameter 0"),
    "no moments": (lambda state: state["optimizer"].update(state={}), "moments are missing"),
    "half of the moments": (lambda state: state["optimizer"]["state"][0].pop("exp_avg_sq"), "moments are missing"),
    "of a parameter too many": (
        lambda state: state["optimizer"]["state"].update({99: state["optimizer"]["state"][0]}),
        "parameters that there are not",
    ),
    "other parameters": (of_group(params=[1, 0]), "other parameters"),
    "two groups": (lambda state: state["optimizer"]["param_groups"].append({"params": []}), "other parameters"),
    "rate of text": (of_group(lr="x"), "lr cannot be x"),
    "one beta": (of_group(betas=5), "betas cannot be 5"),
    "endless decay": (of_group(weight_decay=math.inf), "weight_decay cannot be inf"),
    "complex weights": (of_weights(lambda value: value + 0j), "complex64"),
    "sparse weights": (of_weights(lambda value: value.to_sparse()), "no dense tensor"),
    "short weights": (of_weights(lambda value: value[:1]), "has the shape"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_no_run_leaves(saved: dict[str, Any], tmp_path: Path, case: str) -> None:
    change, message = CASES[case]
    state = copy.deepcopy(saved)
    change(state)
    save_state(tmp_path, state)
    with pytest.raises(StateError, match=message) as caught:
        make(CONFIG, tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_what_another_pytorch_left_out_is_the_optimizers_own(saved: dict[str, Any], tmp_path: Path) -> None:
    state = copy.deepcopy(saved)
    del state["optimizer"]["param_groups"][0]["eps"]
    save_state(tmp_path, state)
    made = make(CONFIG, tmp_path)
    made.go(works())
    assert made.trainer.step_count == CONFIG.steps


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adagrad, torch.optim.RMSprop, torch.optim.AdamW])
def test_every_optimizers_own_state_is_taken_up(optimizer: Any) -> None:
    layer = nn.Linear(3, 2)
    made = optimizer(layer.parameters(), lr=0.1)
    for _ in range(2):
        layer(torch.ones(1, 3)).sum().backward()
        made.step()
    again = optimizer(layer.parameters(), lr=0.1)
    again.load_state_dict(check_optimizer_state(made.state_dict(), again, 2))
    assert str(again.state_dict()) == str(made.state_dict())
