"""What `mobilenets data check` says of images labelled with masks."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from PIL import Image

from mobilenets.cli.console import err, progress
from mobilenets.cli.data_shared import MOST_CLASSES, Report, say, show_table

if TYPE_CHECKING:
    from mobilenets.data.segmentation import MaskDataset
    from mobilenets.data.splits import Split
    from mobilenets.data.survey import MaskSurvey

Parts = Mapping[str, "MaskDataset"]
Surveys = Mapping[str, "MaskSurvey"]
"""By part."""


def look(data: str, split: "Split | None") -> Report:
    """What every part on disk holds, or one split as training would open it."""
    from mobilenets.data.segmentation import open_parts, open_segmentation
    from mobilenets.data.survey import survey_masks

    with err.status("reading"):
        parts: Parts = (
            open_parts(data) if split is None else {str(split): open_segmentation(data, split)}
        )
    with progress("counting", sum(map(len, parts.values()))) as advance:
        surveys = {name: survey_masks(part, advance) for name, part in parts.items()}
    return Report(parts, to_json(parts, surveys), partial(show, data, parts, surveys), draw)


def draw(part: "MaskDataset", image: Image.Image, i: int) -> Image.Image:
    """An image under its mask, with a legend."""
    from mobilenets.runtime.draw_masks import draw_mask

    return draw_mask(image, part.target(i), part.classes)


def to_json(parts: Parts, surveys: Surveys) -> dict[str, Any]:
    """Everything, for programs; a class's share is of the pixels that are not void."""
    first = next(iter(parts.values()))
    return {
        "task": "segment",
        "kind": first.kind,
        "classes": list(first.classes),
        "parts": {name: part_json(first.classes, one) for name, one in surveys.items()},
    }


def part_json(classes: tuple[str, ...], one: "MaskSurvey") -> dict[str, Any]:
    """One part's figures."""
    figures = zip(classes, one.pixels.tolist(), one.shares(), one.images_of.tolist(), strict=False)
    return {
        "images": one.images,
        "pixels": int(one.pixels.sum()),
        "void": one.void,
        "images_with_void": int(one.images_of[-1]),
        "by_class": {
            name: {"pixels": pixels, "share": share, "images": images}
            for name, pixels, share, images in figures
        },
    }


def show(data: str, parts: Parts, surveys: Surveys) -> None:
    """Everything, for a person."""
    first = next(iter(parts.values()))
    say(f"{data}: {first.kind}, {len(first.classes)} classes")
    rows = {
        name: (one.images, int(one.pixels.sum()), f"{one.void:.2%}", int(one.images_of[-1]))
        for name, one in surveys.items()
    }
    show_table(("part", "images", "pixels", "void", "images with void"), rows)
    show_classes(first.classes, surveys)


def show_classes(classes: tuple[str, ...], surveys: Surveys) -> None:
    """Each class's share of the pixels that are not void, and in how many images it is."""
    titles = [title for name in surveys for title in (f"{name}, pixels", f"{name}, images")]
    shares = {name: one.shares() for name, one in surveys.items()}
    rows: dict[str, tuple[Any, ...]] = {
        label: tuple(
            figure
            for name, one in surveys.items()
            for figure in (f"{shares[name][i]:.2%}", int(one.images_of[i]))
        )
        for i, label in enumerate(classes[:MOST_CLASSES])
    }
    show_table(("class", *titles), rows)
    if len(classes) > MOST_CLASSES:
        say(f"and {len(classes) - MOST_CLASSES} classes more: --json has all")
