"""A graph hypernetwork as users know it: loaded by name, it predicts and initialises models, and is saved.

Source: GHN-2 (Knyazev et al., NeurIPS 2021), GHN-3 (Knyazev et al., ICML 2023).
"""

import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

from ghn import hypernet, initialization
from ghn.batch_norm import norms_with_statistics, statistics_from
from ghn.checkpoint.errors import CheckpointError
from ghn.checkpoint.load import load_images, load_pretrained
from ghn.checkpoint.save import save_pretrained, writing
from ghn.common.errors import WrongTypeError, check_path
from ghn.common.modules import holding, named_buffers
from ghn.data.image_set import ImageSet
from ghn.graph import ComputationalGraph
from ghn.hypernet.config import GHNConfig
from ghn.hypernet.keep import HeadOption
from ghn.initialization import InitReport
from ghn.initialization.many import ManyOptions, several

DEFAULT = "ghn3-t-cifar10"
"""The hypernetwork that comes with the package."""


# The hub mixin reads the annotations of __init__, so that this file does without postponed annotations.
class GHN(
    hypernet.GHN,
    PyTorchModelHubMixin,
    library_name="ghn",
    license="mit",
    paper_url="https://arxiv.org/abs/2303.04143",
    tags=["graph-hypernetwork", "parameter-prediction", "initialization"],
):
    """A graph hypernetwork.

    Args:
        config: Its architecture, e.g. `GHNConfig.preset("ghn3-t")`; the weights are fresh.

    Attributes:
        images: A few training images that its folder brings along, from which batch-norm statistics are set; None
            where there are none. Saved with it.
    """

    def __init__(self, config: GHNConfig) -> None:
        super().__init__(config)
        self.images: ImageSet | None = None

    def initialize(
        self,
        model: nn.Module,
        example_inputs: Any = None,
        *,
        seed: int = 0,
        head: HeadOption = "keep",
        strict: float | None = None,
        graph: ComputationalGraph | None = None,
        statistics: bool = False,
    ) -> InitReport:
        """Predict the parameters of `model` in place; see `ghn.initialization.initialize`.

        With `statistics`, those of its batch norms are set as well, from the images that the hypernetwork brings along;
        the report says what came of it (see `ghn.batch_norm.statistics_from`). Without, no buffer changes.
        """
        report = initialization.initialize(
            self, model, example_inputs, seed=seed, head=head, strict=strict, graph=graph
        )
        return _with_statistics([report], [model], self, example_inputs)[0] if statistics else report

    def predict(
        self,
        model: nn.Module,
        example_inputs: Any = None,
        *,
        seed: int = 0,
        head: HeadOption = "keep",
        strict: float | None = None,
        graph: ComputationalGraph | None = None,
        complete: bool = False,
        statistics: bool = False,
    ) -> dict[str, Tensor]:
        """Predict the parameters of `model`, which is left as it is; see `ghn.initialization.predict`.

        With `statistics`, which needs `complete`, the running statistics of batch norms are those that the model has
        with these parameters on the images that the hypernetwork brings along; a warning says why if they cannot be
        set. Without, they are the model's own.
        """
        _check_complete(complete, statistics)
        state = initialization.predict(
            self, model, example_inputs, seed=seed, head=head, strict=strict, graph=graph, complete=complete
        )
        return _state_with_statistics(state, model, self.images, example_inputs) if statistics else state

    def initialize_many(
        self,
        models: Iterable[nn.Module],
        example_inputs: Any = None,
        *,
        statistics: bool = False,
        **options: Unpack[ManyOptions],
    ) -> list[InitReport]:
        """Predict the parameters of several models in place; see `ghn.initialization.initialize_many`.

        With `statistics`, those of their batch norms are set as well, as in `initialize`.
        """
        models = list(several(models))
        reports = initialization.initialize_many(self, models, example_inputs, **options)
        return _with_statistics(reports, models, self, example_inputs) if statistics else reports

    def predict_many(
        self,
        models: Iterable[nn.Module],
        example_inputs: Any = None,
        *,
        complete: bool = False,
        **options: Unpack[ManyOptions],
    ) -> list[dict[str, Tensor]]:
        """Predict the parameters of several models, left as they are; see `ghn.initialization.predict_many`."""
        return initialization.predict_many(self, models, example_inputs, complete=complete, **options)

    def predict_each(
        self,
        models: Iterable[nn.Module],
        example_inputs: Any = None,
        *,
        complete: bool = False,
        **options: Unpack[ManyOptions],
    ) -> Iterator[dict[str, Tensor]]:
        """The same one after the other, for more models than memory holds; see `ghn.initialization.predict_each`."""
        return initialization.predict_each(self, models, example_inputs, complete=complete, **options)

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls,
        name_or_path: str | Path,
        *,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | bool | None = None,
        device: str | torch.device = "cpu",
        dtype: torch.dtype | None = torch.float32,
    ) -> "GHN":
        """Load a hypernetwork; the same as `ghn.from_pretrained`, which see."""
        return from_pretrained(
            name_or_path, revision=revision, cache_dir=cache_dir, token=token, device=device, dtype=dtype
        )

    def save_pretrained(self, save_directory: str | Path, **hub: Any) -> str | None:
        """Write the hypernetwork to a folder, as `from_pretrained` reads it.

        Args:
            save_directory: Made if missing; of an existing one only the files of a hypernetwork are replaced.
            **hub: As of `huggingface_hub.PyTorchModelHubMixin.save_pretrained`, e.g. `push_to_hub`.

        Returns:
            The address of the commit, where it was pushed to the hub.

        Raises:
            CheckpointError: A ValueError, in one line: it cannot be written.
        """
        try:
            check_path(save_directory, "the folder to write")
        except ValueError as error:
            raise CheckpointError(str(error)) from None
        with writing(save_directory):
            Path(save_directory).mkdir(parents=True, exist_ok=True)
        address: str | None = super().save_pretrained(save_directory, **hub)
        return address

    def _save_pretrained(self, save_directory: Path) -> None:
        """Write tensors, configuration and model card for the hub mixin's `save_pretrained` and `push_to_hub`."""
        save_pretrained(self, save_directory, images=self.images)


def from_pretrained(
    name_or_path: str | Path,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | bool | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = torch.float32,
) -> GHN:
    """Load a hypernetwork, ready to predict.

    On the CPU, weights stored in the wanted precision are mapped from the file and read when they are first used, so
    that loading takes a moment at any size. Released checkpoints are converted once (see `convert_checkpoint`).

    Args:
        name_or_path: A hypernetwork that comes with the package (e.g. "ghn3-t-cifar10"); a released one (ghn3tm8,
            ghn3sm8, ghn3lm8, ghn3xlm16 or ghn2, downloaded at first use); "user/repo" on the model hub; a folder that
            `save_pretrained` wrote, or its .safetensors file; a released or training file.
        revision: Branch, tag or commit of the hub repository; the newest by default.
        cache_dir: Where downloads are kept; by default where huggingface_hub keeps them.
        token: For private hub repositories.
        device: Where the weights go.
        dtype: Their precision; None keeps that of the file.

    Returns:
        The hypernetwork, in evaluation mode.

    Raises:
        ValueError: If the name is not known, or `dtype` is none of floating-point numbers.
        CheckpointError: A ValueError, in one line: the checkpoint cannot be fetched or read, is damaged, or is none.
    """
    loaded = load_pretrained(
        GHN, name_or_path, revision=revision, cache_dir=cache_dir, token=token, device=device, dtype=dtype
    )
    loaded.images = load_images(name_or_path, revision=revision, cache_dir=cache_dir, token=token)
    return loaded


def initialize(
    model: nn.Module,
    ghn: str | Path | hypernet.GHN = DEFAULT,
    example_inputs: Any = None,
    *,
    seed: int = 0,
    head: HeadOption = "keep",
    strict: float | None = None,
    statistics: bool = False,
) -> InitReport:
    """Predict the parameters of `model` in place, in one line; see `ghn.initialization.initialize`.

    Args:
        model: Any model.
        ghn: A hypernetwork, or what `from_pretrained` takes. The one that comes with the package is for small images
            and ten classes; for ImageNet take a published one, e.g. "ghn3tm8".
        example_inputs: What to call the model with, if not one image (see `ghn.trace`).
        seed: Governs what is drawn.
        head: `keep` or `predict`, for a classification head of another number of classes.
        strict: Least fraction of elements to predict; no limit by default.
        statistics: Also set the statistics of batch norms, from the images that the hypernetwork brings along: without
            any, a predicted network is near chance in evaluation mode. By default buffers stay as they are.
    """
    hypernetwork = _loaded(ghn)
    report = initialization.initialize(hypernetwork, model, example_inputs, seed=seed, head=head, strict=strict)
    return _with_statistics([report], [model], hypernetwork, example_inputs)[0] if statistics else report


def predict(
    model: nn.Module,
    ghn: str | Path | hypernet.GHN = DEFAULT,
    example_inputs: Any = None,
    *,
    seed: int = 0,
    head: HeadOption = "keep",
    strict: float | None = None,
    complete: bool = False,
    statistics: bool = False,
) -> dict[str, Tensor]:
    """Predict the parameters of `model`, which is left as it is, in one line; see `ghn.initialization.predict`.

    Args:
        model: As in `initialize`.
        ghn: As in `initialize`.
        example_inputs: As in `initialize`.
        seed: As in `initialize`.
        head: As in `initialize`.
        strict: As in `initialize`.
        complete: Give all that `model.load_state_dict(..., strict=True)` takes.
        statistics: With `complete`: let running statistics of batch norms come from the images that the hypernetwork
            brings along, as in `initialize`.
    """
    _check_complete(complete, statistics)
    hypernetwork = _loaded(ghn)
    state = initialization.predict(
        hypernetwork, model, example_inputs, seed=seed, head=head, strict=strict, complete=complete
    )
    return _state_with_statistics(state, model, _images_of(hypernetwork), example_inputs) if statistics else state


def _check_complete(complete: bool, statistics: bool) -> None:
    if statistics and not complete:
        raise ValueError("statistics are buffers, which come with complete=True only")


def _state_with_statistics(
    state: dict[str, Tensor], model: nn.Module, images: ImageSet | None, example_inputs: Any
) -> dict[str, Tensor]:
    """A complete state with the batch norms' statistics that the model has with it."""
    own = {id(buffer) for buffer in named_buffers(model).values()}
    with holding(model, state):
        report = statistics_from(model, images, example_inputs)
        # Under every name that a buffer has.
        named = model.state_dict(keep_vars=True)
        found = {name: value.detach().clone() for name, value in named.items() if id(value) in own}
    if report.reason is not None and norms_with_statistics(model):
        warnings.warn(str(report), stacklevel=3)
    return {**state, **found}


def initialize_many(
    models: Iterable[nn.Module],
    ghn: str | Path | hypernet.GHN = DEFAULT,
    example_inputs: Any = None,
    *,
    statistics: bool = False,
    **options: Unpack[ManyOptions],
) -> list[InitReport]:
    """Predict the parameters of several models in place, in one line; see `ghn.initialization.initialize_many`.

    Args:
        models: The models.
        ghn: As in `initialize`.
        example_inputs: What to call each of them with, if not one image.
        statistics: As in `initialize`.
        options: seed, head, strict, graphs, max_nodes.
    """
    models, hypernetwork = list(several(models)), _loaded(ghn)
    reports = initialization.initialize_many(hypernetwork, models, example_inputs, **options)
    return _with_statistics(reports, models, hypernetwork, example_inputs) if statistics else reports


def predict_many(
    models: Iterable[nn.Module],
    ghn: str | Path | hypernet.GHN = DEFAULT,
    example_inputs: Any = None,
    *,
    complete: bool = False,
    **options: Unpack[ManyOptions],
) -> list[dict[str, Tensor]]:
    """Predict the parameters of several models, left as they are, in one line.

    See `ghn.initialization.predict_many`; arguments are those of `initialize_many` and `predict`.
    """
    return initialization.predict_many(_loaded(ghn), models, example_inputs, complete=complete, **options)


def _with_statistics(
    reports: Sequence[InitReport], models: Sequence[nn.Module], hypernetwork: hypernet.GHN, example_inputs: Any
) -> list[InitReport]:
    """The reports, after the statistics of the models' batch norms are set."""
    images = _images_of(hypernetwork)
    return [
        replace(report, statistics=statistics_from(model, images, example_inputs))
        for report, model in zip(reports, models, strict=True)
    ]


def _images_of(hypernetwork: hypernet.GHN) -> ImageSet | None:
    return hypernetwork.images if isinstance(hypernetwork, GHN) else None


def _loaded(ghn: str | Path | hypernet.GHN) -> hypernet.GHN:
    if isinstance(ghn, hypernet.GHN):
        return ghn
    if not isinstance(ghn, str | os.PathLike):
        raise WrongTypeError(
            f"ghn is a hypernetwork, or its name or path, not {type(ghn).__name__}; what the model is called with is "
            "example_inputs=..."
        )
    return from_pretrained(ghn)
