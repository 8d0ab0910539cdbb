"""Checks of settings, with messages that name the setting, what is allowed and what it got."""

import math
from collections.abc import Sequence


def check_number(
    name: str, value: object, *, above: float | None = None, most: float = math.inf
) -> None:
    """ValueError unless `value` is a number above `above` (from 0 where None), at most `most`."""
    if above is not None:
        allowed = f"above {above}" + (f" and at most {most}" if most < math.inf else "")
    else:
        allowed = f"from 0 to {most}" if most < math.inf else "0 or more"
    if isinstance(value, bool) or not isinstance(value, int | float):
        comma = "," if allowed[0] == "0" else ""
        raise ValueError(f"{name} must be a number{comma} {allowed}, got {value!r}")
    if not (value > above if above is not None else value >= 0) or not value <= most:
        raise ValueError(f"{name} must be {allowed}, got {value!r}")


def check_choice(name: str, value: object, allowed: Sequence[str]) -> None:
    """ValueError unless `value` is one of the words in `allowed`."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
