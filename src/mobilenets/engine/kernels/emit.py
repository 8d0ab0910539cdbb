"""Typed LLVM text from Python: values, arithmetic that folds constants, loops with carried values.

A kernel written with it reads as the loop nest it makes. Indices are Python ints as long as they
are known, so addresses of static shapes become constants.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from mobilenets.engine.ir.types import FLOAT32, INT32, ElementType
from mobilenets.engine.kernels.flow import FlowEmitter
from mobilenets.engine.kernels.values import Index, Pointer, Value, literal, pointer
from mobilenets.engine.targets.target import Target

Parameter = str | ElementType
"""Of a function: an LLVM type, or the address of such elements."""


class Module:
    """Functions for one target; a function asked for twice under one name is made once."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._functions: dict[str, list[str]] = {}
        self._kernels: dict[tuple[str, Hashable], int] = {}
        self._declared: dict[str, str] = {}
        self._constants: dict[str, str] = {}

    def function(
        self,
        name: str,
        parameters: Sequence[Parameter],
        body: "Callable[[Emitter, list[Any]], None]",
        *,
        public: bool = False,
        inline: bool = False,
    ) -> str:
        """The function's symbol; `body` is given its parameters, in their order, as values."""
        if name not in self._functions:
            self._functions[name] = []
            emitter = Emitter(self)
            values = [_parameter(kind, f"%p{i}") for i, kind in enumerate(parameters)]
            body(emitter, values)
            emitter.line("ret void")
            spelled = ", ".join(str(v) for v in values)
            head = f"define {'' if public else 'internal '}void @{name}({spelled})"
            how = "alwaysinline" if inline else "noinline"
            self._functions[name] = [f"{head} {how} nounwind #0 {{", "entry:", *emitter.lines, "}"]
        return name

    def kernel(
        self,
        name: str,
        key: Hashable,
        parameters: Sequence[Parameter],
        body: "Callable[[Emitter, list[Any]], None]",
    ) -> str:
        """The symbol of the function that `key` describes in full; made once for each key."""
        number = self._kernels.setdefault((name, key), len(self._kernels))
        return self.function(f"{name}_{number}", parameters, body)

    def declare(self, result: str, name: str, *types: str) -> str:
        """Declare an LLVM intrinsic that the module calls; returns its name."""
        self._declared[name] = f"declare {result} @{name}({', '.join(types)})"
        return name

    def table(self, name: str, numbers: Sequence[int]) -> Pointer:
        """A constant array of i32 with this name in the module; returns its address."""
        body = ", ".join(f"i32 {number}" for number in numbers)
        self._constants[name] = f"@{name} = internal constant [{len(numbers)} x i32] [{body}]"
        return pointer(f"@{name}", INT32)

    def variable(self, name: str, value: str) -> Value:
        """A global that LLVM must read, as if somebody else could set it."""
        body = f"internal externally_initialized global {value}, align 4"
        self._constants[name] = f"@{name} = {body}"
        return Value("ptr", f"@{name}")

    def __str__(self) -> str:
        features = self.target.features
        attributes = f'attributes #0 = {{ "target-cpu"="{self.target.cpu}" '
        attributes += f'"target-features"="{features}" "prefer-vector-width"="512" "no-builtins" }}'
        parts = [f'target triple = "{self.target.triple}"', *self._constants.values()]
        parts += [*self._declared.values()]
        parts += ["\n".join(lines) for lines in self._functions.values()]
        return "\n".join([*parts, attributes, ""])


def _parameter(kind: Parameter, name: str) -> Value:
    return Value(kind, name) if isinstance(kind, str) else pointer(name, kind)


class Emitter(FlowEmitter):
    """The body of one function being written: `FlowEmitter`'s part, memory and floats.

    A vector is `lanes` elements; offsets count elements of what an address is of.
    """

    def __init__(self, module: Module) -> None:
        super().__init__()
        self.module = module
        self.lanes = module.target.lanes
        self.floats = self.vector(FLOAT32)

    def vector(self, element: ElementType) -> str:
        """LLVM's type of `lanes` elements."""
        return f"<{self.lanes} x {element.llvm}>"

    # Memory

    def at(self, place: Pointer, offset: Index) -> Pointer:
        """The address `offset` elements further."""
        if offset == 0:
            return place
        text = f"getelementptr inbounds {place.element.llvm}, {place}, {self.index(offset)}"
        return Pointer("ptr", self.value("ptr", text).text, place.element)

    def part(self, place: Pointer, offset: int, element: ElementType) -> Pointer:
        """The address `offset` bytes further, of elements of another type, a whole number of."""
        whole, rest = divmod(offset, element.size)
        if rest:
            raise ValueError(f"offset must be a multiple of {element.size} bytes, got {offset}")
        return self.at(place.of(element), whole)

    def item(self, place: Pointer, index: Index, size: int) -> Pointer:
        """The address of one of several things of `size` bytes that lie one after the other."""
        whole, rest = divmod(size, place.element.size)
        if rest:
            raise ValueError(f"size must be a multiple of {place.element.size} bytes, got {size}")
        return self.at(place, self.mul(index, whole))

    def _read(self, kind: str, place: Pointer, offset: Index) -> Value:
        return self.value(kind, f"load {kind}, {self.at(place, offset)}, align {_align(place)}")

    def load(self, place: Pointer, offset: Index = 0) -> Value:
        """A vector from `offset` elements further."""
        return self._read(self.vector(place.element), place, offset)

    def load_many(self, place: Pointer, offset: Index, count: int) -> Value:
        """A vector of `count` elements."""
        return self._read(f"<{count} x {place.element.llvm}>", place, offset)

    def load_one(self, place: Pointer, offset: Index = 0) -> Value:
        """One element, as a scalar."""
        return self._read(place.element.llvm, place, offset)

    def load_address(self, table: Pointer, at: int, element: ElementType) -> Pointer:
        """An element of a table of addresses; `element`: what lies at that address."""
        return pointer(self.load_one(table, at).text, element)

    def choose_address(self, condition: Value, x: Pointer, y: Pointer) -> Pointer:
        """`x` where the condition holds, else `y`."""
        return pointer(self.select(condition, x, y).text, x.element)

    def load_index(self, table: Pointer, at: Index) -> Value:
        """An element of a table, as an i64."""
        return self.value("i64", f"sext {self.load_one(table, at)} to i64")

    def store(self, value: Value, place: Pointer, offset: Index = 0) -> None:
        """Write an element, or a vector of any length, `offset` elements further."""
        self.line(f"store {value}, {self.at(place, offset)}, align {_align(place)}")

    def mask(self, lanes: int) -> Value:
        """A constant mask of a vector's first `lanes` elements."""
        bits = ", ".join(f"i1 {'true' if i < lanes else 'false'}" for i in range(self.lanes))
        return Value(f"<{self.lanes} x i1>", f"<{bits}>")

    def _masked(self, what: str, element: ElementType) -> str:
        """LLVM's name of a masked load or store of a vector."""
        return f"llvm.masked.{what}.v{self.lanes}{_mangled(element)}.p0"

    def load_some(self, place: Pointer, offset: Index, lanes: int) -> Value:
        """A vector whose first `lanes` elements are read and whose others are 0."""
        if lanes == self.lanes:
            return self.load(place, offset)
        mask, kind = self.mask(lanes), self.vector(place.element)
        name = self._masked("load", place.element)
        self.module.declare(kind, name, "ptr", "i32", mask.type, kind)
        address = self.at(place, offset)
        zero = f"{kind} zeroinitializer"
        how = f"i32 {_align(place)}"
        return self.value(kind, f"call {kind} @{name}({address}, {how}, {mask}, {zero})")

    def store_some(self, value: Value, place: Pointer, offset: Index, lanes: int) -> None:
        """Write the first `lanes` elements of a vector."""
        if lanes == self.lanes:
            return self.store(value, place, offset)
        mask, name = self.mask(lanes), self._masked("store", place.element)
        self.module.declare("void", name, value.type, "ptr", "i32", mask.type)
        address = self.at(place, offset)
        self.line(f"call void @{name}({value}, {address}, i32 {_align(place)}, {mask})")
        return None

    def load_half(self, place: Pointer, offset: Index, lanes: int | None = None) -> Value:
        """Half a vector; of fewer than that many lanes, the rest 0."""
        if lanes is None or lanes == self.lanes // 2:
            return self._read(self._half(place.element), place, offset)
        return self._low(self.load_some(place, offset, lanes), 0, place.element)

    def store_half(
        self, value: Value, side: int, place: Pointer, offset: Index, lanes: int
    ) -> None:
        """Write `lanes` elements of a vector's first (side 0) or second half."""
        half = self._low(value, side, place.element)
        if lanes == self.lanes // 2:
            self.store(half, place, offset)
        else:
            self.store_some(self.join(half, half, place.element), place, offset, lanes)

    def _half(self, element: ElementType) -> str:
        return f"<{self.lanes // 2} x {element.llvm}>"

    def _low(self, value: Value, side: int, element: ElementType) -> Value:
        size = self.lanes // 2
        places = ", ".join(f"i32 {side * size + i}" for i in range(size))
        mask = f"<{size} x i32> <{places}>"
        text = f"shufflevector {value}, {self.vector(element)} poison, {mask}"
        return self.value(self._half(element), text)

    def join(self, low: Value, high: Value, element: ElementType) -> Value:
        """A vector of two halves."""
        places = ", ".join(f"i32 {i}" for i in range(self.lanes))
        mask = f"<{self.lanes} x i32> <{places}>"
        return self.value(self.vector(element), f"shufflevector {low}, {high}, {mask}")

    def first_half(self) -> Value:
        """A mask of the first half of a vector, which LLVM does not see through.

        Knowing it, LLVM would select by a permutation, which is slower than a masked move.
        """
        bits = f"i{self.lanes}"
        number = (1 << self.lanes // 2) - 1
        place = self.module.variable("first_half", f"{bits} {number}")
        loaded = self.value(bits, f"load {bits}, {place}, align 4")
        mask = f"<{self.lanes} x i1>"
        return self.value(mask, f"bitcast {loaded} to {mask}")

    def prefetch(self, place: Pointer, offset: Index = 0) -> None:
        """Ask for a cache line to be read soon."""
        self.module.declare("void", "llvm.prefetch.p0", "ptr", "i32", "i32", "i32")
        self.line(f"call void @llvm.prefetch.p0({self.at(place, offset)}, i32 0, i32 2, i32 1)")

    # Floating point: vectors, or scalars where `kind` is "float"

    def splat(self, value: Value | float) -> Value:
        """A vector with all elements equal to a scalar; to a float32 where it is a number."""
        if not isinstance(value, Value):
            return self.splat_of(Value("float", literal(value)))
        kind = f"<{self.lanes} x {value.type}>"
        single = self.value(kind, f"insertelement {kind} poison, {value}, i32 0")
        zeros = f"<{self.lanes} x i32> zeroinitializer"
        return self.value(kind, f"shufflevector {single}, {kind} poison, {zeros}")

    def splat_of(self, known: Value) -> Value:
        """A constant vector with all elements equal to a known number."""
        return Value(f"<{self.lanes} x {known.type}>", f"<{', '.join([str(known)] * self.lanes)}>")

    def broadcast(self, place: Pointer, offset: Index = 0) -> Value:
        """A vector with all elements equal to the one at an address."""
        return self.splat(self.load_one(place, offset))

    def fadd(self, x: Value, y: Value) -> Value:
        """X + y of two floats or vectors, rounded to float32."""
        return self.value(x.type, f"fadd {x}, {y.text}")

    def fmul(self, x: Value, y: Value) -> Value:
        """X * y of two floats or vectors, rounded to float32."""
        return self.value(x.type, f"fmul {x}, {y.text}")

    def fma(self, x: Value, y: Value, z: Value) -> Value:
        """X * y + z, in one instruction (and rounding) where the target has it."""
        kind = x.type
        suffix = "f32" if kind == "float" else f"v{self.lanes}f32"
        self.module.declare(kind, f"llvm.fmuladd.{suffix}", kind, kind, kind)
        return self.value(kind, f"call {kind} @llvm.fmuladd.{suffix}({x}, {y}, {z})")

    def at_least(self, x: Value, bound: Value) -> Value:
        """max(x, bound); NaN where x is NaN, which a single instruction does in this order."""
        bits = "i1" if x.type == "float" else f"<{self.lanes} x i1>"
        below = self.value(bits, f"fcmp olt {x}, {bound.text}")
        return self.select(below, bound, x)

    def at_most(self, x: Value, bound: Value) -> Value:
        """min(x, bound); NaN where x is NaN."""
        bits = "i1" if x.type == "float" else f"<{self.lanes} x i1>"
        above = self.value(bits, f"fcmp ogt {x}, {bound.text}")
        return self.select(above, bound, x)

    def maximum(self, x: Value, y: Value) -> Value:
        """max(x, y) of two floats; NaN where either is."""
        self.module.declare("float", "llvm.maximum.f32", "float", "float")
        return self.value("float", f"call float @llvm.maximum.f32({x}, {y})")


def _align(place: Pointer) -> int:
    """Bytes that an element's address is a multiple of."""
    return place.element.size


def _mangled(element: ElementType) -> str:
    """How LLVM writes an element's type in the name of an intrinsic."""
    return "f32" if element == FLOAT32 else element.llvm
