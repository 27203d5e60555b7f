"""Parameters of every kind that a model may hold, and what is left of them afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree


class Packed(Tensor):
    """A wrapper subclass, as libraries of quantisation write them: eight bits and a scale inside, floats outside."""

    codes: Tensor
    scale: Tensor

    @staticmethod
    def __new__(cls, codes: Tensor, scale: Tensor, requires_grad: bool = False) -> Packed:
        return Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, codes.shape, dtype=scale.dtype, device=codes.device, requires_grad=requires_grad
        )

    def __init__(self, codes: Tensor, scale: Tensor, requires_grad: bool = False) -> None:
        self.codes, self.scale = codes, scale

    @classmethod
    def pack(cls, values: Tensor) -> Packed:
        scale = values.abs().max() / 127
        return cls((values / scale).round().to(torch.int8), scale)

    def unpack(self) -> Tensor:
        return self.codes.to(self.scale.dtype) * self.scale

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if func is torch.ops.aten.detach.default:
            return cls(args[0].codes, args[0].scale)
        if func is torch.ops.aten.view.default:
            return cls(args[0].codes.view(args[1]), args[0].scale)
        if func is torch.ops.aten.clone.default:
            return cls(args[0].codes.clone(), args[0].scale.clone())
        if func in (torch.ops.aten.copy_.default, torch.ops.aten.fill_.Scalar):
            raise NotImplementedError("packed numbers are not written")
        args, kwargs = pytree.tree_map_only(cls, Packed.unpack, (args, kwargs or {}))
        return func(*args, **kwargs)


class Noted(nn.Parameter):
    """A subclass that changes functions but not how numbers are kept."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in ("copy_", "detach", "numel"):
            raise RuntimeError("this class wants nothing of the kind")
        return super().__torch_function__(func, types, args, kwargs)


def flat_views() -> Tensor:
    return torch.randn(200)[20:84].view(8, 8)


def freed() -> Tensor:
    tensor = torch.randn(8, 8)
    tensor.untyped_storage().resize_(0)
    return tensor


def inference() -> Tensor:
    with torch.inference_mode():
        return torch.randn(8, 8)


def frozen(make: Callable[[], Tensor]) -> Callable[[], Tensor]:
    return lambda: nn.Parameter(make(), requires_grad=False)


WRITTEN: dict[str, Callable[[], Tensor]] = {
    "plain": lambda: nn.Parameter(torch.randn(8, 8)),
    "frozen": frozen(lambda: torch.randn(8, 8)),
    "half": frozen(lambda: torch.randn(8, 8).half()),
    "transposed": frozen(lambda: torch.randn(8, 8).t()),
    "strided": frozen(lambda: torch.randn(16, 24)[::2, ::3]),
    "interleaved": frozen(lambda: torch.randn(600).as_strided((8, 8), (9, 8 * 9 + 1))),
    "view of a flat storage": frozen(flat_views),
    "shared between processes": frozen(lambda: torch.randn(8, 8).share_memory_()),
    "made in inference mode": frozen(inference),
    "float8": frozen(lambda: torch.randn(8, 8).to(torch.float8_e4m3fn)),
    "class of functions": lambda: Noted(torch.randn(8, 8)),
}
"""Kinds whose numbers can be written."""

KEPT: dict[str, tuple[Callable[[], Tensor], str]] = {
    "complex": (frozen(lambda: torch.randn(8, 8, dtype=torch.complex64)), "complex"),
    "integers": (frozen(lambda: torch.randint(9, (8, 8))), "int"),
    "booleans": (frozen(lambda: torch.ones(8, 8, dtype=torch.bool)), "integers|bool"),
    "coordinates": (frozen(lambda: torch.randn(8, 8).to_sparse()), "sparse_coo"),
    "compressed rows": (frozen(lambda: torch.randn(8, 8).to_sparse_csr()), "sparse_csr"),
    "compressed columns": (frozen(lambda: torch.randn(8, 8).to_sparse_csc()), "sparse_csc"),
    "compressed blocks": (frozen(lambda: torch.randn(8, 8).to_sparse_bsr((2, 2))), "sparse_bsr"),
    "expanded": (frozen(lambda: torch.randn(8, 1).expand(8, 8)), "share memory"),
    "overlapping": (frozen(lambda: torch.randn(20).as_strided((8, 8), (1, 1))), "share memory"),
    "freed": (frozen(freed), "freed"),
    "wrapper": (frozen(lambda: Packed.pack(torch.randn(8, 8))), "Packed"),
    "quantised": (
        frozen(lambda: torch.quantize_per_tensor(torch.randn(8, 8), 0.1, 0, torch.qint8)),
        "qint8|integers",
    ),
}
"""Kinds that are kept, and words of which the reason has one."""

if hasattr(torch, "float8_e8m0fnu"):  # since PyTorch 2.7
    KEPT["powers of two"] = frozen(lambda: torch.ones(8, 8).to(torch.float8_e8m0fnu)), "float8_e8m0fnu"


def numbers(tensor: Tensor) -> Tensor | None:
    """A dense copy of what a tensor of any kind holds, None where it holds nothing."""
    tensor = tensor.detach() if not isinstance(tensor, Noted) else tensor.as_subclass(Tensor).detach()
    if isinstance(tensor, Packed):
        return tensor.codes.clone()
    if tensor.is_quantized:
        return tensor.int_repr().clone()
    if tensor.layout is not torch.strided:
        return tensor.to_dense().clone()
    if tensor.untyped_storage().nbytes() == 0:
        return None
    return tensor.float().clone() if tensor.is_floating_point() else tensor.clone()
