"""A graph that grows node by node, whatever kind of file it comes from."""

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar

from numpy.typing import NDArray

from mobilenets.engine.front.limits import check_runtime, check_size
from mobilenets.engine.ir.graph import Node, Shape, Tensor
from mobilenets.engine.ir.types import ElementType
from mobilenets.errors import WeightsError

Constant = NDArray[Any]
"""An array whose values are known before the network runs."""
Operand = Tensor | Constant
"""What a name of the file stands for: known only when the network runs, or now."""

_SPARE = 2**26
_LIST = 64

V = TypeVar("V")
B = TypeVar("B", bound="Assembly")


class Assembly:
    """Nodes and tensors as far as they are made, each under a name of its own.

    images: how many are in a batch: 1, but where it is found out what several do to each other.
    Constants worked out on the way have a budget in bytes, which grows with the file: a small file
    cannot ask for much memory.
    """

    def __init__(self, images: int, taken: Iterable[str], held: int) -> None:
        self.images = images
        self.nodes: list[Node] = []
        self.tensors: dict[str, Tensor] = {}
        self._counts: Counter[str] = Counter()
        self._taken = set(taken)
        self._budget = _SPARE + held

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

    def put(
        self,
        kind: type[Node],
        title: str,
        inputs: Sequence[Tensor],
        made: Tensor,
        fields: Mapping[str, Any],
    ) -> Tensor:
        """Add a node called `title`; its output is like `made`, under a name made from that."""
        output = replace(made, name=self.fresh(made.name), shape=check_runtime(made.shape))
        names = tuple(value.name for value in inputs)
        self.nodes.append(kind(name=title, inputs=names, output=output.name, **fields))
        self.tensors[output.name] = output
        return output

    def renamed(self, start: int, value: V, name: str) -> V | Tensor:
        """Give the node made since `start` that makes `value` the output `name`."""
        made = self.nodes[start:]
        if not isinstance(value, Tensor) or any(value.name in node.inputs for node in made):
            return value
        for index, node in enumerate(made, start):
            if node.output == value.name:
                del self.tensors[value.name]
                self.nodes[index] = replace(node, output=name)
                self.tensors[name] = renamed = replace(value, name=name)
                return renamed
        return value


class Translation(ABC, Generic[B]):
    """One operation of a file being translated: its inputs, checked as they are asked for."""

    builder: B

    @property
    @abstractmethod
    def title(self) -> str:
        """What the nodes are called that it becomes, for messages."""

    @abstractmethod
    def described(self, shape: Shape, dtype: ElementType) -> Tensor:
        """An output of it, under the file's name and standing for what the file says."""

    @abstractmethod
    def fail(self, reason: str) -> WeightsError:
        """An error that names the operation."""

    @abstractmethod
    def value(self, index: int, what: str = "input") -> Operand:
        """Input `index`, constant or not; `what` names it in the error where it is missing."""

    def any_tensor(self, index: int = 0, what: str = "input", rank: int | None = None) -> Tensor:
        """Input `index`, of any type, known only when the network runs, with `rank` dimensions."""
        value = self.value(index, what)
        if not isinstance(value, Tensor):
            raise self.fail(f"its {what} must not be a constant")
        if rank is not None and len(value.shape) != rank:
            raise self.fail(f"its {what} must have {rank} dimensions, got shape {value.shape}")
        return value

    def constant(self, index: int, what: str) -> Constant:
        """Input `index`, which must be a constant of the file or worked out from constants."""
        value = self.value(index, what)
        if isinstance(value, Tensor):
            raise self.fail(f"its {what} must be a constant")
        return value

    def indices(self, index: int, what: str) -> tuple[int, ...]:
        """Constant input `index` as Python ints: a list of at most 64, or a single number."""
        value = self.constant(index, what)
        if value.dtype.kind not in "iu" or value.ndim > 1 or value.size > _LIST:
            raise self.fail(f"its {what} must be a short list of integers, got {value.dtype}")
        return tuple(int(number) for number in value.ravel())

    def axis(self, axis: int, rank: int) -> int:
        """An axis, negative where counted from the end, as its index from the front."""
        if not -rank <= axis < rank:
            raise self.fail(f"its axis must be {-rank} to {rank - 1}, got {axis}")
        return axis % rank

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
        made = self.described(tuple(shape), dtype or inputs[0].dtype)
        return self.builder.put(kind, self.title, inputs, made, fields)
