"""Images to embed: classes in folders or lists, queries and galleries, pairs, the shapes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

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
    classes = sorted({entry.label for entry in part.entries})
    if split == "train" and len(classes) < 2:
        raise DataError(f"{path}: only one class to learn from, {classes[0]}; two are needed")
    every = [entry for of in listing.parts.values() for entry in of]
    images = frozenset(entry.path for entry in every)
    lists = [*listing.lists, *([NAME] if listed else [])]
    roles = tuple(entry.role for entry in part.entries)
    found = SoughtImages(
        listing.root,
        tuple(classes),
        tuple(entry.path for entry in part.entries),
        numbered([entry.label for entry in part.entries], classes),
        [*listing.notes, *notes, *part.notes],
        part.origin,
        Taken(listing.root, images, frozenset(lists), listing.left),
        roles if any(roles) else (),
    )
    if listed and split != "train":
        found = _with_pairs(found, listed)
    return cast(Dataset, found)


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


def _with_pairs(found: SoughtImages, listed: Sequence[ListedPair]) -> Any:
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
    if missing:
        what = count(len(missing), "pair is", "pairs are")
        notes.append(f"{what} left out, an image is not there: {few(missing)}")
    return replace(found, pairs=tuple(pairs), notes=notes)


def _told(place: Place) -> str:
    return f"{place[0]} {place[1]}"
