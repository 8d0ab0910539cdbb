"""Pictures that come with the package, and the vectors that a model makes of them.

An index keeps them. They are embedded again before it is searched: where they differ, the index is
of another model, another resizing or another runtime, and its cosines would mean nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from mobilenets.data.shapes import Shapes
from mobilenets.errors import DataError
from mobilenets.index.embedder import Embedder, Vectors

COUNT, SIDE = 3, 300
ALIKE = 0.9999
"""Cosine from which two vectors of one picture count as made in the same way."""


def pictures() -> list[Image.Image]:
    """Drawn, always the same; larger than inputs are, and not square, so that resizing shows."""
    shapes = Shapes(SIDE, seed=7)
    return [shapes.image(i).crop((0, 0, SIDE - 40 * i, SIDE)) for i in range(COUNT)]


def probe(embedder: Embedder) -> Vectors:
    """(3, dimensions): the vectors of the pictures."""
    return np.stack([embedder.one(picture) for picture in pictures()])


def check(name: str, said: Mapping[str, Any], probes: Vectors, embedder: Embedder) -> None:
    """DataError where the index called `name` was made in another way than `embedder` has.

    `said` is the fingerprint that the index keeps, `probes` its vectors of the pictures. A model
    that gives the same vectors, such as the export of a checkpoint, is the same one.
    """
    found = probe(embedder)
    if found.shape == probes.shape:
        cosine = float((found * probes).sum(1).min())
        if cosine >= ALIKE:
            return
        how = f"the probe pictures agree to {cosine:.4f} only"
    else:
        how = f"its vectors have {probes.shape[1]} numbers, these {found.shape[1]}"
    now = embedder.fingerprint()
    differ = [_difference(key, said.get(key), now[key]) for key in now if said.get(key) != now[key]]
    why = "; ".join(differ) or "the program computes otherwise here"
    raise DataError(f"{name} was made in another way ({how}): {why}; embed the images again")


def _difference(key: str, was: Any, now: Any) -> str:
    if key == "model":
        return "another model"
    if key == "preprocessing" and isinstance(was, dict):
        parts = [f"{k} {was.get(k)} then, {now[k]} now" for k in now if was.get(k) != now[k]]
        return ", ".join(parts)
    return f"{key} {was or 'none'} then, {now or 'none'} now"
