"""A model file, read once: what is compiled is what the cache's key was made of."""

import hashlib
import os
import threading
from functools import cached_property
from pathlib import Path

from mobilenets.errors import WeightsError
from mobilenets.files import absent


class Source:
    """A file's bytes, and a record of what was read from the files beside it.

    name: for messages. data: the whole file. folder: where weights that it keeps in other files
    may lie; None if nowhere. A part of such a file that is read a second time must be what it was:
    two networks made of one source are of the same weights.
    """

    def __init__(self, name: str, data: bytes, folder: Path | None = None) -> None:
        self.name, self.data, self.folder = name, data, folder
        self._beside: dict[tuple[Path, int, int], bytes] = {}

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "Source":
        """The file at `path`; WeightsError where it is not there or cannot be read."""
        file = Path(path)
        try:
            data = file.read_bytes() if file.is_file() else None
        except OSError as error:
            raise WeightsError(f"{file}: cannot be read ({error.strerror})") from error
        if data is None:
            raise WeightsError(f"{file}: no such file")
        if why := absent(data):
            raise WeightsError(f"{file}: {why}")
        return cls(str(file), data, file.parent)

    @cached_property
    def whole(self) -> bool:
        """Whether it certainly keeps all its weights itself: it does not say where others are."""
        return b"location" not in self.data

    def beside(self, path: Path, offset: int, size: int) -> bytes:
        """`size` bytes of another file from `offset` on, or fewer where it ends. OSError."""
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(size)
        digest = hashlib.blake2b(data).digest()
        if self._beside.setdefault((path, offset, size), digest) != digest:
            raise WeightsError(f"{path.name} was changed while it was in use")
        return data

    @cached_property
    def content(self) -> bytes:
        """A digest of the file itself: what lies beside it is not in it."""
        return _digest(self.data)

    def digest(self) -> str:
        """Of the file, and of all that has been read beside it up to now, in that order."""
        digest = hashlib.blake2b(self.content)
        for (_, offset, size), content in self._beside.items():
            digest.update(offset.to_bytes(8, "little") + size.to_bytes(8, "little") + content)
        return digest.hexdigest()


_PARTS, _LARGE = 4, 1 << 20


def _digest(data: bytes) -> bytes:
    """A digest of bytes; of a megabyte or more, that of four parts' digests.

    The parts are read at once: one thread takes 20 ms for the weights of a MobileNet, as long as
    the network itself.
    """
    if len(data) < _LARGE:
        return hashlib.blake2b(data).digest()
    size = -(-len(data) // _PARTS)
    found = [hashlib.blake2b() for _ in range(_PARTS)]
    whole = memoryview(data)
    readers = [
        threading.Thread(target=one.update, args=(whole[size * i : size * (i + 1)],))
        for i, one in enumerate(found)
    ]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    return hashlib.blake2b(b"".join(one.digest() for one in found), person=b"parts").digest()
