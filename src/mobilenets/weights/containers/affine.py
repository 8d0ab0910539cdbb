"""What a file's own arithmetic makes of pixels before its first convolution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobilenets.errors import WeightsError

LARGEST = 16.0
"""What a network is fed lies around 0: a range that ends far beyond is that of other pixels."""
Colours = tuple[float, float, float]


@dataclass(frozen=True)
class AffineInput:
    """scale x + offset of each colour, x being what the file is fed."""

    scale: NDArray[np.float64]
    offset: NDArray[np.float64]
    untouched: bool = False
    """Whether the file does nothing."""

    @classmethod
    def pixels(cls) -> AffineInput:
        """What is fed, as it is."""
        return cls(np.ones(3), np.zeros(3), untouched=True)

    def then(self, scale: NDArray[np.float64], offset: NDArray[np.float64]) -> AffineInput:
        """And scaled and shifted once more."""
        return AffineInput(self.scale * scale, self.offset * scale + offset)

    def normalisation(
        self, unit: float | None = None, *, digits: int = 6
    ) -> tuple[Colours, Colours, str]:
        """Mean and deviation of a card, in parts of white, and in words what was assumed.

        Files have float32: they are rounded to so many `digits`, for more say nothing. `unit` is
        what white is where the file says it: 255, or 1. Else it is whichever lets the
        network's input be of the order of 1. WeightsError where colours are turned around.
        """
        if not ((self.scale > 0).all() and np.isfinite(self.scale).all()):
            raise WeightsError("its input is scaled by a factor that is not positive")
        words = ""
        if unit is None:
            unit = 255.0 if 255 * self.scale.max() <= LARGEST else 1.0
            words = f", of pixels from 0 to {unit:g}"
        scale = self.scale * unit
        both = -self.offset / scale, 1 / scale
        mean, std = ([round(float(x), digits) + 0.0 for x in values] for values in both)
        return (mean[0], mean[1], mean[2]), (std[0], std[1], std[2]), words
