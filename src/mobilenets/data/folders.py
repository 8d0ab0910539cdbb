"""Labelled images on disk: class folders, with or without a split, and CSV lists."""

from dataclasses import dataclass
from pathlib import Path

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
from mobilenets.data.splits import (
    EVERY,
    HELD_OUT,
    NONE_LEFT,
    OWN_PART,
    Split,
    check_split,
    kept_for_test,
)
from mobilenets.errors import DataError
from mobilenets.runtime.images import is_image, natural_key, read_image, walk_images


@dataclass(frozen=True)
class ListedImages:
    """Images on disk with a class each; implements `Dataset`."""

    root: Path
    classes: tuple[str, ...]
    files: tuple[str, ...]
    """Relative to the root, with `/`."""
    targets: tuple[int, ...]
    notes: list[str]
    origin: str = ""
    """Which of the data's images these are, in words."""
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

    - `train/`, `val/` (also valid, validation) and `test/`, each a folder of class folders;
    - one folder of class folders;
    - a CSV list (see `csv_list.list_csv`), or a folder with a `data.csv` or only one CSV file;
    - the word `shapes`: the built-in data set.

    Where the data does not say which images are for validation, `val_fraction` of each class is
    held out, at least one, by the rank of a hash of `seed` and file name: a file added later
    moves at most one other. `test` is the part of that name, never used in training; `all` is
    everything; `eval` is val as training has it, and where there is none (a test part alone,
    classes of one image each) everything. `origin` says which they are. Classes are sorted by
    name. DataError for data that cannot be used, or has no such part; lesser things are said in
    `notes`.
    """
    check_split(split, val_fraction)
    if is_built_in(path):
        return Shapes(split=shape_split(split), seed=seed)
    listing = _checked(_list(Path(path), split))
    entries, origin = _choose(listing, split, val_fraction, seed)
    if not entries:
        raise DataError(f"{path}: no images for {split}; it has {_sizes(listing)}{origin}")
    number = {name: i for i, name in enumerate(listing.classes)}
    notes = [*listing.notes, *_absent(listing, entries, split)]
    targets = tuple(number[entry.label] for entry in entries)
    files = tuple(entry.path for entry in entries)
    listed = frozenset(entry.path for part in listing.parts.values() for entry in part)
    taken = Taken(listing.root, listed, frozenset(listing.lists), listing.left)
    return ListedImages(listing.root, tuple(listing.classes), files, targets, notes, origin, taken)


def _list(path: Path, split: Split) -> Listing:
    """All that is on disk; a test folder only where the split or nothing else needs it."""
    if path.is_file():
        if path.suffix.lower() != ".csv":
            raise DataError(f"{path}: data is a folder, a .csv list or `{BUILT_IN}`")
        return list_csv(path)
    if not path.is_dir():
        raise DataError(f"{path}: no such data folder or CSV file")
    parts = _part_folders(path)
    if parts:
        return _list_parts(path, parts, split)
    table = find_csv(path)
    return list_csv(table) if table else _list_parts(path, {"": path}, split)


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


def _list_parts(root: Path, folders: dict[Part, Path], split: Split) -> Listing:
    there = {path.name for path in folders.values()}
    notes = _drop_test(folders, split)
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


def _drop_test(folders: dict[Part, Path], split: Split) -> list[str]:
    """Take out a test folder that is not for this split or has no labels; say so."""
    if "test" not in folders or len(folders) == 1 or split == "test":
        return []
    if not _folders(folders["test"]):
        return [f"{folders.pop('test').name} is not used: it has no class folders"]
    if split == "all" or (split == "eval" and "val" not in folders):
        return []
    return [f"{folders.pop('test').name} is kept for `eval --split test`"]


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


def _choose(
    listing: Listing, split: Split, val_fraction: float, seed: int
) -> tuple[list[Entry], str]:
    """The split's images, and which they are in words; where there are none, perhaps why."""
    of = listing.parts
    own = of.get("train", []) + of.get("", [])
    every = [entry for part in of.values() for entry in part]
    if split == "test":
        return of.get("test", []), OWN_PART.format("test")
    if split == "all":
        return every, EVERY
    if of.get("test") and (own or of.get("val")):
        listing.notes.append(kept_for_test(len(of["test"])))
    if of.get("val"):
        part = "train" if split == "train" else "val"
        return own if split == "train" else of["val"], OWN_PART.format(part)
    chosen = _held_out(own, val_fraction, seed)
    if split == "eval" and not chosen:
        return (of["test"], OWN_PART.format("test")) if of.get("test") else (every, NONE_LEFT)
    if split == "val" and own and not chosen:
        return [], ": no class has a second image, to be held out for validation"
    if chosen:
        share = f"{val_fraction:.0%} of each class is held out for validation"
        listing.notes.append(f"{share}: the data has no val part of its own")
    kept = [entry for entry in own if (entry.path in chosen) == (split != "train")]
    return kept, "" if split == "train" else HELD_OUT.format(len(own))


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
