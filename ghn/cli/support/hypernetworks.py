"""Which hypernetwork a command uses."""

from __future__ import annotations

DEFAULT_HYPERNETWORK = "ghn3-t-cifar10"
"""Comes with the package; the only one that needs no download."""


def chosen_name(name: str) -> str:
    """The name as given, once it is known to lead somewhere; nothing is loaded or downloaded.

    Args:
        name: As given to `--ghn`.

    Raises:
        ValueError: In one line, if there is no such hypernetwork.
    """
    from ghn.checkpoint.hub import bundled, resolve

    if name == DEFAULT_HYPERNETWORK and name not in bundled():
        raise ValueError(
            f"this installation does not hold the hypernetwork {name}: name another with --ghn, e.g. ghn3tm8 or "
            "ghn3xlm16 (downloaded at first use), a folder or a file; `ghn info` lists them"
        )
    resolve(name)
    return name
