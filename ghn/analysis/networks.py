"""The networks of an analysis: built, given their parameters by each start, and the images they are looked at with."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from ghn.analysis.config import NOISE, NOISE_CLASSES, NOISE_SIZE, TRAINED, AnalysisConfig
from ghn.checkpoint.weights import SUFFIXES
from ghn.common.files import digest_of_file
from ghn.common.modules import named_parameters
from ghn.common.text import one_line
from ghn.data import DATA_SETS
from ghn.data.augment import resized
from ghn.data.load import load, training_images
from ghn.data.sample import sample_batches
from ghn.evaluate import EvaluationConfig
from ghn.evaluate.networks import Candidate, candidates
from ghn.graph import ComputationalGraph
from ghn.graph.trace import trace
from ghn.initializers import Chain, create
from ghn.initializers.transfer.sources import trained_model
from ghn.zoo import ModelRequest, build_model
from ghn.zoo import digest as digest_of_model

Batch = tuple[Tensor, Tensor]

LONGEST_REASON = 300
"""Characters of why a network could not be looked at."""


def name_of(candidate: Candidate) -> str:
    """A network's name: that of a model, or `test/3`."""
    return f"{candidate.split}/{candidate.index}" if candidate.kind == "split" else candidate.split


class Networks:
    """The networks that a configuration names.

    Args:
        config: Which.
        device: Where they are run.

    Attributes:
        failed: Networks whose `structures` could not be made, by name, with the reason.

    Raises:
        ValueError: In one line, if there is no such network, start or data set, or a library is missing.
    """

    def __init__(self, config: AnalysisConfig, device: torch.device | str = "cpu") -> None:
        self.config, self.device = config, torch.device(device)
        self.failed: dict[str, str] = {}
        self._open_images()
        self.chains: dict[str, Chain | None] = {
            start: None if start == TRAINED else create(start) for start in config.starts
        }
        self.candidates = candidates(
            EvaluationConfig(
                splits=config.splits, metadata=config.metadata, predefined=False, models=config.models, seed=config.seed
            ),
            self.image_size,
            self.classes,
        )

    def _open_images(self) -> None:
        config = self.config
        if config.data == NOISE:
            size, classes = NOISE_SIZE, NOISE_CLASSES
        elif config.data in DATA_SETS:
            found = load(config.data, root=config.data_root)
            size, classes = found.image_size, len(found.classes)
        else:
            size = config.image_size or NOISE_SIZE
            # Says what there is if it is no folder.
            classes = len(training_images(Path(config.data).expanduser(), size).classes) if self._is_folder else 0
        self.image_size = config.image_size or size
        if not classes:
            sample_batches(config.data, 2)
        self.classes = config.num_classes or classes

    @property
    def _is_folder(self) -> bool:
        return Path(self.config.data).expanduser().is_dir()

    def _batches(self, count: int) -> list[Batch]:
        config = self.config
        if config.data == NOISE:
            generator = torch.Generator().manual_seed(config.seed)
            images = torch.randn(count, 3, self.image_size, self.image_size, generator=generator)
            return [(images, torch.randint(self.classes, (count,), generator=generator))]
        root = None if config.data_root is None else Path(config.data_root)
        batches = sample_batches(config.data, count, root=root, image_size=self.image_size, seed=config.seed)
        return [(resized(images, self.image_size), labels) for images, labels in batches]

    @cached_property
    def batch(self) -> Batch:
        """The images (B, 3, H, W) and labels (B,) that networks are looked at with: training images, normalised."""
        batches = self._batches(self.config.images)
        images, labels = (torch.cat([batch[part] for batch in batches]) for part in (0, 1))
        return images.to(self.device), labels.to(self.device)

    @cached_property
    def calibration(self) -> list[Batch]:
        """Training images for starts that need some."""
        return [(images.to(self.device), labels.to(self.device)) for images, labels in
                self._batches(self.config.calibration_images)]  # fmt: skip

    @property
    def shown(self) -> str:
        """The images in a few words."""
        return f"{len(self.batch[0])} images of {Path(self.config.data).name}, {self.image_size} pixels"

    def digest(self, candidate: Candidate, start: str) -> str:
        """Of the files that a network and its start are read from; empty where there are none."""
        chain = self.chains[start]
        parts = [digest_of_model(candidate.split) if candidate.kind == "model" else ""]
        if chain is not None:
            parts.append(chain.digest())
        elif (file := self._trained_file(candidate.split)) is not None and file.is_file():
            parts.append(digest_of_file(file))
        return "+".join(filter(None, parts))

    def started(self, candidate: Candidate, start: str) -> nn.Module:
        """A network with the parameters of a start, in evaluation mode.

        Raises:
            ValueError: If the start cannot be made for it.
        """
        chain = self.chains[start]
        if chain is None:
            return self._trained(candidate.split).to(self.device).eval()
        # Of one seed, networks that begin alike would have the same random numbers.
        seed = self.config.seed * 1_000_003 + zlib.crc32(name_of(candidate).encode("utf-8", "surrogatepass"))
        network = candidate.build(seed).to(self.device)
        size = self.image_size
        shape = [(torch.zeros(2, 3, size, size, device=self.device), torch.zeros(2, dtype=torch.int64))]
        chain(network, self.calibration if chain.needs_images else shape, seed=seed)
        return network.eval()

    def _trained(self, name: str) -> nn.Module:
        file = self._trained_file(name)
        if file is None:
            return trained_model(name).model
        if not file.is_file():
            raise ValueError(f"{file.parent} holds no weights of {name}; put {file.name} there")
        return trained_model(f"{name}@{file}").model

    def _trained_file(self, name: str) -> Path | None:
        """That of a network's trained weights, there or not; None where they are fetched."""
        if self.config.trained is None:
            return None
        files = [Path(self.config.trained).expanduser() / f"{name}{suffix}" for suffix in SUFFIXES]
        return next((file for file in files if file.is_file()), files[0])

    def structures(self) -> Iterator[Structure]:
        """Each network's graph, made without numbers where its constructor allows.

        Networks that cannot be traced are passed over, and are in `failed`.

        Raises:
            ValueError: In one line, if all are.
        """
        self.failed = {}
        for candidate in self.candidates:
            try:
                structure = self._structure(candidate)
            except Exception as error:  # whatever a model of others raises
                self.failed[name_of(candidate)] = one_line(str(error), LONGEST_REASON) or type(error).__name__
            else:
                yield structure
        if len(self.failed) == len(self.candidates):
            name, reason = next(iter(self.failed.items()))
            raise ValueError(f"no network could be looked at: {name} failed: {reason}")

    def _structure(self, candidate: Candidate) -> Structure:
        if candidate.kind == "split":
            graph, model = candidate.graph, candidate.bare
            assert graph is not None
            candidate.forget()
        else:
            built = build_model(self.request(candidate))
            graph, model = trace(built.model, built.example_inputs), built.model
        return Structure(
            name=name_of(candidate),
            family=family_of(candidate, model),
            graph=graph,
            parameters=sum(parameter.numel() for parameter in named_parameters(model).values()),
        )

    def request(self, candidate: Candidate) -> ModelRequest:
        """What makes a model without numbers where its constructor allows."""
        return ModelRequest(
            name=candidate.split, num_classes=self.classes, image_size=self.image_size, lenient=True, meta=True
        )


@dataclass(frozen=True, kw_only=True)
class Structure:
    """What a network consists of.

    Attributes:
        name: Of the network.
        family: What it is one of.
        graph: Its computational graph.
        parameters: Elements of all its parameters.
    """

    name: str
    family: str
    graph: ComputationalGraph
    parameters: int


def family_of(candidate: Candidate, model: nn.Module) -> str:
    """What a network is one of: the class of a model, or its split."""
    return candidate.split if candidate.kind == "split" else type(model).__name__
