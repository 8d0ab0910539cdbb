"""Arrays by name, as every container gives them: prefixes, our names for theirs, messages."""

import math
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilenets.errors import WeightsError
from mobilenets.models.costs import Shape
from mobilenets.models.listing import NORM

Arrays = dict[str, NDArray[Any]]


def strip_prefix(tensors: Mapping[str, NDArray[Any]]) -> Arrays:
    """Without what wrappers put before every name: `module.`, `_orig_mod.`, `backbone.`, ...

    A first word is dropped while all names share it.
    """
    names = list(tensors)
    while names and all("." in name for name in names):
        first = {name.split(".", 1)[0] for name in names}
        if len(first) > 1:
            break
        names = [name.split(".", 1)[1] for name in names]
    return dict(zip(names, tensors.values(), strict=True))


def gather(
    tensors: Mapping[str, NDArray[Any]],
    units: Iterable[tuple[str, str, str]],
    classifier: str,
) -> Arrays:
    """Our state dict from theirs: `units` are (ours, their convolution, their norm).

    `classifier` is their last layer; as a 1x1 convolution it becomes a matrix. A WeightsError
    names a tensor that is missing, or left over at the end.
    """
    left = dict(tensors)

    def take(name: str) -> NDArray[Any]:
        if name not in left:
            raise WeightsError(f"not a complete network: there is no tensor {name}")
        return left.pop(name)

    found: Arrays = {}
    for ours, conv, norm in units:
        found[f"{ours}.conv.weight"] = take(f"{conv}.weight")
        for part in NORM:
            found[f"{ours}.norm.{part}"] = take(f"{norm}.{part}")
    weight = take(f"{classifier}.weight")
    if any(side != 1 for side in weight.shape[2:]):
        raise WeightsError(f"{classifier}.weight must be a matrix, got {weight.shape}")
    found["classifier.weight"] = weight.reshape(weight.shape[:2])
    found["classifier.bias"] = take(f"{classifier}.bias")
    if left:
        raise WeightsError(f"the tensor {next(iter(left))} has no place in a MobileNet")
    return found


def plain(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    """The same as float32 in memory of its own, ready for torch."""
    return {name: np.array(value, np.float32, order="C") for name, value in tensors.items()}


def describe(tensors: Mapping[str, NDArray[Any]]) -> str:
    """A file's first tensors in words, for a message."""
    some = ", ".join(f"{name} {tuple(t.shape)}" for name, t in list(tensors.items())[:2])
    total = sum(math.prod(t.shape) for t in tensors.values())
    return f"{len(tensors)} tensors, {total} numbers, the first {some}"


def shape_of(shapes: Mapping[str, Shape], name: str, what: str = "classifier") -> Shape:
    """The shape of a tensor that a network must have; WeightsError where it is not there."""
    shape = shapes.get(name)
    if not shape:
        raise WeightsError(f"not a MobileNet {what}: there is no {name}")
    return shape


def check_body(network: str, arguments: Mapping[str, Any], known: Collection[str]) -> None:
    """WeightsError where a body has an argument that a network on it does not know.

    `network` is what it would be, in words: `a detector on a mobilenet_v1`.
    """
    unusual = sorted(arguments.keys() - set(known))
    if unusual:
        raise WeightsError(f"{network} with another {', '.join(unusual)}")


def damaged(path: Path, error: Exception) -> WeightsError:
    """The one-line error for what a library says of a file that it cannot read."""
    text = str(error).split("WeightsUnpickler error:")[-1].strip()  # torch's advice goes first
    first = (text.splitlines() or [type(error).__name__])[0]
    return WeightsError(f"{path}: truncated or damaged ({first[:150]})")
