"""What turns a TFLite file's operators, one after the other, into nodes whose shapes are known."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mobilenets.engine.front.assembly import Assembly, Constant, Operand, Translation
from mobilenets.engine.front.limits import check_runtime, quote
from mobilenets.engine.front.tflite.flatbuffer import TfliteGraph, TfliteOperator, TfliteTensor
from mobilenets.engine.ir.graph import Array, Node, Reshape, Shape, Tensor, Transpose
from mobilenets.engine.ir.integers import Quantization
from mobilenets.engine.ir.types import FLOAT32, INT8, INT32, INT64, UINT8, ElementType
from mobilenets.errors import WeightsError

TYPES = {"FLOAT32": FLOAT32, "INT8": INT8, "UINT8": UINT8, "INT32": INT32, "INT64": INT64}
BYTES = (INT8, UINT8)
FIRST, LAST = (0, 3, 1, 2), (0, 2, 3, 1)
"""Orders of axes: from channels last to channels first, and back."""
LARGEST_STEP = 2**20


class TfliteBuilder(Assembly):
    """The graph as far as it is made, and what each of the file's tensors stands for.

    Values have the file's shapes, channels last. What works on images does so between two
    transposes: these meet and vanish when the graph is made smaller.
    """

    def __init__(self, file: TfliteGraph, shape: Shape, size: int) -> None:
        super().__init__(shape[0], (), 16 * size)
        self.file = file
        self.values: dict[int, Operand] = {}
        start = file.inputs[0]
        self.names: dict[int, str] = {start: self.fresh(file.tensors[start].name or "input")}
        for operator in file.operators:
            for index in operator.outputs:
                name = self.fresh(file.tensors[index].name or f"tensor {index}")
                if self.names.setdefault(index, name) != name:
                    raise WeightsError(f"two operators give {quote(name)}")
        kind, quantization = self.declared(start)
        if kind not in (FLOAT32, *BYTES):
            raise WeightsError(f"its input must be float32, int8 or uint8, got {kind}")
        name = self.names[start]
        self.tensors[name] = Tensor(name, check_runtime(shape), kind, quantization)
        self.values[start] = self.tensors[name]

    def stored(self, index: int) -> TfliteTensor:
        """A tensor as the file declares it."""
        return self.file.tensors[index]

    def declared(self, index: int) -> tuple[ElementType, Quantization | None]:
        """Type and quantization of a computed value, as the file declares them."""
        tensor = self.file.tensors[index]
        kind = TYPES.get(tensor.type)
        if kind is None:
            raise WeightsError(f"values of type {tensor.type.lower()} are not supported")
        found = tensor.quantization
        if found is None or kind not in BYTES:
            return kind, None
        if found.scale.size != 1:
            raise WeightsError(f"a value with {found.scale.size} scales is not supported")
        zero, limits = int(found.zero_point[0]), np.iinfo(kind.name)
        if not limits.min <= zero <= limits.max:
            raise WeightsError(f"a zero point of {zero} is not {kind}")
        return kind, Quantization(float(found.scale[0]), zero)

    def constant(self, index: int) -> Constant:
        """The numbers of a tensor that the file holds; WeightsError where they do not fit."""
        try:
            return self.file.constant(index)
        except ValueError as error:
            raise WeightsError(str(error)) from error

    def value(self, index: int) -> Operand | None:
        """What a tensor stands for; None where nothing gives it."""
        if index not in self.values and self.file.tensors[index].data.size:
            self.values[index] = self.constant(index)
        return self.values.get(index)

    def apply(
        self,
        operator: TfliteOperator,
        handler: Callable[["TfliteCall"], Operand | list[Operand]],
    ) -> None:
        """Add an operator's nodes; the last one's output gets the name that the file has."""
        start = len(self.nodes)
        call = TfliteCall(self, operator)
        try:
            with np.errstate(all="ignore"):  # a damaged file's scales; what they give is checked
                made = handler(call)
        except WeightsError as error:
            if str(error).startswith("operator "):
                raise
            raise call.fail(str(error)) from error
        values: Sequence[Operand] = made if isinstance(made, list) else [made]
        for index, value in zip(operator.outputs, values, strict=False):
            self.values[index] = self.renamed(start, value, self.names[index])


class TfliteCall(Translation[TfliteBuilder]):
    """One operator being translated: its inputs, checked as they are asked for."""

    def __init__(self, builder: TfliteBuilder, operator: TfliteOperator) -> None:
        self.builder = builder
        self.op = operator
        if not operator.outputs or min(operator.outputs) < 0:
            raise self.fail("it has no output")

    @property
    def title(self) -> str:
        """What the file calls its first output."""
        first = self.op.outputs[0] if self.op.outputs else -1
        return self.builder.names.get(first, "")

    def fail(self, reason: str) -> WeightsError:
        """An error that names the operator."""
        kind = quote(self.op.kind)[1:-1]
        return WeightsError(f"operator {quote(self.title)} ({kind}): {reason[:300]}")

    def has(self, index: int) -> bool:
        """Whether there is an input at `index` that is not left out."""
        return index < len(self.op.inputs) and self.op.inputs[index] >= 0

    def value(self, index: int, what: str = "input") -> Operand:
        """Input `index`, constant or not; `what` names it in the error where it is missing."""
        if not self.has(index):
            raise self.fail(f"it has no {what}")
        found = self.builder.value(self.op.inputs[index])
        if found is None:
            raise self.fail(f"its {what} is given by nothing before it")
        return found

    def tensor(self, index: int = 0, rank: int | None = None) -> Tensor:
        """Input `index`, known only when the network runs, with `rank` dimensions."""
        return self.any_tensor(index, rank=rank)

    def real(self, index: int, what: str) -> Array:
        """Constant input `index` as float32: integers stand for real numbers."""
        value = self.constant(index, what)
        self.builder.spend(value.shape, 12)
        if value.dtype.kind == "f":
            with np.errstate(all="ignore"):
                return value.astype(np.float32)
        try:
            return self.builder.file.real(self.op.inputs[index])
        except ValueError as error:
            raise self.fail(str(error)) from error

    @property
    def declared(self) -> tuple[ElementType, Quantization | None]:
        """Type and quantization of its first output, as the file declares them."""
        return self.builder.declared(self.op.outputs[0])

    def result(self, x: Tensor) -> Quantization:
        """The quantization of its output, which has the type of x and stands for real numbers."""
        kind, quantization = self.declared
        if kind != x.dtype or quantization is None:
            raise self.fail(f"its output must be {x.dtype} with a scale, got {kind}")
        return quantization

    def scale(self, x: Tensor) -> Quantization:
        """The quantization of a value of integers; an error where the file has none."""
        if x.dtype not in BYTES or x.quantization is None:
            raise self.fail(f"its input must be int8 or uint8 with a scale, got {x.dtype}")
        return x.quantization

    def described(self, shape: Shape, dtype: ElementType) -> Tensor:
        """An output that stands for what the file's does, where it is of the same type."""
        declared, quantization = self.declared
        return Tensor(self.title, shape, dtype, quantization if declared == dtype else None)

    def view(self, kind: type[Node], x: Tensor, shape: Sequence[int], /, **fields: Any) -> Tensor:
        """Add a node that gives the elements of x in another place: they stand for the same."""
        made = replace(x, name=self.title, shape=tuple(shape))
        return self.builder.put(kind, self.title, [x], made, fields)

    def transposed(self, x: Tensor, order: Sequence[int]) -> Tensor:
        """The value with its axes in another order."""
        shape = [x.shape[axis] for axis in order]
        return self.view(Transpose, x, shape, order=tuple(order))

    def reshaped(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        """The same elements under another shape."""
        return x if tuple(shape) == x.shape else self.view(Reshape, x, shape)

    def planes(self, x: Tensor) -> Tensor:
        """Images (N, H, W, C) with their channels first, as nodes of windows take them."""
        if len(x.shape) != 4:
            raise self.fail(f"its input must be images (N, H, W, C), got shape {x.shape}")
        return self.transposed(x, FIRST)

    def pixels(self, y: Tensor) -> Tensor:
        """Images (N, C, H, W) with their channels last, as the file has them."""
        return self.transposed(y, LAST)
