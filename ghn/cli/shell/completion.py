"""`ghn completion`: what a shell needs to complete commands, options and names of models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import Positional

from ghn.cli.support.options import option
from ghn.common.progress import Bar


@dataclass(frozen=True, kw_only=True)
class Options:
    """Print what completes commands, options and names of models in a shell.

    bash: ghn completion bash > ~/.local/share/bash-completion/completions/ghn

    zsh: ghn completion zsh > FOLDER/_ghn, of a folder in $fpath

    fish: ghn completion fish > ~/.config/fish/completions/ghn.fish

    Names of models are those that `ghn models` has gathered last.
    """

    shell: Annotated[Positional[Literal["bash", "zsh", "fish"]], option(help="For which shell.")]


def run(options: Options) -> None:
    """Run the command."""
    with Bar("gathering what can be typed"):
        from ghn.cli.shell.scripts import SCRIPTS
        from ghn.cli.shell.words import all_commands
        from ghn.zoo.catalogue import all_models

        all_models()
        script = SCRIPTS[options.shell](all_commands())
    print(script, end="")
