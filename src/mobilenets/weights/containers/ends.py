"""What stands on a body in somebody's state dict: one dense layer, or something else, by name."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilenets.card import ModelCard, Preprocessing
from mobilenets.errors import WeightsError
from mobilenets.weights.containers.arrays import Arrays, gather_units
from mobilenets.weights.containers.foreign import Foreign, Infer, backbone_alone, some

_PLAIN_NAMES = ("fc", "classifier", "linear", "head", "logits", "output", "last_linear")
"""What a dense layer without a bias is called; a margin of a face recogniser is none."""


@dataclass(frozen=True)
class BodyAndHead:
    """A body in our names, its classifier where there is one, and what else the file has."""

    tensors: Arrays
    unread: str = ""
    """Why there is no classifier among them, in words."""
    left_out: tuple[str, ...] = field(default=())
    """Their names of what is in the file and not in `tensors`."""


def classified(
    tensors: Mapping[str, NDArray[Any]],
    units: list[tuple[str, str, str]],
    aside: Mapping[str, NDArray[Any]],
    infer: Infer,
    *,
    arguments: Mapping[str, Any],
    preprocessing: Preprocessing,
    source: str,
    labels: Callable[[int], tuple[str, ...]],
) -> Foreign:
    """A body with its classifier; where what stands on it is none, the body alone.

    `arguments` are those of the body that no shape tells, `labels` the names of so many classes.
    WeightsError as for `ends_of`, and for another network.
    """
    ends = ends_of(tensors, units, aside)
    if ends.unread:
        return backbone_alone(
            ends.tensors,
            infer,
            ends.unread,
            arguments=arguments,
            preprocessing=preprocessing,
            source=source,
            left_out=ends.left_out,
        )
    name, inferred = infer(ends.tensors)
    card = ModelCard(
        name,
        {**inferred, **arguments},
        labels=labels(inferred["classes"]),
        preprocessing=preprocessing,
        source=source,
    )
    return Foreign(card, ends.tensors, left_out=ends.left_out)


def ends_of(
    tensors: Mapping[str, NDArray[Any]],
    units: Iterable[tuple[str, str, str]],
    aside: Mapping[str, NDArray[Any]],
) -> BodyAndHead:
    """The body and what stands on it; `units` are (ours, their convolution, their norm).

    `aside` are tensors of the file that do not lie with the body. A dense layer that takes the
    body's channels is the classifier, if it is alone. WeightsError for a tensor that is missing,
    and for one that lies among the body's and is none.
    """
    units = list(units)
    found, left = gather_units(tensors, units)
    channels = found[f"{units[-1][0]}.conv.weight"].shape[0]
    rooms = {name.split(".")[0] for _, conv, norm in units for name in (conv, norm)}
    rest = {**left, **{name: value for name, value in aside.items() if name not in left}}
    dense = [name for name in rest if _is_dense(name, rest)]
    fits = [name for name in dense if rest[name].shape[1] == channels]
    for name in left:
        of_head = any(_layer(name) == _layer(one) for one in dense if _is_behind(one, units))
        if name.split(".")[0] in rooms and not of_head:
            raise WeightsError(f"the tensor {name} has no place in a MobileNet")
    with_bias = [name for name in fits if f"{_layer(name)}.bias" in rest]
    head = with_bias if len(with_bias) == 1 else fits
    unread = _unread(rest, head, dense)
    if unread:
        return BodyAndHead(found, unread, tuple(rest))
    layer, weight = _layer(head[0]), rest.pop(head[0])
    outputs = weight.shape[0]
    bias = rest.pop(f"{layer}.bias", np.zeros(outputs, np.float32))
    found |= {"classifier.weight": weight.reshape(outputs, channels), "classifier.bias": bias}
    return BodyAndHead(found, left_out=tuple(rest))


def _layer(name: str) -> str:
    return name.rpartition(".")[0]


def _is_dense(name: str, tensors: Mapping[str, NDArray[Any]]) -> bool:
    """Whether a tensor is the matrix of a dense layer, or of a 1x1 convolution with a bias."""
    shape = tensors[name].shape
    if not name.endswith(".weight") or len(shape) not in (2, 4):
        return False
    return len(shape) == 2 or (shape[2:] == (1, 1) and f"{_layer(name)}.bias" in tensors)


def _is_behind(name: str, units: list[tuple[str, str, str]]) -> bool:
    """Whether a dense layer lies beside the body's parts, not in one of them."""
    parts = name.split(".")[:-1]
    depth = min(len(conv.split(".")) for _, conv, _ in units)
    return len(parts) <= depth


def _unread(rest: Mapping[str, NDArray[Any]], head: list[str], dense: list[str]) -> str:
    """Why `head` is not one dense layer with nothing before or behind it; empty where it is."""
    norms = [_layer(name) for name in rest if name.endswith(".running_mean")]
    kernels = [name for name in rest if rest[name].ndim > 2 and name.endswith(".weight")]
    wide = [name for name in kernels if name not in dense]
    if not dense and not norms and not wide:
        return "it has no classifier on its backbone"
    layers = [*(f"{name} {rest[name].shape}" for name in (*dense, *wide)), *norms]
    other = f"its head is not one dense layer on the backbone: it has {some(layers)}"
    if len(head) != 1 or norms or wide:
        return other
    outputs = rest[head[0]].shape[0]
    behind = [n for n in rest if n != head[0] and rest[n].ndim == 2 and rest[n].shape[1] == outputs]
    beside = [n for n in dense if n != head[0] and f"{_layer(n)}.bias" in rest]
    if behind or beside:
        return other
    bare = f"{_layer(head[0])}.bias" not in rest
    if bare and not any(part in _PLAIN_NAMES for part in _layer(head[0]).split(".")):
        return f"its dense layer {head[0]} has no bias and may be a margin's, not a classifier's"
    return ""
