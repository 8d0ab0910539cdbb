"""A deployed file as the typed graph, simplified, or one line that says what is wrong with it."""

import os
from pathlib import Path

from mobilenets.engine.front.onnx.graph import onnx_graph
from mobilenets.engine.ir.graph import Graph
from mobilenets.engine.passes.simplify import simplify
from mobilenets.errors import WeightsError


def read_graph(
    source: str | os.PathLike[str] | bytes, *, shape: tuple[int, ...] | None = None
) -> Graph:
    """The network in an ONNX file (a path, or the file's bytes), for one image at a time.

    `shape` is the input's as the file lays it out, (N, C, H, W) say; it takes the place of the
    file's own, and is needed where that leaves more than N open. N is 1 in the graph whatever
    either says. Weights in other files are read from the model's folder and from nowhere else.

    Raises WeightsError, in one line that names the file, for one that is damaged, not supported or
    not of this shape; ValueError for a shape that is none.
    """
    if shape is not None and not (shape and all(type(n) is int and n > 0 for n in shape)):
        raise ValueError(f"shape must be positive integers, got {shape!r}")
    if isinstance(source, bytes):
        return _named("the model", source, None, shape)
    path = Path(source)
    try:
        data = path.read_bytes() if path.is_file() else None
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror})") from error
    if data is None:
        raise WeightsError(f"{path}: no such file")
    return _named(str(path), data, path.parent, shape)


def _named(where: str, data: bytes, folder: Path | None, shape: tuple[int, ...] | None) -> Graph:
    """The graph, or an error that begins with `where`."""
    try:
        return simplify(onnx_graph(data, folder, shape))
    except WeightsError as error:
        raise WeightsError(f"{where}: {error}") from error.__cause__
