"""Image files as people have them: found, opened, turned upright, brought to 8-bit RGB."""

import errno
import glob
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from mobilenets.errors import DataError
from mobilenets.files import absent
from mobilenets.runtime.kinds import (
    NEED,
    can_read,
    is_hidden,
    kind_by_name,
    kind_of,
    suffix_of,
)
from mobilenets.runtime.quiet import quiet

SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".webp",
        ".bmp",
        ".gif",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
        ".pnm",
    ]
)
"""What `find_images` takes from a folder without a look, in any case."""

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
_PROMISED = {
    **{f".{name.lower()}": name for name in _FORMATS},
    ".tif": "TIFF",
    ".pgm": "PPM",
    ".pnm": "PPM",
}
"""The format that a suffix stands for."""
MAX_PIXELS = 178_956_970
"""Of any picture: where Pillow too takes a file for one that is made to fill the memory."""
MAX_BYTES = 480_000_000
"""That a picture may take while it is read, where a small file can claim any size: not JPEG."""
STRIP = 1 << 22
"""Pixels of a picture of more than 8 bits that are computed at once."""
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = frozenset(_UPRIGHT[orientation] for orientation in (5, 6, 7, 8))
"""The turns that swap width and height."""


File = str | os.PathLike[str] | bytes
"""Where a file is, or all its bytes."""


def read_image(path: File) -> Image.Image:
    """The file's first picture, upright, as RGB with 8 bits a channel.

    - EXIF orientation is applied; an EXIF block that cannot be read is ignored.
    - Transparency is composited on white.
    - 16 bits are scaled by 255 / 65535, whatever part of the range the picture uses.
    - Floats in [0, 1] are scaled by 255, others in [0, 255] kept; any other range, and 32-bit
      integers beyond 16 bits, are stretched from their least to their greatest value.
    - CMYK is converted without a colour profile; inverted (Adobe) JPEGs come out right.

    A file that cannot be read, whatever the reason, is a DataError of one line that names it; so
    is a picture that takes more than `MAX_BYTES`, or has more than `MAX_PIXELS`.
    """
    with opened(path) as image:
        image.load()
        return to_rgb(upright(image))


@contextmanager
def opened(path: File) -> Iterator[Image.Image]:
    """The file as Pillow opens it; what fails inside is a DataError of one line that names it."""
    quiet()
    try:
        with _open(path) as image:
            _check_size(image)
            yield image
    except Exception as error:  # Pillow's decoders raise anything on damaged files
        name = "the image's bytes" if isinstance(path, bytes) else os.fspath(path)
        raise DataError(f"{name}: {_reason(path, error)}") from error


def _open(path: File) -> Image.Image:
    """The file's header; a kind that few files have is tried where the usual ones say no."""
    file = BytesIO(path) if isinstance(path, bytes) else path
    try:
        return Image.open(file, formats=_in_order(path))
    except UnidentifiedImageError:
        kind = kind_of(path)
        if kind not in NEED or not can_read(kind):
            raise
        if kind == "HEIC":
            import pillow_heif

            pillow_heif.register_heif_opener()
        return Image.open(file, formats=("HEIF" if kind == "HEIC" else kind,))


def _in_order(path: File) -> list[str]:
    """All formats, the one that the name promises, or that bytes begin as, first.

    Where the name is right Pillow loads that one's decoder alone, and else all forty.
    """
    if isinstance(path, bytes):
        promised: str | None = kind_of(path)
    else:
        promised = _PROMISED.get(suffix_of(os.fspath(path)))
    return sorted(_FORMATS, key=lambda name: name != promised)


class Header(NamedTuple):
    """What is known of an image file before its pixels are read."""

    size: tuple[int, int]
    """(width, height) of the picture upright, as `read_image` gives it."""
    turn: Image.Transpose | None
    """What makes the stored picture upright; None where it is."""


def read_header(path: str | os.PathLike[str]) -> Header:
    """An image's size and turn, without decoding it; DataError as from `read_image`."""
    with opened(path) as image:
        turn = turn_of(image)
        # Pillow turns a TIFF when it loads it, and newer ones say its size as if they had.
        tags = getattr(image, "tag_v2", None)
        width, height = (tags[256], tags[257]) if tags else image.size
    return Header((height, width) if turn in SIDEWAYS else (width, height), turn)


def find_images(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Image files from files, folders (searched in depth) and globs, each once, 2 before 10.

    A file named outright is taken whatever it is; in folders and globs only images count (see
    `is_image`). FileNotFoundError for a path that does not exist, DataError where nothing is
    found.
    """
    given = [os.fspath(path) for path in paths]
    found = {file for path in given for file in _expand(path)}
    if not found:
        named = ", ".join(given[:3]) + (", ..." if len(given) > 3 else "")
        raise DataError(f"no images in {named or 'an empty list of paths'}{_unread(given)}")
    return sorted(found, key=natural_key)


def _unread(given: Iterable[str]) -> str:
    """What images there are in folders that need a decoder which is not here, in words; or ''."""
    folders = (found for path in given for found in walk(Path(path)))
    files = (parent / name for parent, names in folders for name in names)
    kinds = Counter(kind_by_name(file.name) or kind_of(file) for file in files)
    return "".join(f"; {kinds[kind]} {kind}: `{NEED[kind]}`" for kind in NEED if kinds[kind])


def natural_key(path: Path | str) -> list[tuple[int, int, str]]:
    """Sorts names as people count: img2 before img10."""
    parts = re.split(r"(\d+)", str(path))
    key = [(0, int(p), p) if p.isdecimal() else (1, 0, p.casefold()) for p in parts if p]
    return [*key, (2, 0, str(path))]


def walk_images(folder: Path) -> Iterator[Path]:
    """Every image file in and below a folder, hidden ones left out, in no promised order."""
    for parent, names in walk(folder):
        yield from (path for name in names if is_image(path := parent / name))


def walk(folder: Path, *, hidden: bool = False) -> Iterator[tuple[Path, list[str]]]:
    """Every folder from `folder` down, with the names of its files; hidden ones if asked for.

    Links to folders are followed, but not upwards or in a circle.
    """
    above: dict[str, tuple[str, ...]]
    above = {os.fspath(folder): (os.path.realpath(folder),)}  # where it and links above it lie
    for parent, folders, names in os.walk(folder, followlinks=True):
        *links, here = above.pop(parent, (parent,))
        kept = []
        for name in folders:
            path = os.path.join(parent, name)  # noqa: PTH118
            if is_hidden(name) and not hidden:
                continue
            if os.path.islink(path):  # noqa: PTH114
                real = os.path.realpath(path)
                if any(Path(one).is_relative_to(real) for one in (*links, here)):
                    continue
                above[path] = (*links, here, real)
            else:
                above[path] = (*links, os.path.join(here, name))  # noqa: PTH118
            kept.append(name)
        folders[:] = kept
        yield Path(parent), names if hidden else [name for name in names if not is_hidden(name)]


def is_image(path: Path) -> bool:
    """Whether a file that is not hidden is an image that is read.

    By its suffix if that is one of `SUFFIXES`; with another suffix, or none, by its first bytes.
    """
    name = path.name
    if is_hidden(name):
        return False
    if suffix_of(name) in SUFFIXES:
        return True
    kind = kind_by_name(name)
    return can_read(kind or kind_of(path))


def _expand(given: str) -> Iterable[Path]:
    path = Path(given)
    if path.is_dir():
        return walk_images(path)
    if path.exists():
        return [path]
    if not glob.has_magic(given):
        raise FileNotFoundError(errno.ENOENT, "no such file or folder", given)
    matches = [Path(match) for match in glob.glob(given, recursive=True)]  # noqa: PTH207
    return [file for match in matches for file in _from_glob(match)]


def _from_glob(match: Path) -> Iterable[Path]:
    if match.is_dir():
        return walk_images(match)
    return [match] if is_image(match) else []


def _reason(path: File, error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        head = _first(path, 64)
        if not head:
            return "the file is empty"
        if why := absent(head):
            return why
        kind = kind_of(path)
        if kind in NEED:
            return f"it is {kind}, which needs `{NEED[kind]}`, or damaged"
        if kind and kind not in _FORMATS:
            return f"it is {kind}, which is not read"
        return f"not an image of a kind that is read ({', '.join(_FORMATS)}), or damaged"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, DataError):
        return str(error)
    if isinstance(error, Image.DecompressionBombError):
        return f"a decompression bomb: it claims more than {MAX_PIXELS / 1e6:.0f} megapixels"
    if isinstance(error, MemoryError):
        return "too large for the memory there is"
    return f"cannot be decoded ({' '.join(str(error).split()) or type(error).__name__})"


def _first(path: File, count: int) -> bytes:
    """So many bytes that a file begins with."""
    if isinstance(path, bytes):
        return path[:count]
    with Path(path).open("rb") as file:
        return file.read(count)


def _check_size(image: Image.Image) -> None:
    """DataError for a picture that would take too much memory."""
    pixels = image.width * image.height
    if pixels > MAX_PIXELS:
        raise Image.DecompressionBombError
    claimed = pixels * _bytes_of_pixel(image)
    if image.format != "JPEG" and claimed > MAX_BYTES:
        raise DataError(
            f"too large: {image.width} x {image.height} pixels of mode {image.mode} take "
            f"{claimed / 1e6:.0f} MB, at most {MAX_BYTES / 1e6:.0f} MB are allowed"
        )


def _bytes_of_pixel(image: Image.Image) -> int:
    """While it is read: as Pillow keeps it, turned, and as RGB, which takes 4 bytes there."""
    mode = image.mode
    stored = 1 if mode in ("1", "L", "P") else 2 if mode.startswith("I;16") else 4
    # Pillow would decode a PNG to look for an EXIF block behind its pixels.
    told = image.format != "PNG" or "exif" in image.info
    turned = stored if told and turn_of(image) is not None else 0
    whole = 3 * stored if image.format in ("WEBP", "AVIF", "HEIF") else 0  # decoders' own copies
    return whole + max(stored + turned, stored + (0 if mode == "RGB" else 4))


def upright(image: Image.Image) -> Image.Image:
    """A picture that was loaded, turned as its EXIF says."""
    turn = turn_of(image)
    return image if turn is None else image.transpose(turn)


def turn_of(image: Image.Image) -> Image.Transpose | None:
    """What makes the picture upright by its EXIF block; None where it is, or nobody says."""
    try:
        return _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # a broken EXIF block must not cost the picture
        return None


def to_rgb(image: Image.Image) -> Image.Image:
    """A picture that was loaded, of any mode, as `read_image` says."""
    if image.mode.startswith("I;16"):
        return _by_strips(image, lambda values: values / 257)
    if image.mode == "I":
        return _by_strips(image, _of_integers(*_range(image)))
    if image.mode == "F":
        return _by_strips(image, _of_floats(*_range(image)))
    if "transparency" in image.info or image.mode in ("RGBA", "RGBa", "LA", "La", "PA"):
        return _on_white(image)
    # A copy, as `convert` makes one always, would take the picture's memory once more.
    return image if image.mode == "RGB" else image.convert("RGB")


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """(first row, some rows of a picture), so that wide numbers are never there for all of it."""
    rows = max(1, STRIP // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _on_white(image: Image.Image) -> Image.Image:
    made = Image.new("RGB", image.size)
    for top, strip in _strips(image):
        strip.info = image.info
        colours = strip.convert("RGBA")
        white = Image.new("RGBA", colours.size, "white")
        made.paste(Image.alpha_composite(white, colours).convert("RGB"), (0, top))
    return made


def _by_strips(
    image: Image.Image, levels: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> Image.Image:
    """A picture of wide numbers whose `levels` from 0 to 255 become grey."""
    made = Image.new("RGB", image.size)
    for top, strip in _strips(image):
        grey = np.rint(levels(np.asarray(strip).astype(np.float64))).astype(np.uint8)
        made.paste(Image.fromarray(grey).convert("RGB"), (0, top))
    return made


def _range(image: Image.Image) -> tuple[float, float]:
    """The least and the greatest value; DataError where one is not finite."""
    low, high = np.inf, -np.inf
    for _, strip in _strips(image):
        values = np.asarray(strip)
        if not np.isfinite(values).all():
            raise DataError("it holds values that are not finite")
        low, high = min(low, float(values.min())), max(high, float(values.max()))
    return low, high


def _of_integers(low: float, high: float) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    if low >= 0 and high <= 65535:
        return lambda values: values / 257
    return _stretch(low, high)


def _of_floats(low: float, high: float) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    if low >= 0 and high <= 1:
        return lambda values: values * 255
    if low >= 0 and high <= 255:
        return lambda values: values
    return _stretch(low, high)


def _stretch(low: float, high: float) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    if high <= low:
        return np.zeros_like
    return lambda values: (values - low) * (255 / (high - low))
