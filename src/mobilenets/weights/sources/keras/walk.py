"""A Keras model's layers as a body's convolutions, what feeds them, and what stands on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from mobilenets.errors import WeightsError
from mobilenets.models.geometry import same_padding
from mobilenets.weights.containers.tflite.chain import TflitePads, TfliteStep
from mobilenets.weights.containers.tflite.graph import TfliteOperator
from mobilenets.weights.sources.keras import activations, feeding
from mobilenets.weights.sources.keras.config import KerasLayer
from mobilenets.weights.sources.keras.variables import LayerVariables, convolution, norm_of

IDENTITIES = (
    "InputLayer",
    "Dropout",
    "SpatialDropout2D",
    "AlphaDropout",
    "GaussianDropout",
    "GaussianNoise",
    "ActivityRegularization",
    "Identity",
    "Cast",
)
AUGMENTATIONS = ("AutoContrast", "RandAugment", "AugMix", "CutMix", "MixUp", "Solarization")
"""Layers that change images in training only, beside those called Random..."""
_CONVOLUTIONS = ("Conv2D", "Convolution2D", "DepthwiseConv2D")


def is_identity(layer: KerasLayer) -> bool:
    """Whether a layer does nothing to an image when a network answers."""
    resizing = layer.kind in ("RandomCrop", "RandomHeight", "RandomWidth")
    augments = layer.kind.startswith("Random") or layer.kind in AUGMENTATIONS
    return layer.kind in IDENTITIES or (augments and not resizing)


class KerasWalk:
    """Layers one after another, up to the first that is no part of a body.

    `steps` are convolutions with all that belongs to them, in the words that TFLite has for it:
    both say the same of one. `activations` has a word for each. `shortcuts` is as in a `Chain`.
    """

    def __init__(
        self, layers: Sequence[KerasLayer], variables: LayerVariables, size: tuple[int, int]
    ) -> None:
        self._variables = variables
        self.steps: list[TfliteStep] = []
        self.activations: list[activations.Activated] = []
        self.momenta: list[float] = []
        self.shortcuts: dict[int, int] = {}
        self.feed: list[KerasLayer] = []
        self.head: list[KerasLayer] = []
        self.reason = ""
        self._same: dict[str, str] = {}
        self._sides: dict[str, tuple[int, int]] = {}
        self._ids: dict[str, int] = {}
        self._pads: TflitePads | None = None
        self._open = False  # whether the last convolution may still get a norm or an activation
        self._position = ""
        self._size = size
        for layer in layers:
            if self.head or not self._advance(layer):
                self.head.append(layer)

    @property
    def side(self) -> tuple[int, int]:
        """(height, width) of the last map; 0 where the size is open."""
        return self._sides[self._position]

    def cut(self, steps: int) -> None:
        """Forget what stands behind so many convolutions."""
        self.steps, self.activations = self.steps[:steps], self.activations[:steps]
        self.shortcuts = {k: v for k, v in self.shortcuts.items() if k < steps}

    def _advance(self, layer: KerasLayer) -> bool:
        """Take a layer as a part of the body; False for one that ends it."""
        if not self._position:
            self._position = self._root(layer.inputs[0]) if layer.inputs else layer.output
            self._sides[self._position] = self._size
            self._ids[self._position] = 0
            if not layer.inputs and layer.kind == "InputLayer":
                return True
        if layer.kind == "Add":
            return self._add(layer)
        sources = [self._root(x) for x in layer.inputs]
        if sources not in ([self._position], []):
            self.reason = self.reason or f"its layer {layer.name!r} does not read the one before it"
            return False
        feeds = not self.steps and layer.kind not in (*_CONVOLUTIONS, "ZeroPadding2D")
        if is_identity(layer) or feeds:
            if not is_identity(layer):
                self.feed.append(layer)
                self._sides[self._position] = feeding.side_behind(layer, self.side)
            self._same[layer.output] = self._position
            return True
        if layer.kind in _CONVOLUTIONS:
            return self._convolve(layer)
        if layer.kind == "ZeroPadding2D" and self._pads is None:
            self._pads, self._open = _padding(layer), False
        elif layer.kind == "BatchNormalization" and self._open and not self._is_active():
            self._normalise(layer)
        elif layer.kind in activations.LAYERS and self._open and not self._is_active():
            self.activations[-1] = activations.of_layer(layer.kind, layer.settings)
        else:
            return False
        self._same[layer.output] = self._position
        return True

    def _root(self, tensor: str) -> str:
        return self._same.get(tensor, tensor)

    def _is_active(self) -> bool:
        return self.activations[-1] != activations.LINEAR

    def _add(self, layer: KerasLayer) -> bool:
        sources = [step.source for step in self.steps]
        read = [self._root(x) for x in layer.inputs]
        others = [x for x in read if x != self._position]
        known = len(read) == 2 and len(others) == 1 and self._ids.get(others[0]) in sources
        if not known or self._pads is not None:
            return False
        self.shortcuts[len(self.steps) - 1] = sources.index(self._ids[others[0]])
        self._move(layer.output, self.side)
        return True

    def _move(self, output: str, side: tuple[int, int]) -> None:
        self._position = output
        self._sides[output] = side
        self._ids[output] = len(self._ids)

    def _convolve(self, layer: KerasLayer) -> bool:
        settings = layer.settings
        depthwise = layer.kind == "DepthwiseConv2D"
        bias = bool(settings.get("use_bias", True))
        found = self._variables.of(layer, ("kernel", "bias") if bias else ("kernel",))
        stored = convolution(layer, found, depthwise=depthwise)
        operator = TfliteOperator(
            "CONV_2D",
            (self._ids[self._position],),
            (len(self._ids),),
            padding=str(settings.get("padding", "valid")).upper(),
            stride=_two(layer, "strides"),
            dilation=_two(layer, "dilation_rate"),
        )
        side, source = self.side, self._ids[self._position]
        # Where the size is open, TensorFlow's SAME is that of an even one as often as not, and
        # the stem of both networks is padded so.
        image = side if self.steps or self._pads is None else (side[0] or 224, side[1] or 224)
        step = TfliteStep(
            stored, operator, "FLOAT32", source, len(self._ids), image, self._pads, None
        )
        self.steps.append(step)
        self.activations.append(activations.of_setting(settings.get("activation")))
        self.momenta.append(0.0)
        kernel = stored.weight.shape[-1]
        self._move(layer.output, _sides_behind(side, kernel, operator, self._pads))
        self._pads, self._open = None, True
        return True

    def _normalise(self, layer: KerasLayer) -> None:
        step, settings = self.steps[-1], layer.settings
        if step.layer.norm is not None:
            raise WeightsError(f"its layer {layer.name!r} is a second norm")
        norm = norm_of(layer, self._variables, step.layer.bias)
        stored = dataclasses.replace(step.layer, norm=norm, bias=None)
        self.steps[-1] = dataclasses.replace(step, layer=stored)
        self.momenta[-1] = 1 - (activations.number(settings.get("momentum", 0.99)) or 0.0)


def _two(layer: KerasLayer, key: str) -> tuple[int, int]:
    """Two equal numbers, or one; WeightsError for others."""
    value = layer.settings.get(key, 1)
    both = tuple(value) if isinstance(value, (list, tuple)) else (value, value)
    if len(both) != 2 or not all(isinstance(x, int) and x > 0 for x in both):
        raise WeightsError(f"{key} of its layer {layer.name!r} must be two numbers, got {value!r}")
    return both[0], both[1]


def _padding(layer: KerasLayer) -> TflitePads:
    value = layer.settings.get("padding", 1)
    rows = [value, value] if isinstance(value, int) else list(value)
    pads = [(row, row) if isinstance(row, int) else tuple(row) for row in rows]
    if len(pads) != 2 or any(len(p) != 2 or not all(isinstance(x, int) for x in p) for p in pads):
        raise WeightsError(f"padding of its layer {layer.name!r} is {value!r}")
    return (pads[0][0], pads[0][1]), (pads[1][0], pads[1][1])


def _sides_behind(
    side: tuple[int, int], kernel: int, operator: TfliteOperator, pads: TflitePads | None
) -> tuple[int, int]:
    """(height, width) of a convolution's output; 0 stays 0."""
    found = []
    for length, stride, dilation, pad in zip(
        side, operator.stride, operator.dilation, pads or ((0, 0), (0, 0)), strict=True
    ):
        around = sum(pad)
        if operator.padding == "SAME":
            around += sum(same_padding(length, kernel, stride, dilation))
        span = (kernel - 1) * dilation + 1
        found.append(max((length + around - span) // stride + 1, 0) if length else 0)
    return found[0], found[1]
