"""Arrays by name, as every container gives them: prefixes, our names for theirs, messages."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilenets.errors import WeightsError
from mobilenets.models.costs import Shape
from mobilenets.models.listing import NORM

Arrays = dict[str, NDArray[Any]]


def gather(
    tensors: Mapping[str, NDArray[Any]],
    units: Iterable[tuple[str, str, str]],
    classifier: str,
) -> Arrays:
    """Our state dict from theirs: `units` are (ours, their convolution, their norm).

    `classifier` is their last layer; as a 1x1 convolution it becomes a matrix. A WeightsError
    names a tensor that is missing, or left over at the end.
    """
    found, left = gather_units(tensors, units)
    for part in ("weight", "bias"):
        if f"{classifier}.{part}" not in left:
            raise WeightsError(f"not a complete network: there is no tensor {classifier}.{part}")
        found[f"classifier.{part}"] = left.pop(f"{classifier}.{part}")
    weight = found["classifier.weight"]
    if any(side != 1 for side in weight.shape[2:]):
        raise WeightsError(f"{classifier}.weight must be a matrix, got {weight.shape}")
    found["classifier.weight"] = weight.reshape(weight.shape[:2])
    if left:
        raise WeightsError(f"the tensor {next(iter(left))} has no place in a MobileNet")
    return found


def gather_units(
    tensors: Mapping[str, NDArray[Any]], units: Iterable[tuple[str, str, str]]
) -> tuple[Arrays, Arrays]:
    """The convolutions with their norms in our names, and the tensors that are left.

    A bias in front of a norm is taken off the norm's mean, which is the same. WeightsError names
    a tensor that is missing.
    """
    left = dict(tensors)
    found: Arrays = {}

    def take(name: str) -> NDArray[Any]:
        if name not in left:
            raise WeightsError(f"not a complete network: there is no tensor {name}")
        return left.pop(name)

    for ours, conv, norm in units:
        found[f"{ours}.conv.weight"] = take(f"{conv}.weight")
        for part in NORM:
            found[f"{ours}.norm.{part}"] = take(f"{norm}.{part}")
        bias, mean = left.pop(f"{conv}.bias", None), f"{ours}.norm.running_mean"
        if bias is not None:
            if bias.shape != found[mean].shape:
                raise WeightsError(f"{conv}.bias must be {found[mean].shape}, got {bias.shape}")
            found[mean] = found[mean] - bias
    return found, left


def plain(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    """The same as float32 in memory of its own, ready for torch."""
    with np.errstate(over="ignore"):  # an infinity, which the outputs show
        return {name: np.array(value, np.float32, order="C") for name, value in tensors.items()}


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
