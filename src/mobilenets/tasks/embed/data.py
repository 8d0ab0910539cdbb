"""Images to embed: classes in folders or lists, queries and galleries, pairs, the shapes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from mobilenets.data.built_in import is_built_in
from mobilenets.data.classes.folders import list_folders
from mobilenets.data.classes.layout import folders_in
from mobilenets.data.dataset import Dataset
from mobilenets.data.folders import list_images
from mobilenets.data.inventory import Taken
from mobilenets.data.listing import Entry, Listing, Role, count, few
from mobilenets.data.splits import Split, check_split
from mobilenets.errors import DataError
from mobilenets.runtime.images import natural_key
from mobilenets.tasks.embed.formats.gnd import find_truth, open_truth
from mobilenets.tasks.embed.formats.images import (
    ImagePair,
    SoughtImages,
    UnseenShapes,
    numbered,
)
from mobilenets.tasks.embed.formats.pairs import NAME, ListedPair, Place, file_of, read_pairs
from mobilenets.tasks.embed.formats.parts import FRACTION, choose_part

ROLES: tuple[Role, ...] = ("query", "gallery")


def open_data(path: str | Path, split: str, *, seed: int = 0) -> Dataset:
    """Folders of classes or a CSV list, as for a classifier, `shapes`, or what a search needs.

    Folders `query` and `gallery`, with class folders in each, or columns of these names with 0
    and 1 say which images are looked for and which can be found. A `pairs.txt` in the folder
    (`formats.pairs`) says which pairs are told apart, a `gnd_*.json` (`formats.gnd`) what each
    query is to find. Which classes are measured on is as
    `formats.parts` has it. DataError for data that cannot be used, or has no such part.
    """
    check_split(split, FRACTION)
    if is_built_in(path):
        return cast(Dataset, UnseenShapes(split, seed))
    root = Path(path)
    truth = find_truth(root) if split != "train" else None
    if truth is not None:
        return cast(Dataset, open_truth(truth))
    listing, notes = _listed(root, split)
    listed = read_pairs(root / NAME) if (root / NAME).is_file() else []
    named = {name for pair in listed for name, _ in (pair.first, pair.second)}
    part = choose_part(listing, cast(Split, split), sorted(named), seed)
    if not part.entries:
        there = ", ".join(f"{len(of)} for {name or 'all'}" for name, of in listing.parts.items())
        raise DataError(f"{path}: no images for {split}; it has {there or 'none'}{part.origin}")
    if split == "train" and len({entry.label for entry in part.entries}) < 2:
        one = part.entries[0].label
        raise DataError(f"{path}: only one class to learn from, {one}; two are needed")
    notes = [*listing.notes, *notes, *part.notes]
    found = _made(listing, part.entries, notes, part.origin, bool(listed))
    if listed and split != "train":
        found = _with_pairs(found, listed)
    return cast(Dataset, found)


def open_parts(path: str | Path) -> dict[str, SoughtImages]:
    """Every part that a folder or a list itself has, by name; `all` where it says of none.

    Each has all pairs of whose images it has both. A truth of its own has no parts (`open_data`).
    """
    root = Path(path)
    listing, notes = _listed(root, "")
    listed = read_pairs(root / NAME) if (root / NAME).is_file() else []
    every = sorted(listing.parts, key=["", "train", "val", "test"].index)
    notes = [*listing.notes, *notes]
    parts = {
        part or "all": _made(listing, listing.parts[part], notes, "", bool(listed))
        for part in every
    }
    return {name: _with_pairs(part, listed, tell=False) for name, part in parts.items()}


def say_searches(path: str | Path) -> bool:
    """Whether pairs, a truth, queries or a gallery lie there: no other use has these."""
    root = Path(path)
    if is_built_in(path) or (root / NAME).is_file() or find_truth(root) is not None:
        return not is_built_in(path)
    try:
        listing, _ = _listed(root, "")
    except DataError:
        return False
    return any(entry.role for part in listing.parts.values() for entry in part)


def _made(
    listing: Listing, entries: Sequence[Entry], notes: list[str], origin: str, pairs: bool
) -> SoughtImages:
    """Some of the images that lie there, with their classes and roles."""
    classes = sorted({entry.label for entry in entries})
    images = frozenset(entry.path for of in listing.parts.values() for entry in of)
    lists = [*listing.lists, *([NAME] if pairs else [])]
    roles = tuple(entry.role for entry in entries)
    return SoughtImages(
        listing.root,
        tuple(classes),
        tuple(entry.path for entry in entries),
        numbered([entry.label for entry in entries], classes),
        notes,
        origin,
        Taken(listing.root, images, frozenset(lists), listing.left),
        roles if any(roles) else (),
        groups=tuple(entry.group for entry in entries),
    )


def _listed(root: Path, split: str) -> tuple[Listing, list[str]]:
    """All images that lie there, and notes on their roles."""
    if root.is_dir():
        inside = {folder.name.casefold(): folder for folder in folders_in(root)}
        if set(ROLES) <= inside.keys():
            return _query_and_gallery(root, {role: inside[role] for role in ROLES})
    return list_images(root, need="test" if split == "test" else ""), []


def _query_and_gallery(root: Path, folders: dict[Role, Path]) -> tuple[Listing, list[str]]:
    """Two folders of class folders, and perhaps a third one to learn from."""
    whole = Listing(root, {}, [])
    train = next((f for f in folders_in(root) if f.name.casefold() == "train"), None)
    places: dict[Role, Path] = {**folders, **({"": train} if train is not None else {})}
    for role, folder in places.items():
        one = list_folders(folder)
        prefix = folder.relative_to(root).as_posix()
        entries = [
            replace(entry, path=f"{prefix}/{entry.path}", role=role)
            for of in one.parts.values()
            for entry in of
        ]
        whole.parts.setdefault("val" if role else "train", []).extend(entries)
        whole.notes += one.notes
    sizes = [f"{len(_of(whole, role))} in {folders[role].name}" for role in ROLES]
    alone = {e.label for e in _of(whole, "query")} - {e.label for e in _of(whole, "gallery")}
    notes = [f"queries are looked for in the gallery: {', '.join(sizes)}"]
    if alone:
        what = count(len(alone), "class of the queries is", "classes of the queries are")
        notes.append(f"{what} not in the gallery: {few(sorted(alone))}")
    return whole, notes


def _of(listing: Listing, role: Role) -> list[Entry]:
    return [entry for of in listing.parts.values() for entry in of if entry.role == role]


def _with_pairs(
    found: SoughtImages, listed: Sequence[ListedPair], *, tell: bool = True
) -> SoughtImages:
    """The data set with the pairs of which it has both images; the others are counted."""
    files: dict[str, list[str]] = {}
    for file, label in zip(found.files, found.labels, strict=True):
        files.setdefault(found.classes[label], []).append(file)
    for own in files.values():
        own.sort(key=natural_key)
    number = {file: i for i, file in enumerate(found.files)}
    pairs, missing = [], []
    for pair in listed:
        both = [file_of(place, files) for place in (pair.first, pair.second)]
        if all(both):
            first, second = (number[file] for file in both)
            pairs.append(ImagePair(pair.fold, first, second, pair.same))
        else:
            missing.append(_told(pair.second if both[0] else pair.first))
    notes = list(found.notes)
    if missing and tell:
        what = count(len(missing), "pair is", "pairs are")
        notes.append(f"{what} left out, an image is not there: {few(missing)}")
    return replace(found, pairs=tuple(pairs), notes=notes)


def _told(place: Place) -> str:
    return f"{place[0]} {place[1]}"
