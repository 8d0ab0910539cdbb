"""One function's LLVM text: indices, conditions, loops and branches.

No element type and no target changes anything here; `emit.py` adds what they do change.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from mobilenets.engine.kernels.values import Index, Value


@dataclass(frozen=True)
class _Turn:
    """A loop that is open: its number, the block before it, the place of its phis, its index."""

    number: int
    before: str
    place: int
    index: Value


class FlowEmitter:
    """The lines of a function so far. Arithmetic of known indices is done here, in Python."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._names = itertools.count()
        self._block = "entry"

    def line(self, text: str) -> None:
        """Append one line of LLVM text as it is."""
        self.lines.append(text)

    def value(self, kind: str, text: str) -> Value:
        """The result, of type `kind`, of an instruction."""
        name = f"%v{next(self._names)}"
        self.lines.append(f"{name} = {text}")
        return Value(kind, name)

    def call(self, name: str, *arguments: "Value | int") -> None:
        """Call a function of this module; ints are passed as i64."""
        self.line(f"call void @{name}({', '.join(str(self.index(a)) for a in arguments)})")

    # Indices

    def index(self, number: Index) -> Value:
        """A known index as an i64 constant, any other as it is."""
        return Value("i64", str(number)) if isinstance(number, int) else number

    def _integer(self, op: str, x: Index, y: Index) -> Value:
        return self.value("i64", f"{op} i64 {self.index(x).text}, {self.index(y).text}")

    def add(self, x: Index, y: Index) -> Index:
        """X + y of indices; a number where both are known."""
        if isinstance(x, int) and isinstance(y, int):
            return x + y
        return x if y == 0 else y if x == 0 else self._integer("add nsw", x, y)

    def sub(self, x: Index, y: Index) -> Index:
        """X - y of indices; a number where both are known."""
        if isinstance(x, int) and isinstance(y, int):
            return x - y
        return x if y == 0 else self._integer("sub nsw", x, y)

    def mul(self, x: Index, y: Index) -> Index:
        """X * y of indices; a number where both are known or one is 0."""
        if isinstance(x, int) and isinstance(y, int):
            return x * y
        if x == 0 or y == 0:
            return 0
        return x if y == 1 else y if x == 1 else self._integer("mul nsw", x, y)

    def div(self, x: Index, y: int) -> Index:
        """X // y of indices that are not negative."""
        if isinstance(x, int):
            return x // y
        return x if y == 1 else self._integer("udiv", x, y)

    def mod(self, x: Index, y: int) -> Index:
        """X % y of indices that are not negative."""
        if isinstance(x, int):
            return x % y
        return 0 if y == 1 else self._integer("urem", x, y)

    def compare(self, how: str, x: Index, y: Index) -> Value:
        """An i1: eq, ne, slt, sle, sgt, sge of two integers."""
        return self.value("i1", f"icmp {how} i64 {self.index(x).text}, {self.index(y).text}")

    def both(self, x: Value, y: Value) -> Value:
        """Logical and of two conditions (i1)."""
        return self.value("i1", f"and i1 {x.text}, {y.text}")

    def select(self, condition: Value, x: Value, y: Value) -> Value:
        """`x` where the condition (i1, or a vector of them) holds, else `y`."""
        return self.value(x.type, f"select {condition}, {x}, {y}")

    def choose(self, condition: Value, x: Index, y: Index) -> Value:
        """`select` of two indices, as an i64."""
        return self.select(condition, self.index(x), self.index(y))

    # Control

    def _label(self, name: str) -> None:
        self.line(f"{name}:")
        self._block = name

    def loop(
        self,
        start: Index,
        stop: Index,
        step: int,
        body: Callable[[Index, list[Value]], list[Value]],
        carried: Sequence[Value] = (),
    ) -> list[Value]:
        """`for i in range(start, stop, step): carried = body(i, carried)`; what is carried last.

        A known single turn is written out.
        """
        if isinstance(start, int) and isinstance(stop, int):
            turns = len(range(start, stop, step))
            if turns == 0:
                return list(carried)
            if turns == 1:
                return body(start, list(carried))
        turn = self._open(start, stop)
        phis = [Value(v.type, f"%c{turn.number}.{k}") for k, v in enumerate(carried)]
        results = body(turn.index, list(phis))
        self._close(turn, start, step, list(zip(phis, carried, results, strict=True)))
        return phis

    def _open(self, start: Index, stop: Index) -> "_Turn":
        """Begin a loop; its phis are filled in by `_close`."""
        number, before = next(self._names), self._block
        self.line(f"br label %head{number}")
        self._label(f"head{number}")
        turn = _Turn(number, before, len(self.lines), Value("i64", f"%i{number}"))
        more = self.compare("slt", turn.index, stop)
        self.line(f"br {more}, label %body{number}, label %out{number}")
        self._label(f"body{number}")
        return turn

    def _close(
        self, turn: "_Turn", start: Index, step: int, carried: list[tuple[Value, Value, Value]]
    ) -> None:
        """End a loop: (phi, first value, value of the next turn) for what it carries."""
        following = self.index(self.add(turn.index, step))
        self.line(f"br label %head{turn.number}")
        rows = [(turn.index, self.index(start), following), *carried]
        self.lines[turn.place : turn.place] = [
            f"{phi.text} = phi {phi.type} [{first.text}, %{turn.before}], "
            f"[{last.text}, %{self._block}]"
            for phi, first, last in rows
        ]
        self._label(f"out{turn.number}")

    @contextmanager
    def repeat(self, start: Index, stop: Index, step: int = 1) -> Iterator[Index]:
        """`for i in range(start, stop, step)`, as a `with` block; nothing carried."""
        if isinstance(start, int) and isinstance(stop, int) and stop - start <= step:
            assert stop > start, "an empty loop"
            yield start
            return
        turn = self._open(start, stop)
        yield turn.index
        self._close(turn, start, step, [])

    @contextmanager
    def when(self, condition: Value) -> Iterator[None]:
        """`if condition:` as a `with` block."""
        number = next(self._names)
        self.line(f"br {condition}, label %then{number}, label %end{number}")
        self._label(f"then{number}")
        yield
        self.line(f"br label %end{number}")
        self._label(f"end{number}")
