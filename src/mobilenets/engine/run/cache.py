"""Compiled networks on disk, by the content of what they were compiled from.

An entry is one file: a header, the info as JSON, the object code, and from a page's start the
weights, which are mapped and so shared by every process that uses them. A file is written under a
name of its own, synced and then renamed, so an entry is whole or not there, whoever writes at the
same time. (Not by `files.replace_file`: its temporary name is one per process, and threads write
here, and processes of several containers that think they have the same number.)

What is checked at each load: the header, info and code by a digest, for the code is executed, and
the file's size. The weights' own digest is checked only when the file's time of change is not the
one that its header was written with: when it was edited, copied or restored since. Reading all of
them every time would cost what mapping them saves. A fault of the disk itself that changes a weight
and tells nobody stays unseen.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import re
import stat
import struct
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]

MAGIC, VERSION = b"MNENGINE", 1
PAGE = 4096
ALIGNMENT = 64
DEFAULT_SIZE = 2 * 10**9
_HEADER = struct.Struct("<8sIIQQQQ32s32s")
"""Magic, version, 0, lengths of info, code and weights in bytes, time of change in nanoseconds,
digest of the weights, digest of the key and of what comes before the weights (this field 0)."""
_DIGEST = 32
_SUFFIX = ".net"
_ABANDONED_SECONDS = 3600.0
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_warned = False


class CacheEntry(NamedTuple):
    """A compiled network: object code, packed weights and what else is known of it.

    weights: bytes (n,), read-only, from a 64-byte boundary; mapped from the file if there is one.
    info: as JSON gives it back, so lists for tuples.
    """

    code: bytes
    weights: Bytes
    info: dict[str, Any]


def key_of(*parts: bytes | str) -> str:
    """A key of 64 hexadecimal digits; other parts, or other cuts between them, give another."""
    digest = hashlib.blake2b(digest_size=_DIGEST)
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        kind = b"s" if isinstance(part, str) else b"b"
        digest.update(kind + len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()


class Cache:
    """A folder of compiled networks, of bounded size: the longest unused go first.

    directory: None for `engine` in $MOBILENETS_CACHE, $XDG_CACHE_HOME/mobilenets or
    ~/.cache/mobilenets; MOBILENETS_CACHE=off: none at all. $MOBILENETS_CACHE_SIZE bounds it, in
    bytes or as 500M or 2G; 2 GB unless set, and ValueError if it is something else.

    Only files of one's own, that nobody else can write, in a folder of the same kind, are read:
    what is in them is executed. A cache that cannot be written warns once and keeps nothing.
    """

    directory: Path | None
    """Where the entries are; None if nothing is kept."""
    size: int
    """The bound, in bytes."""

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = _default_directory() if directory is None else directory
        self.size = _size_limit()

    def fetch(self, key: str) -> CacheEntry | None:
        """The entry of `key`; None if there is none, or it is damaged, old or not to be trusted."""
        path = self._path(key)
        if path is None or not _is_private(path.parent, stat.S_ISDIR):
            return None
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
        # Not to wait for a writer, if someone puts a pipe there.
        flags |= getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        try:
            with os.fdopen(os.open(path, flags), "rb") as file:
                return _read(file, key)
        except (OSError, ValueError):
            return None

    def store(self, key: str, code: bytes, weights: Bytes, info: dict[str, Any]) -> CacheEntry:
        """Keep an entry and return it: mapped from its file, or from memory if there is none."""
        path = self._path(key)
        flat = np.ascontiguousarray(weights).reshape(-1).view(np.uint8)
        text = json.dumps(info).encode()
        length = _weights_start(len(text), len(code)) + flat.nbytes
        if path is not None and length <= self.size:
            try:
                self._write(path, text, code, flat)
                self._shrink(path)
            except OSError as error:
                _warn(f"compiled networks are not kept: {error}")
            else:
                entry = self.fetch(key)
                if entry is not None:
                    return entry
        return CacheEntry(bytes(code), _aligned(flat), json.loads(text))

    def _path(self, key: str) -> Path | None:
        if not re.fullmatch("[0-9a-f]{16,128}", key):
            raise ValueError(f"key must be 16 to 128 hexadecimal digits, got {key!r}")
        return self.directory / f"{key}{_SUFFIX}" if self.directory else None

    def _write(self, path: Path, info: bytes, code: bytes, weights: Bytes) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_private(path.parent, stat.S_ISDIR):
            raise PermissionError(f"{path.parent} is another user's or others can write there")
        # Whole microseconds, which every file system of ours keeps.
        stamp = time.time_ns() // 1000 * 1000
        head = _head(path.stem, info, code, weights, stamp)
        import tempfile  # and with it what compresses files: for who writes

        number, name = tempfile.mkstemp(".tmp", f".{path.stem[:16]}.", path.parent)
        try:
            with os.fdopen(number, "wb") as file:
                _write_parts(file, head + info + code, weights)
                file.flush()
                os.fsync(file.fileno())
            # After the last write; its owner reads it as "unchanged since".
            os.utime(name, ns=(time.time_ns(), stamp))
            Path(name).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise

    def _shrink(self, keep: Path) -> None:
        """Remove the longest unused entries over the bound, but not `keep`; and old left-overs."""
        found = sorted(_files(keep.parent), key=lambda item: item[1].st_atime_ns)
        total = sum(status.st_size for path, status in found if path.suffix == _SUFFIX)
        for path, status in found:
            if path.suffix == _SUFFIX:
                # Who has it mapped keeps it until done.
                if total <= self.size or path == keep:
                    continue
                total -= status.st_size
            elif time.time() - status.st_mtime < _ABANDONED_SECONDS:
                continue
            with suppress(OSError):
                path.unlink()


def _read(file: BinaryIO, key: str) -> CacheEntry | None:
    status = os.fstat(file.fileno())
    if not _is_mine(status, stat.S_ISREG):
        return None
    head = file.read(_HEADER.size)
    if len(head) < _HEADER.size:
        return None
    magic, version, zero, n_info, n_code, n_weights, stamp, weights_digest, digest = _HEADER.unpack(
        head
    )
    start = _weights_start(n_info, n_code)
    # The size first: lengths that lie must not make anyone read or allocate by them.
    if (magic, version, zero) != (MAGIC, VERSION, 0) or start + n_weights != status.st_size:
        return None
    info, code = file.read(n_info), file.read(n_code)
    if _digest(key, head[:-_DIGEST], info, code) != digest:
        return None
    if status.st_mtime_ns != stamp:
        file.seek(start)
        if _weights_digest(iter(lambda: file.read(1 << 20), b"")) != weights_digest:
            return None
    # Used now; and unchanged since it was written, if that had to be found out.
    if os.utime in os.supports_fd:
        with suppress(OSError):
            os.utime(file.fileno(), ns=(time.time_ns(), stamp))
    return CacheEntry(code, _map(file, start, n_weights), json.loads(info))


def _map(file: BinaryIO, start: int, length: int) -> Bytes:
    if not length:
        return _aligned(np.empty(0, np.uint8))
    return np.memmap(file, np.uint8, "r", start, (length,))


def _head(key: str, info: bytes, code: bytes, weights: Bytes, stamp: int) -> bytes:
    lengths = (len(info), len(code), weights.nbytes)
    digest = _weights_digest(iter([weights.data]))
    head = _HEADER.pack(MAGIC, VERSION, 0, *lengths, stamp, digest, bytes(_DIGEST))[:-_DIGEST]
    return head + _digest(key, head, info, code)


def _digest(key: str, *parts: bytes) -> bytes:
    return bytes.fromhex(key_of(key, *parts))


def _weights_digest(chunks: Iterator[bytes | memoryview]) -> bytes:
    digest = hashlib.blake2b(digest_size=_DIGEST)
    for chunk in chunks:
        digest.update(chunk)
    return digest.digest()


def _weights_start(info: int, code: int) -> int:
    """Where the weights begin in the file: the next whole page."""
    return -(-(_HEADER.size + info + code) // PAGE) * PAGE


def _write_parts(file: BinaryIO, first: bytes, weights: Bytes) -> None:
    file.write(first)
    file.write(bytes(-len(first) % PAGE))
    file.write(weights.data)


def _aligned(values: Bytes) -> Bytes:
    """A read-only copy from a 64-byte boundary."""
    if not values.size:
        empty = np.empty(0, np.uint8)
        empty.flags.writeable = False
        return empty
    # Memory from a page's start, and its own, so that it can go back to the system.
    copy = np.frombuffer(mmap.mmap(-1, values.nbytes), np.uint8)
    copy[:] = values
    copy.flags.writeable = False
    return copy


def _files(directory: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """The entries and the temporary files in a folder, without what goes meanwhile."""
    for path in directory.iterdir():
        if path.suffix in (_SUFFIX, ".tmp"):
            with suppress(OSError):
                yield path, path.lstat()


def _is_private(path: Path, kind: Any) -> bool:
    with suppress(OSError):
        return _is_mine(path.stat(), kind)
    return False


def _is_mine(status: os.stat_result, kind: Any) -> bool:
    """Of this kind, one's own, and nobody else can write it."""
    if not kind(status.st_mode):
        return False
    if not hasattr(os, "geteuid"):
        return True
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _default_directory() -> Path | None:
    chosen = os.environ.get("MOBILENETS_CACHE", "")
    if chosen == "off":
        return None
    try:
        if chosen:
            return Path(chosen).expanduser().absolute() / "engine"
        base = Path(os.environ.get("XDG_CACHE_HOME", ""))
        # The XDG rules: a path that is not absolute is to be ignored.
        base = base if base.is_absolute() else Path.home() / ".cache"
    except RuntimeError:
        # Nobody's home can be found.
        return None
    return base / "mobilenets" / "engine"


def _size_limit() -> int:
    text = os.environ.get("MOBILENETS_CACHE_SIZE", "").strip()
    if not text:
        return DEFAULT_SIZE
    match = re.fullmatch(r"(\d{1,18})([KMGT]?)B?", text.upper())
    if match is None:
        allowed = "a number of bytes such as 500000000, 500M or 2G"
        raise ValueError(f"MOBILENETS_CACHE_SIZE must be {allowed}, got {text!r}")
    return int(match[1]) * _UNITS[match[2]]


def _warn(message: str) -> None:
    """Once in a process: whatever is wrong will be wrong the next time, too."""
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(message, RuntimeWarning, stacklevel=3)
