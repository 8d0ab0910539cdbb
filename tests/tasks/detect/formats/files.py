"""Small data sets with boxes, written as other people's tools do."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

EXIF_ORIENTATION = 0x0112

WRONG_BOXES = {
    "not finite": 2,
    "inverted": 1,
    "empty": 1,
    "outside": 1,
    "clipped": 1,
    "duplicate": 1,
}
"""What the tests of VOC and YOLO with a box wrong in each way find."""


def put(root: Path, *files: str, size: tuple[int, int] = (60, 40), turned: int = 1) -> None:
    """Images of one colour, as they lie in the file; EXIF says how they are `turned`."""
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = turned
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (90, 90, 90)).save(root / file, exif=exif)


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def coco(
    path: Path,
    images: Iterable[str] | list[dict[str, Any]],
    annotations: Iterable[tuple[Any, ...]] | list[dict[str, Any]] = (),
    categories: Iterable[str] | list[dict[str, Any]] = ("cat", "dog"),
    size: tuple[int, int] = (60, 40),
) -> Path:
    """(image's number, category's number, x, y, w, h, more) -> a file; numbers from 1."""

    def listed(values: Iterable[Any], make: Any) -> list[Any]:
        return [v if isinstance(v, dict) else make(i, v) for i, v in enumerate(values, 1)]

    width, height = size
    content = {
        "images": listed(
            images, lambda i, v: {"id": i, "file_name": v, "width": width, "height": height}
        ),
        "annotations": listed(
            annotations,
            lambda i, v: {
                "id": i,
                "image_id": v[0],
                "category_id": v[1],
                "bbox": list(v[2:6]),
                "area": float("nan") if v[4] is None else 7.5,
                "iscrowd": 0,
                **{key: value for more in v[6:] for key, value in more.items()},
            },
        ),
        "categories": listed(categories, lambda i, v: {"id": i, "name": v}),
    }
    return write(path, json.dumps(content))


def voc(
    path: Path,
    objects: Iterable[tuple[Any, ...]],
    size: tuple[int, int] = (60, 40),
    filename: str = "",
) -> Path:
    """(name, xmin, ymin, xmax, ymax, difficult or not) -> a file."""
    width, height = size
    items = "".join(
        f"<object><name>{name}</name><difficult>{int(bool(more))}</difficult>"
        "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
        f"<bndbox><xmin>{xmin}</xmin><ymin>{ymin}</ymin><xmax>{xmax}</xmax><ymax>{ymax}</ymax>"
        "</bndbox></object>"
        for name, xmin, ymin, xmax, ymax, *more in objects
    )
    return write(
        path,
        f"<annotation><filename>{filename or path.stem + '.jpg'}</filename><size><width>{width}"
        f"</width><height>{height}</height><depth>3</depth></size>{items}</annotation>",
    )
