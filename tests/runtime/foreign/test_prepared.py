"""What transformers writes beside a model about its images, held against its own processor."""

import json

import numpy as np
import pytest
from onnx import helper, load, save
from PIL import Image

from mobilenets.card import TORCHVISION
from mobilenets.inference import open_session
from mobilenets.runtime.preprocess import preprocess
from tests.engine.graphs import node
from tests.runtime.foreign.test_feeding import NORMED, write

FILE = "preprocessor_config.json"
SIDE = 16  # of the input that `write` makes
PLAIN = [node("Identity", "x", "f")]


def open_beside(tmp_path, nodes=PLAIN, sides=None, **said):
    """The card of a file beside which `said` lies; `sides` are those of its input, else 16."""
    path = write(tmp_path / "m.onnx", nodes)
    if sides is not None:
        made = load(path)
        for dim in made.graph.input[0].type.tensor_type.shape.dim[2:]:
            dim.dim_param = sides
        save(made, path)
    (tmp_path / FILE).write_text(json.dumps(said))
    return open_session(path, runtime="onnxruntime").card


@pytest.mark.parametrize(
    "said",
    [
        {"size": {"shortest_edge": 20}, "crop_size": {"height": 16, "width": 16}, "resample": 3},
        {"size": 20, "crop_size": 16, "image_mean": [0.1, 0.2, 0.3], "image_std": [1, 2, 3]},
        {"size": {"height": 16, "width": 16}, "do_center_crop": False, "resample": 0},
        {"size": {"height": 16, "width": 16}, "crop_size": 16},
    ],
)
def test_images_are_prepared_as_by_transformers(tmp_path, said):
    from transformers import MobileNetV2ImageProcessor

    card = open_beside(tmp_path, **said)
    assert f"taken as {FILE} beside it says" in card.source
    noise = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    image = Image.fromarray(noise).resize((90, 60), Image.Resampling.BICUBIC)
    theirs = MobileNetV2ImageProcessor(**said)(image, return_tensors="np")["pixel_values"][0]
    ours = preprocess(image, card.preprocessing)
    assert ours.shape == theirs.shape
    # Theirs goes to whole numbers in between.
    assert np.abs(ours - theirs).mean() < 0.01 * theirs.std()


def test_a_size_that_the_file_leaves_open_is_said_beside(tmp_path):
    card = open_beside(tmp_path, sides="any", size=20, crop_size=18)
    assert card.preprocessing.size == (18, 18)


def test_where_the_graph_or_its_metadata_speak_it_is_left_aside_and_named(tmp_path):
    card = open_beside(tmp_path, NORMED, size=20, crop_size=16)
    assert f"{FILE} beside it left aside" in card.source
    path = tmp_path / "m.onnx"
    write(path, PLAIN)
    made = load(path)
    helper.set_model_props(made, {"Image.NominalPixelRange": "Normalized_0_1"})
    save(made, path)
    card = open_session(path).card
    assert f"{FILE} beside it left aside" in card.source
    assert card.preprocessing.mean == (0, 0, 0)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"size": 40, "crop_size": 32}, "makes images of 32 by 32, its input takes 16 by 16"),
        ({"size": 16, "crop_size": 20}, "crop_size must be a square of at most the shortest_edge"),
        ({"size": {"height": 20, "width": 20}, "crop_size": 16}, "crop_size must be that of size"),
        ({"do_resize": False}, "do_resize must be true"),
        ({"do_pad": True}, "do_pad must be false"),
        ({"image_mean": [1]}, "image_mean must be three numbers"),
    ],
)
def test_what_cannot_be_kept_is_named_and_left_aside(tmp_path, said, words):
    card = open_beside(tmp_path, **said)
    assert words in card.source
    assert "left aside" in card.source
    assert card.preprocessing.mean == TORCHVISION.mean  # as without the file


def test_a_damaged_one_is_named(tmp_path):
    path = write(tmp_path / "m.onnx", PLAIN)
    (tmp_path / FILE).write_text("{")
    assert f"{FILE}: not JSON" in open_session(path).card.source


def test_colours_in_another_order(tmp_path):
    card = open_beside(tmp_path, size=20, crop_size=16, do_flip_channel_order=True)
    assert card.preprocessing.order == "BGR"
