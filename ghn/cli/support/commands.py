"""Which commands there are."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "predict": "predict the parameters of a model and save them",
        "finetune": "train a model from a start, with the best learning rate of several",
        "explore": "look at a model and its values in the browser",
        "graph": "draw the computational graph of a model",
        "info": "describe a hypernetwork, or list those there are",
        "convert": "turn a released or training checkpoint into safetensors",
        "train": "train a hypernetwork by a named recipe",
        "evaluate": "accuracy of predicted networks without training them",
        "compare": "train a model from several starts, and say which is ahead",
        "watch": "curves of trainings in the browser, while they run",
        "experiment": "compute a table or figure of the paper, beside what was published",
        "analyze": "scores, rankings, diversity, variance, filters and graphs",
        "deepnets": "list, summarise and describe random architectures",
        "models": "list models by name",
        "completion": "print what completes commands, options and models in a shell",
    }
)
"""What `ghn --help` says of each command; the command's module has its name."""

IN_SHELL = ("models", "completion")
"""Commands whose modules are in `ghn.cli.shell`."""


def module_of(command: str) -> str:
    """Name of the module of a command."""
    return f"ghn.cli.shell.{command}" if command in IN_SHELL else f"ghn.cli.{command}"
