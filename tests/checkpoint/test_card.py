"""Model cards are complete, valid for the hub, and their example and citation are sound."""

import re

import pytest
from huggingface_hub import ModelCard

from ghn.checkpoint.architecture import expected_shapes
from ghn.checkpoint.card import PARTS, RELEASES, model_card, parameter_counts, preset_of
from ghn.graph.vocabulary import PRIMITIVES
from ghn.hypernet.config import PRESETS, GHNConfig
from tests.checkpoint.files import TINY

TOTALS = {"ghn3-t": 6_906_632, "ghn3-s": 35_810_368, "ghn3-l": 214_668_960, "ghn3-xl": 654_365_184, "ghn2": 2_319_720}


@pytest.mark.parametrize("name", PRESETS)
def test_card_of_every_preset(name: str) -> None:
    config = GHNConfig.preset(name)
    shapes = expected_shapes(config)
    card = ModelCard(model_card(config, shapes, training={"images": "CIFAR-10"}, results="accuracy 1 %"))
    assert card.data.to_dict()["library_name"] == "ghn"
    assert "pytorch_model_hub_mixin" in card.data.to_dict()["tags"]
    assert f"# {name}\n" in card.text
    assert all(f"`{primitive}`" in card.text for primitive in PRIMITIVES)
    assert all(f"| {field} | {value} |" in card.text for field, value in config.to_dict().items())
    assert "| images | CIFAR-10 |" in card.text
    assert "accuracy 1 %" in card.text
    if name in TOTALS:
        assert f"| total | {TOTALS[name]:,} |" in card.text
    assert not re.search(r"None|\{[^}\w]*\}|More Information Needed", card.text)
    example = card.text.split("```python\n")[1].split("```")[0]
    compile(example, "example", "exec")


def test_unknown_training_is_said_to_be_unknown() -> None:
    assert "Not recorded." in model_card(TINY, expected_shapes(TINY))


@pytest.mark.parametrize("name", PRESETS)
def test_counts_cover_every_parameter(name: str) -> None:
    shapes = expected_shapes(GHNConfig.preset(name))
    assert {key.partition(".")[0] for key in shapes} <= set(PARTS)
    assert sum(parameter_counts(shapes).values()) == TOTALS.get(name, sum(parameter_counts(shapes).values()))


def test_presets_are_recognised_whatever_the_classes() -> None:
    assert preset_of(GHNConfig.preset("ghn3-l", num_classes=7, spatial=9)) == "ghn3-l"
    assert preset_of(TINY) is None


@pytest.mark.parametrize("name", RELEASES)
def test_releases_are_presets(name: str) -> None:
    assert RELEASES[name].preset in PRESETS


HOSTILE = [
    "a`<img src=x onerror=alert(1)>`.pt",
    "a`\n---\nlicense: other\n---\n# x",
    "a`](javascript:alert(1))",
    "\x1b[2J",
    "\udcff",
    "a|b",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_what_others_named_is_no_markup(name: str) -> None:
    shapes = expected_shapes(TINY)
    card = model_card(TINY, shapes, source=name, training={"command": f"`{name}`", "images": name})
    plain = model_card(TINY, shapes, source="x", training={"command": "`x`", "images": "x"})
    assert len(card.splitlines()) == len(plain.splitlines())
    assert card.encode("utf-8").decode().replace("\n", "").isprintable()
    line = next(line for line in card.splitlines() if "Converted from" in line)
    assert line.count("`") == 2
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 3 for row in card.splitlines() if row.startswith("| "))
    assert "\n---\nlicense: other" not in card
