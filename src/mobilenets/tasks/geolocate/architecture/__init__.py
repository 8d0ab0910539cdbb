"""The networks that locate, described without torch."""

from collections.abc import Mapping

from mobilenets.models.bodies import V1, V2, Body
from mobilenets.models.geometry import check
from mobilenets.models.network import Network, by_name
from mobilenets.tasks.geolocate.architecture.layers import CELLS, planet

_HOME = "mobilenets.tasks.geolocate.architecture.planet"


def _on(body: type[Body], words: str, dropout: float) -> Network:
    """The network that locates, on a body."""
    name = f"planet_{body.name}"
    return Network(name, body, 224, words, planet, f"{_HOME}:{name}", defaults={"dropout": dropout})


ON_V1 = _on(V1, "PlaNet on V1: a share for each cell of a map (paper 1, Table 11)", 0.001)
ON_V2 = _on(V2, "PlaNet on V2: a share for each cell of a map", 0.2)
NETWORKS: Mapping[str, Network] = by_name((ON_V1, ON_V2))


def default_labels(classes: int | None) -> tuple[str, ...]:
    """Numbers: which cells there are, only data says."""
    count = CELLS if classes is None else classes
    check(classes=count)
    return tuple(f"cell {i}" for i in range(count))
