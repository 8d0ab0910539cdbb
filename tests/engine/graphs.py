"""ONNX files made on the spot, without torch: operator by operator, or drawn at random."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnxruntime
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from mobilenets.engine.front.read import read_graph
from mobilenets.engine.ir.graph import Graph
from mobilenets.engine.ir.reference import run_graph

TOLERANCE = 1e-4
RANDOM = np.random.default_rng(0)


def array(*shape: int) -> np.ndarray:
    """Normal random numbers."""
    return RANDOM.standard_normal(shape).astype(np.float32)


def ints(*values: int) -> np.ndarray:
    """A list of integers as ONNX has it."""
    return np.array(values, np.int64)


def check(proto: onnx.ModelProto | bytes, x: np.ndarray | None = None, **arguments) -> Graph:
    """The graph, once its outputs are known to be ONNX Runtime's; the file's batch may be fixed."""
    data = proto if isinstance(proto, bytes) else proto.SerializeToString()
    graph = read_graph(data, **arguments)
    if x is None:
        x = array(*graph.tensors[graph.input].shape)
    dim = onnx.load_from_string(data).graph.input[0].type.tensor_type.shape.dim[0].dim_value
    expected = onnx_runtime(data, np.repeat(x, max(dim, 1), 0))
    values = run_graph(graph, x)
    for name, wanted in zip(graph.outputs, expected, strict=True):
        assert values[name].shape == graph.tensors[name].shape
        close(values[name], wanted[:1] if dim > 1 else wanted)
    return graph


def kinds(graph: Graph) -> list[str]:
    """What its nodes are."""
    return [type(node).__name__ for node in graph.nodes]


def node(kind: str, inputs: str, outputs: str, **attributes) -> onnx.NodeProto:
    """`inputs` and `outputs` are names with spaces between; `-` is one that is left out. The node
    is named after its operator and its first output."""
    names = ["" if name == "-" else name for name in inputs.split()]
    made = outputs.split()
    return helper.make_node(kind, names, made, name=f"{kind}_{made[0]}", **attributes)


def model(
    nodes: Sequence[onnx.NodeProto],
    shape: Sequence[int | str | None] | None,
    weights: Mapping[str, np.ndarray] | None = None,
    outputs: str = "y",
    opset: int = 17,
    kind: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    """A file with the input `x`; `outputs` are names, float32 but for those that end in `_i`."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info("x", kind, shape)],
        [
            helper.make_tensor_value_info(
                name, TensorProto.INT64 if name.endswith("_i") else TensorProto.FLOAT, None
            )
            for name in outputs.split()
        ],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    imports = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def onnx_runtime(data: bytes | str, x: np.ndarray, optimize: bool = True) -> list[np.ndarray]:
    """All outputs, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})


def close(found: np.ndarray, expected: np.ndarray, tolerance: float = TOLERANCE) -> None:
    """Equal up to `tolerance` of the largest value."""
    assert found.shape == expected.shape
    scale = max(float(np.abs(expected).max()), 1e-6)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale)


class Draft:
    """A graph that grows node by node, of a value with the shape `shape`."""

    def __init__(self, shape: tuple[int, ...], seed: int) -> None:
        self.input = self.shape = shape
        self.name = "x"
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, np.ndarray] = {}
        self.earlier: dict[tuple[int, ...], str] = {}
        self._random = np.random.default_rng(seed)

    def weight(self, *shape: int, low: float = -1, high: float = 1) -> str:
        """A new constant."""
        name = f"w{len(self.weights)}"
        self.weights[name] = self._random.uniform(low, high, shape).astype(np.float32)
        return name

    def then(self, kind: str, *others: str, shape: tuple[int, ...] | None = None, **fields) -> None:
        """Add a node that reads the last one's output, which has now `shape`."""
        self.earlier[self.shape] = self.name
        out = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, [self.name, *others], [out], name=out, **fields))
        self.name, self.shape = out, shape or self.shape

    def finish(self) -> onnx.ModelProto:
        """The file."""
        self.then("Identity")
        self.nodes[-1].output[0] = "y"
        return model(self.nodes, self.input, self.weights)


def _sizes(shape, kernel, stride, dilation, pads):
    extent = [(k - 1) * dilation + 1 for k in kernel]
    return [(shape[2 + a] + pads[a] + pads[a + 2] - extent[a]) // stride[a] + 1 for a in (0, 1)]


def _window(draw, draft, largest):
    """Kernel, strides and pads that leave at least one pixel."""
    kernel = [draw(st.integers(1, min(largest, size + 1))) for size in draft.shape[2:]]
    strides = [draw(st.integers(1, 3)) for _ in kernel]
    pads = [draw(st.integers(0, k // 2)) for k in (*kernel, *kernel)]
    return kernel, strides, pads


def _draw_conv(draw, draft):
    _, channels, *_ = draft.shape
    groups = draw(st.sampled_from([g for g in (1, 1, 2, channels) if channels % g == 0]))
    out = groups * draw(st.integers(1, max(1, 24 // groups)))
    out = channels if groups == channels and draw(st.booleans()) else out
    kernel, strides, pads = _window(draw, draft, 5)
    dilation = draw(st.sampled_from([1, 1, 1, 2]))
    size = _sizes(draft.shape, kernel, strides, dilation, pads)
    if min(size) < 1:
        return
    bias = [draft.weight(out)] if draw(st.booleans()) else []
    draft.then(
        "Conv",
        draft.weight(out, channels // groups, *kernel),
        *bias,
        shape=(1, out, *size),
        kernel_shape=kernel,
        strides=strides,
        dilations=[dilation] * 2,
        pads=pads,
        group=groups,
    )
    if draw(st.booleans()):
        norm = [draft.weight(out) for _ in range(3)]
        draft.then("BatchNormalization", *norm, draft.weight(out, low=0.5, high=2))


def _draw_activation(draw, draft):
    kind = draw(
        st.sampled_from(
            ["Clip", "Relu", "LeakyRelu", "HardSwish", "HardSigmoid", "Sigmoid", "silu"]
        )
    )
    x = draft.name
    if kind == "silu":
        draft.then("Sigmoid")
        draft.then("Mul", x)
    elif kind == "Clip":
        limits = (draft.weight(low=-1, high=0), draft.weight(low=0, high=6))
        draft.then("Clip", *limits)
    else:
        draft.then(kind)


def _draw_binary(draw, draft):
    kind = draw(st.sampled_from(["Add", "Mul", "Sub"]))
    other = draft.earlier.get(draft.shape)
    channels = (draft.shape[1], 1, 1) if len(draft.shape) == 4 else draft.shape[-1:]
    shape = draw(st.sampled_from([(), channels, draft.shape]))
    draft.then(kind, other if other and draw(st.booleans()) else draft.weight(*shape))


def _draw_pool(draw, draft):
    kernel, strides, pads = _window(draw, draft, 4)
    size = _sizes(draft.shape, kernel, strides, 1, pads)
    # ONNX Runtime takes a Pad before it into the pool, then refuses it where that is too much.
    if min(size) < 1 or (draft.nodes and draft.nodes[-1].op_type == "Pad"):
        return
    fields = {"kernel_shape": kernel, "strides": strides, "pads": pads}
    kind = draw(st.sampled_from(["AveragePool", "MaxPool"]))
    if kind == "AveragePool":
        fields["count_include_pad"] = draw(st.integers(0, 1))
    draft.then(kind, shape=(*draft.shape[:2], *size), **fields)


def _draw_pad(draw, draft):
    pads = [0, 0, *(draw(st.integers(0, 2)) for _ in range(2))] * 2
    name = f"w{len(draft.weights)}"
    draft.weights[name] = np.array(pads, np.int64)
    size = [size + 2 * pad for size, pad in zip(draft.shape, pads, strict=False)]
    draft.then("Pad", name, shape=tuple(size))


def _draw_resize(draw, draft):
    size = [draw(st.integers(1, 12)) for _ in range(2)]
    name = f"w{len(draft.weights)}"
    draft.weights[name] = np.array([*draft.shape[:2], *size], np.int64)
    kinds = ["half_pixel", "align_corners", "asymmetric"]
    draft.then(
        "Resize",
        "",
        "",
        name,
        shape=(*draft.shape[:2], *size),
        mode="linear",
        coordinate_transformation_mode=draw(st.sampled_from(kinds)),
    )


def _draw_gate(draw, draft):
    x, channels = draft.name, draft.shape[1]
    shape = draft.shape
    draft.then("GlobalAveragePool", shape=(1, channels, 1, 1))
    draft.then("Conv", draft.weight(channels, channels, 1, 1))
    draft.then("HardSigmoid")
    draft.then("Mul", x, shape=shape)


def _draw_head(draw, draft):
    channels = draft.shape[1]
    draft.then("ReduceMean", shape=(1, channels), axes=[2, 3], keepdims=0)
    classes = draw(st.integers(1, 20))
    bias = draft.weight(classes)
    draft.then("Gemm", draft.weight(classes, channels), bias, shape=(1, classes), transB=1)
    if draw(st.booleans()):
        draft.then("Softmax", axis=1)


_STEPS = [_draw_conv] * 4 + [_draw_activation] * 3 + [_draw_binary] * 2
_STEPS += [_draw_pool, _draw_pad, _draw_resize, _draw_gate]


@st.composite
def random_model(draw, largest: int = 17, steps: int = 8) -> onnx.ModelProto:
    """A small network of supported operators on images of odd and even sizes; input `x`, output
    `y`, opset 17."""
    size = [draw(st.integers(1, largest)) for _ in range(2)]
    draft = Draft((1, draw(st.integers(1, 8)), *size), draw(st.integers(0, 2**32 - 1)))
    for _ in range(draw(st.integers(1, steps))):
        draw(st.sampled_from(_STEPS))(draw, draft)
    if draw(st.booleans()):
        _draw_head(draw, draft)
    return draft.finish()
