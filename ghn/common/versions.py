"""What software a result was computed with."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

RECORDED = ("ghn", "torch", "torchvision", "timm", "transformers", "numpy", "scipy")


def versions() -> dict[str, str]:
    """Version by name, of this package and the libraries that results depend on, where they are installed."""
    found = {}
    for name in RECORDED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
