"""Labelled images on disk: class folders, with or without a split, and CSV lists."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mobilenets.data.built_in import BUILT_IN, is_built_in
from mobilenets.data.classes.columns import NoListError
from mobilenets.data.classes.folders import list_folders
from mobilenets.data.classes.layout import has_parts
from mobilenets.data.classes.lists import find_text_lists, list_text
from mobilenets.data.classes.tables import find_tables, list_tables
from mobilenets.data.contents.hashes import short_hash
from mobilenets.data.dataset import Dataset
from mobilenets.data.files import InFolder
from mobilenets.data.inventory import Taken
from mobilenets.data.listing import (
    Entry,
    Listing,
    Part,
    alike,
    count,
    few,
    unknown_labels,
)
from mobilenets.data.shapes import Shapes, shape_split
from mobilenets.data.splits import (
    EVERY,
    HELD_OUT,
    NONE_LEFT,
    OWN_PART,
    Split,
    check_split,
    hold_out,
    kept_for_test,
)
from mobilenets.errors import DataError
from mobilenets.runtime.images import natural_key, walk_images


@dataclass(frozen=True)
class ListedImages(InFolder):
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
    groups: tuple[str, ...] = ()
    """Of each image what it has in common with others; () where the data says nothing of groups."""

    def labels_digest(self) -> str:
        """A hash of every image's class."""
        return short_hash(np.asarray(self.targets, np.int64).tobytes())

    def target(self, i: int) -> int:
        """The class, as its place in `classes`."""
        return self.targets[i]


def open_classification(
    path: str | Path, split: Split, *, val_fraction: float = 0.2, seed: int = 0
) -> Dataset:
    """Open labelled images; what they are is seen from the disk.

    - `train/`, `val/` (also valid, validation) and `test/`, each a folder of class folders, also
      with these words within longer names and one in another (`classes.layout.find_layout`);
    - one folder of class folders;
    - a CSV list (see `classes.tables.list_tables`), or a folder with such lists;
    - the word `shapes`: the built-in data set.

    Where the data does not say which images are for validation, `val_fraction` of each class is
    held out, at least one, by the rank of a hash of `seed` and file name: a file added later
    moves at most one other. Images of one group stay together (`splits.hold_out`). `test` is the
    part of that name, never used in training; `all` is everything; `eval` is val as training has
    it, and where there is none (a test part alone, classes of one image each) everything. `origin`
    says which they are. Classes are sorted by name. DataError for data that cannot be used, or has
    no such part; lesser things are said in `notes`.
    """
    check_split(split, val_fraction)
    if is_built_in(path):
        return Shapes(split=shape_split(split), seed=seed)
    listing = _checked(list_images(Path(path), need="test" if split == "test" else ""), split)
    entries, origin = _choose(listing, split, val_fraction, seed)
    if not entries:
        raise DataError(f"{path}: no images for {split}; it has {_sizes(listing)}{origin}")
    number = {name: i for i, name in enumerate(listing.classes)}
    notes = [*listing.notes, *_absent(listing, entries, split)]
    targets = tuple(number[entry.label] for entry in entries)
    files = tuple(entry.path for entry in entries)
    listed = frozenset(entry.path for part in listing.parts.values() for entry in part)
    taken = Taken(listing.root, listed, frozenset(listing.lists), listing.left)
    groups = tuple(entry.group for entry in entries) if _has_groups(listing) else ()
    classes = tuple(listing.classes)
    return ListedImages(listing.root, classes, files, targets, notes, origin, taken, groups=groups)


def open_new_classes(path: Path) -> tuple[Dataset, Dataset | None]:
    """Images of classes that are to be learned, and those held out, None where there are none.

    As `open_classification` takes them, also of a class alone, and a folder with nothing but
    images: a class that is called as the folder. A val or a test part is held out. DataError for
    data that cannot be used.
    """
    files = sorted(walk_images(path), key=natural_key) if path.is_dir() else []
    if files and all(file.parent == path for file in files):
        name = path.resolve().name
        entries = [Entry(file.name, name) for file in files]
        listing = Listing(path, {"": entries}, [name])
    else:
        listing = list_images(path)
    unknown_labels(listing, ("val", "test"))
    of = listing.parts
    own, held = [*of.get("train", []), *of.get("", [])], [*of.get("val", []), *of.get("test", [])]
    missing = [name for name in listing.classes if name not in {entry.label for entry in own}]
    if missing or not own:
        raise DataError(f"{path}: no images to learn from of {few(missing) or 'any class'}")
    number = {name: i for i, name in enumerate(listing.classes)}
    made = [
        ListedImages(
            listing.root,
            tuple(listing.classes),
            tuple(entry.path for entry in entries),
            tuple(number[entry.label] for entry in entries),
            listing.notes,
        )
        for entries in (own, held)
    ]
    return made[0], made[1] if held else None


def _has_groups(listing: Listing) -> bool:
    return any(entry.group for part in listing.parts.values() for entry in part)


def list_images(path: Path, *, need: Part = "") -> Listing:
    """All labelled images on disk, every part, unchecked; DataError where there are none.

    `need` is a part without which nothing can be done.
    """
    listing = _listed(path, need)
    labels = {entry.label for part in listing.parts.values() for entry in part}
    listing.notes += alike([*listing.classes, *sorted(labels - {*listing.classes})])
    return listing


def _listed(path: Path, need: Part) -> Listing:
    if path.is_file():
        if path.suffix.lower() != ".csv":
            raise DataError(f"{path}: data is a folder, a .csv list or `{BUILT_IN}`")
        return list_tables(path.parent, {path: ""})
    if not path.is_dir():
        raise DataError(f"{path}: no such data folder or CSV file")
    tables = find_tables(path)
    lists = {} if tables or has_parts(path) else find_text_lists(path)
    if lists:
        listing = list_text(path, lists)
        if listing is not None:
            return listing
        listing = list_folders(path, need=need)
        names = few([file.name for file in lists])
        listing.notes.append(f"{names}: not taken as lists, since they name other images")
        return listing
    if not tables or (has_parts(path) and "" in tables.values()):
        return list_folders(path, need=need)
    try:
        return list_tables(path, tables)
    except NoListError as error:
        why = str(error)
    try:
        listing = list_folders(path, need=need)
    except DataError as error:
        raise DataError(f"{why}; and {str(error).removeprefix(f'{path}: ')}") from None
    if len(listing.classes) < 2:
        raise DataError(f"{why}; and there is only one folder with images, {listing.classes[0]}")
    name = ", ".join(file.name for file in tables)
    listing.notes.append(f"{name} is no list of images and classes, class folders are taken")
    return listing


_NO_CLASS = re.compile(
    r"(jpeg)?images?|imgs?|photos?|frames?|(gt|ground.?truth|segmentation\w*)|"
    r"(train|val(id)?|test)?(masks?|labels?|ann(ot(ation)?s?)?)|(train|val(id)?|test)20\d\d|xmls?|json",
    re.IGNORECASE,
)


def is_no_class(name: str) -> bool:
    """Whether a folder is called as those of images or of labels are, and not after a class."""
    return bool(_NO_CLASS.fullmatch(name))


def _checked(listing: Listing, split: Split) -> Listing:
    if listing.empty:
        why = few([f"{name} ({why})" for name, why in listing.empty.items()])
        raise DataError(f"{listing.root}: class folders without images: {why}; each needs one")
    if not any(listing.parts.values()):
        raise DataError(f"{listing.root}: no images")
    unknown_labels(listing, ("val",) if split in ("train", "val") else ("val", "test"))
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
    labels = [entry.label for entry in own]
    files, groups = [entry.path for entry in own], [entry.group for entry in own]
    chosen = hold_out(files, groups, labels, val_fraction, seed)
    if split == "eval" and not chosen:
        return (of["test"], OWN_PART.format("test")) if of.get("test") else (every, NONE_LEFT)
    if split == "val" and own and not chosen:
        of_what = "group" if any(groups) else "image"
        return [], f": no class has a second {of_what}, to be held out for validation"
    if chosen:
        share = f"{val_fraction:.0%} of each class is held out for validation"
        if any(groups):
            number = count(len({*groups} - {""}), "group is", "groups are")
            share += f", about, since {number} kept whole"
        listing.notes.append(f"{share}: the data has no val part of its own")
    kept = [entry for entry in own if (entry.path in chosen) == (split != "train")]
    return kept, "" if split == "train" else HELD_OUT.format(len(own))


def _absent(listing: Listing, entries: list[Entry], split: Split) -> list[str]:
    present = {entry.label for entry in entries}
    absent = [name for name in listing.classes if name not in present]
    what = count(len(absent), "class has", "classes have")
    return [f"{what} no images in {split}: {few(absent)}"] if absent else []


def _sizes(listing: Listing) -> str:
    sizes = [f"{len(entries)} for {part or 'all'}" for part, entries in listing.parts.items()]
    return ", ".join(sizes)
