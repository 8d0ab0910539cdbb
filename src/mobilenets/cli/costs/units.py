"""Numbers with units, as options take them and as tables show them."""

import re

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9}
"""Of counts; a billion is G or B, as both papers have it."""
BYTES = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9}
BYTES |= {"kib": 2**10, "mib": 2**20, "gib": 2**30}


def count(text: str, option: str) -> int:
    """`5M` -> 5,000,000; `300`, `2.5k` and `1G` too. ValueError for another unit."""
    return _number(text, UNITS, f"--{option} must be a number such as 300000, 300K, 5M or 1G")


def size(text: str, option: str) -> int:
    """`1MB` -> 1,000,000 bytes; `300kB` and `1MiB` too. ValueError for another unit, or none."""
    return _number(text, BYTES, f"--{option} must be a size such as 300kB, 1MB or 1.5MB")


def _number(text: str, units: dict[str, int], wanted: str) -> int:
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*([A-Za-z]*)", text.strip())
    if not found or found[2].lower() not in units:
        raise ValueError(f"{wanted}, got {text!r}")
    return int(float(found[1]) * units[found[2].lower()])


def millions(number: int) -> str:
    """A count, or bytes, in millions, of three digits or more: `0.553`, `3.50`, `300.8`, `2741`."""
    value = number / 1e6
    digits = 3 if value < 1 else 2 if value < 100 else 1 if value < 1000 else 0
    return f"{value:.{digits}f}"
