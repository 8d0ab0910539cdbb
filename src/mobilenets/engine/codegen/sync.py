"""Threads that wait for each other, as LLVM: the barrier, the workers' loop, the caller's side.

The block of memory that they share, and what each may do with it, is described in `shared.py`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps

from llvmlite import binding, ir

from mobilenets.engine.codegen.shared import (
    ARRIVED,
    CONDITION,
    CONTEXT,
    DONE,
    GENERATION,
    HEADER,
    IDLE_SPINS,
    JOB,
    LIBC,
    MUTEX,
    PENDING,
    SLEEPERS,
    SPINS,
    START,
    STOP,
    THREADS,
    WAKE,
)
from mobilenets.engine.targets import arm, x86

VOID, I32, I64 = ir.VoidType(), ir.IntType(32), ir.IntType(64)
POINTER = ir.IntType(8).as_pointer()
KERNEL = ir.FunctionType(VOID, [POINTER, I64, I64, POINTER])
"""What a pool runs: (context, thread, threads, barrier)."""
SLEEP = ir.FunctionType(VOID, [POINTER, POINTER, I32])
WAKER = ir.FunctionType(VOID, [POINTER, POINTER])

_PAUSE = {"x86_64": x86.PAUSE, **dict.fromkeys(arm.NAMES, arm.PAUSE)}
_PRIVATE_WAIT, _PRIVATE_WAKE = 128, 129
_BETWEEN_YIELDS = 128  # pauses, 4 microseconds or so
_ALL = 2**31 - 1
_Emit = Callable[[ir.Module], ir.Function]


def _once(name: str) -> Callable[[_Emit], _Emit]:
    """A function that emits the function `name` into a module, unless that has it already."""

    def decorate(emit: _Emit) -> _Emit:
        @wraps(emit)
        def known_or_new(module: ir.Module) -> ir.Function:
            known = module.globals.get(name)
            return emit(module) if known is None else known

        return known_or_new

    return decorate


@_once("pool.barrier")
def declare_barrier(module: ir.Module) -> ir.Function:
    """Emit `void barrier(void* barrier, int64 threads)` into a module, once; return it.

    A kernel calls it with its last two arguments. It returns when all `threads` have called it,
    and what each wrote before is then seen by all. One thread passes at once. The function is
    internal and needs no symbol from outside.
    """
    wait, announce = _emit_wait(module), _emit_announce(module)
    function, build = _define(module, "pool.barrier", ir.FunctionType(VOID, [POINTER, I64]))
    block, threads = function.args
    with build.if_then(build.icmp_signed("<=", threads, I64(1))):
        build.ret_void()
    generation = _at(build, block, GENERATION)
    # It cannot change before this thread has arrived.
    old = _load(build, generation)
    arrived = _word(build, _at(build, block, ARRIVED))
    before = build.atomic_rmw("add", arrived, I32(1), "acq_rel")
    last = build.icmp_signed("==", build.zext(before, I64), build.sub(threads, I64(1)))
    with build.if_else(last) as (then, otherwise):
        with then:
            # Nobody arrives at the next barrier before the generation is raised.
            build.store_atomic(I32(0), arrived, "monotonic", 4)
            build.call(announce, [block, generation])
        with otherwise:
            build.call(wait, [block, generation, old])
    build.ret_void()
    return function


def pool_module(futex: int | None) -> ir.Module:
    """The native side of a pool, for the machine that this runs on.

    `futex` is the system call's number; with None, a mutex and a condition take its place. The
    block has the addresses of libc's functions (`libc_names`).

    Functions: `worker(slot)`, a thread's whole life; `run(block, function, context)`; `stop(block)`
    ends the workers; `spin(n)` pauses n times, for measuring; and `sleep` and `wake`.
    """
    module = ir.Module("pool")
    module.triple = binding.get_default_triple()
    if futex is None:
        _emit_condition(module)
    else:
        _emit_futex(module, futex)
    _emit_worker(module)
    _emit_run(module)
    _emit_stop(module)
    _emit_spin(module)
    return module


@_once("pool.wait")
def _emit_wait(module: ir.Module) -> ir.Function:
    """wait(block, signal, old): return once the signal is no longer `old`."""
    function, build = _define(module, "pool.wait", SLEEP)
    block, signal, old = function.args
    idle = build.icmp_unsigned("==", signal, _at(build, block, START))
    kinds = (_at(build, block, HEADER + offset) for offset in (IDLE_SPINS, SPINS))
    spins = build.load(build.bitcast(build.select(idle, *kinds), I64.as_pointer()))
    rest = build.alloca(I64)
    build.store(spins, rest)
    look, again, bed, check, doze, up, out = (
        function.append_basic_block(name)
        for name in ("look", "again", "bed", "check", "doze", "up", "out")
    )
    build.branch(look)
    build.position_at_end(look)
    build.cbranch(build.icmp_signed("!=", _load(build, signal), old), out, again)
    build.position_at_end(again)
    _pause(build, module)
    left = build.sub(build.load(rest), I64(1))
    build.store(left, rest)
    turn = build.and_(left, I64(_BETWEEN_YIELDS - 1))
    with build.if_then(build.icmp_signed("==", turn, I64(0)), likely=False):
        build.call(_libc(build, block, 0, ir.FunctionType(I32, [])), [])
    build.cbranch(build.icmp_signed(">=", left, I64(0)), look, bed)
    build.position_at_end(bed)
    sleepers = _word(build, _at(build, signal, SLEEPERS))
    build.atomic_rmw("add", sleepers, I32(1), "seq_cst")
    build.branch(check)
    build.position_at_end(check)
    build.cbranch(build.icmp_signed("!=", _load(build, signal, "seq_cst"), old), up, doze)
    build.position_at_end(doze)
    sleep = build.load(build.bitcast(block, SLEEP.as_pointer().as_pointer()))
    build.call(sleep, [block, signal, old])
    build.branch(check)
    build.position_at_end(up)
    build.atomic_rmw("sub", sleepers, I32(1), "seq_cst")
    build.branch(out)
    build.position_at_end(out)
    build.ret_void()
    return function


@_once("pool.announce")
def _emit_announce(module: ir.Module) -> ir.Function:
    """announce(block, signal): raise a signal by one and wake who sleeps on it."""
    function, build = _define(module, "pool.announce", WAKER)
    block, signal = function.args
    build.atomic_rmw("add", _word(build, signal), I32(1), "seq_cst")
    sleepers = _load(build, _at(build, signal, SLEEPERS), "seq_cst")
    with build.if_then(build.icmp_signed("!=", sleepers, I32(0)), likely=False):
        wake = build.bitcast(_at(build, block, WAKE), WAKER.as_pointer().as_pointer())
        build.call(build.load(wake), [block, signal])
    build.ret_void()
    return function


def _emit_worker(module: ir.Module) -> None:
    """worker(slot): wait for a job, do it, count down; again, until told to stop."""
    wait, announce = _emit_wait(module), _emit_announce(module)
    function, build = _define(module, "worker", ir.FunctionType(POINTER, [POINTER]), "external")
    (slot,) = function.args
    block = build.load(build.bitcast(slot, POINTER.as_pointer()))
    thread = build.load(build.bitcast(_at(build, slot, 8), I64.as_pointer()))
    start, job = _at(build, block, START), _at(build, block, JOB)
    seen = build.alloca(I32)
    # A pool's workers begin with `start` at zero; the first job may be there before they are.
    build.store(I32(0), seen)
    with _loop(build) as out:
        build.call(wait, [block, start, build.load(seen)])
        build.store(_load(build, start), seen)
        stop = build.load(build.bitcast(_at(build, job, STOP), I64.as_pointer()))
        with build.if_then(build.icmp_signed("!=", stop, I64(0)), likely=False):
            build.branch(out)
        _call_job(build, block, thread)
        pending = _word(build, _at(build, block, PENDING))
        before = build.atomic_rmw("sub", pending, I32(1), "acq_rel")
        with build.if_then(build.icmp_signed("==", before, I32(1))):
            build.call(announce, [block, _at(build, block, DONE)])
    build.ret(ir.Constant(POINTER, None))


def _emit_run(module: ir.Module) -> None:
    """run(block, function, context): on the workers and, as thread 0, here; until all are done."""
    wait, announce = _emit_wait(module), _emit_announce(module)
    kind = ir.FunctionType(VOID, [POINTER, POINTER, POINTER])
    function, build = _define(module, "run", kind, "external")
    block, code, context = function.args
    job, done = _at(build, block, JOB), _at(build, block, DONE)
    build.store(code, build.bitcast(job, POINTER.as_pointer()))
    build.store(context, build.bitcast(_at(build, job, CONTEXT), POINTER.as_pointer()))
    threads = build.load(build.bitcast(_at(build, job, THREADS), I64.as_pointer()))
    workers = build.trunc(build.sub(threads, I64(1)), I32)
    build.store(workers, _word(build, _at(build, block, PENDING)))
    old = _load(build, done)
    build.call(announce, [block, _at(build, block, START)])
    _call_job(build, block, I64(0))
    build.call(wait, [block, done, old])
    build.ret_void()


def _emit_stop(module: ir.Module) -> None:
    """stop(block): the workers return from `worker`; they must have no job."""
    announce = _emit_announce(module)
    function, build = _define(module, "stop", ir.FunctionType(VOID, [POINTER]), "external")
    (block,) = function.args
    build.store(I64(1), build.bitcast(_at(build, block, JOB + STOP), I64.as_pointer()))
    build.call(announce, [block, _at(build, block, START)])
    build.ret_void()


def _emit_spin(module: ir.Module) -> None:
    """spin(n): what waiting does n times before it sleeps, but for the look."""
    function, build = _define(module, "spin", ir.FunctionType(VOID, [I64]), "external")
    rest = build.alloca(I64)
    build.store(function.args[0], rest)
    with _loop(build) as out:
        left = build.sub(build.load(rest), I64(1))
        build.store(left, rest)
        _pause(build, module)
        with build.if_then(build.icmp_signed("<", left, I64(0))):
            build.branch(out)
    build.ret_void()


def _emit_futex(module: ir.Module, number: int) -> None:
    """`sleep` and `wake` by Linux's futex: the kernel looks at the word before it sleeps."""
    kind = ir.FunctionType(I64, [I64], var_arg=True)
    function, build = _define(module, "sleep", SLEEP, "external")
    block, word, old = function.args
    # No time limit; interrupted or awakened for nothing, `wait` looks again.
    arguments = [I64(number), word, I64(_PRIVATE_WAIT), build.zext(old, I64), I64(0)]
    build.call(_libc(build, block, 1, kind), arguments)
    build.ret_void()
    function, build = _define(module, "wake", WAKER, "external")
    block, word = function.args
    arguments = [I64(number), word, I64(_PRIVATE_WAKE), I64(_ALL)]
    build.call(_libc(build, block, 1, kind), arguments)
    build.ret_void()


def _emit_condition(module: ir.Module) -> None:
    """`sleep` and `wake` by a pthread mutex and a condition, which the block has room for."""
    one, two = ir.FunctionType(I32, [POINTER]), ir.FunctionType(I32, [POINTER, POINTER])
    function, build = _define(module, "sleep", SLEEP, "external")
    block, word, old = function.args
    mutex, condition = _at(build, block, MUTEX), _at(build, block, CONDITION)
    build.call(_libc(build, block, 1, one), [mutex])
    # Whoever changes the word must take the mutex to wake, so cannot do so between these two.
    with build.if_then(build.icmp_signed("==", _load(build, word, "seq_cst"), old)):
        build.call(_libc(build, block, 3, two), [condition, mutex])
    build.call(_libc(build, block, 2, one), [mutex])
    build.ret_void()
    function, build = _define(module, "wake", WAKER, "external")
    block, _ = function.args
    mutex, condition = _at(build, block, MUTEX), _at(build, block, CONDITION)
    build.call(_libc(build, block, 1, one), [mutex])
    build.call(_libc(build, block, 4, one), [condition])
    build.call(_libc(build, block, 2, one), [mutex])
    build.ret_void()


def _define(
    module: ir.Module, name: str, kind: ir.FunctionType, linkage: str = "internal"
) -> tuple[ir.Function, ir.IRBuilder]:
    """A new function and a builder at its start."""
    function = ir.Function(module, kind, name)
    function.linkage = linkage
    function.attributes.add("nounwind")
    # Waiting is rare and long: a call more is nothing, and code stays small.
    function.attributes.add("noinline")
    return function, ir.IRBuilder(function.append_basic_block("entry"))


@contextmanager
def _loop(build: ir.IRBuilder) -> Iterator[ir.Block]:
    """What is built inside is repeated until it branches to the block that this yields."""
    body, out = build.append_basic_block("body"), build.append_basic_block("out")
    build.branch(body)
    build.position_at_end(body)
    yield out
    build.branch(body)
    build.position_at_end(out)


def _call_job(build: ir.IRBuilder, block: ir.Value, thread: ir.Value) -> None:
    job = _at(build, block, JOB)
    function = build.load(build.bitcast(job, KERNEL.as_pointer().as_pointer()))
    context = build.load(build.bitcast(_at(build, job, CONTEXT), POINTER.as_pointer()))
    threads = build.load(build.bitcast(_at(build, job, THREADS), I64.as_pointer()))
    build.call(function, [context, thread, threads, block])


def _at(build: ir.IRBuilder, base: ir.Value, offset: int) -> ir.Value:
    return build.gep(base, [I64(offset)], inbounds=True)


def _word(build: ir.IRBuilder, address: ir.Value) -> ir.Value:
    return build.bitcast(address, I32.as_pointer())


def _load(build: ir.IRBuilder, address: ir.Value, ordering: str = "acquire") -> ir.Value:
    return build.load_atomic(_word(build, address), ordering, 4)


def _libc(build: ir.IRBuilder, block: ir.Value, index: int, kind: ir.FunctionType) -> ir.Value:
    """One of the functions `libc_names`."""
    place = _at(build, block, LIBC + 8 * index)
    return build.load(build.bitcast(place, kind.as_pointer().as_pointer()))


def _pause(build: ir.IRBuilder, module: ir.Module) -> None:
    """Tell the core that this is a spinning loop, where it has a word for it."""
    name, numbers = _PAUSE.get(module.triple.split("-")[0], ("", ()))
    if name:
        kind = ir.FunctionType(VOID, [I32] * len(numbers))
        known = module.globals.get(name)
        arguments = [I32(number) for number in numbers]
        build.call(ir.Function(module, kind, name) if known is None else known, arguments)
