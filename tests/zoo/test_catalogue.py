"""Names of all models, gathered and kept."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from ghn.zoo import build, catalogue
from ghn.zoo.catalogue import all_models, by_source, catalogue_file, installed, matching
from ghn.zoo.request import UnknownNameError


@pytest.fixture(autouse=True)
def gathered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Sources whose libraries need not be loaded, and a cache of our own; gives the names of those that were asked."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked: list[str] = []

    def names(library: str) -> list[str]:
        asked.append(library)
        return [f"{library}_net", "resnet50"]

    bare = replace(build.BARE, names=partial(names, "torchvision"))
    sources = {
        prefix: bare if source is build.BARE else replace(source, names=partial(names, str(source.library)))
        for prefix, source in build.SOURCES.items()
    }
    monkeypatch.setattr(catalogue, "SOURCES", sources)
    monkeypatch.setattr(catalogue, "BARE", bare)
    monkeypatch.setattr(catalogue, "version", lambda library: "1.0")
    return asked


NAMES = ["torchvision_net", "resnet50", "timm:timm_net", "timm:resnet50", "hf:transformers_net", "hf:resnet50"]


def test_names_are_gathered_once(gathered: list[str]) -> None:
    assert all_models() == NAMES
    assert all_models() == NAMES
    assert gathered == ["torchvision", "timm", "transformers"]
    assert catalogue_file().read_text().splitlines() == ["# torchvision=1.0 timm=1.0 transformers=1.0", *NAMES]


def test_another_version_has_other_names(gathered: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    all_models()
    monkeypatch.setattr(catalogue, "version", lambda library: "2.0")
    all_models()
    assert len(gathered) == 6


@pytest.mark.parametrize("content", [b"", b"\xff\n", b"# torchvision=1.0 timm=1.0 transformers=1.0\n", b"x\ny\n"])
def test_a_file_that_is_none_is_made_anew(content: bytes) -> None:
    catalogue_file().parent.mkdir(parents=True)
    catalogue_file().write_bytes(content)
    assert all_models() == NAMES
    assert catalogue_file().read_text().splitlines()[1:] == NAMES


def test_names_need_no_place_to_be_kept(tmp_path: Path) -> None:
    (tmp_path / "ghn").touch()
    assert all_models() == NAMES


def test_a_library_that_is_missing_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(library: str) -> str:
        if library == "timm":
            raise catalogue.PackageNotFoundError
        return "1.0"

    monkeypatch.setattr(catalogue, "version", version)
    assert installed()["timm"] is None
    assert by_source(all_models()) == {
        "torchvision": NAMES[:2],
        "timm": [],
        "transformers": NAMES[4:],
    }


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("resnet", ["resnet50", "timm:resnet50", "hf:resnet50"]),
        ("RESNET50", ["resnet50", "timm:resnet50", "hf:resnet50"]),
        ("resnet*", ["resnet50"]),
        ("timm:*", ["timm:timm_net", "timm:resnet50"]),
        ("*", NAMES),
        ("", NAMES),
        ("hf:", ["hf:transformers_net", "hf:resnet50"]),
        ("resnet5?", ["resnet50"]),
    ],
)
def test_patterns(pattern: str, found: list[str]) -> None:
    assert matching(pattern, NAMES) == found


def test_the_nearest_names() -> None:
    with pytest.raises(UnknownNameError, match=r"no model is called 'resnt50': did you mean resnet50 .*\(6 models\)"):
        matching("resnt50", NAMES)
    with pytest.raises(UnknownNameError, match="nothing is called like it"):
        matching("[x", NAMES)
