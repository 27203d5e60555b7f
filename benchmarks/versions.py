"""Whether a revision traces and predicts what another one did, and how fast, model by model in one run.

    python -m benchmarks.versions --before 2309e9c                      # torchvision, timm families, transformers
    python -m benchmarks.versions --before HEAD~5 --only torchvision --repeat 3

Each model is built in two processes, one for each revision (checked out aside), that take turns. Compared are how it
was traced, which parameters are predicted and why others are kept, the graph (primitives and edges, whatever the order
of parallel branches), and the norm of all that is predicted; times are the least of `--repeat` initialisations.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.common import markdown, save
from benchmarks.coverage import smallest_of_families
from benchmarks.transformers_models import TINY_MODELS

WORKER = '''
import hashlib, inspect, json, logging, sys, time, warnings

import torch

logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")
import ghn
from benchmarks.transformers_models import build_tiny


def build(kind, name):
    if kind == "torchvision":
        import torchvision

        builder = torchvision.models.get_model_builder(name)
        weights = [option for option in inspect.signature(builder).parameters if option.startswith("weights")]
        return builder(**dict.fromkeys(weights))
    if kind == "timm":
        import timm

        return timm.create_model(name)
    return build_tiny(name)


def fingerprint(graph):
    """Of a graph up to the order of its nodes: each node's primitive, parameters, shape, refined by its neighbours."""
    labels = [f"{node.op} {sorted(node.parameters)} {node.shape}" for node in graph.nodes]
    edges = graph.edges.tolist()
    for _ in range(4):
        into, out = [[] for _ in labels], [[] for _ in labels]
        for source, target in edges:
            into[target].append(labels[source])
            out[source].append(labels[target])
        labels = [
            hashlib.sha256(repr((own, sorted(i), sorted(o))).encode()).hexdigest()
            for own, i, o in zip(labels, into, out)
        ]
    return hashlib.sha256(repr(sorted(labels)).encode()).hexdigest()[:16]


torch.manual_seed(0)
hypernet = ghn.GHN(ghn.GHNConfig.preset("ghn3-t")).eval()
print("ready", flush=True)
for line in sys.stdin:
    job = json.loads(line)
    try:
        torch.manual_seed(0)
        model = build(job["kind"], job["name"])
        graph = ghn.trace(model)
        seconds = []
        for _ in range(job["repeat"]):
            began = time.perf_counter()
            report = hypernet.initialize(model)
            seconds.append(time.perf_counter() - began)
        row = {
            "traced by": graph.traced_by,
            "graph": fingerprint(graph),
            "predicted": hashlib.sha256(repr(sorted(report.predicted)).encode()).hexdigest()[:16],
            "kept": hashlib.sha256(repr(sorted((n, str(r)) for n, r in report.kept.items())).encode()).hexdigest()[:16],
            "fraction": report.fraction,
            "norm": report.total_norm,
            "seconds": min(seconds),
        }
    except Exception as error:
        row = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}
    print(json.dumps(row), flush=True)
'''

COLUMNS = {"models": "", "count": "d", "without error, before": "d", "after": "d", "differing": "d", "in": ""}
COLUMNS |= {"seconds before": ".1f", "after / before, median": ".2f", "total": ".2f"}

EQUAL = ("traced by", "graph", "predicted", "kept", "fraction", "error")
"""What must be the same to the letter."""

NORM_TOLERANCE = 1e-5


class Revision:
    """A process in which one revision of the package answers for models.

    Args:
        folder: A checkout of it.
    """

    def __init__(self, folder: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", WORKER],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process of a revision ended with {self._process.wait()}")
        return line

    def measure(self, kind: str, name: str, repeat: int) -> dict[str, Any]:
        """What the revision makes of a model."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"kind": kind, "name": name, "repeat": repeat}) + "\n")
        self._process.stdin.flush()
        return json.loads(self._read())

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


@contextmanager
def checked_out(revision: str) -> Iterator[Path]:
    """A temporary checkout of a revision of this repository."""
    here = Path(__file__).parent.parent
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "checkout"
        subprocess.run(["git", "clone", "--quiet", "--no-checkout", str(here), str(target)], check=True)
        subprocess.run(["git", "checkout", "--quiet", revision], cwd=target, check=True)
        yield target


def commit_of(folder: Path) -> str:
    """The commit that a checkout is of: HEAD may move while the models are measured."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def models(only: str | None) -> list[tuple[str, str]]:
    """Kind and name of every model that coverage is measured on."""
    import torchvision

    found = [("torchvision", name) for name in torchvision.models.list_models() if "quantized" not in name]
    found += [("timm", name) for name in smallest_of_families().values()] if only in (None, "timm") else []
    found += [("transformers", name) for name in TINY_MODELS]
    return [(kind, name) for kind, name in found if only in (None, kind)]


def compare(kind: str, name: str, before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """One row: what differs, and the ratio of the times."""
    differing = [what for what in EQUAL if before.get(what) != after.get(what)]
    if "norm" in before and "norm" in after and abs(after["norm"] / before["norm"] - 1) > NORM_TOLERANCE:
        differing.append("norm")
    row = {"kind": kind, "model": name, "differs": ", ".join(differing), "before": before, "after": after}
    if "seconds" in before and "seconds" in after:
        row["ratio"] = after["seconds"] / before["seconds"]
    return row


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each kind: models, how many differ and in what, and the ratio of times after to before."""
    found = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        of_kind = [row for row in rows if row["kind"] == kind]
        ratios = [row["ratio"] for row in of_kind if "ratio" in row]
        counts = Counter(what for row in of_kind for what in row["differs"].split(", ") if what)
        found.append(
            {
                "models": kind,
                "count": len(of_kind),
                "without error, before": sum("error" not in row["before"] for row in of_kind),
                "after": sum("error" not in row["after"] for row in of_kind),
                "differing": sum(bool(row["differs"]) for row in of_kind),
                "in": ", ".join(f"{what} {count}" for what, count in counts.items()),
                "seconds before": sum(row["before"].get("seconds", 0.0) for row in of_kind),
                "after / before, median": statistics.median(ratios) if ratios else None,
                "total": sum(row["after"].get("seconds", 0.0) for row in of_kind if "ratio" in row)
                / sum(row["before"].get("seconds", 0.0) for row in of_kind if "ratio" in row)
                if ratios
                else None,
            }
        )
    return found


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--before", required=True, help="revision to compare with")
    parser.add_argument("--after", default="HEAD", help="revision that is compared")
    parser.add_argument("--only", choices=["torchvision", "timm", "transformers"], help="one kind of models")
    parser.add_argument("--models", nargs="+", help="of these names only")
    parser.add_argument("--repeat", type=int, default=3, help="initialisations, of which the fastest counts")
    parser.add_argument("--no-save", action="store_true", help="write no result file")
    options = parser.parse_args()
    with ExitStack() as stack:
        folders = [stack.enter_context(checked_out(revision)) for revision in (options.before, options.after)]
        measured = dict(zip(("before", "after"), map(commit_of, folders), strict=True))
        print(measured, flush=True)
        revisions = [Revision(folder) for folder in folders]
        for revision in revisions:
            stack.callback(revision.close)
        rows = []
        chosen = [item for item in models(options.only) if not options.models or item[1] in options.models]
        for number, (kind, name) in enumerate(chosen):
            order = (0, 1) if number % 2 == 0 else (1, 0)
            found: dict[int, dict[str, Any]] = {
                index: revisions[index].measure(kind, name, options.repeat) for index in order
            }
            rows.append(compare(kind, name, found[0], found[1]))
            ratio = f"{rows[-1]['ratio']:.2f}" if "ratio" in rows[-1] else "-"
            print(f"{kind:<12} {name:<44} {ratio:>6}  {rows[-1]['differs'] or 'the same'}", flush=True)
    table = summary(rows)
    text = markdown(table, COLUMNS)
    print(text)
    if not options.no_save:
        save("versions", rows, table=text, extra={**measured, "summary": table})


if __name__ == "__main__":
    main()
