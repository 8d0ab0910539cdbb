"""The segmentation networks, described without torch."""

from collections.abc import Mapping
from typing import Any

from mobilenets.models.bodies import V1, V2, Body
from mobilenets.models.geometry import check
from mobilenets.models.network import Network, by_name
from mobilenets.runtime.labels import voc_labels
from mobilenets.tasks.segment.architecture.layers import deeplab, full, multi_scale
from mobilenets.tasks.segment.architecture.resnet import ResnetBody

_HOME = "mobilenets.tasks.segment.architecture.deeplab"
TAKES = ("width", "padding", "norm_eps", "norm_momentum", "activation", "negative_slope")
"""The body's knobs that a segmentation network has too, beside its output stride."""


def _on(
    body: type[Body],
    takes: tuple[str, ...],
    description: str,
    printed: tuple[str, float] | None = None,
) -> Network:
    """DeepLabv3 on a MobileNet, of whose knobs it takes some."""
    name = f"deeplabv3_{body.name}"
    home = f"{_HOME}:{name}"
    more: dict[str, Any] = {
        "free": frozenset({"output_stride"}),
        "of_head": frozenset({"aspp"}),
        "repeated": multi_scale,
        "printed": printed,
    }
    return Network(name, body, 513, description, deeplab, home, takes, **more)


ON_V1 = _on(V1, TAKES, "DeepLabv3 on V1 (Sandler et al. 2018)")
ON_V2 = _on(
    V2,
    ("divisor", *TAKES),
    "Mobile DeepLabv3 on V2 (Sandler et al. 2018)",
    ("miou", 0.7532),
)
ON_RESNET = Network(
    f"deeplabv3_{ResnetBody.name}",
    ResnetBody,
    513,
    "to compare costs with (Chen et al. 2017)",
    full,
    trainable=False,
    repeated=multi_scale,
)
NETWORKS: Mapping[str, Network] = by_name((ON_V1, ON_V2, ON_RESNET))


def default_labels(classes: int | None) -> tuple[str, ...]:
    """VOC's names where there are as many classes, which is the default, else numbers."""
    count = 21 if classes is None else classes
    check(classes=count)
    return voc_labels(count) or tuple(f"class {i}" for i in range(count))
