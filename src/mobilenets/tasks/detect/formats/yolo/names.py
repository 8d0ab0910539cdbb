"""What YOLO's data says of itself: `data.yaml`, Darknet's `.data`, lists of class names."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from mobilenets.data.files import read_text
from mobilenets.data.listing import few, one_line
from mobilenets.data.paths import is_file
from mobilenets.errors import DataError
from mobilenets.tasks.detect.formats.folders import path_part

_LISTS = ("classes.txt", "labels/classes.txt", "obj.names", "data/obj.names", "_darknet.labels")
NOTES = "notes.json"
"""Where Label Studio keeps the names of what it exports as YOLO's text."""
_WANTED = {"names", "path", "train", "val", "test", "kpt_shape"}

Value = str | list[str] | dict[str, str]


def find_yaml(folder: Path) -> tuple[Path | None, list[str]]:
    """The YAML file of a folder that names classes, and a note where others do so too.

    `data.yaml` comes first, then the first by name; one that is not text is not read.
    """
    files = sorted(f for f in folder.glob("*.y*ml") if f.suffix in (".yaml", ".yml"))
    named = [f for f in files if f.stem == "data" or _has_names(f)]
    named = [f for f in named if f.stem != "data" or _says_something(f)]
    named.sort(key=lambda file: file.stem != "data")
    if not named:
        return None, []
    others = few([file.name for file in named[1:]])
    note = f"{named[0].name} is read, and not {others}, which name classes too"
    return named[0], [note] if len(named) > 1 else []


def _has_names(path: Path) -> bool:
    try:
        return bool(re.search(r"^names\s*:", read_text(path), re.MULTILINE))
    except DataError:
        return False


def _says_something(path: Path) -> bool:
    return bool(re.search(r"^(names|nc|train|val|test)\s*:", read_text(path), re.MULTILINE))


def listed_names(folder: Path) -> tuple[list[str], list[str]]:
    """The lines of `classes.txt`, `obj.names` or another `.names`, and the file's path.

    Without those, the categories in Label Studio's `notes.json`; nothing where there is none. A
    line may begin with its number.
    """
    usual = [folder / name for name in _LISTS]
    files = [f for f in [*usual, *sorted(folder.glob("*.names"))] if f.is_file()]
    files = files or _below(folder)
    if files:
        return lines_of(files[0]), [files[0].relative_to(folder).as_posix()]
    notes = folder / NOTES
    try:
        said = json.loads(read_text(notes))["categories"] if notes.is_file() else []
        names = {int(one["id"]): one_line(str(one["name"])) for one in said}
    except (ValueError, KeyError, TypeError, RecursionError, DataError):
        return [], []
    if sorted(names) != list(range(len(names))) or not names:
        return [], []
    return [names[i] for i in range(len(names))], [NOTES]


def other_names(folder: Path, read: Sequence[str], names: Sequence[str]) -> list[str]:
    """A note on lists of names that say something else than the one that was read."""
    files = [f for f in _below(folder) if f.relative_to(folder).as_posix() not in read]
    other = [f.relative_to(folder).as_posix() for f in files if lines_of(f) != list(names)]
    if not (read and other):
        return []
    return [f"{read[0]} names the classes; {few(other)} says something else and is not read"]


def _below(folder: Path) -> list[Path]:
    """Lists of names in the folders of parts and of labels, that for training first."""
    patterns = [f"{above}/{name}" for above in ("*", "*/*") for name in _LISTS if "/" not in name]
    files = sorted(file for pattern in patterns for file in folder.glob(pattern))
    return sorted(files, key=lambda f: path_part(f.relative_to(folder).parts[:-1]) != "train")


def lines_of(path: Path) -> list[str]:
    """A name a line; a line without one has its number."""
    lines = [one_line(line) for line in read_text(path).rstrip().splitlines()]
    numbered = [re.fullmatch(rf"{i}\s*[:,;\s]\s*(.+)", line) for i, line in enumerate(lines)]
    if len(lines) > 1 and all(numbered):
        return [match.group(1) for match in numbered if match]
    return [line or str(i) for i, line in enumerate(lines)]


def read_darknet(path: Path) -> dict[str, Value]:
    """Darknet's `.data`: lines of `key = value`; its `valid` is `val`."""
    pairs = (line.partition("=") for line in read_text(path).splitlines() if "=" in line)
    found: dict[str, Value] = {key.strip(): value.strip() for key, _, value in pairs}
    if "valid" in found:
        found.setdefault("val", found.pop("valid"))
    return {key: value for key, value in found.items() if value}


def find_darknet(folder: Path) -> Path | None:
    """A `.data` file that says where the images for training are."""
    files = [*sorted(folder.glob("*.data")), *sorted(folder.glob("*/*.data"))]
    said = (f for f in files if f.stat().st_size < 10_000 and _is_darknet(f))
    return next(said, None)


def _is_darknet(path: Path) -> bool:
    try:
        return bool(re.search(r"^train\s*=", read_text(path), re.MULTILINE))
    except DataError:
        return False


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
    """The class names of a `data.yaml`, by number; a number left out has itself as its name.

    `names` may be the path of a list of names.
    """
    names = content.get("names", [])
    if isinstance(names, str) and names and is_file(path.parent / names):
        return lines_of(path.parent / names)
    if isinstance(names, list):
        return names
    if isinstance(names, dict) and all(key.isdecimal() and len(key) < 6 for key in names):
        by_number = {int(key): name for key, name in names.items()}
        return [by_number.get(i, str(i)) for i in range(max(by_number, default=-1) + 1)]
    raise DataError(f"{path}: names must be a list, or class numbers with names, got {names!r:.60}")


def count_in(content: dict[str, Value]) -> int:
    """`nc`, how many classes there are; 0 where that is not said."""
    said = content.get("nc", content.get("classes", ""))
    return int(said) if isinstance(said, str) and said.isdecimal() and len(said) < 6 else 0


def points_in(content: dict[str, Value], path: Path) -> tuple[int, int] | None:
    """`kpt_shape`: key points on a line, and numbers each; None where there are none."""
    said = content.get("kpt_shape")
    if said is None or said == "":
        return None
    if isinstance(said, list) and len(said) == 2 and all(one.isdecimal() for one in said):
        points, each = int(said[0][:6]), int(said[1][:6])
        if each in (2, 3):
            return points, each
    raise DataError(
        f"{path}: kpt_shape must be how many points, and 2 or 3 numbers, got {said!r:.60}"
    )
