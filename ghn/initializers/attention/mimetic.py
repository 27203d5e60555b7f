"""Mimetic initialisation: attention that begins as trained attention looks.

Source: Trockman & Kolter, Mimetic Initialization of Self-Attention Layers, ICML 2023: W_Q W_Kᵀ ≈ α₁ Z₁ + β₁ I for each
head, W_V W_proj ≈ α₂ Z₂ - β₂ I, with Z of independent N(0, 1/d), and sinusoidal position embeddings.

Legend: d features, k channels of a head, N positions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from ghn.common.modules import named_parameters
from ghn.common.settings import POSITIVE, Settings, at_least
from ghn.graph.computational_graph import Role
from ghn.graph.run.arguments import Inputs
from ghn.graph.run.inputs import candidate_inputs
from ghn.hypernet.keep import reason_not_to_write
from ghn.initializers.attention.heads import SelfAttention, attentions_of
from ghn.initializers.layers import Layers, layers_of
from ghn.initializers.options import read_options
from ghn.initializers.report import Batch, StartReport

MOST_PREFIX_TOKENS = 2
"""Class and distillation tokens before those of a square image."""

TEMPERATURE = 10_000.0
"""Of sinusoidal embeddings (Vaswani et al., 2017)."""


@dataclass(frozen=True, kw_only=True)
class MimeticSettings(Settings):
    """Defaults as published for vision transformers.

    Attributes:
        alpha1, beta1: Noise and identity in W_Q W_Kᵀ.
        alpha2, beta2: Noise and negative identity in W_V W_proj.
        positions: Whether position embeddings become sinusoidal.
    """

    alpha1: float = field(default=0.7, metadata=POSITIVE)
    beta1: float = field(default=0.7, metadata=at_least(0))
    alpha2: float = field(default=0.4, metadata=POSITIVE)
    beta2: float = field(default=0.4, metadata=at_least(0))
    positions: Literal["sinusoidal", "learned"] = "sinusoidal"


class Mimetic:
    """Sets the weights of self-attention; all else stays.

    Args:
        argument: Settings as `alpha1=0.7,beta1=0.7,alpha2=0.4,beta2=0.4,learned`.
    """

    needs_images = 0

    def __init__(self, argument: str | None = None) -> None:
        self.settings = read_options("mimetic", MimeticSettings, argument)
        self.name = "mimetic" if argument is None else f"mimetic:{argument}"

    @torch.no_grad()
    def __call__(self, model: nn.Module, batches: Iterable[Batch] | None = None, *, seed: int = 0) -> StartReport:
        """Set the weights.

        Raises:
            ValueError: If the model cannot be run.
        """
        parameters = named_parameters(model)
        if any(parameter.is_meta for parameter in parameters.values()):
            raise ValueError(f"{self.name} runs the model, and {type(model).__name__} is on the meta device")
        given = None if batches is None else list(batches)
        layers = layers_of(model, given)
        found, inputs = _attentions(model, layers, given)
        generator = torch.Generator().manual_seed(seed)
        changed, reasons = self._set_weights(found, generator)
        widths = {len(matrix) for attention in found for matrix in _inputs_of(attention)}
        square = any(tensor.dim() == 4 for tensor in inputs.tensors()) if inputs is not None else False
        positions, others = self._set_positions(model, layers, widths, square)
        kept = dict(layers.kept)
        kept |= {
            layer.name: reasons.get(layer.name, "it was not seen to project for self-attention")
            for layer in layers.weights
        }
        kept |= others
        changed += positions
        return StartReport(
            name=self.name,
            changed=tuple(dict.fromkeys(changed)),
            kept={key: reason for key, reason in kept.items() if key not in changed},
            notes=_notes(found, positions),
        )

    def _set_weights(
        self, found: Sequence[SelfAttention], generator: torch.Generator
    ) -> tuple[list[str], dict[str, str]]:
        """Names of what was set, and reasons for what was not."""
        changed: list[str] = []
        reasons: dict[str, str] = {}
        for attention in found:
            reasons |= dict.fromkeys(attention.names, "; ".join(attention.reasons))
            names = [channels.name for head in attention.heads for channels in head]
            if any(name in changed for name in names):
                # A layer that is used more than once is set by its first use.
                continue
            for query, key in attention.heads:
                product = self._draw(len(query.matrix), self.settings.alpha1, self.settings.beta1, generator)
                left, right = factors(product, len(query.columns))
                query.matrix[:, query.columns] = left.to(query.matrix)
                key.matrix[:, key.columns] = right.T.to(key.matrix)
            if attention.value is not None and attention.output is not None:
                value, (name, matrix) = attention.value, attention.output
                product = self._draw(len(value.matrix), self.settings.alpha2, -self.settings.beta2, generator)
                left, right = factors(product, len(matrix))
                value.matrix[:, value.columns] = left.to(value.matrix)
                matrix.copy_(right)
                names += [value.name, name]
            changed += names
        return changed, reasons

    def _draw(self, width: int, alpha: float, beta: float, generator: torch.Generator) -> Tensor:
        """α Z + β I, (d, d)."""
        noise = torch.randn(width, width, generator=generator) / math.sqrt(width)
        return alpha * noise + beta * torch.eye(width)

    def _set_positions(
        self, model: nn.Module, layers: Layers, widths: set[int], square: bool
    ) -> tuple[list[str], dict[str, str]]:
        changed, kept = [], {}
        parameters = named_parameters(model)
        for name, spec in layers.graph.parameters.items():
            if spec.role is not Role.POSITION:
                continue
            parameter = parameters[name].detach()
            *others, count, width = parameter.shape if parameter.dim() > 1 else (0, 0, 0)
            table = None
            if math.prod(others) == 1 and width in widths:
                table = sinusoids(count, width, square=square)
            if self.settings.positions == "learned":
                kept[name] = "a position embedding"
            elif table is None or reason_not_to_write(parameter) is not None:
                kept[name] = "a position embedding, but not one of (N, d) with d features of attention, d even"
            else:
                parameter.copy_(table.view(parameter.shape))
                changed.append(name)
        return changed, kept


def factors(product: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """U √S (d, rank) and √S Vᵀ (rank, d) of the largest singular values, so that their product is nearest.

    Ranks above d have columns and rows of zeros.
    """
    width = len(product)
    if 2 * rank <= width:
        # Where few are wanted, eigenvectors of a symmetric matrix take half the time, and large ones are as exact.
        values, vectors = torch.linalg.eigh(product @ product.T)
        left = vectors[:, -rank:].flip(1)
        roots = values[-rank:].flip(0).clamp_min(1e-12) ** 0.25
        return left * roots, (left.T @ product) / roots[:, None]
    U, S, Vh = torch.linalg.svd(product)
    most = min(rank, width)
    left, right = U[:, :most] * S[:most].sqrt(), S[:most, None].sqrt() * Vh[:most]
    padding = rank - most
    return nn.functional.pad(left, (0, padding)), nn.functional.pad(right, (0, 0, 0, padding))


def sinusoids(count: int, width: int, *, square: bool) -> Tensor | None:
    """(N, d): half sines, half cosines of the position, or of row and column of a square image.

    Args:
        count: N; tokens that a square leaves over come first, and are zero.
        width: d.
        square: Whether positions are those of an image.

    Returns:
        None if d cannot be divided so.
    """
    side = math.isqrt(count)
    prefix = count - side**2
    if not square or prefix > MOST_PREFIX_TOKENS or side < 2:
        return None if width % 2 else _waves(torch.arange(count).float(), width)
    if width % 4:
        return None
    rows, columns = torch.meshgrid(torch.arange(side).float(), torch.arange(side).float(), indexing="ij")
    table = torch.cat([_waves(rows.flatten(), width // 2), _waves(columns.flatten(), width // 2)], dim=1)
    return torch.cat([torch.zeros(prefix, width), table])


def _waves(positions: Tensor, width: int) -> Tensor:
    frequencies = TEMPERATURE ** -(torch.arange(width // 2) / (width // 2))
    angles = positions[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def _inputs_of(attention: SelfAttention) -> list[Tensor]:
    value = [] if attention.value is None else [attention.value.matrix]
    return [query.matrix for query, _ in attention.heads] + value


def _attentions(
    model: nn.Module, layers: Layers, batches: Sequence[Batch] | None
) -> tuple[list[SelfAttention], Inputs | None]:
    """The attentions, on the first inputs that the model takes, and these."""
    candidates = [Inputs((batches[0][0][:2],))] if batches else candidate_inputs(model)
    if not any(node.op == "msa" for node in layers.graph.nodes):
        return [], None
    failure: Exception | None = None
    for inputs in candidates:
        try:
            return attentions_of(model, layers, inputs), inputs
        except Exception as error:
            # A guess that does not fit; the first one is reported if all fail.
            failure = failure or error
    raise ValueError(f"the forward pass of {type(model).__name__} fails: {failure}; give batches") from failure


def _notes(found: Sequence[SelfAttention], positions: Sequence[str]) -> tuple[str, ...]:
    if not found:
        return ("it has no attention that was seen",)
    heads = sum(len(attention.heads) for attention in found)
    outputs = sum(attention.output is not None for attention in found)
    lines = [f"{len(found)} attentions: queries and keys of {heads} heads, {outputs} outputs, {len(positions)} tables"]
    reasons: dict[str, int] = {}
    for attention in found:
        for reason in attention.reasons:
            reasons[reason] = reasons.get(reason, 0) + 1
    return (*lines, *(f"in {count}: {reason}" for reason, count in reasons.items()))
