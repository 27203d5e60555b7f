"""Which hypernetwork a dictionary of tensors is, by its keys and shapes, and whether it is one at all.

Legend: D hidden size, H heads, L layers, C classes, S spatial side.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ghn.checkpoint.errors import CheckpointError
from ghn.common.text import shown
from ghn.hypernet import GHN
from ghn.hypernet.config import GHNConfig

Kind = TypeVar("Kind", bound=GHN)
Shapes = Mapping[str, tuple[int, ...]]

WRAPPERS = ("module.", "_orig_mod.")
TABLES = ("centrality_embed_in", "centrality_embed_out", "input_dist_embed")
MAX_LAYERS = 256
MAX_NAMED = 3
FLAGS_THAT_MUST_HOLD = ("weight_norm", "layernorm")


def normalize(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename and reshape a published state to the keys and shapes of `GHN`.

    Prefixes of wrappers (DistributedDataParallel, torch.compile) go; the three tables of degrees and distances move
    from `gnn.0.` to the top; weights of 1×1 convolutions become those of linear layers.

    Args:
        state: As published.

    Returns:
        The same tensors (views) in the same order.

    Raises:
        CheckpointError: If two keys become one.
    """
    keys = list(state)
    while wrapper := next((prefix for prefix in WRAPPERS if all(key.startswith(prefix) for key in keys)), None):
        keys = [key.removeprefix(wrapper) for key in keys]
    result: dict[str, Tensor] = {}
    for key, tensor in zip(keys, state.values(), strict=True):
        if key.removeprefix("gnn.0.").startswith(TABLES):
            key = key.removeprefix("gnn.0.")
        if key in result:
            raise CheckpointError(f"holds {shown(key)} twice")
        result[key] = tensor.flatten(1) if tensor.ndim == 4 and tensor.shape[2:] == (1, 1) else tensor
    return result


def infer_config(shapes: Shapes, stored: Mapping[str, Any] | None = None) -> GHNConfig:
    """Architecture that keys and shapes belong to.

    Args:
        shapes: Shape of each tensor by its normalised key.
        stored: The options that a training file holds. They decide what shapes cannot show (the corner that GHN-2 crops
            from, the heads of a Graphormer without edge embedding) and must agree with the shapes otherwise.

    Returns:
        The configuration; whether every tensor fits it is checked by `check`.

    Raises:
        CheckpointError: If the keys are those of no hypernetwork, or the options contradict the shapes.
    """
    stored = stored or {}
    encoder, layers = _encoder(shapes)
    hidden = _size(shapes, "embed.weight", 1)
    max_channels = math.isqrt(_size(shapes, "decoder.conv.2.weight", 0))
    spatial = math.isqrt(_size(shapes, "decoder.fc.0.weight", 0) // max(4 * hidden, 1))
    has_edges = "gnn.0.attn.proj_e.2.weight" in shapes
    graphormer = encoder == "graphormer"
    heads = 1
    if graphormer:
        heads = _size(shapes, "gnn.0.attn.proj_e.2.weight", 0) if has_edges else _option(stored, "heads", int, 8)
    try:
        config = GHNConfig(
            encoder=encoder,  # type: ignore[arg-type]
            hidden=hidden,
            layers=layers,
            heads=heads,
            num_classes=_size(shapes, "bias_class.1.weight", 0),
            max_channels=max_channels,
            spatial=spatial,
            centered_crop=not _option(stored, "is_ghn2", bool, not graphormer),
            virtual_edges=encoder != "gated_gnn" or any(key.startswith("gnn.mlp_ve.") for key in shapes),
            forward_edges=has_edges or not graphormer,
            backward_edges=has_edges or not graphormer,
            centrality=not graphormer or "centrality_embed_in.weight" in shapes,
            input_distance=not graphormer or "input_dist_embed.weight" in shapes,
        )
    except ValueError as error:
        raise CheckpointError(f"has shapes that make no hypernetwork: {error}") from None
    _check_options(config, stored)
    return config


def _encoder(shapes: Shapes) -> tuple[str, int]:
    """Name of the encoder and its number of layers."""
    if any(key.startswith("gnn.gru.") for key in shapes):
        return "gated_gnn", 0
    if any(key.startswith("gnn.fc.") for key in shapes):
        return "mlp", 0
    layers = sum(re.fullmatch(r"gnn\.[0-9]+\.ln1\.weight", key) is not None for key in shapes)
    if not layers:
        raise CheckpointError(f"is no graph hypernetwork: it has no encoder (gnn.…) but {_named(shapes)}")
    if layers > MAX_LAYERS:
        raise CheckpointError(f"has {layers:,} encoder layers; at most {MAX_LAYERS} are supported")
    return "graphormer", layers


def _size(shapes: Shapes, key: str, axis: int) -> int:
    shape = shapes.get(key)
    if shape is None:
        raise CheckpointError(f"is no graph hypernetwork: it has no {key} but {_named(shapes)}")
    if len(shape) != 2:
        raise CheckpointError(f"is no graph hypernetwork: its {key} has shape {shown(shape)}, not two axes")
    return shape[axis]


def _named(keys: Mapping[str, Any] | list[str]) -> str:
    """The first keys, and how many more."""
    names = [shown(key) for key in list(keys)[:MAX_NAMED]]
    more = len(keys) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _option(stored: Mapping[str, Any], name: str, kind: type, default: Any) -> Any:
    value = stored.get(name)
    if value is None:
        return default
    if type(value) is not kind:
        raise CheckpointError(f"stores the option {name} as {shown(value)}, not {kind.__name__}")
    return value


def _check_options(config: GHNConfig, stored: Mapping[str, Any]) -> None:
    """Refuse options that contradict the shapes."""
    for name in FLAGS_THAT_MUST_HOLD:
        if not _option(stored, name, bool, True):
            raise CheckpointError(f"was trained with {name}=False, which is not supported")
    found = {"hid": config.hidden, "num_classes": config.num_classes}
    if config.encoder == "graphormer":
        found |= {"layers": config.layers, "heads": config.heads}
    elif config.encoder == "gated_gnn":
        found |= {"ve": config.virtual_edges}
    for name, value in found.items():
        given = _option(stored, name, type(value), value)
        if given != value:
            raise CheckpointError(f"stores the option {name}={shown(given)} but has the shapes of {name}={value}")
    window = (config.max_channels, config.max_channels, config.spatial, config.spatial)
    sides = stored.get("max_shape")
    if (
        isinstance(sides, tuple | list)
        and len(sides) <= 4
        and all(type(side) is int for side in sides)
        and tuple(sides) != window
    ):
        raise CheckpointError(f"stores the option max_shape={shown(tuple(sides))} but has the shapes of {window}")


class _NoInitialization(TorchFunctionMode):
    """Skip what only changes values: meta tensors have none, but torch would import decompositions for seconds."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        target = args[0] if args else (kwargs or {}).get("tensor")
        name = getattr(func, "__name__", "")
        initializes = getattr(func, "__module__", None) == "torch.nn.init"
        in_place = name.endswith("_") and not name.endswith("__") and name != "requires_grad_"
        if (initializes or in_place) and isinstance(target, Tensor) and target.is_meta:
            return target
        return func(*args, **(kwargs or {}))


def skeleton(config: GHNConfig, kind: type[Kind]) -> Kind:
    """`kind(config)` whose parameters take no memory and have no values (meta device).

    Args:
        config: An architecture.
        kind: The class of hypernetworks.

    Returns:
        The module.
    """
    with torch.device("meta"), _NoInitialization():
        return kind(config)


def expected_shapes(config: GHNConfig) -> dict[str, tuple[int, ...]]:
    """Shape of each tensor in the state of `GHN(config)`, without making any.

    Args:
        config: An architecture.

    Returns:
        Shapes by key, in the order of `state_dict()`.
    """
    return {key: tuple(tensor.shape) for key, tensor in skeleton(config, GHN).state_dict().items()}


def check_shapes(shapes: Shapes, config: GHNConfig) -> None:
    """Make sure that tensors of these shapes are the whole state of `GHN(config)` and nothing else.

    Args:
        shapes: Shape by key.
        config: An architecture.

    Raises:
        CheckpointError: Naming the first missing, unexpected and wrongly shaped keys.
    """
    expected = expected_shapes(config)
    faults = []
    if missing := [key for key in expected if key not in shapes]:
        faults.append(f"lacks {_named(missing)}")
    if unexpected := [key for key in shapes if key not in expected]:
        faults.append(f"also has {_named(unexpected)}")
    wrong = [key for key in shapes if key in expected and shapes[key] != expected[key]]
    if wrong:
        key = wrong[0]
        faults.append(f"has {_named(wrong)} in other shapes ({key}: {shown(shapes[key])}, not {expected[key]})")
    if faults:
        raise CheckpointError(f"does not fit the {describe_config(config)}: it {'; it '.join(faults)}")


def check_finite(state: Mapping[str, Tensor]) -> None:
    """Make sure that all numbers are finite.

    Args:
        state: Floating-point tensors by key, none of them empty.

    Raises:
        CheckpointError: Naming the first key with a number that is not.
    """
    for key, tensor in state.items():
        # NaN and infinities are also the smallest or largest element: no mask as large as the tensor is needed.
        if not all(math.isfinite(extreme.item()) for extreme in torch.aminmax(tensor)):
            raise CheckpointError(f"holds a NaN or infinity in {shown(key)}")


def describe_config(config: GHNConfig) -> str:
    """An architecture in a few words, e.g. "graphormer hypernetwork (D=64, L=3, H=8, C=1000, S=16)"."""
    sizes = {"D": config.hidden, "C": config.num_classes, "S": config.spatial, "O": config.max_channels}
    if config.encoder == "graphormer":
        sizes |= {"L": config.layers, "H": config.heads}
    return f"{config.encoder} hypernetwork ({', '.join(f'{name}={size}' for name, size in sizes.items())})"
