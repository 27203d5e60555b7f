"""`ghn analyze rank`: how well scores rank networks by their accuracy after training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from ghn.cli.analyses.scores import score_names
from ghn.cli.analyses.shared import StartOptions, check_outputs, failures, give, networks_of, number, told, working
from ghn.cli.support.options import RATES, option

if TYPE_CHECKING:
    from ghn.analysis.networks import Networks
    from ghn.analysis.ranking import Correlation
    from ghn.common.progress import Bar

PUBLISHED_ROWS = {"ghn2": "ghn2-m8", "ghn3-t": "ghn3-t-m8", "ghn3-xl": "ghn3-xl-m16"}


@dataclass(frozen=True, kw_only=True)
class Options(StartOptions):
    """How well scores rank networks: Kendall's tau with their accuracies.

    Beside it stand its interval of 95 %, over networks drawn with replacement,

    and what the paper's table 13 has.

    Attributes:
        score: gradnorm, snip, fisher, jacobcov, plain, grasp, synflow, synflow-bn, naswot, parameters, multiply-adds,
            accuracy (on the images, from the start); None for all.
        against: Accuracies to rank by. A .csv or .json file, FILE:COLUMN where it has several, e.g. what `ghn evaluate
            -o` wrote; published:1-epoch, published:trained (torchvision-74) or another published:COLUMN; or sgd:STEPS,
            which trains each network for so many steps on --data.
        learning_rates: For sgd:STEPS; None for five.
        test_images: For sgd:STEPS: most test images for each accuracy; None for all.
        resamples: Draws for the interval.
    """

    score: Annotated[tuple[str, ...], option("NAME", default="all")] = ()
    against: Annotated[str, option("FILE|published:COLUMN|sgd:STEPS")] = "published:1-epoch"
    learning_rates: Annotated[tuple[float, ...] | None, option("RATE", default=RATES)] = None
    test_images: Annotated[int | None, option("N", default="all")] = None
    resamples: Annotated[int, option("N")] = 1000


def run(options: Options) -> None:
    """Run the task.

    Raises:
        ValueError: In one line, for whatever the user can mend.
    """
    check_outputs(options)
    if options.resamples < 1:
        raise ValueError(f"--resamples must be at least 1, not {options.resamples}")
    with working(options) as bar:
        from ghn.analysis.networks import name_of
        from ghn.analysis.ranking import check_accuracies, correlations, scored

        names = score_names(options.score)
        known = _known(options.against)
        networks = networks_of(options)
        steps = _steps(options.against)
        if known is not None:
            check_accuracies(map(name_of, networks.candidates), known)
        count = len(networks.candidates)
        bar.begin(count * (len(networks.config.starts) + (1 if steps else 0)), "scores")
        found = scored(networks, names, folder=options.folder, progress=told(bar))
        notes = failures(found)
        accuracies = known if known is not None else _trained(options, networks, steps, bar)
        rows = correlations(found, accuracies, resamples=options.resamples, seed=options.seed)
    published = published_beside(networks, options.against)
    about = f"{count} networks, scores on {networks.shown}, against {Path(options.against).name}"
    record = {
        "task": "rank",
        "config": networks.config.to_dict(),
        "against": options.against,
        "correlations": [{**row.to_dict(), "published": published.get(row.score)} for row in rows],
        "accuracies": accuracies,
        "networks": [one.to_dict() for one in found],
    }

    def draw(file: Path) -> None:
        from ghn.analysis.figures.ranking import draw_ranking

        draw_ranking(rows, file, about, published)

    if give(options, record, record["correlations"], draw):  # type: ignore[arg-type]
        _show(about, rows, published, [*notes, *map(str, options.output)])


def _steps(against: str) -> int:
    """Steps of SGD that `sgd:STEPS` asks for; 0 for anything else."""
    prefix, _, steps = against.partition(":")
    if prefix != "sgd":
        return 0
    if not steps.isdigit() or not int(steps):
        raise ValueError(f"--against sgd:STEPS takes a number of steps, e.g. sgd:200, not {against!r}")
    return int(steps)


def _known(against: str) -> Mapping[str, float] | None:
    """Accuracies that need no training; None for `sgd:STEPS`."""
    from ghn.analysis.accuracies import read_accuracies
    from ghn.analysis.published import accuracies

    if _steps(against):
        return None
    prefix, _, column = against.partition(":")
    return accuracies(column) if prefix == "published" else read_accuracies(against)


def _trained(options: Options, networks: Networks, steps: int, bar: Bar) -> Mapping[str, float]:
    """Accuracies after SGD from the first start alone."""
    from ghn.analysis.accuracies import trained_accuracies

    alone = networks_of(options, starts=networks.config.starts[:1])
    return trained_accuracies(
        alone,
        steps,
        learning_rates=options.learning_rates,
        test_images=options.test_images,
        folder=options.folder,
        progress=told(bar),
    )


def published_beside(networks: Networks, against: str) -> Mapping[str, float | None]:
    """The column of table 13 that stands beside these networks, if one does."""
    from ghn.analysis.published import correlations, models

    if set(networks.config.models) == set(models()) and against in ("published:1-epoch", "published:trained"):
        return correlations(f"torchvision {against.partition(':')[2]}")
    if networks.config.splits and not networks.config.models:
        return correlations("deepnets 1-epoch")
    return {}


def _show(about: str, rows: Sequence[Correlation], published: Mapping[str, float | None], notes: Sequence[str]) -> None:
    from ghn.cli.support.terminal import make_table, show

    beside = ("published",) if published else ()
    several = len({row.start for row in rows}) > 1
    table = make_table(
        f"Kendall's tau: {about}",
        "score",
        *(("start",) if several else ()),
        "tau",
        "interval of 95 %",
        "networks",
        *beside,
        right=("tau", "networks", "published"),
    )
    for row in sorted(rows, key=lambda row: -row.tau if row.tau == row.tau else 2):
        known = (number(published.get(row.score), 2) or "-",) if published else ()
        interval = f"{row.low:+.2f} to {row.high:+.2f}" if row.reason is None else row.reason
        tau = f"{row.tau:+.3f}" if row.reason is None else "-"
        table.add_row(row.score, *((row.start,) if several else ()), tau, interval, str(row.networks), *known)
    source = ["published: table 13 of the GHN-3 paper, images of ImageNet"] if published else []
    show(table, *(["", *source, *notes] if source or notes else []))
