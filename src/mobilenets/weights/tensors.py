"""Names and arrays from the two containers of the PyTorch world: safetensors and pickles.

Nothing in here knows a network. No file makes more memory than a few times its own size.
"""

import argparse
import json
import math
import re
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from numpy.typing import NDArray

from mobilenets.errors import WeightsError

Arrays = dict[str, NDArray[Any]]

NESTED = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params")
"""Keys under which training scripts keep a state dict; the first one found is taken."""

NORM = ("weight", "bias", "running_mean", "running_var")
LONGEST_HEADER = 100_000_000  # the format's own limit

NUMPY = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16}


def is_safetensors(path: Path) -> bool:
    """Whether the file starts as a safetensors file does: a length, then JSON."""
    with path.open("rb") as file:
        head = file.read(9)
    length = int.from_bytes(head[:8], "little")
    return len(head) == 9 and head[8:] == b"{" and 2 <= length <= LONGEST_HEADER


def is_pickle(path: Path) -> bool:
    """Whether it is what torch.save writes: a zip with data.pkl, or the bare pickle of old."""
    with path.open("rb") as file:
        head = file.read(4)
    if head[:2] == b"PK":
        try:
            with zipfile.ZipFile(path) as archive:
                return any(name.endswith("/data.pkl") for name in archive.namelist())
        except zipfile.BadZipFile:
            return True  # cut off: the reader says so
    return head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")


def metadata(path: Path) -> dict[str, str]:
    """The free text in a safetensors header; only the header is read."""
    try:
        with safetensors.safe_open(path, framework="np") as file:
            return dict(file.metadata() or {})
    except (safetensors.SafetensorError, OSError) as error:
        raise _damaged(path, error) from error


def read_safetensors(path: Path, *, values: bool = True) -> Arrays:
    """All floating-point tensors by name; the file does not keep the order of the network.

    Without `values`, arrays of the right shapes that take no memory.
    """
    try:
        if values:
            entries = safetensors.deserialize(path.read_bytes())  # type: ignore[no-untyped-call]
            return {
                name: _array(entry)
                for name, entry in sorted(entries, key=lambda item: str(item[0]))
                if entry["dtype"] in NUMPY
            }
        with safetensors.safe_open(path, framework="np") as file:
            found = {name: file.get_slice(name) for name in sorted(file.keys())}
            return {
                name: np.broadcast_to(np.float32(0), tuple(part.get_shape()))
                for name, part in found.items()
                if part.get_dtype() in NUMPY
            }
    except (safetensors.SafetensorError, OSError) as error:
        raise _damaged(path, error) from error


def _array(entry: Mapping[str, Any]) -> NDArray[Any]:
    array: NDArray[Any] = np.frombuffer(entry["data"], NUMPY[entry["dtype"]])
    array = array.reshape(entry["shape"])
    if entry["dtype"] == "BF16":  # the upper half of a float32
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return array


def read_pickle(path: Path) -> Arrays:
    """The state dict that torch.save wrote, bare or nested in a training checkpoint.

    Read with torch's `weights_only`, so no code in the file runs; one that asks for more than
    tensors and plain values is refused with a WeightsError.
    """
    import torch

    # The arguments of a training script: a bag of plain values, harmless, and very common.
    allowed = torch.serialization.safe_globals([argparse.Namespace])
    try:
        with allowed, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # a hostile pickle can raise anything
        raise _refused(path, error) from error
    found = {
        str(name): value
        for name, value in _state_dict(path, content).items()
        if isinstance(value, torch.Tensor) and value.is_floating_point()
    }
    claimed = sum(value.numel() * value.element_size() for value in found.values())
    if claimed > 2 * path.stat().st_size + 2**20:
        raise WeightsError(f"{path}: its tensors claim {claimed} bytes, more than the file has")
    return {name: value.detach().float().numpy() for name, value in found.items()}


def _state_dict(path: Path, content: Any) -> Mapping[Any, Any]:
    import torch

    for _ in range(3):
        if not isinstance(content, Mapping):
            raise WeightsError(f"{path}: holds a {type(content).__name__}, not a state dict")
        if any(isinstance(v, torch.Tensor) and v.dim() == 4 for v in content.values()):
            return content
        inner = [content[key] for key in NESTED if isinstance(content.get(key), Mapping)]
        if not inner:
            break
        content = inner[0]
    raise WeightsError(f"{path}: holds no convolution weights, nor a dict of them")


def _refused(path: Path, error: Exception) -> WeightsError:
    text = str(error)
    if "TorchScript" in text:
        return WeightsError(f"{path}: TorchScript, which is code; save the state dict instead")
    if named := re.search(r"GLOBAL (\S+)", text):
        return WeightsError(
            f"{path}: holds {named[1]}, more than tensors and plain values, and unpickling it "
            "could run code; save its state dict alone"
        )
    return _damaged(path, error)


def _damaged(path: Path, error: Exception) -> WeightsError:
    text = str(error).split("WeightsUnpickler error:")[-1].strip()  # torch's advice goes first
    first = (text.splitlines() or [type(error).__name__])[0]
    return WeightsError(f"{path}: truncated or damaged ({first[:150]})")


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


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file, {} where there is no such file; WeightsError if damaged."""
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WeightsError(f"{path}: not JSON ({error})") from error
    if not isinstance(value, dict):
        raise WeightsError(f"{path}: must hold a JSON object, got a {type(value).__name__}")
    return value


def plain(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    """The same as float32 in memory of its own, ready for torch."""
    return {name: np.array(value, np.float32, order="C") for name, value in tensors.items()}


def describe(tensors: Mapping[str, NDArray[Any]]) -> str:
    """A file's first tensors in words, for a message."""
    some = ", ".join(f"{name} {tuple(t.shape)}" for name, t in list(tensors.items())[:2])
    total = sum(math.prod(t.shape) for t in tensors.values())
    return f"{len(tensors)} tensors, {total} numbers, the first {some}"
