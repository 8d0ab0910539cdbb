"""The one dict: a name and its constructor."""

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from mobilenets.models.backbone import Backbone
from mobilenets.models.classifier import mobilenet_v1, mobilenet_v2
from mobilenets.models.deeplab import deeplabv3_mobilenet_v1, deeplabv3_mobilenet_v2
from mobilenets.models.geometry import NETWORKS, unknown_name
from mobilenets.models.ssd import (
    KNOBS,
    ssd_mobilenet_v1,
    ssd_mobilenet_v2,
    ssdlite_mobilenet_v1,
    ssdlite_mobilenet_v2,
)
from mobilenets.models.v1 import MobileNetV1
from mobilenets.models.v2 import MobileNetV2
from mobilenets.models.vgg import ssd300_vgg16, ssd512_vgg16

MODELS: dict[str, Callable[..., nn.Module]] = {
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
    "ssd_mobilenet_v1": ssd_mobilenet_v1,
    "ssd_mobilenet_v2": ssd_mobilenet_v2,
    "ssdlite_mobilenet_v1": ssdlite_mobilenet_v1,
    "ssdlite_mobilenet_v2": ssdlite_mobilenet_v2,
    "ssd300_vgg16": ssd300_vgg16,
    "ssd512_vgg16": ssd512_vgg16,
    "deeplabv3_mobilenet_v1": deeplabv3_mobilenet_v1,
    "deeplabv3_mobilenet_v2": deeplabv3_mobilenet_v2,
}
BACKBONES: dict[str, type[Backbone]] = {
    "mobilenet_v1": MobileNetV1,
    "mobilenet_v2": MobileNetV2,
}


def build(name: str, **arguments: Any) -> nn.Module:
    """The network called `name`, with random weights; ValueError for a bad name or argument."""
    allowed = arguments_of(name)
    for argument in arguments:
        if argument not in allowed:
            raise ValueError(unknown_name(argument, allowed, "argument"))
    return MODELS[name](**arguments)


def arguments_of(name: str) -> dict[str, Any]:
    """Every keyword argument of the network called `name`, with its default.

    ValueError for a name that cannot be built.
    """
    if name in NETWORKS and name not in MODELS:
        raise ValueError(f"{name} is here for its cost alone, which `mobilenets profile` says")
    if name not in MODELS:
        raise ValueError(unknown_name(name, MODELS))
    inherited = backbone_arguments(name)
    if inherited and NETWORKS[name].task != "classify":
        inherited = {knob: inherited[knob] for knob in KNOBS}
    return {**_keywords(MODELS[name]), **inherited}


def backbone_arguments(name: str) -> dict[str, Any]:
    """Every keyword argument of the backbone that the network called `name` stands on."""
    backbone = NETWORKS[name].backbone
    return _keywords(BACKBONES[backbone]) if backbone in BACKBONES else {}


def _keywords(constructor: Callable[..., nn.Module]) -> dict[str, Any]:
    parameters = inspect.signature(constructor).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
