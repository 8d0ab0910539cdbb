"""Files that are damaged or made to harm end in one clear error, soon and in little memory."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, external_data_helper

from mobilenets.engine.front.read import read_graph
from mobilenets.engine.ir.reference import run_graph
from mobilenets.errors import WeightsError
from tests.engine.front.hostile import LIES, _external, convolution
from tests.engine.graphs import close, model, node, onnx_runtime, random_model

FUZZ = settings(
    max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def said() -> dict[str, str]:
    """What a process with little memory and time says of each file."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("memory is limited through what Linux tells")
    root = Path(__file__).parents[3]
    paths = [str(root), *sys.path]
    run = subprocess.run(
        [sys.executable, "-m", "tests.engine.front.hostile"],
        capture_output=True,
        text=True,
        cwd=root,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)},
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return json.loads(run.stdout)


@pytest.mark.parametrize("name", LIES)
def test_a_lie_is_told_in_one_line(said, name):
    message = said[name]
    assert message.startswith("the model: ")
    assert "\n" not in message
    assert len(message) < 800
    assert re.search(LIES[name][1], message), message


def survives(data: bytes) -> None:
    """An error of one line, or a graph that runs where it is small enough to be tried."""
    try:
        graph = read_graph(data)
    except WeightsError as error:
        message = str(error)
        graph = None
    if graph is None:
        assert "\n" not in message
        assert len(message) < 800
        return
    work = sum(math.prod(tensor.shape) for tensor in graph.tensors.values())
    if work > 20_000:
        return
    values = run_graph(graph, np.zeros(graph.tensors[graph.input].shape, np.float32))
    assert all(values[name].shape == graph.tensors[name].shape for name in graph.outputs)


def plain() -> onnx.ModelProto:
    """Some of everything, with few weights: what is flipped is mostly structure."""
    nodes = [
        node("Conv", "x w", "a", strides=[2, 2], pads=[1, 1, 1, 1]),
        node("BatchNormalization", "a s s s s", "b"),
        node("Clip", "b low high", "c"),
        node("Conv", "c d", "e", group=4, pads=[1, 1, 1, 1]),
        node("HardSigmoid", "e", "f"),
        node("Mul", "e f", "g"),
        node("Pad", "g pads", "h"),
        node("MaxPool", "h", "i", kernel_shape=[2, 2], ceil_mode=1),
        node("Resize", "i - - sizes", "j", mode="linear"),
        node("Shape", "j", "k"),
        node("Slice", "k one two", "l"),
        node("ReduceMean", "j", "m", axes=[2, 3], keepdims=0),
        node("Gemm", "m v s", "n", transB=1),
        node("Concat", "one l", "shape", axis=0),
        node("Reshape", "n shape", "o"),
        node("Softmax", "o", "y"),
    ]
    weights = {
        "w": np.ones((4, 3, 3, 3), np.float32),
        "s": np.ones(4, np.float32),
        "low": np.float32(0),
        "high": np.float32(6),
        "d": np.ones((4, 1, 3, 3), np.float32),
        "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
        "sizes": np.array([1, 4, 5, 6]),
        "one": np.array([1]),
        "two": np.array([2]),
        "v": np.ones((4, 4), np.float32),
    }
    return model(nodes, (1, 3, 9, 8), weights)


PLAIN = plain().SerializeToString()


def test_the_file_that_is_damaged_below_is_whole():
    x = np.ones((1, 3, 9, 8), np.float32)
    close(run_graph(read_graph(PLAIN), x)["y"], onnx_runtime(PLAIN, x)[0])


@FUZZ
@given(st.lists(st.tuples(st.integers(0, len(PLAIN) - 1), st.integers(0, 255)), max_size=8))
def test_flipped_bytes(flips):
    data = bytearray(PLAIN)
    for position, value in flips:
        data[position] = value
    survives(bytes(data))


@pytest.mark.parametrize("share", range(0, 100, 3))
def test_a_truncated_file(share):
    with pytest.raises(WeightsError, match="the model: "):
        read_graph(PLAIN[: len(PLAIN) * share // 100])


@pytest.mark.parametrize("word", ["Conv", "pads", "linear", "keepdims"])
def test_a_name_that_is_no_text(word):
    found = PLAIN.replace(word.encode(), b"\xff" * len(word))
    assert found != PLAIN
    with pytest.raises(WeightsError, match=r"not text|damaged"):
        read_graph(found)


@FUZZ
@given(st.binary(max_size=400))
def test_noise(data):
    with pytest.raises(WeightsError, match="the model: "):
        read_graph(data)


NUMBERS = st.sampled_from([-(2**63), -(2**31), -3, -1, 0, 1, 2, 3, 7, 2**20, 2**31, 2**63 - 1])
REALS = st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -1.0, 1e-30, 3e38])


def _damage_tensor(draw, tensor: TensorProto) -> None:
    what = draw(st.integers(0, 2))
    if what == 0 and tensor.dims:
        tensor.dims[draw(st.integers(0, len(tensor.dims) - 1))] = draw(NUMBERS)
    elif what == 1:
        tensor.data_type = draw(st.integers(0, 23))
    elif len(tensor.raw_data) % 8 == 0 and tensor.data_type == TensorProto.INT64:
        values = np.frombuffer(tensor.raw_data, np.int64).copy()
        values[draw(st.integers(0, len(values) - 1))] = draw(NUMBERS)
        tensor.raw_data = values.tobytes()
    else:
        values = np.frombuffer(tensor.raw_data, np.float32).copy()
        values[draw(st.integers(0, len(values) - 1))] = draw(REALS)
        tensor.raw_data = values.tobytes()


def _damage_attribute(draw, attribute: onnx.AttributeProto) -> None:
    if attribute.ints and draw(st.booleans()):
        attribute.ints[draw(st.integers(0, len(attribute.ints) - 1))] = draw(NUMBERS)
    elif attribute.ints:
        attribute.ints.extend(draw(st.lists(NUMBERS, max_size=4)))
    elif attribute.type == onnx.AttributeProto.FLOAT:
        attribute.f = draw(REALS)
    else:
        attribute.i = draw(NUMBERS)


@st.composite
def damaged(draw) -> bytes:
    """A file that parses, in which a few things are not what they should be."""
    proto = draw(st.one_of(st.builds(plain), random_model(largest=6, steps=4)))
    graph = proto.graph
    names = [name for one in graph.node for name in (*one.input, *one.output)]
    for _ in range(draw(st.integers(1, 3))):
        what = draw(st.integers(0, 5))
        one = draw(st.sampled_from(list(graph.node)))
        if what == 0 and graph.initializer:
            _damage_tensor(draw, draw(st.sampled_from(list(graph.initializer))))
        elif what == 1 and one.attribute:
            _damage_attribute(draw, draw(st.sampled_from(list(one.attribute))))
        elif what == 2 and one.input:
            one.input[draw(st.integers(0, len(one.input) - 1))] = draw(st.sampled_from(names))
        elif what == 3:
            one.op_type = draw(st.sampled_from(list(graph.node))).op_type
        elif what == 4:
            proto.opset_import[0].version = draw(st.integers(6, 26))
        else:
            dims = graph.input[0].type.tensor_type.shape.dim
            dims[draw(st.integers(0, len(dims) - 1))].dim_value = draw(NUMBERS)
    return proto.SerializeToString()


@FUZZ
@given(damaged())
def test_networks_with_damaged_parts(data):
    survives(data)


def refused(path: Path, message: str) -> None:
    with pytest.raises(WeightsError, match=message) as caught:
        read_graph(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_none(tmp_path):
    refused(tmp_path / "model.onnx", "no such file")
    refused(tmp_path, "no such file")
    (tmp_path / "model.onnx").write_bytes(b"")
    refused(tmp_path / "model.onnx", "not an ONNX file")
    (tmp_path / "model.onnx").write_text("<html></html>\n" * 50)
    refused(tmp_path / "model.onnx", "not an ONNX file")


def test_weights_beside_the_file_are_read(tmp_path):
    proto = convolution()
    weight = np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32)
    proto.graph.initializer[0].raw_data = weight.tobytes()
    onnx.save(
        proto, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0
    )
    assert external_data_helper.uses_external_data(
        onnx.load(tmp_path / "m.onnx", load_external_data=False).graph.initializer[0]
    )
    graph = read_graph(tmp_path / "m.onnx")
    np.testing.assert_array_equal(graph.nodes[0].weight, weight)
    (tmp_path / "m.data").unlink()
    refused(tmp_path / "m.onnx", "no file 'm.data' with its values beside the model")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"location": "../secret"}, "must be in the model's folder"),
        ({"location": "inner/../../secret"}, "must be in the model's folder"),
        ({"location": "/etc/hostname"}, "must be in the model's folder"),
        ({"location": "link"}, "must be in the model's folder"),
        ({"location": "folder/secret"}, "must be in the model's folder"),
        ({"location": "round"}, "cannot read|no file"),
        ({"location": "nul\0"}, "must be in the model's folder"),
        ({}, "must be in the model's folder"),
        ({"location": "."}, "no file"),
        ({"location": "pipe"}, "no file"),
        ({"location": "short"}, "short holds 100 bytes, not 432 at 0"),
        ({"location": "long", "offset": "600"}, "long holds 1000 bytes, not 432 at 600"),
        ({"location": "long", "offset": "-1"}, "must be whole numbers"),
        ({"location": "long", "offset": "9" * 400}, "must be whole numbers"),
        ({"location": "long", "length": "431"}, "its dimensions need 432 bytes, it has 431"),
    ],
)
def test_weights_beside_the_file_that_are_not_what_it_says(tmp_path, entries, message):
    (tmp_path / "secret").write_bytes(bytes(432))
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "folder").symlink_to(tmp_path)
    (folder / "round").symlink_to(folder / "round")
    (folder / "short").write_bytes(bytes(100))
    (folder / "long").write_bytes(bytes(1000))
    os.mkfifo(folder / "pipe")
    path = folder / "model.onnx"
    path.write_bytes(_external(**entries).SerializeToString())
    refused(path, message)


def test_a_small_file_read_many_times_over(tmp_path):
    (tmp_path / "w").write_bytes(bytes(1000))
    proto = _external(location="w")
    for index in range(9):
        proto.graph.initializer.append(proto.graph.initializer[0])
        proto.graph.initializer[-1].name = f"w{index}"
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    refused(tmp_path / "model.onnx", "w holds 1000 bytes, not 432 at 0")
