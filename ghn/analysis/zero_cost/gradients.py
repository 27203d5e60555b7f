"""Scores from gradients of the loss: GradNorm, SNIP, Plain, GraSP.

Sources, as Abdelfattah et al. (Zero-Cost Proxies for Lightweight NAS, ICLR 2021, section 3) sum them over a network:
SNIP (Lee et al., ICLR 2019), GraSP (Wang et al., ICLR 2020).

Legend: θ weights of convolutions and linear layers, L mean cross-entropy of the batch, H its second derivative.
"""

from __future__ import annotations

from ghn.analysis.zero_cost.network import Network, differentiated, total
from ghn.initializers.learned.network import differentiable


def gradnorm(network: Network) -> float:
    """Σ over layers of ‖∂L/∂θ‖₂."""
    return total(gradient.double().norm() for gradient in network.gradients.values())


def snip(network: Network) -> float:
    """Σ |∂L/∂θ ⊙ θ|."""
    return total((gradient * network.parameters[name]).abs() for name, gradient in network.gradients.items())


def plain(network: Network) -> float:
    """Σ ∂L/∂θ ⊙ θ."""
    return total(gradient * network.parameters[name] for name, gradient in network.gradients.items())


def grasp(network: Network) -> float:
    """Σ −(H ∂L/∂θ) ⊙ θ."""
    names = network.weights
    weights = [network.parameters[name] for name in names]
    with differentiable(network.model, network.seed):
        gradients = differentiated(network.loss(), weights, create_graph=True)
        # The product with H is the derivative of the product with a constant.
        product = sum((gradient * gradient.detach()).sum() for gradient in gradients)
        products = differentiated(product, weights)  # type: ignore[arg-type]
    return -total(part.detach() * weight.detach() for part, weight in zip(products, weights, strict=True))
