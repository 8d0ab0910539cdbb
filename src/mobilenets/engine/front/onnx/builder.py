"""What turns the file's operations, one after the other, into nodes whose shapes are known."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mobilenets.engine.front.limits import check_runtime, check_size, quote
from mobilenets.engine.front.onnx.reader import OnnxModel, Op
from mobilenets.engine.front.onnx.stored import Constant
from mobilenets.engine.ir.graph import Array, Node, Shape, Tensor
from mobilenets.engine.ir.types import FLOAT32, ElementType
from mobilenets.errors import WeightsError

Operand = Tensor | Constant
"""What a name stands for: known only when the network runs, or now."""

LARGEST_STEP = 2**20
"""Of strides, dilations and pads: far more than any network has, far less than overflows."""

_ANY_RANK = (
    *(
        "Cast",
        "Clip",
        "Dropout",
        "Exp",
        "Gemm",
        "HardSigmoid",
        "HardSwish",
        "Identity",
        "LeakyRelu",
    ),
    *("MatMul", "Relu", "Sigmoid", "Swish"),
)
"""What does the same to (C) as to (1, C), or refuses the former in ONNX Runtime."""
_SPARE = 2**26
_NO_DEFAULT: Any = object()


class Builder:
    """The graph as far as it is made, and what each of the file's names stands for.

    Constants worked out on the way have a budget in bytes, which grows with the file: a small file
    cannot ask for much memory.
    """

    def __init__(self, model: OnnxModel, shape: Shape, several: "Builder | None" = None) -> None:
        self.opset = model.opset
        self.images = shape[0]
        """How many are in a batch: 1, but where it is found out what several do to each other."""
        self.batch = (model.dims or (1,))[0] or 1 if self.images == 1 else 1
        """The batch that the file is made for, and that its shapes name where 1 is meant here."""
        self.several = several
        """The same file for several images at once, where it can have them."""
        self.ranks_vary: set[str] = set()
        """Values that lose the batch's axis in ONNX Runtime where there is one image; not here."""
        self.nodes: list[Node] = []
        self.tensors = {model.input: Tensor(model.input, check_runtime(shape), FLOAT32)}
        self.values: dict[str, Operand] = dict(model.constants)
        self.values[model.input] = self.tensors[model.input]
        self._counts: Counter[str] = Counter()
        self._taken = {*self.values, *(name for op in model.ops for name in op.outputs)}
        self._budget = _SPARE + 4 * model.size

    def spend(self, shape: Sequence[int], itemsize: int) -> None:
        """Account for a constant about to be made; WeightsError where that is too much."""
        self._budget -= math.prod(check_size(shape, itemsize)) * itemsize
        if self._budget < 0:
            raise WeightsError("its constants grow to far more than the file holds")

    def fresh(self, base: str) -> str:
        """A name for a new value, made from `base`, that nothing in the file or graph has."""
        name = base
        while name in self._taken:
            self._counts[base] += 1
            name = f"{base}/{self._counts[base]}"
        self._taken.add(name)
        return name

    def apply(self, op: Op, handler: Callable[["OpCall"], Operand | list[Operand]]) -> None:
        """Add an operation's nodes; the last one's output gets the operation's own name."""
        start = len(self.nodes)
        if not self.ranks_vary.isdisjoint(op.inputs):
            self._check_rank(op)
        try:
            made = handler(OpCall(self, op))
        except WeightsError as error:
            if str(error).startswith("node "):
                raise
            raise op.fail(str(error)) from error
        values: Sequence[Operand] = made if isinstance(made, list) else [made]
        for name, value in zip(op.outputs, values, strict=False):
            if name:
                self.values[name] = self._rename(start, value, name)

    def _check_rank(self, op: Op) -> None:
        """WeightsError where one axis less is another operation, and not only another shape."""
        axis = op.attributes.get("axis", 0 if self.opset < 13 else -1)
        softmax = op.kind == "Softmax" and isinstance(axis, int) and axis < 0 and self.opset >= 13
        if op.kind not in _ANY_RANK and not softmax:
            raise op.fail("for one image its input has another number of axes than for several")
        self.ranks_vary.update(op.outputs)

    def _rename(self, start: int, value: Operand, name: str) -> Operand:
        """Give the node made since `start` that makes `value` the output `name`."""
        made = self.nodes[start:]
        if not isinstance(value, Tensor) or any(value.name in node.inputs for node in made):
            return value
        for index, node in enumerate(made, start):
            if node.output == value.name:
                del self.tensors[value.name]
                self.nodes[index] = replace(node, output=name)
                self.tensors[name] = value = replace(value, name=name)
        return value


class OpCall:
    """One operation being translated: its inputs and attributes, checked as they are asked for."""

    def __init__(self, builder: Builder, op: Op) -> None:
        self.builder = builder
        self.op = op
        self.opset = builder.opset
        self.inputs = [builder.values.get(name) if name else None for name in op.inputs]
        for name, value in zip(op.inputs, self.inputs, strict=True):
            if name and value is None:
                raise self.fail(f"it reads {quote(name)}, an output that is not supported")

    def fail(self, reason: str) -> WeightsError:
        """An error that names the node."""
        return self.op.fail(reason)

    def has(self, index: int) -> bool:
        """Whether the operation has an input at `index` that is not left out."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def value(self, index: int, what: str = "input") -> Operand:
        """Input `index`, constant or not; `what` names it in the error where it is missing."""
        value = self.inputs[index] if index < len(self.inputs) else None
        if value is None:
            raise self.fail(f"it has no {what}")
        return value

    def any_tensor(self, index: int = 0, what: str = "input") -> Tensor:
        """Input `index`, of any type, which must be known only when the network runs."""
        value = self.value(index, what)
        if not isinstance(value, Tensor):
            raise self.fail(f"its {what} must not be a constant")
        return value

    def tensor(self, index: int = 0, what: str = "input", rank: int | None = None) -> Tensor:
        """Input `index` as float32, known only when the network runs, with `rank` dimensions."""
        value = self.any_tensor(index, what)
        if value.dtype != FLOAT32:
            raise self.fail(f"its {what} must be float32, got {value.dtype}")
        if rank is not None and len(value.shape) != rank:
            raise self.fail(f"its {what} must have {rank} dimensions, got shape {value.shape}")
        return value

    def image(self) -> Tensor:
        """Input 0 as one image (1, C, H, W)."""
        x = self.tensor(rank=4)
        if x.shape[0] != 1 and self.builder.images == 1:
            raise self.fail(f"its input must be one image (1, C, H, W), got shape {x.shape}")
        return x

    def constant(self, index: int, what: str) -> Constant:
        """Input `index`, which must be a constant of the file or worked out from constants."""
        value = self.value(index, what)
        if isinstance(value, Tensor):
            raise self.fail(f"its {what} must be a constant")
        return value

    def floats(self, index: int, what: str) -> Array:
        """Constant input `index` as contiguous float32; an error for integers and booleans."""
        value = self.constant(index, what)
        if value.dtype.kind != "f":
            raise self.fail(f"its {what} must be float32, got {value.dtype}")
        with np.errstate(all="ignore"):
            return np.ascontiguousarray(value, np.float32).reshape(value.shape)

    def indices(self, index: int, what: str) -> tuple[int, ...]:
        """Constant input `index` as Python ints: a list of at most 64, or a single number."""
        value = self.constant(index, what)
        if value.dtype.kind not in "iu" or value.ndim > 1 or value.size > 64:
            raise self.fail(f"its {what} must be a short list of integers, got {value.dtype}")
        return tuple(int(number) for number in value.ravel())

    def ints(
        self, name: str, default: tuple[int, ...] | None, count: int | None = None
    ) -> tuple[int, ...] | None:
        """Attribute `name`, a list of `count` integers; `default` where it is not there."""
        value = self.op.attributes.get(name)
        if name not in self.op.attributes:
            return default
        if not isinstance(value, tuple) or not all(isinstance(item, int) for item in value):
            raise self.fail(f"{name} must be a list of integers")
        if count is not None and len(value) != count:
            raise self.fail(f"{name} must be {count} integers, got {len(value)}")
        return tuple(value)

    def steps(self, name: str, count: int, low: int) -> tuple[int, ...]:
        """Strides, dilations, pads: `count` integers from `low`; `low` where there is nothing."""
        values = self.ints(name, (low,) * count, count)
        assert values is not None
        if any(not low <= value <= LARGEST_STEP for value in values):
            raise self.fail(f"{name} must be {low} to {LARGEST_STEP}, got {values}")
        return values

    def integer(self, name: str, default: int = _NO_DEFAULT) -> int:
        """Attribute `name`, one integer; an error where it is missing and has no default."""
        value = self.op.attributes.get(name, default)
        if not isinstance(value, int):
            raise self.fail(f"{name} must be an integer")
        return value

    def number(self, name: str, default: float) -> float:
        """Attribute `name`, one float that is not NaN."""
        value = self.op.attributes.get(name, default)
        if not isinstance(value, float) or math.isnan(value):
            raise self.fail(f"{name} must be a number")
        return value

    def choice(self, name: str, default: str, allowed: Sequence[str]) -> str:
        """Attribute `name`, a text; an error where it is none of `allowed`."""
        value = self.op.attributes.get(name, default)
        if value not in allowed:
            got = quote(value) if isinstance(value, str) else "something else"
            raise self.fail(f"{name} must be {' or '.join(allowed)}, got {got}")
        return str(value)

    def only(self, wanted: Mapping[str, int]) -> None:
        """An error where one of these integer attributes has another value than is supported."""
        for name, value in wanted.items():
            if self.op.attributes.get(name, value) != value:
                raise self.fail(f"{name} must be {value}")

    def axis(self, axis: int, rank: int) -> int:
        """An axis, negative where counted from the end, as its index from the front."""
        if not -rank <= axis < rank:
            raise self.fail(f"its axis must be {-rank} to {rank - 1}, got {axis}")
        return axis % rank

    def axes(self, listed: Sequence[int], rank: int) -> tuple[int, ...]:
        """Several axes, counted from the front and sorted; an error where one is named twice."""
        axes = tuple(sorted(self.axis(axis, rank) for axis in listed))
        if len(set(axes)) != len(axes):
            raise self.fail(f"its axes must differ, got {tuple(listed)}")
        return axes

    @property
    def title(self) -> str:
        """The layer's name as its weight has it (`blocks.3.expand`), else the node's own."""
        stored = self.op.inputs[1] if len(self.op.inputs) > 1 else ""
        layer = stored.removesuffix(".weight")
        if layer == stored:
            return self.op.name
        return layer.removesuffix(".conv").removeprefix("network.").removeprefix("backbone.")

    def listed(self, name: str, index: int, since: int) -> tuple[int, ...] | None:
        """Integers that were attribute `name` and are input `index` since that opset."""
        if self.opset < since:
            return self.ints(name, None)
        return self.indices(index, name) if self.has(index) else None

    def emit(
        self,
        kind: type[Node],
        inputs: Sequence[Tensor],
        shape: Sequence[int],
        dtype: ElementType | None = None,
        /,
        **fields: Any,
    ) -> Tensor:
        """Add a node of `kind` with these `fields` to the graph; its output, a new tensor.

        dtype None: the first input's.
        """
        base = next(name for name in self.op.outputs if name)
        output = self.builder.fresh(base)
        tensor = Tensor(output, check_runtime(shape), dtype or inputs[0].dtype)
        names = tuple(value.name for value in inputs)
        self.builder.nodes.append(kind(name=self.title, inputs=names, output=output, **fields))
        self.builder.tensors[output] = tensor
        return tensor
