"""How good an embedding network is: whether the nearest vectors are of the same class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mobilenets.card import ModelCard
from mobilenets.data.dataset import Dataset
from mobilenets.data.listing import count
from mobilenets.errors import DataError
from mobilenets.tasks.embed.formats.targets import Sought, label_of
from mobilenets.tasks.embed.measure.neighbours import CELLS, Integers, ranked
from mobilenets.tasks.embed.measure.pairs import RATES, Histogram, accepted, accuracy
from mobilenets.tasks.embed.measure.retrieval import CMC, RECALLS, SameSet, same_set, search
from mobilenets.tasks.embed.measure.revisited import revisited
from mobilenets.tasks.embed.read import vectors_of
from mobilenets.tasks.values import Arrays, Metric, Size

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METRIC = Metric("recall@1")
PICTURE = "cosines"
PAIRED = 4096
"""Images of which all pairs are counted, for thresholds; of more, so many spread over them."""


def evaluator(card: ModelCard, dataset: Dataset, objective: Any = None) -> Retrieval:
    """Recall and precision of the nearest vectors, and of the pairs that the data lists."""
    return Retrieval(card, dataset)


class Retrieval:
    """Collects vectors, and looks for each image's nearest others.

    Images that the data calls queries are looked for among those it calls the gallery; all others
    among each other. The vectors are kept: 512 bytes an image at 128 dimensions.
    """

    def __init__(self, card: ModelCard, dataset: Dataset) -> None:
        self.card = card
        self.classes = tuple(dataset.classes)
        self.pairs = tuple(getattr(dataset, "pairs", ()))
        self.truths = tuple(getattr(dataset, "truths", ()))
        self._vectors: list[Any] = []
        self._targets: list[Sought] = []
        self._found: SameSet | None = None
        self.notes: list[str] = []

    def _alone(self) -> list[str]:
        """A note on images that are alone in their class: nothing can be found for them."""
        labels = self._labels()
        alone = int((np.bincount(labels)[labels] == 1).sum()) if len(labels) else 0
        if not alone or self._roles().any():
            return []
        what = count(alone, "image is", "images are")
        return [f"{what} alone in the class: found by nobody, and only a wrong answer to others"]

    def update(self, outputs: Arrays, targets: Sequence[Any], sizes: Sequence[Size] = ()) -> None:
        """Keep a batch's vectors with what is known of each."""
        self._found = None
        self._vectors.append(vectors_of(outputs, self.card).astype(np.float32))
        for target in targets:
            known = isinstance(target, Sought)
            self._targets.append(target if known else Sought(label_of(target), -1, ""))

    def merge(self, other: Retrieval) -> None:
        """Add another process's vectors, behind."""
        self._found = None
        self._vectors += other._vectors
        self._targets += other._targets

    def _matrix(self) -> Any:
        if len(self._vectors) != 1:
            width = self._vectors[0].shape[1] if self._vectors else 1
            self._vectors = [np.concatenate([np.zeros((0, width), np.float32), *self._vectors])]
        return self._vectors[0]

    def _labels(self) -> Integers:
        return np.array([one.label for one in self._targets], np.int64)

    def _roles(self) -> Any:
        """(N,): 1 for a query alone, 2 for the gallery alone, 0 for both."""
        numbers = {"": 0, "query": 1, "gallery": 2}
        return np.array([numbers[one.role] for one in self._targets], np.int64)

    def same_set(self) -> SameSet:
        """Each image's figures among all others; found once."""
        if self._found is None:
            self._found = same_set(self._matrix(), self._labels())
        return self._found

    def results(self) -> Iterator[tuple[str, float]]:
        """Recall@1, 2, 4 and 8, R-precision and MAP@R; of queries CMC and mAP@100; of pairs too.

        Recall@1 is there in any case: of queries and a gallery it is CMC@1.
        """
        images = len(self._targets)
        self.notes[:] = self._alone()
        if self.truths:
            yield from self._revisited()
        elif self._roles().any():
            yield from self._searched()
        else:
            found = self.same_set()
            measured = ~np.isnan(found.r_precision)
            if images > 1 and not measured.any():
                raise DataError("every class has one image alone: nothing can be found again")
            for k, column in zip(RECALLS, found.recall.T, strict=True):
                yield f"recall@{k}", _mean(column)
            yield "r_precision", _mean(found.r_precision)
            yield "map@r", _mean(found.precision)
            yield "queries", int(measured.sum())
        yield from self._paired()
        yield "images", images

    def _searched(self) -> Iterator[tuple[str, float]]:
        vectors, labels, roles = self._matrix(), self._labels(), self._roles()
        asked, there = np.flatnonzero(roles != 2), np.flatnonzero(roles != 1)
        if not len(asked) or not len(there):
            raise DataError(f"there are {len(asked)} queries and {len(there)} images to be found")
        place = np.full(len(labels), -1)
        place[there] = np.arange(len(there))
        own = place[asked]
        found = search(vectors[asked], labels[asked], vectors[there], labels[there], own)
        if np.isnan(found.precision).all():
            raise DataError("no query has an image of its class in the gallery")
        yield "recall@1", _mean(found.hit[:, 0])
        for k, column in zip(CMC, found.hit.T, strict=True):
            yield f"cmc@{k}", _mean(column)
        yield "map@100", _mean(found.precision)
        yield "queries", int((~np.isnan(found.precision)).sum())

    def _revisited(self) -> Iterator[tuple[str, float]]:
        order = np.argsort([one.image for one in self._targets])
        gallery = len(order) - len(self.truths)
        if gallery < 1 or self._targets[int(order[-1])].image != len(order) - 1:
            raise DataError("all images of the truth must be read, and some could not be")
        vectors = self._matrix()[order]
        blocks = ranked(vectors[gallery:], vectors[:gallery], gallery)
        found = dict(revisited(np.concatenate([b.order for b in blocks]), self.truths))
        yield "recall@1", found["mp@1_medium"]
        yield from found.items()
        yield "queries", len(self.truths)

    def _paired(self) -> Iterator[tuple[str, float]]:
        place = {one.image: i for i, one in enumerate(self._targets)}
        pairs = [p for p in self.pairs if p.first in place and p.second in place]
        if not pairs:
            return
        vectors = self._matrix()
        first, second = (np.array([place[p] for p in side]) for side in zip(
            *((p.first, p.second) for p in pairs), strict=True))  # fmt: skip
        cosines = np.einsum("nd,nd->n", vectors[first], vectors[second])
        same = np.array([p.same for p in pairs])
        mean, error = accuracy(cosines, same, np.array([p.fold for p in pairs]))
        yield "pair_accuracy", mean
        yield "pair_accuracy_error", error
        for rate in RATES:
            one = accepted(cosines, same, rate)
            if one is not None:
                yield f"true_accepts@{rate:g}", one.rate
        yield "pairs", len(pairs)

    def histogram(self) -> Histogram:
        """The cosines of all pairs of images, or of some images with all others."""
        vectors, labels = self._matrix(), self._labels()
        found = Histogram()
        chosen = np.linspace(0, len(labels) - 1, min(len(labels), PAIRED)).round().astype(int)
        step = max(CELLS // max(len(labels), 1) // 4, 1)
        for first in range(0, len(chosen), step):
            rows = chosen[first : first + step]
            cosines = vectors[rows] @ vectors.T
            other = np.arange(len(labels)) != rows[:, None]
            found.add(cosines[other], (labels == labels[rows, None])[other])
        return found

    def kept(self) -> dict[str, Any]:
        """The cosines from which two images are taken for one thing, by the share of mistakes."""
        histogram = self.histogram()
        found = {f"{rate:g}": histogram.accepted(rate) for rate in RATES}
        thresholds = {
            name: {"cosine": round(one.threshold, 4), "true_accepts": round(one.rate, 4)}
            for name, one in found.items()
            if one is not None
        }
        return {"thresholds": thresholds} if thresholds else {}

    def by_class(self) -> dict[str, dict[str, float]]:
        """Recall@1 and the number of images of each class that has any; {} of queries."""
        if self._roles().any() or not self._targets:
            return {}
        labels, first = self._labels(), self.same_set().recall[:, 0]
        sizes = np.bincount(labels, minlength=len(self.classes))
        right = np.bincount(labels, np.nan_to_num(first), minlength=len(self.classes))
        return {
            name: {"recall@1": float(right[k] / sizes[k]), "images": int(sizes[k])}
            for k, name in enumerate(self.classes)
            if sizes[k] > 1
        }

    def figure(self) -> Figure:
        """The cosines of pairs of one class, and of two."""
        from mobilenets.tasks.embed.measure.figure import cosine_figure

        return cosine_figure(self.histogram(), self.kept().get("thresholds", {}))


def _mean(values: Any) -> float:
    """The mean of those that are known; 0 where none is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else 0.0
