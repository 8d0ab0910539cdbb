"""Where photographs were taken, for people and for programs, and on a map."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from PIL import Image

from mobilenets.runtime.draw import readable
from mobilenets.tasks.geolocate.read import Whereabouts
from mobilenets.tasks.geolocate.sphere import in_words, length

TOGETHER = "seen.geojson"
"""The file for all photographs that `predict --save-dir` writes."""


def describe(decoded: Whereabouts) -> list[tuple[str, float]]:
    """Rows (position and a distance, how sure it is that it is no further off)."""
    where = in_words(decoded.lat, decoded.lon)
    return [(f"{where}, within {length(circle.radius)}", circle.held) for circle in decoded.circles]


def to_json(decoded: Whereabouts) -> dict[str, Any]:
    """{"lat", "lon", "radius_50_km", "radius_90_km", "cells": [{"token", "share", ...}, ...]}."""
    return {
        "lat": decoded.lat,
        "lon": decoded.lon,
        **_radii(decoded),
        "cells": [
            {
                "token": one.cell.token,
                "level": one.cell.level,
                "share": one.share,
                "lat": one.cell.mean[0],
                "lon": one.cell.mean[1],
                "corners": [list(corner) for corner in one.cell.corners],
            }
            for one in decoded.cells
        ],
    }


def draw(image: Image.Image, decoded: Whereabouts) -> Image.Image:
    """The photograph over two maps, of the earth and of around the answer."""
    from mobilenets.tasks.geolocate.show.maps import beside

    lines = [f"{held:.0%}: {text}" for text, held in describe(decoded)]
    return beside(readable(image), decoded, lines or [in_words(decoded.lat, decoded.lon)])


def mask(decoded: Whereabouts) -> None:
    """None: JSON has all that is known."""


def together(seen: Iterable[tuple[str, Whereabouts]], writer: str) -> str:
    """GeoJSON with a point for each photograph, its name and its radii among the properties."""
    return json.dumps(features([feature(*one) for one in seen], writer), indent=1)


def feature(name: str, decoded: Whereabouts) -> dict[str, Any]:
    """A photograph's point in GeoJSON."""
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [decoded.lon, decoded.lat]},
        "properties": {"image": name, **_radii(decoded)},
    }


def features(made: Sequence[dict[str, Any]], writer: str) -> dict[str, Any]:
    """Points in a collection that says what wrote it."""
    return {"type": "FeatureCollection", "generator": writer, "features": list(made)}


def _radii(decoded: Whereabouts) -> dict[str, float]:
    return {f"radius_{circle.held * 100:.0f}_km": circle.radius for circle in decoded.circles}
