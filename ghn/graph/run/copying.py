"""Copy a model without its numbers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ghn.common.private_torch import MODULE_BUFFERS, MODULE_CHILDREN, MODULE_PARAMETERS
from ghn.graph.parts import modules, named_buffers, named_parameters
from ghn.graph.record.trees import tensors_in
from ghn.graph.run.stand_in import comes_from_ranks

# Values that no forward pass can change.
_ATOMIC = (int, float, complex, str, bytes, bool, type(None), type, torch.dtype, torch.device)

_HOOKS = ("_forward_pre_hooks", "_forward_hooks")


def copy_model(model: nn.Module, convert: Callable[[Tensor], Tensor]) -> nn.Module:
    """A deep copy in which every parameter and buffer is replaced by `convert` of it.

    Modules are copied attribute by attribute, which is several times faster than `copy.deepcopy`'s general protocol;
    modules with a copying protocol of their own keep it. Sharing (tied parameters, modules used twice) is preserved.

    Args:
        model: The model; left as it is.
        convert: Makes the new tensor; called once for each parameter and buffer.
    """
    memo: dict[int, Any] = {}
    for tensor in [*named_parameters(model).values(), *named_buffers(model).values()]:
        memo[id(tensor)] = convert(tensor)
    # Results of computations kept as attributes (features, pruned or normalised weights) cannot be deep-copied.
    for module in modules(model):
        for tensor in tensors_in(module.__dict__):
            if id(tensor) not in memo and not tensor.is_leaf:
                memo[id(tensor)] = convert(tensor.detach())
    return _copy_module(model, memo)


def _copy_module(module: nn.Module, memo: dict[int, Any]) -> nn.Module:
    done = memo.get(id(module))
    if done is not None:
        return done
    kind = type(module)
    if _has_own_protocol(kind):
        return copy.deepcopy(module, memo)
    # Not the class's own `__new__`, which may want arguments: what a module is stands in its `__dict__`.
    copied: nn.Module = object.__new__(kind)
    memo[id(module)] = copied
    state = copied.__dict__
    for name, value in module.__dict__.items():
        if type(value) in _ATOMIC:
            state[name] = value
        elif name == MODULE_CHILDREN:
            state[name] = {key: None if child is None else _copy_module(child, memo) for key, child in value.items()}
        elif name in (MODULE_PARAMETERS, MODULE_BUFFERS):
            state[name] = {key: None if tensor is None else memo[id(tensor)] for key, tensor in value.items()}
        elif name in _HOOKS:
            state[name] = _copy_attribute(_own_hooks(value), memo)
        elif type(value) is dict and not value:
            state[name] = {}
        elif isinstance(value, dict) and not value and type(value).__module__ == "collections":
            state[name] = copy.copy(value)
        else:
            state[name] = _copy_attribute(value, memo)
    return copied


def _own_hooks(hooks: dict[int, Any]) -> dict[int, Any]:
    """Those of a module's hooks that belong to its computation."""
    moving = [key for key, hook in hooks.items() if comes_from_ranks(hook)]
    if not moving:
        return hooks  # itself, to which the handles of hooks refer
    own = copy.copy(hooks)
    for key in moving:
        del own[key]
    return own


def _copy_attribute(value: Any, memo: dict[int, Any]) -> Any:
    try:
        return copy.deepcopy(value, memo)
    except TypeError:
        # Locks, generators and open files have no copies; a forward pass can share them.
        return value


def _has_own_protocol(kind: type) -> bool:
    """Whether a class says itself how to copy it, other than PyTorch's own upgrades of old pickles."""
    own = getattr(kind, "__deepcopy__", None)
    if own is not None and not comes_from_ranks(own):
        return True
    for name in ("__getstate__", "__setstate__", "__reduce__", "__reduce_ex__"):
        method = getattr(kind, name, None)
        inherited = method is getattr(object, name, None)
        if not inherited and not str(getattr(method, "__module__", "")).startswith("torch.nn.modules"):
            return True
    return False
