"""Files without a card: the picture that reaches the first layer is the one their maker meant."""

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from PIL import Image

from mobilenets.inference import open_session
from mobilenets.runtime.images import read_image
from mobilenets.runtime.preprocess import preprocess
from tests.engine.graphs import array, close, ints, model, node, onnx_runtime
from tests.outputs import only
from tests.quick import exported

SIDE = 16
IMAGENET = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
CAFFE = np.float32([103.939, 116.779, 123.68])
WEIGHTS = {
    "conv": array(5, 3, 3, 3), "dense": array(5, 4),
    "byte": np.float32(255), "half": np.float32(127.5), "one": np.float32(1),
    "inverse": np.float32(1 / 127.5), "unit": np.float32(1 / 255), "two": np.float32(2),
    "m": IMAGENET[0].reshape(3, 1, 1), "s": IMAGENET[1].reshape(3, 1, 1),
    "m255": 255 * IMAGENET[0].reshape(1, 3, 1, 1), "s255": 255 * IMAGENET[1].reshape(1, 3, 1, 1),
    "m_last": 255 * IMAGENET[0], "s_last": 255 * IMAGENET[1],
    "caffe": CAFFE.reshape(1, 3, 1, 1), "small": np.float32(0.017), "back": ints(2, 1, 0),
    "ones": np.ones(3, np.float32), "zeros": np.zeros(3, np.float32),
    "var": np.float32(255 * IMAGENET[1]) ** 2, "mean": 255 * IMAGENET[0],
    "last": ints(-1), "first": ints(-5), "axis": ints(1), "axis_last": ints(3),
    "pads": ints(0, 0, 1, 1, 0, 0, 1, 1),
    "diagonal": np.diag(1 / (255 * IMAGENET[1]))[:, :, None, None].astype(np.float32),
    "shift": -(IMAGENET[0] / IMAGENET[1]),
    "picture": np.full((1, 3, SIDE, SIDE), 127.5, np.float32),
}  # fmt: skip
TAIL = [
    node("Conv", "f conv", "c"),
    node("ReduceMean", "c", "r", axes=[2, 3], keepdims=0),
    node("MatMul", "r dense", "y"),
]
NORMED = [node("Sub", "x m255", "a"), node("Div", "a s255", "f")]
SWAP = [node("Gather", "x back", "a", axis=1)]
APART = [
    node("Split", "x", "red g b", axis=1), node("Concat", "b g red", "a", axis=1),
]  # fmt: skip

FIRST = {
    "[-1, 1] by Mul and Sub": ([node("Mul", "x inverse", "a"), node("Sub", "a one", "f")], 255),
    "[-1, 1] by Sub and Div": ([node("Sub", "x half", "a"), node("Div", "a half", "f")], 255),
    "by a mean picture": ([node("Sub", "x picture", "a"), node("Div", "a half", "f")], 255),
    "[0, 1] by Div": ([node("Div", "x byte", "f")], 255),
    "ImageNet's of bytes": (NORMED, 255),
    "ImageNet's of [0, 1]": ([node("Sub", "x m", "a"), node("Div", "a s", "f")], 1),
    "ImageNet's in two steps": (
        [node("Mul", "x unit", "a"), node("Sub", "a m", "b"), node("Div", "b s", "f")], 255),
    "[-1, 1] of [0, 1]": ([node("Mul", "x two", "a"), node("Sub", "a one", "f")], 1),
    "bytes of [0, 1]": ([node("Mul", "x byte", "f")], 1),
    "a norm": ([node("BatchNormalization", "x ones zeros mean var", "f", epsilon=0.0)], 255),
    "a 1x1 convolution": ([node("Conv", "x diagonal shift", "f")], 255),
    "padded, clipped and cast": (
        [node("Pad", "x pads", "p"), node("Clip", "p", "q"), node("Cast", "q", "d", to=11),
         node("Cast", "d", "e", to=1), node("Sub", "e half", "a"),
         node("Div", "a half", "f")], 255),
    "Caffe's": ([node("Sub", "x caffe", "f")], -255),
    "Caffe's, scaled": ([node("Sub", "x caffe", "a"), node("Mul", "a small", "f")], -255),
    "Caffe's of RGB": ([*SWAP, node("Sub", "a caffe", "f")], 255),
    "exchanged": ([*SWAP, node("Sub", "a half", "b"), node("Div", "b half", "f")], -255),
    "exchanged by a slice": (
        [node("Slice", "x last first axis last", "a"), node("Sub", "a half", "b"),
         node("Div", "b half", "f")], -255),
    "exchanged by parts": ([*APART, node("Sub", "a half", "d"), node("Div", "d half", "f")], -255),
    "ImageNet's after an exchange": (
        [*SWAP, node("Sub", "a m255", "d"), node("Div", "d s255", "f")], -255),
}  # fmt: skip
"""The beginning of a graph, and the largest value that it is for; negative where blue is first."""
LAST = {
    "channels last": ([node("Sub", "x m_last", "a"), node("Div", "a s_last", "t"),
                       node("Transpose", "t", "f", perm=[0, 3, 1, 2])], 255),
    "channels last, exchanged": (
        [node("Transpose", "x", "t", perm=[0, 3, 1, 2]), node("Gather", "t back", "a", axis=1),
         node("Mul", "a inverse", "b"), node("Sub", "b one", "f")], -255),
}  # fmt: skip


def write(path: Path, nodes, *, last: bool = False, **fields) -> Path:
    shape = ("n", SIDE, SIDE, 3) if last else ("n", 3, SIDE, SIDE)
    used = {name for one in (*nodes, *TAIL) for name in one.input}
    weights = {name: value for name, value in WEIGHTS.items() if name in used}
    made = model([*nodes, *TAIL], shape, weights, **fields)
    onnx.save(made, path)
    return path


def picture() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    return Image.fromarray(pixels)


def meant(image: Image.Image, card, largest: float) -> np.ndarray:
    """(3, H, W) from 0 to `largest`, without a word of how the card has it."""
    plain = dataclasses.replace(card.preprocessing, mean=(0.0,) * 3, std=(1.0,) * 3, order="RGB")
    values = preprocess(image, plain)
    return (values[::-1] if largest < 0 else values) * np.float32(abs(largest))


def answers(path: Path, largest: float, *, last: bool = False, kind=np.float32, image=None) -> str:
    """The source of the card, once its input is known to be what was meant."""
    image = image or picture()
    session = open_session(path, threads=1)
    x = meant(image, session.card, largest)[None]
    if kind == np.uint8:
        x = np.rint(x)
    wanted = onnx_runtime(str(path), (x.transpose(0, 2, 3, 1) if last else x).astype(kind))[0]
    found = only(session(preprocess(image, session.card.preprocessing)[None]))
    close(found, wanted.astype(np.float32), 1e-3 if kind == np.float16 else 1e-4)
    assert session.card.source in session.note
    return session.card.source


@pytest.mark.parametrize("case", FIRST.values(), ids=FIRST)
def test_arithmetic_at_the_start_is_the_normalisation(tmp_path, case):
    nodes, largest = case
    source = answers(write(tmp_path / "m.onnx", nodes), largest)
    assert f"taken as 0 to {abs(largest)}: its graph begins with the normalisation" in source
    assert source.endswith("blue first") == (largest < 0)


@pytest.mark.parametrize("case", LAST.values(), ids=LAST)
def test_arithmetic_on_channels_that_come_last(tmp_path, case):
    nodes, largest = case
    answers(write(tmp_path / "m.onnx", nodes, last=True), largest, last=True)


@pytest.mark.every
@pytest.mark.parametrize("dynamo", [False, True])
def test_a_torch_network_with_its_normalisation_inside(tmp_path, dynamo):
    class Inside(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.tensor([123.675, 116.28, 103.53]).view(1, 3, 1, 1))
            self.register_buffer("std", torch.tensor([58.395, 57.12, 57.375]).view(1, 3, 1, 1))
            self.body = torch.nn.Sequential(
                torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
                torch.nn.Linear(4, 4),
            )  # fmt: skip

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.body((x - self.mean) / self.std)

    path = tmp_path / "m.onnx"
    path.write_bytes(exported(Inside(), (2, 3, SIDE, SIDE), dynamo=dynamo, free=True))
    assert "0 to 255" in answers(path, 255)


@pytest.mark.parametrize(
    ("kind", "number", "largest"),
    [(np.uint8, TensorProto.UINT8, 255), (np.float16, TensorProto.FLOAT16, 1)],
)
def test_inputs_of_other_types_are_fed_as_such(tmp_path, kind, number, largest):
    scale = [node("Sub", "e half", "a"), node("Div", "a half", "f")]
    if largest == 1:
        scale = [node("Sub", "e m", "a"), node("Div", "a s", "f")]
    nodes = [node("Cast", "x", "e", to=TensorProto.FLOAT), *scale]
    answers(write(tmp_path / "m.onnx", nodes, kind=number), largest, kind=kind)


METADATA = [
    ({"Image.NominalPixelRange": "NominalRange_0_255", "Image.BitmapPixelFormat": "Bgr8"}, -255),
    ({"Image.NominalPixelRange": "Normalized_0_1"}, 1),
    ({"image.bitmappixelformat": "RGB8"}, 255),
    ({"author": "Ultralytics", "task": "classify"}, 1),
]


@pytest.mark.parametrize(("metadata", "largest"), METADATA)
def test_metadata_says_how_images_are_prepared(tmp_path, metadata, largest):
    path = write(tmp_path / "m.onnx", [node("Identity", "x", "f")])
    made = onnx.load(path)
    helper.set_model_props(made, metadata)
    onnx.save(made, path)
    answers(path, largest)


def test_other_ranges_of_metadata(tmp_path):
    path = write(tmp_path / "m.onnx", [node("Identity", "x", "f")])
    for named, low, high in (("Normalized_1_1", -1, 1), ("NominalRange_16_235", 16, 235)):
        made = onnx.load(path)
        helper.set_model_props(made, {"Image.NominalPixelRange": named})
        onnx.save(made, path)
        card = open_session(path).card
        for shade, value in ((0, low), (255, high)):
            flat = preprocess(Image.new("RGB", (SIDE, SIDE), (shade,) * 3), card.preprocessing)
            np.testing.assert_allclose(flat, value, atol=1e-4)


@pytest.mark.parametrize(
    ("maker", "last", "mean"),
    [
        ("", False, 0.485), ("", True, 0.5), ("pytorch", True, 0.485), ("tf2onnx", False, 0.5),
    ],
)  # fmt: skip
def test_the_maker_says_which_networks_it_has(tmp_path, maker, last, mean):
    nodes = [node("Transpose", "x", "f", perm=[0, 3, 1, 2])] if last else []
    path = write(tmp_path / "m.onnx", nodes or [node("Identity", "x", "f")], last=last)
    made = onnx.load(path)
    made.producer_name = maker
    onnx.save(made, path)
    card = open_session(path).card
    assert card.preprocessing.mean[0] == mean
    assert "does not say how its input is prepared" in card.source


@pytest.mark.parametrize(
    ("metadata", "labels", "said"),
    [
        ({"names": "{0: 'a', 1: \"b's\", 2: 'c', 3: 'd'}"}, ("a", "b's", "c", "d"), ""),
        ({"labels": '["a", "b", "c", "d"]'}, ("a", "b", "c", "d"), ""),
        ({"id2label": '{"0": "a", "1": "b", "3": "d", "2": "c"}'}, ("a", "b", "c", "d"), ""),
        ({"classes": "a\nb\nc\nd\n"}, ("a", "b", "c", "d"), ""),
        ({"class_names": "a, b,c,d"}, ("a", "b", "c", "d"), ""),
        ({"names": "['a', 'b']"}, (), "names has 2 names for 4 outputs, left aside"),
        ({"names": "{0: __import__('os')}"}, (), "names is no list of names, left aside"),
        ({"names": "[" * 10_000}, (), "names is no list of names, left aside"),
        (
            {"names": "{0: 'a', 2: 'b'}", "classes": "4"},
            (),
            "names is no list of names, left aside",
        ),
        ({"names": "7", "id2label": "a,b,c,d"}, ("a", "b", "c", "d"), ""),
    ],
)
def test_names_in_metadata_are_the_labels(tmp_path, metadata, labels, said):
    path = write(tmp_path / "m.onnx", [node("Identity", "x", "f")])
    made = onnx.load(path)
    helper.set_model_props(made, metadata)
    onnx.save(made, path)
    card = open_session(path).card
    assert card.labels == labels
    assert said in card.source


def test_names_lie_beside_a_file_that_has_none(tmp_path):
    path = write(tmp_path / "m.onnx", [node("Identity", "x", "f")])
    (tmp_path / "labels.txt").write_text("0 a\n1 b\n2 c\n3 d\n")
    card = open_session(path).card
    assert card.labels == ("a", "b", "c", "d")
    assert "its classes are called as labels.txt beside it says" in card.source
    (tmp_path / "labels.txt").write_text("a\nb\n")
    card = open_session(path).card
    assert card.labels == ()
    assert "labels.txt beside it has 2 names for 4 outputs, left aside" in card.source


def test_a_range_of_pixels_that_is_not_known_is_said(tmp_path):
    path = write(tmp_path / "m.onnx", [node("Identity", "x", "f")])
    made = onnx.load(path)
    helper.set_model_props(made, {"Image.NominalPixelRange": "NominalRange_0_100"})
    onnx.save(made, path)
    assert "its metadata says 'nominalrange_0_100', left aside" in open_session(path).card.source


def test_arithmetic_that_is_none_of_these_is_said(tmp_path):
    path = write(tmp_path / "m.onnx", [node("Add", "x byte", "a"), node("Mul", "a byte", "f")])
    assert "which is the nearest that it fits" in open_session(path).card.source


@pytest.mark.assets
def test_a_photograph_gets_the_answer_of_the_network_without_it(tmp_path, assets):
    """The same network with ImageNet's normalisation outside, on a real image."""
    photograph = read_image(sorted((assets / "imagenet-sample").glob("*/*.jpg"))[0])
    inside = write(tmp_path / "inside.onnx", NORMED)
    plain = write(tmp_path / "outside.onnx", [node("Identity", "x", "f")])
    found = []
    for path in (inside, plain):
        session = open_session(path, threads=1)
        found.append(only(session(preprocess(photograph, session.card.preprocessing)[None])))
    close(found[0], found[1])
