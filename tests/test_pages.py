"""README, three pages and a notebook are followed, command by command, as a reader would."""

import ast
import io
import itertools
import json
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from mobilenets.data import shapes
from mobilenets.weights.published import PUBLISHED
from tests.test_docs import ROOT, Block, blocks

ELSEWHERE = ("cd", "pip", "python3 -m venv", "rpicam-still", "scp", "source")
"""What a reader does that a test cannot: install, copy to the device, take a photo."""
FILES = {"mobilenet_v1_0.5_160.google": "mobilenet_v1_0.5_160_quant.tflite"}
"""What stands for a file that would be fetched."""
PACKAGED = PUBLISHED["mobilenet_v2_0.35_64.shapes"].packaged
"""The same, where no assets are needed."""
NOTEBOOK = ROOT / "docs" / "tutorial.ipynb"

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


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """An empty folder, the current one; the name in README is fetched from the package."""
    monkeypatch.setenv("MOBILENETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("mobilenets.weights.fetch", lambda one, check: PACKAGED)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def follow(page: str, call) -> dict[str, str]:
    """Run a page's blocks in order; what each command and program printed, by its line.

    A block of `text` is what the commands above it print: numbers may differ, words may not.
    """
    told, last = {}, ""
    for block in blocks(ROOT / page):
        if block.language == "python":
            keep(block)
        elif block.language == "text":
            shown = [line for line in block.text.splitlines() if line.strip() != "..."]
            missing = {without_numbers(line) for line in shown}
            missing -= {without_numbers(line) for line in last.splitlines()}
            assert not missing, f"{page}:{block.line} shows what is not printed"
        elif block.language == "":
            ran = [run_line(line, page, call) for line in block.text.splitlines()]
            told |= {line: out for line, out in ran if out is not None}
            last = "".join(out for _, out in ran if out is not None)
    return told


def without_numbers(line: str) -> str:
    return " ".join(re.sub(r"\d+(\.\d+)?(e-\d+)?", "0", line).split())


def run_line(line: str, page: str, call) -> tuple[str, str | None]:
    """A line and what it printed; None where there was nothing to run."""
    words = shlex.split(line, comments=True)
    if not words or line.startswith(ELSEWHERE):
        return line, None
    if words[0] == "mobilenets":
        ran = call(*words[1:])
        assert ran.status == 0, f"{page}: {line}: {ran.err}"
        return line, ran.err + ran.out
    if words[0] == "rm":
        Path(words[1]).unlink()
        return line, ""
    assert words[0] == "python" or tree(line), f"{page}: who runs {line!r}?"
    return line, run_program(words[1:]) if words[0] == "python" else None


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


def run_program(arguments: list[str]) -> str:
    """What it printed."""
    printed = io.StringIO()
    before, sys.argv = sys.argv, arguments
    try:
        with redirect_stdout(printed):
            runpy.run_path(arguments[0], run_name="__main__")
    except KeyboardInterrupt:
        pass
    finally:
        sys.argv = before
    return printed.getvalue()


def test_from_photos_to_a_raspberry_pi(photos, camera, call):
    shutil.copy(next((photos / "photos" / "ants").iterdir()), "now.jpg")
    told = follow("docs/raspberry-pi.md", call)
    assert len(told) >= 6
    assert {"run/best.safetensors", "photos.onnx", "see.py"} <= {
        str(p.relative_to(photos)) for p in photos.rglob("*")
    }
    assert re.search(r"ants|bees", told["mobilenets predict photos.onnx now.jpg"])
    assert len(told["python see.py"].splitlines()) >= 3


def test_somebodys_file_faster(photos, assets, call):
    """As the labelled photos, ImageNet's own: the file's classes."""
    shutil.copy(assets / "weights" / "mobilenet_v1_0.25_128_quant.tflite", "net.tflite")
    for path in sorted((assets / "imagenet-sample").glob("*/*"))[:4]:
        folder = photos / "labelled" / path.parent.name
        folder.mkdir(parents=True)
        shutil.copy(path, folder)
    shutil.copy(path, photos / "photos" / "cat.jpg")
    told = follow("docs/faster.md", call)
    assert "best peer, " in told["mobilenets bench net.onnx --threads 1,2"]
    assert "cat.jpg " in told["python answer.py photos/cat.jpg"]


def test_readme(bare, call, monkeypatch):
    """On fewer of the built-in pictures; its photos are what the tutorial makes."""
    monkeypatch.setattr(shapes, "LENGTHS", {"train": 256, "val": 32, "test": 128})
    for name in ("photos", "new-photos"):
        make_folder(name)
    told = follow("README.md", call)
    assert len(told) >= 8
    assert {"shapes.onnx", "seen.png", "photos.onnx", "wrong/index.html"} <= files(bare)


def make_folder(name: str) -> None:
    """A picture of each of the eight classes in the place of photos."""
    several = shapes.Shapes(size=64, length=64)
    for i in range(len(several)):
        folder = Path(name, several.classes[several.target(i)])
        folder.mkdir(parents=True, exist_ok=True)
        several.image(i).save(folder / f"{i:03}.jpg")


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_from_my_folder_to_my_app(bare, call):
    told = follow("docs/tutorial.md", call)
    assert len(told) >= 9
    assert {"wrong/index.html", "seen/004.jpg", "photos.onnx"} <= files(bare)
    line = next(line for line in told if line.startswith("python app.py"))
    assert re.search(r"^004.jpg: \w+, \d+% sure\n006.jpg: ", told[line])
    assert told[line] == without_torch(shlex.split(line)[1:])


def without_torch(arguments: list[str]) -> str:
    """What a program prints in a process of its own where torch is not installed."""
    code = "import runpy, sys; sys.modules['torch'] = None; sys.argv = sys.argv[1:]"
    code += "; runpy.run_path(sys.argv[0], run_name='__main__')"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_notebook(bare, call, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")  # as the notebook does, and back again
    space: dict[str, object] = {}
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    for number, cell in enumerate(one for one in cells if one["cell_type"] == "code"):
        run_cell("".join(cell["source"]), f"cell {number}", space, call)
    assert {"wrong/index.html", "photos.onnx", "app.py"} <= files(bare)


def run_cell(text: str, where: str, space: dict[str, object], call) -> None:
    """As Jupyter does: commands after `!`, a file to write, or Python whose last value is shown."""
    if text.startswith("%%writefile "):
        name, text = text.removeprefix("%%writefile ").split("\n", 1)
        Path(name).write_text(text, encoding="utf-8")
    elif text.startswith("!"):
        for line in text.splitlines():
            assert line.startswith("!"), f"{where}: {line!r} among commands"
            run_line(line.removeprefix("!"), where, call)
    else:
        body = ast.parse(text).body
        shown = body.pop() if isinstance(body[-1], ast.Expr) else None
        exec(compile(ast.Module(body, []), where, "exec"), space)
        if isinstance(shown, ast.Expr):
            value = eval(compile(ast.Expression(shown.value), where, "eval"), space)
            getattr(value, "_repr_png_", value.__repr__)()


def test_the_notebook_has_the_steps_of_the_page_and_is_small():
    page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    told = "\n".join("".join(one["source"]) for one in cells)
    _install, *steps = re.findall(r"^## \d.*", page, re.MULTILINE)
    assert re.findall(r"^## \d.*", told, re.MULTILINE) == steps
    commands = re.findall(r"^!(.+)", told, re.MULTILINE)
    assert len(commands) >= 5
    assert set(commands) <= set(page.splitlines())
    assert NOTEBOOK.stat().st_size < 100_000
    assert all(one["execution_count"] for one in cells if one["cell_type"] == "code")
