"""Images of which nothing is known, and such images behind others that are labelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from mobilenets.data.contents import labels_digest
from mobilenets.data.dataset import Dataset
from mobilenets.data.files import InFolder
from mobilenets.data.inventory import Taken
from mobilenets.data.listing import count, held_out
from mobilenets.errors import DataError
from mobilenets.runtime.images import natural_key, walk_images

SHARE, MOST = 0.1, 1000
"""What is held out for validation where nothing is labelled: the share, and images at most."""


@dataclass(frozen=True)
class UnlabelledImages(InFolder):
    """Every image in and below a folder; implements `Dataset`, and has one target for all."""

    root: Path
    classes: tuple[str, ...]
    files: tuple[str, ...]
    nothing: Any
    """What stands for a target: it says that nothing is known."""
    notes: list[str]
    origin: str
    """Which of the folder's images these are, in words."""
    taken: Taken
    """All that is read of the folder, for an account of the others."""

    def target(self, i: int) -> Any:
        """What says that nothing is known."""
        return self.nothing

    def labels_digest(self) -> str:
        """Nothing: there are no labels."""
        return "none"


def open_unlabelled(
    folder: str | Path, classes: Sequence[str], nothing: Any, *, hold: bool, seed: int = 0
) -> tuple[UnlabelledImages, UnlabelledImages]:
    """The images of a folder: those to learn from, and with `hold` some kept for validation.

    These are a tenth, at most 1000, by the rank of a hash of `seed` and file name; without `hold`
    none. DataError for a folder without images, or with one alone where some are to be held.
    """
    root = Path(folder)
    if not root.is_dir():
        raise DataError(f"{root}: unlabelled must be a folder of images")
    files = sorted(walk_images(root), key=natural_key)
    names = [file.relative_to(root).as_posix() for file in files]
    if len(names) < 1 + hold:
        what = count(len(names), "image", "images")
        raise DataError(f"{root}: {what} without labels; {'two are' if hold else 'one is'} needed")
    kept = held_out(names, min(SHARE, MOST / len(names)), seed) if hold else set()
    taken = Taken(root, frozenset(names))

    def part(chosen: Sequence[str], origin: str) -> UnlabelledImages:
        return UnlabelledImages(root, tuple(classes), tuple(chosen), nothing, [], origin, taken)

    return (
        part([name for name in names if name not in kept], ""),
        part([name for name in names if name in kept], f"held out of {len(names)} without labels"),
    )


class BothKinds:
    """Labelled images, and behind them others of which nothing is known; implements `Dataset`."""

    def __init__(self, labelled: Dataset, unlabelled: UnlabelledImages) -> None:
        self.labelled, self.unlabelled = labelled, unlabelled
        self.classes = labelled.classes
        self.notes = list(labelled.notes)

    def __len__(self) -> int:
        return len(self.labelled) + len(self.unlabelled)

    def _of(self, i: int) -> tuple[Dataset, int]:
        known = len(self.labelled)
        return (self.labelled, i) if i < known else (self.unlabelled, i - known)

    def image(self, i: int) -> Image.Image:
        """The picture, RGB and upright; DataError names a file that cannot be read."""
        data, place = self._of(i)
        return data.image(place)

    def target(self, i: int) -> Any:
        """What is to be predicted, or what says that nothing is known."""
        data, place = self._of(i)
        return data.target(place)

    def name(self, i: int) -> str:
        """The file's path in its own folder."""
        data, place = self._of(i)
        return data.name(place)

    def source(self, i: int) -> Any:
        """What tells the picture from all others."""
        data, place = self._of(i)
        own = getattr(data, "source", None)
        return own(place) if own is not None else data.image(place).tobytes()

    def labels_digest(self) -> str:
        """That of the labelled ones."""
        return labels_digest(self.labelled)
