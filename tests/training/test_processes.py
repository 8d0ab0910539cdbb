"""Two processes must train as one does with the same global batch."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from mobilenets.training.loop import Trainer
from tests.tasks.detect.test_training import TASK, Few, detector, overfitting
from tests.training.conftest import Repeated
from tests.training.two_processes import RUNS, START, learn

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.every


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Every run, of this process in `one` and of two others in `two`: started once for all."""
    folder = tmp_path_factory.mktemp("processes")
    # From one that knows some pictures by heart, so that there is something to measure.
    data = (Repeated(Few(size=64), 10), Few(size=64))
    network, made = detector(64, width=0.25), overfitting(epochs=3)
    run = Trainer(network, TASK, data, made, folder / "start", workers=0, cpu=True).run()
    for side in ("one", "two"):
        (folder / side).mkdir()
        (folder / side / START).write_bytes(run.checkpoint.read_bytes())
    for name in RUNS:
        learn(folder / "one", name)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    # Not `accelerate launch --cpu`: it starts one process, however many are asked for.
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [sys.executable, *launcher, "-m", "tests.training.two_processes"]
    done = subprocess.run(
        [*command, str(folder / "two")], env=environment, cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder


def read(folder: Path, side: str, name: str) -> tuple[list, list, dict]:
    """The losses, the log and the weights of a run."""
    run = folder / side / name
    told = json.loads((run / "told.json").read_text())
    assert told["processes"] == {"one": 1, "two": 2}[side]
    with (run / "log.csv").open() as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    return told["losses"], rows, load_file(run / "last.safetensors")


@pytest.mark.parametrize("name", ["norms of the batch", "frozen norms"])
def test_two_processes_see_the_losses_of_one(folder, name):
    one, one_rows, one_weights = read(folder, "one", name)
    two, two_rows, two_weights = read(folder, "two", name)
    assert len(one) == 6
    np.testing.assert_allclose(one, two, rtol=1e-4)
    assert [row["images"] for row in two_rows] == [row["images"] for row in one_rows] == [17, 17]
    np.testing.assert_allclose(
        [row["val_loss"] for row in one_rows], [row["val_loss"] for row in two_rows], rtol=1e-4
    )
    compare_weights(one_weights, two_weights)


def compare_weights(one: dict, two: dict) -> None:
    for name, weights in one.items():
        scale = np.abs(weights).max() + 1e-3
        assert np.abs(weights - two[name]).max() < 1e-4 * scale, name


def test_two_processes_train_and_measure_a_detector_as_one_does(folder):
    one, one_rows, one_weights = read(folder, "one", "detector")
    two, two_rows, two_weights = read(folder, "two", "detector")
    assert len(one) == 6
    np.testing.assert_allclose(one, two, rtol=1e-6)
    compare_weights(one_weights, two_weights)
    assert one_rows[0]["images"] == 5
    assert 0.1 < one_rows[0]["ap"] < 0.9
    for name in ("ap", "ap50", "ap75", "ap50_voc07", "images"):
        expected = [row[name] for row in one_rows]
        assert [row[name] for row in two_rows] == pytest.approx(expected, abs=1e-6), name


def test_the_global_norm_is_batch_normalisation_over_all_processes(folder):
    """A slow twin: the same module over both halves at once, forward, backward and statistics."""
    torch.manual_seed(0)
    norm = torch.nn.BatchNorm2d(3, momentum=0.1)
    x = torch.randn(8, 3, 5, 4, requires_grad=True)
    weight = torch.randn(8, 3, 5, 4)
    (norm(x) * weight).sum().backward()
    parts = [torch.load(folder / "two" / f"{rank}.pt", weights_only=True) for rank in range(2)]
    torch.testing.assert_close(torch.cat([part["grad"] for part in parts]), x.grad)
    for part in parts:
        torch.testing.assert_close(part["mean"], norm.running_mean)
        torch.testing.assert_close(part["var"], norm.running_var)
