"""What a file is, told by its first bytes and not by its name.

Sources: the formats' own descriptions; the brands of ISO/IEC 23008-12 (HEIF) and of AVIF 1.1.
"""

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec

from PIL import features

HEIC_EXTRA = "pip install pillow-heif"
"""What reads HEIC, the photographs of iPhones: its decoder is not part of Pillow."""
NEED: Mapping[str, str] = {"HEIC": HEIC_EXTRA, "AVIF": "pip install -U pillow"}
"""What makes a kind of image readable that is not at hand."""
READ = frozenset(["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM"])
"""Kinds of images that are always read."""
PHOTOGRAPHS = frozenset(
    ["HEIC", "AVIF", "JPEG XL", "JPEG 2000", "Photoshop", "OpenEXR", "DICOM", "SVG", "camera raw"]
)
"""Other kinds of images; the first two are read where there is a decoder."""

_HEAD = 132
"""Bytes: DICOM has its mark behind the first 128."""
_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"8BPS", "Photoshop"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"PK\x03\x04", "archive"),
    (b"\x1f\x8b", "archive"),
    (b"Rar!", "archive"),
    (b"7z\xbc\xaf", "archive"),
    (b"\x93NUMPY", "array"),
    (b"version https://git-lfs", "Git LFS pointer"),
)
_HEIC_BRANDS = frozenset(
    [b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"]
)
_SUFFIXES: Mapping[str, str] = {
    **dict.fromkeys([".heic", ".heif", ".hif"], "HEIC"),
    ".avif": "AVIF",
    ".jxl": "JPEG XL",
    **dict.fromkeys([".jp2", ".j2k", ".jpf"], "JPEG 2000"),
    ".psd": "Photoshop",
    ".exr": "OpenEXR",
    **dict.fromkeys([".dcm", ".dicom"], "DICOM"),
    **dict.fromkeys([".svg", ".svgz"], "SVG"),
    **dict.fromkeys([".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf"], "camera raw"),
    **dict.fromkeys([".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".3gp"], "video"),
    **dict.fromkeys([".zip", ".tar", ".gz", ".tgz", ".rar", ".7z", ".xz", ".bz2"], "archive"),
    **dict.fromkeys([".npy", ".npz"], "array"),
    **dict.fromkeys([".txt", ".md", ".rst", ".pdf", ".html", ".rtf", ".docx"], "text"),
    **dict.fromkeys([".json", ".jsonl", ".xml", ".yaml", ".yml", ".csv", ".tsv"], "data"),
    **dict.fromkeys([".names", ".data", ".cache", ".cfg", ".ini", ".xlsx", ".parquet"], "data"),
    **dict.fromkeys([".pkl", ".mat", ".tfrecord", ".record", ".h5", ".db", ".log"], "data"),
    **dict.fromkeys([".py", ".ipynb", ".sh", ".js", ".m", ".lua"], "program"),
    **dict.fromkeys([".pt", ".pth", ".onnx", ".tflite", ".safetensors", ".keras"], "weights"),
}
"""What is told by its name alone and not opened."""
_TOOLS = re.compile(
    r"Thumbs\.db|ehthumbs\.db|desktop\.ini|Icon\r|__MACOSX|__pycache__|@eaDir|\$RECYCLE\.BIN"
    r"|System Volume Information|lost\+found",
    re.IGNORECASE,
)


def suffix_of(name: str) -> str:
    """The end of a file name from its last dot on, in lower case; '' where there is none."""
    return os.path.splitext(name)[1].lower()  # noqa: PTH122


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden, or one that a system or a tool writes everywhere."""
    return name.startswith(".") or bool(_TOOLS.fullmatch(name))


def kind_by_name(name: str) -> str:
    """What a suffix says that needs no look: `HEIC`, `video`, `data`, ...; '' for all others."""
    return _SUFFIXES.get(suffix_of(name), "")


def kind_of(path: str | os.PathLike[str] | bytes) -> str:
    """What the first bytes say: `JPEG`, `HEIC`, `archive`, ...; '' for nothing known.

    Of the file at a path, or of bytes that are a file's.
    """
    if isinstance(path, bytes):
        return kind_of_bytes(path[:_HEAD])
    try:
        if not os.path.isfile(path):  # noqa: PTH113 (a pipe would wait for ever)
            return ""
        with open(path, "rb") as file:  # noqa: PTH123
            return kind_of_bytes(file.read(_HEAD))
    except (OSError, ValueError):
        return ""


def kind_of_bytes(head: bytes) -> str:
    """What the first 132 bytes of a file say; '' for nothing known."""
    for start, kind in _STARTS:
        if head.startswith(start):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        return _branded(head)
    if head[:2] == b"BM" and head[15:18] == b"\0\0\0" and head[14] in (12, 40, 52, 56, 108, 124):
        return "BMP"
    if re.match(rb"P[1-6]\s+(#.*\n\s*)*\d", head):
        return "PPM"
    if head[128:132] == b"DICM":
        return "DICOM"
    return "SVG" if b"<svg" in head else ""


def _branded(head: bytes) -> str:
    """Of the ISO family: the first brand, then those that it is compatible with."""
    end = min(max(int.from_bytes(head[:4], "big"), 12), len(head))
    brands = [head[8:12], *(head[i : i + 4] for i in range(16, end - 3, 4))]
    if any(brand in (b"avif", b"avis") for brand in brands):
        return "AVIF"
    return "HEIC" if any(brand in _HEIC_BRANDS for brand in brands) else "video"


@lru_cache
def can_read(kind: str) -> bool:
    """Whether there is a decoder here for a kind of image."""
    if kind == "AVIF":  # Pillow's own from 11.3 on, where it was built with it
        return "avif" in features.modules and bool(features.check_module("avif"))
    return kind in READ or (kind == "HEIC" and find_spec("pillow_heif") is not None)
