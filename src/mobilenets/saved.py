"""Pictures that commands write into a folder: under which names, and over which files.

A picture says in itself which command wrote it, so that it may write over its own, and asks before
it writes over anything else.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from PIL import Image, PngImagePlugin

from mobilenets.files import replace_file

_GENERATOR = re.compile(r'"generator": "([^"]*)"')
_COMMENT, _SOFTWARE = "comment", "Software"
"""Where a JPEG file and a PNG file say what wrote them."""


def names_in(folder: Path, images: Iterable[Path]) -> list[Path]:
    """Where the pictures of `images` go: JPEG files in `folder` under the same names.

    A name that is taken by an image before it is numbered. Names that differ in capitals only, or
    in how accents are stored, are one file on some systems, and count as the same on all.
    """
    used: set[str] = set()
    found = []
    for path in images:
        name, number = f"{path.stem}.jpg", 2
        while _folded(name) in used:
            name, number = f"{path.stem}-{number}.jpg", number + 1
        used.add(_folded(name))
        found.append(folder / name)
    return found


def mask_of(target: Path) -> Path:
    """Where the mask goes that belongs to the picture at `target`."""
    return target.with_suffix(".png")


def written_by_others(targets: Iterable[Path], writer: str) -> list[Path]:
    """Those of `targets` that are there and that `writer` did not write."""
    return [path for path in targets if _is_there(path) and _writer(path) != writer]


def save_picture(
    picture: Image.Image, target: Path, writer: str, mask: Image.Image | None = None
) -> tuple[Path, ...]:
    """Write `picture` as JPEG to `target`, whose folder is made, and `mask` as PNG beside it.

    `writer` is the command, in words; the files say it. Both are returned.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    save = partial(picture.save, format="JPEG", quality=92, comment=writer.encode())
    replace_file(target, save)
    if mask is None:
        return (target,)
    said = PngImagePlugin.PngInfo()
    said.add_text(_SOFTWARE, writer)
    replace_file(mask_of(target), partial(mask.save, format="PNG", pnginfo=said))
    return target, mask_of(target)


def _is_there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _writer(path: Path) -> str:
    """What a file says that wrote it; '' for all else, and for a link: it is no file of ours.

    Pictures say it, and GeoJSON in its first 200 bytes.
    """
    if path.is_symlink() or not path.is_file():
        return ""
    if path.suffix == ".geojson":
        with path.open("rb") as text:
            found = _GENERATOR.search(text.read(200).decode("utf-8", "replace"))
        return found[1] if found else ""
    try:
        with Image.open(path, formats=["JPEG", "PNG"]) as picture:
            said = picture.info.get(_COMMENT, picture.info.get(_SOFTWARE, ""))
    except Exception:  # whatever a damaged picture makes of it
        return ""
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)


def check_apart(files: Sequence[Path], folder: Path) -> None:
    """Raise ValueError where a picture written to `folder` could replace one of `files`.

    Or a link to it: both the folder where a file is named and the one where it lies are meant.
    """
    target = folder.resolve()
    for path in files:
        if any(_is_folder(target, one) for one in (path.parent.resolve(), path.resolve().parent)):
            raise ValueError(f"save_dir must be another folder than the images', {path} is in it")


def _folded(name: str) -> str:
    """One name for all that any file system takes for the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _is_folder(first: Path, second: Path) -> bool:
    """Whether two paths are one folder, also where a system takes several names for it."""
    try:
        return first.samefile(second)
    except OSError:
        return first == second
