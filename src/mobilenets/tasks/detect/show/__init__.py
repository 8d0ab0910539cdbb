"""Detections for people and programs."""

from typing import Any

import numpy as np
from PIL import Image

from mobilenets.tasks.detect.read import Detection
from mobilenets.tasks.detect.show.boxes import draw_boxes


def describe(decoded: list[Detection]) -> list[tuple[str, float]]:
    """Rows (label and box in pixels, score)."""
    rows = []
    for one in decoded:
        left, top, right, bottom = (round(side) for side in one.box)
        rows.append((f"{one.label}  {left},{top} - {right},{bottom}", one.score))
    return rows


def to_json(decoded: list[Detection]) -> list[dict[str, Any]]:
    """[{"label", "index", "score", "box": [left, top, right, bottom]}, ...] in pixels."""
    return [
        {"label": one.label, "index": one.index, "score": one.score, "box": list(one.box)}
        for one in decoded
    ]


def draw(image: Image.Image, decoded: list[Detection]) -> Image.Image:
    """The image with its boxes."""
    boxes = np.array([one.box for one in decoded], np.float32).reshape(-1, 4)
    captions = [f"{one.label} {one.score:.0%}" for one in decoded]
    return draw_boxes(image, boxes, captions, [one.index for one in decoded])


def mask(decoded: list[Detection]) -> None:
    """None: JSON has all that is known."""
