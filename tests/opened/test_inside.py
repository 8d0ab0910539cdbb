"""What layers give, beside torch's own hooks and ONNX Runtime."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import mobilenets
from mobilenets.runtime.inputs import read_input


@pytest.fixture(scope="module")
def torch_model(files):
    return mobilenets.open(files.checkpoint, threads=1)


@pytest.mark.parametrize("runtime", ["mobilenets", "onnxruntime"])
def test_layers_of_an_export_are_those_of_its_source(files, torch_model, runtime):
    model = mobilenets.open(files.onnx, threads=1, runtime=runtime)
    assert model.layers == torch_model.layers
    assert "blocks.13.expand" in model.layers
    some = ["stem", "blocks.0", "blocks.2.project", "blocks.2", "blocks.13.expand", "last"]
    ours, theirs = (
        one.features([files.picture] * 2, [*some, "classifier"]) for one in (model, torch_model)
    )
    for name, expected in theirs.items():
        assert ours[name].shape == expected.shape
        assert len(expected) == 2
        scale = np.abs(expected).max()
        np.testing.assert_allclose(ours[name], expected, atol=1e-4 * scale, err_msg=name)
    assert not np.allclose(theirs["blocks.2"], theirs["blocks.2.project"])  # a shortcut


def test_features_are_the_taps_of_the_backbone(files, torch_model):
    card = torch_model.card
    batch = torch.from_numpy(read_input(files.picture, card.preprocessing).values[None])
    with torch.no_grad():
        taps = files.module.backbone.taps(batch, ["blocks.13.expand", "blocks.4", "stem"])
    for name, expected in taps.items():
        found = torch_model.features(files.picture, name)
        assert found.shape == expected.shape[1:]
        np.testing.assert_allclose(found, expected[0].numpy(), rtol=1e-4, atol=1e-5)
        same = torch_model.features(files.picture, f"backbone.{name}")
        np.testing.assert_array_equal(found, same)
    assert not torch_model.module.training


@pytest.mark.parametrize("form", ["onnx", "checkpoint"])
def test_a_layer_that_there_is_not(files, form):
    model = mobilenets.open(getattr(files, form), threads=1)
    with pytest.raises(ValueError, match=r"model\.layers, got 'blocks\.13\.expnd'; did you mean"):
        model.features(files.picture, "blocks.13.expnd")
    with pytest.raises(ValueError, match="one image at least"):
        model.features([], "stem")


@pytest.mark.parametrize("beside", [False, True])
def test_tensors_of_another_programs_file(files, tmp_path, beside):
    """By their names, with weights in the file or in one beside it."""
    rng = np.random.default_rng(0)
    weights = {
        "w": rng.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "d": rng.normal(size=(4, 10)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["conv"], pads=[1] * 4),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("GlobalAveragePool", ["relu"], ["pool"]),
        helper.make_node("Flatten", ["pool"], ["flat"]),
        helper.make_node("MatMul", ["flat", "d"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "other",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("n", 3, 32, 32))],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ("n", 10))],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path = tmp_path / "other.onnx"
    onnx.save(proto, path, save_as_external_data=beside, size_threshold=0)
    model = mobilenets.open(path, threads=1)
    assert model.layers == ["conv", "relu", "pool", "flat", "scores"]
    found = model.features(files.picture, ["conv", "relu"])
    image = read_input(files.picture, model.card.preprocessing).values
    cut = onnx.load(path)
    del cut.graph.output[:]
    cut.graph.output.append(onnx.ValueInfoProto(name="conv"))
    session = onnxruntime.InferenceSession(
        cut.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (expected,) = session.run(None, {"x": image[None]})
    np.testing.assert_allclose(found["conv"], expected[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found["relu"], np.maximum(found["conv"], 0))
