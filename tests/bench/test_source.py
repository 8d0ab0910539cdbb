import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto

from mobilenets.bench.convert import load_network
from mobilenets.bench.figures import agreement
from mobilenets.bench.source import input_shape, lay_out
from mobilenets.errors import InputError
from mobilenets.models.modules.layers import ConvNormAct
from tests.bench.stand_ins import write_pool
from tests.engine.graphs import onnx_runtime
from tests.quick import quick_export


@pytest.mark.parametrize(
    ("shape", "resolution", "expected"),
    [
        ((1, 3, 97, 97), None, (1, 3, 97, 97)),
        (("N", 3, 32, 32), None, (1, 3, 32, 32)),
        (("N", 3, "H", "W"), None, (1, 3, 224, 224)),
        (("N", 3, "H", "W"), 96, (1, 3, 96, 96)),
        (("N", "H", "W", 3), 96, (1, 96, 96, 3)),
        ((5, 48, 64, 3), None, (5, 48, 64, 3)),
    ],
)
def test_free_sizes_are_filled_in(tmp_path, shape, resolution, expected):
    path = write_pool(tmp_path / "a.onnx", shape)
    assert input_shape(path, "a.onnx", resolution) == expected


def test_a_resolution_that_the_file_contradicts_is_an_argument_error(tmp_path):
    path = write_pool(tmp_path / "a.onnx", (1, 3, 32, 32))
    with pytest.raises(ValueError, match=r"resolution must be 32, which a\.onnx fixes, got 48"):
        input_shape(path, "a.onnx", 48)


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 32)])
def test_an_input_that_is_no_image_is_named(tmp_path, shape):
    with pytest.raises(InputError, match="four dimensions"):
        input_shape(write_pool(tmp_path / "a.onnx", shape), "a.onnx")


def test_an_input_that_is_not_float32_is_named(tmp_path):
    path = write_pool(tmp_path / "a.onnx", (1, 3, 32, 32), TensorProto.DOUBLE)
    with pytest.raises(InputError, match="float32"):
        input_shape(path, "a.onnx")


def test_a_bare_file_has_no_weights_beside_it_and_its_image_is_always_the_same(pool, tmp_path):
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
        assert not lay_out(str(pool), folder)
    first, second = (np.load(folder / "image.npy") for folder in folders)
    assert np.array_equal(first, second)
    assert first.dtype == np.float32
    assert not (folders[0] / "model.safetensors").exists()


def test_weights_beside_a_file_come_along(tmp_path):
    source, folder = tmp_path / "source", tmp_path / "laid"
    source.mkdir()
    folder.mkdir()
    path = write_pool(source / "a.onnx", (1, 3, 8, 8))
    model = onnx.load(path)
    values = np.arange(4096, dtype=np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(values, "unused"))
    onnx.save(model, str(path), save_as_external_data=True, location="a.bin")
    lay_out(str(path), folder)
    copy = onnx.load(folder / "model.onnx", load_external_data=False)
    assert np.array_equal(onnx.numpy_helper.to_array(copy.graph.initializer[0]), values)


def test_damage_and_knobs_are_named(tmp_path, pool):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not at all")
    with pytest.raises(InputError, match=r"broken\.onnx: not an ONNX file, or damaged"):
        lay_out(str(broken), tmp_path)
    with pytest.raises(ValueError, match="width is for a network's name"):
        lay_out(str(pool), tmp_path, knobs={"width": 0.5})


@pytest.mark.parametrize(
    ("name", "shape"), [("mobilenet_v2", (2, 7)), ("ssdlite_mobilenet_v2", (2, 96, 4 + 7))]
)
def test_converters_get_the_network_that_the_onnx_file_has(tmp_path, name, shape):
    with quick_export():
        lay_out(name, tmp_path, resolution=64, knobs={"width": 0.25, "classes": 7})
    network = load_network(tmp_path / "model.safetensors")
    norms = [m.norm for m in network.modules() if isinstance(m, ConvNormAct)]
    assert {type(norm) for norm in norms} == {torch.nn.Identity}
    assert not network.training
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, 64, 64)).shape == shape


@pytest.mark.every
@pytest.mark.parametrize("argmax", [False, True])
def test_a_segmentation_networks_maps_or_the_best_classes_of_them(tmp_path, argmax):
    knobs = {"width": 0.25, "classes": 3}
    name, options = "deeplabv3_mobilenet_v2", {"argmax": argmax}
    with quick_export():
        lay_out(name, tmp_path, resolution=33, knobs=knobs, options=options)
    image = np.load(tmp_path / "image.npy")
    expected = onnx_runtime((tmp_path / "model.onnx").read_bytes(), image)[0]
    with torch.inference_mode():
        found = load_network(tmp_path / "model.safetensors")(torch.from_numpy(image)).numpy()
    assert found.shape == expected.shape == ((1, 33, 33) if argmax else (1, 3, 33, 33))
    assert agreement([found], [expected]) < 1e-3


def test_argmax_is_for_networks_that_segment(tmp_path, pool):
    with pytest.raises(ValueError, match="argmax is for a name or weights"):
        lay_out(str(pool), tmp_path, options={"argmax": True})
    with pytest.raises(ValueError, match="argmax is to segment"):
        lay_out(
            "mobilenet_v2", tmp_path, resolution=33, knobs={"width": 0.25}, options={"argmax": True}
        )
