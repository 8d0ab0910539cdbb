"""The embedding networks, described without torch."""

from collections.abc import Mapping

from mobilenets.models.bodies import V1, V2, Body
from mobilenets.models.geometry import check
from mobilenets.models.network import Network, by_name
from mobilenets.tasks.embed.architecture.layers import embedding

_HOME = "mobilenets.tasks.embed.architecture.embedding"


def _on(body: type[Body], title: str) -> Network:
    """The embedding network on a body; its classifier is made anew for other classes."""
    name = f"embedding_{body.name}"
    description = f"vectors of unit length, on {title} (Howard et al. 2017, Table 14)"
    return Network(
        name,
        body,
        224,
        description,
        embedding,
        f"{_HOME}:{name}",
        of_head=frozenset({"dimensions", "pooling", "kernel", "last"}),
    )


ON_V1 = _on(V1, "MobileNetV1")
ON_V2 = _on(V2, "MobileNetV2")
NETWORKS: Mapping[str, Network] = by_name((ON_V1, ON_V2))


def default_labels(classes: int | None) -> tuple[str, ...]:
    """None without classes, which a network needs in training alone; else numbers."""
    if classes is None:
        return ()
    check(classes=classes)
    return tuple(f"class {i}" for i in range(classes))
