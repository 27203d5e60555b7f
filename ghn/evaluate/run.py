"""Accuracy of networks at once, from any start: predicted by a hypernetwork, random, calibrated.

Source: GHN-2 (Knyazev et al., NeurIPS 2021, section 4.1 and tables 1, 2).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ghn.common.optional import versions
from ghn.common.tensors import digest_of_state
from ghn.common.text import one_line
from ghn.data import DataError, ImageFolder, ImageSet
from ghn.deepnets.cost import megamacs
from ghn.evaluate.accuracy import score
from ghn.evaluate.config import EvaluationConfig
from ghn.evaluate.images import EvaluationImages
from ghn.evaluate.journal import Journal
from ghn.evaluate.networks import Candidate, candidates
from ghn.evaluate.results import Evaluation, Key, NetworkResult
from ghn.evaluate.starts import Start, describe
from ghn.model import GHN
from ghn.training.ranks import Ranks
from ghn.training.state import StateError, locked
from ghn.zoo import digest as digest_of_model

LONGEST_ERROR = 300
"""Characters."""


def evaluate(
    hypernet: GHN | None,
    config: EvaluationConfig,
    *,
    progress: Callable[[NetworkResult], None] | None = None,
    images: ImageSet | ImageFolder | None = None,
    folder: Path | str | None = None,
    ranks: Ranks | None = None,
) -> Evaluation:
    """Run networks on test images, without any training, from every start.

    A network that cannot be built, started or run has an `error` in its result; the others go on.

    Args:
        hypernet: What the start `ghn` stands for; None where no start is that.
        config: What to evaluate.
        progress: Called after each network and start of this process, also those that the folder has already.
        images: Test images to use instead of opening `config.data`.
        folder: Where each result is kept as soon as it is there; the same call goes on after whatever ended it, with
            the numbers of one that was not ended. None keeps nothing.
        ranks: The processes that share the networks, each on its device; by default this one, on the device of the
            hypernetwork. Numbers do not depend on their number.

    Returns:
        The results of all processes.

    Raises:
        DataError: When images are missing or damaged.
        ValueError: When there is no such model, or the data set has another number of classes than the hypernetwork.
        StateError: When the folder holds another evaluation, or another process works in it.
    """
    ranks = ranks or Ranks(device=torch.device("cpu") if hypernet is None else hypernet.device)
    starts = [Start(text, hypernet, ranks.device) for text in config.starts]
    opened = EvaluationImages(config, ranks.device, images)
    for start in starts:
        start.check_classes(opened.classes, opened.name)
    networks = candidates(config, opened.size, opened.classes)
    hypernets = [start.hypernet for start in starts if start.hypernet is not None]
    with _locked(folder, ranks):
        journal = None if folder is None else Journal(Path(folder), config, _digests(starts, config.models))
        results: list[NetworkResult] = []
        for result in _results(networks[ranks.rank :: ranks.world], starts, opened, config, journal):
            results.append(result)
            if progress is not None:
                progress(result)
        gathered = [result for part in ranks.gather_objects(results) for result in part]
    return evaluation_of(config, hypernets, gathered)


def evaluation_of(config: EvaluationConfig, hypernets: Sequence[GHN], results: Sequence[NetworkResult]) -> Evaluation:
    """The results in the order of the configuration, whatever the order in which they came."""
    groups = [
        *(("split", split) for split in config.splits),
        *((("predefined", "resnet50"), ("predefined", "vit")) if config.predefined else ()),
        *(("model", name) for name in config.models),
    ]
    places = {group: place for place, group in enumerate(groups)}

    def place(result: NetworkResult) -> tuple[int, int, int]:
        return places[result.kind, result.split], result.index, config.starts.index(result.start)

    return Evaluation(config=config, hypernet=describe(list(hypernets)), networks=tuple(sorted(results, key=place)))


def _results(
    networks: Sequence[Candidate],
    starts: Sequence[Start],
    images: EvaluationImages,
    config: EvaluationConfig,
    journal: Journal | None,
) -> Iterator[NetworkResult]:
    there: dict[Key, NetworkResult] = {} if journal is None else journal.finished()
    recorded = versions()
    for candidate in networks:
        for start in starts:
            known = there.get((candidate.kind, candidate.split, candidate.index, start.text))
            if known is not None:
                yield known
                continue
            result = _evaluate_one(candidate, start, images, config, recorded)
            if journal is not None:
                journal.append(result)
            yield result
        candidate.forget()


def _evaluate_one(
    candidate: Candidate, start: Start, images: EvaluationImages, config: EvaluationConfig, recorded: dict[str, str]
) -> NetworkResult:
    result = NetworkResult(
        kind=candidate.kind,
        split=candidate.split,
        index=candidate.index,
        start=start.text,
        data=images.name,
        batch_norm_mode=config.batch_norm,
        seed=config.seed,
        versions=recorded,
    )
    try:
        started = start.begin(candidate, images, config.batch_norm, config.seed * 1_000_003 + candidate.number)
        began = time.perf_counter()
        scores = score(started.network, images.stream(candidate.number), weights=started.weights, images=config.images)
        seconds = time.perf_counter() - began
    except (DataError, StateError):
        raise
    except Exception as error:  # whatever a model of others raises
        text = one_line(" ".join(str(error).split()), LONGEST_ERROR) or "no reason given"
        return replace(result, error=text if isinstance(error, ValueError) else f"{type(error).__name__}: {text}")
    return replace(
        result,
        top1=scores.top1,
        top5=scores.top5,
        loss=scores.loss if math.isfinite(scores.loss) else math.nan,
        images=scores.images,
        head=started.head,
        parameters=started.parameters,
        seconds=started.seconds,
        scoring_seconds=seconds,
        **_structure(candidate, started.network),
    )


def _structure(candidate: Candidate, network: nn.Module) -> dict[str, Any]:
    """What a result says of the network itself."""
    graph = candidate.graph
    plan = getattr(network, "plan", None) if candidate.kind != "model" else None
    operations = None if graph is None else {node.op for node in graph.nodes}
    return {
        "nodes": None if graph is None else len(graph),
        "cells": None if plan is None else plan.arguments.n_cells,
        "megamacs": None if plan is None else megamacs(plan),
        "attention": None if operations is None else "msa" in operations,
        "batch_norm": None if operations is None else "bn" in operations,
    }


@contextmanager
def _locked(folder: Path | str | None, ranks: Ranks) -> Iterator[None]:
    """Hold the folder for the processes of one evaluation."""
    with nullcontext() if folder is None or not ranks.is_first else locked(Path(folder), "evaluation"):
        yield


def _digests(starts: Sequence[Start], models: Sequence[str]) -> dict[str, str]:
    """Of what each start reads, its hypernetwork's weights and its files, and of the files of users' models."""
    found = {model: digest for model in models if (digest := digest_of_model(model))}
    for start in starts:
        weights = "" if start.hypernet is None else digest_of_state(start.hypernet.state_dict())[:16]
        digest = weights + start.chain.digest()
        if digest:
            found[start.text] = digest
    return found
