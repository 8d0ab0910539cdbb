"""Which types a kernel of sums of products reads, adds up in, and writes."""

from dataclasses import dataclass

from mobilenets.engine.ir.types import FLOAT32, ElementType


@dataclass(frozen=True)
class Types:
    """Of the inputs, the weights, the sums (and the bias they begin with), and the outputs.

    `group`: how many neighbouring inputs one multiplication takes in, each with a weight of its
    own, and adds to the same sum.
    """

    source: ElementType
    weight: ElementType
    sums: ElementType
    target: ElementType
    group: int


FLOATS = Types(FLOAT32, FLOAT32, FLOAT32, FLOAT32, 1)
"""All of it in float32, one input at a time."""
