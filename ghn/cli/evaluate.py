"""`ghn evaluate`: accuracy of predicted parameters on unseen networks, without any training of these."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from ghn.cli.hypernetworks import DEFAULT_HYPERNETWORK, chosen_name

if TYPE_CHECKING:
    from ghn.evaluate import Evaluation


@dataclass(frozen=True, kw_only=True)
class Options:
    """Predict unseen networks and run them on test images, without training.

    Batch norms use the statistics of batches of 64 test images.

    Attributes:
        ghn: The hypernetwork: a bundled or published name (see `ghn info`), user/repo on the model hub, a folder or
            a file.
        data: Data set: cifar10, cifar100 or digits.
        data_root: Folder that holds the data set; None for the default.
        test: Networks of the split test, in the distribution of the training networks.
        wide: Networks of the split wide, with more channels.
        deep: Networks of the split deep, with more cells.
        dense: Networks of the split dense, with larger cells.
        bnfree: Networks of the split bnfree, without batch norms.
        metadata: Published JSON file (deepnets1m_eval_meta.json) to take the networks from; None draws them.
        predefined: Also evaluate ResNet-50 and a vision transformer.
        images: Test images for each network, other ones for each; None for all, at most as many as there are.
        seed: Governs their order.
        output: A .json file for the results of each network.
        device: cpu, cuda or cuda:N; None for CUDA where there is any.
        json: Print JSON instead of a table.
    """

    ghn: Annotated[Positional[str], arg(metavar="NAME|PATH")] = DEFAULT_HYPERNETWORK
    data: Annotated[str, arg(metavar="NAME")] = "cifar10"
    data_root: Annotated[str | None, arg(metavar="FOLDER")] = None
    test: Annotated[int, arg(metavar="N")] = 100
    wide: Annotated[int, arg(metavar="N")] = 20
    deep: Annotated[int, arg(metavar="N")] = 20
    dense: Annotated[int, arg(metavar="N")] = 20
    bnfree: Annotated[int, arg(metavar="N")] = 20
    metadata: Annotated[str | None, arg(metavar="FILE")] = None
    predefined: bool = True
    images: Annotated[int | None, arg(metavar="N")] = None
    seed: Annotated[int, arg(metavar="N")] = 0
    output: Annotated[Path | None, arg(aliases=["-o"], metavar="FILE")] = None
    device: Annotated[str | None, arg(metavar="DEVICE")] = None
    json: bool = False


def run(options: Options) -> None:
    """Run the command.

    Raises:
        ValueError: In one line, for whatever the user can mend.
    """
    from ghn.cli.files import check_writable, replaced
    from ghn.cli.terminal import Steps

    if options.output is not None:
        check_writable(options.output, (".json",))
    name = chosen_name(options.ghn)
    steps = Steps(quiet=options.json)
    with steps.step("loading libraries"):
        from ghn.evaluate import EvaluationConfig, evaluate
        from ghn.model import from_pretrained

    counts = {split: getattr(options, split) for split in ("test", "wide", "deep", "dense", "bnfree")}
    config = EvaluationConfig(
        data=options.data,
        data_root=options.data_root,
        splits={split: count for split, count in counts.items() if count},
        metadata=options.metadata,
        predefined=options.predefined,
        images=options.images,
        seed=options.seed,
    )
    device = _device(options.device)
    with steps.step(f"loading {name}"):
        hypernet = from_pretrained(name, device=device)
    with steps.step("running predicted networks"):
        evaluation = evaluate(hypernet, config)
    record = {"command": "evaluate", "hypernetwork_name": options.ghn, **evaluation.to_dict()}
    if options.output is not None:
        with replaced(options.output) as file:
            file.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    if options.json:
        print(json.dumps(record, indent=2))
    else:
        _show(options, evaluation)


def _device(name: str | None) -> str:
    """The device of that name; by default CUDA where there is any."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name is None:
        return "cuda" if count else "cpu"
    parts = re.fullmatch(r"cpu|cuda(?::([0-9]+))?", name)
    if parts is None:
        raise ValueError(f"--device must be cpu, cuda or cuda:N, not {name!r}")
    if name != "cpu" and int(parts[1] or 0) >= count:
        there = f"PyTorch finds only cuda:0 to cuda:{count - 1}" if count else "PyTorch finds no CUDA device"
        raise ValueError(f"--device {name}: {there}; choose another, or cpu")
    return name


def _show(options: Options, evaluation: Evaluation) -> None:
    from ghn.cli.terminal import make_table, show

    numbers = ("networks", "accuracy", "range")
    images = evaluation.networks[0].images
    title = f"{options.ghn} on {options.data}, {images:,} test images, top-1 in per cent"
    table = make_table(title, "split", *numbers, right=numbers)
    for row in evaluation.rows():
        table.add_row(*_cells(row))
    show(table)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    if row["networks"] == 1:
        return row["split"], "1", f"{row['mean']:.1f}", ""
    return (
        row["split"],
        str(row["networks"]),
        f"{row['mean']:.1f} ± {row['std']:.1f}",
        f"{row['least']:.1f} to {row['most']:.1f}",
    )
