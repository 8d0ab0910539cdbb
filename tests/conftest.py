import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from hypothesis import settings

from mobilenets.card import ModelCard, Preprocessing
from mobilenets.cli import main
from mobilenets.data.shapes import Shapes
from mobilenets.tasks.registry import build
from mobilenets.weights.sources.own import save

# The same examples every time, however slow the machine: what fails is the change's own doing.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder of real images and weights; a test that asks for it is skipped without it."""
    default = Path(__file__).parents[2] / "shared" / "assets"
    folder = Path(os.environ.get("MOBILENETS_ASSETS", default))
    if not folder.is_dir():
        pytest.skip(f"no assets folder at {folder}; set MOBILENETS_ASSETS")
    return folder


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Small networks on a busy machine: threads that wait for each other only cost time."""
    torch.set_num_threads(1)


class Ran(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def call(capsys, monkeypatch) -> Callable[..., Ran]:
    """Runs the command line in this process."""

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["mobilenets", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Ran(int(ended.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    """An untrained network for the built-in shapes."""
    torch.manual_seed(0)
    labels = Shapes(32).classes
    arguments = {"width": 0.25, "classes": len(labels)}
    model = build("mobilenet_v2", **arguments)
    model.card = ModelCard(
        "mobilenet_v2", arguments, labels=labels, preprocessing=Preprocessing((32, 32))
    )
    path = tmp_path_factory.mktemp("checkpoint") / "shapes.safetensors"
    save(model, path)
    return path
