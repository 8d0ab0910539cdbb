"""The memory of a Pillow image, where it lies: by Apache Arrow's C interface, without a copy."""

import ctypes
from typing import Any

from PIL import Image

from mobilenets.engine import Pixels


class _Array(ctypes.Structure):
    """An `ArrowArray`, as Arrow's specification has it."""


_Array._fields_ = [
    ("length", ctypes.c_int64),
    ("null_count", ctypes.c_int64),
    ("offset", ctypes.c_int64),
    ("n_buffers", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(_Array))),
    ("dictionary", ctypes.c_void_p),
    ("release", ctypes.c_void_p),
    ("private_data", ctypes.c_void_p),
]
_NAME = b"arrow_array"


def pixels_of(image: Image.Image) -> Pixels | None:
    """An RGB image's pixels of four bytes.

    None where Pillow keeps it in several pieces (it does from 16 MB on), or is older than 11.2.
    """
    if image.mode != "RGB" or not hasattr(image, "__arrow_c_array__"):
        return None
    try:
        _, capsule = image.__arrow_c_array__()
    except ValueError:  # in several pieces
        return None
    pointer = _pointer()(capsule, _NAME)
    outer = ctypes.cast(pointer, ctypes.POINTER(_Array)).contents
    width, height = image.size
    if outer.n_children != 1 or outer.offset or outer.length != width * height:
        return None
    inner = outer.children[0].contents
    if inner.length != 4 * width * height or inner.offset or inner.n_buffers != 2:
        return None
    address = inner.buffers[1]
    return Pixels(address, width, height, 4, (image, capsule)) if address else None


def _pointer() -> Any:
    function = ctypes.pythonapi.PyCapsule_GetPointer
    function.restype = ctypes.c_void_p
    function.argtypes = [ctypes.py_object, ctypes.c_char_p]
    return function
