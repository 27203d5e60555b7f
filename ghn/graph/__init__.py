"""From a PyTorch model to the computational graph that a hypernetwork reads."""

from ghn.graph.computational_graph import ComputationalGraph, Node, ParameterSpec, Role
from ghn.graph.vocabulary import PRIMITIVE_INDEX, PRIMITIVES

__all__ = ["PRIMITIVES", "PRIMITIVE_INDEX", "ComputationalGraph", "Node", "ParameterSpec", "Role"]
