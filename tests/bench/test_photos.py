"""From file to label: the plain program's answers, and both sides in turns."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from mobilenets.bench.photos.compare import compare_from_files
from mobilenets.bench.photos.plain import PlainProgram
from mobilenets.card import KEY, ModelCard, Preprocessing
from mobilenets.runtime.images import find_images, read_image
from mobilenets.runtime.preprocess import preprocess


def write_model(path: Path, pre: Preprocessing, batch: int | str = "N") -> Path:
    """Which channel of its input is brightest."""
    height, width = pre.size
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["image"], ["means"]),
            helper.make_node("Flatten", ["means"], ["scores"]),
        ],
        "brightest",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, (batch, 3, height, width))],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, (batch, 3))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    card = ModelCard("", task="classify", labels=("red", "green", "blue"), preprocessing=pre)
    helper.set_model_props(model, {KEY: card.to_json()})
    onnx.save(model, str(path))
    return path


@pytest.fixture
def photos(tmp_path) -> Path:
    """Six pictures: in each channel one brightest, one on its side, one damaged."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(6):
        pixels = rng.integers(0, 180, (40 + index, 61, 3))
        pixels[..., index % 3] += 60
        picture = Image.fromarray(pixels.astype(np.uint8))
        exif = picture.getexif()
        exif[0x0112] = 6 if index == 4 else 1
        picture.save(folder / f"{index}.jpg", quality=95, exif=exif)
    (folder / "9.jpg").write_bytes((folder / "0.jpg").read_bytes()[:300])
    return folder


@pytest.mark.parametrize(
    "pre",
    [
        Preprocessing((32, 32)),
        Preprocessing((30, 24), "torchvision", 0.8, "bicubic", (0.4, 0.5, 0.6), (0.1, 0.2, 0.3)),
        Preprocessing((20, 28), "squash", order="BGR"),
    ],
    ids=lambda pre: pre.resize,
)
def test_the_plain_program_prepares_images_as_this_package_does(tmp_path, photos, pre):
    pytest.importorskip("onnxruntime")
    model = write_model(tmp_path / "model.onnx", pre)
    program = PlainProgram(model, 1, vars(pre))
    files = find_images([photos])
    for file in files[:-1]:
        ours = preprocess(read_image(file), pre)
        assert np.allclose(program.prepare(file), ours, atol=1e-5)
    one_by_one = program.run(files)
    program.batch = 4
    assert program.run(files) == one_by_one == [*one_by_one[:-1], -1]
    fixed = PlainProgram(write_model(tmp_path / "one.onnx", pre, 1), 1, vars(pre))
    fixed.choose_batch(files)
    assert fixed.batch == 1
    assert fixed.run(files) == one_by_one


def test_both_sides_answer_every_file_in_turns(tmp_path, photos, call):
    pytest.importorskip("onnxruntime")
    model = write_model(tmp_path / "model.onnx", Preprocessing((32, 32)))
    ran = call("bench", model, "--from-files", photos, "--rounds", 2, "--json")
    assert ran.status == 0, ran.err
    found = json.loads(ran.out)
    assert found["same_answers"] == 1
    assert (found["images"], found["not_readable"], found["rounds"]) == (7, 1, 2)
    assert found["ratio"]["low"] <= found["ratio"]["median"] <= found["ratio"]["high"]
    assert set(found["sides"]) == {"mobilenets", "plain program"}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--threads", "1,2"), "--threads must be one number"),
        (("--against", "onnxruntime"), "--against is not for --from-files"),
    ],
)
def test_what_from_files_does_not_take_is_named(call, photos, more, message):
    ran = call("bench", "x.onnx", "--from-files", photos, *more)
    assert ran.status == 2
    assert message in ran.err


def test_only_networks_that_the_plain_program_can_run_are_compared(tmp_path, photos):
    model = write_model(tmp_path / "model.onnx", Preprocessing((32, 32), "pad"))
    with pytest.raises(ValueError, match="networks that crop or squash"):
        compare_from_files(str(model), [photos / "0.jpg"])
