"""What code is generated for: a processor, its vector width, and the blocking of its registers."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """A processor as LLVM names it, and the shape of the kernels for it.

    `lanes` floats are in a vector; a matrix kernel keeps `pixels` x `vectors` sums in registers.
    """

    name: str
    triple: str
    cpu: str
    features: str
    lanes: int
    pixels: int
    vectors: int
