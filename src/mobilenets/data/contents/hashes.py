"""Hashes of images and of what is known of them, the same in every process."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

READERS = 8
"""Threads that read files: most of them wait for the disk."""

Source = Path | bytes
"""An image's file, or bytes that stand for it."""


def short_hash(*contents: bytes) -> str:
    """A hash in twelve characters."""
    found = hashlib.sha256()
    for content in contents:
        found.update(content)
    return found.hexdigest()[:12]


def size_of(source: Source) -> int:
    """In bytes; 0 for a file that is not there."""
    if isinstance(source, bytes):
        return len(source)
    try:
        return source.stat().st_size
    except OSError:
        return 0


@lru_cache(maxsize=1 << 20)
def prefix_of(size: int) -> int:
    """16 bits of a hash of a size, the same for all images of that size."""
    return int.from_bytes(hashlib.blake2b(b"%d" % size, digest_size=2).digest(), "big")


def keys_of(sources: Sequence[Source]) -> list[int | None]:
    """The key of each image; None for a file that cannot be read, or is empty."""
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(key_of, sources))


def key_of(source: Source) -> int | None:
    """An image's key: what a hash makes of its size, then of its content."""
    try:
        content = source if isinstance(source, bytes) else source.read_bytes()
    except OSError:
        return None
    if not content:
        return None
    tail = hashlib.blake2b(content, digest_size=4).digest()
    return prefix_of(len(content)) << 32 | int.from_bytes(tail, "big")


def bytes_of(value: Any) -> bytes:
    """Plain values, arrays, and what is made of them, as bytes that differ where they differ."""
    if isinstance(value, np.ndarray | np.generic):
        return f"{value.dtype}{value.shape}".encode() + value.tobytes()
    if isinstance(value, dict):
        return bytes_of([item for pair in value.items() for item in pair])
    if isinstance(value, list | tuple):
        parts = [bytes_of(one) for one in value]
        return b"".join(b"%d:" % len(part) + part for part in parts)
    return repr(value).encode(errors="surrogateescape") if is_plain(value) else b""


def is_plain(value: Any) -> bool:
    """Whether a value's text says all of it, in every process the same."""
    return value is None or isinstance(value, bool | int | float | str | bytes)
