"""HDF5 files as Keras writes them, and its `.keras` archives: variables by their paths."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mobilenets.weights.containers.stored import FloatArray

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
MAX_BYTES = 1 << 30
"""More than any MobileNet weighs: a damaged header must not ask for all the memory."""

Variables = dict[str, FloatArray]
"""Keras' path of a variable, such as `conv1_bn/gamma:0` or `layers/conv2d_3/vars/0` -> values."""

DAMAGE = (
    OSError,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    RuntimeError,
    zipfile.BadZipFile,
)
"""What h5py and zipfile raise; a link that leads nowhere is None to h5py."""


def is_hdf5(path: Path) -> bool:
    """Whether `path` is an HDF5 file or a `.keras` archive, by its content."""
    with path.open("rb") as file:
        magic = file.read(8)
    if magic == HDF5_MAGIC:
        return True
    if magic[:2] != b"PK":
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return "model.weights.h5" in archive.namelist()
    except zipfile.BadZipFile:
        return False


def read_variables(path: Path) -> tuple[Variables, Any]:
    """The variables, and the model's configuration as JSON, None where the file has none.

    Raises one of DAMAGE for a file that is damaged or that Keras did not write.
    """
    return _archive(path) if zipfile.is_zipfile(path) else _hdf5(path)


def _archive(path: Path) -> tuple[Variables, Any]:
    """A `.keras` file: a zip with the weights as HDF5 and the configuration as JSON."""
    with zipfile.ZipFile(path) as archive:
        for member in ("config.json", "model.weights.h5"):
            if archive.getinfo(member).file_size > MAX_BYTES:
                raise ValueError(f"{member} claims more than {MAX_BYTES} bytes")
        config = json.loads(archive.read("config.json"))
        with h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r") as file:
            return _numbered(file), config


def _hdf5(path: Path) -> tuple[Variables, Any]:
    with h5py.File(path, "r") as file:
        text = file.attrs.get("model_config")
        config = None if text is None else json.loads(text)
        root = file.get("model_weights", file)
        return (_named(root) if "layer_names" in root.attrs else _numbered(file)), config


def _named(root: Any) -> Variables:
    """A file with `layer_names` and, in every layer, `weight_names`: Keras 1 and 2, 3's `.h5`."""
    variables: Variables = {}
    budget = MAX_BYTES
    for layer in map(_text, root.attrs["layer_names"]):
        group = root[layer]
        for weight in map(_text, group.attrs["weight_names"]):
            budget -= group[weight].nbytes
            # Some versions leave the layer out of the variable's name.
            variables[weight if "/" in weight else f"{layer}/{weight}"] = _values(
                group[weight], budget
            )
    return variables


def _numbered(root: Any) -> Variables:
    """Keras 3's `.weights.h5`: every layer a group with its variables in `vars/0`, `vars/1`."""
    variables: Variables = {}
    pending = [("", root)]
    budget = MAX_BYTES
    while pending:
        prefix, node = pending.pop()
        for name, child in node.items():
            if isinstance(child, h5py.Group):
                pending.append((f"{prefix}{name}/", child))
            elif prefix.endswith("vars/"):
                budget -= child.nbytes
                variables[prefix + name] = _values(child, budget)
    if not variables:
        raise ValueError("there are no weights of layers in it")
    return variables


def _values(dataset: Any, budget: int) -> FloatArray:
    if budget < 0:
        raise ValueError(f"its weights claim more than {MAX_BYTES} bytes")
    with np.errstate(over="ignore"):  # an infinity is refused with the finished tensor
        return np.asarray(dataset[()], dtype=np.float32)


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name
