"""Labelled images on disk: class folders, with or without a split, and CSV lists."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from PIL import Image

from mobilenets.data.csv_list import find_csv, list_csv
from mobilenets.data.dataset import Dataset
from mobilenets.data.inventory import Taken
from mobilenets.data.listing import (
    Entry,
    Listing,
    Part,
    count,
    few,
    held_out,
    part_named,
    unknown_labels,
)
from mobilenets.data.shapes import BUILT_IN, Shapes, is_built_in, shape_split
from mobilenets.errors import DataError
from mobilenets.runtime.images import is_image, natural_key, read_image, walk_images

Split = Literal["train", "val", "test", "all"]


@dataclass(frozen=True)
class ListedImages:
    """Images on disk with a class each; implements `Dataset`."""

    root: Path
    classes: tuple[str, ...]
    files: tuple[str, ...]
    """Relative to the root, with `/`."""
    targets: tuple[int, ...]
    notes: list[str]
    taken: Taken | None = None
    """All files of the folder that were listed, for an account of the others."""

    def __len__(self) -> int:
        return len(self.files)

    def image(self, i: int) -> Image.Image:
        """The picture, RGB and upright; DataError names a file that cannot be read."""
        return read_image(self.root / self.files[i])

    def target(self, i: int) -> int:
        """The class, as its place in `classes`."""
        return self.targets[i]

    def name(self, i: int) -> str:
        """The file's path in the data set."""
        return self.files[i]


def open_classification(
    path: str | Path, split: Split, *, val_fraction: float = 0.2, seed: int = 0
) -> Dataset:
    """Open labelled images; what they are is seen from the disk.

    - `train/` and `val/` (also valid, validation, else test), each a folder of class folders;
    - one folder of class folders;
    - a CSV list (see `csv_list.list_csv`), or a folder with a `data.csv` or only one CSV file;
    - the word `shapes`: the built-in data set.

    Where the data does not say which images are for validation, `val_fraction` of each class is
    held out, at least one, by the rank of a hash of `seed` and file name: a file added later
    moves at most one other. `all` is train and val together, `test` the part of that name. Classes
    are sorted by name. DataError for data that cannot be used, or has no such part; lesser things
    are said in `notes`.
    """
    if split not in get_args(Split):
        raise ValueError(f"split must be train, val, test or all, got {split!r}")
    if not 0 < val_fraction < 1:
        raise ValueError(f"val_fraction must be between 0 and 1, got {val_fraction!r}")
    if is_built_in(path):
        return Shapes(split=shape_split(split), seed=seed)
    listing = _checked(_list(Path(path), test=split == "test"))
    entries = _choose(listing, split, val_fraction, seed)
    if not entries:
        raise DataError(f"{path}: no images for {split}; it has {_sizes(listing)}")
    number = {name: i for i, name in enumerate(listing.classes)}
    notes = [*listing.notes, *_absent(listing, entries, split)]
    targets = tuple(number[entry.label] for entry in entries)
    files = tuple(entry.path for entry in entries)
    listed = frozenset(entry.path for part in listing.parts.values() for entry in part)
    taken = Taken(listing.root, listed, frozenset(listing.lists), listing.left)
    return ListedImages(listing.root, tuple(listing.classes), files, targets, notes, taken)


def has_validation(path: str | Path) -> bool:
    """Whether the data itself says which images are for validation; errors as when opening it."""
    return is_built_in(path) or _list(Path(path)).validation is not None


def _list(path: Path, *, test: bool = False) -> Listing:
    """All that is on disk; with `test` also a test folder that nothing else needs."""
    if path.is_file():
        if path.suffix.lower() != ".csv":
            raise DataError(f"{path}: data is a folder, a .csv list or `{BUILT_IN}`")
        return list_csv(path)
    if not path.is_dir():
        raise DataError(f"{path}: no such data folder or CSV file")
    parts = _part_folders(path)
    if parts:
        return _list_parts(path, parts, test=test)
    table = find_csv(path)
    return list_csv(table) if table else _list_parts(path, {"": path})


def _folders(path: Path) -> list[Path]:
    return sorted(f for f in path.iterdir() if f.is_dir() and not f.name.startswith((".", "__")))


def _part_folders(path: Path) -> dict[Part, Path]:
    """The train, val and test folders; {} where those are no parts but classes of that name."""
    folders = _folders(path)
    named = [(part, f) for f in folders if (part := part_named(f.name)) is not None]
    if len(named) < len(folders) and not any(_folders(f) for _, f in named):
        return {}
    parts: dict[Part, Path] = {}
    for part, folder in named:
        if part in parts:
            raise DataError(f"{path}: both {parts[part].name} and {folder.name} mean {part}")
        parts[part] = folder
    return parts


def _list_parts(root: Path, folders: dict[Part, Path], *, test: bool = False) -> Listing:
    there = {path.name for path in folders.values()}
    notes = [] if test else _drop_test(folders)
    unused = sorted(there - {path.name for path in folders.values()})
    left = {".": "outside the class folders"}
    left.update((name, f"in {name}, which is not used") for name in unused)
    found = {part: _list_classes(root, folder, notes) for part, folder in folders.items()}
    own = found.get("train") or found.get("") or next(iter(found.values()))
    empty = [name for name, files in own.items() if not files]
    if empty:
        raise DataError(f"{root}: class folders without images: {few(empty)}; fill or remove them")
    others = [f.name for f in _folders(root) if part_named(f.name) is None]
    if others and "" not in folders:
        notes.append(f"folders beside {' and '.join(folders)} are left out: {few(others)}")
    parts = {
        part: [Entry(file, name) for name, files in classes.items() for file in files]
        for part, classes in found.items()
    }
    left.update((name, f"in a folder beside {' and '.join(folders)}") for name in others)
    return Listing(root, parts, list(own), notes, left=left)


def _drop_test(folders: dict[Part, Path]) -> list[str]:
    """Take out a test folder that is not needed or has no labels; say so."""
    if "test" not in folders:
        return []
    if "val" in folders:
        return [f"{folders.pop('test').name} is not used: {folders['val'].name} is there"]
    if not _folders(folders["test"]) and len(folders) > 1:
        return [f"{folders.pop('test').name} is not used: it has no class folders"]
    return []


def _list_classes(root: Path, folder: Path, notes: list[str]) -> dict[str, list[str]]:
    """Class name -> its files, both sorted; what is passed over is noted."""
    classes = {f.name: _files(root, f) for f in _folders(folder)}
    loose = sum(is_image(file) for file in folder.iterdir())
    if not any(classes.values()):
        what = f"{count(loose, 'image', 'images')}, none" if loose else "no images"
        raise DataError(
            f"{folder}: {what} in class folders; expected CLASS/image.jpg, or train/ and val/ "
            "with class folders, or a data.csv"
        )
    if loose:
        what = count(loose, "image lies", "images lie")
        notes.append(f"{what} in {folder.name} outside its class folders, left out")
    return classes


def _files(root: Path, folder: Path) -> list[str]:
    files = [file.relative_to(root).as_posix() for file in walk_images(folder)]
    return sorted(files, key=natural_key)


def _checked(listing: Listing) -> Listing:
    if not any(listing.parts.values()):
        raise DataError(f"{listing.root}: no images")
    unknown_labels(listing)
    if len(listing.classes) < 2:
        raise DataError(
            f"{listing.root}: only one class, {listing.classes[0]}; at least two are needed"
        )
    return listing


def _choose(listing: Listing, split: Split, val_fraction: float, seed: int) -> list[Entry]:
    own = listing.parts.get("train", []) + listing.parts.get("", [])
    if split == "test":
        return listing.parts.get("test", [])
    held = listing.validation
    if held == "val" and listing.parts.get("test"):
        spare = count(len(listing.parts["test"]), "test image is", "test images are")
        listing.notes.append(f"{spare} not used: val is there to validate on")
    if split == "all":
        return own + (listing.parts[held] if held else [])
    if held:
        return own if split == "train" else listing.parts[held]
    chosen = _held_out(own, val_fraction, seed)
    share = f"{val_fraction:.0%} of each class is held out for validation"
    listing.notes.append(f"{share}: the data has no val part of its own")
    return [entry for entry in own if (entry.path in chosen) == (split == "val")]


def _held_out(entries: list[Entry], fraction: float, seed: int) -> set[str]:
    by_class: dict[str, list[str]] = {}
    for entry in entries:
        by_class.setdefault(entry.label, []).append(entry.path)
    return set().union(*(held_out(files, fraction, seed) for files in by_class.values()))


def _absent(listing: Listing, entries: list[Entry], split: Split) -> list[str]:
    present = {entry.label for entry in entries}
    absent = [name for name in listing.classes if name not in present]
    what = count(len(absent), "class has", "classes have")
    return [f"{what} no images in {split}: {few(absent)}"] if absent else []


def _sizes(listing: Listing) -> str:
    sizes = [f"{len(entries)} for {part or 'all'}" for part, entries in listing.parts.items()]
    return ", ".join(sizes)
