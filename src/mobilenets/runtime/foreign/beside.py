"""Small JSON files that hubs put beside weights."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from mobilenets.card import MAX_SIDE
from mobilenets.errors import WeightsError

Word = TypeVar("Word")
MAX_JSON = 16 << 20
"""Bytes of such a file; one with the names of ImageNet's 21,841 classes takes two million."""


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file, {} where there is no such file; WeightsError if damaged."""
    if not path.is_file():
        return {}
    if path.stat().st_size > MAX_JSON:
        raise WeightsError(f"{path}: larger than {MAX_JSON >> 20} MB")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WeightsError(f"{path}: not JSON ({error})") from error
    if not isinstance(value, dict):
        raise WeightsError(f"{path}: must hold a JSON object, got a {type(value).__name__}")
    return value


class JsonSection:
    """An object in such a file, asked for its values by key.

    A WeightsError names the file, the whole key, what is allowed and what is there. What is not
    there, null or '' is as `usual`.
    """

    def __init__(self, content: Mapping[str, Any], where: str) -> None:
        self.content, self.where = content, where

    def wrong(self, key: str, allowed: str) -> WeightsError:
        """An error about the value of `key`."""
        return WeightsError(
            f"{self.where}{key} must be {allowed}, got {self.content.get(key)!r:.80}"
        )

    def section(self, key: str) -> "JsonSection":
        """An object in this one; an empty one where there is none."""
        value = self.content.get(key)
        if value is not None and not isinstance(value, dict):
            raise self.wrong(key, "an object")
        return JsonSection(value or {}, f"{self.where}{key}.")

    def number(self, key: str, usual: float) -> float:
        """A number above 0."""
        value = self.content.get(key)
        if value is None:
            return usual
        if not _is_number(value) or value <= 0:
            raise self.wrong(key, "a number above 0")
        return float(value)

    def side(self, key: str) -> int:
        """A number of pixels, which must be there."""
        value: Any = self.content.get(key)
        if not is_side(value):
            raise self.wrong(key, f"pixels from 1 to {MAX_SIDE}")
        side: int = value
        return side

    def colours(
        self, key: str, usual: tuple[float, float, float], *, divide: bool = False
    ) -> tuple[float, float, float]:
        """Three numbers; of those that `divide` each is above 0."""
        value = self.content.get(key)
        if value is None:
            return usual
        if not isinstance(value, list) or len(value) != 3 or not all(map(_is_number, value)):
            raise self.wrong(key, "three numbers")
        if divide and min(value) <= 0:
            raise self.wrong(key, "three numbers above 0")
        return value[0], value[1], value[2]

    def choice(self, key: str, allowed: Mapping[Any, Word], usual: Any) -> Word:
        """What one of the allowed values stands for."""
        value = self.content.get(key)
        value = usual if value in (None, "") else value
        if isinstance(value, (list, dict)) or value not in allowed:
            raise self.wrong(key, f"one of {', '.join(map(str, allowed))}")
        return allowed[value]


def is_side(value: Any) -> bool:
    """Whether it is a number of pixels that an input can have."""
    return type(value) is int and 0 < value <= MAX_SIDE


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
