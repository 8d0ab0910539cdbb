"""The detectors, described without torch."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from mobilenets.models.bodies import V1, V2, Body
from mobilenets.models.geometry import check
from mobilenets.models.network import Describe, Network, by_name
from mobilenets.runtime.labels import coco_labels
from mobilenets.tasks.detect.architecture.geometry import VGG
from mobilenets.tasks.detect.architecture.layers import VggBody, ssd, ssd_on_vgg, ssdlite

_HOME = "mobilenets.tasks.detect.architecture"
TAKES = ("width", "padding", "norm_eps", "norm_momentum", "activation", "negative_slope")
"""The body's knobs that a detector has too; the others would move its taps."""


def _on(body: type[Body], kind: str, description: str, describe: Describe, **more: Any) -> Network:
    """SSD or SSDLite, by `kind`, on a MobileNet."""
    name = f"{kind}_{body.name}"
    return Network(
        name,
        body,
        320,
        description,
        describe,
        f"{_HOME}.ssd:{name}",
        takes=TAKES,
        of_head=frozenset({"head_kernel"}),
        of_classes=frozenset({"scores"}),
        **more,
    )


def _on_vgg(name: str, description: str, printed: float) -> Network:
    describe = partial(ssd_on_vgg, name)
    home = f"{_HOME}.vgg:{name}"
    more: dict[str, Any] = {"trainable": False, "printed": ("ap", printed)}
    return Network(name, VggBody, VGG[name].size, description, describe, home, **more)


SSD_V1 = _on(V1, "ssd", "SSD on V1 (Howard et al. 2017)", ssd, defaults={"head_kernel": 1})
SSD_V2 = _on(V2, "ssd", "SSD on V2 (Sandler et al. 2018)", ssd)
SSDLITE_V1 = _on(
    V1, "ssdlite", "separable SSD on V1 (Sandler et al. 2018)", ssdlite, printed=("ap", 0.222)
)
SSDLITE_V2 = _on(
    V2, "ssdlite", "separable SSD on V2 (Sandler et al. 2018)", ssdlite, printed=("ap", 0.221)
)
VGG_300, VGG_512 = (
    _on_vgg(name, description, printed)
    for name, description, printed in zip(
        VGG,
        ("SSD on VGG-16, to compare with (Liu et al. 2016)", "the same, larger"),
        (0.232, 0.268),
        strict=True,
    )
)
NETWORKS: Mapping[str, Network] = by_name(
    (SSD_V1, SSD_V2, SSDLITE_V1, SSDLITE_V2, VGG_300, VGG_512)
)


def default_labels(classes: int | None) -> tuple[str, ...]:
    """COCO's names where there are as many classes, which is the default, else numbers."""
    count = 80 if classes is None else classes
    check(classes=count)
    return coco_labels(count) or tuple(f"class {i}" for i in range(count))
