"""Runs that go on: by their folder alone, and for more epochs than they had."""

import json
import math
import shlex
from pathlib import Path

import pytest
import torch

from mobilenets.cli.train import settle
from mobilenets.data.shapes import Shapes
from mobilenets.errors import TrainingError
from mobilenets.training.loop import Trainer
from mobilenets.training.runs import NAME
from mobilenets.training.runs.arguments import (
    FILE,
    RunArguments,
    keep_arguments,
    kept_arguments,
)
from mobilenets.training.runs.extension import Extension
from mobilenets.training.runs.signals import InterruptedRunError

from .test_resume import digest, stop_after, trainer

pytestmark = pytest.mark.usefixtures("no_curves")


@pytest.mark.every
def test_a_run_is_extended_at_a_rate_that_falls_again(data, tmp_path, monkeypatch):
    """And stopped in between, it ends in the same bytes."""
    for name in ("whole", "parts"):
        trainer(data, tmp_path / name, epochs=1).run()
    rates: list[float] = []
    plain = Trainer.train_step

    def noting(run, *args):
        rates.append(run.optimizer.param_groups[0]["lr"])
        return plain(run, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_step", noting)
        result = trainer(data, tmp_path / "whole", epochs=1).run(resume=True, extend=Extension(2))
    assert [row["epoch"] for row in result.history] == [1, 2, 3]
    assert result.best[result.metric] == max(row[result.metric] for row in result.history)
    steps = len(rates)
    assert steps == 6  # two epochs of 48 images, 16 at a time
    cosine = [0.025 * (1 + math.cos(math.pi * step / steps)) / 2 for step in range(steps)]
    assert rates == pytest.approx(cosine)  # from half of the recipe's 0.05

    part = trainer(data, tmp_path / "parts", epochs=1)
    stop_after(part, 5, monkeypatch)
    with pytest.raises(InterruptedRunError):
        part.run(resume=True, extend=Extension(2))
    with pytest.raises(TrainingError, match=r"has not ended \(epoch 1 of 3\): --resume alone"):
        trainer(data, tmp_path / "parts", epochs=1).run(resume=True, extend=Extension(2))
    trainer(data, tmp_path / "parts", epochs=1).run(resume=True)
    for file in ("best.safetensors", "last.safetensors"):
        assert digest(tmp_path / "whole" / file) == digest(tmp_path / "parts" / file)


@pytest.mark.parametrize(
    ("schedule", "rate", "expected"),
    [("staircase", None, 0.98**3), ("staircase", 0.01, 0.2), ("poly", 0.01, 0.2)],
)
def test_a_schedule_without_an_end_goes_on(schedule, rate, expected):
    from mobilenets.training.optimizer import Rates, make_optimizer

    from .conftest import short

    made = short(schedule=schedule, warmup_epochs=0.0, epochs=3)
    rates = Rates(make_optimizer(torch.nn.Linear(2, 2), made), made, 4)
    rates.extend(3, Extension(2, rate))
    assert rates.set(12) == pytest.approx(0.05 * expected)


@pytest.mark.parametrize(("epochs", "rate"), [(0, None), (-1, None), (1, 0.0)])
def test_an_extension_that_is_none_is_refused(epochs, rate):
    with pytest.raises(ValueError, match=r"extend must be|learning_rate must be"):
        Extension(epochs, rate)


KEPT = RunArguments(
    "mobilenet_v2",
    "photos",
    weights="a.h5",
    workers=0,
    knobs={"width": 0.35, "early_strides": (1, 1)},
    changes={"epochs": 4, "mixup": 0.2},
)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "a.h5").touch()
    keep_arguments(tmp_path / "runs" / "x", KEPT)
    return tmp_path / "runs" / "x"


def words(*model: str, **given: object) -> dict[str, object]:
    names = ("data", "weights", "recipe", "resolution", "teacher", "workers", "device")
    return {"model": list(model), **dict.fromkeys(names), "knobs": {}, "changes": {}, **given}


def test_the_folder_says_everything(folder, tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    for said in (folder, folder / FILE):
        asked, output = settle(words(str(said)), None, resume=True)
        assert output == folder
        assert asked == kept_arguments(folder)
    assert (asked.data, asked.weights) == (str(tmp_path / "photos"), str(tmp_path / "a.h5"))
    assert (asked.knobs, asked.changes) == (KEPT.knobs, KEPT.changes)
    assert settle(words(), folder, resume=True)[0] == asked


def test_what_agrees_may_be_said_again(folder):
    again = words(
        *("mobilenet_v2", str(folder)),
        data="photos",
        weights="a.h5",
        workers=2,
        device="cpu",
        knobs={"width": 0.35, "early_strides": (1, 1)},
        changes={"epochs": 4, "seed": 0},
    )
    asked, _ = settle(again, None, resume=True)
    assert (asked.workers, asked.device, asked.changes["seed"]) == (2, "cpu", 0)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"model": ["mobilenet_v1"]}, "MODEL must be 'mobilenet_v2'"),
        ({"weights": "b.h5"}, "--from must be"),
        ({"changes": {"epochs": 5}}, "--epochs must be 4"),
        ({"changes": {"mixup": 0.3}}, "--set mixup must be 0.2"),
        ({"knobs": {"width": 0.5}}, "--width must be 0.35"),
        ({"knobs": {"early_strides": (2, 2)}}, "--knob early_strides must be"),
        ({"model": ["mobilenet_v2", "v1"]}, "MODEL must be one network"),
    ],
)
def test_what_contradicts_the_folder_is_named(folder, given, said):
    asked = words(**given)
    asked["model"] = [*asked["model"], str(folder)]
    with pytest.raises(ValueError, match=said):
        settle(asked, None, resume=True)


def test_a_folder_without_a_run_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, said in (("none", "no such folder of a run"), ("empty", "holds no run to resume")):
        if name == "empty":
            Path(name).mkdir()
        with pytest.raises(TrainingError, match=said):
            settle(words(name), None, resume=True)
    Path("old").mkdir()
    Path("old", NAME).touch()
    with pytest.raises(TrainingError, match="did not keep its arguments: give MODEL"):
        settle(words("old"), None, resume=True)
    asked, output = settle(words("mobilenet_v2", data="shapes"), Path("old"), resume=True)
    assert (asked.model, output) == ("mobilenet_v2", Path("old"))
    Path("old", FILE).write_text('{"version": 1, "model": "m", "data": "d", "colour": 1}')
    with pytest.raises(TrainingError, match=r"is damaged .*'colour'"):
        settle(words("old"), None, resume=True)
    Path("old", FILE).write_text('{"version": 1, "model": "m", "data": "d", "knobs": 1}')
    with pytest.raises(TrainingError, match=r"is damaged \(knobs must be an object, got 1\)"):
        settle(words("old"), None, resume=True)
    with pytest.raises(ValueError, match="--resume needs the folder"):
        settle(words(), None, resume=True)
    with pytest.raises(ValueError, match="MODEL is missing"):
        settle(words(), None, resume=False)
    with pytest.raises(ValueError, match="is another folder"):
        settle(words("old"), Path("other"), resume=True)


def test_the_command_that_a_stopped_run_names_goes_on(call, tmp_path, monkeypatch):
    """Quoted as the shell needs it; then the run is extended."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    for index in range(16):
        folder = tmp_path / "photos" / f"{index % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        Shapes(32).image(index).save(folder / f"{index}.png")
    run = tmp_path / "it's a run"
    plain = Trainer.train_step

    def stopping(self, *args):
        loss = plain(self, *args)
        self.stop = True
        return loss

    options = ("--width", 0.35, "--resolution", 32, "--epochs", 1, "--workers", 0)
    settings = ("--batch-size", 4, "--set", "train_scale=1", "--output", run)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_step", stopping)
        stopped = call("train", "mobilenet_v2", "--data", "photos", *options, *settings)
    assert stopped.status == 1
    line = stopped.err.split("`")[1]
    assert shlex.split(line) == ["mobilenets", "train", "--resume", str(run)]
    done = call(*shlex.split(line)[1:], "--json")
    assert done.status == 0, done.err
    found = json.loads(done.out)
    assert (found["epoch"], found["device"].split(",")[0]) == (1, "cpu")
    done = call("train", f"--resume={run}", "--extend", 1, "--learning-rate", 0.01)
    assert done.status == 0, done.err
    assert "of 2; " in done.out
