"""TFLite files against TensorFlow's converter, LiteRT's own run and, damaged, against ourselves."""

import dataclasses
import struct
import tracemalloc
import zipfile
from functools import cache

import numpy as np
import pytest
import tflite as schema
import torch

from mobilenets.errors import WeightsError
from mobilenets.runtime.images import read_image
from mobilenets.runtime.labels import imagenet_labels
from mobilenets.runtime.preprocess import preprocess
from mobilenets.weights import load
from mobilenets.weights.sources import tflite
from tests.some import some
from tests.weights import keras_nets
from tests.weights.peers import assert_same
from tests.weights.tflite_files import flipped, is_refused

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

V1_INT8 = ("MobileNet", 0.25, (96, 96))


def images(size, count=4, seed=3):
    """Smooth pictures in [-1, 1], (count, height, width, 3): what a calibration would see."""
    coarse = np.random.default_rng(seed).uniform(-1, 1, (count, 3, 6, 6))
    tensor = torch.nn.functional.interpolate(
        torch.from_numpy(coarse), size, mode="bilinear", align_corners=True
    )
    return np.ascontiguousarray(tensor.numpy().transpose(0, 2, 3, 1).astype(np.float32))


def run(model, batch):
    with torch.inference_mode():
        return model(torch.from_numpy(batch.transpose(0, 3, 1, 2).copy())).numpy()


def cosine(a, b):
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


@cache
def float_bytes(name, alpha, size):
    return keras_nets.convert(keras_nets.network(name, alpha, size))


@pytest.fixture(scope="module")
def int8_bytes():
    """Per channel int8 of a V1 .25 for 96 pixels, its input int8 too."""
    import tensorflow as tf

    model = keras_nets.network(*V1_INT8)
    samples = images(V1_INT8[2], 8)
    return keras_nets.convert(model, [tf.lite.Optimize.DEFAULT], samples=samples, integer=tf.int8)


@pytest.mark.parametrize(
    ("name", "alpha", "size", "padding"),
    some(
        [
            ("MobileNet", 0.25, (96, 96), "same"),
            ("MobileNet", 0.5, (97, 131), "keras"),
            ("MobileNetV2", 0.35, (96, 96), "same"),
            ("MobileNetV2", 0.5, (97, 131), "same"),
            ("MobileNetV2", 1.3, (33, 47), "same"),
        ],
        (1,),
    ),
)
def test_float_outputs_are_those_of_keras(name, alpha, size, padding, tmp_path):
    model = keras_nets.network(name, alpha, size)
    path = tmp_path / "net.tflite"
    path.write_bytes(float_bytes(name, alpha, size))
    ours = assert_same(path, keras_nets.peer(model), size)
    assert ours.card.arguments == {
        "width": alpha,
        "classes": keras_nets.CLASSES,
        "padding": padding,
        "norm_eps": 1e-3,
    }
    assert ours.card.preprocessing.size == size
    assert ours.card.preprocessing.mean == ours.card.preprocessing.std == (0.5, 0.5, 0.5)


@pytest.mark.every
def test_float16_weights_give_what_litert_gives(tmp_path):
    import tensorflow as tf

    model = keras_nets.network("MobileNetV2", 0.35, (96, 96))
    path = tmp_path / "net.tflite"
    path.write_bytes(keras_nets.convert(model, [tf.lite.Optimize.DEFAULT], types=[tf.float16]))
    batch = images((96, 96))
    expected = keras_nets.interpret(path, batch)
    found = run(load(path), batch)
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()
    assert tflite.read(path).card.source.startswith("TFLite, float16;")


@pytest.mark.parametrize("kind", some(["dynamic", "int8"]))
def test_integer_weights_of_v2_stay_near_keras(kind, tmp_path):
    import tensorflow as tf

    model = keras_nets.network("MobileNetV2", 0.35, (96, 96))
    samples = images((96, 96), 8) if kind == "int8" else None
    path = tmp_path / "net.tflite"
    path.write_bytes(keras_nets.convert(model, [tf.lite.Optimize.DEFAULT], samples=samples))
    batch = images((96, 96))
    found = run(load(path), batch)
    assert cosine(found, np.array(model(batch))) > 0.98
    assert cosine(found, keras_nets.interpret(path, batch)) > 0.98
    assert tflite.read(path).card.source.startswith("TFLite, int8;")


def test_per_channel_int8_of_v1_gives_what_litert_gives(int8_bytes, tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(int8_bytes)
    batch = images((96, 96))
    expected = keras_nets.interpret(path, batch)
    model = load(path)
    assert cosine(run(model, batch), expected) > 0.999
    # An int8 input is the pixel minus 128; LiteRT's own scale and zero point say the rest.
    pixels = np.array([0, 77, 255])
    scale, zero = input_quantization(path)
    mean, std = model.card.preprocessing.mean[0], model.card.preprocessing.std[0]
    np.testing.assert_allclose((pixels / 255 - mean) / std, (pixels - 128 - zero) * scale)


def input_quantization(path):
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter(str(path)).get_input_details()[0]["quantization"]


class Patch:
    """A TFLite file whose convolutions are changed in place, byte by byte."""

    def __init__(self, data):
        self.data = bytearray(data)
        model = schema.Model.GetRootAsModel(self.data, 0)
        self.graph = model.Subgraphs(0)
        operators = [self.graph.Operators(i) for i in range(self.graph.OperatorsLength())]
        codes = [model.OperatorCodes(o.OpcodeIndex()).BuiltinCode() for o in operators]
        # Where the options of either kind keep their fused activation.
        fields = {schema.BuiltinOperator.CONV_2D: 10, schema.BuiltinOperator.DEPTHWISE_CONV_2D: 12}
        self.convolutions = [
            (o, fields[c]) for o, c in zip(operators, codes, strict=True) if c in fields
        ]

    def drop_activation(self, index):
        """RELU6 -> NONE, as older converters wrote it; False where there was none."""
        operator, field = self.convolutions[index]
        options = operator.BuiltinOptions()
        offset = options.Offset(field)
        if offset == 0:
            return False
        self.data[options.Pos + offset] = schema.ActivationFunctionType.NONE
        return True

    def scale(self, index, factor):
        """Change the scale of a convolution's output; the end of its range then."""
        tensor = self.graph.Tensors(self.convolutions[index][0].Outputs(0))
        quantization = tensor.Quantization()
        position = quantization._tab.Vector(quantization._tab.Offset(8))
        (old,) = struct.unpack_from("<f", self.data, position)
        struct.pack_into("<f", self.data, position, old * factor)
        lowest = 0 if tensor.Type() == schema.TensorType.UINT8 else -128
        steps = lowest + 255 - int(quantization.ZeroPoint(0))
        return struct.unpack_from("<f", self.data, position)[0] * steps


@pytest.mark.parametrize(("index", "ending"), [(0, 2.5), (5, 2.5), (5, 11.0), (6, 2.5), (26, 2.5)])
def test_a_range_is_the_ceiling_where_no_relu6_is_written(index, ending, int8_bytes, tmp_path):
    """Held to the same network with that one activation replaced by a clamp."""
    path, patched = tmp_path / "whole.tflite", tmp_path / "patched.tflite"
    path.write_bytes(int8_bytes)
    patch = Patch(int8_bytes)
    assert patch.drop_activation(index)
    ceiling = patch.scale(index, ending / patch.scale(index, 1.0))
    assert ceiling == pytest.approx(ending, rel=1e-5)
    patched.write_bytes(patch.data)
    twin = load(path)
    units = [twin.backbone.stem]
    for block in twin.backbone.blocks:
        units += [block.depthwise, block.pointwise]
    units[index].act = torch.nn.Hardtanh(0.0, ceiling)
    batch = images((96, 96))
    expected = run(twin, batch)
    assert np.abs(expected - run(load(path), batch)).max() > 1e-3  # the ceiling is felt
    np.testing.assert_allclose(run(load(patched), batch), expected, rtol=1e-4, atol=1e-4)


def test_a_missing_relu6_is_refused(tmp_path):
    patch = Patch(float_bytes("MobileNet", 0.5, (97, 131)))
    assert patch.drop_activation(4)
    path = tmp_path / "net.tflite"
    path.write_bytes(patch.data)
    with pytest.raises(WeightsError, match=r"net\.tflite: blocks\.1\.pointwise has no ReLU6"):
        load(path)


def test_labels_are_those_packed_into_the_file(int8_bytes, tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(int8_bytes)
    assert tflite.read(path).card.labels == ()
    names = tuple(f"flower {i}" for i in range(keras_nets.CLASSES))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels.txt", "\n".join(names))
    assert tflite.read(path).card.labels == names


def own_v2(size, padding, shortcut=True, stem_stride=2):
    """A V2 .35 put together by hand; `padding` says how its strided convolutions are padded."""
    import keras

    k = keras.layers

    def unit(x, convolution):
        stride = convolution.strides[0]
        if stride > 1 and padding != "same":
            depthwise = isinstance(convolution, k.DepthwiseConv2D)
            trailing = padding == "keras" and depthwise
            convolution.padding = "same" if padding == "keras" and not depthwise else "valid"
            if trailing or padding == "symmetric":
                x = k.ZeroPadding2D(((0, 1), (0, 1)) if trailing else 1)(x)
        return k.BatchNormalization()(convolution(x))

    def conv(channels, kernel=1, stride=1):
        return k.Conv2D(channels, kernel, stride, padding="same", use_bias=False)

    x = inputs = keras.Input((*size, 3))
    x = k.ReLU(6)(unit(x, conv(16, 3, stem_stride)))
    rows = [(1, 8, 1, 1), (6, 8, 2, 2), (6, 16, 3, 2), (6, 24, 4, 2)]
    for t, c, n, s in [*rows, (6, 32, 3, 1), (6, 56, 3, 2), (6, 112, 1, 1)]:
        for i in range(n):
            before, stride = x, s if i == 0 else 1
            if t > 1:
                x = k.ReLU(6)(unit(x, conv(6 * x.shape[-1])))
            dw = k.DepthwiseConv2D(3, stride, padding="same", use_bias=False)
            x = k.ReLU(6)(unit(x, dw))
            x = unit(x, conv(c))
            if shortcut and stride == 1 and before.shape[-1] == c:
                x = k.Add()([before, x])
    x = k.GlobalAveragePooling2D()(k.ReLU(6)(unit(x, conv(1280))))
    return keras_nets.randomise(keras.Model(inputs, k.Dense(5)(x)))


@pytest.mark.every
@pytest.mark.parametrize(
    ("size", "padding", "options", "expected"),
    some(
        [
            ((64, 64), "symmetric", {}, {}),
            ((33, 64), "same", {"shortcut": False}, {"shortcut": "none"}),
            ((33, 33), "keras", {"stem_stride": 1}, {"early_strides": [1, 2]}),
            ((None, None), "same", {}, {}),
            ((None, None), "keras", {}, {}),
            ((None, None), "symmetric", {}, {}),
        ],
        (2,),
    ),
)
def test_padding_strides_and_shortcuts_are_read(size, padding, options, expected, tmp_path):
    path = tmp_path / "net.tflite"
    model = own_v2(size, padding, **options)
    path.write_bytes(keras_nets.convert(model))
    side = size if all(size) else (45, 67)
    arguments = assert_same(path, keras_nets.peer(model), side).card.arguments
    assert arguments == {
        "width": 0.35,
        "classes": 5,
        "padding": padding,
        "norm_eps": 1e-3,
        **expected,
    }


def convert_layers(build):
    """The TFLite bytes of a small network of one's own."""
    import keras

    inputs = keras.Input((32, 32, 3))
    return keras_nets.convert(keras.Model(inputs, build(keras.layers, inputs)))


def chain(layers, x, activation="relu6", pool=True):
    x = layers.Conv2D(8, 3, 2, padding="same", activation=activation)(x)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu6")(x)
    x = layers.Conv2D(16, 1, activation="relu6")(x)
    return layers.Dense(3)(layers.GlobalAveragePooling2D()(x) if pool else layers.Flatten()(x))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (chain, "not a MobileNet's strides"),
        (lambda k, x: chain(k, x, activation="tanh"), "no operator TANH|activation TANH"),
        (lambda k, x: chain(k, x, pool=False), "not a MobileNet"),
        (lambda k, x: k.Dense(3)(k.GlobalAveragePooling2D()(x)), "no convolutions before"),
        (
            lambda k, x: k.Conv2D(3, 1)(k.UpSampling2D(3, interpolation="bilinear")(x)),
            "not a DeepLabv3: its classifier's map must come from CONV_2D, got RESIZE_BILINEAR",
        ),
        (lambda k, x: chain(k, k.Rescaling(-2.0, 0.5)(x)), "by a factor that is not positive"),
    ],
)
def test_other_networks_are_one_plain_error(build, message, tmp_path):
    path = tmp_path / "other.tflite"
    path.write_bytes(convert_layers(build))
    with pytest.raises(WeightsError, match=rf"other\.tflite: .*{message}"):
        load(path)


def test_damage_is_an_error_and_never_gigabytes(int8_bytes, tmp_path):
    """Bytes flipped in and around the tables, files cut off, and plain noise."""
    path = tmp_path / "net.tflite"
    rng = np.random.default_rng(0)
    size = len(int8_bytes)
    cases = [int8_bytes[:length] for length in (0, 7, 8, 30, 1000, size // 2, size - 3000)]
    for _ in range(10):
        noise = bytearray(rng.bytes(3000))
        noise[4:8] = b"TFL3"
        cases.append(bytes(noise))
    cases += [flipped(int8_bytes, rng) for _ in range(30)]
    tracemalloc.start()
    refused = [is_refused(case, path) for case in cases]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert all(refused[:17])
    assert sum(refused) > 22
    assert peak < 100 * size


QUANTISED = {
    "mobilenet_v2_1.0_224_quant.tflite": ("mobilenet_v2", 1.0, 224),
    "mobilenet_v1_0.25_128_quant.tflite": ("mobilenet_v1", 0.25, 128),
    "mobilenet_v1_0.5_160_quant.tflite": ("mobilenet_v1", 0.5, 160),
}


@pytest.mark.assets
@pytest.mark.parametrize("file", some(list(QUANTISED), (1,)))
def test_the_published_integers_say_the_same_as_litert(file, assets):
    """40 photographs; the reference is LiteRT's integer run on the very same pixels."""
    path = assets / "weights" / file
    model = load(path)
    card = model.card
    architecture, width, side = QUANTISED[file]
    assert (card.architecture, card.arguments["width"]) == (architecture, width)
    assert card.preprocessing.size == (side, side)
    assert card.preprocessing.mean == (128 / 255,) * 3
    assert card.labels[0] == "background"
    assert card.labels[1].split(",")[0] == imagenet_labels(1001)[1]
    photos = sorted((assets / "imagenet-sample").rglob("*.jpg"))[::25]
    raw = dataclasses.replace(card.preprocessing, mean=(0.0,) * 3, std=(1 / 255,) * 3)
    pixels = np.stack([np.round(preprocess(read_image(photo), raw)) for photo in photos])
    batch = ((pixels - 128) / 128).astype(np.float32).transpose(0, 2, 3, 1)
    expected = keras_nets.interpret(path, batch).argmax(1)
    found = np.concatenate([run(model, part) for part in np.array_split(batch, 8)]).argmax(1)
    assert len(photos) == 40
    assert (found == expected).sum() >= 35
    truth = np.arange(1000)[::25] + 1
    assert (found == truth).sum() >= (expected == truth).sum() - 3


@pytest.mark.assets
def test_relu6_left_to_the_range_is_the_same_network(assets, tmp_path):
    """Without the written ReLU6 the uint8 file means the same: its ranges are [0, 6]."""
    path = assets / "weights" / "mobilenet_v1_0.25_128_quant.tflite"
    patch = Patch(path.read_bytes())
    dropped = [patch.drop_activation(i) for i in range(len(patch.convolutions))]
    assert sum(dropped) == 27
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(patch.data)
    expected = tflite.read(path).tensors
    for name, values in tflite.read(bare).tensors.items():
        np.testing.assert_array_equal(values, expected[name])
