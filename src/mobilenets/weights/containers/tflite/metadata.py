"""TFLite metadata: what a file's author says of its tensors, beside the graph.

A flatbuffer of its own in the buffer called TFLITE_METADATA; the files that it names lie in a zip
behind the model. Fields are those of tflite-support's `metadata_schema.fbs`.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tflite
from flatbuffers import number_types
from flatbuffers.table import Table
from numpy.typing import NDArray

MAX_LABELS = 1 << 20
"""Bytes of a label file; ImageNet's takes 22 thousand."""
_NAME = b"TFLITE_METADATA"
_NORMALISATION, _CALIBRATION = 1, 2
_AXIS_LABELS, _VALUE_LABELS = 2, 3
_UNREADABLE = (zipfile.BadZipFile, ValueError, OSError, EOFError, NotImplementedError, RuntimeError)


@dataclass(frozen=True)
class TfliteMetadata:
    """What is said of the first input and of the first output."""

    mean: tuple[float, ...] = ()
    """Of pixels from 0 to 255: one number, or one for each colour; () where nothing is said."""
    std: tuple[float, ...] = ()
    label_files: tuple[str, ...] = ()
    """Names of files in the zip, those in no one language first."""
    calibrated: bool = False
    """Whether scores are to be changed by a table beside the model."""
    damaged: bool = False
    """Whether there is some that cannot be read."""


def metadata_of(data: bytes) -> TfliteMetadata:
    """The metadata of a TFLite file; an empty one where it has none, or `damaged`."""
    try:
        buffer = _buffer(data)
        return TfliteMetadata() if buffer is None else _read(buffer)
    except Exception:  # a damaged offset can raise anything, and the network does not need it
        return TfliteMetadata(damaged=True)


def label_files(data: bytes, metadata: TfliteMetadata) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each label file packed behind a model that can be read, and its lines.

    Those that the metadata names come first, then any other text.
    """
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [one.filename for one in archive.infolist() if one.file_size <= MAX_LABELS]
            named = [name for name in metadata.label_files if name in members]
            for name in [*named, *(m for m in members if m.endswith(".txt") and m not in named)]:
                found = archive.read(name).decode("utf-8-sig").rstrip("\r\n").split("\n")
                yield name, tuple(line.strip() for line in found)
    except _UNREADABLE:
        return  # the weights do not depend on it


def unreadable_labels(data: bytes, metadata: TfliteMetadata) -> str:
    """The first label file that the metadata names and that cannot be read; '' if all can be."""
    for name in metadata.label_files:
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                archive.read(name).decode("utf-8-sig")
        except (*_UNREADABLE, KeyError):
            return name
    return ""


def _buffer(data: bytes) -> bytes | None:
    model = tflite.Model.GetRootAsModel(data, 0)
    for i in range(model.MetadataLength()):
        entry = model.Metadata(i)
        if entry.Name() == _NAME:
            found = model.Buffers(entry.Buffer()).DataAsNumpy()
            return found.tobytes() if isinstance(found, np.ndarray) else None
    return None


def _read(buffer: bytes) -> TfliteMetadata:
    root = Table(buffer, int.from_bytes(buffer[:4], "little"))
    graph = next(_tables(root, 3), None)
    if graph is None:
        return TfliteMetadata()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    for tensor in list(_tables(graph, 2))[:1]:
        for kind, unit in _units(tensor):
            if kind == _NORMALISATION:
                mean, std = _floats(unit, 0), _floats(unit, 1)
    labels: list[tuple[bool, int, str]] = []
    calibrated = False
    for tensor in list(_tables(graph, 3))[:1]:
        calibrated = any(kind == _CALIBRATION for kind, _ in _units(tensor))
        for file in _tables(tensor, 6):
            kind = _byte(file, 2)
            if kind in (_AXIS_LABELS, _VALUE_LABELS):
                labels.append((bool(_text(file, 3)), kind, _text(file, 0)))
    return TfliteMetadata(mean, std, tuple(name for *_, name in sorted(labels)), calibrated)


def _units(tensor: Table) -> Iterator[tuple[int, Table]]:
    """What is done to a tensor outside the graph: its kind and its options."""
    for unit in _tables(tensor, 4):
        place = _place(unit, 1)
        if place:
            yield _byte(unit, 0), Table(unit.Bytes, unit.Indirect(unit.Pos + place))


def _place(table: Table, field: int) -> int:
    """Where a field lies in its table; 0 where it is not there."""
    return int(table.Offset(4 + 2 * field))


def _tables(table: Table, field: int) -> Iterator[Table]:
    place = _place(table, field)
    if place:
        start = table.Vector(place)
        for i in range(min(table.VectorLen(place), 1000)):
            yield Table(table.Bytes, table.Indirect(start + 4 * i))


def _floats(table: Table, field: int) -> tuple[float, ...]:
    place = _place(table, field)
    if not place:
        return ()
    found: NDArray[Any] = table.GetVectorAsNumpy(number_types.Float32Flags, place)
    return tuple(float(x) for x in found[:4])


def _byte(table: Table, field: int) -> int:
    place = _place(table, field)
    return int(table.Get(number_types.Int8Flags, table.Pos + place)) if place else 0


def _text(table: Table, field: int) -> str:
    place = _place(table, field)
    return bytes(table.String(table.Pos + place)).decode("utf-8") if place else ""
