"""How large the weights are that a fresh hypernetwork predicts.

As published, the decoder's last layers are divided by five, and layers before keep PyTorch's default: a fresh GHN-3-T
predicts weights of about a fiftieth of the scale that they were meant to have (`sqrt(β / fan_in)` times a value of
variance one). Adam moves every weight of the decoder's last layer by the learning rate, whatever the gradient: since
the 8D features that it multiplies are all positive, one step moves a decoded value by up to 8D · rate · mean feature,
many times what it was.

Source: Chang et al., Principled Weight Initialization for Hypernetworks, ICLR 2020 (hyperfan-in): the last layer is
drawn so that what it writes has the variance that the target network's layer needs.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from ghn.hypernet.ghn import GHN
from ghn.hypernet.mlp import linear_layer
from ghn.hypernet.sliced_linear import Crop

Initialization = Literal["published", "variance"]
"""`published`: as the papers' code does; `variance`: decoded kernels have variance one before they are scaled."""

STATES = 256


@torch.no_grad()
def set_initial_scale(hypernet: GHN, initialization: Initialization) -> None:
    """Let a fresh hypernetwork predict weights of the wanted scale; `published` leaves it as it is made.

    With `variance` the decoder's last layer and the classifier's are multiplied by one number each, so that decoded
    kernels have second moment 1 over random node states (after the final layer norm they have variance one). Vectors,
    which are near one or zero as published, keep their scale. Nothing is drawn from the process's generator.

    Args:
        hypernet: Fresh, in place.
        initialization: Which.
    """
    if initialization == "published":
        return
    decoder = hypernet.decoder
    states_nD = _states(hypernet)
    side = min(3, hypernet.config.spatial)
    crop = Crop(out=hypernet.config.max_channels, inputs=hypernet.config.max_channels, height=side, width=side)
    one_n = torch.ones(len(states_nD), dtype=states_nD.dtype, device=states_nD.device)

    def decoded() -> Tensor:
        return decoder.cores(decoder.features([states_nD], [crop]), [crop], [one_n])[0]

    _to_unit(linear_layer(decoder.conv, 2), decoded())
    _to_unit(linear_layer(decoder.class_layer_predictor, 1), decoder.head(decoded()))


def _states(hypernet: GHN) -> Tensor:
    """Random node states (n, D) as the final layer norm gives them."""
    generator = torch.Generator().manual_seed(0)
    drawn_nD = torch.randn(STATES, hypernet.config.hidden, generator=generator, device="cpu")
    return hypernet.ln(drawn_nD.to(hypernet.device, hypernet.dtype))


def _to_unit(layer: nn.Linear, output: Tensor) -> None:
    scale = float(output.square().mean().sqrt())
    layer.weight.div_(scale)
    layer.bias.div_(scale)
