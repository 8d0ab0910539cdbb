"""The names of classes that other programs write into a file's metadata."""

import ast
import json
from collections.abc import Mapping
from typing import Any

KEYS = ("names", "labels", "classes", "class_names", "id2label")
_LONGEST = 10**6


def class_names(metadata: Mapping[str, str], outputs: int) -> tuple[tuple[str, ...], str]:
    """The names of so many outputs, and what is wrong with those that are there but do not fit.

    A list, or names by their number, as JSON or as Python writes it (Ultralytics); or one name a
    line, or names with commas between. () where there are none that fit.
    """
    told = {key.lower(): text for key, text in metadata.items()}
    wrong = ""
    for key in KEYS:
        found = _parsed(told[key]) if key in told else ()
        if found and len(found) == outputs:
            return found, ""
        if found:
            wrong = f"its metadata {key} has {len(found)} names for {outputs} outputs, left aside"
    return (), wrong


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
    return tuple(part.strip() for part in parts if part.strip())


def _listed(value: Any) -> tuple[str, ...]:
    if isinstance(value, dict):
        numbered = {int(key): name for key, name in value.items()}
        if sorted(numbered) != list(range(len(numbered))):
            raise ValueError("numbers with gaps")
        value = [numbered[index] for index in range(len(numbered))]
    if not isinstance(value, (list, tuple)) or not all(
        isinstance(one, (str, int)) for one in value
    ):
        return ()
    return tuple(str(one) for one in value)
