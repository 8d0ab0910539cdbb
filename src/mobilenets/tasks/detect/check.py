"""`data check` of images labelled with boxes: counts, sizes, and what anchors reach."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from mobilenets.data.listing import count
from mobilenets.models.geometry import unknown_name
from mobilenets.tasks.detect.architecture import NETWORKS
from mobilenets.tasks.detect.architecture.geometry import anchors_of
from mobilenets.tasks.detect.data import ObjectDataset, has_boxes, open_detection, open_parts
from mobilenets.tasks.detect.formats.annotations import AnnotatedImages
from mobilenets.tasks.detect.show.boxes import draw_boxes
from mobilenets.tasks.detect.survey import (
    QUANTILES,
    REACHED,
    RESEMBLED,
    Survey,
    quantiles,
    survey,
)
from mobilenets.tasks.report import Progress, Report, Table, class_table, survey_parts

THINGS = "boxes"
NETWORK = "a detector"
GIVE = "boxes as COCO, VOC or YOLO have them"
LAST = False

Parts = Mapping[str, ObjectDataset]
Surveys = Mapping[str, Survey]
"""By part."""
MODEL = "ssdlite_mobilenet_v2"
"""The detector whose anchors are laid over the objects, if no other is named."""
MOST_BOXES = 300
"""Boxes drawn on one picture."""


def claims(path: str) -> bool:
    """Whether files with boxes lie there."""
    return has_boxes(path)


def look(
    path: str,
    split: str | None,
    progress: Progress,
    *,
    model: str | None = None,
    resolution: int | None = None,
) -> Report:
    """What every part on disk holds, or one split as training would open it.

    `model` is the detector whose anchors are laid over the boxes, `resolution` the side of its
    input; ValueError where it is none.
    """
    model = MODEL if model is None else model
    side = side_of(model, resolution)
    anchors = anchors_of(model, (side, side))
    parts, surveys = survey_parts(
        path,
        split,
        progress,
        open_parts,
        open_detection,
        lambda part, advance: survey(part, anchors, advance),
    )
    reach = {"model": model, "resolution": side, "anchors": len(anchors)}
    files = [
        part.root / file
        for part in parts.values()
        if isinstance(part, AnnotatedImages)
        for file in part.files
    ]
    content = [
        f"{path}: {kind_of(parts)}",
        parts_table(surveys),
        *classes_table(next(iter(parts.values())).classes, surveys),
        *size_tables(surveys),
        *reach_lines(surveys, reach),
    ]
    return Report(parts, to_json(parts, surveys, reach), content, draw, files)


def side_of(model: str, resolution: int | None) -> int:
    """The input's side; ValueError where `model` is no detector."""
    if model not in NETWORKS:
        raise ValueError(unknown_name(model, NETWORKS, "model"))
    return NETWORKS[model].size if resolution is None else resolution


def kind_of(parts: Parts) -> str:
    """What the data is on disk, and how many classes it has."""
    first = next(iter(parts.values()))
    return f"{first.kind}, {count(len(first.classes), 'class', 'classes')}"


def draw(part: ObjectDataset, image: Image.Image, i: int) -> Image.Image:
    """An image with its boxes."""
    objects = part.target(i)
    labels = objects.labels[:MOST_BOXES].tolist()
    captions = [
        part.classes[label] + " (crowd)" * crowd + " (difficult)" * difficult
        for label, crowd, difficult in zip(
            labels, objects.crowd.tolist(), objects.difficult.tolist(), strict=False
        )
    ]
    return draw_boxes(image, objects.boxes[:MOST_BOXES], captions, labels)


def to_json(parts: Parts, surveys: Surveys, reach: dict[str, Any]) -> dict[str, Any]:
    """All figures of all parts as JSON values, for `--json`."""
    first = next(iter(parts.values()))
    return {
        "task": "detect",
        "kind": first.kind,
        "classes": list(first.classes),
        "parts": {name: part_json(first.classes, one) for name, one in surveys.items()},
        "anchors": reach,
    }


def part_json(classes: tuple[str, ...], one: Survey) -> dict[str, Any]:
    """One part's counts, sizes and overlaps as JSON values."""
    return {
        "images": one.images,
        "images_without_objects": one.empty,
        "objects": len(one.labels),
        "crowds": one.crowds,
        "difficult": one.difficult,
        "by_class": dict(zip(classes, one.by_class(len(classes)), strict=True)),
        "sizes": one.sizes(),
        "side_pixels": quantiles(one.sides),
        "side_shares": quantiles(one.shares),
        "overlap_below": {
            str(overlap): int(one.below(overlap).sum()) for overlap in (REACHED, RESEMBLED)
        },
    }


def parts_table(surveys: Surveys) -> Table:
    """Images and objects of each part."""
    rows = {
        name: (one.images, one.empty, len(one.labels), one.crowds, one.difficult)
        for name, one in surveys.items()
    }
    return Table(("part", "images", "without objects", "objects", "crowds", "difficult"), rows)


def classes_table(classes: tuple[str, ...], surveys: Surveys) -> list[Table | str]:
    """Objects of each class in each part, and those that no anchor reaches."""
    every = [one.by_class(len(classes)) for one in surveys.values()]
    labels = np.concatenate([one.labels[one.below(REACHED)] for one in surveys.values()])
    missed = np.bincount(labels, minlength=len(classes)).tolist()
    rows = {name: (*(counts[i] for counts in every), missed[i]) for i, name in enumerate(classes)}
    return class_table(("class", *surveys, "no anchor"), rows)


def size_tables(surveys: Surveys) -> list[Table]:
    """Small, medium and large, and quantiles of the boxes' sides."""
    sizes = {name: tuple(one.sizes().values()) for name, one in surveys.items()}
    rows: dict[str, tuple[Any, ...]] = {}
    for name, one in surveys.items():
        rows[f"{name}, pixels"] = tuple(f"{v:.0f}" for v in quantiles(one.sides).values())
        rows[f"{name}, of the image"] = tuple(f"{v:.3f}" for v in quantiles(one.shares).values())
    return [
        Table(("objects", "small < 32²", "medium < 96²", "large"), sizes),
        Table(("root of a box's area", *(f"{q:.0%}" for q in QUANTILES)), rows),
    ]


def reach_lines(surveys: Surveys, reach: dict[str, Any]) -> list[str]:
    """How many objects no anchor overlaps enough, and what that means."""
    objects = sum(len(one.labels) for one in surveys.values())
    missed, strange = (
        sum(int(one.below(overlap).sum()) for one in surveys.values())
        for overlap in (REACHED, RESEMBLED)
    )
    return [
        f"{reach['model']} at {reach['resolution']} pixels has {reach['anchors']} anchors",
        f"{missed} of {objects} objects ({missed / max(objects, 1):.1%}) overlap none by "
        f"{REACHED}: each is learnt from its one best anchor, a forced match",
        f"{strange} of them ({strange / max(objects, 1):.1%}) overlap none by {RESEMBLED}: even "
        "their best anchor hardly resembles them",
    ]
