"""`ghn completion`: what a shell needs to complete commands, options and names of models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Literal

from tyro.conf import Positional

from ghn.cli.support.options import option

WHERE: Mapping[str, str] = MappingProxyType(
    {
        "bash": 'eval "$(ghn completion bash)" in ~/.bashrc',
        "zsh": 'eval "$(ghn completion zsh)" in ~/.zshrc, after compinit',
        "fish": "ghn completion fish | source in ~/.config/fish/config.fish",
    }
)
"""How each shell reads it."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Print what completes commands, options, their values and names of models in a shell.

    bash: eval "$(ghn completion bash)" in ~/.bashrc

    zsh: eval "$(ghn completion zsh)" in ~/.zshrc, after compinit

    fish: ghn completion fish | source in ~/.config/fish/config.fish

    Names of models are those that `ghn models` has gathered last.
    """

    shell: Annotated[Positional[Literal["bash", "zsh", "fish"]], option(help="For which shell.")]


def run(options: Options) -> None:
    """Run the command."""
    from ghn.cli.shell.scripts import SCRIPTS
    from ghn.cli.shell.words import all_commands

    print(SCRIPTS[options.shell](all_commands()), end="")
