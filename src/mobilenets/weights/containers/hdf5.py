"""HDF5 files as Keras writes them, and its `.keras` archives: variables by their paths."""

import io
import json
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mobilenets.errors import WeightsError
from mobilenets.weights.containers.stored import FloatArray

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
MAX_BYTES = 256 << 20
"""More than any MobileNet weighs: a damaged header must not ask for all the memory."""
MAX_CONFIG = 16 << 20
"""Bytes of a configuration; a MobileNet's has about 100 thousand."""
HOPS = 16
"""Soft links in a row that are followed."""

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

    Raises one of DAMAGE for a file that is damaged or that Keras did not write, and WeightsError
    for one whose numbers are in other files: these are never opened.
    """
    return _archive(path) if zipfile.is_zipfile(path) else _hdf5(path)


def _archive(path: Path) -> tuple[Variables, Any]:
    """A `.keras` file: a zip with the weights as HDF5 and the configuration as JSON."""
    with zipfile.ZipFile(path) as archive:
        for member, most in (("config.json", MAX_CONFIG), ("model.weights.h5", MAX_BYTES)):
            if archive.getinfo(member).file_size > most:
                raise ValueError(f"{member} claims more than {most} bytes")
        config = json.loads(archive.read("config.json"))
        with h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r") as file:
            return _numbered(path, file), config


def _hdf5(path: Path) -> tuple[Variables, Any]:
    with h5py.File(path, "r") as file:
        text = file.attrs.get("model_config")
        config = None if text is None else json.loads(text)
        root = _follow(path, file, "model_weights") if "model_weights" in file else file
        named = "layer_names" in root.attrs
        return (_named(path, root) if named else _numbered(path, file)), config


def _named(path: Path, root: Any) -> Variables:
    """A file with `layer_names` and, in every layer, `weight_names`: Keras 1 and 2, 3's `.h5`."""
    found: dict[str, Any] = {}
    for layer in map(_text, root.attrs["layer_names"]):
        group = _follow(path, root, layer)
        for weight in map(_text, group.attrs["weight_names"]):
            # Some versions leave the layer out of the variable's name.
            name = weight if "/" in weight else f"{layer}/{weight}"
            found[name] = _follow(path, group, weight)
    return _values(path, found)


def _numbered(path: Path, root: Any) -> Variables:
    """Keras 3's `.weights.h5`: every layer a group with its variables in `vars/0`, `vars/1`.

    A group is read once, however many links lead to it.
    """
    found: dict[str, Any] = {}
    pending, seen = [("", root)], {_place(root)}
    while pending:
        prefix, node = pending.pop()
        for name in node:
            child = _follow(path, node, name)
            if isinstance(child, h5py.Group):
                if _place(child) not in seen:
                    seen.add(_place(child))
                    pending.append((f"{prefix}{name}/", child))
            elif prefix.endswith("vars/"):
                found[prefix + name] = child
    if not found:
        raise ValueError("there are no weights of layers in it")
    return _values(path, found)


def _place(node: Any) -> int:
    """Where an object lies in its file; links to it have the same."""
    place: int = h5py.h5o.get_info(node.id).addr
    return place


def _follow(path: Path, node: Any, name: str, hops: int = HOPS) -> Any:
    """The object of that name, over links within the file; WeightsError for one to another file."""
    for part in filter(None, name.split("/")):
        link = node.get(part, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            other = Path(link.filename).name
            raise WeightsError(
                f"{path}: {part!r:.80} is a link to another file, {other!r:.80}, which is not "
                "followed"
            )
        if isinstance(link, h5py.SoftLink):
            if not hops:
                raise ValueError(f"{part!r:.80} is a link to a link to a link, and so on")
            node = _follow(path, node.file if link.path[0] == "/" else node, link.path, hops - 1)
        else:
            node = node[part]
    return node


def _values(path: Path, found: Mapping[str, Any]) -> Variables:
    """The numbers of all datasets, none of which is read where together they are too many."""
    for dataset in found.values():
        if dataset.external or dataset.is_virtual:
            where = f"{path}: the numbers of {dataset.name!r:.80}"
            raise WeightsError(f"{where} are in another file, which is not read")
    size = 4 * sum(math.prod(dataset.shape) for dataset in found.values())
    if size > MAX_BYTES:
        raise WeightsError(
            f"{path}: its weights take {size / 1e6:,.0f} MB, and no MobileNet's take more than "
            f"{MAX_BYTES / 1e6:.0f}"
        )
    with np.errstate(over="ignore"):  # an infinity is refused with the finished tensor
        return {name: _floats(dataset) for name, dataset in found.items()}


def _floats(dataset: Any) -> FloatArray:
    if dataset.dtype.kind == "f":  # converted piece by piece: doubles never stand there whole
        dataset = dataset.astype(np.float32)
    return np.asarray(dataset[()], np.float32)


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name
