"""Layers before a network's first convolution, as the way an image is prepared."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilenets.card import Interpolation, Preprocessing
from mobilenets.errors import WeightsError
from mobilenets.models.geometry import BN_EPS
from mobilenets.weights.containers.affine import AffineInput
from mobilenets.weights.sources.keras.activations import number
from mobilenets.weights.sources.keras.config import KerasLayer
from mobilenets.weights.sources.keras.variables import LayerVariables, norm_of

_SUMS = {"Add": 1.0, "Subtract": -1.0, "math.add": 1.0, "math.subtract": -1.0, "Sub": -1.0}
_SUMS |= {"__operators__.add": 1.0, "AddV2": 1.0}
_PRODUCTS = {"Multiply": 1, "math.multiply": 1, "Mul": 1, "TrueDivide": -1, "Divide": -1}
_PRODUCTS |= {"math.truediv": -1, "math.divide": -1, "RealDiv": -1}
_INTERPOLATIONS: Mapping[str, Interpolation] = {
    "nearest": "nearest",
    "bilinear": "bilinear",
    "bicubic": "bicubic",
    "lanczos3": "lanczos",
    "lanczos5": "lanczos",
}


@dataclass(frozen=True)
class KerasFeed:
    """How an image is prepared, and in words what of that the file says."""

    preprocessing: Preprocessing
    said: str


def feed_of(
    layers: Sequence[KerasLayer], variables: LayerVariables, start: Preprocessing
) -> KerasFeed:
    """What `layers`, in their order, make of an image; `start` has the size of the input.

    WeightsError, naming the layer, for what a card cannot say.
    """
    affine, pre, done = AffineInput.pixels(), start, []
    for layer in layers:
        if layer.kind == "Resizing":
            pre = _resized(layer, pre)
        elif layer.kind == "CenterCrop":
            pre = _cropped(layer, pre)
        else:
            made = _affine(layer, variables)
            affine = affine if made is None else affine.then(*made)
            if made is None:
                continue
        done.append(layer.name)
    names = ", ".join(done)
    if affine.untouched:
        known = f"{names} of the file; " if done else ""
        return KerasFeed(pre, f"{known}how pixels are scaled is not in the file: taken as [-1, 1]")
    mean, std, words = affine.normalisation()
    return KerasFeed(
        replace(pre, mean=mean, std=std), f"images prepared by {names} of the file{words}"
    )


def side_behind(layer: KerasLayer, side: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of an image behind a layer."""
    return _size(layer) if layer.kind in ("Resizing", "CenterCrop") else side


def _affine(
    layer: KerasLayer, variables: LayerVariables
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """(scale, offset) of what a layer does to a pixel; None where it leaves it as it is."""
    settings = layer.settings
    if layer.kind == "Rescaling":
        return _colours(layer, settings.get("scale", 1.0)), _colours(
            layer, settings.get("offset", 0.0)
        )
    if layer.kind == "Normalization":
        mean, variance = settings.get("mean"), settings.get("variance")
        if mean is None or variance is None:
            found = variables.of(layer, ("mean", "variance", "count"))
            mean, variance = found["mean"], found["variance"]
        if settings.get("invert") or settings.get("axis") not in (-1, 3, [-1], [3], (3,), (-1,)):
            raise WeightsError(f"its layer {layer.name!r} normalises in another way than by colour")
        deviation = np.maximum(np.sqrt(np.maximum(_colours(layer, variance), 0)), 1e-7)
        return 1 / deviation, -_colours(layer, mean) / deviation
    if layer.kind == "BatchNormalization":
        gamma, beta, mean, variance = (x.astype(np.float64) for x in norm_of(layer, variables))
        scale = _colours(layer, gamma / np.sqrt(np.maximum(variance, 0) + BN_EPS))
        return scale, _colours(layer, beta - mean * scale)
    word = _operation(layer)
    if word == "cast":
        return None
    constant = _constant(layer)
    ones = np.ones(3)
    if word in _SUMS:
        return ones, _SUMS[word] * _colours(layer, constant)
    if word not in _PRODUCTS:
        raise WeightsError(
            f"before its network a layer {layer.name!r} ({word}) is none we can read"
        )
    factor = _colours(layer, constant)
    if (factor == 0).any():
        raise WeightsError(f"its layer {layer.name!r} makes nothing of images")
    return factor ** _PRODUCTS[word], 0 * ones


def _operation(layer: KerasLayer) -> str:
    """The word for what an operation in a graph does."""
    if layer.kind == "TFOpLambda":
        word = str(layer.settings.get("function"))
        return "cast" if word.endswith("cast") else word
    if layer.kind != "TensorFlowOpLayer":
        return layer.kind
    text = layer.settings.get("node_def")
    try:
        node: Any = json.loads(text) if isinstance(text, str) else text
        word = str(node["op"])
    except (ValueError, TypeError, KeyError):
        return str(text)[:40]
    return word.lower() if word == "Cast" else word


def _constant(layer: KerasLayer) -> Any:
    """The other operand; WeightsError where there is none, or it stands first."""
    if layer.kind == "TensorFlowOpLayer":
        constants = layer.settings.get("constants")
        if isinstance(constants, Mapping) and list(constants) in (["1"], [1]):
            return next(iter(constants.values()))
    elif isinstance(layer.call, list) and layer.call:
        call = layer.call[0]
        if isinstance(call, Mapping):  # Keras 3: the tensor, then the number
            given = [*(call.get("args") or []), *(call.get("kwargs") or {}).values()]
            first = given[0] if len(given) == 2 else None
            if isinstance(first, Mapping) and first.get("class_name") == "__keras_tensor__":
                return given[1]
        elif isinstance(call, list) and call:
            call = call[0] if isinstance(call[0], list) else call
            if call[0] != "_CONSTANT_VALUE" and isinstance(call[-1], Mapping):
                return call[-1].get("y")
    raise WeightsError(f"its layer {layer.name!r} changes images in an unknown way")


def _colours(layer: KerasLayer, value: Any) -> NDArray[np.float64]:
    """One number for each colour."""
    single = number(value)
    if single is None and isinstance(value, Mapping):
        inner = value.get("config")
        value = inner.get("value") if isinstance(inner, Mapping) else inner
    try:
        found = np.asarray(value if single is None else single, np.float64).ravel()
    except (ValueError, TypeError):
        found = np.zeros(0)
    if found.size not in (1, 3) or not np.isfinite(found).all():
        raise WeightsError(f"the numbers of its layer {layer.name!r} are not one for each colour")
    return np.broadcast_to(found, (3,))


def _resized(layer: KerasLayer, pre: Preprocessing) -> Preprocessing:
    settings = layer.settings
    word = str(settings.get("interpolation", "bilinear"))
    if settings.get("pad_to_aspect_ratio") or word not in _INTERPOLATIONS:
        raise WeightsError(f"its layer {layer.name!r} resizes with padding, or by {word}")
    crop = bool(settings.get("crop_to_aspect_ratio"))
    return replace(
        pre,
        size=_size(layer),
        resize="crop" if crop else "squash",
        crop_fraction=1.0,
        interpolation=_INTERPOLATIONS[word],
    )


def _cropped(layer: KerasLayer, pre: Preprocessing) -> Preprocessing:
    size = _size(layer)
    fractions = [inner / outer for inner, outer in zip(size, pre.size, strict=True)]
    if not 0 < max(fractions) <= 1 or fractions[0] != fractions[1]:
        raise WeightsError(f"its layer {layer.name!r} crops {pre.size} to {size}")
    return replace(pre, size=size, resize="crop", crop_fraction=fractions[0])


def _size(layer: KerasLayer) -> tuple[int, int]:
    sides = layer.settings.get("height"), layer.settings.get("width")
    if not all(isinstance(side, int) and side > 0 for side in sides):
        raise WeightsError(f"the size of its layer {layer.name!r} must be two numbers, got {sides}")
    return sides  # type: ignore[return-value]
