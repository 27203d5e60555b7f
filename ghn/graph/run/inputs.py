"""What to call a model with when it is traced."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ghn.common.modules import named_parameters
from ghn.graph.run.arguments import BATCH, Inputs

IMAGE_SIZES = (224, 299, 32, 256, 384, 512, 28)


def candidate_inputs(model: nn.Module) -> list[Inputs]:
    """Inputs to try in turn, the likeliest first."""
    count = _required_arguments(model)
    candidates = [*_declared_inputs(model), *(_repeated(inputs, count) for inputs in _image_inputs(model))]
    # Features are never kept in eight bits and less: weights are.
    dtypes = (p.dtype for p in named_parameters(model).values())
    dtype = next((kind for kind in dtypes if kind.is_floating_point and kind.itemsize > 1), torch.float32)
    distinct: dict[str, Inputs] = {}
    for inputs in (_of_dtype(inputs, dtype) for inputs in candidates):
        distinct.setdefault(str((str(inputs), sorted(inputs.kwargs))), inputs)
    return list(distinct.values())


def _required_arguments(model: nn.Module) -> int:
    """How many positional arguments `forward` needs: a model of two images is called with two."""
    try:
        arguments = inspect.signature(model.forward).parameters.values()
    except (TypeError, ValueError):
        return 1
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    required = [a for a in arguments if a.kind in positional and a.default is inspect.Parameter.empty]
    return max(len(required), 1)


def _repeated(inputs: Inputs, count: int) -> Inputs:
    """As many arguments alike; two that were the same tensor would say that a model compares it with itself."""
    return Inputs(tuple(tensor.clone() for _ in range(count) for tensor in inputs.args))


def _of_dtype(inputs: Inputs, dtype: torch.dtype) -> Inputs:
    """The same inputs, which are guessed, in the precision of the model."""
    args, kwargs = inputs.map(lambda tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor)
    return Inputs(args, kwargs, guessed=True)


def _floats(*shape: int) -> Tensor:
    return torch.zeros(BATCH, *shape, dtype=torch.float32, device="meta")


def _declared_inputs(model: nn.Module) -> Iterator[Inputs]:
    """What the model itself says: timm's configuration, the dummy inputs of transformers."""
    for attribute in ("pretrained_cfg", "default_cfg"):
        size = getattr(getattr(model, attribute, None), "get", lambda _: None)("input_size")
        if isinstance(size, (tuple, list)):
            yield Inputs((_floats(*size),))
            break
    dummy = getattr(model, "dummy_inputs", None)
    if hasattr(model, "config") and isinstance(dummy, Mapping):
        from ghn.graph.run.transformers_inputs import transformers_inputs

        yield from transformers_inputs(model, dummy)


def _image_inputs(model: nn.Module) -> Iterator[Inputs]:
    """Guesses from the shape of the first weight."""
    shaped = ((name, p) for name, p in named_parameters(model).items() if not is_lazy(p))
    weights = (p for name, p in shaped if p.dim() >= 2 and name.rpartition(".")[2] == "weight")
    first = next(weights, None)
    channels = 3
    if first is not None and first.dim() == 4:
        # A depthwise or grouped first layer says nothing of the channels that go in.
        channels = first.shape[1] if first.shape[1] > 1 or first.shape[0] < 2 else channels
    shape = () if first is None else tuple(first.shape)
    if len(shape) == 5:
        yield Inputs((_floats(shape[1], 16, 112, 112),))
        yield Inputs((_floats(shape[1], 16, 224, 224),))
    elif len(shape) == 2:
        yield Inputs((_floats(shape[1]),))
        yield Inputs((_floats(8, shape[1]),))
        yield Inputs((torch.zeros(BATCH, 16, dtype=torch.long),))
    elif len(shape) == 3:
        yield Inputs((_floats(shape[1], 4096),))
    for size in IMAGE_SIZES:
        yield Inputs((_floats(channels, size, size),))
    if channels == 3 and first is not None and first.dim() == 4 and first.shape[1] == 1:
        yield Inputs((_floats(1, 224, 224),))
        yield Inputs((_floats(1, 28, 28),))
