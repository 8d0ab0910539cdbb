"""TensorFlow.js models: written here by its documented format, held to Keras' own networks."""

import json
import warnings

import numpy as np
import pytest

from mobilenets.about.describe import describe
from mobilenets.errors import WeightsError
from mobilenets.weights import load
from mobilenets.weights.containers import tfjs
from mobilenets.weights.sources import keras
from tests.some import some
from tests.weights import keras_nets
from tests.weights.peers import assert_same

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def quantise(values, dtype):
    """Stored values and the manifest's `quantization`, as the converter's flags give them."""
    if dtype is None:
        return values, {}
    if dtype == "float16":
        return values.astype(np.float16), {"quantization": {"dtype": dtype}}
    low, high = float(values.min()), float(values.max())
    scale = (high - low) / np.iinfo(dtype).max
    low = -np.round(-low / scale) * scale if low <= 0 <= high else low  # zero stays zero
    stored = np.round((values.clip(low, None) - low) / scale).clip(0, np.iinfo(dtype).max)
    return stored.astype(dtype), {"quantization": {"dtype": dtype, "scale": scale, "min": low}}


def variables(model):
    """As the converter reads an .h5 file: layers in alphabetical order, Keras 2's names."""
    for layer in sorted(model.layers, key=lambda layer: layer.name):
        kernel = "depthwise_kernel" if "Depthwise" in type(layer).__name__ else "kernel"
        for v in layer.weights:
            part = kernel if v.name == "kernel" else v.name
            yield f"{layer.name}/{part}", np.array(v)


def write(folder, model, dtype=None, shard=200_000):
    """model.json and group1-shard*.bin of at most `shard` bytes."""
    manifest, data = [], b""
    for name, values in variables(model):
        stored, quantization = quantise(values, dtype)
        manifest.append({"name": name, "shape": values.shape, "dtype": "float32", **quantization})
        data += stored.tobytes()
    shards = [data[i : i + shard] for i in range(0, len(data), shard)]
    names = [f"group1-shard{i + 1}of{len(shards)}.bin" for i in range(len(shards))]
    for name, content in zip(names, shards, strict=True):
        (folder / name).write_bytes(content)
    topology = {"keras_version": "2.15.0", "model_config": json.loads(model.to_json())}
    path = folder / "model.json"
    content = {"format": "layers-model", "modelTopology": topology}
    content["weightsManifest"] = [{"paths": names, "weights": manifest}]
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("name", "alpha", "size"),
    some(
        [
            ("MobileNet", 0.25, (96, 96)),
            ("MobileNet", 0.5, (97, 131)),
            ("MobileNetV2", 0.35, (97, 83)),
        ],
        (2,),
    ),
)
def test_outputs_are_those_of_keras(name, alpha, size, tmp_path):
    model = keras_nets.network(name, alpha, size)
    path = write(tmp_path, model)
    labels = [f"class {i}" for i in range(keras_nets.CLASSES)]
    (tmp_path / "metadata.json").write_text(json.dumps({"labels": labels}))  # Teachable Machine's
    ours = assert_same(path, keras_nets.peer(model), size)
    assert ours.card.labels == tuple(labels)
    assert ours.card.preprocessing.size == size
    assert ours.card.arguments["width"] == alpha
    (tmp_path / "metadata.json").write_text(json.dumps({"labels": labels[1:]}))
    assert "metadata.json beside it has" in keras.read_tfjs(path).notes[-1]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16"])
def test_quantised_weights_are_as_near_as_their_steps(dtype, tmp_path):
    model = keras_nets.network("MobileNetV2", 0.35, (96, 96))
    found = keras.read_tfjs(write(tmp_path, model, dtype)).tensors
    exact = dict(variables(model))
    pairs = {
        "backbone.stem.conv.weight": exact["Conv1/kernel"].transpose(3, 2, 0, 1),
        "backbone.blocks.4.depthwise.conv.weight": exact[
            "block_4_depthwise/depthwise_kernel"
        ].transpose(2, 3, 0, 1),
        "backbone.blocks.16.project.norm.running_var": exact["block_16_project_BN/moving_variance"],
        "classifier.weight": exact["predictions/kernel"].T,
    }
    for name, values in pairs.items():
        step = np.ptp(values) / 2 ** (8 if dtype == "uint8" else 16)
        allowed = np.abs(values) * 2**-11 + 1e-7 if dtype == "float16" else step
        assert (np.abs(found[name] - values) <= allowed).all(), name


def test_keras_3_names_are_read(tmp_path):
    model = keras_nets.network("MobileNetV2", 0.35, (96, 96))
    path = write(tmp_path, model)
    content = json.loads(path.read_text())
    numbers, roles = {}, {}
    counts = {"conv2d": 0, "depthwise_conv2d": 0, "batch_normalization": 0, "dense": 0}
    for layer in model.layers:
        kind = {"Conv2D": "conv2d", "DepthwiseConv2D": "depthwise_conv2d", "Dense": "dense"}.get(
            type(layer).__name__, "batch_normalization"
        )
        if layer.weights:
            numbers[layer.name] = f"{kind}_{counts[kind]}" if counts[kind] else kind
            counts[kind] += 1
        parts = [v.name for v in layer.weights]
        roles[layer.name] = {**{part: i for i, part in enumerate(parts)}, "depthwise_kernel": 0}
    for weight in content["weightsManifest"][0]["weights"]:
        layer, role = weight["name"].split("/")
        weight["name"] = f"layers/{numbers[layer]}/vars/{roles[layer][role]}"
    path.write_text(json.dumps(content))
    assert_same(path, keras_nets.peer(model), (96, 96))


@pytest.fixture
def model_json(tmp_path):
    return write(tmp_path, keras_nets.network("MobileNet", 0.25, (96, 96)))


def test_a_missing_shard_is_named(model_json):
    (model_json.parent / "group1-shard3of5.bin").unlink()
    with pytest.raises(WeightsError, match=r"group1-shard3of5\.bin: .*missing"):
        load(model_json)


@pytest.mark.parametrize("number", [2, 5])
def test_a_short_shard_is_named(number, model_json):
    shard = model_json.parent / f"group1-shard{number}of5.bin"
    shard.write_bytes(shard.read_bytes()[:-1000])
    with pytest.raises(WeightsError, match=rf"{shard.name}: too short.* bytes"):
        load(model_json)


def broken(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(format="graph-model"), "graph model; only layers models"),
        (lambda c: c["weightsManifest"][0].pop("weights"), "damaged"),
        (lambda c: c["weightsManifest"][0].update(paths=["../a.bin"]), "outside the model's"),
        (lambda c: c["weightsManifest"][0].update(paths=["/a.bin"]), "outside the model's"),
        (lambda c: c["weightsManifest"][0]["weights"][0].update(shape=[1 << 40]), "claim more"),
        (lambda c: c["weightsManifest"][0]["weights"][0].update(shape=[-1]), "has the shape"),
        (lambda c: c["weightsManifest"][0]["weights"][0].update(dtype="string"), "got 'string'"),
        (lambda c: c["weightsManifest"][0]["weights"].pop(), "too long"),
        (lambda c: c.update(weightsManifest=7), "damaged"),
    ],
)
def test_a_damaged_manifest_is_one_plain_error(change, message, model_json):
    broken(model_json, change)
    with pytest.raises(WeightsError, match=message) as caught:
        load(model_json)
    assert "model.json" in str(caught.value)


def test_other_json_is_not_taken_for_a_model(tmp_path):
    path = tmp_path / "config.json"
    for text in ("{}", "[1]", '{"weightsManifest', "{" + "[" * 100_000):
        path.write_text(text)
        assert not tfjs.is_tfjs(path)


def test_info_of_keras_files(tmp_path):
    model = keras_nets.network("MobileNet", 0.25, (96, 96))
    paths = [write(tmp_path, model), tmp_path / "a.h5", tmp_path / "a.keras"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # .h5 is legacy
        for path in paths[1:]:
            model.save(path)
    shards = sum(file.stat().st_size for file in tmp_path.glob("*.bin"))
    for path in paths:
        found = describe(path)
        assert found.kind == ("TensorFlow.js" if path.suffix == ".json" else "a Keras file")
        assert (found.architecture, found.resolution) == ("mobilenet_v1", (96, 96))
        assert found.size == path.stat().st_size + (shards if path.suffix == ".json" else 0)
        norms = sum(w.shape[0] for w in model.weights if "moving" in w.path)
        assert found.parameters == model.count_params() - norms
    assert describe(tmp_path).file == str(paths[0])
