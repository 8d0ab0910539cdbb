import base64
import io
import json
import os
import re
import shlex
import sys
from dataclasses import replace
from html import unescape

import numpy as np
import pytest
from PIL import Image

from mobilenets.card import ModelCard, Preprocessing
from mobilenets.data import shapes
from mobilenets.demo import Outcome, Reached, pictures, run_demo
from mobilenets.demo import run as module
from mobilenets.demo.beside import beside
from mobilenets.demo.commands import train_command
from mobilenets.errors import TrainingError
from mobilenets.evaluation import Evaluation
from mobilenets.runtime.draw import readable
from mobilenets.tasks.classify.read import Prediction
from mobilenets.tasks.detect.formats.objects import Objects
from mobilenets.tasks.embed.read import VECTORS
from mobilenets.tasks.geolocate.formats import globe
from mobilenets.tasks.geolocate.read import Whereabouts
from mobilenets.tasks.registry import tasks, with_part
from mobilenets.tasks.segment.read import Segmented
from mobilenets.training.run import Plan
from tests.quick import quick_export

USES = {task.name: task.demo.DEMO for task in with_part("demo")}
STEPS = ("train", "evaluate", "export", "predict")


def one_after_the_other(job, calls, names, say):
    """As `beside`, in this process, where the data set is small."""
    return [job(*call, say=say) for call in calls]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """A demo of one epoch on few small images at hardly any rate: it learns nothing."""
    with pytest.MonkeyPatch.context() as patch:
        few = {"train": 32, "val": 16, "test": 16}
        patch.setattr(shapes, "LENGTHS", few)
        patch.setattr(shapes, "SCENES", few)
        patch.setattr(globe, "LENGTHS", few)
        for task in with_part("demo"):
            use = task.demo.DEMO
            settings = {**use.settings, "epochs": 1, "learning_rate": 1e-6}
            quick = replace(use, resolution=48, settings=settings)
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
    assert [one.task for one in found.measured] == [
        "classify",
        "detect",
        "segment",
        "attributes",
        "embed",
        "geolocate",
    ]
    # Features of the weights in the package tell some shapes apart without learning.
    assert not any(one.passed for one in found.measured if one.task != "embed")
    assert not found.passed


@pytest.mark.parametrize(
    ("top1", "exported", "passed"),
    [(0.96, 0.96, True), (0.96, 0.959, True), (0.96, 0.93, False), (0.8, 0.8, False)],
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
@pytest.mark.parametrize(
    "new",
    ["a new head for 8", "new extras and heads for 8", "a new head for 9", "a new projection"],
)
def test_all_start_from_the_weights_in_the_package(outcome, new):
    assert any(new in line and "mobilenet_v2_0.35_64.shapes" in line for line in outcome[1])


def shout(word, times, *, say):
    if not times:
        raise TrainingError(f"nothing of {word}")
    say(f"said {word}")
    sys.stderr.write(f"{word}\n\n" * times + "no more")
    return word, os.getpid()


@pytest.mark.every
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


@pytest.mark.every
def test_the_error_of_a_job_is_raised_when_the_others_are_done():
    lines = []
    with pytest.raises(TrainingError, match="nothing of one"):
        beside(shout, [("one", 0), ("two", 1)], ["a", "b"], lines.append)
    assert lines == ["b: said two", "b: two", "b: no more"]


@pytest.mark.every
def test_what_is_wrong_is_shown_below_what_is_right(outcome):
    """Networks that learned nothing are wrong about nearly every picture."""
    page = outcome[0].page.read_text(encoding="utf-8")
    for part in page.split("<h2>")[1:]:
        hits, of = map(int, re.search(r"Right in (\d+) of (\d+) test pictures", part).groups())
        assert of in (8, 16)  # a search has those of kinds that no training sees
        assert f"Not right: {of - hits} of {of}" in part
        assert (f"the {pictures.WRONG} nearest" in part) == (of - hits > pictures.WRONG)
        right, wrong = part.split("Not right")
        assert right.count("<figure>") == min(hits, pictures.RIGHT)
        assert wrong.count("<figure>") == min(of - hits, pictures.WRONG)


@pytest.mark.every
def test_the_commands_on_the_page_give_what_it_says(outcome, call, monkeypatch):
    """The second and the fourth of each use: `eval` of the checkpoint and of its export."""
    few = {"train": 32, "val": 16, "test": 16}
    monkeypatch.setattr(shapes, "LENGTHS", few)
    monkeypatch.setattr(shapes, "SCENES", few)
    page = outcome[0].page.read_text(encoding="utf-8")
    commands = [unescape(text) for text in re.findall(r"<td>[^<]*<br><code>([^<]*)</code>", page)]
    assert len(commands) == len(STEPS) * len(USES)
    for i, one in enumerate(outcome[0].measured):
        of_use = [shlex.split(text)[1:] for text in commands[4 * i : 4 * i + 4]]
        assert [words[0] for words in of_use] == ["train", "eval", "export", "eval"]
        for words, value in ((of_use[1], one.value), (of_use[3], one.exported)):
            told = json.loads(call(*words, "--json").out)
            assert told[one.use.metric] == pytest.approx(value)


def test_a_train_command_says_all_that_is_not_the_default(tmp_path):
    plan = Plan("mobilenet_v2", "w.pth", 96, {"width": 0.35})
    settings = {"epochs": 2, "learning_rate": 0.01, "policy": "flip", "probe": False}
    told = train_command(plan, "shapes", settings, tmp_path / "a run")
    assert shlex.split(told) == [
        *("mobilenets", "train", "mobilenet_v2", "--data", "shapes", "--from", "w.pth"),
        *("--resolution", "96", "--knob", "width=0.35", "--epochs", "2"),
        *("--learning-rate", "0.01", "--set", "policy=flip", "--set", "probe=false"),
        *("--output", str(tmp_path / "a run")),
    ]


class Answers:
    """A model that gives the answers it is told, one after the other."""

    def __init__(self, answers):
        self.answers, self.card = (
            iter(answers),
            ModelCard("", preprocessing=Preprocessing((32, 32))),
        )

    def __call__(self, batch):
        return next(self.answers)


NOTHING = {
    "classify": lambda target: [Prediction("none", -1, 1.0)],
    "detect": lambda target: [],
    "segment": lambda target: Segmented(np.zeros_like(target), [], ()),
    "attributes": lambda target: [],
    "geolocate": lambda target: Whereabouts(0.0, 0.0, ()),
}
"""An answer that sees none of what is there."""


@pytest.mark.parametrize("name", NOTHING)
def test_the_truth_is_right_and_what_is_wrong_comes_last(name, monkeypatch):
    """The first four pictures; the answer to the second is the truth of the third."""
    task = tasks()[name]
    data = task.data.open_data(task.demo.DEMO.data, "test")
    targets = [data.target(i) for i in range(4)]
    judge = task.demo.judge
    unseen = [judge(NOTHING[name](target), target, data.classes) for target in targets]
    assert not any(one.right for one in unseen)
    answers = [unseen[i].truth for i in (0, 2, 2, 3)]
    monkeypatch.setattr(task.read, "decode", lambda outputs, *args, **kwargs: [outputs])
    monkeypatch.setattr(pictures, "LOOKED_AT", 4)
    shown = pictures.show(Answers(answers), task, data, Evaluation({}, [], None))
    assert (shown.hits, shown.of, len(shown.right), len(shown.wrong)) == (3, 4, 3, 1)
    assert all(pair.truth.tobytes() == pair.seen.tobytes() for pair in shown.right)
    assert shown.wrong[0].truth.tobytes() != shown.wrong[0].seen.tobytes()


def test_a_use_that_searches_shows_pictures_beside_what_was_found():
    task = tasks()["embed"]
    data = task.data.open_data("shapes", "test")
    vectors = np.eye(4, dtype=np.float32)[[0, 0, 1, 2, 0, 1, 3, 2]]  # the classes come in turn
    evaluator = task.measure.evaluator(ModelCard("", outputs=VECTORS), data)
    evaluator.update({"embedding": vectors}, [data.target(i) for i in range(8)])
    measured = Evaluation({}, [], evaluator, list(range(8)))
    shown = pictures.show(Answers([]), task, data, measured)
    assert {*USES} == {*NOTHING, "embed"}
    assert "nearest" in shown.sides
    assert (shown.hits, shown.of) == (3, 8)
    first, second = data.classes[:2]
    said = {pair.said for pair in shown.wrong}
    assert f"{second}, found {first}" in said
    drawn = {pair.truth.tobytes(): pair.seen.tobytes() for pair in shown.right}
    four, eight = (readable(data.image(i)).tobytes() for i in (3, 7))
    assert drawn[four] == eight


@pytest.mark.parametrize(
    ("change", "right", "said"),
    [
        (lambda truth: truth, True, "2 of 2 found"),
        (lambda truth: truth[::-1], True, "2 of 2 found"),
        (lambda truth: truth[:1], False, "1 of 2 found"),
        (lambda truth: [*truth, truth[0]], False, "2 of 2 found, 1 too many"),
        (lambda truth: [truth[0], replace(truth[1], index=5)], False, "1 of 2 found, 1 too many"),
        (
            lambda truth: [truth[0], replace(truth[1], box=(4, 4, 8, 8))],
            False,
            "1 of 2 found, 1 too many",
        ),
    ],
    ids=["the truth", "another order", "one missed", "one twice", "another class", "another place"],
)
def test_each_object_is_to_be_found_once(change, right, said):
    target = Objects.of(np.array([[0, 0, 8, 8], [20, 20, 30, 30]], np.float32), np.array([1, 2]))
    judge = tasks()["detect"].demo.judge
    truth = judge([], target, shapes.CLASSES).truth
    found = judge(change(truth), target, shapes.CLASSES)
    assert (found.right, found.said) == (right, said)


@pytest.mark.parametrize(
    ("values", "failed"),
    [
        ((0.9, 0.9, 0.9), ["Classification: top1 must reach 0.92"]),
        ((0.99, 0.7, 0.9), ["Detection: ap50 must reach 0.77"]),
        ((0.99, 0.9, 0.7), ["Segmentation: miou must reach 0.72"]),
        (
            (0.3, 0.1, 0.9),
            ["Classification: top1 must reach 0.92", "Detection: ap50 must reach 0.77"],
        ),
        ((0.99, 0.9, 0.9, 1.0, 1.0, 5000.0), ["Geolocation: median_km must reach 3500"]),
        ((0.99, 0.9, 0.9), []),
    ],
)
def test_the_command_says_which_use_failed(tmp_path, monkeypatch, capsys, values, failed):
    from mobilenets.cli.demo import run

    every = (*values, *[1.0] * (len(USES) - len(values)))  # uses listed later all pass
    measured = [
        Reached(name, use, v, v) for (name, use), v in zip(USES.items(), every, strict=True)
    ]
    ended = Outcome(tmp_path / "index.html", tuple(measured))
    monkeypatch.setattr("mobilenets.demo.run_demo", lambda output, say, seed: ended)
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
    inside = re.findall(r"src='data:image/(?:png|jpeg);base64,([^']+)'", page)
    figures = page.count("<figure>")
    assert len(inside) == 2 * figures + len(USES) * 2  # pairs; curves and the use's own
    assert page.count("src=") == len(inside)
    assert "href=" not in page
    for picture in inside:
        with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
            image.load()
    assert page.count("multiply-adds per image") == len(USES)
