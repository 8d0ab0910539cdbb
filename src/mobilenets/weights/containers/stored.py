"""Layers as Keras, TensorFlow.js and TFLite files store them: in order of execution.

None of the three is trusted for its layer names alone. A network is told from the order of its
depthwise and ordinary convolutions, and `infer` then checks every channel.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilenets.card import INDEPENDENT, ModelCard, Preprocessing, one_output
from mobilenets.errors import WeightsError
from mobilenets.models.geometry import BN_EPS
from mobilenets.models.listing import NORM
from mobilenets.runtime.labels import imagenet_labels
from mobilenets.weights.containers.foreign import Foreign, Infer, backbone_alone, some

FloatArray = NDArray[np.float32]

_V1 = re.compile(r"c(dc)+")
_V2 = re.compile(r"cdc(cdc)*c")


@dataclass(frozen=True)
class StoredLayer:
    """A convolution, or the fully connected layer, in torch's layout.

    `weight` is (out, in / groups, kernel, kernel), a fully connected one has kernel 1. `norm` is
    gamma, beta, mean, variance; without it the normalisation is folded into weight and bias.
    """

    name: str
    weight: FloatArray
    depthwise: bool = False
    bias: FloatArray | None = None
    norm: tuple[FloatArray, FloatArray, FloatArray, FloatArray] | None = None
    dense: bool = False


def is_v1(layers: Sequence[StoredLayer]) -> bool:
    """Whether these layers, without the classifier, come in V1's order."""
    return bool(_V1.fullmatch(_kinds(layers)))


def _kinds(layers: Sequence[StoredLayer]) -> str:
    return "".join("d" if layer.depthwise else "c" for layer in layers)


def module_names(layers: Sequence[StoredLayer], *, last: bool = True) -> list[str]:
    """Our module for each layer of a backbone, such as `blocks.3.depthwise`.

    Without `last`, V2 ends with its last block. Raises WeightsError for an order of convolutions
    that is neither V1's nor V2's.
    """
    kinds = _kinds(layers)
    if is_v1(layers):
        parts = [
            f"blocks.{i}.{part}"
            for i in range(len(kinds) // 2)
            for part in ("depthwise", "pointwise")
        ]
        return ["stem", *parts]
    if _V2.fullmatch(kinds if last else f"{kinds}c"):
        names = ["stem", "blocks.0.depthwise", "blocks.0.project"]
        for i in range(1, len(kinds) // 3):
            names += [f"blocks.{i}.{part}" for part in ("expand", "depthwise", "project")]
        return [*names, "last"] if last else names
    raise WeightsError(
        f"not a MobileNetV1 or V2: its {len(kinds)} convolutions, {kinds.count('d')} of them "
        f"depthwise, are in another order"
    )


def backbone_tensors(layers: Sequence[StoredLayer]) -> dict[str, FloatArray]:
    """A body's tensors in our names; a folded normalisation becomes one that only adds the bias.

    Raises WeightsError for another order of layers, for a value that is not finite and for a
    negative variance.
    """
    tensors: dict[str, FloatArray] = {}
    for name, layer in zip(module_names(layers), layers, strict=True):
        tensors |= unit(f"backbone.{name}", layer)
    return checked(tensors)


def unit(name: str, layer: StoredLayer, eps: float = BN_EPS) -> dict[str, FloatArray]:
    """The tensors of a convolution with its norm, our module `name`.

    `eps` is the epsilon that a norm will have that is folded in the file.
    """
    norm = layer.norm or _folded(layer, eps)
    if layer.norm is not None and layer.bias is not None:  # what a norm gets is shifted by it
        norm = norm[0], norm[1], norm[2] - layer.bias, norm[3]
    return {
        f"{name}.conv.weight": layer.weight,
        **{f"{name}.norm.{part}": v for part, v in zip(NORM, norm, strict=True)},
    }


def bias_of(layer: StoredLayer) -> FloatArray:
    """A layer's bias, zeros where it has none."""
    return np.zeros(layer.weight.shape[0], np.float32) if layer.bias is None else layer.bias


def checked(tensors: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """`tensors` in one piece each; WeightsError for a value that no network has there."""
    for name, values in tensors.items():
        if not np.isfinite(values).all():
            raise WeightsError(f"{name} holds values that are not finite")
        if name.endswith("running_var") and (values < 0).any():
            raise WeightsError(f"{name} is a variance and holds negative values")
    return {name: np.ascontiguousarray(v, np.float32) for name, v in tensors.items()}


def _folded(
    layer: StoredLayer, eps: float
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Gamma, beta, mean, variance with gamma / sqrt(variance + eps) = 1."""
    ones = np.ones(layer.weight.shape[0], np.float32)
    return ones, bias_of(layer), 0 * ones, ones * np.float32(1 - eps)


def foreign(
    body: Sequence[StoredLayer],
    head: Sequence[StoredLayer],
    infer: Infer,
    *,
    arguments: Mapping[str, Any],
    preprocessing: Preprocessing,
    source: str,
    labels: tuple[str, ...] = (),
    independent: bool = False,
    rectified: bool = False,
    unread: str = "",
) -> Foreign:
    """Layers in order of execution as our tensors and their card.

    `arguments` are those of the body that no shape tells. Without `labels`, ImageNet's are taken
    for 1000 and 1001 outputs. `independent`: a sigmoid makes a score of each output, as it does
    where there is one. `rectified`: a ReLU stands between two layers of the head, the most there
    can be. Where the `head` is not one classifier, or `unread` says that it is
    none we have, the backbone alone. Raises WeightsError for another network.
    """
    tensors = backbone_tensors(body)
    arguments = {"padding": "same", "norm_eps": BN_EPS, **arguments}
    if not head:
        unread = unread or "it has no classifier on its backbone (a no_top file?)"
    elif len(head) != 1 + rectified or head[-1].norm is not None or head[-1].depthwise:
        names = some(layer.name for layer in head)
        unread = unread or f"its head is not one dense layer but {len(head)} layers ({names})"
    if unread:
        return backbone_alone(
            tensors,
            infer,
            unread,
            arguments=arguments,
            preprocessing=preprocessing,
            source=source,
            left_out=[layer.name for layer in head],
        )
    outputs = head[-1].weight.shape[0]
    for name, layer in zip(("classifier", "hidden"), reversed(head), strict=False):
        weight = layer.weight.reshape(layer.weight.shape[0], -1)
        tensors |= checked({f"{name}.weight": weight, f"{name}.bias": bias_of(layer)})
    architecture, inferred = infer(tensors)
    alone = independent or outputs == 1
    card = ModelCard(
        architecture=architecture,
        arguments={**inferred, **arguments},
        labels=labels or imagenet_labels(inferred["classes"]),
        preprocessing=preprocessing,
        outputs=INDEPENDENT if alone else one_output("logits"),
        source=source,
    )
    return Foreign(card, tensors)
