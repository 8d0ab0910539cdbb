"""What kernels compute with: LLVM values, typed addresses, indices that may be known numbers."""

import math
import struct
from dataclasses import dataclass

from mobilenets.engine.ir.types import FLOAT32, ElementType


@dataclass(frozen=True)
class Value:
    """An LLVM value: its type and its name or literal."""

    type: str
    text: str

    def __str__(self) -> str:
        return f"{self.type} {self.text}"


@dataclass(frozen=True)
class Pointer(Value):
    """An address, and what lies there: offsets from it count elements of that type."""

    element: ElementType

    def of(self, element: ElementType) -> "Pointer":
        """The same address, of other elements."""
        return Pointer(self.type, self.text, element)


def pointer(text: str, element: ElementType) -> Pointer:
    """The address that LLVM knows by a name or a literal."""
    return Pointer("ptr", text, element)


Index = int | Value
ADDRESS = ElementType("address", 8, "ptr")
"""What lies in a table of addresses."""


def null(element: ElementType) -> Pointer:
    """The address of nothing, for what a function takes and does not read."""
    return pointer("null", element)


def literal(number: float) -> str:
    """A float32 constant as LLVM writes it: the bits of the equal double."""
    single = struct.unpack("f", struct.pack("f", number))[0] if math.isfinite(number) else number
    return f"0x{struct.unpack('Q', struct.pack('d', single))[0]:016X}"


def constant(number: float, element: ElementType) -> Value:
    """A number of any type; ValueError where it is not one of them."""
    if element == FLOAT32:
        return Value(element.llvm, literal(number))
    if number != int(number):
        raise ValueError(f"number must be a whole one for {element}, got {number}")
    whole, ends = int(number), 1 << 8 * element.size - 1
    # LLVM's integers have no sign: what is too large for one with a sign is written as one.
    return Value(element.llvm, str(whole if whole < ends else whole - 2 * ends))
