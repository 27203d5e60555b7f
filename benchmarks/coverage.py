"""On how many models `initialize` works, how much of each it predicts, and how long it takes.

    python -m benchmarks.coverage                        # timm families, torchvision, transformers
    python -m benchmarks.coverage --only timm --jobs 2

For each model: built without weights, initialised with a GHN-3-T, then run on random input and trained for one step of
SGD; the outputs and the loss must be finite. timm is represented by the smallest model of each family.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from benchmarks.transformers_models import TINY_MODELS, build_tiny

COLUMNS = {
    "model": "",
    "family": "",
    "parameters_m": ".2f",
    "nodes": "d",
    "fraction": ".4f",
    "rung": "",
    "seconds": ".2f",
}
COLUMNS |= {"finite": "", "kept": "", "error": ""}


def smallest_of_families() -> dict[str, str]:
    """timm's model files, each with the name of its smallest model."""
    import timm
    import torch
    from timm.models import _registry

    families = defaultdict(list)
    for name in timm.list_models():
        families[_registry._model_to_module[name]].append(name)
    smallest = {}
    for family, names in sorted(families.items()):
        sizes = {}
        for name in names:
            with torch.device("meta"):
                try:
                    sizes[name] = sum(p.numel() for p in timm.create_model(name).parameters())
                except (RuntimeError, NotImplementedError):
                    # A few constructors compute with tensors; a sibling stands for the family.
                    continue
        smallest[family] = min(sizes, key=sizes.__getitem__) if sizes else names[0]
    return smallest


def build(kind: str, name: str) -> Any:
    """A model without pretrained weights."""
    from ghn.zoo import ModelRequest, build_model

    return build_tiny(name) if kind == "transformers" else build_model(ModelRequest(name=f"{kind}:{name}")).model


def measure(kind: str, family: str, name: str) -> dict[str, Any]:
    """Initialise one model and train it for a step."""
    import logging
    import warnings

    import torch

    import ghn

    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    row: dict[str, Any] = {"kind": kind, "family": family, "model": name}
    try:
        torch.manual_seed(0)
        model = build(kind, name)
        hypernet = ghn.GHN(ghn.GHNConfig.preset("ghn3-t")).eval()
        began = time.perf_counter()
        report = hypernet.initialize(model)
        row["seconds"] = time.perf_counter() - began
        sizes = {key: p.numel() for key, p in model.named_parameters()}
        reasons: Counter[str] = Counter()
        for key, reason in report.kept.items():
            reasons[reason] += sizes[key] / sum(sizes.values())
        row |= {
            "parameters_m": sum(sizes.values()) / 1e6,
            "fraction": report.fraction,
            "rung": report.traced_by,
            "nodes": len(ghn.trace(model)) if report.traced_by in ("meta", "guess") else None,
            "kept": "; ".join(f"{reason} {share:.4f}" for reason, share in reasons.most_common(3)),
            "finite": finite_after_a_step(model),
        }
    except Exception as error:
        row["error"] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return row


def measure_job(job: tuple[str, str, str]) -> dict[str, Any]:
    """`measure` for a pool."""
    return measure(*job)


def finite_after_a_step(model: Any) -> str:
    """`yes`, `no`, or `not run` for a model that takes none of the inputs, or that is over 150 M parameters."""
    import torch

    from ghn.graph.record.trees import output_tensors
    from ghn.graph.run.arguments import Inputs
    from ghn.graph.run.inputs import candidate_inputs

    if sum(p.numel() for p in model.parameters()) > 150e6:
        return "not run (size)"
    detection = (
        [Inputs(detection_inputs(model))] if hasattr(model, "roi_heads") or hasattr(model, "anchor_generator") else []
    )
    refusal = "no inputs"
    for inputs in [*detection, *candidate_inputs(model)]:
        args, kwargs = inputs.map(
            lambda t: torch.randn(t.shape) if t.is_meta else t  # random where only a shape was given
        )
        try:
            outputs = output_tensors(model.train()(*args, **kwargs))
        except Exception as error:
            # Not this input; the next may fit.
            refusal = f"{type(error).__name__}: {' '.join(str(error).split())[:100]}"
            continue
        losses = [t.float().square().mean() for t in outputs if t.is_floating_point() and t.requires_grad]
        if detection:
            losses = [t for t in outputs if t.requires_grad]
            with torch.no_grad():
                outputs += output_tensors(model.eval()(args[0]))
        loss = torch.stack(losses).sum()
        optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-3)
        loss.backward()
        optimizer.step()
        fine = all(torch.isfinite(t).all() for t in outputs if t.is_floating_point()) and bool(torch.isfinite(loss))
        return "yes" if fine else "no"
    return f"not run ({refusal})"


def detection_inputs(model: Any) -> tuple[list[Any], list[dict[str, Any]]]:
    """Two images and targets for a torchvision detector; it is told to work at a low resolution, for speed."""
    import torch

    if model.transform.fixed_size is None:
        model.transform.min_size, model.transform.max_size = (160,), 256
    target = {
        "boxes": torch.tensor([[10.0, 20.0, 90.0, 100.0]]),
        "labels": torch.tensor([1]),
        "masks": torch.ones(1, 128, 128, dtype=torch.uint8),
        "keypoints": torch.tensor([[[30.0, 40.0, 1.0]] * 17]),
    }
    return [torch.rand(3, 128, 128), torch.rand(3, 128, 128)], [target, dict(target)]


def jobs_for(only: list[str]) -> list[tuple[str, str, str]]:
    """(kind, family, name) of everything to measure."""
    found: list[tuple[str, str, str]] = []
    if "timm" in only:
        found += [("timm", family, name) for family, name in smallest_of_families().items()]
    if "torchvision" in only:
        import torchvision

        found += [("torchvision", "torchvision", name) for name in torchvision.models.list_models()]
    if "transformers" in only:
        found += [("transformers", "transformers", name) for name in TINY_MODELS]
    return found


def main() -> None:
    """Measure everything and save the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=["timm", "torchvision", "transformers"])
    parser.add_argument("--names", nargs="+", help="only these models")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args()
    from rich.progress import Progress

    from benchmarks.common import markdown, save

    wanted = [job for job in jobs_for(options.only) if not options.names or job[2] in options.names]
    rows = []
    context = multiprocessing.get_context("spawn")
    with context.Pool(options.jobs, maxtasksperchild=12) as pool, Progress() as progress:
        task = progress.add_task("models", total=len(wanted))
        for row in pool.imap_unordered(measure_job, wanted):
            rows.append(row)
            progress.advance(task)
            if "error" in rows[-1] or not progress.console.is_terminal:
                print({key: value for key, value in rows[-1].items() if key != "kept"}, flush=True)
    rows.sort(key=lambda row: (row["kind"], row["family"], row["model"]))
    summary = "\n".join(summarise(kind, [row for row in rows if row["kind"] == kind]) for kind in options.only)
    print(summary)
    name = "coverage" if len(options.only) == 3 and not options.names else f"coverage_{'_'.join(options.only)}"
    path: Path = save(name, rows, table=f"{summary}\n\n{markdown(rows, COLUMNS)}")
    print(json.dumps({"saved": str(path)}))


def summarise(kind: str, rows: list[dict[str, Any]]) -> str:
    """One line on a library."""
    done = [row for row in rows if "error" not in row]
    if not done:
        return f"- {kind}: 0 of {len(rows)}"
    seconds = sorted(row["seconds"] for row in done)
    fractions = [row["fraction"] for row in done]
    finite = Counter(row["finite"] for row in done)
    return (
        f"- {kind}: {len(done)} of {len(rows)}; elements predicted: mean {100 * sum(fractions) / len(done):.2f} %, "
        f"least {100 * min(fractions):.2f} %; seconds: median {seconds[len(done) // 2]:.2f}, most {seconds[-1]:.2f}; "
        f"finite after a step: {dict(finite)}"
    )


if __name__ == "__main__":
    main()
