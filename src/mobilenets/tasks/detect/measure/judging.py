"""One image of a detector: what is there, what is seen, what is right, missed, too many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilenets.tasks.detect.formats.objects import Objects
from mobilenets.tasks.detect.measure.matching import OVERLAPS, Pairing
from mobilenets.tasks.detect.read import Located, box_iou
from mobilenets.tasks.values import Confused, Verdict

NOTHING_THERE, MISSED, AGAIN = "nothing", "nothing", "found already"


class Around(NamedTuple):
    """What an image's pairing does not say."""

    labels: NDArray[np.int32]
    """The classes of the objects that are to be found."""
    near: NDArray[np.int32]
    """Of each detection, by falling score, the class of the object that it overlaps most, of any
    class and by half or more; else -1."""


class Judgement(NamedTuple):
    """The detections of an image from a score on, by class."""

    found: list[int]
    wrong: list[tuple[int, int]]
    """Class, and the class of the object there, -1 where there is none."""
    missed: Counter[int]


def around(seen: Located, true: Objects) -> Around:
    """What is around the detections of an image, of the data's classes."""
    order = np.argsort(-seen.scores, kind="stable")
    near = np.full(len(order), -1, np.int32)
    if len(order) and len(true.labels):
        overlaps = box_iou(seen.boxes[order].astype(np.float64), true.boxes.astype(np.float64))
        best = overlaps.argmax(1)
        reached = overlaps[np.arange(len(order)), best] >= OVERLAPS[0]
        near[reached] = true.labels[best[reached]]
    return Around(true.labels[~(true.crowd | true.difficult)].astype(np.int32), near)


def judged(seen: Pairing, about: Around, threshold: float) -> Judgement:
    """At overlap .5, as COCO pairs; what it does not count is in none of the lists."""
    rows = np.flatnonzero((seen.scores >= threshold) & seen.looked_at())
    right, wrong = (lanes[0, rows] for lanes in seen.of_area(0))
    classes = seen.classes[rows]
    found = classes[right].tolist()
    missed = Counter(about.labels.tolist())
    missed.subtract(found)
    pairs = zip(classes[wrong].tolist(), about.near[rows[wrong]].tolist(), strict=True)
    return Judgement(found, list(pairs), +missed)


def verdict(seen: Pairing, about: Around, threshold: float, classes: Sequence[str]) -> Verdict:
    """Right where each object is found once, with its class, and nothing else."""
    one = judged(seen, about, threshold)
    missed, too_many = sum(one.missed.values()), len(one.wrong)
    right = not missed and not too_many
    scores = seen.scores[seen.scores >= threshold]
    f1 = 2 * len(one.found) / max(2 * len(one.found) + missed + too_many, 1) if not right else 1.0
    least = float(scores.min()) if len(scores) else 1.0
    figures = {
        "found": len(one.found),
        "missed": missed,
        "too_many": too_many,
        "f1": f1,
    }
    answer = [*one.found, *(label for label, _ in one.wrong)]
    return Verdict(
        listed(about.labels.tolist(), classes),
        listed(answer, classes),
        right,
        float(scores.max()) if len(scores) else None,
        least if right else f1 - missed - too_many,
        figures,
    )


def listed(labels: Iterable[int], classes: Sequence[str]) -> str:
    """`2 cat, 1 dog`; `nothing` where there is none."""
    counts = Counter(labels)
    return ", ".join(f"{n} {classes[k]}" for k, n in counts.most_common()) or NOTHING_THERE


def confused(
    ones: Iterable[Judgement], there: Counter[int], classes: Sequence[str]
) -> list[Confused]:
    """What is taken for what over many images, the most frequent first.

    `there` counts the objects of each class. Missed objects are taken for nothing, and where
    nothing is, or an object that was found already, something is seen too many.
    """
    counts: Counter[tuple[str, str]] = Counter()
    seen: Counter[str] = Counter()
    for one in ones:
        seen.update(classes[label] for label in [*one.found, *(label for label, _ in one.wrong)])
        for label, near in one.wrong:
            truth = NOTHING_THERE if near < 0 else classes[near] if near != label else AGAIN
            counts[truth, classes[label]] += 1
        for label, n in one.missed.items():
            counts[classes[label], MISSED] += n
    of = {classes[k]: n for k, n in there.items()}
    return [
        Confused(truth, answer, n, n / (of.get(truth) or seen[answer]))
        for (truth, answer), n in counts.most_common()
    ]
