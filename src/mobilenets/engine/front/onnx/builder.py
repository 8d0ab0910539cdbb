"""What turns the file's operations, one after the other, into nodes whose shapes are known."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mobilenets.engine.front.assembly import Assembly, Operand, Translation
from mobilenets.engine.front.limits import check_runtime, quote
from mobilenets.engine.front.onnx.reader import OnnxModel, Op
from mobilenets.engine.ir.graph import Array, Shape, Tensor
from mobilenets.engine.ir.types import FLOAT32, ElementType
from mobilenets.errors import WeightsError

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
_NO_DEFAULT: Any = object()


class Builder(Assembly):
    """The graph as far as it is made, and what each of the file's names stands for."""

    def __init__(self, model: OnnxModel, shape: Shape, several: "Builder | None" = None) -> None:
        names = {model.input, *model.constants, *(name for op in model.ops for name in op.outputs)}
        super().__init__(shape[0], names, 4 * model.size)
        self.opset = model.opset
        self.batch = (model.dims or (1,))[0] or 1 if self.images == 1 else 1
        """The batch that the file is made for, and that its shapes name where 1 is meant here."""
        self.several = several
        """The same file for several images at once, where it can have them."""
        self.ranks_vary: set[str] = set()
        """Values that lose the batch's axis in ONNX Runtime where there is one image; not here."""
        self.tensors = {model.input: Tensor(model.input, check_runtime(shape), FLOAT32)}
        self.values: dict[str, Operand] = dict(model.constants)
        self.values[model.input] = self.tensors[model.input]

    def apply(self, op: Op, handler: Callable[["OpCall"], Operand | list[Operand]]) -> None:
        """Add an operation's nodes; the last one's output gets the operation's own name."""
        start = len(self.nodes)
        if not self.ranks_vary.isdisjoint(op.inputs):
            self._check_rank(op)
        try:
            with np.errstate(all="ignore"):  # a damaged file's scales; what they give is checked
                made = handler(OpCall(self, op))
        except WeightsError as error:
            if str(error).startswith("node "):
                raise
            raise op.fail(str(error)) from error
        values: Sequence[Operand] = made if isinstance(made, list) else [made]
        for name, value in zip(op.outputs, values, strict=False):
            if name:
                self.values[name] = self.renamed(start, value, name)

    def _check_rank(self, op: Op) -> None:
        """WeightsError where one axis less is another operation, and not only another shape."""
        axis = op.attributes.get("axis", 0 if self.opset < 13 else -1)
        softmax = op.kind == "Softmax" and isinstance(axis, int) and axis < 0 and self.opset >= 13
        if op.kind not in _ANY_RANK and not softmax:
            raise op.fail("for one image its input has another number of axes than for several")
        self.ranks_vary.update(op.outputs)


class OpCall(Translation[Builder]):
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

    def tensor(self, index: int = 0, what: str = "input", rank: int | None = None) -> Tensor:
        """Input `index` as float32, known only when the network runs, with `rank` dimensions."""
        value = self.any_tensor(index, what, rank)
        if value.dtype != FLOAT32:
            raise self.fail(f"its {what} must be float32, got {value.dtype}")
        return value

    def image(self) -> Tensor:
        """Input 0 as one image (1, C, H, W)."""
        x = self.tensor(rank=4)
        if x.shape[0] != 1 and self.builder.images == 1:
            raise self.fail(f"its input must be one image (1, C, H, W), got shape {x.shape}")
        return x

    def floats(self, index: int, what: str) -> Array:
        """Constant input `index` as contiguous float32; an error for integers and booleans."""
        value = self.constant(index, what)
        if value.dtype.kind != "f":
            raise self.fail(f"its {what} must be float32, got {value.dtype}")
        with np.errstate(all="ignore"):
            return np.ascontiguousarray(value, np.float32).reshape(value.shape)

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

    def described(self, shape: Shape, dtype: ElementType) -> Tensor:
        """An output under the name of the node's first."""
        return Tensor(next(name for name in self.op.outputs if name), shape, dtype)
