"""A model as the function of its parameters that scores are taken of; the model itself stays as it is.

Legend: B images, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from ghn.analysis.layers import Application, Layers
from ghn.batch_norm import as_trained
from ghn.common.modules import named_buffers, named_parameters
from ghn.graph.record.trees import output_tensors

Batch = tuple[Tensor, Tensor]


RECURRENCES = (torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu)
"""Functions that oneDNN or cuDNN may compute as a whole."""


class UndefinedError(ValueError):
    """A score that a model or its images do not have; the message is the reason."""


class Network:
    """A model with a batch of images.

    Args:
        model: Any module, on any device with memory.
        batch: Images (B, ...) and labels (B,) int64; put where the parameters are, and in their precision.
        seed: Governs what the model draws.

    Raises:
        ValueError: If there are no numbers to score: no images, a lazy model, or one on the meta device.
    """

    def __init__(self, model: nn.Module, batch: Batch, seed: int = 0) -> None:
        self.model, self.seed = model, seed
        own = named_parameters(model)
        kind = type(model).__name__
        if any(is_lazy(parameter) for parameter in own.values()):
            raise ValueError(f"{kind} has parameters without a shape yet; run it once, or give it its sizes")
        if any(parameter.is_meta for parameter in own.values()):
            raise ValueError(f"{kind} is on the meta device, where it has no numbers; build it on another one")
        images, labels = batch
        if not len(images) or len(images) != len(labels):
            raise ValueError(f"there are {len(images)} images with {len(labels)} labels; give as many, at least one")
        with torch.inference_mode(False):
            self.parameters: dict[str, Tensor] = {
                name: (parameter.clone() if parameter.is_inference() else parameter).detach().requires_grad_()
                for name, parameter in own.items()
                if _has_gradients(parameter) and type(parameter) in (Tensor, nn.Parameter)
            }
        real = (parameter for parameter in self.parameters.values() if not parameter.is_complex())
        first = next(real, torch.zeros(()))
        self.images = images.to(first.device, first.dtype) if images.is_floating_point() else images.to(first.device)
        self.labels = labels.to(first.device)
        with torch.inference_mode(False):
            if self.images.is_inference():
                self.images = self.images.clone()
            if self.labels.is_inference():
                self.labels = self.labels.clone()

    @contextmanager
    def trained(self, *, batch_statistics: bool = True) -> Iterator[None]:
        """Context in which it runs as it is trained, with nothing dropped (see `as_trained`)."""
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(as_trained(self.model, self.seed, batch_statistics=batch_statistics))
            stack.enter_context(_StepByStep())
            yield

    def outputs(
        self,
        images: Tensor,
        parameters: Mapping[str, Tensor] | None = None,
        buffers: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """What the model makes of images: its first output.

        Args:
            images: (B, ...).
            parameters: Instead of its own.
            buffers: Likewise; copies of its own by default, so that these stay.
        """
        own = self.copied_buffers() if buffers is None else buffers
        tensors = {**(self.parameters if parameters is None else parameters), **own}
        found = output_tensors(functional_call(self.model, tensors, (images,)))
        if not found:
            raise UndefinedError("the model returns no tensor")
        return found[0]

    def copied_buffers(self) -> dict[str, Tensor]:
        """The model's buffers, to be run with."""
        return {name: buffer.clone() for name, buffer in named_buffers(self.model).items()}

    def scores(self, buffers: Mapping[str, Tensor] | None = None) -> Tensor:
        """Scores (B, C) of the images, differentiable.

        Args:
            buffers: As for `outputs`.

        Raises:
            UndefinedError: If the model is no classifier of these images.
        """
        outputs = self.outputs(self.images, buffers=buffers)
        if outputs.dim() != 2 or len(outputs) != len(self.images):
            raise UndefinedError(f"the model gives {tuple(outputs.shape)}, no scores (images, classes)")
        return outputs

    def loss(self) -> Tensor:
        """Mean cross-entropy of the batch, differentiable.

        Raises:
            UndefinedError: If the model is no classifier of these images.
        """
        return self.loss_of(self.scores())

    def loss_of(self, scores_BC: Tensor) -> Tensor:
        """The loss for given scores."""
        if not 0 <= int(self.labels.min()) <= int(self.labels.max()) < scores_BC.shape[1]:
            raise UndefinedError(
                f"the model has {scores_BC.shape[1]} outputs, and labels go up to {int(self.labels.max())}"
            )
        return functional.cross_entropy(scores_BC.float() if scores_BC.dtype.itemsize < 4 else scores_BC, self.labels)

    @torch.no_grad()
    def watch(self, images: Tensor, tell: Callable[[Application], None], *, batch_statistics: bool = True) -> None:
        """Run it once, without gradients, each application of a weight being told (see `Layers`)."""
        with self.trained(batch_statistics=batch_statistics), torch.no_grad():
            buffers = self.copied_buffers()
            with Layers(self.parameters, tell, buffers=buffers.values()):
                self.outputs(images, buffers=buffers)

    @cached_property
    def weights(self) -> list[str]:
        """Names of the weights of convolutions and linear layers, in the order in which data meets them.

        Raises:
            UndefinedError: If there are none.
        """
        found: dict[str, None] = {}
        self.watch(self.images, lambda one: found.setdefault(one.name))
        if not found:
            raise UndefinedError("no parameter of the model multiplies data")
        if unreal := [name for name in found if self.parameters[name].is_complex()]:
            raise UndefinedError(f"the weight {unreal[0]} is complex, for which it is not defined")
        return list(found)

    @cached_property
    def gradients(self) -> dict[str, Tensor]:
        """∂L/∂θ for each of the weights; those that the loss does not depend on have zeros."""
        weights = {name: self.parameters[name] for name in self.weights}
        with self.trained():
            loss = self.loss()
            found = differentiated(loss, list(weights.values()))
        return dict(zip(weights, found, strict=True))


class _StepByStep(TorchFunctionMode):
    """Context in which recurrences run product by product: as one operator for all steps they could not be seen."""

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func not in RECURRENCES:
            return func(*args, **(kwargs or {}))
        with torch.backends.mkldnn.flags(enabled=False), torch.backends.cudnn.flags(enabled=False):
            return func(*args, **(kwargs or {}))


def _has_gradients(parameter: Tensor) -> bool:
    return parameter.is_floating_point() or parameter.is_complex()


def differentiated(value: Tensor, tensors: list[Tensor], **options: Any) -> list[Tensor]:
    """Derivatives of a number; zeros where it does not depend on a tensor.

    Raises:
        UndefinedError: If it depends on none.
    """
    if not value.requires_grad:
        raise UndefinedError("nothing that the model gives depends on them")
    found = torch.autograd.grad(value, tensors, allow_unused=True, **options)
    if all(gradient is None for gradient in found):
        raise UndefinedError("nothing that the model gives depends on them")
    return [
        torch.zeros_like(tensor) if gradient is None else gradient
        for tensor, gradient in zip(tensors, found, strict=True)
    ]


def total(terms: Iterable[Tensor]) -> float:
    """Sum of all elements, in double precision; of terms that are made one by one, one is in memory."""
    return float(torch.stack([term.detach().double().sum() for term in terms]).sum())
