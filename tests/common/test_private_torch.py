"""What breaks if a version of PyTorch drops a name that is not public, and that no other file uses such names."""

import ast
import gc
import importlib
import logging
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import ghn
from ghn.common import private_torch

PACKAGE = Path(ghn.__file__).parent

USES = {
    "torch.utils._python_dispatch.TorchDispatchMode": "no model can be traced but by the order of its modules",
    "torch.utils._python_dispatch.TorchDispatchMode._should_skip_dynamo": "every trace imports the compiler: seconds",
    "torch.utils._python_dispatch.TorchDispatchMode.supports_higher_order_operators": "models with torch.cond fail",
    "torch.utils.weak.WeakTensorKeyDictionary": "no model can be traced: the recorder numbers tensors by it",
    "torch.utils.weak.WeakIdKeyDictionary": "a type annotation of the recorder",
    "torch._subclasses.fake_tensor.FakeTensorMode": "the rung `fake` of tracing fails; the rung `real` takes its place",
    "torch.nn.modules.batchnorm._BatchNorm": "evaluation of predicted networks cannot find batch norms",
    "torch._C._dispatch_has_kernel_for_dispatch_key": "no model can be traced: composite operators are not told apart",
    "torch._C._current_graph_task_id": "no model can be traced: gradients are not told from layers",
    "torch._C._functorch.is_functorch_wrapped_tensor": "models that differentiate in their forward pass fail",
    "torch._C._functorch.get_unwrapped": "models that use torch.func.grad in their forward pass fail",
    "torch._C._get_dispatch_mode": "no model can be traced: every operator asks who else writes it down",
    "torch._C._TorchDispatchModeKey.PROXY": "the same",
    "torch.UntypedStorage._free_weak_ref": "memory of a recorder's own is not freed: some bytes a tensor",
    "torch.utils._python_dispatch._disable_current_modes": "models that write to their own tensors on real runs fail",
    "torch.ops.aten._scaled_dot_product_attention_math": "models with attention trace to other graphs on real runs",
    "torch._ops.HigherOrderOperator": "no model can be traced: every function is asked whether it is one",
    "torch._C._len_torch_dispatch_stack": "no model can be traced: an interrupt could leave the recorder at work",
    "torch._C._len_torch_function_stack": "no model can be traced: an interrupt could leave the recorder at work",
    "torch.utils._python_dispatch._pop_mode": "an interrupt of a trace may leave the recorder at work",
    "torch.overrides._pop_mode": "an interrupt of a trace may leave the recorder at work",
    "torch._GLOBAL_DEVICE_CONTEXT": "a default device that a forward pass sets stays",
    "torch._C._get_mkldnn_enabled": "what a forward pass sets stays",
    "torch._C._set_mkldnn_enabled": "what a forward pass sets stays",
    "torch._tensor_str.PRINT_OPTS": "what a forward pass sets stays",
    "torch.nn.modules.module._global_forward_hooks": "hooks of all modules note what a trace computes",
    "torch._foreach_norm": "meta-training: norms of weights and gradients",
    "torch._foreach_sub": "meta-training: the norm of an update",
    "torch._foreach_add_": "meta-training: the gradient of the penalty",
    "torch._foreach_mul_": "meta-training: steps in which a network failed",
    "torch._foreach_copy_": "training by several processes: gradients come back from the sum",
}
"""By name, what breaks without it."""


def resolve(name: str) -> Any:
    """What a dotted name stands for."""
    parts = name.split(".")
    for split in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:split]))
        except ImportError:
            continue
        for part in parts[split:]:
            found = getattr(found, part)
        return found
    raise AttributeError(name)


LATER = {
    "torch.utils._python_dispatch.TorchDispatchMode._should_skip_dynamo",
    "torch.utils._python_dispatch.TorchDispatchMode.supports_higher_order_operators",
}
"""What ours replace; PyTorch 2.6 has not what it is for."""


@pytest.mark.parametrize("name", USES)
def test_name_exists(name: str) -> None:
    if name in LATER and torch.__version__.startswith("2.6."):
        pytest.skip("added later")
    try:
        resolve(name)
    except AttributeError:
        pytest.fail(f"PyTorch {torch.__version__} has no {name}: {USES[name]}")


def test_views_are_told_from_copies_and_changes() -> None:
    aten = torch.ops.aten
    for view in (aten.slice.Tensor, aten.view.default, aten.expand.default, aten.detach.default, aten.t.default):
        assert private_torch.is_view(view)
    for other in (aten.add.Tensor, aten.add_.Tensor, aten.clone.default, aten.sum.default, aten.relu_.default):
        assert not private_torch.is_view(other)
    assert not private_torch.is_view(torch.cond)


def test_operators_are_seen() -> None:
    class Seen(private_torch.OperatorMode):
        names: list[str] = []

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.names.append(str(func))
            return func(*args, **(kwargs or {}))

    with Seen():
        nn.functional.linear(torch.zeros(2, 3), torch.zeros(4, 3))
    assert Seen.names[-1] == "aten.mm.default", "tracing sees functions that consist of operators, or nothing"


def test_dictionary_knows_tensors_by_identity_while_they_live() -> None:
    numbers: Any = private_torch.WeakTensorKeyDictionary()
    first, second = torch.zeros(2), torch.zeros(2)
    numbers[first], numbers[second] = 1, 2
    assert (numbers[first], numbers[second]) == (1, 2), "tracing takes equal tensors for the same"
    del first
    gc.collect()
    assert len(numbers) == 1, "tracing holds every tensor of a forward pass in memory"


def test_fake_tensors_have_a_device_and_no_numbers() -> None:
    with private_torch.fake_tensor_mode():
        made = torch.zeros(2**40, device="cpu")
    assert (made.device.type, made.numel()) == ("cpu", 2**40), "the rung `fake` takes as much memory as a real run"


def test_fake_tensors_are_known_and_memory_is_copied_in_spite_of_them() -> None:
    memory = torch.ones(2).untyped_storage()
    with private_torch.fake_tensor_mode():
        assert private_torch.is_fake(torch.ones(2))
        with private_torch.without_modes():
            assert not private_torch.is_fake(torch.ones(2))
            assert bytes(memory.clone()) == bytes(memory)
    assert not private_torch.is_fake(torch.ones(2))


def test_fake_tensors_report_to_the_logger() -> None:
    log = importlib.import_module("torch._subclasses.fake_tensor").log
    assert log is logging.getLogger(private_torch.FAKE_TENSOR_LOG), "tracing fills pages with failures of a rung"


@pytest.mark.slow
def test_compiler_is_not_loaded_by_tracing() -> None:
    program = """
import torch
from ghn.common.private_torch import compiler_is_loaded
from ghn.graph.trace import trace
class Checking(torch.nn.Linear):
    def forward(self, x):
        return super().forward(x) if x.sum().item() < 1 else x
assert trace(torch.nn.Linear(2, 2), torch.zeros(2, 2)).traced_by == "meta"
assert not compiler_is_loaded(), "tracing takes seconds: it imports torch._dynamo"
import torch._dynamo
assert compiler_is_loaded(), "compiled parts are compiled while a model is traced"
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm])
def test_batch_norms(kind: Any) -> None:
    assert private_torch.is_batch_norm(kind(3)), "running statistics of predicted networks are used in evaluation"


@pytest.mark.parametrize("module", [nn.InstanceNorm2d(3), nn.LayerNorm(3), nn.GroupNorm(1, 3), nn.Sequential()])
def test_other_layers_are_no_batch_norms(module: nn.Module) -> None:
    assert not private_torch.is_batch_norm(module)


@pytest.mark.parametrize("name", ["MODULE_CHILDREN", "MODULE_PARAMETERS", "MODULE_BUFFERS"])
def test_modules_consist_of(name: str) -> None:
    key = getattr(private_torch, name)
    assert isinstance(nn.BatchNorm1d(2).__dict__.get(key), dict), f"copies for tracing lack what was in {key}"


def test_arithmetic_with_many_tensors() -> None:
    tensors = [torch.tensor([3.0, 4.0]), torch.tensor([[2.0]])]
    assert [float(norm) for norm in private_torch.foreach_norm(tensors)] == [5.0, 2.0]
    differences = private_torch.foreach_sub(tensors, [torch.ones(2), torch.ones(1, 1)])
    assert [tensor.tolist() for tensor in differences] == [[2, 3], [[1]]]
    private_torch.foreach_add_(tensors, tensors)
    private_torch.foreach_mul_(tensors, 0.5)
    assert [tensor.tolist() for tensor in tensors] == [[3, 4], [[2]]]
    private_torch.foreach_copy_(tensors, [torch.zeros(2), torch.ones(1, 1)])
    assert [tensor.tolist() for tensor in tensors] == [[0, 0], [[1]]]


def private_names(text: str) -> set[str]:
    """Dotted names of PyTorch in a program (not in its strings) that are not public."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("torch"):
            found |= {f"{node.module}.{name.name}" for name in node.names}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.Attribute):
            found.add(ast.unparse(node))
        elif isinstance(node, ast.Constant) and node.value in ("_modules", "_parameters", "_buffers"):
            found.add(f"torch.nn.Module.{node.value}")
    names = {name for name in found if re.fullmatch(r"torch\.[\w.]+", name)}
    private = {name for name in names if any(part[0] == "_" != part[1] for part in name.split(".") if len(part) > 1)}
    private |= {name for name in names if name.startswith("torch.utils.weak")}
    # Of a dotted name the beginning is found as well.
    return {name for name in private if not any(other.startswith(f"{name}.") for other in private)}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("from torch.utils._pytree import tree_leaves", {"torch.utils._pytree.tree_leaves"}),
        ("def f():\n    import torch._dynamo", {"torch._dynamo"}),
        ("torch._foreach_norm([])", {"torch._foreach_norm"}),
        ("torch.finfo(self._dtype).max", set()),
        ("torch._C._functorch.get_unwrapped(x)", {"torch._C._functorch.get_unwrapped"}),
        ("from torch.utils.weak import WeakTensorKeyDictionary", {"torch.utils.weak.WeakTensorKeyDictionary"}),
        ("from torch import nn, __version__\nx = torch.__version__\ny = 'torch._C'", set()),
        ("for m in module.__dict__['_modules']: ...", {"torch.nn.Module._modules"}),
    ],
)
def test_private_names_are_found(text: str, names: set[str]) -> None:
    assert private_names(text) == names


def test_no_other_file_uses_private_names() -> None:
    found = {
        str(file.relative_to(PACKAGE)): names
        for file in PACKAGE.rglob("*.py")
        if (names := private_names(file.read_text()))
    }
    keys = {f"torch.nn.Module.{key}" for key in ("_modules", "_parameters", "_buffers")}
    assert found["common/private_torch.py"] - keys <= set(USES), "each name has a line on what breaks without it"
    assert found.keys() == {"common/private_torch.py"}, found


def test_composite_operators_are_told() -> None:
    assert private_torch.is_composite(torch.ops.aten.linear.default)
    assert not private_torch.is_composite(torch.ops.aten.mm.default)
    assert not private_torch.is_composite(torch.ops.prim.device.default), "of TorchScript, without a registration"


def test_whether_differentiation_is_at_work() -> None:
    seen: list[bool] = []
    x = torch.zeros(2, requires_grad=True)
    x.register_hook(lambda gradient: seen.append(private_torch.is_backward_running()))
    x.sum().backward()
    assert seen == [True]
    assert not private_torch.is_backward_running()


def test_levels_of_functions_are_taken_off() -> None:
    x = torch.zeros(2)
    found: list[torch.Tensor] = []

    def function(tensor: torch.Tensor) -> torch.Tensor:
        found.append(private_torch.without_levels(tensor))
        return tensor.sum()

    torch.func.grad(function)(x)
    assert found[0].data_ptr() == x.data_ptr()
    assert private_torch.without_levels(x) is x


def test_jagged_tensors_are_wrappers_and_others_are_not() -> None:
    jagged = torch.nested.nested_tensor([torch.zeros(1, 2), torch.zeros(2, 2)], layout=torch.jagged)
    with private_torch.fake_tensor_mode():
        fake = torch.zeros(2)
    assert private_torch.is_wrapper(type(jagged))
    assert not any(private_torch.is_wrapper(kind) for kind in (torch.Tensor, nn.Parameter, type(fake), int))
    assert (3, 2) in [tuple(part.shape) for part in private_torch.parts_of(jagged)]
    assert private_torch.parts_of(fake) == [fake]


def test_operators_that_take_functions_are_told() -> None:
    from torch._higher_order_ops.cond import cond_op

    assert private_torch.is_higher_order(cond_op)
    assert not private_torch.is_higher_order(torch.add)


def test_modes_are_left() -> None:
    levels = private_torch.mode_levels()
    mode, functions = private_torch.OperatorMode(), torch.overrides.TorchFunctionMode()
    for entered in (mode, functions, private_torch.fake_tensor_mode()):
        entered.__enter__()
    assert private_torch.mode_levels() != levels
    private_torch.leave_modes(levels)
    assert private_torch.mode_levels() == levels
    assert not private_torch.is_fake(torch.ones(1))
