"""The training loop with masks: nothing in it knows of them."""

from dataclasses import dataclass, replace

import pytest
import torch

from mobilenets.card import Preprocessing, card_of, set_card
from mobilenets.data import shapes
from mobilenets.errors import DataError
from mobilenets.evaluation import evaluate
from mobilenets.inference import open_model
from mobilenets.tasks.registry import tasks
from mobilenets.tasks.segment.formats.shapes import ShapeMasks
from mobilenets.training.fitting import settle_norm, split
from mobilenets.training.loop import Trainer
from mobilenets.training.optimizer import make_schedule
from mobilenets.training.probe import PROBE
from mobilenets.training.recipes import recipe, recipes
from mobilenets.training.run import Plan, start, train
from mobilenets.weights.sources.own import save

TASK = tasks()["segment"]
NAME = "deeplabv3_mobilenet_v2"
KNOBS = {"width": 0.35, "output_stride": 8}


@dataclass(frozen=True)
class Few(ShapeMasks):
    """The first pictures only."""

    pictures: int = 4

    def __len__(self) -> int:
        return self.pictures


def network(size: int = 65) -> torch.nn.Module:
    torch.manual_seed(0)
    model = TASK.network.build(NAME, Few().classes, KNOBS)
    set_card(model, card_of(model).replace(preprocessing=Preprocessing((size, size), "pad")))
    return model


def test_random_weights_are_the_recipes_and_given_ones_stay(tmp_path):
    made = recipe("modern_deeplab")
    begun, _ = start(
        Plan(NAME, knobs=KNOBS), TASK, Few().classes, initialization=made.initialization
    )
    closed = [k for k, v in begun.state_dict().items() if "norm.weight" in k and not v.any()]
    assert len(closed) == 10
    save(network().eval(), tmp_path / "given.safetensors")
    plan = Plan(NAME, tmp_path / "given.safetensors")
    again = start(plan, TASK, Few().classes, initialization=made.initialization)[0].state_dict()
    assert all(torch.equal(again[k], v) for k, v in network().state_dict().items())


def test_a_run_begins_as_its_recipe_says(tmp_path, monkeypatch):
    def begun(network):
        raise InterruptedError

    monkeypatch.setattr("mobilenets.training.run.initialise_he", begun)
    with pytest.raises(InterruptedError):
        train(Plan(NAME, resolution=65, knobs=KNOBS), "shapes", output=tmp_path / "run")


@pytest.mark.every
def test_four_images_are_learned_by_heart(tmp_path):
    data = Few(size=64)
    steps = {"epochs": 40, "batch_size": 4, "learning_rate": 0.005, "warmup_epochs": 3.0}
    off = {"warmup_steps": 0, "weight_decay": 0.0, "ema_decay": 0.0, "policy": "none"}
    norm = {"norm": "train", "norm_momentum": 0.3}
    made = recipe("finetune_deeplab", **steps, **off, **norm, class_weights="root")
    made = replace(made, objective=TASK.learn.settle(made.objective, data))
    result = Trainer(network(), TASK, (data, data), made, tmp_path, workers=0).run()
    assert result.history[-1]["miou"] > 0.6
    assert result.history[-1]["val_loss"] < 0.2 * result.history[0]["val_loss"]
    # The checkpoint alone, deployed, sees the same; the mean over sizes and flips nearly that.
    path = tmp_path / "last.safetensors"
    found = evaluate(open_model(path), data, TASK).results
    assert found["miou"] == pytest.approx(result.history[-1]["miou"], abs=0.01)
    many = evaluate(open_model(path, multi_scale=True), data, TASK).results
    assert many["pixel_accuracy"] > 0.8
    assert (tmp_path / "overlap.png").stat().st_size > 1000


@pytest.mark.every
def test_a_segmentation_network_is_trained_from_a_classifier(tmp_path, monkeypatch, no_curves):
    """And the reason is told why its norms learn, or do not."""
    monkeypatch.setattr(shapes, "LENGTHS", {"train": 16, "val": 8})
    monkeypatch.setattr(shapes, "SCENES", {"train": 16, "val": 4})
    first = train(
        Plan("mobilenet_v2", resolution=32, knobs={"width": 0.25}),
        "shapes",
        changes={"epochs": 1, "batch_size": 16, "policy": "flip"},
        output=tmp_path / "classifier",
        workers=0,
    )
    said = {}
    for batch in (16, 8):
        said[batch] = []
        second = train(
            Plan(NAME, first.checkpoint, resolution=49, knobs={"output_stride": 8}),
            "shapes",
            changes={"epochs": 1, "batch_size": batch},
            output=tmp_path / f"segmenter-{batch}",
            workers=0,
            say=said[batch].append,
        )
    assert "a new head for 9 classes; the rest as in " in "\n".join(said[8])
    assert any("normalisation learns: 16 images are normalised together" in s for s in said[16])
    assert any("keeps its statistics: 8 images are normalised together" in s for s in said[8])
    assert second.began == PROBE
    assert [row["epoch"] for row in second.history] == [0, 1]
    again = card_of(start(Plan(NAME, second.checkpoint), TASK, Few().classes)[0])
    assert again.preprocessing.size == (49, 49)
    assert again.arguments["output_stride"] == 8
    assert {"miou", "pixel_accuracy", "val_loss"} <= set(second.best)


@dataclass(frozen=True)
class Damaged(Few):
    """One of its masks cannot be read."""

    def target(self, i: int):
        if i == 1:
            raise DataError(f"{self.name(i)}: its mask is broken")
        return super().target(i)


def test_a_mask_that_breaks_is_named_and_training_goes_on(tmp_path, capsys, no_curves):
    data = Damaged(size=64)
    made = recipe("finetune_deeplab", epochs=1, batch_size=2, norm="train", class_weights="none")
    result = Trainer(network(33), TASK, (data, data), made, tmp_path, workers=0).run()
    assert result.best["images"] == 3
    assert capsys.readouterr().err.count("left out: shapes/train/1: its mask is broken") == 1


def test_norms_learn_from_more_than_twelve_images():
    made = recipe("paper_deeplab")
    for batch, images, expected in ((16, 100, "train"), (13, 100, "train"), (12, 100, "frozen")):
        found, why = settle_norm(recipe("paper_deeplab", batch_size=batch), images)
        assert found.norm == expected
        assert f"{batch} images are normalised together" in why
    assert settle_norm(made, 10)[0].norm == "frozen"
    assert settle_norm(recipe("paper_deeplab", norm="train", batch_size=2), 9)[1] == ""
    # From scratch there is nothing to keep.
    assert settle_norm(recipe("paper_deeplab", batch_size=4), 10, scratch=True)[0].norm == "train"
    # What would leave them too few is not split.
    assert split(made, 513 * 513).accumulate == 1
    assert split(recipe("paper_deeplab", batch_size=64), 513 * 513).accumulate == 4


def test_the_poly_schedule_is_the_authors():
    made = recipe("paper_deeplab", epochs=10)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=made.learning_rate)
    schedule = make_schedule(optimizer, made, steps_per_epoch=20)
    for step in (0, 1, 50, 199):
        schedule.step_update(step)
        rate = optimizer.param_groups[0]["lr"]
        assert rate == pytest.approx(0.007 * (1 - step / 200) ** 0.9, rel=1e-6)


def test_the_papers_settings():
    """FACTS: 30k steps of batch 16 over 10,582 images; the second stage 30k over 1,464."""
    first, second = recipes()["paper_deeplab"][1](), recipes()["paper_deeplab_trainval"][1]()
    assert first.epochs * (10582 // 16) == pytest.approx(30_000, rel=0.02)
    assert second.epochs * (1464 // 16) == pytest.approx(30_000, rel=0.02)
    assert (first.learning_rate, second.learning_rate) == (0.007, 0.0001)
    assert (first.weight_decay, first.momentum, first.poly_power) == (4e-5, 0.9, 0.9)
    assert second.norm == "frozen"
    assert not first.nesterov
    assert not first.decay_depthwise


@pytest.mark.parametrize(
    ("plan", "options", "message"),
    [
        (
            Plan(NAME),
            {"recipe_name": "modern"},
            "recipe must be one of paper_deeplab, paper_deeplab_trainval, modern_deeplab, ",
        ),
        (
            Plan(NAME, resolution=33),
            {"changes": {"policy": "trivial"}},
            "policy must be one of none, flip, deeplab, deeplab_colours, got",
        ),
        (
            Plan(NAME, resolution=33),
            {"changes": {"class_weights": (1.0, 2.0)}},
            "class_weights must be as many as classes, 9, got 2",
        ),
        (Plan(NAME), {"changes": {"zoom_out": 2.0}}, "zoom_out is a setting to detect"),
        (Plan("mobilenet_v2"), {"changes": {"scale_step": 0.0}}, "scale_step is a setting to segm"),
        (Plan("deeplabv3_resnet101"), {}, "deeplabv3_resnet101 is here to be compared with"),
        (Plan(NAME, knobs={"classes": 3}), {}, "classes must be the data's, 9, got 3"),
    ],
)
def test_what_is_refused(plan, options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        train(plan, "shapes", output=tmp_path / "run", workers=0, **options)
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").glob("*.safetensors"))


def test_weights_of_another_head_or_width_say_so(tmp_path):
    save(network().eval(), tmp_path / "own.safetensors")
    plan = Plan(NAME, tmp_path / "own.safetensors", knobs={"aspp": True})
    with pytest.raises(ValueError, match="aspp must be False as in"):
        start(plan, TASK, Few().classes)
    other, _ = start(
        Plan(NAME, tmp_path / "own.safetensors", knobs={"output_stride": 16}), TASK, Few().classes
    )
    assert card_of(other).arguments["output_stride"] == 16
