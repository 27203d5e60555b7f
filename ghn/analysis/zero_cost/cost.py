"""What a network costs, which ranks networks as well."""

from __future__ import annotations

from torch.nn.attention import SDPBackend, sdpa_kernel

from ghn.analysis.zero_cost.network import Network
from ghn.common.modules import named_parameters


def parameters(network: Network) -> float:
    """Elements of all parameters."""
    return float(sum(parameter.numel() for parameter in named_parameters(network.model).values()))


def multiply_adds(network: Network) -> float:
    """Multiply-adds of convolutions, linear layers and attention for one image, in evaluation mode.

    Half the operations that `torch.utils.flop_counter` counts.
    """
    from torch.utils.flop_counter import FlopCounterMode

    # Operators that are fused hide products; differentiable ones are not fused.
    counter = FlopCounterMode(display=False)
    with network.trained(batch_statistics=False), sdpa_kernel(SDPBackend.MATH), counter:
        network.outputs(network.images[:1])
    return counter.get_total_flops() / 2
