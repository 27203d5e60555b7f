"""Libraries that not every installation has."""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

RECORDED = ("ghn", "torch", "torchvision", "timm", "transformers", "numpy", "scipy")
"""Libraries whose versions stand beside results."""


def require(library: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional library.

    Args:
        library: Its name.
        extra: The extra of this package that installs it.
        purpose: What needs it, for the message.

    Raises:
        ValueError: In one line with the command that installs it, if it is missing.
    """
    try:
        return importlib.import_module(library)
    except ModuleNotFoundError as error:
        if error.name != library:
            raise
        raise ValueError(f'{purpose} needs {library}, which is not installed: pip install "ghn[{extra}]"') from None


def versions() -> dict[str, str]:
    """Version by name, of this package and the libraries that results depend on, where they are installed."""
    found = {}
    for name in RECORDED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
