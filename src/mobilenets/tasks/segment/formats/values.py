"""What the masks for training hold, where nothing else says which classes there are."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mobilenets.tasks.segment.formats.masks import VOID, Storage

_NEAR = 32
"""How far a blurred mask's greys may lie from 0 or 255."""
_SHARE = 0.9
"""Of a blurred mask's pixels at least so many are near 0 or 255."""


class Seen(Protocol):
    """What is known of one mask."""

    @property
    def storage(self) -> Storage:
        """How it is stored."""
        ...

    @property
    def is_voc(self) -> bool:
        """Whether it has VOC's palette."""
        ...

    @property
    def ids(self) -> NDArray[np.uint16]:
        """What it has, sorted."""
        ...

    @property
    def counts(self) -> NDArray[np.int64]:
        """Pixels of each of its ids."""
        ...


class MaskValues(NamedTuple):
    """What the masks for training hold."""

    ids: NDArray[np.integer]
    """Sorted, each once; of JPEG only where there is nothing else."""
    is_voc: bool
    """Whether all have the colours of VOC's 21 classes."""
    halves: bool
    """Whether they are dark or bright: 0 and 255, or greys near those."""
    sharp: bool
    """Whether there are no greys between."""

    @property
    def most(self) -> int:
        """The greatest id but void's; 0 where there is no other."""
        return max((int(one) for one in self.ids if one != VOID), default=0)


def values_of(looks: Sequence[Seen]) -> MaskValues:
    """Of one mask at least, all that they hold together."""
    kept = [look for look in looks if look.storage != "JPEG"] or looks
    totals = np.zeros(1 << 16, np.int64)
    for look in kept:
        totals[look.ids] += look.counts
    ids = np.flatnonzero(totals)
    shown = [look for look in kept if any(0 < one < VOID for one in look.ids.tolist())]
    is_voc = bool(shown) and all(look.is_voc for look in shown)
    sharp = set(ids.tolist()) == {0, VOID}
    return MaskValues(ids, is_voc, sharp or _is_blurred(totals), sharp)


def _is_blurred(totals: NDArray[np.int64]) -> bool:
    """Whether greys are near 0 or 255 but for edges: many values, few pixels between."""
    if np.count_nonzero(totals) < 16 or totals[256:].any():
        return False
    dark, bright = totals[:_NEAR].sum(), totals[256 - _NEAR : 256].sum()
    return bool(dark and bright and dark + bright >= _SHARE * totals.sum())
