"""The truth of Revisited Oxford and Paris: `gnd_roxford5k.json` beside the images.

The authors' file, as JSON: `imlist` and `qimlist` name the images of the gallery and the queries,
`gnd` has for each query `bbx`, the part of it that is looked for, and the places of the images that
are `easy`, `hard` and `junk`. The images lie in the folder, or in `jpg` in it.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from mobilenets.data.contents.hashes import short_hash
from mobilenets.data.listing import count, few
from mobilenets.errors import DataError
from mobilenets.runtime.images import SUFFIXES, read_image
from mobilenets.tasks.embed.formats.targets import Sought
from mobilenets.tasks.embed.measure.revisited import QueryTruth


@dataclass(frozen=True)
class TruthImages:
    """The gallery, then the queries, cut to their boxes; implements `Dataset`."""

    files: tuple[Path, ...]
    names: tuple[str, ...]
    boxes: tuple[tuple[float, ...], ...]
    """Left, top, right, bottom of what is looked for, of each query."""
    truths: tuple[QueryTruth, ...]
    notes: list[str]
    root: Path
    """The folder of the truth."""
    listed: str
    """The name of the truth's file."""
    classes: tuple[str, ...] = ()
    origin: str = "the queries and the gallery of its truth"

    def __len__(self) -> int:
        return len(self.files)

    def image(self, i: int) -> Image.Image:
        """The picture; of a query, the part that is looked for."""
        picture = read_image(self.files[i])
        query = i - (len(self.files) - len(self.boxes))
        if query < 0:
            return picture
        left, top, right, bottom = self.boxes[query]
        box = (max(int(left), 0), max(int(top), 0), min(int(right), picture.width),
               min(int(bottom), picture.height))  # fmt: skip
        return picture.crop(box) if box[0] < box[2] and box[1] < box[3] else picture

    def target(self, i: int) -> Sought:
        """What it is for; there are no classes."""
        query = i >= len(self.files) - len(self.boxes)
        return Sought(0, i, "query" if query else "gallery")

    def name(self, i: int) -> str:
        """What the truth calls it."""
        return self.names[i]

    def source(self, i: int) -> Path:
        """What picture i is told by: its file."""
        return self.files[i]

    def labels_digest(self) -> str:
        """A hash of boxes and truth."""
        return short_hash(repr((self.boxes, self.truths)).encode())


def find_truth(folder: Path) -> Path | None:
    """The one `gnd_*.json` of a folder; None where there is none, or several."""
    found = sorted(folder.glob("gnd_*.json")) if folder.is_dir() else []
    return found[0] if len(found) == 1 else None


def open_truth(path: Path) -> TruthImages:
    """Its images; DataError for a file that is none, or whose images are not there."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        names = [*map(str, said["imlist"]), *map(str, said["qimlist"])]
        queries = [_query(one, len(said["imlist"])) for one in said["gnd"]]
        if len(queries) != len(said["qimlist"]):
            raise ValueError(f"{len(said['qimlist'])} queries, and {len(queries)} truths")
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: no truth of queries and a gallery ({error})") from error
    files = [_file(path.parent, name) for name in names]
    missing = [name for name, file in zip(names, files, strict=True) if file is None]
    if missing:
        what = count(len(missing), "image is", "images are")
        raise DataError(f"{path}: {what} not there, and places would not fit: {few(missing)}")
    known = tuple(file for file in files if file is not None)
    notes = [f"truth is that of {path.name}: {count(len(queries), 'query', 'queries')}"]
    boxes, truths = (tuple(part) for part in zip(*queries, strict=True))
    return TruthImages(known, tuple(names), boxes, truths, notes, path.parent, path.name)


def _query(said: Any, gallery: int) -> tuple[tuple[float, ...], QueryTruth]:
    box = tuple(float(side) for side in said["bbx"])
    lists = [tuple(int(i) for i in said[name]) for name in ("easy", "hard", "junk")]
    if len(box) != 4 or any(not 0 <= i < gallery for one in lists for i in one):
        raise ValueError("a box must have four sides, and places be those of images")
    return box, QueryTruth(*lists)


def _file(folder: Path, name: str) -> Path | None:
    for place in (folder, folder / "jpg"):
        if (place / name).is_file():
            return place / name
        for suffix in sorted(SUFFIXES):
            if (place / f"{name}{suffix}").is_file():
                return place / f"{name}{suffix}"
    return None
