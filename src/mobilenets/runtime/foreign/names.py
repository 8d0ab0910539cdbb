"""The names of classes that other programs write into a file's metadata, or beside the file."""

import ast
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

KEYS = ("names", "labels", "classes", "class_names", "label_names", "id2label")
BESIDE = (
    *("config.json", "labels.txt", "class_names.txt", "classes.txt", "class_indices.json"),
    *("class_to_idx.json", "idx_to_class.json", "labels.json"),
)
"""What files with names of classes are called, beside somebody's model."""
_NO_CLASS = {"???", "background", "__background__", "_background_"}
"""What lists begin with that name an output which a model does not have."""
_LONGEST = 10**6


def class_names(metadata: Mapping[str, str], outputs: int) -> tuple[tuple[str, ...], str]:
    """The names of so many outputs, and what is wrong with those that are there but do not fit.

    A list, or names by their number, as JSON or as Python writes it (Ultralytics); or one name a
    line, or names with commas between. () where there are none that fit.
    """
    told = {key.lower(): text for key, text in metadata.items()}
    wrong = ""
    for key in KEYS:
        text = told.get(key, "").strip()
        if not text or text.isdecimal():  # how many there are
            continue
        found = _parsed(text)
        if len(found) == outputs:
            return found, ""
        many = f"has {len(found)} names for {outputs} outputs" if found else "is no list of names"
        wrong = wrong or f"its metadata {key} {many}, left aside"
    return (), wrong


def names_beside(model: str | Path, outputs: int) -> tuple[tuple[str, ...], str]:
    """The names of so many outputs in one of `BESIDE`, and in words where they are from.

    Of several files the first that fits is taken. () where none does; in words then why not, or
    nothing where there is none. In a `config.json` the names are under one of `KEYS`.
    """
    wrong = ""
    for name in BESIDE:
        file = Path(model).parent / name
        if not file.is_file():
            continue
        try:
            found = _said_in(file)
        except (OSError, ValueError, RecursionError):
            wrong = wrong or f"{name} beside it cannot be read"
            continue
        if len(found) == outputs + 1 and found[0].casefold() in _NO_CLASS:
            found = found[1:]
        if len(found) == outputs or (outputs, len(found)) == (1, 2):
            return found, f"its classes are called as {name} beside it says"
        if found:
            told = f"{name} beside it has {len(found)} names for {outputs} outputs, left aside"
            wrong = wrong or told
    return (), wrong


def _said_in(file: Path) -> tuple[str, ...]:
    """The names in a file; () where it has none. ValueError for one that is damaged."""
    if file.stat().st_size > _LONGEST:
        raise ValueError("too large")
    text = file.read_text(encoding="utf-8-sig")
    if file.name != "config.json":
        return _parsed(text)
    content = json.loads(text)
    said = content if isinstance(content, dict) else {}
    found = (_listed(said[key]) for key in KEYS if isinstance(said.get(key), (list, dict)))
    names = next(filter(None, found), ())
    usual = all(re.fullmatch(r"LABEL_\d+", name) for name in names)  # transformers' for no names
    return () if usual else names


def _parsed(text: str) -> tuple[str, ...]:
    if len(text) > _LONGEST:
        return ()
    for parse in (json.loads, ast.literal_eval):
        try:
            found = _listed(parse(text))
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
        if found:
            return found
    if text.lstrip()[:1] in ("{", "[", "("):
        return ()
    parts = text.splitlines() if "\n" in text else text.split(",")
    names = [part.strip() for part in parts if part.strip()]
    numbered = [re.fullmatch(rf"{i}\s*[:,;\s]\s*(.+)", name) for i, name in enumerate(names)]
    if len(names) > 1 and all(numbered):
        names = [match[1] for match in numbered if match]
    return tuple(names)


def _listed(value: Any) -> tuple[str, ...]:
    if isinstance(value, dict):
        if all(isinstance(place, int) for place in value.values()):  # numbers by name
            value = {place: name for name, place in value.items()}
        numbered = {int(key): name for key, name in value.items()}
        if sorted(numbered) != list(range(len(numbered))):
            raise ValueError("numbers with gaps")
        value = [numbered[index] for index in range(len(numbered))]
    if not isinstance(value, (list, tuple)) or not all(
        isinstance(one, (str, int)) for one in value
    ):
        return ()
    return tuple(str(one) for one in value)
