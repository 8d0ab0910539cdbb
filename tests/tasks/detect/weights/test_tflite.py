"""TFLite's SSD against plain TensorFlow run by LiteRT, and Google's integers against LiteRT's."""

import dataclasses
import warnings
import zipfile
from functools import cache

import numpy as np
import pytest
import torch
from flatbuffers import flexbuffers
from torchvision.ops import batched_nms, box_iou

from mobilenets.errors import WeightsError
from mobilenets.runtime.images import read_image
from mobilenets.runtime.labels import coco_labels
from mobilenets.runtime.preprocess import preprocess
from mobilenets.tasks.detect.architecture.geometry import anchors_of
from mobilenets.tasks.detect.architecture.ssd import decode_boxes
from mobilenets.tasks.registry import build
from mobilenets.weights import identify, load
from mobilenets.weights.containers.tflite.graph import parse
from mobilenets.weights.sources import tflite
from tests.some import some
from tests.tasks.detect.weights import nets as ssd_nets
from tests.weights.peers import randomise
from tests.weights.tflite_files import flipped, is_refused

SIZE = (64, 96)
LITE = ("ssdlite_mobilenet_v2", SIZE, (("width", 0.35), ("classes", 3)))
FACTORS = (("x_scale", 1.0), ("y_scale", 2.0), ("w_scale", 3.0), ("h_scale", 4.0))
"""Of box codes, other than everyone's."""
WHOLE = (*LITE, "sigmoid post", FACTORS)


def image(size, seed=0):
    """A smooth picture in [-1, 1], (height, width, 3)."""
    coarse = torch.from_numpy(np.random.default_rng(seed).uniform(-1, 1, (1, 3, 6, 6)))
    smooth = torch.nn.functional.interpolate(coarse, size, mode="bilinear", align_corners=True)
    return np.ascontiguousarray(smooth[0].numpy().transpose(1, 2, 0).astype(np.float32))


def run(model, picture):
    """Codes (anchors, 4) and logits (anchors, 1 + classes) of one picture."""
    with torch.inference_mode():
        found = model(torch.from_numpy(picture.transpose(2, 0, 1).copy())[None])[0].numpy()
    return found[:, :4], found[:, 4:]


@cache
def made(name, size, arguments, how="sigmoid", options=(), bottleneck=False):
    """A file's bytes.

    `how` is what stands behind the network: None, its scores' function, and `post` for the
    post-processing, of which `options` are; those and `arguments` are (key, value) pairs.
    """
    import tensorflow as tf

    knobs = dict(arguments)
    symmetric = knobs.get("padding") == "symmetric"
    network = ssd_nets.Net(
        randomise(build(name, **knobs)), symmetric=symmetric, bottleneck=bottleneck
    )

    def function(x):
        found = network(x)
        if how is None:
            return found
        score = tf.nn.softmax if "softmax" in how else tf.sigmoid
        found["scores"] = score(found["scores"])
        anchors = anchors_of(name, size)[:, ssd_nets.YXHW]
        return ssd_nets.postprocess(found, anchors, **dict(options)) if "post" in how else found

    return ssd_nets.convert(function, size)


@pytest.mark.parametrize(
    ("name", "size", "arguments", "how"),
    some(
        [
            (*LITE[:2], dict(LITE[2]), "sigmoid"),
            ("ssdlite_mobilenet_v1", (70, 64), {"width": 0.25, "classes": 2}, None),
            ("ssd_mobilenet_v1", SIZE, {"width": 0.3, "classes": 4, "head_kernel": 1}, "softmax"),
            ("ssd_mobilenet_v1", SIZE, {"width": 0.25, "classes": 1, "head_kernel": 3}, None),
            (
                "ssd_mobilenet_v2",
                (66, 99),
                {"width": 0.5, "classes": 2, "head_kernel": 3, "padding": "symmetric"},
                "sigmoid",
            ),
            ("ssd_mobilenet_v2", SIZE, {"width": 0.35, "classes": 2, "head_kernel": 1}, "sigmoid"),
        ],
        (2,),
    ),
)
def test_outputs_are_those_of_litert(name, size, arguments, how, tmp_path):
    path = tmp_path / "net.tflite"
    data = made(name, size, tuple(arguments.items()), how)
    path.write_bytes(data)
    picture = image(size)
    expected = ssd_nets.interpret(data, picture)
    model = load(path)
    codes, logits = run(model, picture)
    scores = torch.from_numpy(logits)
    scores = {"softmax": scores.softmax(1), "sigmoid": scores.sigmoid(), None: scores}[how]
    boxes = expected["boxes"][0][:, ssd_nets.YXHW]
    np.testing.assert_allclose(codes, boxes, atol=1e-4 * np.abs(boxes).max())
    np.testing.assert_allclose(scores, expected["scores"][0], atol=2e-4)
    card = model.card
    assert (card.architecture, card.task) == (name, "detect")
    defaults = {"padding": "same", "norm_eps": 1e-3, "scores": how or "sigmoid"}
    assert card.arguments == {**defaults, **arguments}
    assert (card.preprocessing.size, card.preprocessing.resize) == (size, "squash")
    assert card.labels == ()
    assert identify(path) == card


@pytest.mark.every
@pytest.mark.parametrize("factors", some(["others", "everyone's"]))
def test_boxes_are_those_of_the_files_own_post_processing(factors, tmp_path):
    """Whatever the factors of its box codes; LiteRT's operator is the reference."""
    path = tmp_path / "net.tflite"
    data = made(*WHOLE) if factors == "others" else made(*LITE, "sigmoid post")
    path.write_bytes(data)
    picture = image(SIZE)
    found = ssd_nets.interpret(data, picture)
    codes, logits = run(load(path), picture)
    anchors = torch.from_numpy(anchors_of(LITE[0], SIZE))
    boxes = decode_boxes(torch.from_numpy(codes), anchors)
    scores = torch.from_numpy(logits[:, 1:]).sigmoid()
    best = int(scores.max(1)[0].argmax())
    assert found["found_scores"][0, 0] == pytest.approx(float(scores.max()), abs=1e-4)
    assert found["found_classes"][0, 0] == int(scores[best].argmax())
    expected = found["found_boxes"][0, 0][ssd_nets.YXHW]  # top, left, bottom, right there
    np.testing.assert_allclose(boxes[best], expected, rtol=1e-3, atol=1e-3)


@pytest.mark.every
def test_other_anchors_are_refused_and_the_first_is_named(tmp_path):
    path = tmp_path / "net.tflite"
    ours = anchors_of(LITE[0], SIZE)[:, ssd_nets.YXHW].copy()
    theirs = ours.copy()
    theirs[7:, 2] *= 1.01
    data = made(*WHOLE)
    assert data.count(ours.tobytes()) == 1
    path.write_bytes(data.replace(ours.tobytes(), theirs.tobytes()))
    with pytest.raises(WeightsError, match=r"net\.tflite: anchor 7 is \(.*\), must be \(0\."):
        load(path)
    theirs = np.full_like(ours, np.nan)
    path.write_bytes(data.replace(ours.tobytes(), theirs.tobytes()))
    with pytest.raises(WeightsError, match="anchor 0 is"):
        load(path)


def test_options_that_do_not_fit_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "net.tflite"
    path.write_bytes(made(*WHOLE).replace(b"x_scale\0", b"x_score\0"))
    with pytest.raises(WeightsError, match="does not say its x_scale"):
        load(path)
    path.write_bytes(made(*WHOLE))
    graph = parse(path)
    *operators, last = graph.operators
    options = {**flexbuffers.Loads(last.options), "num_classes": 2}
    last = dataclasses.replace(last, options=flexbuffers.Dumps(options))
    graph = dataclasses.replace(graph, operators=[*operators, last])
    monkeypatch.setattr(tflite, "parse", lambda path: graph)
    with pytest.raises(WeightsError, match="says 2 classes, but there are 3 beside the background"):
        load(path)


@pytest.mark.every
def test_the_bottleneck_in_the_place_of_the_expansion_is_refused(tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(made(*LITE, "sigmoid", bottleneck=True))
    with pytest.raises(WeightsError, match=r"first map must be that of blocks\.13\.expand, got"):
        load(path)


@pytest.mark.every
def test_raw_outputs_that_look_alike_are_not_guessed(tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(made(*LITE, None))
    with pytest.raises(WeightsError, match="which of its outputs are boxes"):
        load(path)


@pytest.mark.every
def test_int8_stays_near_its_float(tmp_path):
    path = tmp_path / "net.tflite"
    arguments = {"width": 0.35, "classes": 2}
    network = ssd_nets.Net(randomise(build("ssdlite_mobilenet_v2", **arguments)))
    path.write_bytes(ssd_nets.convert(network, SIZE, [image(SIZE, seed) for seed in range(4)]))
    picture = image(SIZE, 9)
    found = run(load(path), picture)
    path.write_bytes(made("ssdlite_mobilenet_v2", SIZE, tuple(arguments.items()), None))
    for a, b in zip(found, run(load(path), picture), strict=True):
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.98
    assert identify(path).source.startswith("TFLite, float32;")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["???", "cat", "", "dog"], ("cat", "unused 2", "dog")),
        (["cat", "???", "dog"], ("cat", "unused 2", "dog")),
        (["cat", "dog"], ()),
    ],
)
def test_labels_are_those_packed_into_the_file(lines, expected, tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(made(*WHOLE))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labelmap.txt", "\n".join(lines))
    assert identify(path).labels == expected


def test_damage_is_an_error_and_nothing_else(tmp_path):
    path = tmp_path / "net.tflite"
    rng = np.random.default_rng(0)
    whole = made(*WHOLE)
    refused = [is_refused(flipped(whole, rng), path) for _ in range(40)]
    refused += [is_refused(whole[: len(whole) * i // 8], path) for i in range(8)]
    options = whole.index(b"x_scale")
    for _ in range(25):
        data = bytearray(whole)
        data[options + int(rng.integers(-120, 150))] ^= 1 << int(rng.integers(8))
        refused.append(is_refused(bytes(data), path))
    assert sum(refused) > 15


def test_a_detector_with_another_network_is_refused(tmp_path):
    import tensorflow as tf

    def function(x):
        parts = [tf.nn.avg_pool2d(x, side, side, "VALID") for side in (8, 16, 32)]
        flat = [tf.reshape(part, [1, -1, 3]) for part in parts]
        return {
            "boxes": tf.concat([tf.pad(x, [[0, 0], [0, 0], [0, 1]]) for x in flat], 1),
            "scores": tf.sigmoid(tf.concat(flat, 1)),
        }

    path = tmp_path / "net.tflite"
    path.write_bytes(ssd_nets.convert(function, SIZE))
    with pytest.raises(WeightsError, match=r"net\.tflite: not an SSD on a MobileNet"):
        load(path)


@cache
def published(assets):
    """Google's SSD as float, and LiteRT's integer codes and logits for every eleventh photo."""
    from ai_edge_litert.interpreter import Interpreter

    path = assets / "weights" / "ssd_mobilenet_v1_coco_quant.tflite"
    model, graph = load(path), parse(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # keeping what lies inside takes memory
        interpreter = Interpreter(str(path), num_threads=1, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    raw = dataclasses.replace(model.card.preprocessing, mean=(0.0,) * 3, std=(1 / 255,) * 3)
    joined = [op.outputs[0] for op in graph.operators if op.kind == "CONCATENATION"]

    def real(tensor):
        values, q = interpreter.get_tensor(tensor), graph.tensors[tensor].quantization
        return ((values.astype(np.float32) - q.zero_point[0]) * q.scale[0])[0].squeeze()

    found = []
    for photo in sorted((assets / "coco128" / "images").glob("*.jpg"))[::11]:
        pixels = np.round(preprocess(read_image(photo), raw)).transpose(1, 2, 0)
        interpreter.set_tensor(graph.inputs[0], pixels[None].astype(np.uint8))
        interpreter.invoke()
        codes, logits = (real(tensor) for tensor in joined)
        found.append(((pixels - 128) / 128, codes[:, ssd_nets.YXHW], logits))
    return model, found


@pytest.mark.assets
def test_the_published_file_says_what_it_is(assets):
    card = published(assets)[0].card
    assert card.architecture == "ssd_mobilenet_v1"
    assert card.arguments == {
        "width": 0.75,
        "classes": 90,
        "head_kernel": 1,
        "scores": "sigmoid",
        "padding": "same",
        "norm_eps": 1e-3,
    }
    assert card.labels == coco_labels(90)
    assert card.preprocessing.size == (300, 300)
    assert card.preprocessing.mean == (128 / 255,) * 3


@pytest.mark.assets
def test_the_published_integers_find_what_litert_finds(assets):
    model, photos = published(assets)
    anchors = torch.from_numpy(anchors_of(model.card.architecture, (300, 300)))

    def detect(codes, logits):
        boxes = decode_boxes(torch.from_numpy(codes.astype(np.float32)), anchors)
        scores, classes = torch.from_numpy(logits[:, 1:].astype(np.float32)).sigmoid().max(1)
        keep = (scores > 0.3).nonzero()[:, 0]
        keep = keep[batched_nms(boxes[keep], scores[keep], classes[keep], 0.6)]
        return boxes[keep], scores[keep], classes[keep]

    both = [(detect(*run(model, x)), detect(codes, logits)) for x, codes, logits in photos]
    for pairs in (both, [(theirs, ours) for ours, theirs in both]):
        hits = [hit for ours, theirs in pairs for hit in found_again(ours, theirs)]
        assert len(hits) > 30
        assert sum(hits) >= 0.95 * len(hits)


def found_again(ours, theirs):
    """Whether each of our sure detections is among theirs, of its class and nearly in its place."""
    overlap = box_iou(ours[0], theirs[0]) * (ours[2][:, None] == theirs[2])
    return [bool((row > 0.7).any()) for row in overlap[ours[1] > 0.5]]


@pytest.mark.assets
def test_the_published_integers_give_litert_codes_and_logits(assets):
    model, photos = published(assets)
    for picture, *expected in photos[:3]:
        for ours, theirs in zip(run(model, picture), expected, strict=True):
            assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.99
