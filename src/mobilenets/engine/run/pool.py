"""A session's own threads: they run native code together, spin briefly for more, then sleep.

The threads are made by `pthread_create` and never know of Python: they need no GIL, are in no
list of Python's threads, and live in the loop of `sync.py` until the pool is closed. That is what
makes the end of a process safe with pools alive, whoever ends it and how: nothing is joined,
nothing is called and no Python state belongs to them; `exit` ends them where they spin or sleep.
For that, all that they touch must outlive the interpreter's clean-up, so their code
is never freed, and their memory comes from libc and is freed only after they are
joined. Python's own daemon threads inside a native call would do as well until the end, but a
pool closed while the interpreter goes down would hand such a thread back to Python, which then
hangs it.
"""

import ctypes
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from mobilenets.engine.codegen import shared as layout
from mobilenets.engine.run.cache import Cache, key_of
from mobilenets.engine.run.identity import maker, processor
from mobilenets.engine.run.loader import load
from mobilenets.processors import processors

MAX_THREADS = 64
SPIN_SECONDS, IDLE_SECONDS = 5e-3, 5e-4
"""How long a thread spins before it sleeps: for the others in a run, and for the next run.

Waking one takes 50 to 100 microseconds, and a thread that wakes late lets the others fall asleep at
the next barrier. Where threads of a run slept after 50 microseconds, a network of 16 steps took 1.5
times as long; after 1 millisecond, 1.1 times.
"""
_KERNEL = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)


class ThreadPool:
    """Runs a native function on `threads` threads at once; the caller is the first of them.

    The other threads start with the first run. Several Python threads may use one pool: one run
    follows the other. After `fork` the child's pool starts threads of its own. An idle pool uses
    no processor time. Where there are no POSIX threads (Windows), `threads` is 1 whatever was
    asked for. ValueError unless threads is 1 to 64.
    """

    threads: int
    """How many threads each run has."""

    def __init__(self, threads: int) -> None:
        if not isinstance(threads, int) or not 1 <= threads <= MAX_THREADS:
            raise ValueError(f"threads must be an integer from 1 to {MAX_THREADS}, got {threads!r}")
        self.threads = threads if os.name == "posix" else 1
        if self.threads > 1:
            # Not by the first run: a child forked during that one would have to do without.
            _this_native()
        self._team: _Team | None = None
        self._closed = False
        self._address = 0
        self._function: Callable[..., None] = _KERNEL(0)
        # Reentrant: a signal handler may run the pool that it interrupted, which is then not in
        # native code, for Python calls handlers only between its own instructions.
        self._lock = threading.RLock()
        _POOLS.add(self)

    def run(self, function: int, context: int) -> None:
        """Call native code on all threads and return when all have returned.

        `function` is the address of `void f(void* context, int64 thread, int64 threads,
        void* barrier)`; the last is for `declare_barrier`'s function. Both addresses must stay
        valid until this returns. Ctrl-C takes effect after that. ValueError after `close`; OSError
        when the system gives no more threads.
        """
        with self._lock:
            if self._closed:
                raise ValueError("the pool is closed")
            if self.threads > 1:
                if self._team is None:
                    self._team = _Team(self.threads)
                self._team.run(self._team.block, function, context)
                return
            if function != self._address:
                self._function, self._address = _KERNEL(function), function
            self._function(context, 0, 1, None)

    def close(self) -> None:
        """Wait for a run in progress, end the threads and join them; a second call does nothing."""
        with self._lock:
            self._closed = True
            team, self._team = self._team, None
            if team is not None:
                team.close()

    def _after_fork(self) -> None:
        """In the child: the other threads are not there, and whoever held the lock may not be."""
        self._lock = threading.RLock()
        team, self._team = self._team, None
        if team is not None:
            team.close.detach()


class _Native(NamedTuple):
    """Functions of the compiled module and of libc; the calls release the GIL."""

    run: Callable[[int, int, int], None]
    stop: Callable[[int], None]
    worker: int
    sleep: int
    wake: int
    spins_per_second: float
    libc: tuple[int, ...]
    locks: bool
    """Whether threads sleep by a mutex and a condition, which the block has room for."""


class _Team:
    """Workers 1 to n - 1 and their block; they end when this is collected or closed."""

    def __init__(self, threads: int) -> None:
        native = _this_native()
        self.run = native.run
        self.block = _new_block(native, threads)
        workers: list[int] = []
        # Not at exit: see the top. `detach` makes it forget.
        self.close = weakref.finalize(self, _end, native, self.block, workers)
        self.close.atexit = False
        try:
            _start(native, self.block, threads, workers)
        except OSError:
            self.close()
            raise


def _new_block(native: _Native, threads: int) -> int:
    """The address of a zeroed block as `sync.py` describes it, with its header, job and slots."""
    size = layout.SLOTS + layout.LINE * threads
    memory = ctypes.c_void_p()
    if _libc().posix_memalign(ctypes.byref(memory), layout.LINE, size) or not memory.value:
        raise MemoryError(f"no {size} bytes for a pool of {threads} threads")
    block = memory.value
    ctypes.memset(block, 0, size)
    # With fewer cores than threads, who spins only keeps another from working.
    rate = native.spins_per_second if threads <= processors() else 0
    spins = [int(rate * seconds) for seconds in (SPIN_SECONDS, IDLE_SECONDS)]
    _put(block + layout.HEADER, native.sleep, native.wake, *spins)
    _put(block + layout.LIBC, *native.libc)
    _put(block + layout.JOB + layout.THREADS, threads)
    if native.locks:
        _libc().pthread_mutex_init(block + layout.MUTEX, None)
        _libc().pthread_cond_init(block + layout.CONDITION, None)
    for thread in range(threads):
        _put(block + layout.SLOTS + layout.LINE * thread, block, thread)
    return block


def _start(native: _Native, block: int, threads: int, workers: list[int]) -> None:
    """Make the workers and append each one's pthread to `workers` as soon as it is there."""
    handle = ctypes.c_void_p()
    # Signals are for Python's threads; these take only what their own faults raise.
    faults = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - faults)
    try:
        for thread in range(1, threads):
            slot = block + layout.SLOTS + layout.LINE * thread
            error = _libc().pthread_create(ctypes.byref(handle), None, native.worker, slot)
            if error:
                raise OSError(error, f"no more threads: {os.strerror(error)}")
            workers.append(handle.value or 0)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end(native: _Native, block: int, workers: list[int]) -> None:
    """Stop and join the workers, then free what they used."""
    native.stop(block)
    for worker in workers:
        _libc().pthread_join(worker, None)
    _libc().free(block)


def _this_native() -> _Native:
    system = os.uname()
    return _native(layout.FUTEX.get(system.machine) if system.sysname == "Linux" else None)


@cache
def _native(futex: int | None) -> _Native:
    """`sync.py`'s side in this process, once."""
    library: Any = ctypes.CDLL(None)
    names = ("run", "stop", "worker", "sleep", "wake", "spin")
    image = load(_code(futex), names)
    image.keep()  # workers may be in this code until the process is gone
    address = image.symbols
    pointer = ctypes.c_void_p
    return _Native(
        ctypes.CFUNCTYPE(None, pointer, pointer, pointer)(address["run"]),
        ctypes.CFUNCTYPE(None, pointer)(address["stop"]),
        address["worker"],
        address["sleep"],
        address["wake"],
        _spins_per_second(ctypes.CFUNCTYPE(None, ctypes.c_int64)(address["spin"])),
        tuple(_address(getattr(library, name)) for name in layout.libc_names(futex)),
        futex is None,
    )


def _code(futex: int | None) -> bytes:
    """The object file of `sync.py`'s side, from the cache if it was made before."""
    cache = Cache()
    key = key_of("pool", maker(), processor(), str(futex))
    entry = cache.fetch(key)
    if entry is None:
        from mobilenets.engine.codegen.objects import compile_object
        from mobilenets.engine.codegen.sync import pool_module
        from mobilenets.engine.targets.host import host

        code = compile_object(str(pool_module(futex)), host())
        entry = cache.store(key, code, np.zeros(layout.LINE, np.float32), {})
    return entry.code


def _spins_per_second(spin: Callable[[int], None]) -> float:
    """How many pauses a second has: they take 10 to 150 cycles each, so it is measured."""
    count, best = 1000, 1.0
    for _ in range(3):
        began = time.perf_counter()
        spin(count)
        best = min(best, time.perf_counter() - began)
    return count / best


@cache
def _libc() -> Any:
    library: Any = ctypes.CDLL(None)
    pointer = ctypes.c_void_p
    library.posix_memalign.argtypes = [pointer, ctypes.c_size_t, ctypes.c_size_t]
    library.pthread_create.argtypes = [pointer, pointer, pointer, pointer]
    library.pthread_join.argtypes = [pointer, pointer]
    library.pthread_mutex_init.argtypes = [pointer, pointer]
    library.pthread_cond_init.argtypes = [pointer, pointer]
    library.free.argtypes = [pointer]
    library.free.restype = None
    return library


def _put(address: int, *values: int) -> None:
    """Write 64-bit words to memory."""
    (ctypes.c_int64 * len(values)).from_address(address)[:] = list(values)


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _before_fork() -> None:
    # Whoever is inside LLVM comes out first: the child could never take a lock left behind.
    # llvmlite's lock around every call is its own affair, so it may go; then nothing is held.
    llvm = sys.modules.get("llvmlite.binding.ffi")
    lock = getattr(getattr(llvm, "lib", None), "_lock", None) or nullcontext()
    lock.__enter__()
    _HELD.append(lock)


def _after_fork_in_parent() -> None:
    _HELD.pop().__exit__(None, None, None)


def _after_fork_in_child() -> None:
    _HELD.pop().__exit__(None, None, None)
    for pool in tuple(_POOLS):
        pool._after_fork()


_POOLS: "weakref.WeakSet[ThreadPool]" = weakref.WeakSet()
_HELD: list[Any] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
