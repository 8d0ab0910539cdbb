"""What a network costs: parameters, multiply-adds, bytes of activations. No torch, no weights."""

from mobilenets.cost.measure import Cost, LayerCost, Map, Shape
from mobilenets.cost.networks import profile

__all__ = ["Cost", "LayerCost", "Map", "Shape", "profile"]
