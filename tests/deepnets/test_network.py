from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from ghn.deepnets import NetworkArguments, network_from_arguments
from ghn.deepnets.network import Cell, Network
from tests.deepnets.architectures import CONFIGURATIONS, SPLITS, cells, golden, wild


def on_meta(net_args: dict[str, Any] | NetworkArguments, num_classes: int = 10, image_size: int = 32) -> Network:
    with torch.device("meta"):
        return network_from_arguments(net_args, num_classes, image_size)


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
@pytest.mark.parametrize("split", SPLITS)
def test_parameters_are_the_released_ones(split: str, configuration: str, reference: Path) -> None:
    for entry in golden(reference, configuration)["splits"][split]:
        network = on_meta(entry["net_args"], *CONFIGURATIONS[configuration])
        shapes = {name: tuple(parameter.shape) for name, parameter in network.named_parameters()}
        unused = set(entry["unreachable"])
        assert unused <= set(shapes)
        used = Counter(shape for name, shape in shapes.items() if name not in unused)
        assert used == Counter(tuple(shape) for shape, _, _ in entry["params"])
        assert {name for _, name in entry["nodes"] if name.endswith("weight")} <= set(shapes)


@pytest.mark.parametrize("split", SPLITS)
def test_unused_parameters_are_the_released_ones(split: str, reference: Path) -> None:
    for entry in golden(reference, "ghn3t-c10")["splits"][split]:
        network = network_from_arguments({**entry["net_args"], "C": 8})
        network(torch.randn(2, 3, 32, 32)).sum().backward()
        unused = {name for name, parameter in network.named_parameters() if parameter.grad is None}
        assert unused == set(entry["unreachable"])


def naive_cell(cell: Cell, before: Tensor | None, last: Tensor | None) -> Tensor | None:
    """Every operation is computed; one on nothing gives nothing, sums skip nothing, concatenations put zeros."""
    states = [None if x is None else module(x) for x, module in ((before, cell.preprocess0), (last, cell.preprocess1))]
    for pair in range(0, len(cell.plan.edges), 2):
        total: Tensor | None = None
        for index in (pair, pair + 1):
            edge = cell.plan.edges[index]
            x = states[edge.source]
            if edge.operation.gives and x is not None:
                result = cell._ops[str(index)](x)
                total = result if total is None else total + result
        states.append(total)
    outputs = [states[state] for state in cell.plan.concat]
    found = [x for x in outputs if x is not None]
    if not found:
        return None
    return torch.cat([torch.zeros_like(found[0]) if x is None else x for x in outputs], dim=1)


def naive_forward(network: Network, images: Tensor) -> Tensor:
    arguments = network.plan.arguments
    if arguments.is_vit:
        before = last = network.stem0(images) + network.pos_enc.weight
    elif arguments.stem_type == 0:
        before = last = network.stem(images)
    else:
        before = network.stem0(images)
        last = network.stem1(before)
    states: list[Tensor | None] = [before, last]
    for cell in network.cells:
        assert isinstance(cell, Cell)
        states.append(naive_cell(cell, *states[-2:]))
    assert states[-1] is not None
    return network.classifier(states[-1].mean((2, 3)) if arguments.glob_avg else states[-1].flatten(1))


@pytest.mark.parametrize("seed", range(60))
def test_skipping_what_is_unused_changes_nothing(seed: int) -> None:
    torch.manual_seed(seed)
    network = network_from_arguments(wild(seed))
    network.classifier = nn.Sequential(*(layer for layer in network.classifier if not isinstance(layer, nn.Dropout)))
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(network(images), naive_forward(network, images), rtol=0, atol=0)


@pytest.mark.parametrize("seed", range(60))
def test_only_what_is_used_is_computed(seed: int) -> None:
    network = network_from_arguments(wild(seed))
    called = set()
    for name, module in network.named_modules():
        if list(module.parameters(recurse=False)):
            module.register_forward_hook(lambda *_, name=name: called.add(name))
    network(torch.randn(2, 3, 32, 32)).sum().backward()
    used = {name.rpartition(".")[0] for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert called == used


@pytest.mark.parametrize("image_size", [8, 28, 31, 32, 33, 64, 128, 160, 224])
@pytest.mark.parametrize("seed", range(3))
def test_any_image_size(seed: int, image_size: int) -> None:
    network = network_from_arguments(wild(seed), 5, image_size)
    assert network(torch.randn(2, 3, image_size, image_size)).shape == (2, 5)


@pytest.mark.parametrize(
    ("changes", "sides"),
    [
        ({"stem_type": 0, "stem_pool": False}, (8, 14)),
        ({"stem_type": 0, "stem_pool": True}, (4, 7)),
        ({"stem_type": 1}, (4, 7)),
        ({"stem_type": 0, "stem_pool": True, "imagenet_stride": 2}, (4, 14)),
    ],
)
@pytest.mark.parametrize("ks", [3, 5, 7])
def test_flattened_head(changes: dict[str, Any], sides: tuple[int, int], ks: int) -> None:
    arguments = cells(("conv_3x3", 1), ("skip_connect", 0), glob_avg=False, C=8, ks=ks, **changes)
    for image_size, side in zip((32, 224), sides, strict=True):
        network = network_from_arguments(arguments, 10, image_size)
        assert network.classifier[0].weight.shape == (10, 8 * side * side)
        assert network(torch.zeros(2, 3, image_size, image_size)).shape == (2, 10)


def test_no_cost_and_no_buffers_on_meta() -> None:
    network = on_meta(wild(0))
    assert all(parameter.is_meta for parameter in network.parameters())
    assert not list(network.buffers())


@pytest.mark.parametrize("seed", range(6))
def test_functional_form(seed: int) -> None:
    """A network without storage, run with given parameters, is the network that holds them."""
    torch.manual_seed(seed)
    arguments = wild(seed)
    real = network_from_arguments(arguments)
    weights = {name: parameter.detach().clone().requires_grad_() for name, parameter in real.named_parameters()}
    images = torch.randn(2, 3, 32, 32)
    torch.manual_seed(1)
    expected = real(images)
    torch.manual_seed(1)
    result = functional_call(on_meta(arguments), weights, (images,))
    torch.testing.assert_close(result, expected, rtol=0, atol=0)
    result.sum().backward()
    expected.sum().backward()
    for name, parameter in real.named_parameters():
        gradient = weights[name].grad
        assert (gradient is None) == (parameter.grad is None)
        if gradient is not None:
            torch.testing.assert_close(gradient, parameter.grad)


def test_unused_parameters_need_not_be_given() -> None:
    network = on_meta(cells(("conv_3x3", 1), ("none", 0), ("none", 1), ("conv_1x1", 0), concat=(2,)))
    used = [name for name, _ in network.named_parameters() if "_ops.3" not in name]
    assert len(used) < len(list(network.parameters()))
    weights = {name: torch.randn(network.get_parameter(name).shape) for name in used}
    assert functional_call(network, weights, (torch.randn(2, 3, 32, 32),)).isfinite().all()


def test_batch_statistics_by_default() -> None:
    arguments = cells(("conv_3x3", 1), ("skip_connect", 0))
    images = torch.randn(8, 3, 32, 32)
    network = network_from_arguments(arguments)
    assert network(images).equal(network.eval()(images))
    network = network_from_arguments(arguments, running_statistics=True)
    assert not network(images).equal(network.eval()(images))
    assert any("running_mean" in name for name, _ in network.named_buffers())


def test_classifier_runs_in_full_precision() -> None:
    network = network_from_arguments(cells(("conv_3x3", 1), ("skip_connect", 0)))
    seen = []
    network.classifier.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert network(torch.randn(2, 3, 32, 32)).dtype == torch.float32
    assert seen == [torch.float32]


def test_wide_fully_connected_layers_drop_half() -> None:
    network = network_from_arguments(cells(("conv_3x3", 1), ("none", 0), fc_layers=2))
    assert [type(layer).__name__ for layer in network.classifier] == ["Linear", "ReLU", "Dropout", "Linear"]
    assert network.classifier[2].p == 0.5


def test_output_that_ignores_its_input_is_refused() -> None:
    with pytest.raises(ValueError, match="cut the output off from the input"):
        network_from_arguments(cells(("none", 1), ("none", 0)))
