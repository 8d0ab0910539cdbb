"""What YOLO's data says of itself: `data.yaml` and lists of class names."""

import re
from pathlib import Path
from typing import Any

import yaml

from mobilenets.data.files import read_text
from mobilenets.data.listing import one_line
from mobilenets.errors import DataError

_LISTS = ("classes.txt", "labels/classes.txt", "obj.names", "data/obj.names", "_darknet.labels")
_WANTED = {"names", "path", "train", "val", "test"}

Value = str | list[str] | dict[str, str]


def find_yaml(folder: Path) -> Path | None:
    """`data.yaml`, else the only YAML file of a folder that has a line `names:`."""
    files = sorted(f for f in folder.glob("*.y*ml") if f.suffix in (".yaml", ".yml"))
    plain = [file for file in files if file.stem == "data"]
    named = [f for f in plain or files if re.search(r"^names\s*:", read_text(f), re.MULTILINE)]
    return named[0] if len(named) == 1 else None


def listed_names(folder: Path) -> list[str]:
    """The lines of `classes.txt`, `obj.names` or another `.names`; [] where there is none."""
    usual = [folder / name for name in _LISTS]
    files = [f for f in [*usual, *sorted(folder.glob("*.names"))] if f.is_file()]
    return (
        [line.strip() for line in read_text(files[0]).splitlines() if line.strip()] if files else []
    )


def read_yaml(path: Path) -> dict[str, Value]:
    """The texts, and the lists and mappings of texts, at the top level of a YAML file.

    Every value is a text, as it is written: a class may be called `no` or `1e3`. What is nested
    deeper is left out, but DataError where it is what we look for, or the file is no YAML.
    """
    try:
        content = yaml.load(read_text(path), Loader=yaml.BaseLoader)  # makes nothing but texts
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        what = getattr(error, "problem", None) or "it cannot be read"
        raise DataError(f"{path}: not YAML ({where}{one_line(what)[:100]})") from error
    if content in (None, ""):
        return {}
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected `name: value`, got {one_line(str(content))[:60]!r}")
    found = {key: value for key, value in content.items() if _is_flat(value)}
    for key in _WANTED - found.keys():
        if key in content:
            raise DataError(f"{path}: {key} must be a text, a list or a mapping of texts")
    return found


def _is_flat(value: Any) -> bool:
    parts = [*value, *value.values()] if isinstance(value, dict) else value
    return isinstance(value, str) or all(isinstance(one, str) for one in parts)


def names_in(content: dict[str, Value], path: Path) -> list[str]:
    """The class names of a `data.yaml`, by number; a number left out has itself as its name."""
    names = content.get("names", [])
    if isinstance(names, list):
        return names
    if isinstance(names, dict) and all(key.isdecimal() and len(key) < 6 for key in names):
        by_number = {int(key): name for key, name in names.items()}
        return [by_number.get(i, str(i)) for i in range(max(by_number, default=-1) + 1)]
    raise DataError(f"{path}: names must be a list, or class numbers with names, got {names!r:.60}")
