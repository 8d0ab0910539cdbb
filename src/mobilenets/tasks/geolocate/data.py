"""Photographs with the places where they were taken, and the built-in globe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np

from mobilenets.data.dataset import AnnotatedDataset
from mobilenets.data.inventory import Taken
from mobilenets.data.listing import count
from mobilenets.data.shapes import shape_split
from mobilenets.data.splits import Split, present
from mobilenets.tasks.geolocate.cells import KEY
from mobilenets.tasks.geolocate.formats.find import find_positions
from mobilenets.tasks.geolocate.formats.globe import Globe, is_globe
from mobilenets.tasks.geolocate.formats.parts import choose_places
from mobilenets.tasks.geolocate.formats.places import NO_SIZES, Places
from mobilenets.tasks.geolocate.formats.spots import FoundPlaces
from mobilenets.tasks.geolocate.partition import bounds, partition
from mobilenets.tasks.geolocate.recipes.settings import PlaceObjective
from mobilenets.tasks.geolocate.sphere import Floats


def open_data(path: str | Path, split: str, *, seed: int = 0) -> AnnotatedDataset:
    """Photographs with EXIF positions, a list of positions, or `globe`."""
    return open_places(path, cast(Split, split), seed=seed)


def open_learning(path: str | Path, split: str, objective: PlaceObjective) -> AnnotatedDataset:
    """The same with cells as the objective wants them; ValueError for the globe with others."""
    most, least = objective.cell_most or None, objective.cell_least or None
    if is_globe(path) and (most or least):
        raise ValueError("cell_most and cell_least are for photographs: globe has cells of its own")
    return open_places(path, cast(Split, split), most=most, least=least)


def open_places(
    path: str | Path,
    split: Split,
    *,
    val_fraction: float = 0.2,
    seed: int = 0,
    most: int | None = None,
    least: int | None = None,
) -> Places | Globe:
    """Open photographs whose positions are known; what says them is seen from the disk.

    A CSV or TSV list with columns image, lat and lon, and perhaps split and group; GeoJSON points;
    positions in the names of the images; EXIF; the word `globe`. Where the data has no val part,
    whole groups are held out, or where there are none whole places (`formats.parts`).

    The training part has cells of the map as its classes: a cell with more than `most` photographs
    is split, one with fewer than `least` is left out with its photographs; None follows from their
    number (`partition.bounds`). Needs s2geometry, the other parts do not. Positions that are wrong
    or missing are counted and named in `problems` and `notes`; DataError where nothing is left.
    """
    if is_globe(path):
        return Globe(split=shape_split(split), seed=seed)
    found = find_positions(Path(path))
    chosen = choose_places(found, path, split, val_fraction, seed)
    images = chosen.images
    cells: tuple[str, ...] = ()
    kept: dict[str, object] = {}
    notes = [*found.notes, *chosen.notes]
    if split == "train":
        photographs = len(images)
        usual = bounds(photographs)
        limits = usual[0] if most is None else most, usual[1] if least is None else least
        made = partition(_positions(found, images), *limits)
        lost = [found.spots[i].file for i, cell in zip(images, made.of, strict=True) if cell < 0]
        images = [i for i, cell in zip(images, made.of, strict=True) if cell >= 0]
        found.problems.add("rare", lost)
        cells = tuple(cell.token for cell in made.atlas.cells)
        kept = {KEY: made.atlas.to_json()}
        notes.append(
            f"{count(len(cells), 'cell', 'cells')} of the map, of {limits[1]} to {limits[0]} "
            f"photographs, as {photographs:,} are there"
        )
        if made.left_out:
            what = count(made.left_out, "cell has", "cells have")
            notes.append(f"{what} fewer than {limits[1]}: left out with {len(lost)} photographs")
    notes += [problem.sentence for problem in found.problems.list() if problem.kind != "rare"]
    return _opened(found, images, notes, cells, kept, chosen.origin)


def open_parts(path: str | Path, *, seed: int = 0) -> dict[str, Places | Globe]:
    """Every part that the data itself has, by name; `all` where it says of none."""
    if is_globe(path):
        return {part: Globe(split=shape_split(part), seed=seed) for part in ("train", "val")}
    found = find_positions(Path(path))
    every = range(len(found.spots))
    return {
        part or "all": _opened(
            found, [i for i in every if found.spots[i].part == part], found.notes
        )
        for part in present([spot.part for spot in found.spots])
    }


def _opened(
    found: FoundPlaces,
    images: Sequence[int],
    notes: list[str],
    cells: tuple[str, ...] = (),
    kept: dict[str, object] | None = None,
    origin: str = "",
) -> Places:
    taken = Taken(found.root, frozenset(spot.file for spot in found.spots), frozenset(found.lists))
    return Places(
        found.kind,
        found.root,
        cells,
        True,
        tuple(found.spots[i].file for i in images),
        NO_SIZES,
        notes,
        found.problems.list(),
        origin=origin,
        taken=taken,
        positions=_positions(found, images),
        kept=kept or {},
    )


def _positions(found: FoundPlaces, images: Sequence[int]) -> Floats:
    spots = found.spots
    return np.array([(spots[i].lat, spots[i].lon) for i in images], np.float64).reshape(-1, 2)
