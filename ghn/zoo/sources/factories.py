"""What users write: a module object, or what a function or class returns."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from ghn.zoo.constructors import SIZE_OPTIONS, construct, example_images
from ghn.zoo.names import near
from ghn.zoo.request import BuiltModel, ModelRequest, Source, UnknownNameError


def build(request: ModelRequest, name: str, options: dict[str, Any]) -> BuiltModel:
    """`package.module:factory`, which gives a model, or a pair of a model and its example inputs."""
    from torch import nn

    found = _find(request.name, *name.split(":", 1))
    options = dict(options)
    if request.num_classes is not None:
        options["num_classes"] = request.num_classes
    if request.image_size is not None and not isinstance(found, nn.Module):
        accepted = inspect.signature(found).parameters
        options |= {option: request.image_size for option in SIZE_OPTIONS if option in accepted}
    inputs = example_images(request.image_size)
    if isinstance(found, nn.Module):
        if options:
            raise ValueError(f"{request.name} is a module already and takes no options ({', '.join(options)})")
        return BuiltModel(model=found, example_inputs=inputs)
    built = construct(found, options, request)
    if isinstance(built, tuple) and len(built) == 2:
        built, own_inputs = built
        inputs = own_inputs if inputs is None else inputs
    if not isinstance(built, nn.Module):
        raise ValueError(
            f"{request.name} returns {type(built).__name__}; it must return a torch.nn.Module, or a pair of one and "
            "its example inputs"
        )
    return BuiltModel(model=built, example_inputs=inputs)


def _find(name: str, module: str, attribute: str) -> Any:
    if not attribute:
        raise ValueError(f"{name!r} lacks a name after the colon: write package.module:factory")
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise ValueError(f"importing {module} for {name} fails: {error}") from error
        raise UnknownNameError(f"there is no module {module!r} on the Python path") from None
    except Exception as error:
        raise ValueError(f"importing {module} for {name} fails: {type(error).__name__}: {error}") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            hint = near(part, [other for other in dir(found) if not other.startswith("_")])
            raise ValueError(f"{module} has no {attribute!r}{hint and f'; {hint}'}")
        found = getattr(found, part)
    if not callable(found):
        raise ValueError(f"{name} is {type(found).__name__}; it must be a function, a class or a torch.nn.Module")
    return found


SOURCE = Source(usage="package.module:factory", build=build)
