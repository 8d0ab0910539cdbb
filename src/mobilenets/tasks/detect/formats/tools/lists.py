"""Tools that write one JSON file for many images: Label Studio, CreateML, VIA; and JSON lines."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from mobilenets.tasks.detect.formats.boxes import side
from mobilenets.tasks.detect.formats.tools.pictures import WRONG, MarkedImage, Thing, around, turned


def createml(content: Any, source: str) -> Iterator[MarkedImage]:
    """Apple's CreateML: centre x, y, width, height in pixels."""
    for entry in content:
        picture = MarkedImage(str(entry.get("image") or entry["imagefilename"]), source)
        for one in entry.get("annotations") or entry.get("annotation") or []:
            try:
                place = one["coordinates"]
                x, y, width, height = (float(place[key]) for key in ("x", "y", "width", "height"))
                corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
                picture.things.append(Thing(str(one["label"]), corners))
            except WRONG:
                picture.malformed += 1
        yield picture


def via(content: Any, source: str) -> Iterator[MarkedImage]:
    """VGG's annotator: a project, or its export; the class is the attribute that most regions have.

    Regions without one are called `object`.
    """
    entries = content.get("_via_img_metadata", content).values()
    entries = [entry for entry in entries if isinstance(entry, dict) and "filename" in entry]
    keys = Counter(
        key
        for entry in entries
        for region in _regions(entry)
        for key, value in (region.get("region_attributes") or {}).items()
        if value
    )
    key = keys.most_common(1)[0][0] if keys else ""
    for entry in entries:
        picture = MarkedImage(str(entry["filename"]), source)
        for region in _regions(entry):
            try:
                name = _attribute((region.get("region_attributes") or {}).get(key)) or "object"
                corners, outline = via_shape(region["shape_attributes"])
                picture.things.append(Thing(name, corners, outline=outline))
            except WRONG:
                picture.malformed += 1
        yield picture


def _regions(entry: Any) -> list[Any]:
    regions = entry.get("regions") or []
    return list(regions.values()) if isinstance(regions, dict) else list(regions)


def _attribute(value: Any) -> str:
    """A text, or the choice that is ticked."""
    if isinstance(value, dict):
        return next((name for name, ticked in value.items() if ticked), "")
    return str(value or "").strip()


def via_shape(shape: Any) -> tuple[tuple[float, float, float, float], bool]:
    """The box of a region, and whether it is one around an outline; ValueError for a point."""
    kind = shape["name"]
    if kind == "rect":
        x, y, width, height = (float(shape[key]) for key in ("x", "y", "width", "height"))
        return (x, y, x + width, y + height), False
    if kind in ("circle", "ellipse"):
        x, y = float(shape["cx"]), float(shape["cy"])
        rx, ry = float(shape.get("rx", shape.get("r"))), float(shape.get("ry", shape.get("r")))
        return (x - rx, y - ry, x + rx, y + ry), True
    if kind in ("polygon", "polyline"):
        points = zip(shape["all_points_x"], shape["all_points_y"], strict=True)
        return around(points), True
    raise ValueError("no box")


def label_studio(content: Any, source: str) -> Iterator[MarkedImage]:
    """Label Studio's JSON and JSON-MIN: x, y, width, height in percent of the image's sides."""
    for task in content:
        data = task.get("data") or task
        image = next((data[key] for key in ("image", "img", "ocr", "url") if data.get(key)), None)
        if image is None:
            texts = (value for value in data.values() if isinstance(value, str))
            image = next((text for text in texts if "/" in text), "")
        picture = MarkedImage(str(image), source)
        answers = task.get("annotations") or task.get("completions") or []
        kept = [one for one in answers if not one.get("was_cancelled")][-1:]
        results = [result for one in kept for result in one.get("result") or []]
        if "annotations" not in task and "completions" not in task:  # JSON-MIN
            lists = (value for value in task.values() if isinstance(value, list))
            results = [one for value in lists for one in value if isinstance(one, dict)]
        for result in results:
            _add_result(picture, result)
        yield picture


def _add_result(picture: MarkedImage, result: Any) -> None:
    value = result.get("value") or result
    names = next((value[key] for key in value if key.endswith("labels") and value[key]), None)
    if result.get("type") in ("choices", "textarea", "rating", "labels"):
        return
    try:
        width, height = side(result["original_width"]), side(result["original_height"])
        if "points" in value:
            corners = around(value["points"])
        else:
            x, y = float(value["x"]), float(value["y"])
            corners = (x, y, x + float(value["width"]), y + float(value["height"]))
        name = names[0] if names else ""
        if not name or not (width and height):
            raise ValueError("no class or size")
        scale = (width / 100, height / 100) * 2
        pixels: Sequence[float] = [corner * one for corner, one in zip(corners, scale, strict=True)]
        angle = float(value.get("rotation") or 0)
        if angle:  # about the top left corner
            pixels = turned(pixels, angle, (pixels[0], pixels[1]))
        picture.size = (width, height)
        outline = "points" in value or bool(angle)
        picture.things.append(Thing(str(name), pixels, outline=outline))
    except WRONG:
        picture.malformed += 1


def json_lines(text: str, source: str) -> Iterator[MarkedImage]:
    """`metadata.jsonl` of Hugging Face: `objects` has lists of x, y, width, height and of classes.

    ValueError for a line that is no JSON.
    """
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            picture = MarkedImage(str(entry["file_name"]), source)
            size = (side(entry.get("width")), side(entry.get("height")))
            picture.size = size if all(size) else (0, 0)
            found = entry.get("objects") or {}
            keys = ("categories", "category", "labels", "label", "category_id")
            names: Any = next((found[key] for key in keys if key in found), [])
            boxes = found.get("bbox", found.get("boxes", []))
        except WRONG as error:
            raise ValueError(f"line {number}: {error}") from None
        for i, box in enumerate(boxes):
            try:
                x, y, width, height = map(float, box)
                picture.things.append(Thing(str(names[i]), (x, y, x + width, y + height)))
            except WRONG:
                picture.malformed += 1
        yield picture
