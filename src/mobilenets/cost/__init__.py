"""What a network costs: parameters, multiply-adds, bytes of activations. No torch, no weights."""

from mobilenets.cost.subject import profile, profile_card
from mobilenets.models.costs import Cost, LayerCost, Map, Shape

__all__ = ["Cost", "LayerCost", "Map", "Shape", "profile", "profile_card"]
