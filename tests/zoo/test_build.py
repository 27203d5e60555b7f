"""Which source a name means, and what is said of names that mean none."""

import importlib
import pkgutil
import sys
from pathlib import Path

import pytest

from ghn.zoo import BuiltModel, ModelRequest, build_model, digest, sources
from ghn.zoo.build import BARE, OTHER, SOURCES
from ghn.zoo.request import Source
from tests.zoo.models import build, head, refusal

pytestmark = pytest.mark.usefixtures("users_modules")
USAGE = "models are named NAME (torchvision), timm:NAME, hf:NAME or package.module:factory"


@pytest.mark.parametrize("name", ["squeezenet1_1", "timm:resnet10t", "hf:resnet,depths=[1,1,1,1]", "zoo:net"])
def test_number_of_classes(name: str) -> None:
    assert head(build(name, num_classes=7)) == 7


def test_every_source_is_registered() -> None:
    modules = [
        importlib.import_module(f"{sources.__name__}.{found.name}") for found in pkgutil.iter_modules(sources.__path__)
    ]
    registered = [*SOURCES.values(), BARE, OTHER]
    assert len(modules) == 4
    assert all(module.SOURCE in registered for module in modules)


def test_another_source_needs_a_prefix_only(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def note(request: ModelRequest, name: str, options: dict[str, object]) -> BuiltModel:
        seen.append((request.name, name, options))
        return build_model(ModelRequest(name="zoo:net"))

    monkeypatch.setattr("ghn.zoo.build.SOURCES", {**SOURCES, "new": Source(usage="new:NAME", build=note)})
    build("new:a:b,width=3")
    assert seen == [("new:a:b,width=3", "a:b", {"width": 3})]
    assert "hf:NAME, new:NAME or package.module:factory" in refusal("nowhere:net")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("resnet5", ["torchvision has no model 'resnet5'", "did you mean resnet50", USAGE]),
        ("nowhere:net", ["there is no module 'nowhere' on the Python path", USAGE]),
        ("", ["torchvision has no model ''", USAGE]),
        ("resnet50.PTH", ["a file of weights says nothing of the architecture", USAGE]),
        ("mymodel.build", ["for a function of a module write mymodel:build"]),
    ],
)
def test_where_no_source_was_named_all_are(name: str, parts: list[str]) -> None:
    line = refusal(name)
    assert all(part in line for part in parts), line


@pytest.mark.parametrize("name", ["torchvision:resnet5", "timm:resnet55", "hf:brt"])
def test_where_a_source_was_named_no_others_are(name: str) -> None:
    assert "models are named" not in refusal(name)


@pytest.mark.parametrize(
    ("library", "name", "extra"),
    [("torchvision", "resnet18", "vision"), ("timm", "timm:resnet18", "vision"), ("transformers", "hf:bert", "text")],
)
def test_missing_libraries(library: str, name: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    assert refusal(name) == f'the model {name!r} needs {library}, which is not installed: pip install "ghn[{extra}]"'


def test_a_users_file_has_a_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "mine.py"
    file.write_text("x = 1")
    first = digest("mine.py:make,width=3")
    assert first == digest(f"{file}:make") != ""
    file.write_text("x = 2")
    assert digest("mine.py:make") != first
    assert digest("zoo:net") != ""
    assert [digest(name) for name in ("resnet18", "timm:resnet10t", "nowhere:net", "nowhere.py:net", ":", "")] == [
        ""
    ] * 6
