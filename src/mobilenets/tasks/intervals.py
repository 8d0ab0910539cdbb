"""How sure a figure is that was measured on few images: intervals that hold it in 95 of 100 cases.

Of a share of images that are right, Wilson's. Of other figures, from resamples of the images: drawn
as many as there are, some twice and some not at all, hundreds of times over.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
"""The share of such intervals that hold what a figure would be on very many images."""
MOST = 5000
"""Images from which on a figure has none: it would be narrower than the figure's third digit."""
RESAMPLES, SEED = 500, 0
NORMAL = NormalDist()
TINY = 1e-9

Floats = NDArray[np.floating]


class Interval(NamedTuple):
    """From where to where a figure may be."""

    low: float
    """The figure's least value, in its own unit."""
    high: float
    """Its largest value."""


class Intervals(NamedTuple):
    """Those of an evaluator's figures, by the same names; a figure without one is left out."""

    results: Mapping[str, Interval]
    """Of figures over all images, by their names."""
    by_class: Mapping[str, Mapping[str, Interval]]
    """Of each class's figures: class -> name of the figure -> interval."""
    how: str
    """In words, how they were found."""

    def to_json(self) -> dict[str, Any]:
        """For programs, under keys of their own; nothing where there are none."""
        if not self.how:
            return {}
        return {
            "intervals": {name: one._asdict() for name, one in self.results.items()},
            "intervals_by_class": {
                name: {figure: one._asdict() for figure, one in row.items()}
                for name, row in self.by_class.items()
            },
            "intervals_how": f"95 %, {self.how}",
        }


NO_INTERVALS = Intervals({}, {}, "")
RESAMPLED = f"from {RESAMPLES:,} resamples of the images, seed {SEED}"
"""How the others were found, in words."""


def wilson(right: float, of: float) -> Interval:
    """Wilson's interval of a share, `right` of `of` things (1 or more) that are alike."""
    z = NORMAL.inv_cdf(0.5 + LEVEL / 2)
    share, room = right / of, z * z / of
    middle = (share + room / 2) / (1 + room)
    half = math.sqrt(room * (share * (1 - share) + room / 4)) / (1 + room)
    low, high = max(middle - half, 0.0), min(middle + half, 1.0)
    return Interval(0.0 if right == 0 else low, 1.0 if right == of else high)


def resamples(images: int, count: int = RESAMPLES, seed: int = SEED) -> NDArray[np.float64]:
    """(count, images): how often each image is drawn in each resample."""
    random = np.random.default_rng(seed)
    drawn = random.integers(images, size=(count, images))
    drawn += np.arange(count)[:, None] * images
    found = np.bincount(drawn.ravel(), minlength=count * images).reshape(count, images)
    return found.astype(np.float64)


def interval(
    value: float, resampled: Floats, images: int, *, share: bool = True
) -> Interval | None:
    """The interval of a figure that is `value`, from its values in resamples of `images` images.

    NaN is a resample without the figure. The percentiles are a little further out than those of
    2.5 and 97.5 %, as Student's t is further out than the normal distribution: without that, ten
    images give 90 % where 95 are said (Hesterberg 2015). Some figures rise or fall by being
    resampled at all, as average precision does where a class has few objects: so the middle of the
    resamples is brought to the value. A `share` that is 0 or 1 in all of them
    (ten images without a mistake) gets Wilson's bound: resamples cannot show what was never seen.
    None for one image or none.
    """
    known = resampled[~np.isnan(resampled)]
    if images < 2 or not len(known):
        return None
    if np.ptp(known) < TINY and share and min(value, 1 - value) < TINY:
        return wilson(round(value) * images, images)
    tail = NORMAL.cdf(-math.sqrt(images / (images - 1)) * student(images - 1))
    low, middle, high = np.quantile(known, [tail, 0.5, 1 - tail]).tolist()
    moved = value - middle
    low, high = min(low + moved, value), max(high + moved, value)
    return Interval(max(low, 0.0), min(high, 1.0)) if share else Interval(low, high)


def known(intervals: Mapping[str, Interval | None]) -> dict[str, Interval]:
    """Without the figures that have none."""
    return {name: one for name, one in intervals.items() if one is not None}


def gathered(
    results: Mapping[str, Interval | None],
    by_class: Mapping[str, Mapping[str, Interval | None]],
) -> Intervals:
    """What `interval` gave for an evaluator's figures, those of None left out."""
    return Intervals(known(results), {k: known(row) for k, row in by_class.items()}, RESAMPLED)


def student(freedom: int) -> float:
    """Student's t, the quantile of 97.5 %: exact for 1 and 2 degrees, else to three digits."""
    if freedom < 3:
        return (12.7062, 4.30265)[freedom - 1]
    z = NORMAL.inv_cdf(0.5 + LEVEL / 2)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / float(freedom) ** (i + 1) for i, term in enumerate(terms))


def figure_text(value: float, around: Interval | None) -> str:
    """A figure with its interval where there is one: `0.876 (0.854-0.895)`.

    Else a share with four digits, and a number of images or objects as it is.
    """
    if around is not None:
        return f"{value:.3f} ({around.low:.3f}-{around.high:.3f})"
    return f"{value:.4f}" if isinstance(value, float) else f"{value:,}"
