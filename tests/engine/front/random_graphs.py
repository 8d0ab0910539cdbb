"""Small graphs at random, with axes and shapes of all kinds, for any number of images."""

from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.engine.graphs import onnx_runtime

_TAME = 0.85
"""How many of the steps leave the first axis as it is."""
IMAGES = 2
"""In the batch by whose shapes a graph is made."""


class Growing:
    """A graph that grows at its end; each step is kept if ONNX Runtime takes it."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        rank = int(self.random.choice([2, 3, 4, 4, 4]))
        sides = [int(self.random.integers(1, 5)) for _ in range(rank - 1)]
        self.opset = int(self.random.choice([9, 11, 13, 17, 18]))
        self.input = ("n", *sides)
        self.x = self.random.standard_normal((3, *sides)).astype(np.float32)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, np.ndarray] = {}
        self.name, self.value = "x", self.x[:IMAGES]
        self.earlier = [("x", self.value)]

    def constant(self, value: np.ndarray) -> str:
        name = f"w{len(self.weights)}"
        self.weights[name] = value
        return name

    def ints(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def add(self, kind: str, *inputs: str, outputs: int = 1, **fields: object) -> str:
        """A node that reads `inputs`, of any kind; the name of its first output."""
        names = [f"t{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, name=names[0], **fields))
        return names[0]

    def proto(self, output: str | None = None, kind: int = TensorProto.FLOAT) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.input)],
            [helper.make_tensor_value_info(output or self.name, kind, None)],
            [numpy_helper.from_array(value, name) for name, value in self.weights.items()],
        )
        imports = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, opset_imports=imports, ir_version=8)

    def grow(self) -> None:
        """One step more, if there is one that works."""
        nodes, weights = list(self.nodes), dict(self.weights)
        step = STEPS[int(self.random.integers(len(STEPS)))]
        try:
            name = step(self)
            value = answer(self.proto(name), self.x[:IMAGES])
        except RefusedError:
            self.nodes, self.weights = nodes, weights
            return
        if not value.size or value.size > 4000 or not np.isfinite(value).all():
            self.nodes, self.weights = nodes, weights
            return
        self.name, self.value = name, value
        self.earlier.append((name, value))


class RefusedError(Exception):
    """ONNX Runtime does not take it, or the step does not fit."""


def answer(proto: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    try:
        return onnx_runtime(proto.SerializeToString(), x)[0]
    except Exception as error:
        if isinstance(error, AssertionError):
            raise
        raise RefusedError(str(error)) from error


def random_graph(seed: int, steps: int = 5) -> tuple[onnx.ModelProto, np.ndarray]:
    """A graph and three images for it."""
    growing = Growing(seed)
    for _ in range(steps):
        growing.grow()
    last = growing.random.random()
    if last < 0.1 and growing.value.ndim:
        nodes = list(growing.nodes)
        name = growing.add("ArgMax", growing.name, axis=_axis(growing), keepdims=_bit(growing))
        proto = growing.proto(name, TensorProto.INT64)
        try:
            answer(proto, growing.x)
        except RefusedError:
            growing.nodes = nodes
        else:
            return proto, growing.x
    if growing.name == "x":
        growing.name = growing.add("Relu", "x")
    return growing.proto(), growing.x


def _bit(g: Growing) -> int:
    return int(g.random.integers(2))


def _axis(g: Growing) -> int:
    rank = g.value.ndim
    if not rank:
        raise RefusedError("a scalar")
    low = 1 if rank > 1 and g.random.random() < _TAME else 0  # most leave the batch alone
    return int(g.random.integers(low, rank)) - rank * _bit(g)


def _axes(g: Growing) -> list[int]:
    rank = g.value.ndim
    if not rank:
        raise RefusedError("a scalar")
    low = 1 if rank > 1 and g.random.random() < _TAME else 0
    chosen = (low + g.random.permutation(rank - low))[: int(g.random.integers(1, rank + 1))]
    return [int(axis) - rank * _bit(g) for axis in chosen]


def _activation(g: Growing) -> str:
    kind = g.random.choice(["Relu", "Sigmoid", "LeakyRelu", "HardSigmoid", "Identity", "Exp"])
    return g.add(str(kind), g.name)


def _softmax(g: Growing) -> str:
    fields = {} if g.random.random() < 0.2 else {"axis": _axis(g)}
    return g.add("Softmax", g.name, **fields)


def _reduce(g: Growing) -> str:
    kind = str(g.random.choice(["ReduceMean", "ReduceSum", "ReduceL2"]))
    axes, fields = _axes(g), {"keepdims": _bit(g)}
    if g.random.random() < 0.1:
        return g.add(kind, g.name, **fields)
    if g.opset >= (13 if kind == "ReduceSum" else 18):
        return g.add(kind, g.name, g.ints(*axes), **fields)
    return g.add(kind, g.name, axes=axes, **fields)


def _reshape(g: Growing) -> str:
    sizes = list(g.value.shape)
    wanted: list[int] = []
    how = g.random.random()
    if how < 0.3:  # two neighbours together
        at = int(g.random.integers(max(1, len(sizes) - 1)))
        wanted = [*sizes[:at], int(np.prod(sizes[at : at + 2])), *sizes[at + 2 :]]
    elif how < 0.6:  # any factors
        rest = g.value.size
        for _ in range(int(g.random.integers(1, 4))):
            factor = int(g.random.choice([f for f in range(1, rest + 1) if rest % f == 0]))
            wanted.append(factor)
            rest //= factor
        wanted.append(rest)
    else:
        wanted = [int(s) for s in g.random.permutation(sizes)]
    if wanted and g.random.random() < 0.8:
        first = g.random.random() < _TAME
        wanted[0 if first else int(g.random.integers(len(wanted)))] = -1
    if wanted and g.random.random() < 0.5:
        at = int(g.random.integers(len(wanted)))
        if at < len(sizes) and wanted[at] == sizes[at]:
            wanted[at] = 0
    return g.add("Reshape", g.name, g.ints(*wanted))


def _reshape_by_shape(g: Growing) -> str:
    """As exporters write it: some sizes from Shape."""
    if g.value.ndim < 2:
        raise RefusedError("too few axes")
    at = int(g.random.integers(g.value.ndim))
    shape = g.add("Shape", g.name if _bit(g) else g.earlier[0][0])
    size = g.add("Gather", shape, g.ints(at), axis=0)
    spec = g.add("Concat", *((size, g.ints(-1)) if _bit(g) else (g.ints(-1), size)), axis=0)
    return g.add("Reshape", g.name, spec)


def _by_count(g: Growing) -> str:
    """A number that depends on the number of images, or on the size of one."""
    shape = g.add("Shape", "x")
    at = int(g.random.integers(len(g.input)))
    size = g.add("Gather", shape, g.constant(np.array(at)), axis=0)
    return g.add("Mul", g.name, g.add("Cast", size, to=TensorProto.FLOAT))


def _transpose(g: Growing) -> str:
    if not g.value.ndim:
        raise RefusedError("a scalar")
    low = 1 if g.random.random() < _TAME else 0
    order = [*range(low), *(low + g.random.permutation(g.value.ndim - low))]
    return g.add("Transpose", g.name, perm=[int(axis) for axis in order])


def _concat(g: Growing) -> str:
    others = [name for name, value in g.earlier if value.shape == g.value.shape]
    other = str(g.random.choice(others))
    return g.add("Concat", *((g.name, other) if _bit(g) else (other, g.name)), axis=_axis(g))


def _slice(g: Growing) -> str:
    axes = _axes(g)
    starts = [int(g.random.integers(-3, 3)) for _ in axes]
    ends = [int(g.random.choice([-1, 1, 2, 3, 9, 2**31])) for _ in axes]
    if g.opset < 10:
        return g.add("Slice", g.name, axes=axes, starts=starts, ends=ends)
    steps = [int(g.random.choice([1, 1, 2, -1])) for _ in axes]
    names = [g.ints(*values) for values in (starts, ends, axes, steps)]
    return g.add("Slice", g.name, *names)


def _split(g: Growing) -> str:
    axis = _axis(g)
    if g.value.shape[axis] % 2:
        raise RefusedError("odd")
    fields = {"num_outputs": 2} if g.opset >= 18 else {}
    first = g.add("Split", g.name, outputs=2, axis=axis, **fields)
    return first if _bit(g) else g.add("Identity", first.replace("_0", "_1"))


def _gather(g: Growing) -> str:
    axis = _axis(g)
    size = g.value.shape[axis]
    index = g.random.integers(-size, size, [(), (1,), (2,)][int(g.random.integers(3))])
    return g.add("Gather", g.name, g.constant(np.asarray(index, np.int64)), axis=axis)


def _squeeze(g: Growing) -> str:
    if g.random.random() < 0.4:
        return g.add("Squeeze", g.name)
    return _with_axes(g, "Squeeze", [a for a, size in enumerate(g.value.shape) if size == 1][:1])


def _unsqueeze(g: Growing) -> str:
    rank = g.value.ndim + 1
    return _with_axes(g, "Unsqueeze", [int(g.random.integers(-rank, rank))])


def _with_axes(g: Growing, kind: str, axes: list[int]) -> str:
    if not axes or g.value.ndim > 4:
        raise RefusedError("no axes")
    if g.opset >= 13:
        return g.add(kind, g.name, g.ints(*axes))
    return g.add(kind, g.name, axes=[axis % (g.value.ndim + 1) for axis in axes])


def _flatten(g: Growing) -> str:
    rank = g.value.ndim
    low = -rank if g.opset >= 11 else 0
    return g.add("Flatten", g.name, axis=int(g.random.integers(low, rank + 1)))


def _expand(g: Growing) -> str:
    wanted = [s if s > 1 else int(g.random.integers(1, 3)) for s in g.value.shape]
    wanted = [1 if _bit(g) else size for size in wanted]
    more = [int(g.random.integers(1, 3))] if g.random.random() < 0.3 else []
    return g.add("Expand", g.name, g.ints(*more, *wanted))


def _with_constant(g: Growing) -> str:
    shape = [size if _bit(g) else 1 for size in g.value.shape]
    shape = shape[int(g.random.integers(0, len(shape) + 1)) :]
    more = [1, *shape] if g.random.random() < 0.1 else shape
    kind = str(g.random.choice(["Add", "Mul", "Sub", "Div"]))
    value = g.constant(g.random.uniform(0.5, 2, more).astype(np.float32))
    return g.add(kind, *((g.name, value) if _bit(g) else (value, g.name)))


def _with_earlier(g: Growing) -> str:
    name, _ = g.earlier[int(g.random.integers(len(g.earlier)))]
    return g.add(str(g.random.choice(["Add", "Mul", "Sub"])), g.name, name)


def _matmul(g: Growing) -> str:
    if not g.value.ndim:
        raise RefusedError("a scalar")
    weight = g.random.standard_normal((g.value.shape[-1], int(g.random.integers(1, 4))))
    return g.add("MatMul", g.name, g.constant(weight.astype(np.float32)))


def _gemm(g: Growing) -> str:
    if g.value.ndim != 2:
        raise RefusedError("no matrix")
    turned = _bit(g)
    inner = g.value.shape[0 if turned else 1]
    weight = g.constant(g.random.standard_normal((inner, 3)).astype(np.float32))
    bias = g.constant(
        g.random.standard_normal([(3,), (1,), (1, 3)][int(g.random.integers(3))]).astype(np.float32)
    )
    return g.add("Gemm", g.name, weight, bias, transA=turned)


def _conv(g: Growing) -> str:
    if g.value.ndim != 4:
        raise RefusedError("no image")
    side = int(g.random.choice([1, 3]))
    weight = g.random.standard_normal((3, g.value.shape[1], side, side)).astype(np.float32)
    return g.add("Conv", g.name, g.constant(weight), pads=[side // 2] * 4)


def _pool(g: Growing) -> str:
    if g.value.ndim != 4:
        raise RefusedError("no image")
    kind = str(g.random.choice(["MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"]))
    fields = {} if kind.startswith("Global") else {"kernel_shape": [2, 1]}
    return g.add(kind, g.name, **fields)


def _pad(g: Growing) -> str:
    if not g.value.ndim:
        raise RefusedError("a scalar")
    pads = [int(g.random.random() < 0.2) for _ in range(2 * g.value.ndim)]
    if g.random.random() < _TAME:
        pads[0] = pads[g.value.ndim] = 0
    if g.opset < 11:
        return g.add("Pad", g.name, pads=pads)
    return g.add("Pad", g.name, g.ints(*pads))


STEPS: list[Callable[[Growing], str]] = [
    *(_activation, _softmax, _softmax, _reduce, _reduce, _reshape, _reshape, _reshape_by_shape),
    *(_by_count, _transpose, _transpose, _concat, _slice, _split, _gather, _squeeze, _unsqueeze),
    *(_flatten, _expand, _with_constant, _with_constant, _with_earlier, _matmul, _gemm, _conv),
    *(_pool, _pad),
]
