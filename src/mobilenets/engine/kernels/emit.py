"""Typed LLVM text from Python: values, arithmetic that folds constants, loops with carried values.

A kernel written with it reads as the loop nest it makes. Indices are Python ints as long as they
are known, so addresses of static shapes become constants.
"""

from collections.abc import Callable, Hashable, Sequence

from mobilenets.engine.kernels.flow import FlowEmitter
from mobilenets.engine.kernels.values import Index, Value, literal
from mobilenets.engine.targets.target import Target


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
        parameters: Sequence[str],
        body: "Callable[[Emitter, list[Value]], None]",
        *,
        public: bool = False,
        inline: bool = False,
    ) -> str:
        """The function's symbol. `parameters` are LLVM types."""
        if name not in self._functions:
            self._functions[name] = []
            emitter = Emitter(self)
            values = [Value(kind, f"%p{i}") for i, kind in enumerate(parameters)]
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
        parameters: Sequence[str],
        body: "Callable[[Emitter, list[Value]], None]",
    ) -> str:
        """The symbol of the function that `key` describes in full; made once for each key."""
        number = self._kernels.setdefault((name, key), len(self._kernels))
        return self.function(f"{name}_{number}", parameters, body)

    def declare(self, result: str, name: str, *types: str) -> str:
        """Declare an LLVM intrinsic that the module calls; returns its name."""
        self._declared[name] = f"declare {result} @{name}({', '.join(types)})"
        return name

    def table(self, name: str, numbers: Sequence[int]) -> Value:
        """A constant array of i32 with this name in the module; returns its address."""
        body = ", ".join(f"i32 {number}" for number in numbers)
        self._constants[name] = f"@{name} = internal constant [{len(numbers)} x i32] [{body}]"
        return Value("ptr", f"@{name}")

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


class Emitter(FlowEmitter):
    """The body of one function being written: `FlowEmitter`'s part, memory and floats.

    A vector is `lanes` float32; offsets and sizes are in floats.
    """

    def __init__(self, module: Module) -> None:
        super().__init__()
        self.module = module
        self.lanes = module.target.lanes
        self.vector = f"<{self.lanes} x float>"

    # Memory

    def at(self, pointer: Value, offset: Index, kind: str = "float") -> Value:
        """The address `offset` elements of `kind` further (floats, unless it says otherwise)."""
        if offset == 0:
            return pointer
        return self.value("ptr", f"getelementptr inbounds {kind}, {pointer}, {self.index(offset)}")

    def load(self, pointer: Value, offset: Index = 0, kind: str | None = None) -> Value:
        """A vector (or a `kind`) from `offset` floats further."""
        kind = kind or self.vector
        align = {"ptr": 8, "i64": 8, "i8": 1}.get(kind, 4)
        return self.value(kind, f"load {kind}, {self.at(pointer, offset)}, align {align}")

    def load_index(self, table: Value, at: Index) -> Value:
        """An element of a table, as an i64."""
        small = self.value("i32", f"load i32, {self.at(table, at, 'i32')}, align 4")
        return self.value("i64", f"sext {small} to i64")

    def store(self, value: Value, pointer: Value, offset: Index = 0) -> None:
        """Write a value `offset` floats further."""
        align = {"ptr": 8, "i64": 8}.get(value.type, 4)
        self.line(f"store {value}, {self.at(pointer, offset)}, align {align}")

    def mask(self, lanes: int) -> Value:
        """A constant mask of a vector's first `lanes` elements."""
        bits = ", ".join(f"i1 {'true' if i < lanes else 'false'}" for i in range(self.lanes))
        return Value(f"<{self.lanes} x i1>", f"<{bits}>")

    def load_some(self, pointer: Value, offset: Index, lanes: int) -> Value:
        """A vector whose first `lanes` elements are read and whose others are 0."""
        if lanes == self.lanes:
            return self.load(pointer, offset)
        mask, kind = self.mask(lanes), self.vector
        name = f"llvm.masked.load.v{self.lanes}f32.p0"
        self.module.declare(kind, name, "ptr", "i32", mask.type, kind)
        address = self.at(pointer, offset)
        zero = f"{kind} zeroinitializer"
        return self.value(kind, f"call {kind} @{name}({address}, i32 4, {mask}, {zero})")

    def store_some(self, value: Value, pointer: Value, offset: Index, lanes: int) -> None:
        """Write the first `lanes` elements of a vector."""
        if lanes == self.lanes:
            return self.store(value, pointer, offset)
        mask = self.mask(lanes)
        name = f"llvm.masked.store.v{self.lanes}f32.p0"
        self.module.declare("void", name, self.vector, "ptr", "i32", mask.type)
        address = self.at(pointer, offset)
        self.line(f"call void @{name}({value}, {address}, i32 4, {mask})")
        return None

    @property
    def _half(self) -> str:
        return f"<{self.lanes // 2} x float>"

    def load_half(self, pointer: Value, offset: Index, lanes: int | None = None) -> Value:
        """Half a vector; of fewer than that many lanes, the rest 0."""
        if lanes is None or lanes == self.lanes // 2:
            return self.load(pointer, offset, self._half)
        return self._low(self.load_some(pointer, offset, lanes), 0)

    def store_half(
        self, value: Value, side: int, pointer: Value, offset: Index, lanes: int
    ) -> None:
        """Write `lanes` elements of a vector's first (side 0) or second half."""
        half = self._low(value, side)
        if lanes == self.lanes // 2:
            self.store(half, pointer, offset)
        else:
            self.store_some(self.join(half, half), pointer, offset, lanes)

    def _low(self, value: Value, side: int) -> Value:
        size = self.lanes // 2
        places = ", ".join(f"i32 {side * size + i}" for i in range(size))
        mask = f"<{size} x i32> <{places}>"
        return self.value(self._half, f"shufflevector {value}, {self.vector} poison, {mask}")

    def join(self, low: Value, high: Value) -> Value:
        """A vector of two halves."""
        places = ", ".join(f"i32 {i}" for i in range(self.lanes))
        mask = f"<{self.lanes} x i32> <{places}>"
        return self.value(self.vector, f"shufflevector {low}, {high}, {mask}")

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

    def prefetch(self, pointer: Value, offset: Index = 0) -> None:
        """Ask for a cache line to be read soon."""
        self.module.declare("void", "llvm.prefetch.p0", "ptr", "i32", "i32", "i32")
        self.line(f"call void @llvm.prefetch.p0({self.at(pointer, offset)}, i32 0, i32 2, i32 1)")

    # Floating point: vectors, or scalars where `kind` is "float"

    def splat(self, value: Value | float) -> Value:
        """A vector with all elements equal to a scalar."""
        if not isinstance(value, Value):
            one = f"float {literal(value)}"
            return Value(self.vector, f"<{', '.join([one] * self.lanes)}>")
        single = self.value(self.vector, f"insertelement {self.vector} poison, {value}, i32 0")
        zeros = f"<{self.lanes} x i32> zeroinitializer"
        spread = f"shufflevector {single}, {self.vector} poison, {zeros}"
        return self.value(self.vector, spread)

    def broadcast(self, pointer: Value, offset: Index = 0) -> Value:
        """A vector with all elements equal to the float at an address."""
        return self.splat(self.load(pointer, offset, "float"))

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
