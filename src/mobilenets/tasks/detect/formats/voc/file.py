"""One file of VOC's XML, and its kin."""

import io
import math
import re
import xml.etree.ElementTree as ET
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mobilenets.data.listing import Part, one_line

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_ROTATED = ("cx", "cy", "w", "h", "angle")
_ERRORS = (ET.ParseError, ValueError, LookupError)
_LOST = "\ufffd"
"""What stands for a byte that is no text."""


@dataclass
class VocFile:
    """One annotation file; corners are as it has them."""

    path: str
    part: Part
    image: str = ""
    size: tuple[int, int] = (0, 0)
    names: dict[str, int] = field(default_factory=dict)
    """The classes' names, numbered by appearance."""
    labels: "array[int]" = field(default_factory=lambda: array("q"))
    corners: "array[float]" = field(default_factory=lambda: array("d"))
    difficult: "array[int]" = field(default_factory=lambda: array("b"))
    malformed: int = 0
    outlines: int = 0
    """Objects without a box of their own."""

    def add(self, item: ET.Element) -> None:
        """An <object>; one without name or corners is counted."""
        name = one_line(item.findtext("name") or "")
        try:
            corners = self._corners(item)
        except ValueError:
            corners = []
        if _LOST in name:
            raise ValueError(f"a class's name is not text in UTF-8: {name!r:.40}")
        if not (name and corners):
            self.malformed += 1
            return
        self.labels.append(self.names.setdefault(name, len(self.names)))
        self.corners.extend(corners)
        self.difficult.append((item.findtext("difficult") or "").strip() in ("1", "true", "True"))

    def _corners(self, item: ET.Element) -> Sequence[float]:
        """Of its box, else around its rotated box or its polygon."""
        box, rotated, polygon = (item.find(tag) for tag in ("bndbox", "robndbox", "polygon"))
        if box is not None:
            return [_float(box, corner) for corner in _CORNERS]
        if rotated is not None:
            self.outlines += 1
            x, y, width, height, angle = (_float(rotated, name) for name in _ROTATED)
            cos, sin = abs(math.cos(angle)), abs(math.sin(angle))
            reach = (width * cos + height * sin) / 2, (width * sin + height * cos) / 2
            return [x - reach[0], y - reach[1], x + reach[0], y + reach[1]]
        if polygon is None:
            return []
        self.outlines += 1
        texts = [(one.tag, one.text or "") for one in polygon.iter()]
        xs, ys = ([float(t) for tag, t in texts if re.fullmatch(f"{k}[0-9]*", tag)] for k in "xy")
        return [min(xs), min(ys), max(xs), max(ys)]


def _float(box: ET.Element, name: str) -> float:
    return float(box.findtext(name) or "")


def parse(root: Path, path: str, part: Part) -> VocFile:
    """Read a file; OSError, or a ValueError, LookupError or ParseError that says what is wrong.

    Where its bytes are not what it says they are, they are taken as the encoding that is declared
    has them, which the parser may not know, or as UTF-8 with gaps: names of folders may have
    some, names of classes may not.
    """
    data = (root / path).read_bytes()
    try:
        return _parsed(data, VocFile(path, part))
    except _ERRORS:
        declared = re.search(rb"""^\s*<\?xml[^>]*encoding=["']([\w.-]+)""", data[:200])
        encoding = declared.group(1).decode() if declared else "utf-8-sig"
        try:
            text = data.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            text = data.decode("utf-8-sig", errors="replace")
        try:
            text = re.sub(r"^\s*<\?xml.*?\?>", "", text, flags=re.DOTALL)
            return _parsed(text.encode(errors="replace"), VocFile(path, part))
        except _ERRORS as error:
            if _LOST in str(error):
                raise
    return _parsed(data, VocFile(path, part))  # for the first error


def _parsed(data: bytes, found: VocFile) -> VocFile:
    """Element by element, so that a file with very many objects takes no more memory."""
    depth = 0
    for event, element in ET.iterparse(io.BytesIO(data), ("start", "end")):
        depth += 1 if event == "start" else -1
        if event == "start":
            if depth == 1 and element.tag != "annotation":
                raise ValueError(f"not VOC: it begins with <{element.tag}>, not <annotation>")
        elif depth == 1:
            if element.tag == "object":
                found.add(element)
            elif element.tag == "size":
                found.size = (_side(element, "width"), _side(element, "height"))
            elif element.tag == "filename":
                found.image = (element.text or "").strip()
            element.clear()
    return found


def _side(element: ET.Element, name: str) -> int:
    try:
        value = float(element.findtext(name) or "")
    except ValueError:
        return 0
    return int(value) if 0 < value < 2**31 else 0


def first_tag(path: Path) -> str:
    """What an XML file begins with; '' where that is not seen."""
    try:
        with path.open("rb") as file:
            head = file.read(4096).replace(b"\0", b"").decode(errors="replace")
    except OSError:
        return ""
    match = re.search(r"<([A-Za-z_][\w.:-]*)", re.sub(r"<!--.*?-->", "", head, flags=re.DOTALL))
    return match.group(1) if match else ""
