import json
import sys
from types import SimpleNamespace

import torch

from mobilenets.tasks.segment.formats.shapes import ShapeMasks


def test_both_learn_by_the_same_recipe_and_say_what_they_are(monkeypatch, script, tmp_path):
    peer = script("segmentation_peer")
    given = []

    def trainer(model, task, data, made, output, *, card):
        given.append(SimpleNamespace(model=model, recipe=made, card=card))
        row = {"miou": 0.5, "pixel_accuracy": 0.75}
        return SimpleNamespace(run=lambda: SimpleNamespace(best=row, history=[row]))

    monkeypatch.setattr(peer, "Trainer", trainer)
    monkeypatch.setattr(peer, "open_segmentation", lambda path, split: ShapeMasks("val"))
    monkeypatch.setattr(sys, "argv", ["x", "data", "--output", str(tmp_path), "--epochs", "7"])
    peer.main()
    table = json.loads((tmp_path / "segmentation_peer.json").read_text())
    assert list(table) == ["mobilenets", "torchvision"]
    assert [one.card.architecture for one in given] == [
        "deeplabv3_mobilenet_v2",
        "lraspp_mobilenet_v3_large",
    ]
    assert given[0].recipe == given[1].recipe
    assert given[0].card.preprocessing == given[1].card.preprocessing
    recipe = given[0].recipe
    assert (recipe.epochs, recipe.norm) == (7, "train")
    assert len(recipe.objective.class_weights) == 9
    for one in given:
        with torch.inference_mode():
            assert one.model.eval()(torch.zeros(1, 3, 65, 97)).shape == (1, 9, 65, 97)
