"""Graph hypernetworks: one network that predicts the parameters of others.

Source: GHN-2 (Knyazev et al., NeurIPS 2021), GHN-3 (Knyazev et al., ICML 2023).
Legend: N nodes of all graphs together, D hidden size, C classes, n parameters of a group, o and i channels of a crop,
kh × kw its window (h, w in names, A = kh·kw), O, I, T sizes of a tiled kernel, G parameters of all groups, K = 8D,
L length of a decoded row, V elements of all vectors of a group, e of one.
"""

import time
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ghn.common.errors import WrongTypeError
from ghn.graph.computational_graph import ComputationalGraph
from ghn.graph.vocabulary import PRIMITIVES
from ghn.hypernet.batch import GraphBatch
from ghn.hypernet.config import GHNConfig
from ghn.hypernet.decoder import ConvDecoder, VectorDecoder
from ghn.hypernet.features import ShapeEncoder
from ghn.hypernet.fit import activate, interpolate, leading_rows, tile, to_parameter, vector_to_parameter
from ghn.hypernet.gated_gnn import GatedGNN
from ghn.hypernet.graphormer import MAX_DEGREE, MAX_INPUT_DISTANCE, Graphormer
from ghn.hypernet.keep import HeadOption
from ghn.hypernet.mlp import MLP
from ghn.hypernet.plan import KernelGroup, Plan, VectorGroup
from ghn.hypernet.write import Writer, Written, check_destinations

Graphs = ComputationalGraph | Sequence[ComputationalGraph] | GraphBatch


class GHN(nn.Module):
    """A graph hypernetwork: from graphs to parameters. `ghn.GHN` adds what users do with it.

    Args:
        config: Its architecture, e.g. `GHNConfig.preset("ghn3-t")`.
    """

    def __init__(self, config: GHNConfig) -> None:
        super().__init__()
        if not isinstance(config, GHNConfig):
            raise WrongTypeError(f"config is a GHNConfig, e.g. GHNConfig.preset('ghn3-t'), not {type(config).__name__}")
        self.config = config
        D = config.hidden
        self.embed = nn.Embedding(len(PRIMITIVES), D)
        self.shape_enc = ShapeEncoder(D, config.num_classes, config.spatial)
        is_graphormer = config.encoder == "graphormer"
        has_centrality = is_graphormer and config.centrality
        has_input_distance = is_graphormer and config.input_distance
        self.centrality_embed_in = nn.Embedding(MAX_DEGREE + 1, D) if has_centrality else None
        self.centrality_embed_out = nn.Embedding(MAX_DEGREE + 1, D) if has_centrality else None
        self.input_dist_embed = nn.Embedding(MAX_INPUT_DISTANCE + 1, D) if has_input_distance else None
        self.gnn = _make_encoder(config)
        self.ln = nn.LayerNorm(D)
        self.decoder = ConvDecoder(D, config.max_channels, config.spatial, config.num_classes, config.centered_crop)
        self.decoder_1d = VectorDecoder(D, config.max_channels)
        self.bias_class = nn.Sequential(nn.ReLU(), nn.Linear(config.max_channels, config.num_classes))
        self._scale_initial_weights()

    @torch.no_grad()
    def _scale_initial_weights(self) -> None:
        """Draw embedding tables from a truncated N(0, 1/D) and make the decoders' last layers small."""
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.trunc_normal_(module.weight, std=self.config.hidden**-0.5)
        for layer in (self.decoder_1d.fc[2], self.decoder.conv[2], self.decoder.class_layer_predictor[1]):
            assert isinstance(layer, nn.Linear)
            layer.weight /= 5
            layer.bias.zero_()

    @property
    def device(self) -> torch.device:
        """Where the hypernetwork's weights are."""
        return self.embed.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the hypernetwork's weights; decoders work in it also under autocast."""
        return self.embed.weight.dtype

    def forward(self, graphs: Graphs, *, seed: int = 0, head: HeadOption = "keep") -> list[dict[str, Tensor]]:
        """Predict all parameters of each graph, differentiably.

        Args:
            graphs: The graphs, or one.
            seed: Governs the random rows of position tables (see `ghn.hypernet.fit`).
            head: `keep` leaves out a classification head with other than C classes, `predict` decodes it as an
                ordinary weight.

        Returns:
            For each graph a dict name → float32 tensor of the parameter's shape, in the order of its parameters.

        Raises:
            ValueError: If there are no graphs, or the hypernetwork has no weights (on the meta device).
        """
        batch = self._batch(graphs)
        plan = Plan.of(batch.parameters, batch.sizes, self.config, head)
        results: list[dict[str, Tensor]] = [{} for _ in range(len(batch))]
        states_ND = self.encode(batch)
        # A tiled weight repeats its errors thousands of times: decoders work in full precision.
        with torch.autocast(states_ND.device.type, enabled=False):
            states_ND = states_ND.to(self.dtype)
            leading = leading_rows(plan.tables, seed)
            cores_noihw = self.decode_kernels(self.kernel_features(states_ND, plan.kernels), plan.kernels)
            for group, core_noihw in zip(plan.kernels, cores_noihw, strict=True):
                _collect_kernels(group, core_noihw, leading, results)
            for vectors in plan.vectors:
                _collect_vectors(vectors, self.decode_vectors(states_ND, vectors), results)
        return [
            {name: result[name] for name in specs if name in result}
            for specs, result in zip(batch.parameters, results, strict=True)
        ]

    # Inference mode can also write to parameters that were made in it.
    @torch.inference_mode()
    def decode_into(
        self,
        graphs: Graphs,
        destinations: Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]],
        *,
        seed: int = 0,
        head: HeadOption = "keep",
    ) -> Written:
        """Predict parameters straight into given tensors, each written once.

        They equal those of `forward` to 1e-5 of each tensor's largest element in float32: sums of up to 8D products
        are taken in another order.

        Args:
            graphs: The graphs, or one.
            destinations: For each graph (or for the only one) a dict name → tensor of the parameter's shape, of any
                strides, device and floating-point type. Parameters without a destination are not decoded.
            seed: As in `forward`.
            head: As in `forward`.

        Raises:
            ValueError: If a destination does not fit, the hypernetwork has no weights (on the meta device), or a
                prediction is not finite or not in its destination's range; nothing is written then.
        """
        if isinstance(destinations, Mapping):
            destinations = [destinations]
        began = time.perf_counter()
        batch = self._batch(graphs)
        check_destinations(batch.parameters, destinations)
        wanted = [
            {name: spec for name, spec in specs.items() if name in tensors}
            for specs, tensors in zip(batch.parameters, destinations, strict=True)
        ]
        plan = Plan.of(wanted, batch.sizes, self.config, head)
        with torch.autocast(self.device.type, enabled=False):
            states_ND = self.encode(batch).to(self.dtype)
            encoded = time.perf_counter()
            writer = Writer(self, states_ND, plan, destinations)
            norms = writer.check()
            decoded = time.perf_counter()
            writer.write(seed)
        seconds = {
            "encoding": encoded - began,
            "decoding": decoded - encoded,
            "writing": time.perf_counter() - decoded,
        }
        names = tuple(
            tuple(name for name in specs if name not in kept) for specs, kept in zip(wanted, plan.kept, strict=True)
        )
        return Written(names=names, kept=plan.kept, norms=norms, seconds=seconds)

    def encode(self, batch: GraphBatch) -> Tensor:
        """Final node states (N, D) of a batch on the hypernetwork's device."""
        return self.ln(self.gnn(self.node_features(batch), batch))

    def node_features(self, batch: GraphBatch) -> Tensor:
        """The encoder's input (N, D): primitive and shape embeddings, for the Graphormer also centrality."""
        x_ND = self.embed(batch.primitives) + self.shape_enc(batch.shapes)
        if self.centrality_embed_in is not None and self.centrality_embed_out is not None:
            x_ND = x_ND + self.centrality_embed_in(batch.in_degrees.clamp(max=MAX_DEGREE))
            x_ND = x_ND + self.centrality_embed_out(batch.out_degrees.clamp(max=MAX_DEGREE))
        if self.input_dist_embed is not None:
            from_input_N = torch.cat([matrix[0] for matrix in batch.distance_matrices()]).int()
            x_ND = x_ND + self.input_dist_embed(from_input_N.clamp(max=MAX_INPUT_DISTANCE))
        return x_ND

    def kernel_features(self, states_ND: Tensor, groups: Sequence[KernelGroup]) -> list[Tensor]:
        """The decoder up to its last layer, from (N, D) node states: (kh·kw, n, 8D) for each group."""
        if not groups:
            return []
        rows_n = [torch.from_numpy(group.rows) for group in groups]
        gathered_GD = states_ND.index_select(0, torch.cat(rows_n).to(states_ND.device))
        parts_nD = gathered_GD.split([len(part) for part in rows_n])
        return self.decoder.features(parts_nD, [group.crop for group in groups])

    def decode_kernels(self, features_AnK: Sequence[Tensor], groups: Sequence[KernelGroup]) -> list[Tensor]:
        """Decoded kernels (n, o, i, kh, kw) of each group, scaled, not interpolated or tiled; o = C for the head."""
        scales_n = [torch.from_numpy(group.scales).to(self.device, self.dtype) for group in groups]
        before_n = [
            torch.ones_like(scale_n) if group.head else scale_n for group, scale_n in zip(groups, scales_n, strict=True)
        ]
        cores_noihw = self.decoder.cores(features_AnK, [group.crop for group in groups], before_n)
        return [
            self.decoder.head(core_noihw) * scale_n[:, None, None, None, None] if group.head else core_noihw
            for group, core_noihw, scale_n in zip(groups, cores_noihw, scales_n, strict=True)
        ]

    def decode_vectors(self, states_ND: Tensor, group: VectorGroup) -> Tensor:
        """All vectors of a group from (N, D) node states, activated and tiled, one after the other: (V,)."""
        rows_n = torch.from_numpy(group.rows).to(states_ND.device)
        vectors_nL = self.decoder_1d(states_ND.index_select(0, rows_n), group.row)
        if group.head:
            vectors_nL = self.bias_class(vectors_nL)
        index_V = torch.from_numpy(group.gather_index(vectors_nL.shape[1])).to(states_ND.device)
        return activate(vectors_nL, group.row).flatten().index_select(0, index_V)

    def _batch(self, graphs: Graphs) -> GraphBatch:
        if isinstance(graphs, ComputationalGraph):
            graphs = [graphs]
        if not isinstance(graphs, GraphBatch):
            graphs = GraphBatch.from_graphs(graphs, with_distances=self.config.encoder != "mlp")
        if self.device.type == "meta":
            raise ValueError("the hypernetwork is on the meta device, where it has no weights; load some first")
        if not self.dtype.is_floating_point:
            raise ValueError(f"the hypernetwork's weights are {self.dtype}, not floating-point numbers")
        return graphs.to(self.device)


def _make_encoder(config: GHNConfig) -> Graphormer | GatedGNN | MLP:
    if config.encoder == "graphormer":
        return Graphormer(config.hidden, config.layers, config.heads, config.forward_edges, config.backward_edges)
    if config.encoder == "gated_gnn":
        return GatedGNN(config.hidden, config.virtual_edges)
    return MLP(config.hidden)


def _collect_kernels(
    group: KernelGroup, core_noihw: Tensor, leading: list[dict[str, Tensor]], results: list[dict[str, Tensor]]
) -> None:
    runs = group.runs()
    parts_noihw = core_noihw.split([len(members) for _, members in runs])
    for (fit, members), part_noihw in zip(runs, parts_noihw, strict=True):
        tiled_nOIThw = tile(interpolate(part_noihw, fit), fit)
        for member, kernel_OIThw in zip(members, tiled_nOIThw.unbind(0), strict=True):
            name = member.fit.spec.name
            results[member.graph][name] = to_parameter(kernel_OIThw, member.fit, leading[member.graph].get(name))


def _collect_vectors(group: VectorGroup, values_V: Tensor, results: list[dict[str, Tensor]]) -> None:
    for member, values_e in zip(group.members, values_V.split(group.sizes), strict=True):
        results[member.graph][member.fit.spec.name] = vector_to_parameter(values_e, member.fit)
