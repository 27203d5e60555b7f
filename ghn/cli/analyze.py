"""`ghn analyze`: see what networks and starts are like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Annotated, Any, Union

from tyro.conf import OmitArgPrefixes, OmitSubcommandPrefixes, arg, subcommand

from ghn.cli.analyses import diversity, filters, map, rank, scores, statistics, variance

TASKS: Mapping[str, tuple[ModuleType, str]] = MappingProxyType(
    {
        "scores": (scores, "scores of untrained networks: GradNorm, SNIP, ..., NASWOT"),
        "rank": (rank, "how well scores rank networks by their accuracy (table 13)"),
        "diversity": (diversity, "how unlike tensors of equal shape are (table 9)"),
        "variance": (variance, "how large activations are, layer by layer (figures 6, 9)"),
        "filters": (filters, "filters of first layers as a picture (figure 2)"),
        "statistics": (statistics, "sizes, degrees and paths of graphs (table 3)"),
        "map": (map, "a map of architectures, as a hypernetwork sees them"),
    }
)
"""Every task, with what `ghn analyze --help` says of it."""

if TYPE_CHECKING:
    Subcommands = Any
else:
    _ALL = tuple(
        Annotated[module.Options, subcommand(name, description=summary, prefix_name=False)]
        for name, (module, summary) in TASKS.items()
    )
    Subcommands = OmitArgPrefixes[OmitSubcommandPrefixes[Annotated[Union[_ALL], arg(name="")]]]  # noqa: UP007


@dataclass(frozen=True, kw_only=True)
class Options:
    """See what networks and starts are like, in numbers and pictures.

    `ghn analyze TASK --help` shows a task's options.

    Attributes:
        task: What to look at.
    """

    task: Subcommands


def run(options: Options) -> None:
    """Run the task.

    Raises:
        ValueError: In one line, for whatever the user can mend.
    """
    task = options.task
    module = next(module for module, _ in TASKS.values() if type(task) is module.Options)
    module.run(task)
