"""The networks that name attributes, described without torch."""

from collections.abc import Mapping

from mobilenets.models.bodies import V1, V2, Body
from mobilenets.models.geometry import check
from mobilenets.models.network import Network, by_name
from mobilenets.tasks.attributes.architecture.layers import CELEBA, attributes

_HOME = "mobilenets.tasks.attributes.architecture.several"


def _on(body: type[Body], description: str, dropout: float) -> Network:
    """The network of a body; every attribute is one output of its last layer."""
    name = f"attributes_{body.name}"
    maker = f"{_HOME}:{name}"
    return Network(name, body, 224, description, attributes, maker, defaults={"dropout": dropout})


ON_V1 = _on(V1, "several labels an image (Howard et al. 2017, section 4.5)", 0.001)
ON_V2 = _on(V2, "several labels an image, on V2", 0.2)
NETWORKS: Mapping[str, Network] = by_name((ON_V1, ON_V2))


def default_labels(classes: int | None) -> tuple[str, ...]:
    """CelebA's names where there are as many attributes, which is the default, else numbers."""
    count = len(CELEBA) if classes is None else classes
    check(classes=count)
    return CELEBA if count == len(CELEBA) else tuple(f"attribute {i}" for i in range(count))
