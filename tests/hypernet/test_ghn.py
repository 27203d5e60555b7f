"""The whole hypernetwork: sizes, initial weights, its ways to the same result, and what it refuses."""

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ghn.graph.computational_graph import ComputationalGraph
from ghn.hypernet import GHN, GHNConfig, GraphBatch
from ghn.hypernet.graphormer import Graphormer
from ghn.hypernet.mlp import linear_layer
from tests.hypernet.accuracy import assert_owed_accuracy
from tests.hypernet.conftest import small_hypernet
from tests.hypernet.graphs import AWKWARD, awkward_graph, random_graph

ENCODERS: list[dict[str, Any]] = [
    {},
    {"encoder": "gated_gnn"},
    {"encoder": "gated_gnn", "virtual_edges": False},
    {"encoder": "mlp"},
    {"forward_edges": False, "backward_edges": False, "centrality": False, "input_distance": False},
]


def on_meta(name: str, **changes: Any) -> GHN:
    with torch.device("meta"):
        return GHN(GHNConfig.preset(name, **changes))


@pytest.mark.parametrize(
    ("name", "imagenet", "cifar"),
    [
        ("ghn3-t", 6_906_632, 4_531_500),
        ("ghn3-s", 35_810_368, 26_638_404),
        ("ghn3-l", 214_668_960, 178_632_292),
        ("ghn3-xl", 654_365_184, 573_769_092),
        ("ghn2", 2_319_720, 1_620_764),
    ],
)
def test_published_sizes(name: str, imagenet: int, cifar: int) -> None:
    for num_classes, expected in ((1000, imagenet), (10, cifar)):
        hypernet = on_meta(name, num_classes=num_classes)
        assert sum(parameter.numel() for parameter in hypernet.parameters()) == expected


def test_mlp_is_ghn2_without_its_graph_network() -> None:
    sizes = {name: sum(p.numel() for p in on_meta(name).gnn.parameters()) for name in ("mlp", "ghn2")}
    assert sizes["mlp"] == 2 * (32 * 32 + 32)
    whole = {name: sum(p.numel() for p in on_meta(name).parameters()) for name in ("mlp", "ghn2")}
    assert whole["ghn2"] - whole["mlp"] == sizes["ghn2"] - sizes["mlp"]


@pytest.mark.parametrize("name", ["ghn3-t", "ghn2", "mlp"])
def test_initial_weights(name: str) -> None:
    hypernet = GHN(GHNConfig.preset(name, num_classes=10))
    tables = [module for module in hypernet.modules() if isinstance(module, nn.Embedding)]
    assert len(tables) == (7 if name == "ghn3-t" else 3)
    for table in tables:
        # Five standard errors of a standard deviation
        error = 5 / math.sqrt(2 * table.weight.numel())
        assert float(table.weight.detach().std()) == pytest.approx(hypernet.config.hidden**-0.5, rel=error)
    small = [hypernet.decoder_1d.fc, hypernet.decoder.conv, hypernet.decoder.class_layer_predictor]
    for layers in (*small, hypernet.bias_class, hypernet.decoder.fc):
        layer = linear_layer(layers, {1: 0, 2: 1 if isinstance(layers[0], nn.ReLU) else 0, 3: 2}[len(layers)])
        # PyTorch draws from U(-1/sqrt(fan_in), 1/sqrt(fan_in)), of standard deviation 1/sqrt(3 fan_in).
        usual, error = 1 / math.sqrt(3 * layer.in_features), 5 * math.sqrt(0.2 / layer.weight.numel())
        if any(layers is one for one in small):
            assert float(layer.weight.detach().std()) == pytest.approx(usual / 5, rel=error)
            assert not layer.bias.any()
        else:
            assert float(layer.weight.detach().std()) == pytest.approx(usual, rel=error)
            assert layer.bias.any()


@pytest.mark.parametrize("options", ENCODERS)
def test_gradients_reach_every_weight(options: dict[str, Any]) -> None:
    hypernet = small_hypernet(**options)
    (weights,) = hypernet(awkward_graph())
    torch.stack([weight.square().sum() for weight in weights.values()]).sum().backward()
    for name, parameter in hypernet.named_parameters():
        assert parameter.grad is not None, name
        # The first row of the input distances' gradient and the like may vanish, whole tensors must not.
        assert parameter.grad.any(), name


@pytest.mark.parametrize("options", ENCODERS)
def test_batched_as_alone(options: dict[str, Any]) -> None:
    hypernet = small_hypernet(**options)
    names = list(AWKWARD)
    graphs = [awkward_graph(), random_graph(0, 1), awkward_graph(names[10:20]), awkward_graph(["head weight"])]
    together = hypernet(graphs)
    assert [list(weights) for weights in together] == [list(hypernet(graph)[0]) for graph in graphs]
    for graph, weights in zip(graphs, together, strict=True):
        for name, tensor in hypernet(GraphBatch.from_graphs([graph]))[0].items():
            torch.testing.assert_close(weights[name], tensor, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", ENCODERS)
def test_written_as_returned(options: dict[str, Any]) -> None:
    hypernet = small_hypernet(**options)
    graphs = [awkward_graph(list(AWKWARD)[:25]), awkward_graph(list(AWKWARD)[20:])]
    returned = hypernet(graphs, seed=3)
    written = [{name: torch.empty(tensor.shape) for name, tensor in weights.items()} for weights in returned]
    result = hypernet.decode_into(graphs, written, seed=3)
    assert result.names == tuple(tuple(weights) for weights in returned)
    assert not any(tensor.requires_grad for tensors in written for tensor in tensors.values())
    for tensors, weights in zip(written, returned, strict=True):
        for name, tensor in tensors.items():
            assert_owed_accuracy(tensor, weights[name])


@pytest.mark.parametrize("options", ENCODERS)
def test_decoders_work_in_full_precision_under_autocast(options: dict[str, Any]) -> None:
    hypernet = small_hypernet(**options)
    graph = awkward_graph()
    states: list[Tensor] = []
    hypernet.ln.register_forward_hook(lambda module, args, output: states.append(output))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (weights,) = hypernet(graph)
        torch.stack([weight.square().sum() for weight in weights.values()]).sum().backward()
    # The same node states decoded without autocast
    hypernet.encode = lambda batch: states[0].detach()  # type: ignore[method-assign]
    (expected,) = hypernet(graph)
    for name, tensor in expected.items():
        assert weights[name].dtype is torch.float32
        torch.testing.assert_close(weights[name], tensor, rtol=1e-6, atol=1e-7)
    assert all(parameter.grad is not None for parameter in hypernet.parameters())


def test_predictions_do_not_depend_on_autocast(hypernet: GHN) -> None:
    graph = awkward_graph()
    plain, cast = ({name: torch.empty(spec.shape) for name, spec in graph.parameters.items()} for _ in range(2))
    hypernet.decode_into(graph, plain, head="predict")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hypernet.decode_into(graph, cast, head="predict")
    assert all(torch.equal(plain[name], cast[name]) for name in plain)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.1), (torch.float64, 1e-5)])
def test_hypernetwork_of_another_type(hypernet: GHN, dtype: torch.dtype, tolerance: float) -> None:
    graph = awkward_graph(["linear", "convolution", "transposed", "norm weight", "bias", "head weight", "head bias"])
    expected = hypernet(graph)[0]
    for name, tensor in hypernet.to(dtype)(graph)[0].items():
        assert tensor.dtype is dtype
        assert float((tensor - expected[name]).detach().norm() / expected[name].detach().norm()) < tolerance, name


def without(hypernet: GHN, **switches: bool) -> GHN:
    """The same weights without some parts."""
    changed = small_hypernet(**switches)
    changed.load_state_dict({key: hypernet.state_dict()[key] for key in changed.state_dict()})
    return changed


def test_switches_remove_their_part_only(hypernet: GHN) -> None:
    batch = GraphBatch.from_graphs([awkward_graph(), random_graph(1, 40)])
    features = hypernet.node_features(batch)
    assert hypernet.centrality_embed_in is not None
    assert hypernet.centrality_embed_out is not None
    assert hypernet.input_dist_embed is not None
    centrality = hypernet.centrality_embed_in(batch.in_degrees) + hypernet.centrality_embed_out(batch.out_degrees)
    lengths = torch.cat([matrix[0] for matrix in batch.distance_matrices()])
    parts = {"centrality": centrality, "input_distance": hypernet.input_dist_embed(lengths.int())}
    for name, part in parts.items():
        changed = without(hypernet, **{name: False})
        torch.testing.assert_close(changed.node_features(batch) + part, features)
        removed = set(hypernet.state_dict()) - set(changed.state_dict())
        assert removed
        assert all(key.startswith(("centrality_", "input_dist_")) for key in removed)
    for name in ("forward_edges", "backward_edges"):
        changed = without(hypernet, **{name: False})
        assert set(changed.state_dict()) == set(hypernet.state_dict())
        assert torch.equal(changed.node_features(batch), features)
        assert not torch.allclose(changed.encode(batch), hypernet.encode(batch))


def test_degrees_and_distances_beyond_the_tables(hypernet: GHN) -> None:
    assert hypernet.centrality_embed_in is not None
    hub = random_graph(0, 150, density=1.0)
    batch = GraphBatch.from_graphs([hub])
    assert int(batch.in_degrees.max()) == 149
    assert hypernet.node_features(batch).isfinite().all()
    assert len(hypernet.centrality_embed_in.weight) == 101


def test_head_is_kept_or_predicted(hypernet: GHN) -> None:
    graph = awkward_graph()
    kept = {name for name in AWKWARD if name.endswith("other classes")}
    assert set(hypernet(graph)[0]) == set(AWKWARD) - kept
    assert set(hypernet(graph, head="predict")[0]) == set(AWKWARD)
    tensors = {name: torch.full(spec.shape, math.nan) for name, spec in graph.parameters.items()}
    result = hypernet.decode_into(graph, tensors)
    assert set(result.kept[0]) == kept
    assert {name for name, tensor in tensors.items() if tensor.isnan().any()} == kept


@pytest.mark.parametrize("graph", [random_graph(0, 1), random_graph(0, 9), awkward_graph(["bias"])])
@pytest.mark.parametrize("options", ENCODERS)
def test_graphs_with_little_to_predict(options: dict[str, Any], graph: ComputationalGraph) -> None:
    hypernet = small_hypernet(**options)
    (weights,) = hypernet(graph)
    assert set(weights) == set(graph.parameters)
    tensors = {name: torch.empty(spec.shape) for name, spec in graph.parameters.items()}
    result = hypernet.decode_into(graph, tensors)
    assert result.names == (tuple(graph.parameters),)
    assert (result.total_norm > 0) is bool(graph.parameters)


def test_layers_count(hypernet: GHN) -> None:
    assert isinstance(hypernet.gnn, Graphormer)
    assert len(hypernet.gnn) == hypernet.config.layers


@pytest.mark.parametrize(
    ("change", "match"), [("meta", "on the meta device"), (torch.complex64, "are torch.complex64")]
)
@pytest.mark.filterwarnings("ignore:Complex modules are a new feature:UserWarning")
def test_weights_that_cannot_predict(hypernet: GHN, change: Any, match: str) -> None:
    graph, useless = awkward_graph(["linear"]), copy.deepcopy(hypernet).to(change)
    with pytest.raises(ValueError, match=match):
        useless([graph])
    destination = torch.zeros(20, 30)
    with pytest.raises(ValueError, match=match):
        useless.decode_into(graph, {"linear": destination})
    assert not destination.any()
