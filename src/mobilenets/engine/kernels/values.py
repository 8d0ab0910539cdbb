"""What kernels compute with: LLVM values, and indices that may be known numbers."""

import math
import struct
from dataclasses import dataclass


@dataclass(frozen=True)
class Value:
    """An LLVM value: its type and its name or literal."""

    type: str
    text: str

    def __str__(self) -> str:
        return f"{self.type} {self.text}"


Index = int | Value
NULL = Value("ptr", "null")


def literal(number: float) -> str:
    """A float32 constant as LLVM writes it: the bits of the equal double."""
    single = struct.unpack("f", struct.pack("f", number))[0] if math.isfinite(number) else number
    return f"0x{struct.unpack('Q', struct.pack('d', single))[0]:016X}"
