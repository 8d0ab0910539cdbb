"""The classifiers, described without torch."""

from collections.abc import Mapping
from typing import Any

from mobilenets.models.bodies import V1, V2, Body
from mobilenets.models.geometry import check
from mobilenets.models.network import Network, by_name
from mobilenets.runtime.labels import imagenet_labels
from mobilenets.tasks.classify.architecture.layers import classifier

_HOME = "mobilenets.tasks.classify.architecture.classifier"


def _on(body: type[Body], description: str, **more: Any) -> Network:
    """The classifier that has the name of its body."""
    name = body.name
    return Network(name, body, 224, description, classifier, f"{_HOME}:{name}", **more)


ON_V1 = _on(
    V1, "depthwise separable convolutions (Howard et al. 2017)", defaults={"dropout": 0.001}
)
ON_V2 = _on(V2, "inverted residuals, linear bottlenecks (Sandler et al. 2018)")
NETWORKS: Mapping[str, Network] = by_name((ON_V1, ON_V2))


def default_labels(classes: int | None) -> tuple[str, ...]:
    """ImageNet's names where there are as many classes, which is the default, else numbers."""
    count = 1000 if classes is None else classes
    check(classes=count)
    return imagenet_labels(count) or tuple(f"class {i}" for i in range(count))
