"""The torch module of a described body."""

from mobilenets.models.bodies import V1, MobileNet
from mobilenets.models.modules.backbone import Backbone
from mobilenets.models.modules.v1 import MobileNetV1
from mobilenets.models.modules.v2 import MobileNetV2


def module_of(body: MobileNet) -> Backbone:
    """V1 or V2 with a body's knobs, and random weights."""
    return (MobileNetV1 if isinstance(body, V1) else MobileNetV2)(**vars(body))
