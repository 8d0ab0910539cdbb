import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from mobilenets.card import ModelCard, Preprocessing
from mobilenets.cli import main
from mobilenets.data.shapes import Shapes
from mobilenets.models.zoo import build
from mobilenets.weights.own import save


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
