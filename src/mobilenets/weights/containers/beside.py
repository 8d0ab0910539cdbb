"""Small JSON files that hubs put beside weights."""

import json
from pathlib import Path
from typing import Any

from mobilenets.errors import WeightsError


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file, {} where there is no such file; WeightsError if damaged."""
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WeightsError(f"{path}: not JSON ({error})") from error
    if not isinstance(value, dict):
        raise WeightsError(f"{path}: must hold a JSON object, got a {type(value).__name__}")
    return value
