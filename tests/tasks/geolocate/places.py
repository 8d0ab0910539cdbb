"""Cells and photographs that several tests take."""

from pathlib import Path

import numpy as np
from PIL import Image

from mobilenets.card import ModelCard
from mobilenets.tasks.geolocate.cells import Atlas, Cell
from mobilenets.tasks.geolocate.read import LOGITS


def atlas(count: int = 12, seed: int = 0, spread: float = 40.0) -> Atlas:
    """Cells somewhere in Europe."""
    random = np.random.default_rng(seed)
    made = []
    for i in range(count):
        lat, lon = random.uniform(40, 60), random.uniform(0, 30)
        corners = tuple((lat + a, lon + b) for a, b in ((1, 1), (1, -1), (-1, -1), (-1, 1)))
        made.append(Cell(f"{i:x}4", 6, corners, (lat, lon), float(random.uniform(1, spread)), 9))
    return Atlas(tuple(made))


def card_with(cells: Atlas, **kept: object) -> ModelCard:
    return ModelCard(
        "planet_mobilenet_v2",
        task="geolocate",
        labels=tuple(cell.token for cell in cells.cells),
        outputs=LOGITS,
        kept={"cells": cells.to_json(), **kept},
    )


def photo(path: Path, gps: dict[int, object] | None = None) -> Path:
    """A small JPEG, with a GPS block of EXIF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (40, 30), (90, 120, 200))
    exif = Image.Exif()
    if gps is not None:
        exif.get_ifd(0x8825).update(gps)
    image.save(path, exif=exif)
    return path
