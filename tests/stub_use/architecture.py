"""A body with one number behind it, described without torch."""

from mobilenets.models.bodies import V1, Body
from mobilenets.models.listing import Layers
from mobilenets.models.network import Network, by_name


def gauge(layers: Layers, body: Body) -> None:
    """A body, an average pool and one output."""
    layers.linear("level", layers.pool("pool", body.add(layers)), 1)


MAKER = "tests.stub_use.network:gauge"
NETWORKS = by_name([Network("gauge_mobilenet_v1", V1, 64, "brightness", gauge, MAKER)])
