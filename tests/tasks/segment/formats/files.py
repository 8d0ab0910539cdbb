"""Small data sets with masks, written as other people's tools do."""

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from tests.tasks.detect.formats.files import write


def voc_colour(index: int) -> tuple[int, int, int]:
    """As the devkit's `VOClabelcolormap` has it, bit by bit."""
    colour = [0, 0, 0]
    for place in range(8):
        for channel in range(3):
            if index & (1 << (3 * place + channel)):
                colour[channel] |= 1 << (7 - place)
    return colour[0], colour[1], colour[2]


def palette(root: Path, file: str, ids: ArrayLike, colours: int = 256) -> Path:
    """A palette PNG in VOC's colours."""
    picture = Image.fromarray(np.asarray(ids, np.uint8))
    picture.putpalette([value for i in range(colours) for value in voc_colour(i)])
    return save(root, file, picture)


def grey(root: Path, file: str, ids: ArrayLike) -> Path:
    return save(root, file, Image.fromarray(np.asarray(ids, np.uint8)))


def grey16(root: Path, file: str, ids: ArrayLike) -> Path:
    return save(root, file, Image.fromarray(np.asarray(ids, np.uint16)))


def colours(root: Path, file: str, values: ArrayLike) -> Path:
    return save(root, file, Image.fromarray(np.asarray(values, np.uint8)))


def photo(root: Path, file: str, size: tuple[int, int] = (4, 3), turned: int = 1) -> Path:
    exif = Image.Exif()
    exif[0x0112] = turned
    return save(root, file, Image.new("RGB", size, (90, 90, 90)), exif=exif)


def save(root: Path, file: str, picture: Image.Image, **options: object) -> Path:
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    picture.save(root / file, **options)
    return root / file


def png(path: Path, rows: list[bytes], width: int, depth: int, kind: int, entries: int = 0) -> Path:
    """A PNG byte by byte: rows as they are packed, kind 0 for grey, 3 for a palette."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, len(rows), depth, kind, 0, 0, 0)
    table = bytes(value for i in range(entries) for value in voc_colour(i))
    return write(
        path,
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + (chunk(b"PLTE", table) if entries else b"")
        + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
        + chunk(b"IEND", b""),
    )
