"""Segmentation on the command line, with published files and real photographs."""

import json

import numpy as np
import pytest
from PIL import Image

from mobilenets.tasks.segment.data import open_segmentation
from tests.tasks.published import check_other_classes, published

pytestmark = pytest.mark.assets


weights, exported = published("deeplabv3_mobilenet_v2_0.5_257.tflite", argmax=True, batch=1)


@pytest.mark.every
def test_a_published_network_measures_as_published(call, weights, exported, assets):
    """The reference: .325, squashed to 257, logits resized to the image's own size."""
    ran = call("eval", weights, assets / "coco128", "--split", "all", "--json")
    found = json.loads(ran.out)
    assert found["miou"] >= 0.32
    assert found["images"] == 100
    assert "28 images have no mask" in ran.err
    assert found["by_class"]["person"]["iou"] > 0.7
    assert "cow" not in found["by_class"]  # no pixel of it in these images
    engine = json.loads(
        call(
            "eval",
            exported,
            assets / "coco128",
            "--split",
            "all",
            "--runtime",
            "mobilenets",
            "--json",
        ).out
    )
    # Each pixel's class, chosen in the file and then brought to the image's size.
    assert engine["miou"] == pytest.approx(found["miou"], abs=0.01)


@pytest.mark.every
def test_a_quantised_file_of_513_pixels(call, assets):
    """The reference: .476, the longest side scaled to 513 and padded."""
    path = assets / "weights" / "deeplabv3_mobilenet_v2_0.5_pascal_quant.tflite"
    found = json.loads(call("eval", path, assets / "coco128", "--split", "all", "--json").out)
    assert found["miou"] >= 0.465


@pytest.mark.every
def test_finer_maps_and_many_sizes_from_the_same_weights(call, weights, exported, assets):
    options = ("--limit", 3, "--json")
    found = {
        extra: json.loads(
            call("eval", weights, assets / "coco128", "--split", "all", *extra, *options).out
        )["miou"]
        for extra in ((), ("--output-stride", 32), ("--multi-scale",))
    }
    assert len(set(found.values())) == 3
    ran = call("eval", weights, assets / "coco128", "--output-stride", 7)
    assert ran.status == 2
    assert ran.err.strip() == "error: output_stride must be 8, 16 or 32, got 7"
    ran = call("eval", exported, assets / "coco128", "--split", "all", "--multi-scale")
    assert "multi_scale is for weights" in ran.err
    classifier = assets / "weights" / "mobilenet_v1_0.25_128_quant.tflite"
    ran = call("eval", classifier, assets / "coco128", "--split", "all", "--output-stride", 8)
    assert "output_stride is to segment, mobilenet_v1 is to classify" in ran.err


@pytest.mark.every
def test_shares_are_told_and_masks_are_drawn(call, weights, exported, assets, tmp_path):
    data = open_segmentation(assets / "coco128", "all")
    names = [data.name(i) for i in range(len(data))]
    index = next(i for i, name in enumerate(names) if "000000000036" in name)  # under an umbrella
    path = assets / "coco128" / names[index]
    (answer,) = json.loads(
        call("predict", weights, path, "--save-dir", tmp_path / "seen", "--json").out
    )
    seen = {one["label"]: one["score"] for one in answer["predictions"]}
    assert seen["person"] > 0.1
    assert sum(seen.values()) == pytest.approx(1, abs=0.02)
    drawn, mask = answer["saved"]
    with Image.open(path) as plain, Image.open(drawn) as overlay, Image.open(mask) as classes:
        assert overlay.width == plain.width
        assert overlay.height > plain.height  # the legend is below
        assert classes.size == plain.size
        assert classes.mode == "P"
        found = np.asarray(classes)
    share = (found == data.classes.index("person")).mean()
    assert share == pytest.approx(seen["person"])
    truth = data.target(index)
    assert (found == truth)[truth != 255].mean() > 0.8
    # From the file with the choice inside: the same but along the edges.
    (again,) = json.loads(call("predict", exported, path, "--json").out)
    assert again["predictions"][0]["label"] == answer["predictions"][0]["label"]
    assert again["predictions"][0]["score"] == pytest.approx(
        answer["predictions"][0]["score"], abs=0.02
    )


def test_data_of_other_classes_is_refused_in_one_line(call, weights, assets):
    check_other_classes(call("eval", weights, assets / "camvid"), "sky")
