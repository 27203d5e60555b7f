"""What a constructor is given, and what becomes of what it raises."""

import warnings
from typing import Any

import pytest
import torch
from torch import nn

from ghn.zoo.constructors import BATCH, build_image_model, construct, example_images
from ghn.zoo.request import ModelRequest


class Sized(nn.Module):
    def __init__(self, img_size: int = 8, num_classes: int = 3) -> None:
        super().__init__()
        self.linear = nn.Linear(3 * img_size**2, num_classes)


class Paired(nn.Module):
    def __init__(self, input_size: tuple[int, int] = (8, 8)) -> None:
        super().__init__()
        self.linear = nn.Linear(input_size[0] * input_size[1], 3)


def computes_with_numbers(width: int = 3) -> nn.Module:
    assert torch.zeros(1).item() == 0
    return nn.Linear(width, width)


@pytest.mark.parametrize(("builder", "inputs"), [(Sized, 48), (Paired, 16), (lambda: nn.Linear(5, 2), 5)])
def test_the_image_size_reaches_what_wants_it(builder: Any, inputs: int) -> None:
    built = build_image_model(builder, {}, ModelRequest(name="x", image_size=4))
    assert next(built.model.parameters()).shape[1] == inputs
    assert built.example_inputs[0].shape == (BATCH, 3, 4, 4)


def test_what_wants_the_image_size_is_found_out_without_numbers() -> None:
    devices = []

    class Noted(Sized):
        def __init__(self, img_size: int = 8) -> None:
            super().__init__(img_size)
            devices.append(self.linear.weight.device.type)

    build_image_model(Noted, {}, ModelRequest(name="x", image_size=4))
    assert devices == ["meta", "cpu"]


def test_the_number_of_classes_wins_over_an_option_and_the_options_stay_as_they_were() -> None:
    options = {"num_classes": 5}
    assert build_image_model(Sized, options, ModelRequest(name="x", num_classes=7)).model.linear.out_features == 7  # type: ignore[union-attr]
    assert build_image_model(Sized, options, ModelRequest(name="x")).model.linear.out_features == 5  # type: ignore[union-attr]


def test_example_images() -> None:
    assert example_images(None) is None
    (images,) = example_images(6, channels=1)
    assert images.is_meta
    assert images.shape == (2, 1, 6, 6)


def test_on_the_meta_device_where_that_is_possible() -> None:
    request = ModelRequest(name="x", meta=True)
    assert construct(lambda: nn.Linear(2, 2), {}, request).weight.is_meta
    assert not construct(computes_with_numbers, {}, request).weight.is_meta
    assert not construct(lambda: nn.Linear(2, 2), {}, ModelRequest(name="x")).weight.is_meta


def test_constructors_are_quiet() -> None:
    def warns() -> nn.Module:
        warnings.warn("a default changes", UserWarning, stacklevel=1)
        return nn.Linear(1, 1)

    for meta in (False, True):
        construct(warns, {}, ModelRequest(name="x", meta=meta))


def test_what_is_raised_becomes_one_line() -> None:
    def fails() -> None:
        raise RuntimeError("no\n GPU")

    with pytest.raises(ValueError, match=r"^the:name cannot be built: RuntimeError: no GPU$"):
        construct(fails, {}, ModelRequest(name="the:name"))
    with pytest.raises(ValueError, match=r"^the:name takes no option depth; it takes .+$"):
        construct(Sized, {"depth": 3}, ModelRequest(name="the:name"))
    with pytest.raises(ValueError, match=r"^the:name takes no option witdh; did you mean width\?$"):
        construct(lambda width=1, depth=2: nn.Linear(width, depth), {"witdh": 3}, ModelRequest(name="the:name"))
    with pytest.raises(ValueError, match=r"^the:name takes no option depth; leave it out$"):
        construct(lambda **options: nn.Linear(1, 1, **options), {"depth": 3}, ModelRequest(name="the:name"))
