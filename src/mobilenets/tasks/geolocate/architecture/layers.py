"""The layers behind the body, in the order that `architecture.planet.Planet` runs them."""

from mobilenets.models.bodies import Body
from mobilenets.models.geometry import check
from mobilenets.models.listing import Layers

CELLS = 9765
"""Cells of a network without data: so many give V1 the head of 10 million numbers that paper 1
speaks of. PlaNet's own map had 26,263 (Weyand et al. 2016, arXiv 1602.05314)."""


def planet(layers: Layers, body: Body, *, classes: int = CELLS, dropout: float = 0.001) -> None:
    """A body, an average pool, and behind dropout a fully connected layer with all the cells."""
    check(classes=classes, dropout=dropout)
    layers.linear("classifier", layers.pool("pool", body.add(layers)), classes)
