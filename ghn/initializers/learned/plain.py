"""Functions whose operators have too few derivatives, written in operators that have all.

Batch norms have two, hard sigmoids one; the gradient of a gradient quotient takes three.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`torch.nn.functional.batch_norm`, but that running statistics stay as they are."""
    if training or running_mean is None or running_var is None:
        axes = [axis for axis in range(input.dim()) if axis != 1]
        if input.numel() == input.shape[1]:
            raise ValueError(f"Expected more than 1 value per channel when training, got input size {input.shape}")
        mean, variance = input.mean(axes), input.var(axes, correction=0)
    else:
        mean, variance = running_mean, running_var
    scale = (variance + eps).rsqrt()
    if weight is not None:
        scale = scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    sizes = [1, -1] + [1] * (input.dim() - 2)
    return (input * scale.view(sizes) + shift.view(sizes)).to(input.dtype)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`torch.nn.functional.instance_norm`, but that running statistics stay as they are."""
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, eps=eps)
    # A batch of one for each image, with its channels apart.
    apart = input.reshape(1, -1, *input.shape[2:])
    weight, bias = (None if part is None else part.repeat(len(input)) for part in (weight, bias))
    return batch_norm(apart, None, None, weight, bias, training=True, eps=eps).view(input.shape)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """`torch.nn.functional.hardsigmoid`."""
    return functional.relu6(input + 3) / 6


_PLAIN: Mapping[Any, Callable[..., Tensor]] = {
    functional.batch_norm: batch_norm,
    functional.instance_norm: instance_norm,
    functional.hardsigmoid: hardsigmoid,
}


class PlainOperators(TorchFunctionMode):
    """Context in which this thread's batch norms, instance norms and hard sigmoids may be differentiated at will."""

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call the function, or the one that stands for it."""
        return _PLAIN.get(func, func)(*args, **(kwargs or {}))
