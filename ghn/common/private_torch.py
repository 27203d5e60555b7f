"""Every name of PyTorch that is not public and that this package uses, with what could stand in its place.

A name that a version of PyTorch drops is missed here and nowhere else; `tests/common/test_private_torch.py` says what
breaks. What takes long to import, or is needed seldom, is looked up when it is used.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary, WeakTensorKeyDictionary

if TYPE_CHECKING:
    from torch.nn.modules.batchnorm import _BatchNorm

__all__ = [
    "FAKE_TENSOR_LOG",
    "MODULE_BUFFERS",
    "MODULE_CHILDREN",
    "MODULE_PARAMETERS",
    "HeldAddresses",
    "OperatorMode",
    "WeakIdKeyDictionary",
    "WeakTensorKeyDictionary",
    "arguments_of",
    "attention_by_parts",
    "compiler_is_loaded",
    "default_device",
    "enable_mkldnn",
    "fake_tensor_mode",
    "foreach_add_",
    "foreach_copy_",
    "foreach_mul_",
    "foreach_norm",
    "foreach_sub",
    "hooks_of_all_modules",
    "is_backward_running",
    "is_batch_norm",
    "is_composite",
    "is_fake",
    "is_higher_order",
    "is_traced_by_pytorch",
    "is_view",
    "is_wrapper",
    "leave_modes",
    "mkldnn_is_enabled",
    "mode_levels",
    "parts_of",
    "print_options",
    "referent",
    "set_print_options",
    "storage_address",
    "with_parts",
    "without_levels",
    "without_modes",
]

# `WeakTensorKeyDictionary` maps tensors by identity while they live (`WeakIdKeyDictionary` is its type). Public:
# a dict by `id` and `weakref.finalize`; `weakref.WeakKeyDictionary` compares keys, which tensors do by element.

FAKE_TENSOR_LOG = "torch._subclasses.fake_tensor"
"""The logger that reports operators without a fake implementation. Public: none; pages of log if it is renamed."""

MODULE_CHILDREN, MODULE_PARAMETERS, MODULE_BUFFERS = "_modules", "_parameters", "_buffers"
"""Where `nn.Module.__dict__` has what it consists of, to copy modules fast. Public: `copy.deepcopy`, much slower."""


def default_device() -> torch.device | None:
    """What `torch.set_default_device` was given. Public: `torch.get_default_device`, which answers also if nothing."""
    context = getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None)
    return None if context is None else context.device


def mkldnn_is_enabled() -> bool:
    """Whether the CPU's kernels of oneDNN are in use. Public: `torch.backends.mkldnn.flags`, which does not tell."""
    return bool(torch._C._get_mkldnn_enabled())


def enable_mkldnn(enabled: bool) -> None:
    """Use the CPU's kernels of oneDNN, or not. Public: `torch.backends.mkldnn.flags`, a context."""
    torch._C._set_mkldnn_enabled(enabled)


def print_options() -> dict[str, Any]:
    """How tensors are printed. Public: `torch.set_printoptions`, which does not tell."""
    return dict(vars(torch._tensor_str.PRINT_OPTS))


def set_print_options(options: dict[str, Any]) -> None:
    """Print tensors as `print_options` said. Public: `torch.set_printoptions`, which has other names for some."""
    vars(torch._tensor_str.PRINT_OPTS).update(options)


def hooks_of_all_modules() -> list[dict[Any, Any]]:
    """What every module calls, whatever its own hooks. Public: none that lists them; they go on after a trace."""
    held = vars(nn.modules.module).items()
    return [hooks for name, hooks in held if name.startswith("_global_") and isinstance(hooks, dict)]


class OperatorMode(TorchDispatchMode):
    """Context that sees every call of an operator in its thread, by `__torch_dispatch__`.

    Public: none; `torch.overrides.TorchFunctionMode` sees functions, not the operators that they consist of.
    """

    supports_higher_order_operators = True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # The default wraps every call for torch.compile, whose import takes seconds; nothing is compiled here.
        return False


def fake_tensor_mode() -> Any:
    """A `FakeTensorMode`: tensors with a device and no numbers. Public: none; the rung `fake` goes without it."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    return FakeTensorMode(allow_non_fake_inputs=True)


def without_modes() -> Any:
    """Context in which this thread's operators run as if no mode saw them.

    Public: none; memory cannot be copied while fake tensors are on.
    """
    from torch.utils._python_dispatch import _disable_current_modes

    return _disable_current_modes()


def mode_levels() -> tuple[int, int]:
    """How many modes see this thread's operators, and how many its functions. Public: none."""
    return torch._C._len_torch_dispatch_stack(), torch._C._len_torch_function_stack()


def leave_modes(levels: tuple[int, int]) -> None:
    """Leave modes that were entered since there were so many. Public: `__exit__` of each, if one has them all."""
    from torch.overrides import _pop_mode as leave_functions
    from torch.utils._python_dispatch import _pop_mode as leave_operators

    for leave, level, place in ((leave_operators, levels[0], 0), (leave_functions, levels[1], 1)):
        while mode_levels()[place] > level:
            leave()


def is_fake(tensor: Tensor) -> bool:
    """Whether a tensor has a device and no numbers. Public: none; hidden work goes unnoticed on the rung `fake`."""
    loaded = sys.modules.get("torch._subclasses.fake_tensor")
    return loaded is not None and isinstance(tensor, loaded.FakeTensor)


def compiler_is_loaded() -> bool:
    """Whether something has imported `torch._dynamo`, which takes seconds.

    Public: `torch.compiler.set_stance` without this question, which imports it.
    """
    return "torch._dynamo" in sys.modules


def is_composite(operator: Any) -> bool:
    """Whether an operator consists of others, on any device, and says so itself.

    Public: `OpOverload.decompose`, which cannot be asked before it is called.
    """
    name = getattr(operator, "name", None)
    if name is None or not hasattr(operator, "decompose"):
        return False
    try:
        return bool(torch._C._dispatch_has_kernel_for_dispatch_key(name(), "CompositeImplicitAutograd"))
    except RuntimeError:
        # Those of TorchScript (prim::device) are not registered.
        return False


def arguments_of(operator: Any) -> Sequence[Any]:
    """What an operator's schema says of its arguments; nothing of those without one. Public: none."""
    schema = getattr(operator, "_schema", None)
    return () if schema is None else tuple(schema.arguments)


def is_view(operator: Any) -> bool:
    """Whether all that an operator returns lies, unchanged, in the memory of an argument. Public: none."""
    schema = getattr(operator, "_schema", None)
    if schema is None or not schema.returns:
        return False
    return all(result.alias_info is not None and not result.alias_info.is_write for result in schema.returns)


def attention_by_parts(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    """`scaled_dot_product_attention` as the operators that it consists of, and the weights of attention.

    Public: `torch.nn.attention.sdpa_kernel(SDPBackend.MATH)`, a switch of the whole process.
    """
    result: tuple[Tensor, Tensor] = torch.ops.aten._scaled_dot_product_attention_math(*args, **kwargs)
    return result


def is_higher_order(function: Any) -> bool:
    """Whether it is an operator that takes functions, as `torch.cond` does. Public: none; they fail without it."""
    from torch._ops import HigherOrderOperator

    return isinstance(function, HigherOrderOperator)


def is_traced_by_pytorch() -> bool:
    """Whether `make_fx` writes down the operators of this thread, as `torch.func.linearize` lets it. Public: none."""
    return torch._C._get_dispatch_mode(torch._C._TorchDispatchModeKey.PROXY) is not None


def is_backward_running() -> bool:
    """Whether the automatic differentiation of this thread is at work. Public: none."""
    return bool(torch._C._current_graph_task_id() != -1)


def without_levels(tensor: Tensor) -> Tensor:
    """The tensor inside those that `torch.func` wraps around it, level by level. Public: none."""
    while torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        tensor = torch._C._functorch.get_unwrapped(tensor)
    return tensor


def is_wrapper(kind: type) -> bool:
    """Whether a class of tensors handles operators itself by calls on tensors that it holds (jagged layout, sharded).

    Public: `__tensor_flatten__` is documented for subclasses; that fake tensors lack it is not.
    """
    return issubclass(kind, Tensor) and hasattr(kind, "__tensor_flatten__") and hasattr(kind, "__tensor_unflatten__")


def parts_of(tensor: Tensor) -> list[Tensor]:
    """The plain tensors that a tensor of a class as in `is_wrapper` holds; else the tensor itself."""
    if type(tensor) in (Tensor, torch.nn.Parameter) or not is_wrapper(type(tensor)):
        return [tensor]
    names, _ = tensor.__tensor_flatten__()  # type: ignore[attr-defined]
    return [part for name in names for part in parts_of(getattr(tensor, name))]


def with_parts(tensor: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """A tensor of a class as in `is_wrapper` with `function` of each tensor that it holds.

    Public: none; `transform_subclass` refuses jagged tensors, each of which has a length of its own as its ragged size.
    """
    kind: Any = type(tensor)
    names, context = kind.__tensor_flatten__(tensor)
    parts = {name: getattr(tensor, name) for name in names}
    parts = {
        name: with_parts(part, function) if is_wrapper(type(part)) else function(part) for name, part in parts.items()
    }
    made: Tensor = kind.__tensor_unflatten__(parts, context, tensor.shape, tensor.stride())
    return made


def referent(reference: weakref.ref[Tensor]) -> Tensor | None:
    """What a weak reference to a tensor refers to, if it lives.

    Some versions of PyTorch want to be told where Python gets hold again of a tensor that only C++ did hold. Public:
    `reference()`, which may give a tensor that is freed under it.
    """
    tensor = reference()
    if tensor is not None and hasattr(tensor, "_fix_weakref"):
        tensor._fix_weakref()
    return tensor


def storage_address(tensor: Tensor) -> int:
    """What tensors in the same memory have in common while one of them lives, on any device.

    Public: `id(tensor.untyped_storage())`, if PyTorch gives the same object each time.
    """
    return int(tensor.untyped_storage()._cdata)


class HeldAddresses:
    """Addresses of pieces of memory (see `storage_address`) that no other memory gets while this lives.

    The memory itself is freed as ever. Public: `weakref.ref(tensor.untyped_storage())`, if PyTorch gave the same object
    each time.
    """

    def __init__(self) -> None:
        self._held: set[int] = set()

    def hold(self, storage: torch.UntypedStorage) -> int:
        """The address of a piece of memory, from now on its own."""
        address = storage._cdata
        if address not in self._held:
            storage._weak_ref()
            self._held.add(address)
        return address

    def __del__(self) -> None:
        """Let other memory have the addresses."""
        for address in self._held:
            torch.UntypedStorage._free_weak_ref(address)


def is_batch_norm(module: nn.Module) -> TypeGuard[_BatchNorm]:
    """Whether a module is a batch norm of any dimension, lazy or synchronised. Public: a tuple of all the classes."""
    from torch.nn.modules.batchnorm import _BatchNorm

    return isinstance(module, _BatchNorm)


# Arithmetic with many tensors in one call. Public: a loop, which costs a kernel launch a tensor.


def foreach_norm(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Euclidean norms."""
    return list(torch._foreach_norm(list(tensors)))


def foreach_sub(tensors: Sequence[Tensor], others: Sequence[Tensor]) -> list[Tensor]:
    """Differences."""
    return list(torch._foreach_sub(list(tensors), list(others)))


def foreach_add_(tensors: Sequence[Tensor], others: Sequence[Tensor]) -> None:
    """Add to tensors in place."""
    torch._foreach_add_(list(tensors), list(others))


def foreach_mul_(tensors: Sequence[Tensor], factor: float) -> None:
    """Multiply tensors in place."""
    torch._foreach_mul_(list(tensors), factor)


def foreach_copy_(tensors: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    """Overwrite tensors."""
    torch._foreach_copy_(list(tensors), list(sources))
