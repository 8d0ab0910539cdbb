import copy
import threading
from functools import partial

import pytest
import torch
import torchvision
from PIL import Image
from torch import nn

import mobilenets
from mobilenets.card import ModelCard, Preprocessing
from mobilenets.data.shapes import Shapes
from mobilenets.errors import DataError, TrainingError
from mobilenets.evaluation import evaluate
from mobilenets.export.source import open_source
from mobilenets.inference import open_model
from mobilenets.tasks.classify.architecture.classifier import Classifier
from mobilenets.tasks.recipe import Recipe
from mobilenets.tasks.registry import tasks
from mobilenets.training.loop import Trainer
from mobilenets.training.norms import set_momentum
from mobilenets.training.run import Plan, train
from mobilenets.training.runs.naming import choose_folder
from mobilenets.training.taught.teacher import Teacher
from mobilenets.weights.sources.own import read_card, save

from .conftest import Repeated, short, tiny_network

pytestmark = pytest.mark.usefixtures("no_curves")

TASK = tasks()["classify"]
PLAIN = {
    "policy": "none",
    "mixup": 0.0,
    "cutmix": 0.0,
    "erasing": 0.0,
    "train_scale": 1.0,
    "label_smoothing": 0.0,
    "ema_decay": 0.0,
    "dropout": 0.0,
    "warmup_epochs": 0.0,
}
"""Nothing drawn at random, nothing averaged."""


def plain(**changes: object) -> Recipe:
    return short(**{**PLAIN, **changes})


def trainer(model, data, recipe, output, **more) -> Trainer:
    return Trainer(model, TASK, data, recipe, output, workers=0, cpu=True, **more)


def settled() -> Classifier:
    """A network whose norms hold statistics of images; fresh ones let next to nothing through."""
    model = tiny_network(dropout=0.0)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    kept = [norm.momentum for norm in norms]
    set_momentum(model, 1.0)
    with torch.no_grad():
        model.train()(torch.randn(32, 3, 32, 32))
    for norm, momentum in zip(norms, kept, strict=True):
        norm.momentum = momentum
    return model


def state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, after[name]) for name, value in before.items())


def test_it_learns(tmp_path):
    sixteen = Shapes(32, length=16)
    arguments = {"width": 0.25, "early_strides": (2, 1)}
    torch.manual_seed(0)
    model = TASK.network.build("mobilenet_v2", sixteen.classes, arguments)
    model.card = model.card.replace(preprocessing=Preprocessing((32, 32)))
    recipe = plain(epochs=8, batch_size=8, learning_rate=0.01, norm_momentum=0.3)
    result = trainer(model, (Repeated(sixteen, 4), sixteen), recipe, tmp_path).run()
    assert result.history[0]["top1"] < 0.5
    assert result.best["top1"] > 0.9
    assert result.history[-1]["loss"] < 0.3 * result.history[0]["loss"]


def test_a_run_leaves_the_best_epoch_with_all_that_it_takes_to_use_it(data, tmp_path):
    recipe = short(epochs=3, learning_rate=0.1)
    model = tiny_network()
    result = trainer(model, data, recipe, tmp_path).run()
    kept = {"best.safetensors", "last.safetensors", "log.csv"}
    assert kept | {"state.pt", "tensorboard"} == {path.name for path in tmp_path.iterdir()}

    loaded = mobilenets.load(result.checkpoint)
    assert loaded.card.labels == data[0].classes
    assert loaded.card.preprocessing == Preprocessing((32, 32))
    assert loaded.card.recipe["learning_rate"] == 0.1
    assert loaded.card.recipe["augmentation"]["policy"] == "trivial"
    assert loaded.card.results["top1"] == result.best["top1"]

    session = open_model(result.checkpoint)
    found = evaluate(session, data[1], TASK).results
    assert found["top1"] == result.best["top1"] == max(row["top1"] for row in result.history)
    assert found["loss"] == pytest.approx(result.best["val_loss"], rel=1e-5)
    last = evaluate(open_model(tmp_path / "last.safetensors"), data[1], TASK).results
    assert last["loss"] == pytest.approx(result.history[-1]["val_loss"], rel=1e-5)


def test_the_log_has_a_row_per_epoch(data, tmp_path):
    result = trainer(tiny_network(), data, plain(), tmp_path).run()
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert lines[0] == "epoch,step,learning_rate,loss,val_loss,top1,top5,mean_class,images"
    assert [line.split(",")[:2] for line in lines[1:]] == [["1", "3"], ["2", "6"]]
    assert [float(line.split(",")[3]) for line in lines[1:]] == [r["loss"] for r in result.history]


def test_a_frozen_backbone_stays_to_the_bit_and_then_learns(data, tmp_path, monkeypatch):
    recipe = short(freeze_epochs=1, weight_decay=0.1, epochs=2)
    run = trainer(tiny_network(), data, recipe, tmp_path)
    states = [state(run.model)]
    finish = run.finish_epoch
    monkeypatch.setattr(
        run, "finish_epoch", lambda *args: (states.append(state(run.model)), finish(*args))
    )
    run.run()
    backbone = [{n: v for n, v in s.items() if n.startswith("backbone")} for s in states]
    head = [{n: v for n, v in s.items() if n.startswith("classifier")} for s in states]
    assert same(backbone[0], backbone[1])  # norm statistics and their counters too
    assert not same(backbone[1], backbone[2])
    assert not same(head[0], head[1])
    assert not same(head[1], head[2])


@pytest.mark.parametrize("norm", ["train", "frozen"])
def test_norm_statistics_follow_the_images_unless_frozen(data, tmp_path, norm):
    run = trainer(settled(), data, plain(norm=norm, norm_momentum=0.2), tmp_path)
    before = state(run.model)
    run.run()
    moved = {
        name for name, value in run.model.state_dict().items() if (value != before[name]).any()
    }
    assert any("running_mean" in name for name in moved) == (norm == "train")
    assert any("running_var" in name for name in moved) == (norm == "train")
    assert "backbone.stem.norm.weight" in moved
    assert {m.momentum for m in run.model.modules() if isinstance(m, nn.BatchNorm2d)} == {0.2}


def test_parts_of_a_batch_add_up_to_it(data, tmp_path):
    one_step = (Shapes(32, length=16), data[1])
    losses, moves = [], []
    for parts in (1, 2, 4):
        recipe = plain(norm="frozen", accumulate=parts, epochs=1, learning_rate=1e-3)
        run = trainer(settled(), one_step, recipe, tmp_path / str(parts))
        start = state(run.model)
        losses.append(run.run().history[0]["loss"])
        weights = dict(run.model.named_parameters())
        moves.append({name: (weights[name] - start[name]).detach() for name in weights})
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)
    for name, expected in moves[0].items():
        assert expected.any(), name
        for move in moves[1:]:
            assert (move[name] - expected).abs().max() <= 1e-3 * expected.abs().max() + 1e-6, name


def gradients(run: Trainer) -> list[float]:
    """Filled, as the run goes, with the norm of the gradients of each step."""
    found = []
    step = run.optimizer.step

    def record():
        grads = [p.grad.flatten() for p in run.model.parameters() if p.grad is not None]
        found.append(float(torch.cat(grads).norm()))
        step()

    run.optimizer.step = record
    return found


def test_gradients_are_clipped_to_their_limit(data, tmp_path):
    norms = {}
    for limit in (0.0, 0.05):
        recipe = plain(clip_norm=limit, epochs=1, learning_rate=1e-6, norm="frozen")
        run = trainer(tiny_network(), data, recipe, tmp_path / str(limit))
        norms[limit] = gradients(run)
        run.run()
    assert min(norms[0.0]) > 0.06
    assert norms[0.05] == pytest.approx([0.05] * 3, rel=1e-3)


def test_half_precision_runs_near_the_losses_of_single(data, tmp_path):
    losses = {}
    for precision in ("no", "bf16"):
        recipe = plain(precision=precision, epochs=1, learning_rate=1e-5, norm="frozen")
        run = trainer(settled(), data, recipe, tmp_path / precision)
        losses[precision] = run.run().history[0]["loss"]
        assert {parameter.dtype for parameter in run.model.parameters()} == {torch.float32}
    assert losses["bf16"] == pytest.approx(losses["no"], rel=0.1)
    assert losses["bf16"] != losses["no"]


def test_any_module_with_a_card_trains(data, tmp_path):
    torch.manual_seed(0)
    model = torchvision.models.mobilenet_v2(num_classes=8, width_mult=0.25)
    before = state(model)
    card = ModelCard("another", labels=data[0].classes, preprocessing=Preprocessing((32, 32)))
    result = trainer(model, data, plain(), tmp_path, card=card).run()
    assert [row["images"] for row in result.history] == [16, 16]
    assert read_card(result.checkpoint).labels == data[0].classes
    assert not same(before, model.state_dict())
    with pytest.raises(ValueError, match="freeze_epochs needs a network with a `backbone`"):
        trainer(model, data, plain(freeze_epochs=1), tmp_path / "frozen", card=card)


def test_a_module_without_a_card_is_refused(data, tmp_path):
    with pytest.raises(ValueError, match="model must have a card"):
        trainer(nn.Linear(2, 2), data, plain(), tmp_path)


def test_a_batch_must_divide_into_its_parts(data, tmp_path):
    message = r"batch_size must be a multiple of processes x accumulate \(1 x 3\), got 16"
    with pytest.raises(ValueError, match=message):
        trainer(tiny_network(), data, plain(accumulate=3), tmp_path)


def test_a_batch_larger_than_the_data_is_all_of_it_that_divides(data, tmp_path):
    run = trainer(tiny_network(), data, plain(batch_size=50, accumulate=5), tmp_path)
    assert run.batches.batch_size == 45
    assert [len(images) for images, _, _ in run.loader] == [45]


class OneBroken(Shapes):
    """Image 5 cannot be read."""

    def image(self, i: int) -> Image.Image:
        if i == 5:
            raise DataError(f"{self.name(i)}: broken")
        return super().image(i)


def test_an_unreadable_image_is_named_once_and_training_goes_on(tmp_path, capsys):
    data = (OneBroken(32, length=16), OneBroken(32, "val", length=16))
    result = trainer(tiny_network(), data, plain(), tmp_path).run()
    assert len(result.history) == 2
    assert result.history[-1]["images"] == 15
    assert capsys.readouterr().err.count("left out: shapes/train/5: broken") == 1


@pytest.mark.every
def test_a_student_learns_from_its_teacher_alone(data, tmp_path):
    taught = tiny_network()
    torch.manual_seed(3)
    nn.init.normal_(taught.classifier.weight, 0, 0.5)
    rule = tiny_network().card.preprocessing
    common = {"teacher_weight": 1.0, "norm": "frozen", "teacher_temperature": 1.0}
    recipe = plain(**common, epochs=1, learning_rate=0.02)
    copied = copy.deepcopy(taught)
    teacher = partial(Teacher, taught, rule, rule)
    result = trainer(copied, data, recipe, tmp_path / "copy", teacher=teacher()).run()
    assert result.history[0]["loss"] == pytest.approx(0, abs=1e-5)

    losses = {}
    for weight in (1.0, 0.0, 0.25):
        recipe = plain(**{**common, "teacher_weight": weight}, epochs=3, learning_rate=0.02)
        run = trainer(tiny_network(), data, recipe, tmp_path / str(weight), teacher=teacher())
        images, targets, _ = next(iter(run.loader))
        losses[weight] = run.lesson(run.mode.wrap(False), images, targets).detach()
        if weight == 1:
            history = run.run().history
    assert history[-1]["loss"] < history[0]["loss"]
    torch.testing.assert_close(losses[0.25], 0.25 * losses[1.0] + 0.75 * losses[0.0])


def test_a_run_in_a_thread_leaves_the_signals_alone(data, tmp_path):
    found = []
    run = trainer(tiny_network(), data, plain(epochs=1), tmp_path)
    thread = threading.Thread(target=lambda: found.append(run.run()))
    thread.start()
    thread.join()
    assert len(found[0].history) == 1


def test_training_from_folded_weights_measures_their_norms_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = tiny_network()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.fill_(1 - module.eps)
            nn.init.normal_(module.bias, 0, 0.3)
    save(model, tmp_path / "folded.safetensors")
    for index in range(16):
        folder = tmp_path / "photos" / f"{index % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        Shapes(32).image(index).save(folder / f"{index}.png")
    said: list[str] = []
    plan = Plan("mobilenet_v2", "folded.safetensors")
    changes = {"epochs": 1, "learning_rate": 1e-9, "norm": "frozen", "probe": False}
    result = train(plan, "photos", changes=changes, workers=0, say=said.append)
    assert any("statistics are measured anew" in line for line in said)
    ours, theirs = (mobilenets.load(path) for path in (result.checkpoint, "folded.safetensors"))
    assert ours.backbone.stem.norm.running_mean.abs().max() > 1e-3
    images = torch.randn(2, 3, 32, 32)
    expected = theirs.embed(images)
    assert (ours.embed(images) - expected).abs().max() < 1e-4 * expected.abs().max()


def test_a_run_without_a_folder_gets_the_next_free_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = []
    for _ in range(3):
        folder = choose_folder(None, "v2", "my data", resume=False)
        folder.mkdir(parents=True)
        (folder / "state.pt").touch()
        names.append(folder.as_posix())
    assert names == ["runs/v2-my-data", "runs/v2-my-data-2", "runs/v2-my-data-3"]
    assert choose_folder(None, "v2", "my data", resume=True).as_posix() == names[-1]
    with pytest.raises(ValueError, match=r"output must be a new .*folder, .* already holds a run"):
        choose_folder(folder, "v2", "my data", resume=False)
    (tmp_path / "notes").mkdir()
    assert choose_folder(tmp_path / "notes", "v2", "my data", resume=False) == tmp_path / "notes"
    (tmp_path / "notes" / "a.txt").touch()
    with pytest.raises(ValueError, match="notes already holds files"):
        choose_folder(tmp_path / "notes", "v2", "my data", resume=False)
    with pytest.raises(TrainingError, match="notes holds no run to resume"):
        choose_folder(tmp_path / "notes", "v2", "my data", resume=True)


def test_dropout_is_refused_where_there_is_none(data, tmp_path):
    model = tiny_network()
    model.dropout = torch.nn.Identity()
    with pytest.raises(ValueError, match="dropout is for a network that has any"):
        trainer(model, data, plain(dropout=0.1), tmp_path)


@pytest.mark.parametrize(
    ("plan", "changes", "message"),
    [
        (Plan("ssdlite_mobilenet_v2"), {"dropout": 0.5}, "dropout is for a network that has any"),
        (Plan("deeplabv3_mobilenet_v2", resolution=1), {}, "resolution must be 16 .*, got 1"),
    ],
)
def test_what_a_network_cannot_have_is_refused_before_the_first_step(
    plan, changes, message, tmp_path
):
    with pytest.raises(ValueError, match=message):
        train(plan, "shapes", changes=changes, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_export_of_no_pixels_to_speak_of_is_refused():
    with pytest.raises(ValueError, match="resolution must be 16 pixels at least, got 1"):
        open_source("deeplabv3_mobilenet_v2", resolution=1)
