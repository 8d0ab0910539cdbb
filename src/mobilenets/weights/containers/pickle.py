"""What torch.save writes: a state dict as a pickle, read without running any code in it."""

import argparse
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mobilenets.errors import WeightsError
from mobilenets.weights.containers.arrays import Arrays, damaged

NESTED = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params")
"""Keys under which training scripts keep a state dict; the first one found is taken."""


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
    return damaged(path, error)
