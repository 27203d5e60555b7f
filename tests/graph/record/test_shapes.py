"""Shortcuts give what PyTorch's own meta implementation gives."""

import importlib.util
import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from ghn.graph.record import shapes
from ghn.graph.record.shapes import CHECKS, SHORTCUTS
from ghn.graph.trace import trace


def operator_of(name: str) -> Any:
    """The operator of a name such as `aten.add.Tensor`; None if this version of PyTorch has none."""
    namespace, operator, overload = name.split(".")
    return getattr(getattr(getattr(torch.ops, namespace), operator, None), overload, None)


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


IMAGE = meta(2, 6, 4, 4)
LAST = IMAGE.contiguous(memory_format=torch.channels_last)
PERMUTED = meta(2, 4, 4, 6).permute(0, 3, 1, 2)[..., :2]
TENSORS = [IMAGE, LAST, PERMUTED, meta(3, 5), meta(3, 5).t(), meta(), meta(0, 3), meta(2, 3, dtype=torch.float16)]
TENSORS += [meta(2, 3, dtype=torch.int64), meta(6), meta(2, 1, 4, 4), meta(2, 6, 1, 1)]
TENSORS += [meta(3, 2, 5).transpose(0, 1), meta(2, 3, 5), meta(1, 3, 5), meta(5), meta(2, 3, 10)[..., ::2]]
TENSORS += [meta(dtype=torch.int64), meta(2, 1).expand(2, 3), meta(1, 2, 5).transpose(0, 1)]


def cases() -> list[Any]:
    """Operators with arguments, of all shortcuts but convolutions."""
    there = {name: operator_of(name) for name in SHORTCUTS if "convolution" not in name}
    return [
        (operator, given)
        for name, operator in there.items()
        if operator is not None
        for given in (_of_layers(name) or _of_numbers(name, operator))
    ]


def _of_layers(name: str) -> list[Any]:
    """Arguments for norms, products, and what acts along axes; none for other operators."""
    if "batch_norm" in name:
        found: list[Any] = []
        for x, training in itertools.product([IMAGE, LAST, meta(3, 6)], (True, False)):
            statistics = (None, None) if training else (meta(6), meta(6))
            found.append((x, meta(6), meta(6), meta(6), meta(6), training, 0.1, 1e-5))
            found.append((x, None, None, *statistics, training, 0.1, 1e-5))
        return found
    if name in ("aten.mm.default", "aten.bmm.default"):
        batch = (7,) if "bmm" in name else ()
        return [
            (meta(*batch, 3, 4), meta(*batch, 4, 5)),
            (meta(*batch, 3, 0), meta(*batch, 0, 5)),
            (meta(*batch, 4, 3).mT, meta(*batch, 5, 4).mT),
            (meta(*batch, 3, 4, dtype=torch.float64), meta(*batch, 4, 5, dtype=torch.float64)),
        ]
    if "grouped_mm" in name:
        kinds = [(size, torch.bfloat16) for size in (16, 24)]
        return [
            (meta(8, 16, dtype=kind), meta(4, 16, size, dtype=kind), meta(4, dtype=torch.int32)) for size, kind in kinds
        ]
    if "layer_norm" in name:
        plain = [(x, [x.shape[-1]], None, None, 1e-5) for x in (IMAGE, meta(3, 5))]
        return [*plain, (IMAGE, [4, 4], meta(4, 4), meta(4, 4), 1e-5)]
    if "addmm" in name:
        return [(meta(5), meta(3, 4), meta(4, 5)), (meta(3, 5), meta(3, 4), meta(4, 5))]
    if "cat" in name:
        return [
            ([IMAGE, meta(2, 1, 4, 4)], 1),
            ([LAST, LAST], 1),
            ([meta(3), meta(2)],),
            ([meta(2, 3), meta(2, 3, dtype=torch.float64)], -1),
            ([IMAGE, meta(0)], 1),
        ]
    if "mean" in name:
        axes: tuple[list[int], ...] = ([0], [-1], [2, 3], [-1, -2], [])
        usual = [x for x in TENSORS if x.is_floating_point() and x.dim() >= 2]
        return [
            (x, list(dim), keep)
            for x, dim, keep in itertools.product(usual, axes, (False, True))
            if all(-x.dim() <= axis < x.dim() for axis in dim)
        ]
    return []


def _of_numbers(name: str, operator: Any) -> list[Any]:
    """Arguments for what acts on each number or along one axis."""
    if "roll" in name:
        return [(x, [1], [0]) for x in TENSORS if x.dim() and x.numel()]
    if "softmax" in name:
        rest = (-1, False) if "_softmax.default" in name and "safe" not in name else (-1,)
        return [(x, *rest) for x in TENSORS if x.is_floating_point() and x.dtype != torch.float16]
    if name.split(".")[1] in ("mul_", "add_", "sub_"):
        pairs = itertools.product(TENSORS, [*TENSORS, 2, 0.5, True])
        return [pair for pair in pairs if _works(operator, *pair)]
    if name == "aten.mul.Scalar":
        return [(x, scalar) for x in TENSORS for scalar in (2, 0.5, True, 1j)]
    if name.split(".")[1] in ("mul", "add", "sub", "div"):
        return [pair for pair in itertools.product(TENSORS, [*TENSORS, 2, 0.5]) if _broadcasts(*pair)]
    if "clamp" in name:
        return [(x, 0) for x in TENSORS]
    return [(x,) for x in TENSORS if x.is_floating_point()]


def convolutions() -> list[Any]:
    """Of all numbers of axes; images of one pixel or channel, channels last, with gaps; kernels with and without."""
    found: list[Any] = []
    images = [IMAGE, LAST, PERMUTED, meta(2, 6, 1, 1), meta(2, 6, 1, 5), meta(1, 6, 9, 7), meta(0, 6, 4, 4)]
    options = itertools.product(
        [*images, meta(2, 6, 9), meta(2, 6, 4, 4, 4), meta(6, 4, 4), meta(2, 6, 4, 4).double()],
        (1, 3),
        ([1], [2]),
        ([0], [1], [2]),
        ([1], [2]),
        (False, True),
        (1, 2, 6),
        (None, meta(12)),
    )
    for x, kernel, stride, padding, dilation, transposed, groups, bias in options:
        axes = x.dim() - 2 or 1
        weight = meta(*((6, 12 // groups) if transposed else (12, 6 // groups)), *[kernel] * axes)
        found.append((x, weight, bias, stride, padding, dilation, transposed, [0], groups))
        found.append(
            (
                x,
                weight,
                bias,
                *[values * axes for values in (stride, padding, dilation)],
                transposed,
                [0] * axes,
                groups,
            )
        )
    one = meta(2, 1, 5, 5)
    found += [(one, meta(3, 1, k, k), None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1) for k in (1, 3)]
    return found


def _works(operator: Any, *args: Any) -> bool:
    try:
        operator(*args)
    except RuntimeError:
        return False
    return True


def _broadcasts(first: torch.Tensor, second: object) -> bool:
    if not isinstance(second, torch.Tensor):
        return True
    try:
        torch.broadcast_shapes(first.shape, second.shape)
    except RuntimeError:
        return False
    return True


def describe(result: object) -> object:
    if isinstance(result, torch.Tensor):
        # Strides of axes of one element say nothing.
        strides = [stride for stride, size in zip(result.stride(), result.shape, strict=True) if size > 1]
        return (tuple(result.shape), strides if result.numel() else [], result.dtype, result.device.type)
    return [describe(item) for item in result]  # type: ignore[attr-defined]


def test_convolutions_equal_those_of_pytorch() -> None:
    shortcut, operator = SHORTCUTS["aten.convolution.default"], torch.ops.aten.convolution.default
    answered = 0
    for args in convolutions():
        if _works(operator, *args):
            result = shortcut(*args)
            if result is not NotImplemented:
                answered += 1
                assert describe(result) == describe(operator(*args)), args
    assert answered > 1000
    x, weight, rest = meta(2, 6, 4, 4), meta(12, 6, 3, 3), ([1], [0], [1], False, [0])
    for refused in (
        (x, weight, None, *rest, 2),
        (x, weight, meta(6), *rest, 1),
        (x, meta(12, 6, 5, 5), None, *rest, 1),
        (x, weight.double(), None, *rest, 1),
        (meta(6, 4, 4), weight, None, *rest, 1),
    ):
        assert shortcut(*refused) is NotImplemented, refused


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.preserve_format, torch.channels_last])
def test_clones_equal_those_of_pytorch(memory_format: torch.memory_format) -> None:
    shortcut, operator = SHORTCUTS["aten.clone.default"], torch.ops.aten.clone.default
    for x in TENSORS:
        result = shortcut(x, memory_format=memory_format)
        if result is not NotImplemented:
            assert describe(result) == describe(operator(x, memory_format=memory_format))


def test_shortcuts_equal_pytorch() -> None:
    for operator, args in cases():
        result = SHORTCUTS[str(operator)](*args)
        if result is not NotImplemented:
            assert describe(result) == describe(operator(*args)), (str(operator), args)


def test_every_shortcut_is_taken() -> None:
    names = [(str(operator), args) for operator, args in cases()]
    names += [("aten.convolution.default", args) for args in convolutions()]
    taken = {name for name, args in names if SHORTCUTS[name](*args) is not NotImplemented}
    assert taken == {name for name in SHORTCUTS if operator_of(name) is not None}


NEW = ("aten._grouped_mm.default",)
"""Operators that the least PyTorch does not have."""


@pytest.mark.parametrize("name", SHORTCUTS)
def test_operator_exists(name: str) -> None:
    if name in NEW and operator_of(name) is None:
        pytest.skip(f"PyTorch {torch.__version__} has no {name} yet")
    assert str(operator_of(name)) == name, (
        f"PyTorch {torch.__version__} has no {name}: nothing breaks, but its shortcut is of no use, and tracing takes "
        "longer if another operator stands in its place"
    )


def test_operators_that_are_missing_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.GELU()), torch.zeros(2, 3, 8, 8)
    expected = trace(model, x)
    renamed = {f"{name}_of_old": shortcut for name, shortcut in SHORTCUTS.items()}
    monkeypatch.setattr(shapes, "SHORTCUTS", renamed)
    assert operator_of("aten.gelu_of_old.default") is operator_of("aten.gelu.of_old") is None
    assert trace(model, x).edges.tolist() == expected.edges.tolist()
    assert trace(model, x).traced_by == "meta"


def test_importing_asks_for_no_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.ops, "aten", SimpleNamespace())
    assert shapes.__file__ is not None
    spec = importlib.util.spec_from_file_location("shapes_again", shapes.__file__)
    assert spec is not None
    assert spec.loader is not None
    again = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(again)
    assert again.SHORTCUTS.keys() == SHORTCUTS.keys()


CONVOLUTIONS: list[tuple[int, dict[str, Any]]] = [
    (3, {}),
    (3, {"padding": 1}),
    (3, {"dilation": 2}),
    (3, {"padding": 2, "dilation": 3}),
    (1, {"stride": 2}),
]


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(("kernel", "options"), CONVOLUTIONS)
def test_a_kernel_is_refused_where_it_does_not_fit_a_real_image(
    kernel: int, options: dict[str, Any], axes: int, transposed: bool
) -> None:
    """With a list of one number for all axes, or of as many as there are."""
    assert list(CHECKS) == ["aten.convolution.default"]
    settings = {"stride": 1, "padding": 0, "dilation": 1, **options}
    for sides in itertools.product((1, 2, 5, 7), repeat=axes):
        x, weight = torch.zeros(1, 2, *sides), torch.zeros(2, 2, *[kernel] * axes)
        answers = []
        for repeated in (1, axes):
            stride, padding, dilation = ([settings[name]] * repeated for name in ("stride", "padding", "dilation"))
            answers.append(
                refuses(CHECKS["aten.convolution.default"], x, weight, None, stride, padding, dilation, transposed)
            )
        real = refuses(
            torch.ops.aten.convolution.default,
            x,
            weight,
            None,
            *[[settings[n]] * axes for n in settings],
            False,
            [0],
            1,
        )
        assert answers == [real and not transposed] * 2, sides


def refuses(function: Callable[..., Any], *args: Any) -> bool:
    try:
        function(*args)
    except RuntimeError:
        return True
    return False


@pytest.mark.parametrize("layer", [nn.Conv1d(3, 4, 3), nn.Conv2d(3, 4, (1, 3), padding="valid"), nn.Conv3d(3, 4, 3)])
def test_models_whose_kernels_do_not_fit_are_refused(layer: nn.Module) -> None:
    axes = layer.get_parameter("weight").dim() - 2
    with pytest.raises(ValueError, match="forward pass of Sequential fails"):
        trace(nn.Sequential(layer, nn.ReLU()), torch.zeros(2, 3, *[2] * axes))
    assert trace(nn.Sequential(layer, nn.ReLU()), torch.zeros(2, 3, *[3] * axes)).traced_by == "meta"


def test_grouped_products_are_served_in_precisions_that_pytorch_has_kernels_for_elsewhere_only() -> None:
    shortcut, ends = SHORTCUTS["aten._grouped_mm.default"], meta(4, dtype=torch.int32)
    assert describe(shortcut(meta(8, 6), meta(4, 6, 5), ends)) == ((8, 5), [5, 1], torch.float32, "meta")
    assert shortcut(meta(8, 6), meta(4, 5, 6), ends) is NotImplemented
    assert shortcut(meta(8, 6), meta(3, 6, 5), ends) is NotImplemented
    assert shortcut(meta(8, 6), meta(4, 6, 5), ends, None, torch.float32) is NotImplemented
    assert shortcut(meta(4, 8, 6), meta(4, 6, 5)) is NotImplemented
