"""A model as a function of the scales of its tensors, which may be differentiated as often as needed.

Legend: B images, C classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.parameter import is_lazy

from ghn.batch_norm import as_trained, device_of
from ghn.common.memory import is_out_of_memory
from ghn.common.modules import named_buffers, named_parameters
from ghn.common.text import one_line
from ghn.graph.record.trees import output_tensors
from ghn.hypernet.keep import reason_not_to_write
from ghn.initializers.learned.plain import PlainOperators
from ghn.initializers.report import Batch

LEAST_SCALE = 0.01
"""No scale falls below (Zhu et al., 2021, section 4: scales are kept from zero)."""


class ScaledNetwork:
    """A model with a scale for some of its tensors. The model itself stays as it is until `write`.

    Args:
        name: Of the initialiser, for messages.
        model: With memory.
        learned: Names of the parameters that get a scale, if they can be trained; None for all.

    Attributes:
        scales: One number for each of these, 1 at first.
        kept: The other parameters, each with the reason.
    """

    def __init__(self, name: str, model: nn.Module, learned: Iterable[str] | None = None) -> None:
        self.name, self.model = name, model
        self.device = device_of(model)
        self._checked = False
        parameters = named_parameters(model)
        if any(parameter.is_meta for parameter in parameters.values()):
            raise ValueError(f"{name} runs the model, and {type(model).__name__} is on the meta device")
        self.kept = {key: reason for key, value in parameters.items() if (reason := _reason_to_keep(value)) is not None}
        self._values = {key: value.detach() for key, value in parameters.items() if key not in self.kept}
        chosen = self._values.keys() if learned is None else set(learned) & self._values.keys()
        self.scales: dict[str, Tensor] = {}
        for key, value in self._values.items():
            if key not in chosen:
                continue
            if bool(value.any()):
                self.scales[key] = torch.ones((), device=value.device, requires_grad=True)
            else:
                self.kept[key] = "it is zero, whatever its scale"

    def tensors(self) -> dict[str, Tensor]:
        """The trained parameters at their scales, differentiable."""
        return {
            key: value * self.scales[key] if key in self.scales else value.detach().requires_grad_()
            for key, value in self._values.items()
        }

    def scores(self, tensors: Mapping[str, Tensor], images: Tensor) -> Tensor:
        """What the model makes of images with these parameters: scores (B, C).

        Raises:
            ValueError: If it fails, or gives something else.
        """
        # Copies, as backward passes want the buffers that the forward pass had.
        buffers = {key: value.clone() for key, value in named_buffers(self.model).items()}
        try:
            output = functional_call(self.model, {**tensors, **buffers}, (images.to(self.device),))
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            raise self._error(f"the forward pass on images {tuple(images.shape)} fails", error) from error
        found = output_tensors(output)
        if not found or found[0].dim() != 2 or len(found[0]) != len(images):
            shape = tuple(found[0].shape) if found else "nothing"
            raise ValueError(f"{self.name} needs a classifier: {type(self.model).__name__} gives {shape}, not (B, C)")
        return _wide(found[0])

    def loss(self, tensors: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Mean cross-entropy of a batch.

        Raises:
            ValueError: If the model fails, or has no output for a label.
        """
        images, labels = batch
        scores_BC = self.scores(tensors, images)
        if not 0 <= int(labels.min()) <= int(labels.max()) < scores_BC.shape[1]:
            raise ValueError(
                f"the model has {scores_BC.shape[1]} outputs, and the images have labels up to {int(labels.max())}"
            )
        return functional.cross_entropy(scores_BC, labels.to(scores_BC.device))

    def gradients(self, value: Tensor, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Gradients of a number, themselves differentiable; tensors that it does not depend on are left out.

        Raises:
            ValueError: If some operator of the model has no second derivative.
        """
        try:
            found = torch.autograd.grad(value, list(tensors.values()), create_graph=True, allow_unused=True)
        except RuntimeError as error:
            raise self._error("its gradient cannot be differentiated", error) from error
        return {key: gradient for key, gradient in zip(tensors, found, strict=True) if gradient is not None}

    def slopes(self, value: Tensor) -> dict[str, Tensor]:
        """Derivatives of a number by the scales; 0 where it does not depend on one."""
        if not value.requires_grad:
            return {key: torch.zeros_like(scale) for key, scale in self.scales.items()}
        if not self._checked and _has_dead_end(value):
            raise self._error("its gradient cannot be differentiated", RuntimeError("a function of it says so"))
        self._checked = True
        try:
            found = torch.autograd.grad(value, list(self.scales.values()), allow_unused=True)
        except RuntimeError as error:
            raise self._error("its gradient cannot be differentiated", error) from error
        return {
            key: torch.zeros_like(scale) if slope is None else slope
            for (key, scale), slope in zip(self.scales.items(), found, strict=True)
        }

    def norm(self, key: str) -> float:
        """Euclidean norm of a parameter at its scale."""
        return float(self._values[key].float().norm() * self.scales[key].detach())

    def write(self) -> None:
        """Multiply the model's parameters by their scales."""
        with torch.no_grad():
            for key, scale in self.scales.items():
                self._values[key].mul_(scale)

    def _error(self, what: str, error: Exception) -> ValueError:
        kind = type(self.model).__name__
        if is_out_of_memory(error):
            return ValueError(f"there is not enough memory for {self.name} on {kind}; take smaller batches")
        cause = one_line(str(error), 300) or type(error).__name__
        return ValueError(f"{self.name} cannot do anything for {kind}: {what}: {cause}")


def _reason_to_keep(parameter: nn.Parameter) -> str | None:
    """Why a parameter is not trained, and so not scaled."""
    if is_lazy(parameter):
        return "it has no shape yet"
    if not parameter.requires_grad:
        return "it is frozen"
    if not parameter.numel():
        return "it has no elements"
    reason = reason_not_to_write(parameter)
    return None if reason is None else str(reason)


def _wide(tensor: Tensor) -> Tensor:
    """In single precision at least."""
    return tensor if tensor.dtype is torch.float64 else tensor.float()


def _has_dead_end(value: Tensor) -> bool:
    """Whether something that a number comes of must not be differentiated (`once_differentiable`).

    PyTorch says so only where it goes there, and with given inputs it does not go where none of them is.
    """
    seen, pending = set(), [value.grad_fn]
    while pending:
        function = pending.pop()
        if function is None or function in seen:
            continue
        if function.name().rpartition(":")[2] in ("DelayedError", "Error", "NotImplemented"):
            return True
        seen.add(function)
        pending.extend(following for following, _ in function.next_functions)
    return False


@contextmanager
def differentiable(model: nn.Module, seed: int) -> Iterator[None]:
    """Context in which a model runs as it is trained, but with nothing dropped, and may be differentiated twice.

    Batch norms normalise by the batch, all else is in evaluation mode; attention consists of plain operators, since
    fused ones have no second derivative. Modes, buffers and random states are as before after it.
    """
    with as_trained(model, seed), sdpa_kernel(SDPBackend.MATH), PlainOperators():
        yield


def joined(*batches: Batch) -> Batch:
    """Images and labels of several batches as one."""
    return torch.cat([images for images, _ in batches]), torch.cat([labels for _, labels in batches])


def norm_of(gradients: Sequence[Tensor], power: int) -> Tensor:
    """The 1-norm or 2-norm of all gradients as one vector."""
    if power == 1:
        return torch.stack([_wide(gradient).abs().sum() for gradient in gradients]).sum()
    return torch.stack([_wide(gradient).square().sum() for gradient in gradients]).sum().sqrt()
