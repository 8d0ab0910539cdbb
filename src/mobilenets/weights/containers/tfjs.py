"""The archive of a TensorFlow.js model: `model.json` and its binary shards, plain or quantised.

The manifest's groups list weights, and files whose bytes, joined, are those weights one after
another. The variables have Keras' names.
"""

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilenets.errors import WeightsError
from mobilenets.files import absent
from mobilenets.weights.containers.hdf5 import MAX_BYTES, Variables

MAX_JSON = 64 << 20
"""Bytes of a model.json; a MobileNet's has about 100 thousand."""

_DTYPES = ("float32", "float16", "int32", "uint8", "uint16", "bool")


def is_tfjs(path: Path) -> bool:
    """Whether `path` is the model.json of a TensorFlow.js model, by its content."""
    with path.open("rb") as file:
        if file.read(64).lstrip()[:1] != b"{" or path.stat().st_size > MAX_JSON:
            return False
    try:
        model = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return False
    return isinstance(model, dict) and "weightsManifest" in model


def read_variables(path: Path) -> tuple[Variables, Any]:
    """The variables of a layers model, its shards beside `path`, and its configuration.

    Raises WeightsError, naming the file, for a damaged model.json, for a shard that is missing
    or too short, and for a graph model.
    """
    try:
        model = json.loads(path.read_bytes())
        if model.get("format") == "graph-model":
            raise WeightsError(f"{path}: a TensorFlow.js graph model; only layers models are read")
        variables: Variables = {}
        for group in model["weightsManifest"]:
            variables |= _group(path, group["paths"], group["weights"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{path}: a damaged TensorFlow.js model ({error!r})") from error
    return variables, model.get("modelTopology")


def _group(path: Path, files: list[str], weights: list[Mapping[str, Any]]) -> Variables:
    """The variables of one group of the manifest, dequantised."""
    sizes = [_bytes(weight) for weight in weights]
    data = _join(path, files, sum(sizes))
    variables: Variables = {}
    start = 0
    for weight, size in zip(weights, sizes, strict=True):
        stored = np.frombuffer(data, _stored(weight), size // _stored(weight).itemsize, start)
        variables[str(weight["name"])] = _real(stored, weight).reshape(weight["shape"])
        start += size
    return variables


def _stored(weight: Mapping[str, Any]) -> np.dtype[Any]:
    """How a weight lies in the shards: its quantised type if it has one; little endian."""
    name = weight.get("quantization", weight)["dtype"]
    if name not in _DTYPES:
        raise ValueError(f"{weight['name']} must be one of {', '.join(_DTYPES)}, got {name!r}")
    stored: np.dtype[Any] = np.dtype(name).newbyteorder("<")
    return stored


def _bytes(weight: Mapping[str, Any]) -> int:
    count = 1
    for side in weight["shape"]:
        if not (isinstance(side, int) and side >= 0):
            raise ValueError(f"{weight['name']} has the shape {weight['shape']}")
        count *= side
    return count * _stored(weight).itemsize


def _real(stored: NDArray[Any], weight: Mapping[str, Any]) -> NDArray[np.float32]:
    """Value = stored * scale + min for 8 and 16 bit integers; others are as they are."""
    quantization = weight.get("quantization")
    if quantization is None or stored.dtype.kind == "f":
        return stored.astype(np.float32)
    scale, low = float(quantization["scale"]), float(quantization["min"])
    with np.errstate(over="ignore", invalid="ignore"):  # refused with the finished tensor
        return (stored.astype(np.float64) * scale + low).astype(np.float32)


def _join(path: Path, files: list[str], needed: int) -> bytes:
    """The bytes of all shards; WeightsError names the first that is missing or short."""
    shards = [_beside(path, name) for name in files]
    for shard in shards:
        if not shard.is_file():
            raise WeightsError(f"{shard}: this shard of {path.name} is missing")
        with shard.open("rb") as file:
            if why := absent(file.read(64)):
                raise WeightsError(f"{shard}: {why}")
    sizes = [shard.stat().st_size for shard in shards]
    if needed > MAX_BYTES or sum(sizes) > MAX_BYTES:
        raise ValueError(f"the weights claim more than {MAX_BYTES} bytes")
    if sum(sizes) != needed:
        # Every shard but the last has the same size: the odd one out is the damaged one.
        odd = [i for i, size in enumerate(sizes[:-1]) if size < max(sizes)]
        wrong = shards[odd[0] if odd and sum(sizes) < needed else -1] if shards else path
        what = "short" if sum(sizes) < needed else "long"
        raise WeightsError(
            f"{wrong}: too {what}: the shards of {path.name} hold {sum(sizes)} bytes, its "
            f"weights need {needed}"
        )
    return b"".join(shard.read_bytes() for shard in shards)


def _beside(path: Path, name: str) -> Path:
    """A shard in the model's folder, or below it; never elsewhere."""
    relative = PurePosixPath(name)
    if relative.is_absolute() or ".." in relative.parts:
        raise ValueError(f"the shard {name!r} is outside the model's folder")
    return path.parent / relative
