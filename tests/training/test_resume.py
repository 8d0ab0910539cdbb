import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from mobilenets.data.shapes import Shapes
from mobilenets.errors import TrainingError
from mobilenets.tasks import TASKS
from mobilenets.training import loop, state
from mobilenets.training.loop import InterruptedRunError, Trainer

from .conftest import short, tiny_network

FILES = ("best.safetensors", "last.safetensors")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def trainer(data, output, **changes):
    return Trainer(
        tiny_network(), TASKS["classify"], data, short(**changes), output, workers=0, cpu=True
    )


@pytest.mark.parametrize(
    "changes",
    [{}, {"ema_decay": 0.0, "optimizer": "rmsprop_tf", "accumulate": 2}],
    ids=["average, mixing, dropout", "RMSProp, accumulation"],
)
@pytest.mark.parametrize("stop_after", [1, 3, 5])
def test_a_run_stopped_at_any_step_ends_in_the_same_bytes(
    data, tmp_path, monkeypatch, stop_after, changes
):
    trainer(data, tmp_path / "whole", **changes).run()

    stopped = trainer(data, tmp_path / "parts", **changes)
    plain = stopped.train_step

    def stop(*args):
        loss = plain(*args)
        stopped.stop = stopped.step + 1 == stop_after
        return loss

    monkeypatch.setattr(stopped, "train_step", stop)
    with pytest.raises(InterruptedRunError, match=f"stopped at step {stop_after}"):
        stopped.run()
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


def start(photos: Path, folder: Path, *more: str) -> "subprocess.Popen[str]":
    network = ("mobilenet_v2", "--width", "0.25", "--resolution", "32", "--data", str(photos))
    settings = ("--epochs", "3", "--batch-size", "2", "--set", "train_scale=1")
    command = [sys.executable, "-m", "mobilenets", "train", *network, *settings]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, "--output", str(folder), *more],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


@pytest.fixture
def whole(photos, tmp_path) -> Path:
    """A run that nobody stopped."""
    process = start(photos, tmp_path / "whole")
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return tmp_path / "whole"


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_process_resumes_to_the_same_weights(photos, whole, tmp_path, blow):
    parts = tmp_path / "parts"
    process = start(photos, parts)
    while not (parts / "log.csv").exists():  # the first epoch is done
        assert process.poll() is None
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(blow)
    _, errors = process.communicate()
    assert process.returncode != 0
    if blow == signal.SIGINT:
        assert process.returncode == 1
        assert "the same command with --resume goes on" in " ".join(errors.split())
        assert "Traceback" not in errors
    resumed = start(photos, parts, "--resume")
    _, errors = resumed.communicate()
    assert resumed.returncode == 0, errors
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


def test_a_run_does_not_go_on_as_another(data, tmp_path):
    trainer(data, tmp_path, epochs=1).run()
    with pytest.raises(TrainingError, match=r"changed learning rate: it has 0\.05, this call 0\.1"):
        trainer(data, tmp_path, epochs=1, learning_rate=0.1).run(resume=True)
    with pytest.raises(TrainingError, match="changed training images"):
        trainer((data[1], data[1]), tmp_path, epochs=1).run(resume=True)


def test_there_must_be_a_run_to_resume(data, tmp_path):
    with pytest.raises(TrainingError, match="no run to resume"):
        trainer(data, tmp_path).run(resume=True)


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"x" * 99])
def test_a_damaged_state_is_named(data, tmp_path, damage):
    run = trainer(data, tmp_path, epochs=1)
    run.run()
    path = tmp_path / state.NAME
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(TrainingError, match=r"state\.pt is damaged"):
        trainer(data, tmp_path, epochs=1).run(resume=True)


def test_resuming_a_finished_run_changes_nothing(data, tmp_path):
    trainer(data, tmp_path, epochs=1).run()
    before = digest(tmp_path / "best.safetensors")
    result = trainer(data, tmp_path, epochs=1).run(resume=True)
    assert digest(result.checkpoint) == before
    assert len(result.history) == 1


def test_a_loss_that_is_not_finite_names_the_step(data, tmp_path, monkeypatch):
    run = trainer(data, tmp_path)
    plain = loop.Trainer.loss

    def broken(self, *args):
        return plain(self, *args) * (float("nan") if self.step == 2 else 1.0)

    monkeypatch.setattr(loop.Trainer, "loss", broken)
    with pytest.raises(TrainingError, match="the loss is nan at step 3"):
        run.run()
