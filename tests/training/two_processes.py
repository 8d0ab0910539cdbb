"""Small runs: of one process in test_processes.py, and of two that torch's launcher starts."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mobilenets.data.shapes import Shapes
from mobilenets.tasks.registry import tasks
from mobilenets.training.loop import Trainer
from mobilenets.training.norms import share_statistics
from mobilenets.weights import load
from tests.tasks.detect.test_training import Few, overfitting
from tests.training.conftest import short, tiny_network

RUNS = {
    "norms of the batch": ("classify", "train"),
    "frozen norms": ("classify", "frozen"),
    "detector": ("detect", "train"),
}
"""The task and the norm policy of each."""
START = "start.safetensors"
"""What the detector starts from, beside the runs."""


def classify(folder: Path, norm: str) -> tuple:
    """The network, its data and its recipe."""
    # What is drawn per process (dropout, mixing) is off; the images' augmentation is not.
    made = short(norm=norm, mixup=0.0, cutmix=0.0, learning_rate=0.02)
    data = (Shapes(32, "train", length=48), Shapes(32, "val", length=17))
    return tiny_network(dropout=0.0), data, made


def detect(folder: Path, norm: str) -> tuple:
    """The same: a detector that knows all but one of the validation images."""
    made = overfitting(epochs=2, learning_rate=0.0005, norm=norm, policy="flip", warmup_epochs=3.0)
    data = (Few(size=64, pictures=12), Few(size=64, pictures=5))
    return load(folder / START), data, made


@contextmanager
def doubles() -> Iterator[None]:
    """All in float64, and what asks for float32 gets it too.

    A network that has hardly begun makes other losses of the last digits within a few steps:
    those of float64 leave enough others.
    """
    single = torch.Tensor.float
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)
        torch.Tensor.float = single


def doubled(module: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    return (inputs[0].double(),)


def learn(folder: Path, name: str) -> None:
    """One of the runs, in `folder`, with its losses in a file."""
    task, norm = RUNS[name]
    network, data, made = {"classify": classify, "detect": detect}[task](folder, norm)
    network.double().register_forward_pre_hook(doubled)
    losses = []
    with doubles():
        run = Trainer(network, tasks()[task], data, made, folder / name, workers=0, cpu=True)
        plain = run.train_step

        def record(*args):
            losses.append(plain(*args))
            return losses[-1]

        run.train_step = record
        run.run()
    if run.accelerator.is_main_process:
        told = {"processes": run.accelerator.num_processes, "losses": losses}
        (folder / name / "told.json").write_text(json.dumps(told))


def share_norm(folder: Path) -> None:
    """A GlobalBatchNorm2d, half of a batch in each process."""
    rank = dist.get_rank()
    torch.manual_seed(0)
    norm = share_statistics(torch.nn.BatchNorm2d(3, momentum=0.1), torch.device("cpu"))
    part = slice(4 * rank, 4 * rank + 4)
    x = torch.randn(8, 3, 5, 4)[part].requires_grad_()
    weight = torch.randn(8, 3, 5, 4)[part]
    (norm(x) * weight).sum().backward()
    out = {"grad": x.grad, "mean": norm.running_mean, "var": norm.running_var}
    torch.save(out, folder / f"{rank}.pt")


def main() -> None:
    folder = Path(sys.argv[1])
    for name in RUNS:
        learn(folder, name)
    share_norm(folder)
    dist.barrier()
    dist.destroy_process_group()
    # All is on disk. torch's own threads may abort a process that ends while the other's group
    # is still open, which is not what is tested here.
    os._exit(0)


if __name__ == "__main__":
    main()
