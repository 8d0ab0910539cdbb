"""What a file seems to be that is none that we read, in words."""

from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from mobilenets.runtime.kinds import PHOTOGRAPHS, READ, kind_by_name, kind_of, suffix_of

_MOST_LOOKED_AT = 200
"""Names in a folder."""
_SUBFOLDERS = 8
_HEAD = 256
_PROGRAMS: Mapping[str, str] = {
    ".pb": "a TensorFlow graph",
    **dict.fromkeys([".mlmodel", ".mlpackage", ".mlmodelc"], "a Core ML model"),
    ".pte": "an ExecuTorch program",
    ".ort": "a model of ONNX Runtime's own format",
    **dict.fromkeys([".engine", ".plan", ".trt"], "a TensorRT engine"),
    ".param": "an ncnn network",
    ".mnn": "an MNN model",
    **dict.fromkeys([".caffemodel", ".prototxt"], "a Caffe network"),
    **dict.fromkeys([".pdmodel", ".pdparams", ".pdiparams"], "a PaddlePaddle model"),
    ".gguf": "a GGUF model",
    **dict.fromkeys([".dlc"], "a Qualcomm model"),
    ".rknn": "a Rockchip model",
    ".hef": "a Hailo model",
}
"""By suffix: models that other programs take."""
_MARKS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"GGUF", "a GGUF model"),
    (4, b"ORTM", "a model of ONNX Runtime's own format"),
    (4, b"ET12", "an ExecuTorch program"),
    (4, b"TFL3", "a TFLite file"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (8, b'{"', "safetensors"),
    (0, b"<!doctype html", "a web page: what was to be downloaded may need a login"),
    (0, b"<html", "a web page: what was to be downloaded may need a login"),
)
"""Where a file begins so: (first byte, the bytes in small letters or as they are, what it is)."""
_KINDS: Mapping[str, str] = {
    "video": "a video",
    "archive": "an archive, to be unpacked first",
    "array": "an array of numpy",
    "text": "text",
    "data": "data or settings",
    "program": "a program",
}


def seems(path: Path) -> str:
    """What a file seems to be, with its article; '' where nothing tells."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    for start, mark, what in _MARKS:
        part = head[start : start + len(mark)]
        if mark in (part, part.lower()):
            return what
    if _as_onnx(head):
        return "an ONNX file whose name does not end in .onnx"
    if b"<net " in head and b"<?xml" in head:
        return "an OpenVINO network"
    kind = kind_of(path)
    if kind in READ or kind in PHOTOGRAPHS:
        return f"an image ({kind})"
    if program := _PROGRAMS.get(suffix_of(path.name)):
        return program
    kind = kind or kind_by_name(path.name)
    if kind in _KINDS:
        return _KINDS[kind]
    return "text" if _is_text(head) else ""


def seems_folder(path: Path) -> str:
    """What a folder without weights seems to be, with its article."""
    if what := _PROGRAMS.get(suffix_of(path.name)):
        return what
    names = sorted(one.name for one in path.iterdir())[:_MOST_LOOKED_AT]
    if "saved_model.pb" in names:
        return "a TensorFlow SavedModel (to be saved as .keras or .tflite first)"
    if deployed := [name for name in names if suffix_of(name) == ".onnx"]:
        return f"a folder with {deployed[0]} (to be named itself)"
    inner = [path, *(path / name for name in names[:_SUBFOLDERS] if (path / name).is_dir())]
    files = [file for folder in inner for file in islice(folder.iterdir(), _SUBFOLDERS)]
    if any(kind_of(file) in READ for file in files):
        return "a folder of images (`mobilenets data check` looks at them)"
    return "a folder"


def begins_as_onnx(path: Path) -> bool:
    """Whether a file begins as an ONNX file does."""
    with path.open("rb") as file:
        return _as_onnx(file.read(_HEAD))


def _as_onnx(head: bytes) -> bool:
    """A version of the format from 3 on, then what wrote it, or the graph."""
    return len(head) > 2 and head[0] == 0x08 and 3 <= head[1] <= 20 and head[2] in (0x12, 0x3A)


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8", "strict" if len(head) < _HEAD else "ignore")
    except UnicodeDecodeError:
        return False
    return bool(text) and all(sign.isprintable() or sign.isspace() for sign in text)
