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

ROOT = Path(__file__).parents[2]


def launch(folder: Path, processes: int, norm: str) -> tuple[list, list, dict]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    launcher = ["-m", "accelerate.commands.launch", "--cpu", "--num_machines", "1"]
    launcher += ["--mixed_precision", "no", "--dynamo_backend", "no"]
    launcher += ["--num_processes", str(processes), "--main_process_port", "0"]
    command = [sys.executable, *launcher, "-m", "tests.training.two_processes", str(folder), norm]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    losses = json.loads((folder / "losses.json").read_text())
    with (folder / "log.csv").open() as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    return losses, rows, load_file(folder / "last.safetensors")


@pytest.mark.parametrize("norm", ["train", "frozen"])
def test_two_processes_see_the_losses_of_one(tmp_path, norm):
    one, one_rows, one_weights = launch(tmp_path / "one", 1, norm)
    two, two_rows, two_weights = launch(tmp_path / "two", 2, norm)
    assert len(one) == 6
    np.testing.assert_allclose(one, two, rtol=1e-3)
    assert [row["images"] for row in two_rows] == [row["images"] for row in one_rows] == [17, 17]
    np.testing.assert_allclose(
        [row["val_loss"] for row in one_rows], [row["val_loss"] for row in two_rows], rtol=1e-2
    )
    for name, weights in one_weights.items():
        scale = np.abs(weights).max() + 1e-3
        assert np.abs(weights - two_weights[name]).max() < 0.02 * scale, name


def test_the_global_norm_is_batch_normalisation_over_all_processes(tmp_path):
    """A slow twin: the same module over both halves at once, forward, backward and statistics."""
    command = [sys.executable, "-m", "tests.training.global_norm", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    torch.manual_seed(0)
    norm = torch.nn.BatchNorm2d(3, momentum=0.1)
    x = torch.randn(8, 3, 5, 4, requires_grad=True)
    weight = torch.randn(8, 3, 5, 4)
    (norm(x) * weight).sum().backward()
    parts = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    torch.testing.assert_close(torch.cat([part["grad"] for part in parts]), x.grad)
    for part in parts:
        torch.testing.assert_close(part["mean"], norm.running_mean)
        torch.testing.assert_close(part["var"], norm.running_var)
