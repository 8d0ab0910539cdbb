"""Detectors on the command line, with a published file and real photographs."""

import json
import re
from math import floor

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from mobilenets.card import ModelCard
from mobilenets.tasks.detect.data import open_detection
from mobilenets.tasks.detect.read import DETECTIONS, box_iou, read_with
from tests.tasks.published import check_other_classes, published

pytestmark = pytest.mark.assets


weights, exported = published("ssd_mobilenet_v1_coco_quant.tflite")


@pytest.mark.every
def test_a_published_detector_measures_as_published(call, weights, exported, assets):
    """The reference: the same weights as float, by another program: .230 and .388."""
    found = json.loads(call("eval", weights, assets / "coco128", "--split", "all", "--json").out)
    assert found["ap"] >= 0.225
    assert found["ap50"] >= 0.38
    assert found["images"] == 128
    ran = call(
        "eval", exported, assets / "coco128", "--split", "all", "--runtime", "mobilenets", "--json"
    )
    assert "read as COCO's 80 in order" in ran.err
    engine = json.loads(ran.out)
    for name in ("ap", "ap50", "ap50_voc07"):
        assert engine[name] == pytest.approx(found[name], abs=0.002)


def test_the_overlap_of_suppression_is_asked_for(call, weights, exported, assets, tmp_path):
    """`--iou` beside torchvision's suppression of the same boxes, for weights and for a file."""
    path = assets / "coco128" / "images" / "000000000025.jpg"
    words = ("--threshold", 0.35, "--json")
    for file in (weights, exported):
        found = {}
        for iou in (0.45, 0.6, 1):
            ran = call("predict", file, path, *words, "--iou", iou)
            assert ran.status == 0, ran.err
            found[iou] = json.loads(ran.out)[0]["predictions"]
        every = found[1]
        boxes = torch.tensor([one["box"] for one in every])
        scores, classes = (torch.tensor([one[k] for one in every]) for k in ("score", "index"))
        for iou in (0.45, 0.6):
            kept = torchvision.ops.batched_nms(boxes, scores, classes, iou)
            assert [one["box"] for one in found[iou]] == [every[i]["box"] for i in kept.tolist()]
        assert len(found[0.45]) < len(found[0.6]) < len(every) < 100
        assert json.loads(call("predict", file, path, *words).out)[0]["predictions"] == found[0.6]
    assert "iou must be in [0, 1], got 1.5" in call("eval", exported, "shapes", "--iou", 1.5).err


def test_suppression_inside_a_file_stays_as_it_is():
    with pytest.raises(ValueError, match="iou cannot be changed for this file: the suppression is"):
        read_with(ModelCard("", task="detect", outputs=DETECTIONS), iou=0.5)


def test_a_threshold_that_hides_all_is_named_with_the_best_score(call, exported, assets):
    path = assets / "coco128" / "images" / "000000000025.jpg"
    best = json.loads(call("predict", exported, path, "--json").out)[0]["predictions"][0]["score"]
    ran = call("predict", exported, path, "--threshold", 0.99)
    assert (
        f"note: nothing scores 0.99 or more; the best is {floor(best * 100) / 100:g}: " in ran.err
    )
    lower = re.search(r"try --threshold (\S+)", ran.err).group(1)
    shown = json.loads(call("predict", exported, path, "--threshold", lower, "--json").out)
    assert shown[0]["predictions"][0]["score"] == best


def test_boxes_are_told_in_pixels_and_drawn(call, weights, exported, assets, tmp_path):
    data = open_detection(assets / "coco128", "all")
    names = [data.name(i) for i in range(len(data))]
    index = names.index("images/000000000025.jpg")  # two giraffes
    path = assets / "coco128" / names[index]
    ran = call("predict", weights, path, "--save-dir", tmp_path / "seen", "--json")
    (answer,) = json.loads(ran.out)
    best = answer["predictions"][0]
    assert best["label"] == "giraffe"
    truth = data.target(index).boxes
    assert box_iou(np.array([best["box"]]), truth).max() > 0.7
    with Image.open(tmp_path / "seen" / "000000000025.jpg") as drawn, Image.open(path) as plain:
        assert drawn.size == plain.size
        assert np.abs(np.asarray(drawn, int) - np.asarray(plain.convert("RGB"), int)).max() > 50
    (same,) = json.loads(call("predict", exported, path, "--json").out)
    assert [one["label"] for one in same["predictions"]] == [
        one["label"] for one in answer["predictions"]
    ]
    np.testing.assert_allclose(same["predictions"][0]["box"], best["box"], atol=0.5)


def test_a_threshold_and_a_number_limit_what_is_told(call, exported, assets):
    path = assets / "coco128" / "images" / "000000000009.jpg"
    count = {}
    for options in ((), ("--threshold", 0.05), ("--top", 1), ("--threshold", 1)):
        (answer,) = json.loads(call("predict", exported, path, *options, "--json").out)
        count[options] = len(answer["predictions"])
    assert count["--threshold", 0.05] > count[()] > count["--top", 1] == 1
    assert count["--threshold", 1] == 0
    assert "nothing" in call("predict", exported, path, "--threshold", 1).out


def test_data_of_other_classes_is_refused_in_one_line(call, weights, assets):
    check_other_classes(call("eval", weights, assets / "bccd"), "RBC")
