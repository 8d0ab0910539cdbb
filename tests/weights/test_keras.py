"""Keras' own files against Keras' own networks."""

import zipfile

import h5py
import numpy as np
import pytest

from mobilenets.errors import WeightsError
from mobilenets.weights import load
from mobilenets.weights.sources import keras
from tests.some import some
from tests.weights import keras_nets
from tests.weights.peers import assert_same

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file"),
]

NETWORKS = [
    ("MobileNet", 0.25, (96, 96)),
    ("MobileNet", 0.5, (97, 131)),
    ("MobileNet", 0.75, (33, 64)),
    ("MobileNetV2", 0.35, (96, 96)),
    ("MobileNetV2", 0.5, (97, 131)),
    ("MobileNetV2", 1.3, (33, 47)),
]


def write_published(path, model, rename=lambda name: name):
    """What Keras 2's save_weights wrote, the format of the published files."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [rename(layer.name).encode() for layer in model.layers]
        file.attrs["backend"], file.attrs["keras_version"] = b"tensorflow", b"2.2.0"
        for layer in model.layers:
            name = rename(layer.name)
            group = file.create_group(name)
            kernel = "depthwise_kernel" if "Depthwise" in type(layer).__name__ else "kernel"
            weights = {
                f"{name}/{kernel if v.name == 'kernel' else v.name}:0": v.numpy()
                for v in layer.weights
            }
            group.attrs["weight_names"] = [weight.encode() for weight in weights]
            for weight, values in weights.items():
                group[weight] = values


def write_keras3(path, model):
    model.save_weights(path)


def write_whole(path, model):
    model.save(path)


FILES = [
    ("net_tf.h5", write_published),
    ("net.weights.h5", write_keras3),
    ("net.h5", write_whole),
    ("net.keras", write_whole),
]
CASES = [(*network, *file) for network in NETWORKS for file in FILES]


@pytest.mark.parametrize(("name", "alpha", "size", "file", "write"), some(CASES, (4, 6, 13, 15)))
def test_outputs_are_those_of_keras(name, alpha, size, file, write, tmp_path):
    model = keras_nets.network(name, alpha, size)
    path = tmp_path / file
    write(path, model)
    ours = assert_same(path, keras_nets.peer(model), size)
    arguments = ours.card.arguments
    assert ours.card.architecture == {"MobileNet": "mobilenet_v1"}.get(name, "mobilenet_v2")
    assert arguments["width"] == alpha
    assert arguments["classes"] == keras_nets.CLASSES
    assert arguments["norm_eps"] == model.layers[2].epsilon
    assert arguments["norm_momentum"] == pytest.approx(1 - model.layers[2].momentum)
    assert ours.card.preprocessing.mean == (0.5, 0.5, 0.5)
    if write is write_whole:
        assert ours.card.preprocessing.size == size


@pytest.mark.parametrize(
    ("name", "alpha"), some([("MobileNetV2", 0.75), ("MobileNet", 1.0), ("MobileNetV2", 1.4)])
)
def test_the_other_published_widths_are_recognised(name, alpha, tmp_path):
    path = tmp_path / "net.h5"
    write_published(path, keras_nets.network(name, alpha, (32, 32)))
    assert keras.read(path).card.arguments["width"] == alpha


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> bytes:
    """A file as keras.applications publishes them."""
    path = tmp_path_factory.mktemp("published") / "net.h5"
    write_published(path, keras_nets.network("MobileNet", 0.25, (96, 96)))
    return path.read_bytes()


@pytest.mark.parametrize(
    ("file", "size"),
    [
        ("mobilenet_1_0_192_tf.h5", 192),
        ("mobilenet_7_5_224_tf.h5", 224),
        ("mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_96.h5", 96),
        ("mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.4_224.h5", 224),
        ("run_160_epochs_12.weights.h5", 160),
        ("flowers.weights.h5", 224),
    ],
)
def test_the_resolution_is_in_a_published_name(file, size, published, tmp_path):
    path = tmp_path / file
    path.write_bytes(published)
    assert keras.read(path).card.preprocessing.size == (size, size)


def test_layers_of_other_names_are_taken_in_the_order_of_the_file(tmp_path):
    model = keras_nets.network("MobileNetV2", 0.35, (96, 96))
    path = tmp_path / "net.h5"
    names = {layer.name: f"mobl_{i:03}" for i, layer in enumerate(reversed(model.layers))}
    write_published(path, model, names.__getitem__)
    assert_same(path, keras_nets.peer(model), (96, 96))


@pytest.mark.parametrize("file", some(["net.h5", "net.keras"]))
@pytest.mark.parametrize("size", [(96, 96), (None, None)])
def test_a_dense_layer_on_a_backbone_is_read_and_padded_as_built(size, file, tmp_path):
    import keras as theirs

    base = keras_nets.network("MobileNetV2", 0.35, size, top=False)
    model = theirs.Sequential(
        [base, theirs.layers.GlobalAveragePooling2D(), theirs.layers.Dense(5)]
    )
    model.compile("adam", "mse")  # its state must not be mistaken for weights
    keras_nets.randomise(model)
    model.save(tmp_path / file)
    assert_same(tmp_path / file, keras_nets.peer(model), (96, 96) if all(size) else (97, 83))


@pytest.mark.parametrize(
    ("write", "file"), [(write_published, "a.h5"), (write_keras3, "a.weights.h5")]
)
def test_another_network_is_refused(write, file, tmp_path):
    import keras as theirs

    model = theirs.Sequential(
        [theirs.Input((32, 32, 3)), theirs.layers.Conv2D(8, 3), theirs.layers.DepthwiseConv2D(3)]
    )
    write(tmp_path / file, model)
    with pytest.raises(WeightsError, match=file):
        load(tmp_path / file)


def test_damaged_files_are_named(tmp_path):
    model = keras_nets.network("MobileNet", 0.25, (96, 96))
    whole = tmp_path / "whole.weights.h5"
    model.save_weights(whole)
    data = whole.read_bytes()
    path = tmp_path / "cut.weights.h5"
    for length in (9, 100, 5000, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(WeightsError, match=r"cut\.weights\.h5: damaged"):
            load(path)
    archive = tmp_path / "no.keras"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("config.json", "{")
        file.writestr("model.weights.h5", data)
    with pytest.raises(WeightsError, match=r"no\.keras: damaged"):
        load(archive)


def test_a_link_that_leads_nowhere_is_an_error(tmp_path):
    path = tmp_path / "net.weights.h5"
    keras_nets.network("MobileNet", 0.25, (96, 96)).save_weights(path)
    with h5py.File(path, "r+") as file:
        del file["layers/conv2d/vars/0"]
        file["layers/conv2d/vars/0"] = h5py.SoftLink("/nowhere")
    with pytest.raises(WeightsError, match=r"net\.weights\.h5: damaged"):
        load(path)


def no_number(file):
    file["conv_pw_3/conv_pw_3/kernel:0"][0, 0, 0, 0] = np.nan


def endless(file):
    del file["conv1/conv1/kernel:0"]
    file["conv1"].create_dataset("conv1/kernel:0", (1 << 20, 1 << 20), chunks=(64, 64))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (no_number, r"net\.h5: .*blocks\.2\.pointwise.*not finite"),
        (endless, "take .* MB, and no MobileNet"),
    ],
)
def test_weights_that_cannot_be_are_refused(tmp_path, damage, message):
    """What is no number; and a claim of endless weights, without reading them."""
    path = tmp_path / "net.h5"
    write_published(path, keras_nets.network("MobileNet", 0.25, (96, 96)))
    with h5py.File(path, "r+") as file:
        damage(file)
    with pytest.raises(WeightsError, match=message):
        load(path)
