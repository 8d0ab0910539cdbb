"""`open(...).predict` of a real detector and a real segmentation network, beside torch by hand."""

import json

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from typer.testing import CliRunner

import mobilenets
import mobilenets.cli
from mobilenets.runtime.inputs import read_input

pytestmark = pytest.mark.assets


def command_says(weights, image, *more):
    words = ["predict", str(weights), str(image), "--json", *more]
    result = CliRunner().invoke(mobilenets.cli.app, words)
    assert result.exit_code == 0, result.output
    (one,) = json.loads(result.stdout)
    return one["predictions"]


def inputs_of(model, path):
    return torch.from_numpy(read_input(path, model.card.preprocessing).values)[None]


def test_boxes_are_those_of_the_command_and_of_torch(assets):
    weights = assets / "weights" / "ssd_mobilenet_v1_coco_quant.tflite"
    path = sorted((assets / "coco128" / "images").rglob("*.jpg"))[0]
    model = mobilenets.open(weights)
    answer = model.predict(path, threshold=0.3, top=5)
    said = command_says(weights, path, "--threshold", "0.3", "--top", "5")
    assert len(answer) == len(said) > 0
    assert answer.labels == [one["label"] for one in said]
    np.testing.assert_allclose(answer.boxes, [one["box"] for one in said], atol=0.1)
    np.testing.assert_allclose(answer.scores, [one["score"] for one in said], atol=1e-4)
    with torch.inference_mode():
        logits = model.module(inputs_of(model, path))[0, :, 4:]  # (anchors, 1 + classes)
    assert answer.scores[0] == pytest.approx(logits[:, 1:].sigmoid().max().item(), abs=1e-4)
    assert answer.indices[0] == logits[:, 1:].max(0).values.argmax().item()
    width, height = answer.image.size
    assert answer.boxes[:, ::2].max() <= width
    assert answer.boxes[:, 1::2].max() <= height


def test_a_mask_is_that_of_the_command_and_of_torch(assets):
    weights = assets / "weights" / "deeplabv3_mobilenet_v2_0.5_257.tflite"
    path = sorted((assets / "coco128" / "images").rglob("*.jpg"))[0]
    model = mobilenets.open(weights)
    answer = model.predict(path)

    width, height = answer.image.size
    assert answer.mask.shape == (height, width)
    said = command_says(weights, path)
    regions = said["regions"] if isinstance(said, dict) else said
    assert answer.labels[0] == regions[0]["label"]
    shares = np.bincount(answer.mask.ravel()) / answer.mask.size
    assert answer.scores[0] == pytest.approx(shares.max())
    assert answer.mask_of(answer.labels[0]).mean() == pytest.approx(shares.max())
    with torch.inference_mode():
        logits = model.module(inputs_of(model, path))  # (1, classes, 257, 257)
    if model.card.preprocessing.resize == "pad":
        scale = logits.shape[-1] / max(width, height)
        logits = logits[:, :, : round(height * scale), : round(width * scale)]
    by_hand = F.interpolate(logits, (height, width), mode="bilinear").argmax(1)[0].numpy()
    assert (by_hand == answer.mask).mean() > 0.99
