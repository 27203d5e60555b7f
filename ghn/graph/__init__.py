"""From a PyTorch model to the computational graph that a hypernetwork reads."""

from ghn.graph.computational_graph import PRIMITIVE_INDEX, PRIMITIVES, ComputationalGraph, Node, ParameterSpec, Role

__all__ = ["PRIMITIVES", "PRIMITIVE_INDEX", "ComputationalGraph", "Node", "ParameterSpec", "Role"]
