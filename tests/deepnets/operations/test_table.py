"""Whatever a record says of its operation is true of the module that it makes. A new record needs no new test."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from ghn.deepnets import Genotype, NetworkArguments, graph_from_arguments
from ghn.deepnets.operations.layers import Norm
from ghn.deepnets.operations.record import Operation
from ghn.deepnets.operations.table import LARGE_CONVOLUTIONS, NOT_LEARNABLE, OPERATIONS, RECORDS
from tests.deepnets.comparison import assert_same, traced
from tests.deepnets.operations.images import SIZES, batch_norm, images, no_norm

CASES = [
    pytest.param(record, stride, id=f"{record.name}-{stride}")
    for record in RECORDS.values()
    for stride in record.strides
]
BY_NAME = [pytest.param(record, id=record.name) for record in RECORDS.values() if record.gives]
NORMS = [pytest.param(batch_norm, id="norm"), pytest.param(no_norm, id="no norm")]


def test_names() -> None:
    assert all(name == record.name for name, record in RECORDS.items())
    assert [name for name in OPERATIONS if not RECORDS[name].gives] == ["none"]
    assert {"none", "max_pool_3x3", "avg_pool_3x3", "skip_connect"} == NOT_LEARNABLE
    assert {"conv_5x5", "conv_7x7"} == LARGE_CONVOLUTIONS


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("record", "stride"), CASES)
def test_resolution(record: Operation, stride: int, size: tuple[int, int]) -> None:
    x = images(*size)
    before = x.clone()
    result = record.module(8, stride, batch_norm)(x)
    assert result.shape == (2, 8, -(-size[0] // stride), -(-size[1] // stride))
    assert result.isfinite().all()
    assert x.equal(before)


@pytest.mark.parametrize("channels", [8, 24])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("record", "stride"), CASES)
def test_parameters(record: Operation, stride: int, norm: Norm, channels: int) -> None:
    made = sum(parameter.numel() for parameter in record.module(channels, stride, norm).parameters())
    assert record.parameters(channels, stride, norm is batch_norm) == made
    assert stride > 1 or record.learnable == (made > 0)


@pytest.mark.parametrize("side", [8, 7, 2, 1])
@pytest.mark.parametrize(("record", "stride"), CASES)
def test_multiply_adds(record: Operation, stride: int, side: int) -> None:
    module = record.module(16, stride, no_norm)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        module(torch.zeros(1, 16, side, side))
    assert 2 * record.multiply_adds(16, stride, side) == counter.get_total_flops()


def around(*edges: tuple[str, int], norm: str | None) -> NetworkArguments:
    """A normal cell and two reduction cells; the operation has stride 2 in these where it can."""
    genotype = Genotype(normal=edges, normal_concat=(2,), reduce=edges, reduce_concat=(2,))
    return NetworkArguments(genotype=genotype, n_cells=3, C=8, norm=norm)


@pytest.mark.parametrize("norm", ["bnorm", None])
@pytest.mark.parametrize("record", BY_NAME)
def test_graph(record: Operation, norm: str | None) -> None:
    for other in (("none", 0), ("skip_connect", 0), (record.name, 0)):
        arguments = around((record.name, 1), other, norm=norm)
        assert_same(graph_from_arguments(arguments), traced(arguments))


UNUSED = {
    "its result is not read": ((("conv_1x1", 1), ("none", 0), ("OPERATION", 1), ("none", 0)), 2),
    "it reads what is not there": ((("none", 1), ("none", 0), ("conv_1x1", 1), ("OPERATION", 2)), 3),
}


@pytest.mark.parametrize("norm", ["bnorm", None])
@pytest.mark.parametrize("case", UNUSED)
@pytest.mark.parametrize("record", BY_NAME)
def test_graph_where_it_is_unused(record: Operation, case: str, norm: str | None) -> None:
    edges, state = UNUSED[case]
    named = tuple((record.name if name == "OPERATION" else name, source) for name, source in edges)
    genotype = Genotype(normal=named, normal_concat=(state,), reduce=named, reduce_concat=(state,))
    arguments = NetworkArguments(genotype=genotype, n_cells=3, C=8, norm=norm)
    graph = graph_from_arguments(arguments)
    assert_same(graph, traced(arguments))
    assert any("_ops" in name for name in graph.kept) or not record.learnable
