"""LabelMe's JSON: a file for each image, with outlines."""

from typing import Any

from mobilenets.tasks.detect.formats.boxes import side
from mobilenets.tasks.detect.formats.tools.pictures import WRONG, MarkedImage, Thing, around


def labelme(content: Any, source: str) -> MarkedImage:
    """One file: rectangles, and the boxes around polygons, circles and others but single points.

    ValueError, KeyError or TypeError where it is something else.
    """
    picture = MarkedImage(
        str(content["imagePath"]),
        source,
        (side(content.get("imageWidth")), side(content.get("imageHeight"))),
    )
    for shape in content["shapes"]:
        try:
            kind, points = shape.get("shape_type") or "polygon", shape["points"]
            if kind == "point" or not str(shape["label"]).strip():
                raise ValueError("no box")
            if kind == "circle":
                (x, y), (edge_x, edge_y) = ((float(a), float(b)) for a, b in points)
                radius = ((x - edge_x) ** 2 + (y - edge_y) ** 2) ** 0.5
                corners = (x - radius, y - radius, x + radius, y + radius)
            else:
                corners = around(points)
            outline = kind != "rectangle"
            difficult = shape.get("difficult") is True
            picture.things.append(
                Thing(str(shape["label"]), corners, difficult=difficult, outline=outline)
            )
        except WRONG:
            picture.malformed += 1
    return picture


def supervisely(content: Any, source: str) -> MarkedImage:
    """One file of Supervisely: `ann/a.jpg.json` for `img/a.jpg`.

    ValueError, KeyError or TypeError where it is something else.
    """
    size = content.get("size") or {}
    name = source.rpartition("/")[2].removesuffix(".json")
    picture = MarkedImage(name, source, (side(size.get("width")), side(size.get("height"))))
    for one in content["objects"]:
        try:
            exterior = one["points"]["exterior"]
            outline = one.get("geometryType") != "rectangle"
            picture.things.append(Thing(str(one["classTitle"]), around(exterior), outline=outline))
        except WRONG:
            picture.malformed += 1
    return picture
