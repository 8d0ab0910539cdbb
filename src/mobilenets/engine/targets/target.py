"""What code is generated for: a processor, its vector width, and the blocking of its registers."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """A processor as LLVM names it, and the shape of the kernels for it.

    `lanes` float32 are in a vector; a matrix kernel keeps `pixels` x `vectors` sums in registers,
    of which there are `registers`. `clock`: how code reads the time: LLVM's own counter of cycles,
    or a register by its name. `pairs`: LLVM's intrinsic for sums of two products of int16; empty
    where there is none.
    """

    name: str
    triple: str
    cpu: str
    features: str
    lanes: int
    pixels: int
    vectors: int
    registers: int
    clock: str
    pairs: str


CYCLES = "cycles"
"""The clock that LLVM knows by `readcyclecounter`."""
