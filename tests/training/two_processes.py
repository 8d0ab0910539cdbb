"""Run by test_processes.py under torch's launcher, with a folder, a task and a norm policy."""

import json
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from mobilenets.data.shapes import Shapes
from mobilenets.tasks import TASKS
from mobilenets.training.loop import Trainer
from mobilenets.weights import load
from tests.training.conftest import short, tiny_network
from tests.training.test_detection import Few, overfitting


def classify(folder: Path, norm: str) -> tuple:
    """The network, its data and its recipe."""
    # What is drawn per process (dropout, mixing) is off; the images' augmentation is not.
    made = short(norm=norm, mixup=0.0, cutmix=0.0, learning_rate=0.02)
    data = (Shapes(32, "train", length=48), Shapes(32, "val", length=17))
    return tiny_network(dropout=0.0), data, made


def detect(folder: Path, norm: str) -> tuple:
    """The same: a detector that knows all but one of the validation images."""
    made = overfitting(epochs=2, learning_rate=0.0005, norm=norm, policy="flip")
    data = (Few(size=64, pictures=12), Few(size=64, pictures=5))
    return load(folder.parent / "start.safetensors"), data, made


def doubled(module: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    return (inputs[0].double(),)


def main() -> None:
    folder, task, norm = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    network, data, made = {"classify": classify, "detect": detect}[task](folder, norm)
    # A network that has hardly begun makes other losses of the last digits within a few steps:
    # those of float64 leave enough others. What asks for float32 gets it too.
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double
    network.double().register_forward_pre_hook(doubled)
    run = Trainer(network, TASKS[task], data, made, folder, workers=0, cpu=True)
    losses = []
    plain = run.train_step

    def record(*args):
        losses.append(plain(*args))
        return losses[-1]

    run.train_step = record
    run.run()
    if run.accelerator.is_main_process:
        told = {"processes": run.accelerator.num_processes, "losses": losses}
        (folder / "told.json").write_text(json.dumps(told))
    run.accelerator.end_training()  # a process that leaves its group open may abort


if __name__ == "__main__":
    main()
