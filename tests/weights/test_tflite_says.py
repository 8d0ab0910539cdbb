"""What a TFLite file says beside its weights, held against LiteRT's own answers."""

import dataclasses
import zipfile

import flatbuffers
import numpy as np
import pytest
import torch

from mobilenets import open_session
from mobilenets.card import card_of
from mobilenets.cost.graph import profile_onnx
from mobilenets.errors import DataError, WeightsError
from mobilenets.runtime.images import read_image
from mobilenets.runtime.preprocess import preprocess
from mobilenets.tasks.classify.read import scores_of
from mobilenets.weights import load, read
from mobilenets.weights.containers.tflite.graph import parse
from tests.some import some
from tests.weights import keras_nets
from tests.weights.test_keras_config import model_of, pictures


def write(path, data):
    path.write_bytes(data)
    return path


def assert_same_answers(path, fed, atol=2e-5):
    """Our scores of pictures beside those of LiteRT, which is fed pixels as `fed` has it."""
    ours = load(path)
    card = card_of(ours)
    how = dataclasses.replace(card.preprocessing, resize="squash")
    images = pictures()
    x = torch.from_numpy(np.stack([preprocess(image, how) for image in images]))
    with torch.inference_mode():
        found = scores_of(ours(x).numpy(), card)
    pixels = np.stack([np.asarray(image, np.float32) for image in images])
    expected = keras_nets.interpret(path, fed(pixels))
    if expected.shape[1] == 1:
        expected = np.concatenate([1 - expected, expected], 1)
    np.testing.assert_allclose(found, expected, atol=atol)
    return card


def softmax(k, x):
    return k.Dense(3, activation="softmax")(k.GlobalAveragePooling2D()(x))


def sigmoid(k, x):
    return k.Dense(1, activation="sigmoid")(k.GlobalAveragePooling2D()(x))


def rescaled(k, x):
    return k.Rescaling(1 / 127.5, -1)(x)


def divided(k, x):
    return (x - 127.5) / np.float32([127.5, 60, 90])


@pytest.mark.parametrize(
    ("feed", "mean", "std"),
    [
        (rescaled, (0.5,) * 3, (0.5,) * 3),
        (divided, (0.5,) * 3, (0.5, 60 / 255, 90 / 255)),
    ],
)
def test_arithmetic_at_the_input_is_the_preprocessing(feed, mean, std, tmp_path):
    path = write(tmp_path / "a.tflite", keras_nets.convert(model_of(feed, sigmoid)))
    kinds = [op.kind for op in parse(path).operators[:2]]
    assert set(kinds) <= {"MUL", "ADD", "SUB", "DIV"}
    card = assert_same_answers(path, lambda pixels: pixels)
    assert card.preprocessing.mean == pytest.approx(mean, abs=1e-6)
    assert card.preprocessing.std == pytest.approx(std, abs=1e-6)
    assert card.output.meaning == "independent logits"
    assert "arithmetic in its graph has it, of pixels from 0 to 255" in card.source


def test_arithmetic_on_integers_follows_the_inputs_quantization(tmp_path):
    import tensorflow as tf

    model = model_of(lambda k, x: k.Rescaling(2.0, -1.0)(x), softmax)
    samples = [np.asarray(image, np.float32) / 255 for image in pictures()]
    options = {"optimise": [tf.lite.Optimize.DEFAULT], "samples": samples, "integer": tf.uint8}
    path = write(tmp_path / "a.tflite", keras_nets.convert(model, **options))
    assert {"MUL"} <= {op.kind for op in parse(path).operators}
    card = assert_same_answers(path, lambda pixels: pixels / 255, atol=0.1)
    assert card.preprocessing.mean == pytest.approx((0.5,) * 3, abs=0.01)
    assert card.preprocessing.std == pytest.approx((0.5,) * 3, abs=0.01)


@pytest.mark.parametrize(
    ("act", "expected"),
    some(
        [
            (lambda k: k.LeakyReLU(negative_slope=0.1), "leaky_relu"),
            (lambda k: k.ReLU(), "relu"),
        ]
    ),
)
def test_the_activation_is_the_files(act, expected, tmp_path):
    import keras

    model = model_of(act=lambda: act(keras.layers), head=softmax)
    path = write(tmp_path / "a.tflite", keras_nets.convert(model))
    card = assert_same_answers(path, lambda pixels: pixels / 127.5 - 1)
    assert card.arguments["activation"] == expected
    assert "taken as [-1, 1]" in card.source


def hidden(k, x):
    x = k.Dense(10, activation="relu")(k.GlobalAveragePooling2D()(x))
    return k.Dense(2, activation="softmax")(x)


def test_a_head_with_a_hidden_layer_is_read(tmp_path):
    path = write(tmp_path / "a.tflite", keras_nets.convert(model_of(head=hidden)))
    card = assert_same_answers(path, lambda pixels: pixels / 127.5 - 1)
    assert card.arguments["hidden"] == 10


@pytest.fixture(scope="module")
def plain():
    return keras_nets.convert(model_of(head=softmax))


def vector(b, make, items):
    make(b, len(items))
    for item in reversed(items):
        b.PrependUOffsetTRelative(item)
    return b.EndVector()


def table(b, fields):
    """A table with (field, how it is added, value)."""
    b.StartObject(12)
    for field, add, value in fields:
        getattr(b, add)(field, value, 0)
    return b.EndObject()


OFFSET, BYTE = "PrependUOffsetTRelativeSlot", "PrependInt8Slot"


def floats(b, values):
    b.StartVector(4, len(values), 4)
    for value in reversed(values):
        b.PrependFloat32(value)
    return b.EndVector()


def tables(b, *items):
    return vector(b, lambda b, n: b.StartVector(4, n, 4), items)


def metadata(mean, std, files):
    """TFLite metadata as its populator writes it: normalization, and (name, kind, locale) files."""
    b = flatbuffers.Builder(0)
    made = []
    for name, kind, locale in files:
        name, locale = b.CreateString(name), b.CreateString(locale) if locale else 0
        fields = [(0, OFFSET, name), (2, BYTE, kind), (3, OFFSET, locale)]
        made.append(table(b, fields))
    output = table(b, [(6, OFFSET, tables(b, *made))])
    both = [(i, OFFSET, floats(b, values)) for i, values in enumerate((mean, std))]
    unit = table(b, [(0, BYTE, 1), (1, OFFSET, table(b, both))])
    image = table(b, [(4, OFFSET, tables(b, unit))])
    graph = table(b, [(2, OFFSET, tables(b, image)), (3, OFFSET, tables(b, output))])
    b.Finish(table(b, [(3, OFFSET, tables(b, graph))]), file_identifier=b"M001")
    return bytes(b.Output())


def with_metadata(data, found):
    """A TFLite file with metadata in a buffer of its own, by the schema's own object code."""
    from tensorflow.lite.python import schema_py_generated as generated

    model = generated.ModelT.InitFromObj(generated.Model.GetRootAsModel(data, 0))
    buffer, entry = generated.BufferT(), generated.MetadataT()
    buffer.data = np.frombuffer(found, np.uint8)
    entry.name, entry.buffer = b"TFLITE_METADATA", len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    b = flatbuffers.Builder(0)
    b.Finish(model.Pack(b), file_identifier=b"TFL3")
    return bytes(b.Output())


@pytest.mark.parametrize(
    ("mean", "std"), [([0.0], [255.0]), ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])]
)
def test_the_metadata_says_how_images_are_prepared_and_names_the_classes(
    mean, std, plain, tmp_path
):
    files = [("de.txt", 2, "de"), ("en.txt", 2, ""), ("other.txt", 1, "")]
    path = write(tmp_path / "a.tflite", with_metadata(plain, metadata(mean, std, files)))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other.txt", "x\ny\nz\n")
        archive.writestr("de.txt", "Hund\nKatze\nMaus\n")
        archive.writestr("en.txt", "dog\r\ncat\r\nmouse\r\n")
    card = assert_same_answers(path, lambda x: (x - np.float32(mean)) / np.float32(std))
    assert card.labels == ("dog", "cat", "mouse")
    assert "its metadata" in card.source


@pytest.mark.parametrize("cut", [4, 20, 60])
def test_damaged_metadata_is_left_out(cut, plain, tmp_path):
    found = metadata([0.0], [255.0], [("en.txt", 2, "")])
    path = write(tmp_path / "a.tflite", with_metadata(plain, b"\xff" * cut + found[cut:]))
    card = card_of(load(path))
    assert card.arguments["classes"] == 3
    assert cut != 4 or "its metadata is damaged and left out" in card.source


def test_labels_that_the_metadata_names_and_that_are_not_there_are_said(plain, tmp_path):
    found = metadata([0.0], [255.0], [("en.txt", 2, "")])
    path = write(tmp_path / "a.tflite", with_metadata(plain, found))
    assert (
        "the labels 'en.txt' that its metadata names cannot be read" in card_of(load(path)).source
    )


def test_labels_of_another_number_are_said(plain, tmp_path):
    path = write(tmp_path / "a.tflite", plain)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels.txt", "dog\ncat\n")
    assert read(path).notes == ["the 2 labels in 'labels.txt' do not fit its 3 classes, left aside"]


def test_a_bias_with_the_axis_of_its_weights_is_sound(tmp_path):
    """Some converters give a bias of eight channels the depthwise kernel's axis, 3."""
    import tensorflow as tf
    from tensorflow.lite.python import schema_py_generated as generated

    model = model_of(head=softmax)
    samples = [np.asarray(image, np.float32) / 127.5 - 1 for image in pictures()]
    options = {"optimise": [tf.lite.Optimize.DEFAULT], "samples": samples, "integer": tf.int8}
    data = keras_nets.convert(model, **options)
    before = card_of(load(write(tmp_path / "a.tflite", data)))
    model = generated.ModelT.InitFromObj(generated.Model.GetRootAsModel(data, 0))
    moved = 0
    for tensor in model.subgraphs[0].tensors:
        scales = None if tensor.quantization is None else tensor.quantization.scale
        if scales is not None and len(scales) > 1 and len(tensor.shape) == 1:
            tensor.quantization.quantizedDimension = 3
            moved += 1
    assert moved > 5
    b = flatbuffers.Builder(0)
    b.Finish(model.Pack(b), file_identifier=b"TFL3")
    assert card_of(load(write(tmp_path / "a.tflite", bytes(b.Output())))) == before


def test_a_file_compiled_for_the_edge_tpu_is_called_so(tmp_path):
    from tensorflow.lite.python import schema_py_generated as generated

    code, tensor, operator = generated.OperatorCodeT(), generated.TensorT(), generated.OperatorT()
    code.builtinCode, code.deprecatedBuiltinCode = 32, 32
    code.customCode = "edgetpu-custom-op"
    tensor.shape, tensor.buffer = [1, 224, 224, 3], 0
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0], [1]
    graph, model = generated.SubGraphT(), generated.ModelT()
    graph.tensors, graph.operators = [tensor, tensor], [operator]
    graph.inputs, graph.outputs = [0], [1]
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    model.buffers = [generated.BufferT()]
    b = flatbuffers.Builder(0)
    b.Finish(model.Pack(b), file_identifier=b"TFL3")
    path = write(tmp_path / "a_edgetpu.tflite", bytes(b.Output()))
    with pytest.raises(WeightsError, match=r"compiled for the Edge TPU.*given to the compiler"):
        load(path)


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.mark.parametrize(
    ("name", "read", "error"),
    [
        ("a.tflite", load, WeightsError),
        ("a.pth", load, WeightsError),
        ("a.safetensors", load, WeightsError),
        ("a.onnx", open_session, WeightsError),
        ("b.onnx", profile_onnx, WeightsError),
        ("a.jpg", read_image, DataError),
    ],
)
def test_a_git_lfs_pointer_is_called_so(name, read, error, tmp_path):
    path = write(tmp_path / name, POINTER)
    with pytest.raises(error, match=rf"{name}: a Git LFS pointer.*git lfs pull"):
        read(path)
