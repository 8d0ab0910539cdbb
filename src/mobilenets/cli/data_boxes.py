"""What `mobilenets data check` says of images labelled with boxes."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from PIL import Image

from mobilenets.cli.console import err, progress
from mobilenets.cli.data_shared import MOST_CLASSES, Report, say, show_table

if TYPE_CHECKING:
    from mobilenets.data.detection import ObjectDataset
    from mobilenets.data.splits import Split
    from mobilenets.data.survey import Survey

Parts = Mapping[str, "ObjectDataset"]
Surveys = Mapping[str, "Survey"]
"""By part."""
MODEL = "ssdlite_mobilenet_v2"
"""The detector whose anchors are laid over the objects, if no other is named."""
MOST_BOXES = 300
"""Boxes drawn on one picture."""


def look(data: str, split: "Split | None", model: str | None, resolution: int | None) -> Report:
    """What every part on disk holds, or one split as training would open it."""
    from mobilenets.data.detection import open_detection, open_parts
    from mobilenets.data.survey import survey
    from mobilenets.models.ssd_geometry import anchors_of

    model = MODEL if model is None else model
    side = side_of(model, resolution)
    anchors = anchors_of(model, (side, side))
    with err.status("reading"):
        parts: Parts = (
            open_parts(data) if split is None else {str(split): open_detection(data, split)}
        )
    with progress("counting", sum(map(len, parts.values()))) as advance:
        surveys = {name: survey(part, anchors, advance) for name, part in parts.items()}
    reach = {"model": model, "resolution": side, "anchors": len(anchors)}
    return Report(
        parts, to_json(parts, surveys, reach), partial(show, data, parts, surveys, reach), draw
    )


def side_of(model: str, resolution: int | None) -> int:
    """The input's side; ValueError where `model` is no detector."""
    from mobilenets.models.geometry import NETWORKS, unknown_name

    detectors = [name for name, network in NETWORKS.items() if network.task == "detect"]
    if model not in detectors:
        raise ValueError(unknown_name(model, detectors, "model"))
    return NETWORKS[model].size if resolution is None else resolution


def draw(part: "ObjectDataset", image: Image.Image, i: int) -> Image.Image:
    """An image with its boxes."""
    from mobilenets.runtime.draw_boxes import draw_boxes

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
    """Everything, for programs."""
    first = next(iter(parts.values()))
    return {
        "task": "detect",
        "kind": first.kind,
        "classes": list(first.classes),
        "parts": {name: part_json(first.classes, one) for name, one in surveys.items()},
        "anchors": reach,
    }


def part_json(classes: tuple[str, ...], one: "Survey") -> dict[str, Any]:
    """One part's figures."""
    from mobilenets.data.survey import REACHED, RESEMBLED, quantiles

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


def show(data: str, parts: Parts, surveys: Surveys, reach: dict[str, Any]) -> None:
    """Everything, for a person."""
    first = next(iter(parts.values()))
    say(f"{data}: {first.kind}, {len(first.classes)} classes")
    show_parts(surveys)
    show_classes(first.classes, surveys)
    show_sizes(surveys)
    show_reach(surveys, reach)


def show_parts(surveys: Surveys) -> None:
    """Images and objects of each part."""
    rows = {
        name: (one.images, one.empty, len(one.labels), one.crowds, one.difficult)
        for name, one in surveys.items()
    }
    show_table(("part", "images", "without objects", "objects", "crowds", "difficult"), rows)


def show_classes(classes: tuple[str, ...], surveys: Surveys) -> None:
    """Objects of each class in each part, and those that no anchor reaches."""
    import numpy as np

    from mobilenets.data.survey import REACHED

    every = [one.by_class(len(classes)) for one in surveys.values()]
    labels = np.concatenate([one.labels[one.below(REACHED)] for one in surveys.values()])
    missed = np.bincount(labels, minlength=len(classes)).tolist()
    rows = {
        name: (*(counts[i] for counts in every), missed[i])
        for i, name in enumerate(classes[:MOST_CLASSES])
    }
    show_table(("class", *surveys, "no anchor"), rows)
    if len(classes) > MOST_CLASSES:
        say(f"and {len(classes) - MOST_CLASSES} classes more: --json has all")


def show_sizes(surveys: Surveys) -> None:
    """Small, medium and large, and quantiles of the boxes' sides."""
    from mobilenets.data.survey import QUANTILES, quantiles

    sizes = {name: tuple(one.sizes().values()) for name, one in surveys.items()}
    show_table(("objects", "small < 32²", "medium < 96²", "large"), sizes)
    rows: dict[str, tuple[Any, ...]] = {}
    for name, one in surveys.items():
        rows[f"{name}, pixels"] = tuple(f"{v:.0f}" for v in quantiles(one.sides).values())
        rows[f"{name}, of the image"] = tuple(f"{v:.3f}" for v in quantiles(one.shares).values())
    show_table(("root of a box's area", *(f"{q:.0%}" for q in QUANTILES)), rows)


def show_reach(surveys: Surveys, reach: dict[str, Any]) -> None:
    """How many objects no anchor overlaps enough, and what that means."""
    from mobilenets.data.survey import REACHED, RESEMBLED

    objects = sum(len(one.labels) for one in surveys.values())
    missed, strange = (
        sum(int(one.below(overlap).sum()) for one in surveys.values())
        for overlap in (REACHED, RESEMBLED)
    )
    say(f"{reach['model']} at {reach['resolution']} pixels has {reach['anchors']} anchors")
    say(
        f"{missed} of {objects} objects ({missed / max(objects, 1):.1%}) overlap none by "
        f"{REACHED}: each is learnt from its one best anchor, a forced match"
    )
    say(
        f"{strange} of them ({strange / max(objects, 1):.1%}) overlap none by {RESEMBLED}: even "
        "their best anchor hardly resembles them"
    )
