"""Distances and points on the earth, taken as a sphere."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

RADIUS = 6371.0088
"""The earth's mean radius in kilometres; distances on the ellipsoid differ by 0.5 % at most."""

Floats = NDArray[np.float64]


def vectors(positions: Any) -> Floats:
    """(N, 2) latitudes and longitudes in degrees -> (N, 3) unit vectors."""
    lat, lon = np.radians(np.asarray(positions, np.float64).reshape(-1, 2)).T
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)


def distances(first: Any, second: Any) -> Floats:
    """(N, M) kilometres along great circles from (N, 2) positions in degrees to (M, 2) others."""
    a, b = vectors(first), vectors(second)
    square = np.zeros((len(a), len(b)))
    for axis in range(3):  # of differences, not a product: metres keep their digits
        square += (a[:, axis, None] - b[None, :, axis]) ** 2
    chord = np.minimum(np.sqrt(square) / 2, 1.0)
    return np.asarray(2 * RADIUS * np.arcsin(chord))


def pairwise(first: Any, second: Any) -> Floats:
    """(N,) kilometres between positions of the same number in two lists of (N, 2)."""
    half = np.linalg.norm(vectors(first) - vectors(second), axis=1) / 2
    return np.asarray(2 * RADIUS * np.arcsin(np.minimum(half, 1.0)))


def middle(positions: Any) -> tuple[float, float]:
    """The latitude and longitude of the mean direction; over the date line and the poles too."""
    x, y, z = vectors(positions).mean(axis=0).tolist()
    return float(np.degrees(np.arctan2(z, np.hypot(x, y)))), float(np.degrees(np.arctan2(y, x)))


def in_words(lat: float, lon: float) -> str:
    """`45.8131 N, 15.9772 E`: five significant places are about ten metres."""
    return f"{abs(lat):.4f} {'N' if lat >= 0 else 'S'}, {abs(lon):.4f} {'E' if lon >= 0 else 'W'}"


def length(kilometres: float) -> str:
    """A distance for people: `350 m`, `12.3 km`, `1,240 km`."""
    if kilometres < 1:
        return f"{kilometres * 1000:.0f} m"
    return f"{kilometres:.1f} km" if kilometres < 100 else f"{kilometres:,.0f} km"
