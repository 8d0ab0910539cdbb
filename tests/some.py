"""Some rows of a table by default, the others where all is asked for: `pytest -m every`."""

from collections.abc import Iterable, Sequence
from typing import Any

import pytest


def some(rows: Sequence[Any], places: Iterable[int] = (0,)) -> list[Any]:
    """`rows` for `pytest.mark.parametrize`: those not at `places` have the mark `every`."""
    kept = set(places)
    return [row if i in kept else marked(row) for i, row in enumerate(rows)]


def marked(row: Any) -> Any:
    values = row if isinstance(row, tuple) else (row,)
    return pytest.param(*values, marks=pytest.mark.every)
