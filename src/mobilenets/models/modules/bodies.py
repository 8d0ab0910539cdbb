"""The torch module of a described body."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from mobilenets.models.bodies import V1, V2, MobileNet
from mobilenets.models.modules.backbone import Backbone, Headless
from mobilenets.models.modules.v1 import MobileNetV1
from mobilenets.models.modules.v2 import MobileNetV2


def module_of(body: MobileNet) -> Backbone:
    """V1 or V2 with a body's knobs, and random weights."""
    return (MobileNetV1 if isinstance(body, V1) else MobileNetV2)(**vars(body))


def headless(name: str, knobs: Mapping[str, Any], *, last: bool = True) -> Headless:
    """The body called `name` alone, random; of V2 without `last` up to its last block.

    ValueError for a knob that is out of range, TypeError for one that is none.
    """
    backbone = module_of((V2 if name == V2.name else V1)(**knobs))
    if not last:
        backbone.last = nn.Identity()
    return Headless(backbone)
