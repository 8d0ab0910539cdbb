"""What a Keras model's configuration says beside its weights, held against Keras' own answers."""

import dataclasses
import json
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from mobilenets.card import card_of
from mobilenets.errors import WeightsError
from mobilenets.runtime.preprocess import preprocess
from mobilenets.tasks.classify.read import labels_of, scores_of
from mobilenets.weights import load
from mobilenets.weights.containers.hdf5 import read_variables
from mobilenets.weights.sources.keras import assemble
from tests.some import some
from tests.weights import keras_nets

ROWS = [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), (256, 2), (256, 1)]
"""Channels and strides of the shallow MobileNetV1 of width 0.25: fewer layers to build."""
SIZE = 32


def pictures(size=SIZE):
    """Four smooth pictures of colours from black to white."""
    rng = np.random.default_rng(3)
    small = rng.integers(0, 256, (4, 5, 5, 3), np.uint8)
    return [Image.fromarray(x).resize((size, size), Image.Resampling.BICUBIC) for x in small]


def body(k, x, act=None, pad=None, **norm):
    """MobileNetV1 of width 0.25 as people write it themselves."""

    def unit(x, layer):
        x = k.BatchNormalization(**norm)(layer(x))
        return act()(x) if act else k.ReLU(6)(x)

    def spatial(x, stride, **filters):
        if stride == 2 and pad:
            x = k.ZeroPadding2D(pad)(x)
        padding = "valid" if stride == 2 and pad else "same"
        if filters:
            return unit(x, k.Conv2D(8, 3, strides=2, padding=padding))
        return unit(x, k.DepthwiseConv2D(3, stride, padding=padding, use_bias=False))

    x = spatial(x, 2, filters=8)
    for channels, stride in ROWS:
        x = unit(spatial(x, stride), k.Conv2D(channels, 1))
    return x


def dense(k, x):
    return k.Dense(3)(k.GlobalAveragePooling2D()(x))


def model_of(feed=None, head=dense, sides=SIZE, **options):
    """A model of random weights: `feed` before the body, `head` on it."""
    import keras

    inputs = keras.Input((sides, sides, 3))
    x = feed(keras.layers, inputs) if feed else inputs
    outputs = head(keras.layers, body(keras.layers, x, **options))
    return keras_nets.randomise(keras.Model(inputs, outputs))


def saved(model, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras would rather write .keras
        model.save(path)
    return path


def assert_same_answers(path, model, images, fed=lambda pixels: pixels, atol=2e-5):
    """Our scores of pictures beside those of Keras, which is fed pixels; the card."""
    ours = load(path)
    card = card_of(ours)
    how = dataclasses.replace(card.preprocessing, resize="squash")
    x = torch.from_numpy(np.stack([preprocess(image, how) for image in images]))
    with torch.inference_mode():
        found = scores_of(ours(x).numpy(), card)
    pixels = np.stack([np.asarray(image, np.float32) for image in images])
    expected = np.asarray(model(fed(pixels), training=False), np.float64)
    if expected.shape[1] == 1:
        expected = np.concatenate([1 - expected, expected], 1)
    assert expected.std(0).max() > 3e-4  # that the pictures differ at all
    np.testing.assert_allclose(found, expected, atol=atol)
    return card


def softmax(k, x):
    return k.Softmax()(dense(k, x))


def to_one(pixels):
    return pixels / 127.5 - 1


@pytest.mark.parametrize(
    ("act", "arguments"),
    [
        (lambda k: k.ReLU(), {"activation": "relu"}),
        (
            lambda k: k.LeakyReLU(negative_slope=0.1),
            {"activation": "leaky_relu", "negative_slope": 0.1},
        ),
        (lambda k: k.Activation("relu6"), {}),
    ],
)
def test_the_activation_is_the_files(act, arguments, tmp_path):
    import keras

    model = model_of(act=lambda: act(keras.layers), head=softmax, epsilon=1e-5, momentum=0.9)
    card = assert_same_answers(saved(model, tmp_path / "a.keras"), model, pictures(), to_one)
    assert arguments.items() <= card.arguments.items()
    assert ("activation" in card.arguments) == ("activation" in arguments)
    assert card.arguments["norm_momentum"] == 0.1
    assert "not in the file: taken as [-1, 1]" in card.source


@pytest.mark.parametrize(
    ("act", "word"),
    some(
        [
            (lambda k: k.Activation("swish"), "silu"),
            (lambda k: k.ReLU(4.0), "relu up to 4"),
            (lambda k: k.PReLU(shared_axes=[1, 2]), "prelu"),
        ],
        (1,),
    ),
)
def test_another_activation_is_refused_by_name(act, word, tmp_path):
    import keras

    model = model_of(act=lambda: act(keras.layers))
    with pytest.raises(WeightsError, match=rf"its layer 'conv2d.*' activates with {word}; our"):
        load(saved(model, tmp_path / "a.keras"))


@pytest.mark.parametrize(("pad", "padding"), [(None, "same"), (1, "symmetric")])
def test_the_padding_is_the_files(pad, padding, tmp_path):
    model = model_of(pad=pad, head=softmax)
    card = assert_same_answers(saved(model, tmp_path / "a.h5"), model, pictures(), to_one)
    assert card.arguments["padding"] == padding


def rescaled(k, x):
    return k.Rescaling(1 / 255)(x)


def resized(k, x):
    x = k.RandomFlip()(k.Resizing(SIZE, SIZE)(x))
    x = k.Rescaling([1 / 255, 1 / 128, 1 / 64], [0, -1, -0.5])(x)
    return k.Normalization(mean=[0.1, 0.2, 0.3], variance=[1, 2, 3])(x)


def operations(k, x):
    import keras

    return keras.applications.mobilenet_v2.preprocess_input(x)


def doubled(k, x):
    return k.Rescaling(2.0, -1.0)(x)


@pytest.mark.parametrize(
    ("feed", "white", "mean", "std", "file"),
    some(
        [
            (rescaled, 255, (0, 0, 0), (1, 1, 1), "a.h5"),
            (resized, 255, (0.1, 0.6023529, 0.2007843), (1, 0.7098797, 0.4347108), "a.keras"),
            (operations, 255, (0.5,) * 3, (0.5,) * 3, "a.keras"),
            (doubled, 1, (0.5,) * 3, (0.5,) * 3, "a.keras"),
            (rescaled, 255, (0, 0, 0), (1, 1, 1), "a.keras"),
            (resized, 255, (0.1, 0.6023529, 0.2007843), (1, 0.7098797, 0.4347108), "a.h5"),
            (operations, 255, (0.5,) * 3, (0.5,) * 3, "a.h5"),
        ],
        (0, 1, 2, 3),
    ),
)
def test_layers_before_the_network_are_its_preprocessing(feed, white, mean, std, file, tmp_path):
    model = model_of(feed, softmax, sides=None if feed is resized else SIZE)
    path = saved(model, tmp_path / file)
    card = assert_same_answers(path, model, pictures(), lambda x: x * (white / 255))
    assert card.preprocessing.mean == pytest.approx(mean, abs=1e-6)
    assert card.preprocessing.std == pytest.approx(std, abs=1e-6)
    assert card.preprocessing.size == (SIZE, SIZE)
    assert f"of the file, of pixels from 0 to {white}" in card.source
    assert card.preprocessing.resize == ("squash" if feed is resized else "crop")


@pytest.mark.assets
def test_answers_on_photographs_are_those_of_keras(assets, tmp_path):
    paths = sorted((assets / "ants-bees" / "val").glob("*/*.jpg"))[:12]
    photographs = [Image.open(path).convert("RGB").resize((SIZE, SIZE)) for path in paths]
    model = model_of(rescaled, softmax)
    assert_same_answers(saved(model, tmp_path / "a.keras"), model, photographs)


def one_sigmoid(k, x):
    return k.Dense(1, activation="sigmoid")(k.Dropout(0.2)(k.GlobalAveragePooling2D()(x)))


def many_sigmoids(k, x):
    return k.Activation("sigmoid")(k.Dense(4)(k.Flatten()(k.AveragePooling2D(1)(x))))


def folded(k, x):
    x = k.BatchNormalization(scale=False)(k.GlobalAveragePooling2D()(x))
    x = k.BatchNormalization()(k.Dense(10)(x))
    return k.Dense(3, activation="softmax")(x)


def teachable(k, x):
    """What Teachable Machine and many tutorials put on a backbone, and a norm more."""
    x = k.Dense(10, activation="relu")(k.BatchNormalization()(k.GlobalAveragePooling2D()(x)))
    x = k.Dropout(0.5)(k.BatchNormalization()(x))
    return k.Dense(2, activation="softmax", use_bias=False)(x)


@pytest.mark.parametrize(
    ("head", "meaning", "labels"),
    [
        (one_sigmoid, "independent logits", ("0", "1")),
        (many_sigmoids, "independent logits", ("0", "1", "2", "3")),
        (folded, "logits", ("0", "1", "2")),
        (teachable, "logits", ("0", "1")),
    ],
)
def test_heads_that_are_one_layer_in_effect(head, meaning, labels, tmp_path):
    model = model_of(rescaled, head)
    path = saved(model, tmp_path / "a.keras")
    card = assert_same_answers(path, model, pictures())
    assert card.output.meaning == meaning
    assert labels_of(card, card.arguments["classes"]) == labels


def test_one_output_without_an_activation_is_a_logit_of_its_own(tmp_path):
    model = model_of(rescaled, lambda k, x: k.Dense(1)(k.GlobalAveragePooling2D()(x)))
    card = card_of(load(saved(model, tmp_path / "a.keras")))
    assert card.output.meaning == "independent logits"


@pytest.mark.parametrize(
    ("head", "words"),
    some(
        [
            (lambda k, x: k.Dense(2)(k.GlobalMaxPooling2D()(x)), "GlobalMaxPooling2D.*averaged"),
            (lambda k, x: k.Dense(2)(k.Flatten()(x)), "Flatten.*averaged"),
            (lambda k, x: k.Dense(2, "tanh")(k.GlobalAveragePooling2D()(x)), "activation tanh"),
            (lambda k, x: k.GlobalAveragePooling2D()(k.Conv2D(2, 1)(x)), "behind its backbone"),
            (
                lambda k, x: k.Dense(2)(
                    k.Dense(9, "relu")(k.Dense(9, "relu")(k.GlobalAveragePooling2D()(x)))
                ),
                "activation relu",
            ),
        ],
        (0, 3, 4),
    ),
)
def test_other_heads_are_named_and_the_backbone_is_read(head, words, tmp_path):
    model = model_of(head=head)
    path = saved(model, tmp_path / "a.keras")
    with pytest.raises(WeightsError, match=rf"{words}.*its backbone is read"):
        load(path)
    said = []
    network = load(path, partial=True, say=said.append)
    assert card_of(network).architecture == "mobilenet_v1"
    assert len(said) == 2


def test_a_function_before_the_network_is_named(tmp_path):
    model = model_of(lambda k, x: k.Lambda(lambda y: y / 255, output_shape=(SIZE, SIZE, 3))(x))
    path = saved(model, tmp_path / "a.keras")
    with pytest.raises(WeightsError, match=r"before its network a layer 'lambda.*its backbone is"):
        load(path)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return saved(model_of(), tmp_path_factory.mktemp("plain") / "a.keras")


def edited(kind, place, **settings):
    """A change of one layer's settings, the one at `place` among those of its kind."""

    def change(config):
        same = [x for x in config["config"]["layers"] if x["class_name"] == kind]
        same[place]["config"].update(settings)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        # Of 16 channels on 16 rows: the shapes fit, the answers would be others.
        (edited("BatchNormalization", 2, axis=1), r"'batch_normalization_\d+' works along axis 1"),
        (edited("Softmax", 0, axis=0), "'softmax.*' works along axis 0"),
        (edited("DepthwiseConv2D", 1, data_format="channels_first"), "some channels_last"),
        (
            edited("Dense", 0, dtype="int8_from_float32"),
            "'dense.*' is quantised .int8_from_float32",
        ),
    ],
)
def test_what_would_change_the_answers_unseen_is_refused(change, message, ended, tmp_path):
    variables, config = read_variables(ended)
    assemble(tmp_path / "a.keras", variables, config, "Keras")
    change(config)
    with pytest.raises(WeightsError, match=rf"a\.keras: .*{message}"):
        assemble(tmp_path / "a.keras", variables, config, "Keras")


def test_a_norm_that_is_always_in_training_gives_no_answers_here(ended, tmp_path):
    """Its answers depend on what else is in the batch; the backbone is of use all the same."""
    variables, config = read_variables(ended)
    layers = [x for x in config["config"]["layers"] if x["class_name"] == "BatchNormalization"]
    layers[1]["inbound_nodes"][0]["kwargs"]["training"] = True
    found = assemble(tmp_path / "a.keras", variables, config, "Keras")
    assert "is called with training=True, always" in found.unread
    assert found.card.architecture == "mobilenet_v1"


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    return saved(model_of(head=softmax), tmp_path_factory.mktemp("ended") / "a.keras")


def legacy(feed):
    """A configuration as Keras 2 wrote it: `feed` are layers between the input and a `conv`."""
    first = {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 32, 32, 3]}}
    first |= {"name": "input_1", "inbound_nodes": []}
    layers, before = [first], "input_1"
    for name, kind, config, numbers in feed:
        node = [[[before, 0, 0, numbers]]]
        layers.append({"class_name": kind, "name": name, "config": config, "inbound_nodes": node})
        before = name
    return layers, before


@pytest.mark.parametrize(
    "feed",
    [
        [
            ("tf.math.truediv", "TFOpLambda", {"function": "math.truediv"}, {"y": 127.5}),
            ("tf.math.subtract", "TFOpLambda", {"function": "math.subtract"}, {"y": 1.0}),
        ],
        [
            (
                "tf_op_layer_truediv",
                "TensorFlowOpLayer",
                {"node_def": '{"op": "RealDiv"}', "constants": {"1": 127.5}},
                {},
            ),
            (
                "tf_op_layer_sub",
                "TensorFlowOpLayer",
                {"node_def": '{"op": "Sub"}', "constants": {"1": 1.0}},
                {},
            ),
        ],
    ],
)
def test_operations_as_keras_2_wrote_them(feed, tmp_path):
    import keras

    model = model_of()
    variables, _ = read_variables(saved(model, tmp_path / "a.h5"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = json.loads(model.to_json())
    layers, before = legacy(feed)
    for layer in config["config"]["layers"]:
        if layer["class_name"] == "InputLayer":
            continue
        text = json.dumps(layer["inbound_nodes"])
        sources = [x for x in (one.name for one in model.layers) if f'["{x}", 0, 0]' in text]
        kept = [
            before if type(model.get_layer(x)) is keras.layers.InputLayer else x for x in sources
        ]
        layers.append({**layer, "inbound_nodes": [[[x, 0, 0, {}] for x in kept]]})
    graph = {"layers": layers, "input_layers": [["input_1", 0, 0]]}
    graph["output_layers"] = [[model.layers[-1].name, 0, 0]]
    card = assemble(
        tmp_path / "a.h5", variables, {"class_name": "Model", "config": graph}, "K"
    ).card
    assert card.preprocessing.mean == pytest.approx((0.5,) * 3)
    assert card.preprocessing.std == pytest.approx((0.5,) * 3)
    assert f"{feed[0][0]}, {feed[1][0]} of the file" in card.source


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["config"]["layers"].pop(5), "reads a layer"),
        (lambda c: c["config"].update(layers=3), "without a list of layers"),
        (lambda c: c["config"].update(output_layers=[]), "has 0 outputs"),
        (lambda c: c["config"]["layers"].append(c["config"]["layers"][4]), "two layers called"),
    ],
)
def test_a_damaged_configuration_is_one_line(change, message, plain, tmp_path):
    variables, config = read_variables(plain)
    change(config)
    with pytest.raises(WeightsError, match=rf"a\.keras: .*{message}"):
        assemble(tmp_path / "a.keras", variables, config, "Keras")
