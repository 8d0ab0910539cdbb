"""The safetensors container: a header in JSON, then the numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from numpy.typing import NDArray

from mobilenets.errors import WeightsError
from mobilenets.weights.containers.arrays import Arrays, damaged

LONGEST_HEADER = 100_000_000  # the format's own limit


NUMPY = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16}


def is_safetensors(path: Path) -> bool:
    """Whether the file starts as a safetensors file does: a length, then JSON."""
    with path.open("rb") as file:
        head = file.read(9)
    length = int.from_bytes(head[:8], "little")
    return len(head) == 9 and head[8:] == b"{" and 2 <= length <= LONGEST_HEADER


def metadata(path: Path) -> dict[str, str]:
    """The free text in a safetensors header; only the header is read."""
    try:
        with safetensors.safe_open(path, framework="np") as file:
            return dict(file.metadata() or {})
    except (safetensors.SafetensorError, OSError) as error:
        raise damaged(path, error) from error


def read_safetensors(path: Path, *, values: bool = True) -> Arrays:
    """All floating-point tensors by name; the file does not keep the order of the network.

    Without `values`, arrays of the right shapes that take no memory.
    """
    try:
        if values:
            entries = safetensors.deserialize(path.read_bytes())  # type: ignore[no-untyped-call]
            _check_kinds(path, {n: (e["dtype"], e["shape"]) for n, e in entries})
            return {
                name: _array(entry)
                for name, entry in sorted(entries, key=lambda item: str(item[0]))
                if entry["dtype"] in NUMPY
            }
        with safetensors.safe_open(path, framework="np") as file:
            found = {name: file.get_slice(name) for name in sorted(file.keys())}
            kinds = {name: (part.get_dtype(), part.get_shape()) for name, part in found.items()}
            _check_kinds(path, kinds)
            return {
                name: np.broadcast_to(np.float32(0), tuple(part.get_shape()))
                for name, part in found.items()
                if part.get_dtype() in NUMPY
            }
    except (safetensors.SafetensorError, OSError) as error:
        raise damaged(path, error) from error


def _check_kinds(path: Path, kinds: Mapping[str, tuple[str, Sequence[int]]]) -> None:
    """WeightsError for a convolution's weight in other than floating-point numbers that we read."""
    for name, (kind, shape) in kinds.items():
        if kind not in NUMPY and len(shape) == 4:
            known = ", ".join(NUMPY)
            raise WeightsError(f"{path}: {name:.80} holds {kind} numbers; {known} are read")


def _array(entry: Mapping[str, Any]) -> NDArray[Any]:
    array: NDArray[Any] = np.frombuffer(entry["data"], NUMPY[entry["dtype"]])
    array = array.reshape(entry["shape"])
    if entry["dtype"] == "BF16":  # the upper half of a float32
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return array
