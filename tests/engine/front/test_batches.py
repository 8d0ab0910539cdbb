"""Files for any number of images: answered one by one as ONNX Runtime answers them together."""

import numpy as np
import onnx
import pytest

from mobilenets.engine.front.read import read_graph
from mobilenets.engine.ir.reference import run_graph
from mobilenets.errors import WeightsError
from tests.engine.graphs import array, close, ints, model, node, onnx_runtime

IMAGE = ("n", 3, 5, 4)


def one_by_one(data: bytes, x: np.ndarray, **arguments) -> list[np.ndarray]:
    """Each output for every image by itself, joined as a session does."""
    graph = read_graph(data, **arguments)
    runs = [run_graph(graph, image[None]) for image in x]
    return [np.concatenate([run[name] for run in runs]) for name in graph.outputs]


def agrees(proto: onnx.ModelProto, counts=(1, 2, 3), **arguments) -> None:
    data = proto.SerializeToString()
    dims = [dim.dim_value for dim in proto.graph.input[0].type.tensor_type.shape.dim]
    for count in counts:
        x = array(count, *arguments.get("shape", dims)[1:])
        wanted = onnx_runtime(data, x)
        for found, expected in zip(one_by_one(data, x, **arguments), wanted, strict=True):
            # ONNX Runtime drops the batch's axis with one image, where a file squeezes it.
            close(found, expected.reshape(found.shape) if count == 1 else expected)


APART = {
    "softmax": ([node("Softmax", "x", "y", axis=-1)], {}),
    "old softmax flattens": ([node("Softmax", "x", "y", axis=1)], {}, 11),
    "mean of an image": ([node("ReduceMean", "x", "y", axes=[-3, -2, -1], keepdims=0)], {}),
    "arg max": ([node("ArgMax", "x", "y_i", axis=-3, keepdims=0)], {}),
    "flatten": ([node("Flatten", "x", "y", axis=-3)], {}),
    "rows, and back": (
        [node("Reshape", "x r", "a"), node("Softmax", "a", "b"), node("Reshape", "b i", "y")],
        {"r": ints(-1, 4), "i": ints(-1, 3, 5, 4)},
    ),
    "rows stay": ([node("Reshape", "x r", "a"), node("MatMul", "a w", "y")],
                  {"r": ints(-1, 4), "w": array(4, 2)}),
    "the batch in another place, and back": (
        [node("Transpose", "x", "a"), node("Relu", "a", "b"), node("Transpose", "b", "y")], {},
    ),
    "squeeze what is 1": (
        [node("ReduceMean", "x", "m", axes=[2, 3]), node("Squeeze", "m", "y")], {},
    ),
    "shape of the batch": (
        [
            node("Shape", "x", "s"), node("Gather", "s zero", "n"),
            node("Concat", "n rest", "t", axis=0), node("Reshape", "x t", "y"),
        ],
        {"zero": ints(0), "rest": ints(-1)},
    ),
    "a slice of all": ([node("Slice", "x a b c", "y")],
                       {"a": ints(0, 1), "b": ints(2**63 - 1, 3), "c": ints(0, 2)}),
    "expand to the batch": (
        [node("Shape", "x", "s"), node("ReduceMean", "x", "m", axes=[1, 2, 3]),
         node("Expand", "m s", "e"), node("Sub", "x e", "y")], {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", APART.values(), ids=APART)
def test_images_that_stay_apart_get_onnx_runtimes_answers(case):
    nodes, weights, *opset = case
    outputs = "y_i" if nodes[-1].op_type == "ArgMax" else "y"
    agrees(model(nodes, IMAGE, weights, outputs, *opset), shape=(1, 3, 5, 4))


MIXED = {
    "softmax over the batch": [node("Softmax", "x", "y", axis=0)],
    "softmax over the batch, negative": [node("Softmax", "x", "y", axis=-4)],
    "mean over the batch": [node("ReduceMean", "x", "y", axes=[0])],
    "mean of all": [node("ReduceMean", "x", "y")],
    "mean over the batch, dropped": [node("ReduceMean", "x", "y", axes=[-4, 2], keepdims=0)],
    "sum over the batch": [node("ReduceSum", "x zero", "y")],
    "length over the batch": [node("ReduceL2", "x", "y", axes=[0, 1])],
    "arg max over the batch": [node("ArgMax", "x", "y_i", axis=0)],
    "flatten all": [node("Flatten", "x", "y", axis=0)],
    "transpose": [node("Transpose", "x", "y")],
    "the batch behind the channels": [node("Transpose", "x", "y", perm=[1, 0, 2, 3])],
    "reshape across images": [node("Reshape", "x three", "y")],
    "the images one after the other, twice": [node("Concat", "x x", "y", axis=0)],
    "the images one after the other, negative": [node("Concat", "x x", "y", axis=-4)],
    "the first image": [node("Gather", "x zero", "y", axis=0)],
    "the first image, dropped": [node("Gather", "x none", "y", axis=0)],
    "the last image": [node("Gather", "x last", "y", axis=0)],
    "a slice of the batch": [node("Slice", "x zero one zero", "y")],
    "a slice of the batch from the end": [node("Slice", "x last long zero", "y")],
    "a pad of the batch": [node("Pad", "x pads", "y")],
    "times the number of images": [
        node("Shape", "x", "s"), node("Gather", "s none", "n"), node("Cast", "n", "f", to=1),
        node("Mul", "x f", "y"),
    ],
    "over the number of elements": [
        node("Size", "x", "s"), node("Cast", "s", "f", to=1), node("Div", "x f", "y"),
    ],
    "the rows of all images": [
        node("Reshape", "x rows", "r"), node("ReduceMean", "r", "y", axes=[0]),
    ],
    "softmax over the rows of all images": [
        node("Reshape", "x rows", "r"), node("Softmax", "r", "y", axis=0),
    ],
    "a pair of images": [
        node("Transpose", "x", "t", perm=[3, 1, 2, 0]), node("Softmax", "t", "s"),
        node("Transpose", "s", "y", perm=[3, 1, 2, 0]),
    ],
    "resized to one image": [node("Resize", "x - - size", "y", mode="nearest")],
}  # fmt: skip
NUMBERS = {
    "zero": ints(0), "one": ints(1), "last": ints(-1), "long": ints(2**63 - 1),
    "none": np.array(0), "three": ints(3, -1), "rows": ints(-1, 4), "size": ints(1, 3, 5, 4),
    "pads": ints(1, 0, 0, 0, 0, 0, 0, 0),
}  # fmt: skip


@pytest.mark.parametrize("batch", ["n", 2])
@pytest.mark.parametrize("nodes", MIXED.values(), ids=MIXED)
def test_images_that_are_mixed_are_refused_by_the_operator(nodes, batch):
    outputs = nodes[-1].output[0]
    proto = model(nodes, (batch, *IMAGE[1:]), NUMBERS, outputs)
    data = proto.SerializeToString()
    x = array(2, 3, 5, 4)
    alone = [onnx_runtime(data, image[None])[0] for image in x] if batch == "n" else []
    with pytest.raises(WeightsError, match="images") as caught:
        read_graph(data)
    assert any(node.name in str(caught.value) for node in nodes) or "output" in str(caught.value)
    if alone:  # and rightly: together they have another answer
        together = onnx_runtime(data, x)[0]
        joined = np.concatenate([np.atleast_1d(one) for one in alone])
        assert joined.shape != together.shape or not np.allclose(joined, together)


@pytest.mark.parametrize("nodes", MIXED.values(), ids=MIXED)
def test_files_for_one_image_may_do_so(nodes):
    """ONNX Runtime takes one at a time, too: there is nothing to mix."""
    proto = model(nodes, (1, *IMAGE[1:]), NUMBERS, nodes[-1].output[0])
    x = array(1, 3, 5, 4)
    graph = read_graph(proto.SerializeToString())
    found = run_graph(graph, x)[graph.outputs[0]]
    close(found, onnx_runtime(proto.SerializeToString(), x)[0])


def test_shapes_of_one_image_in_a_file_for_any_number_of_them():
    """Such files run on ONNX Runtime with one image only, and here one by one."""
    nodes = [node("Reshape", "x a", "r"), node("MatMul", "r w", "y")]
    agrees(model(nodes, IMAGE, {"a": ints(1, 60), "w": array(60, 2)}), counts=(1,))
    data = model(nodes, IMAGE, {"a": ints(1, 60), "w": array(60, 2)}).SerializeToString()
    assert one_by_one(data, array(3, 3, 5, 4))[0].shape == (3, 2)


@pytest.mark.parametrize("batch", [2, 3])
def test_a_constant_for_each_image_of_a_fixed_batch_is_refused(batch):
    proto = model([node("Add", "x a", "y")], (batch, 3), {"a": array(batch, 3)})
    with pytest.raises(WeightsError, match="mixes the images of a batch"):
        read_graph(proto.SerializeToString())


FITS_SOME = {
    "a constant for two images": [node("Add", "x pair", "y")],
    "expanded to two images": [node("Expand", "x two", "y")],
    "a slice that is empty for many": [node("Slice", "x last two zero", "y")],
    "another rank for one image": [node("Squeeze", "x", "s"), node("Concat", "s s", "y", axis=1)],
}


@pytest.mark.parametrize("nodes", FITS_SOME.values(), ids=FITS_SOME)
def test_what_fits_some_numbers_of_images_is_refused(nodes):
    weights = {"pair": array(2, 3, 1, 1), "two": ints(2), "last": ints(-1), "zero": ints(0)}
    if nodes[0].op_type == "Expand":
        weights["two"] = ints(2, 1, 1, 1)
    used = {name for one in nodes for name in one.input}
    kept = {name: value for name, value in weights.items() if name in used}
    data = model(nodes, IMAGE, kept).SerializeToString()
    assert onnx_runtime(data, array(1, 3, 5, 4))
    with pytest.raises(WeightsError, match=r"some numbers of images only|number of axes"):
        read_graph(data)
