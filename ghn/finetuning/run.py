"""Fine-tuning from a start to a trained model: images, processes, evaluation on the way."""

from __future__ import annotations

import inspect
import json
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import fields, replace
from pathlib import Path
from typing import Unpack

import torch
from torch import nn

from ghn.common.devices import chosen_device
from ghn.common.errors import WrongTypeError
from ghn.common.files import write_text
from ghn.common.memory import is_out_of_memory
from ghn.common.modules import check_module, modes_kept
from ghn.common.parallel.processes import share
from ghn.common.progress import Bar
from ghn.data.sample import first_batches
from ghn.evaluate.accuracy import Scores, score_batches, scores_of
from ghn.finetuning.batch_norm import SynchronisedBatchNorm
from ghn.finetuning.config import FinetuneConfig
from ghn.finetuning.images import Data, Images, Labelled, Stream, open_data, open_images
from ghn.finetuning.mixing import Mix, places
from ghn.finetuning.options import FinetuneOptions
from ghn.finetuning.result import FinetuneResult, HistoryPoint
from ghn.finetuning.search import RESULT, Search
from ghn.initializers import StartReport, create
from ghn.training.ranks import Ranks


def finetune(
    model: nn.Module,
    data: str | os.PathLike[str] | Data | tuple[Labelled, Labelled] | None = None,
    config: FinetuneConfig | None = None,
    *,
    folder: str | os.PathLike[str] | None = None,
    device: str | None = None,
    quiet: bool = True,
    bar: Bar | None = None,
    **settings: Unpack[FinetuneOptions],
) -> FinetuneResult:
    """Train a classifier of images in place, from the parameters it has or from a start by name.

    Each of several learning rates is tried from the same start, and the best on held-out images is kept. Under
    `torchrun` every process calls this and takes its part of each batch: batch norms normalise by the whole batch, so
    that the losses are those of one process to rounding, unless the model drops something at random.

    Args:
        model: Its outputs are scores (B, C) of C classes, or several tensors of which the first is that, or have
            `logits`. Left with the best parameters found and in the modes it had, or as it was after an error. Modules
            in evaluation mode in a model in training mode are trained in that (frozen batch norms). The process's
            random state is not touched.
        data: A data set's name, a folder of images (see `FinetuneConfig.data`), or a pair of `ghn.data.ImageSet`s to
            train and to test on, or what `ghn.finetuning.open_data` gave; None for what the config says.
        config: How to train; None for the defaults.
        folder: Where states, logs and the result are kept; the same call goes on after it was stopped or killed, with
            the numbers of one that was not. None keeps nothing.
        device: "cpu", "cuda" or "cuda:N", where the model is put; None leaves it where it is.
        quiet: No progress bar, no lines.
        bar: Shows the progress, whatever `quiet` says; one that the caller has on the terminal already.
        **settings: Fields of `FinetuneConfig`, instead of the config's.

    Returns:
        The learning rate, accuracy at the start, on the way and at the end, losses, the start's report.

    Raises:
        ValueError: In one line: for settings that cannot be, a start or data set that there is not (with the nearest
            names), a model that is no classifier of these classes, a device that is not there, a loss that is not
            finite at the first step or diverges with every learning rate.
        DataError: When images are missing, damaged or too few, or classes differ.
        StateError: When the folder holds another fine-tuning, or another process uses it.
        StoppedError: When SIGTERM or SIGINT stopped it and there is a folder; what was done is saved.
        RankLostError: When another process has gone.
    """
    began = time.perf_counter()
    check_module(model)
    config = _configured(config, settings)
    if isinstance(data, str | os.PathLike):
        config = replace(config, data=os.fspath(data))
    home = None if folder is None else Path(folder)
    with Ranks.from_environment(_device(model, device)) as ranks, modes_kept(model), _shown(bar, quiet, ranks) as bar:
        opened = open_data(config.data if data is None or isinstance(data, str | os.PathLike) else data, config)
        config = replace(config, data=opened.name) if isinstance(data, tuple) else config
        result = _Run(model.to(ranks.device), opened, config, ranks).search(home, bar)
    result = replace(result, seconds=time.perf_counter() - began)
    if home is not None and ranks.is_first:
        write_text(home / RESULT, json.dumps(result.to_dict(), indent=2, allow_nan=False) + "\n")
    return result


def _configured(config: FinetuneConfig | None, settings: FinetuneOptions) -> FinetuneConfig:
    if config is not None and not isinstance(config, FinetuneConfig):
        raise WrongTypeError(f"config is a FinetuneConfig, not {type(config).__name__}; or give keywords: steps=100")
    if "learning_rate" in settings:
        # The only one that is tried.
        settings.setdefault("learning_rates", (settings["learning_rate"],))
    return replace(config or FinetuneConfig(), **settings)


def _signature() -> inspect.Signature:
    """That of `finetune` with every field of the config as a keyword."""
    plain = inspect.signature(finetune)
    given = [parameter for parameter in plain.parameters.values() if parameter.kind is not parameter.VAR_KEYWORD]
    names = {parameter.name for parameter in given}
    keywords = [
        inspect.Parameter(entry.name, inspect.Parameter.KEYWORD_ONLY, default=entry.default, annotation=entry.type)
        for entry in fields(FinetuneConfig)
        if entry.name not in names
    ]
    return plain.replace(parameters=[*given, *keywords])


finetune.__signature__ = _signature()  # type: ignore[attr-defined]


def _device(model: nn.Module, asked: str | None) -> str:
    if asked is not None:
        return chosen_device(asked)
    found = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    if found.type not in ("cpu", "cuda"):
        raise ValueError(f"the model is on {found.type}: trainings run on cpu or cuda")
    return str(found)


def _shown(bar: Bar | None, quiet: bool, ranks: Ranks) -> AbstractContextManager[Bar]:
    """The caller's bar, or one of our own; the first process alone shows anything."""
    if bar is not None and ranks.is_first:
        return nullcontext(bar)
    return Bar("reading images", quiet=quiet or not ranks.is_first)


class _Run:
    """One process's part of a fine-tuning.

    Args:
        model: On the process's device.
        data: All images.
        config: How to train.
        ranks: The processes.
    """

    def __init__(self, model: nn.Module, data: Data, config: FinetuneConfig, ranks: Ranks) -> None:
        self.model, self.data, self.config, self.ranks = model, data, config, ranks
        mixes = bool(config.mixup or config.cutmix)
        alone = ranks.world == 1
        if config.batch_size < ranks.world:
            raise ValueError(f"a batch of {config.batch_size} cannot be shared by {ranks.world} processes")
        mine = share(config.batch_size, ranks.rank, ranks.world)
        part = None if alone else places(mine, config.batch_size, leading=mixes)
        self.images: Images = open_images(data, config, ranks, part)
        classes = len(data.classes)
        self.mix = Mix(config.mixup, config.cutmix, classes, leading=not alone) if mixes else None
        # Before anything is computed: a name that is wrong, or a model that does not fit.
        self.start = None if config.init is None else create(config.init)
        self._check_model()

    def search(self, folder: Path | None, bar: Bar) -> FinetuneResult:
        """Train with each learning rate; the model is left with the best parameters."""
        origin = ""
        if folder is not None:
            origin = self.data.digest + ("" if self.start is None else self.start.digest())
        return Search(
            network=self.model,
            stream=self.images.train,
            config=self.config,
            folder=folder,
            ranks=self.ranks,
            observe=self._observe,
            start=self._begin if self.start is not None else None,
            mix=self.mix,
            around=SynchronisedBatchNorm if self.ranks.world > 1 else nullcontext,
            bar=bar,
            origin=origin,
        ).run()

    def _check_model(self) -> None:
        size = self.data.image_size
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=_cuda(self.ranks.device)), _evaluating(self.model):
                output = self.model(torch.zeros(2, 3, size, size, device=self.ranks.device))
        # What a forward pass of whatever model raises.
        except Exception as error:
            if is_out_of_memory(error):
                raise
            cause = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(
                f"{type(self.model).__name__} cannot be run on images (2, 3, {size}, {size}): {cause}; "
                "image_size gives them another size"
            ) from error
        outputs = scores_of(output).shape[1]
        if outputs != len(self.data.classes):
            raise ValueError(
                f"{type(self.model).__name__} has {outputs} outputs, {self.data.name} has {len(self.data.classes)} "
                f"classes; build it for {len(self.data.classes)} classes"
            )

    def _begin(self, model: nn.Module) -> StartReport:
        assert self.start is not None
        return self.start(model, self.images.sample(self.config.init_images), seed=self.config.seed)

    def _observe(self, network: nn.Module, averaged: nn.Module | None, step: int) -> HistoryPoint:
        test, held_out = self.images.test, self.images.held_out
        found = self._score(network, test)
        return HistoryPoint(
            step=step,
            loss=found.loss,
            accuracy=found.top1,
            validation=self._score(network, held_out).top1 if self.images.holds_out else None,
            averaged=None if averaged is None else self._score(averaged, test).top1,
        )

    def _score(self, network: nn.Module, stream: Stream | None) -> Scores:
        """On the images of all processes, each of which has a stream of its own or none, as a user runs the network."""
        sums = torch.zeros(4, dtype=torch.float64, device=self.ranks.device)
        if stream is not None:
            batches = first_batches(stream, stream.images_per_epoch)
            shaped = ((images.contiguous(memory_format=torch.channels_last), labels) for images, labels in batches)
            with _evaluating(network):
                found = score_batches(network, shaped)
            count = found.images
            # Whole numbers of images: rounding must not tell apart learning rates that are right equally often.
            sums += sums.new_tensor([round(found.top1 * count), round(found.top5 * count), found.loss * count, count])
        self.ranks.sum([sums])
        top1, top5, loss, images = sums.tolist()
        return Scores(top1=top1 / images, top5=top5 / images, loss=loss / images, images=int(images))


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Context in which a network is in evaluation mode."""
    with modes_kept(network):
        network.eval()
        yield


def _cuda(device: torch.device) -> list[torch.device]:
    return [device] if device.type == "cuda" else []
