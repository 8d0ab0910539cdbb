"""`data check` of photographs with positions: how many, of how many places, and what they span."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from mobilenets.data.listing import count
from mobilenets.data.problems import Problem
from mobilenets.errors import DataError
from mobilenets.processors import processors
from mobilenets.runtime.images import read_header
from mobilenets.tasks.geolocate.data import open_parts, open_places
from mobilenets.tasks.geolocate.formats.find import say_positions
from mobilenets.tasks.geolocate.formats.globe import Globe, is_globe
from mobilenets.tasks.geolocate.formats.places import Places
from mobilenets.tasks.geolocate.formats.spots import KINDS
from mobilenets.tasks.geolocate.read import Whereabouts
from mobilenets.tasks.geolocate.show import draw as draw_located
from mobilenets.tasks.geolocate.sphere import distances, in_words, length, middle
from mobilenets.tasks.report import Progress, Report, Table, files_of, survey_parts

THINGS = "positions"
NETWORK = "a network that locates"
GIVE = "positions: photographs with GPS, or a list with columns image, lat and lon"
LAST = False

Parts = Mapping[str, Places | Globe]


class Span(NamedTuple):
    """What the photographs of a part span."""

    images: int
    """Photographs with a position."""
    places: int
    """Positions that differ."""
    box: tuple[float, float, float, float]
    """South, west, north, east in degrees; the west is beyond the east across the date line."""
    reach: float
    """Kilometres from the middle to the farthest."""


def claims(path: str) -> bool:
    """Whether a list or names say positions, or `globe` is asked for.

    Photographs from telephones have positions too when they are here to be classified: EXIF is
    looked at where somebody asks for it, by a network's name or `--task`.
    """
    try:
        return is_globe(path) or say_positions(Path(path))
    except (DataError, OSError):
        return False


def look(path: str, split: str | None, progress: Progress) -> Report:
    """What every part on disk holds, or one split as training would open it."""
    parts, spans = survey_parts(path, split, progress, _parts, open_places, survey)
    parts = {name: _measured(part) for name, part in parts.items()}
    first = next(iter(parts.values()))
    images = sum(span.images for span in spans.values())
    content: list[Table | str] = [
        f"{path}: {first.kind}, {count(images, 'photograph', 'photographs')}",
        _table(spans),
        *(f"{name}: {_box(span)}" for name, span in spans.items()),
    ]
    return Report(parts, to_json(parts, spans), content, draw, files_of(parts))


def survey(part: Places | Globe, advance: Callable[[int], None]) -> Span:
    """The span of a part."""
    positions = np.asarray(part.positions)
    advance(len(part))
    south, north = positions[:, 0].min(), positions[:, 0].max()
    lons = np.unique(positions[:, 1])
    gaps = np.diff(np.append(lons, lons[0] + 360))
    widest = int(gaps.argmax())  # what is left when the widest gap is cut out
    west, east = lons[(widest + 1) % len(lons)], lons[widest]
    reach = float(distances([middle(positions)], positions).max())
    places = len(np.unique(positions, axis=0))
    return Span(len(part), places, (south, west, north, east), reach)


def draw(part: Places | Globe, image: Image.Image, i: int) -> Image.Image:
    """A photograph over maps with its position."""
    return draw_located(image, Whereabouts(*part.target(i), ()))


def to_json(parts: Parts, spans: Mapping[str, Span]) -> dict[str, Any]:
    """All figures, for programs."""
    return {
        "task": "geolocate",
        "kind": next(iter(parts.values())).kind,
        "parts": {
            name: {
                "images": span.images,
                "places": span.places,
                "box": dict(
                    zip(("south", "west", "north", "east"), map(float, span.box), strict=True)
                ),
                "reach_km": span.reach,
            }
            for name, span in spans.items()
        },
    }


def _parts(path: str) -> Parts:
    return open_parts(path)


def _measured(part: Places | Globe) -> Places | Globe:
    """A part with the sizes of its images; those that cannot be opened are named and left out."""
    if isinstance(part, Globe):
        return part

    def one(i: int) -> tuple[int, int] | None:
        try:
            return read_header(part.path(i)).size
        except DataError:
            return None

    with ThreadPoolExecutor(processors()) as pool:
        sizes = list(pool.map(one, range(len(part))))
    good = [i for i, size in enumerate(sizes) if size is not None]
    bad = [part.files[i] for i, size in enumerate(sizes) if size is None]
    if not good:
        raise DataError(f"{part.root}: none of its images can be opened")
    known = [Problem("unreadable", len(bad), tuple(bad), KINDS["unreadable"])] if bad else []
    return replace(
        part,
        files=tuple(part.files[i] for i in good),
        sizes=np.array([sizes[i] for i in good], np.int64),
        positions=part.positions[good],
        problems=[*part.problems, *known],
    )


def _table(spans: Mapping[str, Span]) -> Table:
    rows: dict[str, tuple[Any, ...]] = {
        name: (span.images, span.places, f"{span.images / span.places:.1f}", length(span.reach))
        for name, span in spans.items()
    }
    return Table(("part", "photographs", "positions", "at each", "reach from the middle"), rows)


def _box(span: Span) -> str:
    south, west, north, east = map(float, span.box)
    return f"from {in_words(south, west)} to {in_words(north, east)}"
