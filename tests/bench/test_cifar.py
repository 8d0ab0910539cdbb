import csv
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from mobilenets.data.folders import open_classification
from mobilenets.evaluation import evaluate
from mobilenets.inference import open_model
from mobilenets.tasks.registry import task_of
from tests.some import some


@pytest.fixture
def cifar(script, monkeypatch) -> ModuleType:
    module = script("cifar")
    monkeypatch.setitem(sys.modules, "cifar", module)  # where other processes find `decode`
    return module


def test_each_image_is_moved_by_itself_inside_its_mirrored_edge(cifar):
    torch.manual_seed(0)
    pixels = torch.randint(256, (40, 3, 32, 32), dtype=torch.uint8)
    padded = F.pad(pixels.float(), (4, 4, 4, 4), mode="reflect").to(torch.uint8)
    seen = set()
    for wide, moved in zip(padded, cifar.moved(pixels), strict=True):
        places = [
            (row, column, flipped)
            for row in range(9)
            for column in range(9)
            for flipped in (False, True)
            if torch.equal(
                moved,
                wide[:, row : row + 32, column : column + 32].flip(2)
                if flipped
                else wide[:, row : row + 32, column : column + 32],
            )
        ]
        assert len(places) == 1
        seen.add(places[0])
    assert len(seen) > 20
    assert {flipped for _, _, flipped in seen} == {False, True}


def test_a_hole_is_a_square_or_what_the_edge_leaves_of_it(cifar):
    torch.manual_seed(0)
    holes = cifar.holes(200, torch.device("cpu"))
    assert holes.shape == (200, 1, 32, 32)
    for hole in holes[:, 0]:
        rows, columns = hole.any(1).sum(), hole.any(0).sum()
        assert hole.sum() == rows * columns
        assert 4 <= rows <= 8
        assert 4 <= columns <= 8


def test_an_epoch_has_every_image_once_with_its_own_class(cifar, monkeypatch):
    monkeypatch.setattr(cifar, "moved", lambda pixels: pixels)
    monkeypatch.setattr(cifar, "holes", lambda count, device: torch.zeros(count, 1, 1, 1).bool())
    monkeypatch.setattr(cifar, "TrivialAugmentWide", lambda **given: lambda pixels: pixels)
    targets = torch.arange(200)
    pixels = targets.to(torch.uint8)[:, None, None, None].expand(200, 3, 32, 32)
    found = cifar.augmented(cifar.Images(pixels, targets))
    assert found.targets.tolist() != targets.tolist()
    assert sorted(found.targets.tolist()) == targets.tolist()
    assert torch.equal(found.pixels[:, 0, 0, 0].long(), found.targets)


def write_images(folder: Path) -> Path:
    """Two classes, dark and light."""
    for part, count in (("train", 8), ("test", 3)):
        for name, level in (("dark", 40), ("light", 200)):
            (folder / part / name).mkdir(parents=True)
            for i in range(count):
                image = Image.new("RGB", (32, 32), (level + i, level, level))
                image.save(folder / part / name / f"{i}.jpg")
    return folder


@pytest.mark.parametrize("length", some([["--epochs", "2"], ["--minutes", "0.0001"]]))
def test_a_run_leaves_a_curve_and_a_checkpoint_that_says_how_good_it_is(
    cifar, monkeypatch, tmp_path, capsys, length
):
    monkeypatch.setattr(cifar, "ARGUMENTS", {"width": 0.1})
    data, output = write_images(tmp_path / "data"), tmp_path / "run"
    options = ("--output", str(output), *length, "--batch-size", "8", "--learning-rate", "0.05")
    monkeypatch.setattr(sys, "argv", ["x", str(data), *options])
    cifar.main()
    with (output / "curve.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == (2 if "--epochs" in length else 1)
    assert (output / "curve.png").read_bytes().startswith(b"\x89PNG")
    session = open_model(str(output / "cifar10.safetensors"))
    assert session.card.labels == ("dark", "light")
    dataset = open_classification(data, "test")
    found = evaluate(session, dataset, task_of(session.card)).results["top1"]
    assert session.card.results["top1"] == pytest.approx(found)
    assert float(rows[-1]["test_top1"]) == pytest.approx(found, abs=1e-4)
    assert f"top-1 of the last {found:.4f}" in capsys.readouterr().out
