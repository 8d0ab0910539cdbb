import base64
import io
import os
import re
import sys
from dataclasses import replace

import pytest
from PIL import Image

from mobilenets.data import shapes
from mobilenets.demo import Outcome, Reached, run_demo
from mobilenets.demo import run as module
from mobilenets.demo.beside import beside
from mobilenets.errors import TrainingError
from mobilenets.tasks.registry import with_part
from tests.quick import quick_export

USES = {task.name: task.demo.DEMO for task in with_part("demo")}
STEPS = ("train", "evaluate", "export", "predict")


def one_after_the_other(job, calls, names, say):
    """As `beside`, in this process, where the data set is small."""
    return [job(*call, say=say) for call in calls]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """A demo of one epoch on few small images: it learns nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shapes, "LENGTHS", {"train": 32, "val": 16})
        patch.setattr(shapes, "SCENES", {"train": 32, "val": 16})
        for task in with_part("demo"):
            use = task.demo.DEMO
            quick = replace(use, resolution=48, settings={**use.settings, "epochs": 1})
            patch.setattr(task.demo, "DEMO", quick)
        patch.setattr(module, "beside", one_after_the_other)
        folder = tmp_path_factory.mktemp("demo")
        (folder / "classify" / "run").mkdir(parents=True)
        (folder / "classify" / "run" / "mine.txt").write_text("not of a demo")
        with pytest.raises(ValueError, match="already holds"):
            run_demo(folder)
        assert (folder / "classify" / "run" / "mine.txt").exists()
        folder = tmp_path_factory.mktemp("demo")
        lines = []
        with quick_export():
            made = run_demo(folder, lines.append)
        yield made, lines


@pytest.mark.every
def test_networks_that_learned_nothing_do_not_pass(outcome):
    found, _ = outcome
    assert [one.task for one in found.measured] == ["classify", "detect", "segment"]
    assert not any(one.passed for one in found.measured)
    assert not found.passed


@pytest.mark.parametrize(
    ("top1", "exported", "passed"),
    [(0.9, 0.9, True), (0.9, 0.899, True), (0.9, 0.8, False), (0.3, 0.3, False)],
)
def test_passing_needs_both_learning_and_agreement(tmp_path, top1, exported, passed):
    first, *good = [Reached(name, use, 1.0, 1.0) for name, use in USES.items()]
    first = replace(first, value=top1, exported=exported)
    assert Outcome(tmp_path, (first, *good)).passed == passed
    assert Outcome(tmp_path, (*good, first)).passed == passed


@pytest.mark.every
def test_the_exports_agree_with_their_checkpoints(outcome):
    for one in outcome[0].measured:
        assert one.value == pytest.approx(one.exported, abs=one.use.agreement)


@pytest.mark.every
def test_every_step_is_told(outcome):
    told = [line.split(":")[0] for line in outcome[1]]
    assert [step for step in told if step in STEPS] == list(STEPS) * len(USES)


@pytest.mark.every
@pytest.mark.parametrize("new", ["new extras and heads for 8", "a new head for 9"])
def test_the_others_start_from_the_classifier(outcome, new):
    assert any(new in line and "classify/run/best.safetensors" in line for line in outcome[1])


def shout(word, times, *, say):
    if not times:
        raise TrainingError(f"nothing of {word}")
    say(f"said {word}")
    sys.stderr.write(f"{word}\n\n" * times + "no more")
    return word, os.getpid()


def test_jobs_side_by_side_are_heard_and_give_their_results_in_order():
    lines = []
    found = beside(shout, [("one", 1), ("two", 2)], ["a", "b"], lines.append)
    assert [word for word, _ in found] == ["one", "two"]
    assert len({os.getpid(), *(process for _, process in found)}) == 3
    assert [line for line in lines if line[0] == "a"] == ["a: said one", "a: one", "a: no more"]
    assert [line for line in lines if line[0] == "b"] == [
        "b: said two",
        "b: two",
        "b: two",
        "b: no more",
    ]


def test_the_error_of_a_job_is_raised_when_the_others_are_done():
    lines = []
    with pytest.raises(TrainingError, match="nothing of one"):
        beside(shout, [("one", 0), ("two", 1)], ["a", "b"], lines.append)
    assert lines == ["b: said two", "b: two", "b: no more"]


@pytest.mark.every
def test_the_page_says_of_each_use_what_went_wrong(outcome):
    """Networks that learned nothing are wrong about nearly every picture."""
    page = outcome[0].page.read_text(encoding="utf-8")
    for part, own in zip(page.split("<h2>")[1:], USES.values(), strict=True):
        assert own.mistake in part
        assert not any(use.mistake in part for use in USES.values() if use.mistake != own.mistake)
        assert part.count(own.mistake) == part.count("class=wrong")


@pytest.mark.parametrize(
    ("values", "failed"),
    [
        ((0.3, 0.9, 0.9), ["Classification: top1 must reach 0.4"]),
        ((0.8, 0.1, 0.9), ["Detection: ap50 must reach 0.15"]),
        ((0.8, 0.9, 0.2), ["Segmentation: miou must reach 0.25"]),
        (
            (0.3, 0.1, 0.9),
            ["Classification: top1 must reach 0.4", "Detection: ap50 must reach 0.15"],
        ),
        ((0.8, 0.9, 0.9), []),
    ],
)
def test_the_command_says_which_use_failed(tmp_path, monkeypatch, capsys, values, failed):
    from mobilenets.cli.demo import run

    measured = [
        Reached(name, use, v, v) for (name, use), v in zip(USES.items(), values, strict=True)
    ]
    ended = Outcome(tmp_path / "index.html", tuple(measured))
    monkeypatch.setattr("mobilenets.demo.run_demo", lambda output, say: ended)
    if not failed:
        run(tmp_path)
        assert "index.html" in capsys.readouterr().out
        return
    with pytest.raises(TrainingError) as caught:
        run(tmp_path)
    assert all(words in str(caught.value) for words in failed)
    told = capsys.readouterr().out
    for one in measured:
        assert (one.use.title in str(caught.value)) == (not one.passed)
        assert (one.use.guessing in told) == one.passed


@pytest.mark.every
def test_the_page_has_all_its_pictures_inside(outcome):
    page = outcome[0].page.read_text(encoding="utf-8")
    pictures = re.findall(r"src='data:image/png;base64,([^']+)'", page)
    assert len(pictures) == len(USES) * (module.PICTURES + 2)  # predictions, curves, the task's own
    assert page.count("src=") == len(pictures)
    assert "href=" not in page
    for picture in pictures:
        with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
            image.load()
    assert page.count("multiply-adds per image") == len(USES)
