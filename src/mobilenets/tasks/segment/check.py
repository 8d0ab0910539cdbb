"""`data check` of images labelled with masks: how many pixels and images each class has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PIL import Image

from mobilenets.data.listing import count
from mobilenets.tasks.report import Progress, Report, Table, class_table, survey_parts
from mobilenets.tasks.segment.data import MaskDataset, has_masks, open_parts, open_segmentation
from mobilenets.tasks.segment.formats.images import MaskedImages
from mobilenets.tasks.segment.show.masks import draw_mask
from mobilenets.tasks.segment.survey import MaskSurvey, survey_masks

THINGS = "masks"
NETWORK = "a segmentation network"
GIVE = "masks, such as masks/ beside images/"
LAST = False

Parts = Mapping[str, MaskDataset]
Surveys = Mapping[str, MaskSurvey]
"""By part."""


def claims(path: str) -> bool:
    """Whether a folder has images with masks."""
    return has_masks(path)


def look(path: str, split: str | None, progress: Progress) -> Report:
    """What every part on disk holds, or one split as training would open it."""
    parts, surveys = survey_parts(
        path, split, progress, open_parts, open_segmentation, survey_masks
    )
    files = [
        part.root / file
        for part in parts.values()
        if isinstance(part, MaskedImages)
        for file in (*part.files, *part.masks)
    ]
    first = next(iter(parts.values()))
    content = [
        f"{path}: {first.kind}, {count(len(first.classes), 'class', 'classes')}",
        parts_table(surveys),
        *classes_table(first.classes, surveys),
    ]
    return Report(parts, to_json(parts, surveys), content, draw, files)


def draw(part: MaskDataset, image: Image.Image, i: int) -> Image.Image:
    """An image under its mask, with a legend."""
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


def part_json(classes: tuple[str, ...], one: MaskSurvey) -> dict[str, Any]:
    """One part's pixels and images, in all and by class, as JSON values."""
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


def parts_table(surveys: Surveys) -> Table:
    """Images, pixels and void of each part."""
    rows = {
        name: (one.images, int(one.pixels.sum()), f"{one.void:.2%}", int(one.images_of[-1]))
        for name, one in surveys.items()
    }
    return Table(("part", "images", "pixels", "void", "images with void"), rows)


def classes_table(classes: tuple[str, ...], surveys: Surveys) -> list[Table | str]:
    """Each class's share of the pixels that are not void, and in how many images it is."""
    titles = [title for name in surveys for title in (f"{name}, pixels", f"{name}, images")]
    shares = {name: one.shares() for name, one in surveys.items()}
    rows: dict[str, tuple[Any, ...]] = {
        label: tuple(
            figure
            for name, one in surveys.items()
            for figure in (f"{shares[name][i]:.2%}", int(one.images_of[i]))
        )
        for i, label in enumerate(classes)
    }
    return class_table(("class", *titles), rows)
