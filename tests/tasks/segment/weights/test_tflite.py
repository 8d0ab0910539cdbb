"""TFLite's DeepLabv3 against plain TensorFlow run by LiteRT, and Google's files against LiteRT."""

import dataclasses
import zipfile
from functools import cache

import numpy as np
import pytest
import torch

from mobilenets.errors import WeightsError
from mobilenets.runtime.images import read_image
from mobilenets.runtime.labels import VOC
from mobilenets.runtime.preprocess import preprocess
from mobilenets.tasks.registry import build
from mobilenets.weights import identify, load
from mobilenets.weights.containers.tflite.graph import parse
from mobilenets.weights.sources import tflite
from tests.some import some
from tests.tasks.detect.weights import nets as ssd_nets
from tests.tasks.detect.weights.test_tflite import image
from tests.tasks.segment.weights import nets as deeplab_nets
from tests.weights.peers import randomise
from tests.weights.tflite_files import flipped, is_refused

SIZE = (65, 49)
SMALL = ("deeplabv3_mobilenet_v2", SIZE, (("width", 0.35), ("classes", 3), ("output_stride", 8)))
FULL = (
    "deeplabv3_mobilenet_v2",
    (33, 49),
    (("width", 1.0), ("classes", 21), ("output_stride", 16)),
)
ORDER = (1, 0, 4, 3, 2)
"""Of the branches in the file of V1."""
TILED = (
    "deeplabv3_mobilenet_v2",
    (70, 65),
    (("width", 0.5), ("divisor", 1), ("classes", 2), ("output_stride", 8)),
    "softmax",
)
V1 = (
    "deeplabv3_mobilenet_v1",
    (64, 66),
    (
        *(("width", 0.25), ("classes", 2), ("aspp", True), ("output_stride", 8)),
        ("padding", "symmetric"),
    ),
    "coarse",
)
FLOAT = "deeplabv3_mobilenet_v2_0.5_257.tflite"
QUANTISED = "deeplabv3_mobilenet_v2_0.5_pascal_quant.tflite"


@cache
def made(name, size, arguments, end="logits", **options):
    """A file's bytes; `end` is what stands behind the network's logits."""
    import tensorflow as tf

    knobs = dict(arguments)
    symmetric = knobs.get("padding") == "symmetric"
    network = deeplab_nets.Net(
        randomise(build(name, **knobs)), knobs["output_stride"], symmetric=symmetric, **options
    )
    ends = {
        "coarse": network.coarse,
        "logits": network,
        "softmax": lambda x: tf.nn.softmax(network(x)),
        "classes": lambda x: tf.argmax(network(x), 3),
    }
    return ssd_nets.convert(lambda x: {"y": ends[end](x)}, size)


def run(model, picture, *, coarse=False):
    """Logits of one picture, (height, width, classes)."""
    with torch.inference_mode():
        x = torch.from_numpy(picture.transpose(2, 0, 1).copy())[None]
        found = model.coarse(x) if coarse else model(x)
    return found[0].numpy().transpose(1, 2, 0)


@pytest.mark.parametrize(
    ("name", "size", "arguments", "end", "options"),
    some(
        [
            (*SMALL, "classes", {}),
            (*FULL, "logits", {"order": (1, 0)}),
            (*TILED, {"tiles": True}),
            (*V1, {"order": ORDER}),
        ],
        (2,),
    ),
)
def test_outputs_are_those_of_litert(name, size, arguments, end, options, tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(data := made(name, size, arguments, end, **options))
    kinds = {operator.kind for operator in parse(path).operators}
    assert ("SPACE_TO_BATCH_ND" in kinds) == options.get("tiles", False)
    picture = image(size)
    expected = ssd_nets.interpret(data, picture)["y"][0]
    model = load(path)
    found = run(model, picture, coarse=end == "coarse")
    if end == "classes":
        assert (found.argmax(2) == expected).mean() > 0.999
        assert len(np.unique(expected)) > 1
    else:
        found = torch.from_numpy(found).softmax(2).numpy() if end == "softmax" else found
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    card = model.card
    assert (card.architecture, card.task, card.output.meaning) == (name, "segment", "logits")
    assert card.arguments == {"padding": "same", "norm_eps": 1e-3, "aspp": False, **dict(arguments)}
    assert (card.preprocessing.size, card.preprocessing.resize) == (size, "squash")
    assert card.labels == (VOC if ("classes", 21) in arguments else ())
    assert identify(path) == card


def replaced(graph, which, last=0, **changes):
    """The graph with an operator of the kind `which` changed, counted from the end."""
    operators = list(graph.operators)
    places = [i for i, operator in enumerate(operators) if operator.kind == which]
    place = places[-1 - last]
    operators[place] = dataclasses.replace(operators[place], **changes)
    return dataclasses.replace(graph, operators=operators)


def constant(graph, kind, values):
    """The graph with the second input of the last operator of this kind changed."""
    operator = [op for op in graph.operators if op.kind == kind][-1]
    tensors = list(graph.tensors)
    tensor = tensors[operator.inputs[1]]
    data = np.array(values, tensor.type.lower()).ravel().view(np.uint8)
    tensors[operator.inputs[1]] = dataclasses.replace(tensor, data=data)
    return dataclasses.replace(graph, tensors=tensors)


def separable(graph):
    """The 1x1 branch behind a depthwise convolution."""
    last = [op for op in graph.operators if op.kind == "DEPTHWISE_CONV_2D"][-1]
    branch = [op for op in graph.operators if op.kind == "CONV_2D"][-3]
    return replaced(graph, "CONV_2D", 2, inputs=(last.outputs[0], *branch.inputs[1:]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g: replaced(g, "RESIZE_BILINEAR", corners=False), "resized without align_corners"),
        (
            lambda g: constant(g, "RESIZE_BILINEAR", [60, 49]),
            r"resized to \(60, 49\), must be to the image's \(65, 49\)",
        ),
        (lambda g: constant(g, "ARG_MAX", 1), "ARG_MAX is not over the classes"),
        (lambda g: replaced(g, "CONV_2D", 1, activation="RELU6"), "the head has ReLU6"),
        (lambda g: replaced(g, "CONV_2D", 1, activation="TANH"), "an activation TANH"),
        (lambda g: replaced(g, "CONV_2D", 1, activation="NONE"), "project has no ReLU"),
        (lambda g: replaced(g, "CONV_2D", activation="RELU"), "classifier has an activation"),
        (lambda g: replaced(g, "CONV_2D", 1, stride=(2, 2)), "project must have stride 1"),
        (lambda g: replaced(g, "AVERAGE_POOL_2D", window=(5, 5)), r"a pool of \(5, 5\) on a map"),
        (
            lambda g: replaced(g, "AVERAGE_POOL_2D", activation="RELU"),
            "a pool with an activation RELU, must have none",
        ),
        (lambda g: replaced(g, "CONCATENATION", axis=1), "are not put side by side"),
        (lambda g: replaced(g, "DEPTHWISE_CONV_2D", dilation=(3, 3)), "not a MobileNet's strides"),
        (separable, "its head has separable convolutions"),
        (lambda g: replaced(g, "ARG_MAX", kind="TOPK_V2"), "must come from CONV_2D, got TOPK_V2"),
        (lambda g: replaced(g, "ADD", kind="SUB"), "no operator SUB there"),
    ],
)
def test_what_is_not_ours_is_refused_by_name(change, message, tmp_path, monkeypatch):
    path = tmp_path / "net.tflite"
    path.write_bytes(made(*SMALL, "classes"))
    graph = change(parse(path))
    monkeypatch.setattr(tflite, "parse", lambda path: graph)
    with pytest.raises(WeightsError, match=rf"net\.tflite: .*{message}") as caught:
        load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.every
def test_other_rates_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "net.tflite"
    path.write_bytes(made(*V1, order=ORDER))
    graph = parse(path)
    rates = [op.dilation[0] for op in graph.operators if op.kind == "CONV_2D"]
    assert sorted(rates)[-3:] == [12, 24, 36]
    place = len(rates) - 1 - rates.index(24)
    graph = replaced(graph, "CONV_2D", place, dilation=(9, 9))
    monkeypatch.setattr(tflite, "parse", lambda path: graph)
    with pytest.raises(WeightsError, match=r"dilated by .*9.*must be by \(12, 24, 36\) at output"):
        load(path)


@pytest.mark.parametrize("change", ["pads", "crops"])
def test_a_map_that_is_cut_otherwise_is_refused(change, tmp_path, monkeypatch):
    path = tmp_path / "net.tflite"
    path.write_bytes(made(*TILED, tiles=True))
    graph = parse(path)
    kind = "SPACE_TO_BATCH_ND" if change == "pads" else "BATCH_TO_SPACE_ND"
    operator = [op for op in graph.operators if op.kind == kind][-1]
    tensors = list(graph.tensors)
    tensor = tensors[operator.inputs[2]]
    values = graph.constant(operator.inputs[2]) + np.int32([[0, 4], [0, 0]])
    tensors[operator.inputs[2]] = dataclasses.replace(tensor, data=values.view(np.uint8).ravel())
    graph = dataclasses.replace(graph, tensors=tensors)
    monkeypatch.setattr(tflite, "parse", lambda path: graph)
    with pytest.raises(WeightsError, match="no operator SPACE_TO_BATCH_ND there"):
        load(path)


def test_damage_is_an_error_and_nothing_else(tmp_path):
    path = tmp_path / "net.tflite"
    rng = np.random.default_rng(0)
    whole = made(*SMALL, "classes")
    refused = [is_refused(flipped(whole, rng), path) for _ in range(60)]
    assert all(is_refused(whole[: len(whole) * i // 8], path) for i in range(8))
    assert sum(refused) > 15


def test_labels_are_those_packed_into_the_file(tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(made(*SMALL, "classes"))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labelmap.txt", "background\nroad\ncar")
    assert identify(path).labels == ("background", "road", "car")


def of_last_map(model):
    """The largest weight of the backbone's last convolution, its norm folded in."""
    last = model.backbone.blocks[-1].pointwise
    scale = last.norm.weight / (last.norm.running_var + last.norm.eps).sqrt()
    return (last.conv.weight * scale.view(-1, 1, 1, 1)).abs().max()


@pytest.mark.every
def test_int8_stays_near_litert(tmp_path, monkeypatch):
    """Also where a range alone, which ends below 6, is the ReLU6 of V1's last map."""
    path = tmp_path / "net.tflite"
    model = randomise(build(V1[0], width=0.25, classes=3, output_stride=16))
    with torch.no_grad():
        model.backbone.blocks[-1].pointwise.norm.weight.mul_(0.2)
    network = deeplab_nets.Net(model, 16)
    samples = [image(SIZE, seed) for seed in range(4)]
    path.write_bytes(data := ssd_nets.convert(lambda x: {"y": network(x)}, SIZE, samples))
    picture = image(SIZE, 9)
    expected, found = ssd_nets.interpret(data, picture)["y"][0], run(load(path), picture)
    np.testing.assert_allclose(found, expected, atol=0.05 * np.abs(expected).max())
    assert identify(path).source.startswith("TFLite, int8;")
    graph = replaced(parse(path), "CONV_2D", 4, activation="NONE")
    monkeypatch.setattr(tflite, "parse", lambda path: graph)
    bare = load(path)
    scale = of_last_map(bare)
    monkeypatch.undo()
    assert scale > 1.2 * of_last_map(load(path))
    found = run(bare, picture)
    np.testing.assert_allclose(found, expected, atol=0.05 * np.abs(expected).max())


@cache
def published(path):
    """A published network, and for some photos its input and what LiteRT gives for it."""
    from ai_edge_litert.interpreter import Interpreter

    model, interpreter = load(path), Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    (entry,), (exit_,) = interpreter.get_input_details(), interpreter.get_output_details()
    found = []
    for photo in sorted((path.parents[1] / "coco128" / "images").glob("*.jpg"))[7::40]:
        picture = preprocess(read_image(photo), model.card.preprocessing).transpose(1, 2, 0)
        given = picture
        if entry["dtype"] == np.uint8:
            given = np.round(picture * 128 + 128).clip(0, 255).astype(np.uint8)
        interpreter.set_tensor(entry["index"], given[None])
        interpreter.invoke()
        found.append((picture, interpreter.get_tensor(exit_["index"])[0]))
    return model, found


@pytest.mark.assets
@pytest.mark.parametrize(
    ("file", "output_stride", "side", "resize", "mean"),
    [(FLOAT, 8, 257, "squash", 0.5), (QUANTISED, 16, 513, "pad", 128 / 255)],
)
def test_googles_files_say_what_they_are(file, output_stride, side, resize, mean, assets):
    card = published(assets / "weights" / file)[0].card
    assert card.architecture == "deeplabv3_mobilenet_v2"
    assert card.arguments == {
        "width": 0.5,
        "divisor": 1,
        "classes": 21,
        "aspp": False,
        "output_stride": output_stride,
        "padding": "same",
        "norm_eps": 1e-3,
    }
    assert card.labels == VOC
    assert (card.preprocessing.size, card.preprocessing.resize) == ((side, side), resize)
    assert card.preprocessing.mean == (mean,) * 3


@pytest.mark.assets
def test_the_float_file_gives_litert_logits(assets):
    model, photos = published(assets / "weights" / FLOAT)
    for picture, expected in photos:
        np.testing.assert_allclose(
            run(model, picture), expected, atol=1e-4 * np.abs(expected).max()
        )


@pytest.mark.assets
def test_the_integers_give_nearly_litert_classes(assets):
    """Over the 100 photos that have masks, 98.1 % of the pixels agree."""
    model, photos = published(assets / "weights" / QUANTISED)
    same = [(run(model, picture).argmax(2) == expected).mean() for picture, expected in photos]
    assert np.mean(same) > 0.95
