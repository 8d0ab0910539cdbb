"""CVAT's own XML, for images and for video, version 1.1."""

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from pathlib import Path

from mobilenets.data.listing import part_named
from mobilenets.tasks.detect.formats.boxes import side
from mobilenets.tasks.detect.formats.tools.pictures import WRONG, MarkedImage, Thing, around, turned

_SHAPES = ("box", "polygon", "polyline", "ellipse", "mask", "cuboid", "points", "skeleton")
_CORNERS = ("xtl", "ytl", "xbr", "ybr")


def cvat(path: Path, source: str) -> Iterator[MarkedImage]:
    """The images of a file, or a video's frames as CVAT names them; corners are edges in pixels."""
    depth = 0
    for event, element in ET.iterparse(path, ("start", "end")):
        depth += 1 if event == "start" else -1
        if event == "end" and depth == 1:
            if element.tag == "track":
                yield from _frames(element, source)
            elif element.tag == "image":
                yield _picture(element, source)
            element.clear()


def _frames(track: ET.Element, source: str) -> Iterator[MarkedImage]:
    for shape in track:
        if shape.tag not in _SHAPES or shape.attrib.get("outside") == "1":
            continue
        frame = shape.attrib.get("frame", "")
        picture = MarkedImage(f"frame_{int(frame):06d}" if frame.isdecimal() else frame, source)
        _add(picture, shape, track.attrib.get("label", ""))
        yield picture


def _picture(element: ET.Element, source: str) -> MarkedImage:
    said = element.attrib
    picture = MarkedImage(
        said.get("name", ""),
        source,
        (side(said.get("width")), side(said.get("height"))),
        part_named(said.get("subset", "")) or "",
    )
    for shape in element:
        if shape.tag in _SHAPES:
            _add(picture, shape, shape.attrib.get("label", ""))
    return picture


def _add(picture: MarkedImage, shape: ET.Element, name: str) -> None:
    try:
        corners = _corners(shape)
        if not name.strip():
            raise ValueError("no class")
        angle = float(shape.attrib.get("rotation") or 0)
        if angle:
            middle = (corners[0] + corners[2]) / 2, (corners[1] + corners[3]) / 2
            corners = turned(corners, angle, middle)
        outline = shape.tag != "box" or bool(angle)
        picture.things.append(Thing(name.strip(), corners, outline=outline))
    except WRONG:
        picture.malformed += 1


def _corners(shape: ET.Element) -> Sequence[float]:
    said = shape.attrib
    if shape.tag == "box":
        return [float(said[corner]) for corner in _CORNERS]
    if shape.tag in ("polygon", "polyline"):
        return around([point.split(",") for point in said["points"].split(";")])
    if shape.tag == "ellipse":
        x, y, rx, ry = (float(said[key]) for key in ("cx", "cy", "rx", "ry"))
        return [x - rx, y - ry, x + rx, y + ry]
    if shape.tag == "mask":
        left, top, width, height = (float(said[key]) for key in ("left", "top", "width", "height"))
        return [left, top, left + width, top + height]
    raise ValueError("no box")
