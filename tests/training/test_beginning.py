"""Runs that start from weights: epoch 0 is a probe, and what ends a run before its recipe does."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

import mobilenets
from mobilenets.card import Preprocessing
from mobilenets.data.shapes import Shapes
from mobilenets.errors import TrainingError
from mobilenets.evaluation import evaluate
from mobilenets.inference import TorchSession
from mobilenets.runtime.preprocess import preprocess
from mobilenets.tasks.recipe import Recipe
from mobilenets.tasks.registry import tasks
from mobilenets.tasks.values import Metric
from mobilenets.training.fitting import fit, gentler, settle_gently
from mobilenets.training.loop import Trainer
from mobilenets.training.probe import AS_IT_CAME, PROBE, features, fit_head
from mobilenets.training.recipes import changed, recipe, setting
from mobilenets.training.run import Plan, train
from mobilenets.training.runs.limits import Clock, Limits
from mobilenets.training.runs.signals import InterruptedRunError

from .conftest import short, tiny_network

pytestmark = pytest.mark.usefixtures("no_curves")

TASK = tasks()["classify"]
WEIGHTS = "mobilenet_v2_0.35_64.shapes"
CALM = {"policy": "none", "mixup": 0.0, "cutmix": 0.0, "erasing": 0.0, "train_scale": 1.0}


@pytest.fixture(scope="module")
def known():
    """The small network in the package, with a new head for shapes, and 64 of them."""
    model = mobilenets.load(WEIGHTS)
    model, new = TASK.network.adapt("mobilenet_v2", model, Shapes(64).classes, {})
    assert new
    return model, (Shapes(64, "train", length=64), Shapes(64, "val", length=32))


def accuracy(model, dataset) -> float:
    return evaluate(TorchSession(model, model.card), dataset, TASK).results["top1"]


def test_a_new_head_starts_as_good_as_scikit_learns(known):
    from sklearn.linear_model import LogisticRegression

    model, (images, others) = known
    body = {k: v.clone() for k, v in model.state_dict().items() if k.startswith("backbone")}
    said = []
    assert fit_head(model, model.card, TASK, images, said.append)
    assert said[0].startswith("the head starts from a probe: logistic regression on 64 images")
    for name, value in body.items():
        assert torch.equal(value, model.state_dict()[name]), name

    sets = [features(model, model.card, TASK, s, list(range(len(s))))[0] for s in (images, others)]
    x, tested = (part.numpy() for part in sets)
    y, wanted = ([s.target(i) for i in range(len(s))] for s in (images, others))
    peer = LogisticRegression(max_iter=5000).fit(x, y).score(tested, wanted)
    assert accuracy(model, others) >= peer - 1 / len(others)
    assert accuracy(model, others) > 0.5


def test_a_head_with_a_hidden_layer_is_fitted_at_its_last(known):
    _, (images, _) = known
    model = TASK.network.build("mobilenet_v2", images.classes, {"width": 0.35, "hidden": 24})
    model.card = model.card.replace(preprocessing=Preprocessing((64, 64)))
    rows = features(model, model.card, TASK, images, [0, 1, 2, 3, 4])
    assert [tuple(part.shape) for part in rows] == [(5, 24), (5,)]
    with torch.no_grad():
        x = torch.from_numpy(
            np.stack([preprocess(images.image(i), model.card.preprocessing) for i in range(5)])
        )
        expected = model.hidden(model.embed(x)).relu()
    assert rows[0] == pytest.approx(expected, abs=1e-5)
    assert fit_head(model, model.card, TASK, images)


def test_of_many_images_some_are_enough(known, monkeypatch):
    model, (images, _) = known
    monkeypatch.setattr("mobilenets.tasks.classify.probe.IMAGES", 20)
    monkeypatch.setattr("mobilenets.tasks.classify.probe.PER_CLASS", 1)
    said = []
    fit_head(model, model.card, TASK, images, said.append)
    assert "on 20 images'" in said[0]
    assert said[0].endswith(", 20 of 64")


def few(model, data, output, **more) -> Trainer:
    """A run of a small network that starts from something."""
    made = short(**CALM, **{"epochs": 4, "learning_rate": 1e-9, **more.pop("changes", {})})
    more = {"began": PROBE, "workers": 0, "cpu": True, **more}
    return Trainer(model, TASK, data, made, output, **more)


def rows_of(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "log.csv").read_text().splitlines()))


@pytest.mark.every
def test_a_run_that_finds_nothing_better_keeps_its_probe(data, tmp_path, capsys):
    data = (data[0], data[0])  # what it knows by heart
    model = tiny_network()
    fit_head(model, model.card, TASK, data[0])
    before = accuracy(model, data[1])
    # A rate that can only spoil it.
    result = few(model, data, tmp_path, changes={"learning_rate": 5.0, "epochs": 2}).run()
    assert [row["epoch"] for row in result.history] == [0, 1, 2]
    assert result.history[0]["top1"] == before
    assert result.best["top1"] >= before
    assert result.best == result.history[0]
    assert accuracy(mobilenets.load(result.checkpoint), data[1]) == before
    assert mobilenets.load(result.checkpoint).card.results["top1"] == before
    assert "epoch 0, the probe: val loss" in " ".join(capsys.readouterr().err.split())
    assert [row["epoch"] for row in rows_of(tmp_path)] == ["0", "1", "2"]
    assert rows_of(tmp_path)[0]["loss"] == ""


def begun(data, output: Path, resume: bool = False, **more) -> Trainer:
    """As `train` does it: the probe, unless the run goes on."""
    model = tiny_network()
    if not resume:
        fit_head(model, model.card, TASK, data[0])
    changes = {"learning_rate": 0.05, "epochs": 2}
    return few(model, data, output, changes=changes, began="" if resume else PROBE, **more)


@pytest.mark.every
def test_a_run_with_a_probe_resumes_to_the_same_bytes(data, tmp_path, monkeypatch):
    begun(data, tmp_path / "whole").run()
    part = begun(data, tmp_path / "part")
    plain = part.train_step

    def stopping(*args):
        loss = plain(*args)
        part.stop = part.step + 1 == 1
        return loss

    monkeypatch.setattr(part, "train_step", stopping)
    with pytest.raises(InterruptedRunError, match="stopped at step 1"):
        part.run()
    torch.manual_seed(5)
    again = begun(data, tmp_path / "part", resume=True).run(resume=True)
    assert again.began == PROBE
    for name in ("best.safetensors", "last.safetensors", "log.csv"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "part" / name).read_bytes()


def test_patience_ends_a_run_that_gets_no_better(data, tmp_path, capsys):
    clock = Clock(Limits(patience=2))
    result = few(tiny_network(), data, tmp_path, clock=clock).run()
    assert [row["epoch"] for row in result.history] == [0, 1, 2]
    assert "2 epochs without a better result" in " ".join(capsys.readouterr().err.split())
    again = few(tiny_network(), data, tmp_path, clock=Clock(Limits(patience=2))).run(resume=True)
    assert again.history == result.history
    with pytest.raises(TrainingError, match="with a changed patience: it has 2, this call None"):
        few(tiny_network(), data, tmp_path).run(resume=True)


def test_patience_counts_from_the_best_epoch():
    def rows(*values: float) -> list[dict[str, float]]:
        return [{"epoch": number, "top1": value} for number, value in enumerate(values)]

    three = Limits(patience=3)
    assert not three.reason(rows(0.5, 0.4, 0.6, 0.6, 0.5), Metric("top1"))
    assert three.reason(rows(0.5, 0.4, 0.6, 0.6, 0.5, 0.2), Metric("top1")).startswith("3 epochs")
    assert not Limits().reason(rows(*[0.5] * 50), Metric("top1"))


def test_minutes_decide_the_epochs_and_the_schedule_fits_them(data, tmp_path, monkeypatch, capsys):
    run = few(tiny_network(), data, tmp_path, clock=Clock(Limits(minutes=5)))
    before = {k: v.clone() for k, v in run.model.state_dict().items()}
    monkeypatch.setattr(run, "seconds_per_step", lambda: 9.0)
    monkeypatch.setattr(run.validation, "estimate", lambda session: 10.0)
    monkeypatch.setattr(Clock, "seconds", 0.0)
    run.begin(_Report())
    assert run.epochs == 7  # of 3 steps and a validation each, in 95 % of 300 s
    assert all(torch.equal(v, before[k]) for k, v in run.model.state_dict().items())
    rates = []
    for run.step in range(7 * 3):
        rates.append(run.rates.set(run.step))
    assert rates[-1] < 0.05 * max(rates)
    assert run.epochs * 3 == 21


class _Report:
    def __getattr__(self, name: str):
        return lambda *args, **more: None


def test_steps_that_are_timed_leave_nothing_behind(data, tmp_path):
    ends = []
    for folder, minutes in (("plain", None), ("timed", 60.0)):
        run = few(
            tiny_network(),
            data,
            tmp_path / folder,
            changes={"learning_rate": 0.05, "epochs": 1},
            clock=Clock(Limits(minutes=minutes, epochs=1)),
        )
        run.run()
        ends.append(run.model.state_dict())
    for name, value in ends[0].items():
        assert torch.equal(value, ends[1][name]), name


def test_a_run_whose_time_is_over_ends_with_what_it_has(data, tmp_path, monkeypatch, capsys):
    run = few(tiny_network(), data, tmp_path, clock=Clock(Limits(minutes=1)))
    monkeypatch.setattr(run, "seconds_per_step", lambda: 0.001)
    plain = run.train_step

    def slow(*args):
        run.clock.before += 30  # so long does a step take here
        return plain(*args)

    monkeypatch.setattr(run, "train_step", slow)
    result = run.run()
    assert result.history[-1]["epoch"] == 1
    assert result.history[-1]["step"] == 2  # of the three of an epoch
    assert math.isfinite(result.history[-1]["loss"])
    assert "the 1 minutes are over" in " ".join(capsys.readouterr().err.split())
    again = few(tiny_network(), data, tmp_path, clock=Clock(Limits(minutes=1))).run(resume=True)
    assert again.history == result.history
    assert again.checkpoint.exists()


def test_a_resumed_run_keeps_its_epochs_and_its_time(data, tmp_path, monkeypatch):
    run = few(tiny_network(), data, tmp_path, clock=Clock(Limits(minutes=3)))
    monkeypatch.setattr(run, "seconds_per_step", lambda: 10.0)
    monkeypatch.setattr(run.validation, "estimate", lambda session: 10.0)
    run.clock.before = 40.0
    run.begin(_Report())
    run.save_state()
    again = few(tiny_network(), data, tmp_path, clock=Clock(Limits(minutes=3)))
    kept = torch.load(tmp_path / "state.pt", weights_only=True)
    again.restore(kept)
    assert again.epochs == run.epochs == 3
    assert 40 <= again.clock.before < 40 + 60
    assert again.clock.left < 140


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"minutes": 0}, "minutes must be above 0 and at most .*, got 0"),
        ({"minutes": float("nan")}, "minutes must be above 0"),
        ({"patience": 0}, "patience must be a positive integer, got 0"),
        ({"patience": 1.5}, "patience must be a positive integer, got 1.5"),
    ],
)
def test_limits_that_are_none_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Limits(**arguments)


def test_a_batch_cut_to_the_data_takes_its_rate_with_it():
    asked = recipe("finetune", batch_size=1000)
    cut = fit(asked, 140, keep_batch=True)
    assert cut.batch_size == 136
    own = recipe("finetune")
    assert cut.learning_rate == pytest.approx(own.learning_rate * 136 / own.batch_size)
    kept = recipe("finetune", batch_size=1000, learning_rate=0.3)
    assert fit(kept, 140, keep_batch=True, keep_rate=True).learning_rate == 0.3
    assert fit(asked, 5, keep_batch=True).batch_size == 5
    assert fit(recipe("finetune", batch_size=24), 140, keep_batch=True).batch_size == 24


@pytest.mark.every
def test_the_whole_way_from_weights(tmp_path):
    """On the small network in the package: the probe is epoch 0, and what came is measured too."""
    said: list[str] = []
    changes = {"epochs": 1, "batch_size": 1000, **CALM}
    result = train(
        Plan("mobilenet_v2", WEIGHTS),
        write(tmp_path / "photos"),
        changes=changes,
        output=tmp_path / "run",
        workers=0,
        say=said.append,
    )
    assert result.began == PROBE
    assert result.best["top1"] >= result.history[0]["top1"] > 0.3
    [line] = [line for line in said if line.startswith("finetune: 1 epoch of")]
    assert "batch 60, learning rate 0.000225" in line  # 0.002 x 60 / 32 x 60 / 1000
    [line] = [line for line in said if "goes gently" in line]
    assert line.startswith("finetune is made for 1,000 images or more; on 60 it goes gently: ")
    assert line.endswith("learning rate 0.000225, crop scale 0.961, label smoothing 0.006")
    more = train(
        Plan("mobilenet_v2", result.checkpoint),
        tmp_path / "photos",
        changes={"epochs": 1, **CALM},
        output=tmp_path / "more",
        workers=0,
    )
    assert more.began == AS_IT_CAME
    assert more.history[0]["top1"] == result.best["top1"]
    # As a version without the rule left it.
    as_before(tmp_path / "run", fit(recipe("finetune", **changes), 60, keep_batch=True))
    said.clear()
    again = train(
        Plan("mobilenet_v2", WEIGHTS),
        tmp_path / "photos",
        changes=changes,
        output=tmp_path / "run",
        resume=True,
        workers=0,
        say=said.append,
    )
    assert again.history == result.history
    assert not [line for line in said if "goes gently" in line]
    said.clear()
    new = train(
        Plan("mobilenet_v2", WEIGHTS),
        tmp_path / "photos",
        changes={"epochs": 1, "probe": False, **CALM},
        output=tmp_path / "new",
        workers=0,
        say=said.append,
    )
    assert new.history[0]["epoch"] == 1
    assert not [line for line in said if "goes gently" in line]


def as_before(folder: Path, made: Recipe) -> None:
    """Make a run's state that of a run from before a recipe followed the number of images."""
    state = torch.load(folder / "state.pt", weights_only=True)
    for name in ("enough_images", "gentle"):
        del state["fingerprint"][name]
    for name in ("learning_rate", "crop_scale", "label_smoothing", "norm"):
        state["fingerprint"][name] = json.dumps(setting(made, name))
    torch.save(state, folder / "state.pt")


def test_the_fewer_images_the_gentler_the_recipe():
    made = recipe("finetune")
    assert gentler(made, made, 1000, ()) == gentler(made, made, 5000, ()) == {}
    half = {"learning_rate": 0.001, "crop_scale": 0.675, "label_smoothing": 0.05}
    assert gentler(made, made, 500, ()) == pytest.approx(half)
    rates = [gentler(made, made, images, ())["learning_rate"] for images in (1, 10, 100, 999)]
    assert rates == pytest.approx([2e-6, 2e-5, 2e-4, 2e-3], rel=2e-3)
    assert gentler(made, made, 500, ("learning_rate", "crop_scale")) == {"label_smoothing": 0.05}
    assert gentler(recipe("finetune", enough_images=0), made, 10, ()) == {}
    assert gentler(recipe("modern"), recipe("modern"), 10, ()) == {}  # nothing to spoil


def test_norms_keep_their_statistics_where_images_fill_no_batch():
    own = recipe("finetune")
    for images, norm in ((255, "frozen"), (256, "train"), (2000, "train")):
        assert settle_gently(fit(own, images), own, images, (), None)[0].norm == norm
    made = recipe("finetune", norm="train")
    assert settle_gently(fit(made, 80), own, 80, {"norm"}, None)[0].norm == "train"


def test_what_the_images_chose_stays_with_a_run():
    made = recipe("finetune")
    settled, said = settle_gently(made, made, 250, {"crop_scale"}, None)
    assert said.endswith("on 250 it goes gently: learning rate 0.0005, label smoothing 0.025")
    assert settled == changed(made, {"learning_rate": 0.0005, "label_smoothing": 0.025})
    begun = {"learning_rate": "0.0007", "label_smoothing": "0.1"}
    settled, said = settle_gently(made, made, 250, {"crop_scale"}, begun)
    assert said.endswith("it goes gently: learning rate 0.0007")
    assert settled == changed(made, {"learning_rate": 0.0007})


def write(folder: Path) -> Path:
    """60 shapes to train on and 24 to validate, in folders."""
    for part, count in (("train", 60), ("val", 24)):
        shapes = Shapes(64, part, length=count)
        for i in range(count):
            place = folder / part / shapes.classes[shapes.target(i)]
            place.mkdir(parents=True, exist_ok=True)
            shapes.image(i).save(place / f"{i}.png")
    return folder
