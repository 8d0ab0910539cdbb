"""Small native functions for pools to run, and the scenes that need a process of their own.

`python -m tests.engine.run.pool_kernels SCENE` plays one; it writes what the test looks for.
"""

import atexit
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from llvmlite import binding, ir

from mobilenets.engine.codegen.sync import declare_barrier
from mobilenets.engine.run import pool as module
from mobilenets.engine.run.pool import ThreadPool

ROOT = Path(__file__).parents[3]
CELLS = 2
"""A context is int64: rounds, faults, then a cell per thread."""

# Each round every thread writes its cell, waits, and reads the others'; `count` only adds one to
# each cell, `busy` keeps each thread at work for `rounds` turns.
SOURCE = """
define void @exchange(ptr %context, i64 %thread, i64 %threads, ptr %barrier) {
entry:
  %rounds = load i64, ptr %context
  %faults = getelementptr i64, ptr %context, i64 1
  %cells = getelementptr i64, ptr %context, i64 2
  %mine = getelementptr i64, ptr %cells, i64 %thread
  br label %round
round:
  %r = phi i64 [0, %entry], [%next, %read]
  %base = mul i64 %r, %threads
  %value = add i64 %base, %thread
  store i64 %value, ptr %mine
  call void @pool.barrier(ptr %barrier, i64 %threads)
  br label %look
look:
  %u = phi i64 [0, %round], [%v, %look]
  %other = getelementptr i64, ptr %cells, i64 %u
  %seen = load i64, ptr %other
  %hoped = add i64 %base, %u
  %bad = icmp ne i64 %seen, %hoped
  %fault = zext i1 %bad to i64
  atomicrmw add ptr %faults, i64 %fault monotonic
  %v = add i64 %u, 1
  %more = icmp slt i64 %v, %threads
  br i1 %more, label %look, label %read
read:
  call void @pool.barrier(ptr %barrier, i64 %threads)
  %next = add i64 %r, 1
  %again = icmp slt i64 %next, %rounds
  br i1 %again, label %round, label %out
out:
  ret void
}

define void @count(ptr %context, i64 %thread, i64 %threads, ptr %barrier) {
  %at = add i64 %thread, 2
  %mine = getelementptr i64, ptr %context, i64 %at
  %old = load i64, ptr %mine
  %new = add i64 %old, 1
  store i64 %new, ptr %mine
  ret void
}

define void @busy(ptr %context, i64 %thread, i64 %threads, ptr %barrier) {
entry:
  %rounds = load i64, ptr %context
  br label %turn
turn:
  %i = phi i64 [0, %entry], [%next, %turn]
  %next = add i64 %i, 1
  call void asm sideeffect "", "~{memory}"()
  %more = icmp slt i64 %next, %rounds
  br i1 %more, label %turn, label %out
out:
  call void @count(ptr %context, i64 %thread, i64 %threads, ptr %barrier)
  ret void
}
"""


def source() -> str:
    """The functions above and the barrier, as one module."""
    module = ir.Module("kernels")
    module.triple = binding.get_default_triple()
    declare_barrier(module)
    return str(module) + SOURCE


def build() -> dict[str, int]:
    """Addresses by name; the code stays for the process."""
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    binding.initialize_native_asmparser()
    module = binding.parse_assembly(source())
    module.verify()
    machine = binding.Target.from_default_triple().create_target_machine(opt=3, jit=True)
    engine = binding.create_mcjit_compiler(module, machine)
    found = {name: engine.get_function_address(name) for name in ("exchange", "count", "busy")}
    engine.detach()
    return found


def context(threads: int, rounds: int = 1) -> np.ndarray:
    cells = np.zeros(CELLS + threads, np.int64)
    cells[0] = rounds
    return cells


def check_exchange(pool: ThreadPool, kernels: dict[str, int], rounds: int = 50) -> None:
    cells = context(pool.threads, rounds)
    pool.run(kernels["exchange"], cells.ctypes.data)
    last = (rounds - 1) * pool.threads + np.arange(pool.threads)
    # Not by numpy.testing: its first use imports it, and a fork during an import hangs the child.
    assert cells[1] == 0
    assert (cells[CELLS:] == last).all()


def play(name: str, *more: str) -> subprocess.CompletedProcess[str]:
    """Run a scene in a process of its own; a hang is an error."""
    command = [sys.executable, "-m", "tests.engine.run.pool_kernels", name, *more]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def idle(pool: ThreadPool, kernels: dict[str, int]) -> None:
    """Writes the processor time of 0.3 s of sleep after a run."""
    check_exchange(pool, kernels)
    time.sleep(0.05)
    before = time.process_time()
    time.sleep(0.3)
    sys.stdout.write(str(time.process_time() - before))


def fork(pool: ThreadPool, kernels: dict[str, int]) -> None:
    """A child, and a child of that, use the pool; the parent still can."""
    check_exchange(pool, kernels)
    child = os.fork()
    check_exchange(pool, kernels)
    grandchild = os.fork() if child == 0 else -1
    check_exchange(pool, kernels)
    for one in (child, grandchild):
        if one > 0:
            assert os.waitstatus_to_exitcode(os.waitpid(one, 0)[1]) == 0
    if child == 0:
        pool.close()
        os._exit(0)


def fork_beside(work: Callable[[], object], in_child: Callable[[], object], times: int) -> None:
    """Forks while another thread does `work` over and over; each child must end well."""
    stop = threading.Event()

    def again() -> None:
        while not stop.is_set():
            work()

    worker = threading.Thread(target=again)
    worker.start()
    for _ in range(times):
        time.sleep(0.002)
        child = os.fork()
        if child == 0:
            in_child()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    stop.set()
    worker.join()


def fork_in_run(pool: ThreadPool, kernels: dict[str, int]) -> None:
    """Forks while another thread is inside run(): the child neither waits nor crashes."""
    fork_beside(
        lambda: check_exchange(pool, kernels, 500), lambda: check_exchange(pool, kernels), 20
    )


def fork_in_compile(pool: ThreadPool, kernels: dict[str, int]) -> None:
    """Forks while another thread is inside LLVM: the child can compile too."""
    fork_beside(build, lambda: check_exchange(pool, build()), 10)


def interrupt(pool: ThreadPool, kernels: dict[str, int]) -> None:
    """Ctrl-C in the middle of a run: the run ends whole, then the exception comes."""
    cells = context(pool.threads, rounds=300_000_000)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        pool.run(kernels["busy"], cells.ctypes.data)
        time.sleep(1)
    except KeyboardInterrupt:
        assert (cells[CELLS:] == 1).all()
        check_exchange(pool, kernels)
        sys.stdout.write("interrupted")


def exit_at_once(pool: ThreadPool, kernels: dict[str, int]) -> None:
    """The end of the program while the workers still spin."""
    check_exchange(pool, kernels)
    sys.exit(3)


def exit_while_spinning(pool: ThreadPool, kernels: dict[str, int]) -> None:
    """The same, with workers that still look for work when the interpreter has cleaned up."""
    module.IDLE_SECONDS = 60.0
    check_exchange(pool, kernels)
    sys.exit(3)


def exit_in_thread(pool: ThreadPool, kernels: dict[str, int]) -> None:
    """sys.exit ends a thread; the program ends with the pool alive and the pool still works."""

    def work() -> None:
        check_exchange(pool, kernels)
        sys.exit(5)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    atexit.register(lambda: check_exchange(pool, kernels))
    sys.exit(3)


def exit_in_run(pool: ThreadPool, kernels: dict[str, int]) -> None:
    """The end of the program while a daemon thread is inside run()."""

    def work() -> None:
        while True:
            check_exchange(pool, kernels, 500)

    threading.Thread(target=work, daemon=True).start()
    time.sleep(0.01)
    sys.exit(3)


SCENES: dict[str, Callable[[ThreadPool, dict[str, int]], None]] = {
    scene.__name__: scene
    for scene in (
        idle,
        fork,
        fork_in_run,
        fork_in_compile,
        interrupt,
        exit_at_once,
        exit_while_spinning,
        exit_in_thread,
        exit_in_run,
    )
}


if __name__ == "__main__":
    # Kept by a global name: alive until the interpreter itself goes.
    POOL, KERNELS = ThreadPool(int(sys.argv[2]) if len(sys.argv) > 2 else 3), build()
    SCENES[sys.argv[1]](POOL, KERNELS)
