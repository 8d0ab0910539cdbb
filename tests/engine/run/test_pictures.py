"""Scaling, cutting and normalising in one go: Pillow's and numpy's bits, over many sizes."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from mobilenets.engine import Cut, Pixels, scale
from mobilenets.engine.codegen import pictures as code
from mobilenets.engine.run import pictures
from mobilenets.engine.run.pictures import LANES, PADDING, PRECISION

WAYS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
MEAN, STD = np.array([0.4, 0.5, 0.6], np.float32), np.array([0.2, 0.3, 0.25], np.float32)


def in_memory(picture: np.ndarray, size: int) -> Pixels:
    """A copy with pixels of so many bytes; what a fourth holds is noise."""
    height, width, _ = picture.shape
    memory = np.full(height * width * size + PADDING, 77, np.uint8)
    memory[: height * width * size].reshape(height, width, size)[..., :3] = picture
    return Pixels(memory.ctypes.data, width, height, size, memory)


def by_pillow(picture: np.ndarray, across: Cut, down: Cut, how: str, *, bgr: bool = False):
    """The slow readable twin."""
    box = (across.start, down.start, across.stop, down.stop)
    scaled = Image.fromarray(picture).resize((across.scaled, down.scaled), WAYS[how], box=box)
    right, bottom = across.first + across.kept, down.first + down.kept
    part = scaled.crop((across.first, down.first, right, bottom))
    values = np.asarray(part, np.float32)[..., :: -1 if bgr else 1].transpose(2, 0, 1)
    values = values / np.float32(255)
    return (values - MEAN[:, None, None]) / STD[:, None, None]


def side(rng: np.random.Generator, length: int, scaled: int, least: int, cut: float) -> Cut:
    kept = int(rng.integers(least, scaled + 1))
    return Cut(0, length - cut, scaled, int(rng.integers(0, scaled - kept + 1)), kept)


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("size", [3, 4])
def test_the_bits_are_pillows(how, size):
    """Pictures made smaller and larger, both sides alike or not, whole and but for a half pixel."""
    rng = np.random.default_rng([size, len(how)])
    done = 0
    for turn in range(60):
        width, height = (int(n) for n in rng.integers(20, 300, 2))
        if turn % 2:
            factor = rng.uniform(0.1, 2)
            w, h = max(LANES, round(width * factor)), max(1, round(height * factor))
        else:
            w, h = (int(n) for n in rng.integers(LANES, 200, 2))
        cut = 0.5 if turn % 3 == 0 else 0
        across, down = side(rng, width, w, LANES, cut), side(rng, height, h, 1, cut / 2)
        picture = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
        canvas = np.zeros((3, down.kept + 2, across.kept + 3), np.float32)
        out = canvas[:, : down.kept, : across.kept]
        bgr = turn % 5 == 0
        taken = scale(in_memory(picture, size), across, down, how, MEAN, STD, out, bgr=bgr)
        wanted = by_pillow(picture, across, down, how, bgr=bgr) if taken else 0 * out
        assert np.array_equal(out, wanted), (width, height, across, down)
        canvas[:, : down.kept, : across.kept] = 0
        assert not canvas.any()
        done += taken
    assert done > 25


@pytest.mark.parametrize(
    ("picture", "scaled"),
    [((333, 250), (300, 225)), ((17, 17), (16, 16)), ((16, 16), (16, 16)), ((500, 375), (33, 25))],
)
def test_sizes_beside_sixteen_and_one(picture, scaled):
    pixels = np.random.default_rng(0).integers(0, 256, (*picture[::-1], 3)).astype(np.uint8)
    across = Cut(0, picture[0], scaled[0], 0, scaled[0])
    down = Cut(0, picture[1], scaled[1], 0, scaled[1])
    out = np.zeros((3, *scaled[::-1]), np.float32)
    assert scale(in_memory(pixels, 4), across, down, "bilinear", MEAN, STD, out)
    assert np.array_equal(out, by_pillow(pixels, across, down, "bilinear"))


def test_what_it_does_not_take_is_left_alone():
    """Too narrow; fewer pixels than a sum has; and where Pillow may go down first."""
    picture = np.full((40, 40, 3), 200, np.uint8)
    for across, down in (
        (Cut(0, 40, 15, 0, 15), Cut(0, 40, 15, 0, 15)),
        (Cut(0, 40, 80, 0, 80), Cut(0, 40, 20, 0, 20)),
    ):
        out = np.zeros((3, down.kept, across.kept), np.float32)
        assert not scale(in_memory(picture, 4), across, down, "bilinear", MEAN, STD, out)
        assert not out.any()
    out = np.zeros((3, 16, 16), np.float32)
    sides = (Cut(0, 3, 16, 0, 16), Cut(0, 3, 16, 0, 16))
    assert not scale(in_memory(picture[:3, :3], 4), *sides, "bilinear", MEAN, STD, out)


def test_what_needs_no_llvm_knows_the_same_numbers():
    assert (PRECISION, LANES) == (code.PRECISION, code.LANES)


def test_without_memory_for_code_nothing_is_done(monkeypatch):
    def refuse():
        raise OSError("this system does not let programs make code")

    monkeypatch.setattr(pictures, "_compiled", refuse)
    pictures._made.cache_clear()
    try:
        out = np.zeros((3, 20, 20), np.float32)
        sides = (Cut(0, 40, 20, 0, 20), Cut(0, 40, 20, 0, 20))
        pixels = in_memory(np.full((40, 40, 3), 9, np.uint8), 4)
        assert not scale(pixels, *sides, "bilinear", MEAN, STD, out)
    finally:
        pictures._made.cache_clear()


def test_a_cached_function_is_loaded_without_llvm(tmp_path, monkeypatch):
    monkeypatch.setenv("MOBILENETS_CACHE", str(tmp_path))
    text = (
        "import sys, numpy as np\n"
        "from mobilenets.engine.run.pictures import _functions\n"
        "assert len(_functions()) == 3\n"
        "print('llvmlite' in sys.modules)"
    )
    said = []
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
        said.append(done.stdout.strip() or done.stderr)
    assert said == ["True", "False"]
