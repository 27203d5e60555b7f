"""Layouts, tiles and scales against the definition, for parameters of every awkward kind."""

import math

import pytest
import torch
from torch import Tensor

from ghn.graph.computational_graph import ComputationalGraph, ParameterSpec, Role
from ghn.hypernet import GHN, GHNConfig
from ghn.hypernet.fit import KernelFit, VectorFit, fit_of
from tests.hypernet.conftest import small_hypernet
from tests.hypernet.definition import predict_slowly
from tests.hypernet.graphs import AWKWARD, awkward_graph
from tests.hypernet.recorder import largest_allocation

LEADING = {
    "grid and class token": 1,
    "grid and four tokens": 4,
    "positions stored as (channels, positions)": 1,
}
"""Tables with random leading rows."""


def without_leading(name: str, tensor: Tensor) -> Tensor:
    """A table without its random rows, other parameters whole."""
    if name not in LEADING:
        return tensor
    return tensor.permute(AWKWARD[name].get("axes", tuple(range(tensor.dim()))))[..., LEADING[name] :, :]


def strided(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """A tensor with gaps between its elements, its axes stored in reverse."""
    whole = torch.full((2, *reversed(shape)), math.nan, dtype=dtype).movedim(0, -1)
    return whole[..., 0].permute(tuple(reversed(range(len(shape)))))


def predict_into(hypernet: GHN, graph: ComputationalGraph, destinations: dict[str, Tensor]) -> None:
    hypernet.decode_into(graph, destinations, head="predict")


@pytest.mark.parametrize("centered", [True, False])
def test_every_parameter_is_that_of_the_definition(centered: bool) -> None:
    hypernet = small_hypernet(centered_crop=centered)
    graph = awkward_graph()
    expected = predict_slowly(hypernet, graph)
    (predicted,) = hypernet(graph, head="predict")
    written = {name: torch.full(spec.shape, math.nan) for name, spec in graph.parameters.items()}
    predict_into(hypernet, graph, written)
    assert list(predicted) == list(expected) == list(AWKWARD)
    for name, tensor in expected.items():
        for actual in (predicted[name], written[name]):
            assert actual.shape == tensor.shape, name
            actual, wanted = without_leading(name, actual), without_leading(name, tensor)
            assert torch.allclose(actual, wanted, rtol=1e-4, atol=1e-5), name


@pytest.mark.parametrize("name", AWKWARD)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_destinations_of_any_type_and_strides(hypernet: GHN, name: str, dtype: torch.dtype) -> None:
    graph = awkward_graph([name])
    plain = {name: torch.empty(AWKWARD[name]["shape"])}
    awkward = {name: strided(AWKWARD[name]["shape"], dtype)}
    predict_into(hypernet, graph, plain)
    predict_into(hypernet, graph, awkward)
    assert torch.equal(awkward[name], plain[name].to(dtype))


@pytest.mark.parametrize("name", AWKWARD)
def test_alone_as_among_others(hypernet: GHN, name: str) -> None:
    # Grouping and bundling of parameters must not matter; the graph (the node states) is the same.
    graph = awkward_graph()
    every = {other: torch.empty(spec.shape) for other, spec in graph.parameters.items()}
    alone = {name: torch.empty(AWKWARD[name]["shape"])}
    predict_into(hypernet, graph, every)
    predict_into(hypernet, graph, alone)
    actual, expected = without_leading(name, alone[name]), without_leading(name, every[name])
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", LEADING)
def test_leading_rows_depend_on_the_seed_only(name: str) -> None:
    graph = awkward_graph([name])

    def leading(hypernet: GHN, seed: int) -> Tensor:
        table = torch.empty(AWKWARD[name]["shape"])
        hypernet.decode_into(graph, {name: table}, seed=seed)
        return table.permute(AWKWARD[name].get("axes", tuple(range(table.dim()))))[..., : LEADING[name], :]

    one, other = small_hypernet(0), small_hypernet(1)
    state = torch.random.get_rng_state()
    assert torch.equal(leading(one, seed=1), leading(other, seed=1))
    assert not torch.equal(leading(one, seed=1), leading(one, seed=2))
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("name", LEADING)
def test_leading_rows_do_not_depend_on_the_rest_of_the_batch(hypernet: GHN, name: str) -> None:
    graph, others = awkward_graph([name]), awkward_graph(list(LEADING))
    (alone,) = hypernet([graph])
    for batch in ([others, graph], [graph, others], [graph, graph], [others, others, graph]):
        for predicted, of in zip(hypernet(batch), batch, strict=True):
            if of is graph:
                rows = AWKWARD[name].get("axes", tuple(range(predicted[name].dim())))
                drawn, expected = (t.permute(rows)[..., : LEADING[name], :] for t in (predicted[name], alone[name]))
                assert torch.equal(drawn, expected)


def test_leading_rows_are_small_normal_numbers(hypernet: GHN) -> None:
    spec = ParameterSpec(name="table", node=1, shape=(1, 13, 4096), role=Role.POSITION)
    graph = awkward_graph(["linear"])
    graph = ComputationalGraph(graph.nodes, graph.edges, {"table": spec})
    leading = hypernet(graph)[0]["table"][0, :4].detach()
    assert float(leading.std()) == pytest.approx(0.02, rel=0.05)
    assert float(leading.mean()) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize(
    ("spec", "shape", "scale"),
    [
        # sqrt(β / fan_in), fan_in = elements per output channel
        ({"shape": (64, 32)}, (64, 32, 1, 1, 1), (2, 32)),
        ({"shape": (64, 32, 3, 3)}, (64, 32, 1, 3, 3), (2, 32 * 9)),
        ({"shape": (64, 1, 3, 3)}, (64, 1, 1, 3, 3), (1, 9)),
        ({"shape": (64, 32, 1, 7)}, (64, 32, 1, 1, 7), (1, 32 * 7)),
        ({"shape": (64, 32, 7, 1)}, (64, 32, 1, 7, 1), (2, 32 * 7)),
        ({"shape": (64, 32, 9)}, (64, 32, 1, 9, 1), (2, 32 * 9)),
        ({"shape": (64, 32, 2, 3, 3)}, (64, 32, 2, 3, 3), (2, 32 * 18)),
        ({"shape": (32, 64, 3, 3), "axes": (1, 0, 2, 3)}, (64, 32, 1, 3, 3), (2, 32 * 9)),
        ({"shape": (4, 64, 32), "stack": 1}, (256, 32, 1, 1, 1), (2, 32)),
        ({"shape": (64,)}, (64, 1, 1, 1, 1), (1, 1)),
        ({"shape": ()}, (1, 1, 1, 1, 1), (1, 1)),
        ({"shape": (1, 197, 48), "role": Role.POSITION}, (1, 48, 1, 14, 14), (1, 1)),
        ({"shape": (77, 48), "role": Role.POSITION}, (1, 48, 1, 77, 1), (1, 1)),
        ({"shape": (30,), "role": Role.POSITION}, (1, 1, 1, 30, 1), (1, 1)),
    ],
)
def test_layouts_and_scales(spec: dict[str, object], shape: tuple[int, ...], scale: tuple[int, int]) -> None:
    options = {"name": "weight", "node": 1, "role": Role.WEIGHT, **spec}
    fit = fit_of(ParameterSpec(**options), GHNConfig(), head=False)  # type: ignore[arg-type]
    assert isinstance(fit, KernelFit)
    assert fit.shape == shape
    assert fit.scale == pytest.approx(math.sqrt(scale[0] / scale[1]))


@pytest.mark.parametrize(("role", "row"), [(Role.NORM_WEIGHT, 0), (Role.NORM_BIAS, 1), (Role.BIAS, 1)])
def test_rows_of_vectors(role: Role, row: int) -> None:
    fit = fit_of(ParameterSpec(name="vector", node=1, shape=(3, 4), role=role), GHNConfig(), head=False)
    assert isinstance(fit, VectorFit)
    assert (fit.row, fit.size) == (row, 12)


def test_total_norm_counts_every_tile(hypernet: GHN) -> None:
    graph = awkward_graph([name for name in AWKWARD if name not in LEADING])
    tensors = {name: torch.empty(spec.shape) for name, spec in graph.parameters.items()}
    written = hypernet.decode_into(graph, tensors, head="predict")
    expected = math.sqrt(sum(float(tensor.double().square().sum()) for tensor in tensors.values()))
    assert written.total_norm == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nothing_of_the_parameter_size_is_built(hypernet: GHN, dtype: torch.dtype) -> None:
    specs = [
        ParameterSpec(name="linear", node=1, shape=(500, 300), role=Role.WEIGHT),
        ParameterSpec(name="transposed", node=1, shape=(100, 150, 3, 3), axes=(1, 0, 2, 3), role=Role.WEIGHT),
        ParameterSpec(name="video", node=1, shape=(90, 70, 5, 3, 3), role=Role.WEIGHT),
        ParameterSpec(name="positions", node=1, shape=(1, 121, 1000), role=Role.POSITION),
    ]
    graph = awkward_graph(["linear"])
    graph = ComputationalGraph(graph.nodes, graph.edges, {spec.name: spec for spec in specs})
    tensors = {spec.name: torch.empty(spec.shape, dtype=dtype) for spec in specs}
    # The decoder's hidden layer: 121 positions of the table, 9 of each kernel, 8 D = 128 features.
    assert largest_allocation(lambda: hypernet.decode_into(graph, tensors)) <= 121 * 128
    assert min(tensor.numel() for tensor in tensors.values()) > 5 * 121 * 128
