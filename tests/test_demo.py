import base64
import io
import re

import pytest
from PIL import Image

from mobilenets.data import shapes
from mobilenets.demo import THRESHOLD, Outcome, run_demo
from mobilenets.demo import run as module


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """A demo of one epoch on few images: it learns nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shapes, "LENGTHS", {"train": 64, "val": 32})
        patch.setitem(module.SETTINGS, "epochs", 1)
        folder = tmp_path_factory.mktemp("demo")
        (folder / "run").mkdir()
        (folder / "run" / "mine.txt").write_text("not of a demo")
        with pytest.raises(ValueError, match="already holds"):
            run_demo(folder)
        assert (folder / "run" / "mine.txt").exists()
        folder = tmp_path_factory.mktemp("demo")
        lines = []
        yield run_demo(folder, lines.append), lines


def test_a_network_that_learned_nothing_does_not_pass(outcome):
    found, _ = outcome
    assert found.top1 < THRESHOLD
    assert not found.passed


@pytest.mark.parametrize(
    ("top1", "exported", "passed"),
    [(0.9, 0.9, True), (0.9, 0.899, True), (0.9, 0.8, False), (0.7, 0.7, False)],
)
def test_passing_needs_both_learning_and_agreement(tmp_path, top1, exported, passed):
    assert Outcome(tmp_path, top1, exported).passed == passed


def test_the_export_agrees_with_the_checkpoint(outcome):
    assert outcome[0].top1 == pytest.approx(outcome[0].exported_top1, abs=module.AGREEMENT)


def test_every_step_is_told(outcome):
    told = [line.split(":")[0] for line in outcome[1]]
    assert [step for step in told if step in ("train", "evaluate", "export", "predict")] == [
        "train",
        "evaluate",
        "export",
        "predict",
    ]


def test_the_page_has_all_its_pictures_inside(outcome):
    page = outcome[0].page.read_text(encoding="utf-8")
    pictures = re.findall(r"src='data:image/png;base64,([^']+)'", page)
    assert len(pictures) == 12 + 2  # predictions, curves, confusion
    assert page.count("src=") == len(pictures)
    assert "href=" not in page
    for picture in pictures:
        with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
            image.load()
    assert "multiply-adds per image" in page
