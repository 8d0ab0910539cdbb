import json
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch

from mobilenets.tasks.detect.formats.shapes import ShapeObjects


@pytest.fixture
def peer(script) -> ModuleType:
    return script("detection_peer")


@pytest.fixture
def call(peer, monkeypatch, tmp_path):
    """Runs it, but for the training; gives what the two were to be trained with, and the table."""

    def run(*options: str) -> tuple[list[SimpleNamespace], dict]:
        given = []

        def trainer(model, task, data, made, output, *, card):
            given.append(SimpleNamespace(model=model, task=task, recipe=made, card=card))
            result = SimpleNamespace(best={"ap": 0.5})
            return SimpleNamespace(run=lambda: result, evaluated=lambda: model)

        found = SimpleNamespace(results={"ap": 0.25, "ap50": 0.5})
        monkeypatch.setattr(peer, "Trainer", trainer)
        monkeypatch.setattr(peer, "evaluate", lambda *given: found)
        monkeypatch.setattr(peer, "open_detection", lambda path, split: ShapeObjects())
        monkeypatch.setattr(sys, "argv", ["x", "data", "--output", str(tmp_path), *options])
        peer.main()
        return given, json.loads((tmp_path / "detection_peer.json").read_text())

    return run


@pytest.mark.every
def test_both_learn_by_the_recipes_own_rate_and_say_what_they_are(call):
    given, table = call("--epochs", "7")
    assert list(table) == ["mobilenets", "torchvision"]
    assert [one.card.architecture for one in given] == [
        "ssdlite_mobilenet_v2",
        "ssdlite320_mobilenet_v3_large",
    ]
    for one in given:
        assert one.recipe.epochs == 7
        assert one.recipe.learning_rate == 0.002  # of finetune_ssd
        anchors = one.task.learn.criterion(one.card, one.recipe.objective).anchors
        with torch.inference_mode():
            outputs = one.model.eval()(torch.zeros(1, 3, 320, 320))
        assert outputs.shape == (1, len(anchors), 4 + 1 + 8)
    assert len(call("--learning-rate", "0.1", "--sides", "mobilenets")[1]) == 1


def test_a_side_that_is_none_is_an_error(call, capsys):
    with pytest.raises(SystemExit) as ended:
        call("--sides", "mobilenets,torchvison")
    assert ended.value.code == 2
    assert "must be of mobilenets, torchvision, got 'torchvison'" in capsys.readouterr().err
