"""How good an embedding network is: whether the nearest vectors are of the same class."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mobilenets.card import ModelCard
from mobilenets.data.dataset import Dataset
from mobilenets.data.listing import count
from mobilenets.errors import DataError
from mobilenets.tasks.embed.formats.targets import Sought, label_of
from mobilenets.tasks.embed.measure.found import (
    SearchAnswer,
    answers,
    of_classes,
    of_truths,
    sureness,
)
from mobilenets.tasks.embed.measure.neighbours import CELLS, Integers, ranked
from mobilenets.tasks.embed.measure.pairs import RATES, Histogram, accepted, accuracy
from mobilenets.tasks.embed.measure.retrieval import CMC, RECALLS, SameSet, same_set, search
from mobilenets.tasks.embed.measure.revisited import revisited
from mobilenets.tasks.embed.read import vectors_of
from mobilenets.tasks.intervals import MOST, NO_INTERVALS, Intervals, gathered, wilson
from mobilenets.tasks.values import Arrays, Confused, Metric, Size, Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METRIC = Metric("recall@1")
PICTURE = "cosines"
PAIRED = 4096
"""Images of which all pairs are counted, for thresholds; of more, so many spread over them."""
_UNITS = (("class", "classes"), ("query", "queries"))
"""What intervals are resampled from: without and with a truth."""


def evaluator(card: ModelCard, dataset: Dataset, objective: Any = None) -> Retrieval:
    """Recall and precision of the nearest vectors, and of the pairs that the data lists."""
    return Retrieval(card, dataset)


class Retrieval:
    """Collects vectors, and looks for each image's nearest others.

    Images that the data calls queries are looked for among those it calls the gallery; all others
    among each other. The vectors are kept: 512 bytes an image at 128 dimensions.
    """

    UNIT = "queries"

    def __init__(self, card: ModelCard, dataset: Dataset) -> None:
        self.card = card
        self.classes = tuple(dataset.classes)
        self.pairs = tuple(getattr(dataset, "pairs", ()))
        self.truths = tuple(getattr(dataset, "truths", ()))
        self._vectors: list[Any] = []
        self._targets: list[Sought] = []
        self._found: SameSet | None = None
        self._answers: dict[int, SearchAnswer] | None = None
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
        self._found = self._answers = None
        self._vectors.append(vectors_of(outputs, self.card).astype(np.float32))
        for target in targets:
            known = isinstance(target, Sought)
            self._targets.append(target if known else Sought(label_of(target), -1, ""))

    def merge(self, other: Retrieval) -> None:
        """Add another process's vectors, behind."""
        self._found = self._answers = None
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

        Recall@1 is there in any case: of queries and a gallery it is CMC@1. Figures of queries are
        means over those with something to find; `queries` is their number.
        """
        self.notes[:] = self._alone()
        figures, bundles = self._figures()
        for name, values in figures.items():
            yield name, _mean(values)
        known = ~np.isnan(figures["recall@1"])
        yield "queries", len(bundles) if self.truths else int(known.sum())
        yield from self._paired()
        yield "images", len(self._targets)

    def _figures(self) -> tuple[dict[str, Any], Integers]:
        """(queries,) of each figure, and which queries are right and wrong together.

        Queries of one class are, as resamples for intervals have it.
        """
        if self.truths:
            return self._revisited(), np.arange(len(self.truths))
        if self._roles().any():
            return self._searched()
        found = self.same_set()
        if len(self._targets) > 1 and np.isnan(found.r_precision).all():
            raise DataError("every class has one image alone: nothing can be found again")
        figures = {f"recall@{k}": row for k, row in zip(RECALLS, found.recall.T, strict=True)}
        figures |= {"r_precision": found.r_precision, "map@r": found.precision}
        return figures, self._labels()

    def _sides(self) -> tuple[Integers, Integers, Integers]:
        """Places of the queries and of the gallery, and each query's own place there, or -1."""
        roles = self._roles()
        asked, there = np.flatnonzero(roles != 2), np.flatnonzero(roles != 1)
        if self.truths:  # these say what is to be found by the number in the data
            number = np.array([one.image for one in self._targets])
            asked, there = (side[np.argsort(number[side])] for side in (asked, there))
        place = np.full(len(roles), -1)
        place[there] = np.arange(len(there))
        return asked, there, place[asked]

    def _searched(self) -> tuple[dict[str, Any], Integers]:
        vectors, labels = self._matrix(), self._labels()
        asked, there, own = self._sides()
        if not len(asked) or not len(there):
            raise DataError(f"there are {len(asked)} queries and {len(there)} images to be found")
        found = search(vectors[asked], labels[asked], vectors[there], labels[there], own)
        if np.isnan(found.precision).all():
            raise DataError("no query has an image of its class in the gallery")
        figures = {"recall@1": found.hit[:, 0]}
        figures |= {f"cmc@{k}": row for k, row in zip(CMC, found.hit.T, strict=True)}
        return {**figures, "map@100": found.precision}, labels[asked]

    def _revisited(self) -> dict[str, Any]:
        asked, there, _ = self._sides()
        numbers = [self._targets[int(i)].image for i in (*there, *asked)]
        if len(asked) != len(self.truths) or numbers != list(range(len(numbers))):
            raise DataError("all images of the truth must be read, and some could not be")
        vectors = self._matrix()
        blocks = ranked(vectors[asked], vectors[there], len(there))
        found = dict(revisited(np.concatenate([b.order for b in blocks]), self.truths))
        return {"recall@1": found["mp@1_medium"], **found}

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

    def intervals(self) -> Intervals:
        """By resamples of the classes: images of one are right and wrong together.

        Of queries with a truth of their own by resamples of the queries; of each class Wilson's.
        """
        if not 0 < len(self._targets) < MOST:
            return NO_INTERVALS
        figures, bundles = self._figures()
        by_class = {
            name: {"recall@1": wilson(row["recall@1"] * row["images"], row["images"])}
            for name, row in self.by_class().items()
        }
        made = gathered(sureness(figures, bundles), by_class)
        what = count(len(np.unique(bundles)), *_UNITS[bool(self.truths)])
        return made._replace(how=made.how.replace("the images", what))

    def answers(self) -> Mapping[int, SearchAnswer]:
        """What each query finds, by its place among the images; found once."""
        if self._answers is None:
            asked, there, own = self._sides()
            vectors, labels = self._matrix(), self._labels()
            relation = of_classes(labels[asked], labels[there], own)
            if self.truths:
                relation = of_truths(self.truths, len(there))
            self._answers = {
                place: one._replace(image=int(there[one.image]) if one.image >= 0 else -1)
                for place, one in zip(
                    asked.tolist(), answers(vectors[asked], vectors[there], relation), strict=True
                )
            }
        return self._answers

    def found(self, image: int) -> int | None:
        """The image that is nearest to this one; None where it is no query, or nothing is there."""
        one = self.answers().get(image)
        return one.image if one is not None and one.image >= 0 else None

    def judge(self, image: int, threshold: float) -> Verdict:
        """Right where the nearest is of its class; the worst have another one nearer by most.

        What is no query, and what has nothing to find, is not wrong: it stands behind, without
        figures.
        """
        one = self.answers().get(image)
        if one is None or not one.rank:
            why = "is looked for by nobody" if one is None else "has nothing to find"
            blank = dict.fromkeys(("rank_of_right", "cosine_of_right"), math.nan)
            return Verdict(self._name(image), why, True, None, math.inf, blank)
        right = one.rank == 1
        answer = self._name(one.image)
        if self.truths:
            answer = "one that is to be found" if right else "another one"
        figures = {"rank_of_right": float(one.rank), "cosine_of_right": one.right}
        return Verdict(self._name(image), answer, right, one.cosine, one.margin, figures)

    def _name(self, image: int) -> str:
        """The class of an image; of a truth, how many images a query is to find."""
        if not self.truths:
            return self.classes[self._targets[image].label]
        query = self._targets[image].image - (len(self._targets) - len(self.truths))
        if query < 0:
            return "of the gallery"
        truth = self.truths[query]
        return f"{len(truth.easy) + len(truth.hard)} to be found"

    def confusions(self, threshold: float) -> list[Confused]:
        """Classes whose images find those of another one first; [] of a truth of its own."""
        if self.truths:
            return []
        found: Counter[tuple[int, int]] = Counter()
        queries: Counter[int] = Counter()
        for place, one in self.answers().items():
            if one.rank:
                label = self._targets[place].label
                queries[label] += 1
                if one.rank > 1:
                    found[label, self._targets[one.image].label] += 1
        return [
            Confused(self.classes[true], self.classes[seen], times, times / queries[true])
            for (true, seen), times in found.most_common()
        ]

    def figure(self) -> Figure:
        """The cosines of pairs of one class, and of two."""
        from mobilenets.tasks.embed.measure.figure import cosine_figure

        return cosine_figure(self.histogram(), self.kept().get("thresholds", {}))


def _mean(values: Any) -> float:
    """The mean of those that are known; 0 where none is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else 0.0
