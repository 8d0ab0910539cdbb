"""Element types: what one number of a value is, in a file and in compiled code."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class ElementType:
    """A kind of number."""

    name: str
    """As numpy has it: `float32`."""
    size: int
    """Bytes of one."""
    llvm: str
    """As LLVM has it: `float`."""

    @property
    def numpy(self) -> np.dtype[Any]:
        """The type of numpy arrays of it."""
        return np.dtype(self.name)

    def __str__(self) -> str:
        return self.name


FLOAT32 = ElementType("float32", 4, "float")
INT64 = ElementType("int64", 8, "i64")
INT32 = ElementType("int32", 4, "i32")
INT16 = ElementType("int16", 2, "i16")
INT8 = ElementType("int8", 1, "i8")
UINT8 = ElementType("uint8", 1, "i8")
