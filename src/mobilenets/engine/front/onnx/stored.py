"""The arrays an ONNX file holds: their sizes are checked before any memory is asked for."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from mobilenets.engine.front.limits import MAX_BYTES, check_size, quote
from mobilenets.engine.front.source import Source
from mobilenets.errors import WeightsError

Constant = NDArray[Any]
"""An array whose values are known before the network runs, of any type in `DTYPES`."""


DTYPES: dict[int, type[np.generic]] = {
    TensorProto.FLOAT: np.float32,
    TensorProto.DOUBLE: np.float64,
    TensorProto.FLOAT16: np.float16,
    TensorProto.INT64: np.int64,
    TensorProto.INT32: np.int32,
    TensorProto.INT8: np.int8,
    TensorProto.UINT8: np.uint8,
    TensorProto.BOOL: np.bool_,
}
"""ONNX's element types that can be read -> numpy's."""

_FIELDS: dict[int, str] = {
    TensorProto.FLOAT: "float_data",
    TensorProto.DOUBLE: "double_data",
    TensorProto.INT64: "int64_data",
}


class Store:
    """Reads arrays, from the file itself or from those beside it.

    All arrays together have at most MAX_BYTES, and those beside it at most twice what their file
    holds, so that a small file cannot ask for much memory.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._left = MAX_BYTES
        self._left_beside: dict[Path, int] = {}

    def read(self, tensor: TensorProto) -> Constant:
        """The array; WeightsError where its size is not what its dimensions say."""
        try:
            return self._read(tensor)
        except WeightsError as error:
            raise WeightsError(f"tensor {quote(tensor.name)}: {error}") from None

    def _read(self, tensor: TensorProto) -> Constant:
        if tensor.data_type not in DTYPES:
            names = ", ".join(np.dtype(dtype).name for dtype in DTYPES.values())
            raise WeightsError(f"its type must be one of {names}, got {_type_name(tensor)}")
        dtype = np.dtype(DTYPES[tensor.data_type])
        shape = check_size(tensor.dims, dtype.itemsize)
        if tensor.HasField("segment"):
            raise WeightsError("parts of tensors are not supported")
        count = math.prod(shape)
        self._left -= count * dtype.itemsize
        if self._left < 0:
            raise WeightsError(f"all tensors together can have {MAX_BYTES} bytes")
        if tensor.data_location == TensorProto.EXTERNAL:
            flat = np.frombuffer(self._beside(tensor, count * dtype.itemsize), dtype)
        elif tensor.HasField("raw_data"):
            _expect("bytes", count * dtype.itemsize, len(tensor.raw_data))
            flat = np.frombuffer(tensor.raw_data, dtype.newbyteorder("<")).astype(dtype, copy=False)
        else:
            flat = _typed(tensor, dtype, count)
        return flat.reshape(shape)

    def _beside(self, tensor: TensorProto, size: int) -> bytes:
        """`size` bytes out of another file in the model's folder."""
        entries = {entry.key: entry.value for entry in tensor.external_data}
        path = self._locate(entries.get("location", ""))
        offset = _count(entries.get("offset", "0"))
        _expect("bytes", size, _count(entries.get("length", str(size))))
        try:
            held = path.stat().st_size
            left = self._left_beside.setdefault(path, 2 * held)
            if offset + size > held or size > left:
                raise WeightsError(f"{path.name} holds {held} bytes, not {size} at {offset}")
            self._left_beside[path] = left - size
            data = self._source.beside(path, offset, size)
        except OSError as error:
            raise WeightsError(f"cannot read {path.name} ({error.strerror})") from error
        _expect("bytes", size, len(data))
        return data

    def _locate(self, location: str) -> Path:
        """A file really inside the model's folder, whatever links say."""
        if self._source.folder is None:
            raise WeightsError("weights in another file need the model's path, got its bytes")
        relative = Path(location)
        if not location or "\0" in location or relative.is_absolute() or ".." in relative.parts:
            raise WeightsError(f"weights must be in the model's folder, got {quote(location)}")
        folder = self._source.folder.resolve()
        try:
            path = (folder / relative).resolve()
        except (OSError, RuntimeError) as error:  # a circle of links
            raise WeightsError(f"cannot read {quote(location)}") from error
        if not path.is_relative_to(folder):
            raise WeightsError(f"weights must be in the model's folder, got {quote(location)}")
        if not path.is_file():
            raise WeightsError(f"no file {quote(location)} with its values beside the model")
        return path


def _type_name(tensor: TensorProto) -> str:
    known = tensor.data_type in TensorProto.DataType.values()
    return str(TensorProto.DataType.Name(tensor.data_type) if known else tensor.data_type).lower()


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise WeightsError(f"offset and length must be whole numbers, got {quote(text)}")
    return int(text)


def _expect(unit: str, wanted: int, got: int) -> None:
    if got != wanted:
        raise WeightsError(f"its dimensions need {wanted} {unit}, it has {got}")


def _typed(tensor: TensorProto, dtype: np.dtype[Any], count: int) -> Constant:
    """Values kept as protobuf's numbers."""
    field = _FIELDS.get(tensor.data_type, "int32_data")
    values = getattr(tensor, field)
    _expect("values", count, len(values))
    flat = np.fromiter(values, np.int32 if field == "int32_data" else dtype, count)
    if tensor.data_type == TensorProto.FLOAT16:  # its bits
        return flat.astype(np.uint16).view(np.float16)
    return flat.astype(dtype)
