import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from mobilenets.cli import main
from mobilenets.data.folders import open_classification
from mobilenets.data.shapes import Shapes
from mobilenets.errors import TrainingError
from mobilenets.tasks.registry import tasks
from mobilenets.training import state
from mobilenets.training.loop import InterruptedRunError, Trainer
from mobilenets.training.recipes import recipe
from tests.some import some

from .conftest import short, tiny_network

pytestmark = pytest.mark.usefixtures("no_curves")

FILES = ("best.safetensors", "last.safetensors")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def trainer(data, output, **changes):
    return Trainer(
        tiny_network(), tasks()["classify"], data, short(**changes), output, workers=0, cpu=True
    )


def stop_after(run: Trainer, steps: int, monkeypatch) -> None:
    """As if someone had pressed Ctrl-C while that step was at hand."""
    plain = run.train_step

    def stopping(*args):
        loss = plain(*args)
        run.stop = run.step + 1 == steps
        return loss

    monkeypatch.setattr(run, "train_step", stopping)


@pytest.mark.parametrize(
    "changes",
    some([{}, {"ema_decay": 0.0, "optimizer": "rmsprop_tf", "accumulate": 2}]),
    ids=["average, mixing, dropout", "RMSProp, accumulation"],
)
def test_a_run_stopped_at_any_step_ends_in_the_same_bytes(data, tmp_path, monkeypatch, changes):
    trainer(data, tmp_path / "whole", **changes).run()
    for step in (1, 3, 5):  # in an epoch, at the end of one, and in the next
        part = trainer(data, tmp_path / "parts", **changes)
        stop_after(part, step, monkeypatch)
        with pytest.raises(InterruptedRunError, match=f"stopped at step {step}"):
            part.run(resume=step > 1)
        torch.manual_seed(123)  # nothing may depend on what ran before
    trainer(data, tmp_path / "parts", **changes).run(resume=True)

    for name in FILES:
        assert digest(tmp_path / "whole" / name) == digest(tmp_path / "parts" / name)
    logs = [(tmp_path / part / "log.csv").read_text() for part in ("whole", "parts")]
    assert logs[0] == logs[1]


def test_another_seed_ends_in_other_bytes(data, tmp_path):
    trainer(data, tmp_path / "a", epochs=1).run()
    trainer(data, tmp_path / "b", epochs=1, seed=1).run()
    assert digest(tmp_path / "a" / "last.safetensors") != digest(
        tmp_path / "b" / "last.safetensors"
    )


@pytest.fixture
def photos(tmp_path) -> Path:
    """96 small images in two folders."""
    shapes = Shapes(32, length=96)
    for index in range(96):
        folder = tmp_path / "photos" / ("even" if index % 2 else "odd")
        folder.mkdir(parents=True, exist_ok=True)
        shapes.image(index).save(folder / f"{index}.png")
    return tmp_path / "photos"


def command(photos: Path, folder: Path, *more: str) -> list[str]:
    network = ("mobilenet_v2", "--width", "0.25", "--resolution", "32", "--data", str(photos))
    settings = ("--epochs", "4", "--batch-size", "4", "--set", "train_scale=1", "--workers", "0")
    return ["mobilenets", "train", *network, *settings, "--output", str(folder), *more]


@pytest.fixture
def call(monkeypatch) -> Callable[..., int]:
    """Trains in this process, on the CPU; the status that it ends with."""
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)

    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", command(*arguments))
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    return run


@pytest.mark.every
def test_a_killed_process_resumes_to_the_same_weights(photos, tmp_path, call, monkeypatch, capsys):
    """Killed, then stopped by Ctrl-C, then left to end."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", *command(photos, parts)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    while not (parts / state.NAME).exists():  # the first epoch is done
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    assert process.wait() == -signal.SIGKILL

    plain = Trainer.train_step

    def pressed(run: Trainer, *args):
        if run.step == 70:  # in the last epoch
            os.kill(os.getpid(), signal.SIGINT)
        return plain(run, *args)

    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_step", pressed)
        assert call(photos, parts, "--resume") == 1
    errors = capsys.readouterr().err
    assert "stopped at step 71" in errors
    assert f"`mobilenets train --resume {parts}` goes on" in " ".join(errors.split())
    assert "Traceback" not in errors
    assert call(photos, parts, "--resume") == 0
    assert call(photos, whole) == 0  # that nobody stopped
    assert "nan" not in (whole / "log.csv").read_text()
    for name in FILES:
        assert digest(whole / name) == digest(parts / name)


def test_a_state_that_cannot_be_written_leaves_the_last_one(data, tmp_path, monkeypatch):
    first = trainer(data, tmp_path, epochs=1)
    first.run()
    before = digest(tmp_path / state.NAME)

    def full(_, path):
        path.write_bytes(b"half")
        raise RuntimeError("unexpected pos 64 vs 0")  # torch's words for a full disk

    monkeypatch.setattr(state.torch, "save", full)
    with pytest.raises(OSError, match="disk full"):
        first.save_state()
    assert digest(tmp_path / state.NAME) == before
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".tmp"] == []


def test_a_run_whose_folder_goes_away_says_so(data, tmp_path):
    run = trainer(data, tmp_path / "run", epochs=1)
    run.run()
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(FileNotFoundError, match="its folder is gone"):
        run.save_state()


def test_a_run_does_not_go_on_as_another(data, tmp_path):
    trainer(data, tmp_path, epochs=1).run()
    with pytest.raises(TrainingError, match=r"changed learning rate: it has 0\.05, this call 0\.1"):
        trainer(data, tmp_path, epochs=1, learning_rate=0.1).run(resume=True)
    with pytest.raises(
        TrainingError, match=r"changed label smoothing: it has 0\.1, this call 0\.2"
    ):
        trainer(data, tmp_path, epochs=1, label_smoothing=0.2).run(resume=True)
    with pytest.raises(TrainingError, match="changed training images"):
        trainer((data[1], data[1]), tmp_path, epochs=1).run(resume=True)


@pytest.fixture
def listed(tmp_path) -> Path:
    """Images with a list of their classes."""
    shapes = Shapes(32, length=40)
    for i in range(40):
        (tmp_path / "data").mkdir(exist_ok=True)
        shapes.image(i).save(tmp_path / "data" / f"{i}.png")
    return listing(tmp_path / "data", lambda i: None)


def listing(folder: Path, other: Callable[[int], str | None]) -> Path:
    """The list; `other` gives a class that is not the image's own."""
    classes = Shapes(32).classes
    rows = [
        f"{i}.png,{other(i) or classes[i % 8]},{'train' if i < 24 else 'val'}" for i in range(40)
    ]
    (folder / "data.csv").write_text("\n".join(["image,label,split", *rows]))
    return folder


def test_other_labels_or_images_of_the_same_names_are_noticed(listed, tmp_path):
    def run():
        data = tuple(open_classification(listed, split) for split in ("train", "val"))
        return trainer(data, tmp_path)

    def resume():
        state.load_state(tmp_path, run().fingerprint)

    run().save_state()
    resume()
    listing(listed, lambda name: {0: "cross", 1: "circle"}.get(name))
    with pytest.raises(TrainingError, match="cannot be resumed with a changed training labels"):
        resume()
    listing(listed, lambda name: {30: "ring", 36: "square"}.get(name))
    with pytest.raises(TrainingError, match="with a changed validation labels"):
        resume()
    listing(listed, lambda name: None)
    image = listed / "5.png"
    before = image.read_bytes()
    Image.open(image).transpose(Image.Transpose.ROTATE_180).save(image)
    with pytest.raises(TrainingError, match="with a changed training files"):
        resume()
    image.write_bytes(before)
    resume()


def test_another_teacher_is_noticed(data, tmp_path):
    def taught(teacher):
        return Trainer(
            tiny_network(),
            tasks()["classify"],
            data,
            short(),
            tmp_path,
            teacher=teacher,
            workers=0,
            cpu=True,
        )

    taught(tiny_network()).save_state()
    state.load_state(tmp_path, taught(tiny_network()).fingerprint)
    other = tiny_network()
    with torch.no_grad():
        next(other.parameters()).add_(1e-3)
    with pytest.raises(TrainingError, match="with a changed teacher's weights"):
        state.load_state(tmp_path, taught(other).fingerprint)
    with pytest.raises(TrainingError, match="a changed teacher: it has a teacher, this call no"):
        state.load_state(tmp_path, taught(None).fingerprint)


def test_a_run_of_an_older_version_goes_on_and_says_what_is_not_known(data, tmp_path, capsys):
    run = trainer(data, tmp_path, epochs=1)
    run.run()
    kept = torch.load(tmp_path / state.NAME, weights_only=True)
    for name in state.NEWER:
        del kept["fingerprint"][name]
    torch.save(kept, tmp_path / state.NAME)
    capsys.readouterr()
    trainer(data, tmp_path, epochs=1).run(resume=True)
    said = " ".join(capsys.readouterr().err.split())
    assert "a run of an older version: whether its teacher's weights, training files" in said


def test_there_must_be_a_run_to_resume(data, tmp_path):
    with pytest.raises(TrainingError, match="no run to resume"):
        trainer(data, tmp_path).run(resume=True)


def test_a_damaged_state_is_named(data, tmp_path):
    run = trainer(data, tmp_path, epochs=1)
    run.save_state()
    path = tmp_path / state.NAME
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"x" * 99):
        path.write_bytes(damaged)
        with pytest.raises(TrainingError, match=r"state\.pt is damaged"):
            run.run(resume=True)
    path.write_bytes(whole)
    run.run(resume=True)


def test_resuming_a_finished_run_changes_nothing(data, tmp_path):
    trainer(data, tmp_path, epochs=1).run()
    before = digest(tmp_path / "best.safetensors")
    result = trainer(data, tmp_path, epochs=1).run(resume=True)
    assert digest(result.checkpoint) == before
    assert len(result.history) == 1


def test_a_loss_that_is_not_finite_names_the_step(data, tmp_path):
    run = trainer(data, tmp_path)
    plain = run.lesson
    run.lesson = lambda *batch: plain(*batch) * (float("nan") if run.step == 2 else 1.0)
    with pytest.raises(TrainingError, match="the loss is nan at step 3"):
        run.run()


def test_a_run_of_before_goes_on_as_it_was_begun(data, tmp_path):
    """Without the settings that came later."""
    made = trainer(data, tmp_path)
    made.save_state()
    found = recipe("finetune_deeplab")
    assert state.as_begun(tmp_path, found) == found
    kept = torch.load(tmp_path / state.NAME, weights_only=True)
    for name in ("probe", "least_steps", "warmup_steps"):
        del kept["fingerprint"][name]
    torch.save(kept, tmp_path / state.NAME)
    old = replace(found, least_steps=0, warmup_steps=0)
    assert state.as_begun(tmp_path, found) == old
    state.load_state(tmp_path, made.fingerprint)  # it is the same run
