"""Options that several commands have: the same name, the same meaning, the same text in every one.

A command's `Options` takes them by type (`seed: Seed = 0`) and explains only what is its own.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg


def option(
    metavar: str | None = None,
    *,
    default: str | Callable[[str], str] | None = None,
    short: str | None = None,
    help: str | None = None,
) -> Any:
    """What the help says of an option, as an annotation.

    Args:
        metavar: What stands for its value.
        default: What happens without it, in words, where its default is no value to type, such as None: `its own`; or
            what makes these words from the default.
        short: Another name, such as `-o`.
        help: What it is, where the docstring of `Options` does not say so.
    """
    hint: dict[str, Any] = {}
    if callable(default):
        hint["help_behavior_hint"] = lambda text: f"(default: {default(text)})"
    elif default is not None:
        hint["help_behavior_hint"] = f"(default: {default})" if default else ""
    return arg(metavar=metavar, aliases=None if short is None else [short], help=help, **hint)


def switch(help: str | None = None) -> Any:
    """What the help says of something that is on or off: what giving it does, and no default.

    Args:
        help: As for `option`; of one that is on by default, say what `--no-NAME` does.
    """
    return option(default="", help=help)


MODEL = (
    "A model, built without its weights: NAME (torchvision, e.g. resnet50), timm:NAME, hf:TYPE (transformers, e.g. "
    "hf:vit), package.module:factory or file.py:factory; `ghn models` lists names. Options of its constructor may "
    "follow: NAME,option=value."
)
GHN = "a bundled or published name (see `ghn info`), user/repo on the model hub, a folder or a file."

RATES = "0.4 0.1 0.04 0.01 0.001 with sgd, 0.01 0.003 0.001 0.0003 0.0001 with others"
"""What `--learning-rates` is by default: `ghn.finetuning.config` says so too."""

GENTLER = "smaller --learning-rates, --warmup or --augment none may keep it"
"""What helps where a training is worse than its start, as a solved head is lost by rates that are for random ones."""

Model = Annotated[Positional[str], option("MODEL", help=MODEL)]
"""What the command works on."""

Hypernetwork = Annotated[str, option("NAME|PATH", help=f"The hypernetwork: {GHN}")]
"""`--ghn`."""

NumClasses = Annotated[int | None, option("N", default="its own", help="Outputs of the model's classification head.")]
ImageSize = Annotated[
    int | None,
    option("PIXELS", default="its own", help="Side of the square images that the model is built for and traced with."),
]
Data = Annotated[
    str,
    option(
        "DATA|FOLDER",
        help="Data set (cifar10, cifar100, digits, imagenet), or folder of <class>/*.jpg, or of train/ and test/ (or "
        "val/) that hold these.",
    ),
]
DataRoot = Annotated[
    str | None,
    option("FOLDER", default="$GHN_DATA or ~/.cache/ghn/data", help="Folder that holds the named data sets."),
]
Output = Annotated[Path | None, option("FILE", default="none", short="-o")]
"""The file that gets the result; `ghn.cli.support.files.check_output` before any work."""

OutputRequired = Annotated[Path, option("FILE", short="-o")]
Force = Annotated[bool, switch("Replace files that exist; without it they are refused before any work.")]
Folder = Annotated[
    Path | None,
    option(
        "FOLDER",
        default="nothing is kept",
        help="Keeps what is done as soon as it is done; the same command goes on from there, however it was ended.",
    ),
]
SEED = "Governs all that is drawn: the same seed, the same result."
Seed = Annotated[int, option("N", help=SEED)]
Device = Annotated[
    str | None,
    option("DEVICE", default="cuda where there is any", help="Where to compute: cpu, cuda or cuda:N."),
]
Quiet = Annotated[bool, switch("Show nothing but errors, and what --json prints.")]
Json = Annotated[bool, switch("Print the result as JSON instead of tables.")]


def check_seen(*, quiet: bool, json: bool, kept: bool) -> None:
    """See that a result goes anywhere.

    Args:
        quiet: What `--quiet` says.
        json: What `--json` says.
        kept: Whether a file or folder gets it.

    Raises:
        ValueError: In one line, if nobody would see it.
    """
    if quiet and not json and not kept:
        raise ValueError("--quiet shows no result, and nothing keeps it: add --output FILE, or --json")


def check_seed(seed: int) -> None:
    """See that PyTorch takes the seed.

    Raises:
        ValueError: In one line.
    """
    if not -(2**63) <= seed < 2**63:
        raise ValueError(f"--seed must fit in 64 bits, not {seed}")
