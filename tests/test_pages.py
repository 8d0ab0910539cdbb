"""Two pages of the docs are followed, command by command, as a reader would."""

import itertools
import re
import runpy
import shlex
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from tests.test_docs import ROOT, Block, blocks

ELSEWHERE = ("cd", "pip", "python3 -m venv", "rpicam-still", "scp", "source")
"""What a reader does that a test cannot: install, copy to the device, take a photo."""
FILES = {"mobilenet_v1_0.5_160.google": "mobilenet_v1_0.5_160_quant.tflite"}
"""What stands for a file that would be fetched."""

pytestmark = pytest.mark.every


@pytest.fixture
def photos(assets, tmp_path, monkeypatch):
    """A folder with what the pages begin with; the current one."""
    for name, images in {"ants": 6, "bees": 6}.items():
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        found = sorted((assets / "ants-bees" / "train" / name).iterdir())
        for path in found[:images]:
            shutil.copy(path, folder)
    monkeypatch.setenv("MOBILENETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(
        "mobilenets.weights.fetch", lambda one, check: assets / "weights" / FILES[one.name]
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def camera(photos, monkeypatch):
    """The library of the Pi's camera: three photos, then the user stops the program."""
    shots = itertools.islice(sorted(photos.rglob("*.jpg")), 3)

    def capture_array():
        for path in shots:
            return np.asarray(Image.open(path).convert("RGB"))
        raise KeyboardInterrupt

    made = SimpleNamespace(
        capture_array=capture_array,
        configure=lambda settings: None,
        create_video_configuration=lambda main: main,
        start=lambda: None,
    )
    monkeypatch.setitem(sys.modules, "picamera2", SimpleNamespace(Picamera2=lambda: made))


def follow(page: str, call) -> dict[str, str]:
    """Run a page's blocks in order; what each command printed, by its line."""
    told = {}
    for block in blocks(ROOT / "docs" / page):
        if block.language == "python":
            keep(block)
        for line in block.text.splitlines() if block.language == "" else ():
            words = shlex.split(line, comments=True)
            if not words or line.startswith(ELSEWHERE):
                continue
            if words[0] == "mobilenets":
                ran = call(*words[1:])
                assert ran.status == 0, f"{page}: {line}: {ran.err}"
                told[line] = ran.out
            else:
                assert words[0] == "python" or tree(line), f"{page}: who runs {line!r}?"
                if words[0] == "python":
                    run_program(words[1:])
    return told


def tree(line: str) -> bool:
    """Whether a line shows files, not a command."""
    return re.match(r"\s*\w+/(\s|$)", line) is not None


def keep(block: Block) -> None:
    """A program goes into the file that its first line names; others run at once."""
    named = re.match(r"# (\w+\.py)\n", block.text)
    if named:
        Path(named[1]).write_text(block.text, encoding="utf-8")
    else:
        exec(compile(block.text, f"{block.page}:{block.line}", "exec"), {})


def run_program(arguments: list[str]) -> None:
    before, sys.argv = sys.argv, arguments
    try:
        runpy.run_path(arguments[0], run_name="__main__")
    except KeyboardInterrupt:
        pass
    finally:
        sys.argv = before


def test_from_photos_to_a_raspberry_pi(photos, camera, call, capsys):
    shutil.copy(next((photos / "photos" / "ants").iterdir()), "now.jpg")
    told = follow("raspberry-pi.md", call)
    assert len(told) >= 6
    assert {"run/best.safetensors", "photos.onnx", "see.py"} <= {
        str(p.relative_to(photos)) for p in photos.rglob("*")
    }
    assert re.search(r"ants|bees", told["mobilenets predict photos.onnx now.jpg"])
    assert len(capsys.readouterr().out.splitlines()) >= 3


def test_somebodys_file_faster(photos, assets, call, capsys):
    """As the labelled photos, ImageNet's own: the file's classes."""
    shutil.copy(assets / "weights" / "mobilenet_v1_0.25_128_quant.tflite", "net.tflite")
    for path in sorted((assets / "imagenet-sample").glob("*/*"))[:4]:
        folder = photos / "labelled" / path.parent.name
        folder.mkdir(parents=True)
        shutil.copy(path, folder)
    shutil.copy(path, photos / "photos" / "cat.jpg")
    told = follow("faster.md", call)
    assert "best peer, " in told["mobilenets bench net.onnx --threads 1,2"]
    assert "cat.jpg " in capsys.readouterr().out
