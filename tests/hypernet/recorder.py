"""Which tensors a computation makes."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Recorder(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.largest = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = {tensor.untyped_storage().data_ptr() for tensor in tree_leaves((args, kwargs)) if _is_tensor(tensor)}
        for tensor in tree_leaves(result):
            if _is_tensor(tensor) and tensor.untyped_storage().data_ptr() not in given:
                self.largest = max(self.largest, tensor.untyped_storage().nbytes() // tensor.element_size())
        return result


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor)


def largest_allocation(compute: Callable[[], object]) -> int:
    """Number of elements of the largest tensor that `compute` allocates."""
    torch.zeros(1)
    recorder = _Recorder()
    with recorder:
        compute()
    return recorder.largest
