"""What users write: a module object, or what a function or class returns."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import re
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from ghn.zoo.constructors import MOST_NAMED, SIZE_OPTIONS, construct, example_images
from ghn.zoo.names import near
from ghn.zoo.request import BuiltModel, ModelRequest, Source, UnknownNameError


def build(request: ModelRequest, name: str, options: dict[str, Any]) -> BuiltModel:
    """`package.module:factory` or `file.py:factory`, which gives a model, or a pair of one and its example inputs."""
    from torch import nn

    found = _find(request.name, *name.rsplit(":", 1))
    options = dict(options)
    if request.num_classes is not None and (not request.lenient or _takes(found, "num_classes")):
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


def _takes(found: Any, option: str) -> bool:
    """Whether a function or class has an option of that name, or takes any; a module object takes none."""
    from torch import nn

    if isinstance(found, nn.Module):
        return False
    accepted = inspect.signature(found).parameters.values()
    return any(it.name == option or it.kind is inspect.Parameter.VAR_KEYWORD for it in accepted)


def _find(name: str, module: str, attribute: str) -> Any:
    if not attribute:
        raise ValueError(f"{name!r} lacks a name after the colon: write package.module:factory or file.py:factory")
    try:
        found: Any = _load_file(Path(module)) if _is_file_name(module) else importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or _is_file_name(module) or not f"{module}.".startswith(f"{error.name}."):
            raise ValueError(f"importing {module} for {name} fails: {error}") from error
        raise UnknownNameError(f"there is no module {module!r} on the Python path") from None
    except UnknownNameError:
        raise
    except (Exception, SystemExit) as error:
        raise ValueError(f"importing {module} for {name} fails: {type(error).__name__}: {error}") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            hint = _with_commas(module, attribute) or _others(part, found)
            raise ValueError(f"{module} has no {attribute!r}{hint and f'; {hint}'}")
        found = getattr(found, part)
    if not callable(found):
        raise ValueError(f"{name} is {type(found).__name__}; it must be a function, a class or a torch.nn.Module")
    return found


def _with_commas(module: str, attribute: str) -> str:
    """How a call, as Python writes it, is written here."""
    call = re.fullmatch(r"([\w.]+)\((.*)\)", attribute, flags=re.DOTALL)
    if call is None:
        return ""
    options = f",{call[2]}" if call[2].strip() else ""
    return f"options follow after commas: {module}:{call[1]}{options}"


def _others(missed: str, found: Any) -> str:
    """What there is instead of a name: the near ones, or all functions and classes of its own where they are few."""
    names = [name for name in dir(found) if not name.startswith("_")]
    hint = near(missed, names)
    if hint or not isinstance(found, ModuleType):
        return hint
    here = vars(found).items()
    own = [name for name, it in here if name in names and getattr(it, "__module__", None) == found.__name__]
    return f"it has {', '.join(own)}" if 0 < len(own) <= MOST_NAMED else ""


def source_file(name: str) -> Path | None:
    """The file that a function or class of a name `module:factory` stands in; None where there is none.

    What that file imports is not looked into.
    """
    module, colon, _ = name.rpartition(":")
    if not colon or not module:
        return None
    if _is_file_name(module):
        return Path(module).expanduser()
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return None
    return None if spec is None or not spec.has_location or spec.origin is None else Path(spec.origin)


def _is_file_name(module: str) -> bool:
    return module.endswith(".py") or "/" in module or os.sep in module


def _load_file(path: Path) -> ModuleType:
    """The module in a file, made once; its neighbours can be imported meanwhile, as when Python runs the file."""
    path = Path(os.path.abspath(path.expanduser()))
    if not path.is_file():
        hint = near(path.name, [file.name for file in path.parent.glob("*.py")])
        raise UnknownNameError(f"there is no file {path}{hint and f'; {hint}'}")
    name = f"{path.stem}@{path}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path, loader=SourceFileLoader(name, str(path)))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Data classes and pickles look their module up.
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        sys.path.remove(str(path.parent))
    return module


SOURCE = Source(usage="package.module:factory (also file.py:factory)", build=build)
