"""Which JSON files of a folder are COCO's."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mobilenets.data.listing import Part
from mobilenets.tasks.detect.formats.folders import folder_part, part_in

_WHOLE = 2**18
"""Bytes of a file that is read whole to see what it is; of a larger one, both ends."""
_MOST = 40
"""JSON files of a folder that are looked into; where there are more, each is of one image."""
_KEYS = ("images", "annotations", "categories")
_OTHERS = {
    "segments_info": "COCO's panoptic file, of masks; boxes are in instances_*.json",
    "shapes": "LabelMe's, of one image",
    "_via_img_metadata": "a VIA project",
    "regions": "VIA's regions",
    "lockfileVersion": "npm's",
    "caption": "COCO's captions, without boxes",
}
"""What a key tells of a JSON file that is not COCO's."""


class JsonFiles(NamedTuple):
    """A folder's JSON files."""

    files: list[tuple[Part, Path]]
    """COCO's, with their parts."""
    others: dict[Path, str]
    """Those that are not read -> why."""


def find_coco(folder: Path) -> JsonFiles:
    """COCO's files in `annotations/`, in folders of parts, and in the folder itself.

    A part is what its folder or its name says. Where `annotations/` has `instances_*.json`, the
    other files there are of something else (captions, key points of the same images).
    """
    found: list[tuple[Part, Path]] = []
    others: dict[Path, str] = {}
    for part, place in _places(folder):
        files = sorted(place.glob("*.json"))
        instances = [file for file in files if file.name.startswith("instances_")]
        for file in files if len(files) <= _MOST else files[:3]:
            if instances and file not in instances:
                others[file] = f"{instances[0].name} is beside it"
                continue
            why = unlike_coco(file)
            if why:
                others[file] = why
            else:
                found.append((part or part_in(file.stem), file))
    if not found:  # what is damaged is said when it is read
        damaged = [file for file, why in others.items() if why.startswith("not JSON")]
        found = [(part_in(file.stem), file) for file in damaged]
    return JsonFiles(found, others)


def _places(folder: Path) -> Iterator[tuple[Part, Path]]:
    children = sorted(child for child in folder.iterdir() if child.is_dir())
    inner = [c for c in children if c.name.casefold() in ("annotations", "annotation")]
    for place in inner:
        yield "", place
    yield "", folder
    for base in [folder, *inner]:
        for child in (
            children if base == folder else sorted(c for c in base.iterdir() if c.is_dir())
        ):
            part = folder_part(child.name)
            if part:
                yield part, child
                for deeper in (child / "annotations", child / "Annotations"):
                    if deeper.is_dir():
                        yield part, deeper


def unlike_coco(path: Path) -> str:
    """Why a JSON file is not COCO's, by its keys; '' where it may be.

    Files that are cut short and begin as COCO's do may be: what is wrong is said when read.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_WHOLE)
            file.seek(max(size - _WHOLE, len(head)))
            text = (head + file.read()).replace(b"\0", b"").decode(errors="replace")
    except OSError as error:
        return error.strerror or "cannot be read"
    if size <= _WHOLE:
        return _unlike(head, text)
    keys = set(re.findall(r'"(\w+)"\s*:', text))
    if text.lstrip("\ufeff \t\r\n").startswith("{") and (keys & {"images", "annotations"}):
        told = {"segments_info", "caption"} & (keys - {"bbox", "category_id"})
        return next((_OTHERS[key] for key in sorted(told) if "bbox" not in keys), "")
    return _told(list(keys))


def _unlike(data: bytes, text: str) -> str:
    try:
        content: Any = json.loads(data)
    except (ValueError, RecursionError) as error:
        if re.search(r'"(images|annotations|categories)"\s*:', text):
            return ""
        why = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        return f"not JSON, or cut short: {why}"
    if not isinstance(content, dict):
        entry: Any = next(iter(content), {}) if isinstance(content, list) else {}
        keys = set(entry) if isinstance(entry, dict) else set()
        told = ""
        if {"image_id", "bbox"} <= keys:
            told = ": these are COCO's results, which a detector found, without images"
        elif {"file_name", "annotations"} <= keys:
            told = ": these are Detectron2's dicts, which are not read; write COCO's JSON"
        return f"not COCO's JSON, which is an object with images and more{told}"
    if isinstance(content.get("images"), list) and isinstance(content.get("annotations"), list):
        first: Any = next((one for one in content["annotations"] if isinstance(one, dict)), {})
        others = [k for k in ("segments_info", "caption") if k in first and "bbox" not in first]
        return _OTHERS[others[0]] if others else ""
    return _told(list(content))


def _told(keys: Sequence[str]) -> str:
    known = next((why for key, why in _OTHERS.items() if key in keys), "")
    missing = next(key for key in (*_KEYS, "") if key not in keys)
    has = ", ".join(keys[:5]) or "nothing"
    return f"not COCO's JSON: no list of {missing or 'images'}; it has {has}" + (
        f": {known}" if known else ""
    )
