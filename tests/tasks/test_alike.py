"""Images that are there twice or nearly."""

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mobilenets.tasks import alike
from mobilenets.tasks.alike import find_alike
from mobilenets.tasks.classify.check import look

RNG = np.random.default_rng(3)


@contextmanager
def quiet(title: str, total: int):
    yield lambda done: None


def scene() -> Image.Image:
    """A picture of blobs and edges, of which no two are alike."""
    coarse = RNG.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((240, 180), Image.Resampling.BICUBIC)


def save(root: Path, file: str, picture: Image.Image, **options: object) -> None:
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    picture.save(root / file, **options)


def found(root: Path) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    problems, notes = find_alike(look(str(root), None, quiet).parts, quiet)
    return {problem.kind: problem.names for problem in problems}, notes


@pytest.fixture
def photos(tmp_path):
    for part in ("train", "val"):
        for label in "ab":
            for i in range(6):
                save(tmp_path, f"{part}/{label}/{i}.png", scene())
    return tmp_path


def test_pictures_of_their_own_are_not_alike(photos):
    assert found(photos) == ({}, [])


@pytest.mark.parametrize("block", [5, 2048])
def test_copies_across_parts_and_labels_are_named_with_both(photos, monkeypatch, block):
    monkeypatch.setattr(alike, "_BLOCK", block)
    with Image.open(photos / "train/a/1.png") as picture:
        picture.load()
    (photos / "val/a/9.png").write_bytes((photos / "train/a/1.png").read_bytes())
    small = picture.resize((120, 90))
    save(photos, "val/a/8.jpg", small, quality=40)
    brighter = picture.point([min(255, round(1.2 * v)) for v in range(256)] * 3)
    save(photos, "train/b/7.jpg", brighter, quality=60)
    (photos / "train/b/3.png").write_bytes((photos / "train/b/2.png").read_bytes())
    problems, notes = found(photos)
    assert problems == {
        "two parts": ("train/a/1.png (a) and val/a/9.png (a)",),
        "twice": ("train/b/2.png (b) and train/b/3.png (b)",),
        "alike in two parts": ("train/a/1.png (a) and val/a/8.jpg (a)",),
        "alike with two labels": ("train/a/1.png (a) and train/b/7.jpg (b)",),
    }
    assert notes == []


def test_without_parts_a_twin_may_be_held_out_and_that_is_said(tmp_path):
    for label in "ab":
        for i in range(3):
            save(tmp_path, f"{label}/{i}.png", scene())
    with Image.open(tmp_path / "a/1.png") as picture:
        save(tmp_path, "a/9.jpg", picture, quality=50)
    (tmp_path / "b/9.png").write_bytes((tmp_path / "a/2.png").read_bytes())
    problems, notes = found(tmp_path)
    assert problems == {"two labels": ("a/2.png (a) and b/9.png (b)",)}
    [note] = notes
    assert note.startswith("1 image looks like another, so that what is held out for validation")
    assert note.endswith("a/1.png (a) and a/9.jpg (a)")


def test_flat_and_broken_pictures_are_like_nothing(tmp_path):
    for label in "ab":
        save(tmp_path, f"train/{label}/1.png", Image.new("RGB", (90, 90), "white"))
        save(tmp_path, f"val/{label}/1.png", Image.new("RGB", (80, 80), "white"))
        save(tmp_path, f"val/{label}/2.png", scene())
    path = tmp_path / "val/a/2.png"
    path.write_bytes(path.read_bytes()[:400])
    assert found(tmp_path) == ({}, [])
