"""The training loop with boxes: nothing in it knows of them."""

from dataclasses import dataclass

import pytest
import torch

from mobilenets.card import Preprocessing, card_of, set_card
from mobilenets.data import shapes
from mobilenets.evaluation import evaluate
from mobilenets.inference import open_model
from mobilenets.tasks.detect.formats.shapes import ShapeObjects
from mobilenets.tasks.recipe import Recipe
from mobilenets.tasks.registry import tasks
from mobilenets.training.loop import InterruptedRunError, Trainer
from mobilenets.training.probe import PROBE
from mobilenets.training.recipes import recipe
from mobilenets.training.run import Plan, start, train
from tests.training.conftest import Repeated

TASK = tasks()["detect"]


@dataclass(frozen=True)
class Few(ShapeObjects):
    """The first pictures only."""

    pictures: int = 4

    def __len__(self) -> int:
        return self.pictures


def detector(size: int = 96, **knobs: object) -> torch.nn.Module:
    torch.manual_seed(0)
    model = TASK.network.build("ssdlite_mobilenet_v2", Few().classes, {"width": 0.35, **knobs})
    card = card_of(model)
    set_card(model, card.replace(preprocessing=Preprocessing((size, size), "squash")))
    return model


def overfitting(**changes: object) -> Recipe:
    settings = {
        "epochs": 7,
        "batch_size": 4,
        "optimizer": "adamw",
        "learning_rate": 0.004,
        "warmup_epochs": 0.3,
        "warmup_steps": 0,
        "weight_decay": 0.0,
        "ema_decay": 0.0,
        "policy": "none",
        "norm_momentum": 0.3,
    }
    return recipe("finetune_ssd", **{**settings, **changes})


@pytest.mark.every
@pytest.mark.parametrize("scores", ["sigmoid", "softmax"])
def test_four_images_are_learned_by_heart(tmp_path, scores):
    data = Few(size=96)
    sets = (Repeated(data, 10), data)
    result = Trainer(
        detector(scores=scores), TASK, sets, overfitting(epochs=16), tmp_path, workers=0
    ).run()
    assert result.history[-1]["ap50"] == 1.0
    assert result.history[-1]["val_loss"] < 0.2 * result.history[0]["val_loss"]
    # The checkpoint alone, deployed, sees the same.
    found = evaluate(open_model(tmp_path / "last.safetensors"), data, TASK).results
    assert found["ap50"] == 1.0
    assert found["ap"] == pytest.approx(result.history[-1]["ap"], abs=0.01)
    assert (tmp_path / "precision.png").stat().st_size > 1000


@pytest.mark.every
def test_a_detector_resumes_to_the_same_bits(tmp_path, no_curves):
    data = Few(size=64, pictures=8)
    made = overfitting(epochs=2, policy="ssd")

    def run(folder, stop_after=None):
        trainer = Trainer(detector(64), TASK, (data, data), made, tmp_path / folder, workers=0)
        if stop_after:
            step = trainer.train_step

            def stopping(*args):
                trainer.stop = trainer.step + 1 == stop_after
                return step(*args)

            trainer.train_step = stopping
            with pytest.raises(InterruptedRunError):
                trainer.run()
            trainer = Trainer(detector(64), TASK, (data, data), made, tmp_path / folder, workers=0)
            trainer.run(resume=True)
        else:
            trainer.run()
        return (tmp_path / folder / "last.safetensors").read_bytes()

    assert run("whole") == run("parts", stop_after=3)


@pytest.mark.every
def test_a_detector_is_trained_from_a_classifier_and_then_from_itself(
    tmp_path, monkeypatch, no_curves
):
    monkeypatch.setattr(shapes, "LENGTHS", {"train": 16, "val": 8})
    monkeypatch.setattr(shapes, "SCENES", {"train": 16, "val": 4})
    quick = {"epochs": 1, "batch_size": 16, "policy": "flip"}
    first = train(
        Plan("mobilenet_v2", resolution=32, knobs={"width": 0.25}),
        "shapes",
        changes=quick,
        output=tmp_path / "classifier",
        workers=0,
    )
    said = []
    second = train(
        Plan("ssdlite_mobilenet_v2", first.checkpoint, resolution=64),
        "shapes",
        changes=quick,
        output=tmp_path / "detector",
        workers=0,
        say=said.append,
    )
    assert any("new extras and heads for 8 classes" in line for line in said)
    again = Plan("ssdlite_mobilenet_v2", second.checkpoint)
    assert second.began == PROBE
    assert [row["epoch"] for row in second.history] == [0, 1]
    card = card_of(start(again, TASK, Few().classes)[0])
    assert card.preprocessing.size == (64, 64)
    assert card.arguments["width"] == 0.25
    assert {"ap", "ap50"} <= set(second.best)


@pytest.mark.parametrize(
    ("plan", "options", "message"),
    [
        (
            Plan("ssdlite_mobilenet_v2", teacher="x"),
            {},
            "teacher is to classify.*, ssdlite",
        ),
        (
            Plan("ssdlite_mobilenet_v2"),
            {"recipe_name": "modern"},
            "recipe must be one of paper_ssd, modern_ssd, finetune_ssd to detect, got 'modern'",
        ),
        (
            Plan("mobilenet_v2"),
            {"recipe_name": "paper_ssd"},
            "recipe must be one of paper_v1, .* to classify",
        ),
        (
            Plan("ssdlite_mobilenet_v2", resolution=32),
            {"changes": {"policy": "trivial"}},
            "policy must be one of none, flip, ssd_crop, ssd, got 'trivial'",
        ),
        (
            Plan("ssdlite_mobilenet_v2", resolution=32, knobs={"scores": "softmax"}),
            {"changes": {"focal_gamma": 2.0}},
            "focal_gamma needs scores=sigmoid",
        ),
        (Plan("ssdlite_mobilenet_v9"), {}, "did you mean 'ssdlite_mobilenet_v"),
        (Plan("ssd300_vgg16"), {}, "ssd300_vgg16 is here to be compared with"),
        (
            Plan("ssdlite_mobilenet_v2", resolution=32, knobs={"width": 0.25}),
            {"changes": {"batch_size": 1}},
            "batch_size must be accumulate x 2 at least to detect, got 1 x 1",
        ),
    ],
)
def test_wrong_arguments_are_named(plan, options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        train(plan, "shapes", output=tmp_path / "run", workers=0, **options)
    assert not (tmp_path / "run").exists()
