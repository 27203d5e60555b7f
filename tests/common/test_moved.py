"""Modules that have another name than in version 0.1."""

import importlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

import ghn.draw
import ghn.graph.files
import ghn.meta
import ghn.training.state
from ghn.common.moved import MOVED


@pytest.fixture(autouse=True)
def imported_anew() -> Iterator[None]:
    for name in MOVED:
        sys.modules.pop(name, None)
    yield
    for name in MOVED:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", MOVED)
def test_a_name_of_before_warns_and_leads_to_modules_that_exist(name: str) -> None:
    for home in MOVED[name]:
        importlib.import_module(home)
    with pytest.warns(DeprecationWarning, match=f"{name} is {MOVED[name][0]}"):
        importlib.import_module(name)


def test_what_it_held_is_the_same_object() -> None:
    from ghn.graph.draw import from_json, save, to_svg
    from ghn.train import MetaTrainingConfig, finetune, train
    from ghn.train.state import CURRENT, load_state

    assert to_svg is ghn.draw.to_svg
    assert save is ghn.draw.save
    assert from_json is ghn.graph.files.from_json
    assert load_state is ghn.training.state.load_state
    assert CURRENT == ghn.training.state.CURRENT
    assert finetune is ghn.finetune
    assert MetaTrainingConfig is ghn.meta.MetaTrainingConfig
    assert train is ghn.meta.train


def test_everything_of_it_can_be_imported_at_once() -> None:
    names: dict[str, object] = {}
    exec("from ghn.train import *\nfrom ghn.train.state import *", names)
    assert names["MetaTrainingConfig"] is ghn.meta.MetaTrainingConfig
    assert names["load_state"] is ghn.training.state.load_state
    assert "load_state" in dir(importlib.import_module("ghn.train.state"))


def test_what_is_nowhere_is_an_error_that_names_the_place_of_today() -> None:
    with pytest.raises(ImportError, match="to_gif"):
        from ghn.graph.draw import to_gif  # noqa: F401
    module = importlib.import_module("ghn.train.state")
    with pytest.raises(AttributeError, match=r"it is ghn\.training\.state now"):
        module.nothing
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("ghn.train.nothing")


def test_nothing_of_it_is_loaded_with_the_library() -> None:
    program = "import sys, ghn, ghn.graph; print([name for name in sys.modules if name.startswith('ghn.train')])"
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
