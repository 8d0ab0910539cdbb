"""Batches of some classes with some images of each: what losses of pairs need."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Order = Callable[[int], Integers]
"""A seed -> the images of an epoch, batch by batch."""


class ClassesInTurn:
    """An epoch's images: each batch has `per_class` images of each of several classes.

    A class's images are shuffled and dealt out in hands of that many; the last hand is filled up
    with others of the class, so a class of fewer images has some twice. Each batch takes hands of
    different classes, a class with more left more often, and an epoch is as many batches as
    shuffling has. All is drawn from the seed, so it is the same in every process.
    """

    def __init__(self, labels: Integers, batch: int, per_class: int) -> None:
        classes = len(np.unique(labels))
        self.batch, self.per_class = batch, per_class
        self.hands = min(batch // per_class, classes)
        if self.hands < 2 or batch % per_class:
            raise ValueError(
                f"batch_size must be a multiple of per_class, {per_class}, with room for two "
                f"classes, got {batch}"
            )
        if batch > classes * per_class:
            raise ValueError(
                f"batch_size must be at most {classes} classes x per_class, "
                f"{classes * per_class}, got {batch}"
            )
        order = np.argsort(labels, kind="stable")
        bounds = np.flatnonzero(np.diff(labels[order])) + 1
        self.members = np.split(order, bounds)
        self.steps = max(len(labels) // batch, 1)

    def __call__(self, seed: int) -> Integers:
        """(steps x batch,) numbers of images."""
        random = np.random.default_rng(seed)
        left: list[list[Integers]] = [[] for _ in self.members]
        chosen = []
        for _ in range(self.steps):
            waiting = np.array([len(hands) for hands in left], np.float64)
            if np.count_nonzero(waiting) < self.hands:
                left = [[*old, *self._deal(own, random)] for old, own in zip(
                    left, self.members, strict=True)]  # fmt: skip
                waiting = np.array([len(hands) for hands in left], np.float64)
            drawn = random.choice(len(left), self.hands, replace=False, p=waiting / waiting.sum())
            chosen += [left[k].pop() for k in drawn]
        return np.concatenate(chosen)

    def _deal(self, own: Integers, random: np.random.Generator) -> list[Integers]:
        """A class's images in hands of `per_class`."""
        hands = -(-len(own) // self.per_class)
        shuffled = random.permutation(own)
        more = hands * self.per_class - len(own)
        extra = random.permutation(np.resize(shuffled, max(more, 1)))[:more]
        return list(np.concatenate([shuffled, extra]).reshape(hands, self.per_class))
