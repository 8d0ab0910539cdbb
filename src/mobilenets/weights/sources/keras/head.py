"""What stands on a Keras model's body, as one classifier where it is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mobilenets.errors import WeightsError
from mobilenets.models.geometry import BN_EPS
from mobilenets.weights.containers.stored import StoredLayer, bias_of
from mobilenets.weights.sources.keras import activations
from mobilenets.weights.sources.keras.config import KerasLayer
from mobilenets.weights.sources.keras.variables import LayerVariables, convolution, norm_of
from mobilenets.weights.sources.keras.walk import is_identity

_POOLS = ("GlobalAveragePooling2D", "GlobalAvgPool2D")
_FLAT = ("Flatten", "Reshape", "Permute")
WEIGHTED = ("Dense", "Conv2D", "BatchNormalization", "DepthwiseConv2D", "SeparableConv2D")


@dataclass(frozen=True)
class KerasHead:
    """A classifier, or why there is none."""

    layers: tuple[StoredLayer, ...]
    """One, or two with a ReLU between; () where there is no classifier."""
    independent: bool
    """Whether its outputs go through a sigmoid each."""
    unread: str


def head_of(
    layers: Sequence[KerasLayer], variables: LayerVariables, side: tuple[int, int], reason: str
) -> KerasHead:
    """The dense layer that `layers` amount to behind a pool of a map of `side`, or two with a ReLU.

    Layers without an activation between them, norms and convolutions of one pixel are folded.
    """
    try:
        return _Folded(layers, variables, side).found()
    except _OtherHeadError as other:
        words = ", ".join(describe(one) for one in layers if not is_identity(one))
        if not any(one.kind in WEIGHTED for one in layers):
            return KerasHead((), False, f"it ends without a classifier ({words or 'a map'})")
        why = reason or str(other)
        return KerasHead((), False, f"its head is none that we have, {why}: {words}")


def describe(layer: KerasLayer) -> str:
    """A layer for a message: its name, its kind and what it makes."""
    settings = layer.settings
    size = settings.get("units", settings.get("filters"))
    parts = [f"{size}" if isinstance(size, int) else ""]
    if layer.kind in activations.LAYERS or settings.get("activation") is not None:
        word = (
            activations.of_layer(layer.kind, settings)
            if layer.kind in activations.LAYERS
            else activations.of_setting(settings["activation"])
        )[0]
        parts += ["" if word == "linear" else word]
    inner = " ".join(part for part in parts if part)
    return f"{layer.name} ({layer.kind}{f' {inner}' if inner else ''})"


class _OtherHeadError(Exception):
    """A head that is not one linear layer behind a pool, with what tells so."""


class _Folded:
    """A matrix and a bias that grow layer by layer."""

    def __init__(
        self, layers: Sequence[KerasLayer], variables: LayerVariables, side: tuple[int, int]
    ) -> None:
        self._variables, self._side = variables, side
        self._matrix: np.ndarray | None = None
        self._scale: np.ndarray | None = None
        self._shift: np.ndarray | None = None
        self._bias: np.ndarray | None = None
        self._end = ""
        self._name = ""
        self._pooled = False
        self._hidden: tuple[StoredLayer, ...] = ()
        before = layers[0].inputs if layers else ()
        for layer in layers:
            if layer.inputs and before and layer.inputs != before:
                raise _OtherHeadError(f"layer {layer.name!r} does not read the one before it")
            before = (layer.output,)
            self._advance(layer)

    def found(self) -> KerasHead:
        """What has been walked; _OtherHeadError where that is no classifier."""
        if self._matrix is None or self._bias is None:
            raise _OtherHeadError("no dense layer")
        last = self._stored()
        return KerasHead((*self._hidden, last), self._end == "sigmoid" or len(last.weight) == 1, "")

    def _stored(self) -> StoredLayer:
        assert self._matrix is not None
        assert self._bias is not None
        weight = self._matrix.astype(np.float32)[:, :, None, None]
        return StoredLayer(self._name, weight, bias=self._bias.astype(np.float32), dense=True)

    def _advance(self, layer: KerasLayer) -> None:
        kind = layer.kind
        if is_identity(layer):
            return
        if kind in _POOLS or (kind == "AveragePooling2D" and self._is_whole(layer)):
            self._pooled = True
        elif not self._pooled:
            raise _OtherHeadError(f"layer {layer.name!r} ({kind}) where the map should be averaged")
        elif kind in _FLAT:
            return
        elif self._end:
            raise _OtherHeadError(f"layer {layer.name!r} behind {self._end}")
        elif kind in activations.LAYERS:
            self._activate(activations.of_layer(kind, layer.settings)[0], layer)
        elif kind in ("Dense", "Conv2D"):
            self._dense(layer)
        elif kind == "BatchNormalization":
            self._normalise(layer)
        else:
            raise _OtherHeadError(f"layer {layer.name!r} ({kind})")

    def _is_whole(self, layer: KerasLayer) -> bool:
        size = layer.settings.get("pool_size")
        sides = (size, size) if isinstance(size, int) else tuple(size or ())
        return sides == self._side

    def _activate(self, word: str, layer: KerasLayer) -> None:
        if word == "linear":
            return
        if word == "relu" and self._matrix is not None and not self._hidden:
            self._hidden = (self._stored(),)
            self._matrix = self._bias = None
            return
        if word not in ("softmax", "sigmoid") or self._matrix is None:
            raise _OtherHeadError(f"activation {word} in layer {layer.name!r}")
        self._end = word

    def _dense(self, layer: KerasLayer) -> None:
        bias = bool(layer.settings.get("use_bias", True))
        found = self._variables.of(layer, ("kernel", "bias") if bias else ("kernel",))
        stored = convolution(layer, found)
        if stored.weight.shape[2:] != (1, 1):
            raise _OtherHeadError(f"layer {layer.name!r} is no layer of one pixel")
        matrix = stored.weight[:, :, 0, 0].astype(np.float64)
        offset = bias_of(stored).astype(np.float64)
        if self._scale is not None and self._shift is not None and self._matrix is None:
            if matrix.shape[1] != len(self._scale):
                raise WeightsError(f"the kernel of {layer.name!r} is {matrix.T.shape}")
            offset = offset + matrix @ self._shift
            matrix = matrix * self._scale
            self._scale = self._shift = None
        if self._matrix is not None and self._bias is not None:
            if matrix.shape[1] != len(self._matrix):
                raise WeightsError(f"the kernel of {layer.name!r} is {matrix.T.shape}")
            offset, matrix = offset + matrix @ self._bias, matrix @ self._matrix
        self._matrix, self._bias, self._name = matrix, offset, layer.name
        self._activate(activations.of_setting(layer.settings.get("activation"))[0], layer)

    def _normalise(self, layer: KerasLayer) -> None:
        gamma, beta, mean, variance = norm_of(layer, self._variables)
        if (variance < 0).any():
            raise WeightsError(f"the variance of {layer.name!r} is negative")
        scale = gamma.astype(np.float64) / np.sqrt(variance.astype(np.float64) + BN_EPS)
        shift = beta - mean * scale
        if self._matrix is not None and self._bias is not None:
            self._matrix = self._matrix * scale[:, None]
            self._bias = self._bias * scale + shift
        elif self._scale is None or self._shift is None:
            self._scale, self._shift = scale, shift
        else:
            self._scale, self._shift = self._scale * scale, self._shift * scale + shift
