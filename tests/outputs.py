"""A session's outputs in tests: most networks have one."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray


def only(outputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """The only output."""
    (values,) = outputs.values()
    return values
