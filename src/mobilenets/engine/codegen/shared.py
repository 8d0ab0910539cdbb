"""The block of memory that a pool's threads share.

All of it works on one block of memory, which `pool.py` makes and passes around:

    offset  what                                          who writes
         0  addresses of `sleep` and `wake`; spins        the pool, once
            within a run; spins between runs
        64  arrived: threads at the barrier               threads at the barrier
       128  generation, a signal: barriers passed         the last thread at a barrier
       192  start, a signal: jobs given                   the caller
       256  pending: workers that have not finished       workers
       320  done, a signal: jobs finished                 the last worker to finish
       384  function, context, threads, stop              the caller, before `start`
       448  addresses of libc's functions                 the pool, once
       512  mutex and condition, for systems without futex
       768  slots, 64 bytes each: the block, the thread   the pool, once

A *signal* is two 32-bit counters: how often it was raised, and how many threads sleep until it is
raised again. Waiting spins on the first a bounded number of times, letting others have its core now
and then (it may be the one that the awaited thread needs), and then sleeps. No wake-up is lost:
a thread that wants to sleep counts itself and then looks at the signal again; a thread that raises
the signal does so and then looks for sleepers. All four steps are sequentially consistent, so at
least one thread sees the other. Every counter that a thread spins on has a cache line of its own.

`sleep` and `wake`, and in them libc's functions, are called through the block, so that code that
has a barrier in it has no symbol to look up: an object file from the cache is complete in itself.
"""

from mobilenets.engine.targets import arm, x86

LINE = 64
HEADER, ARRIVED, GENERATION, START, PENDING, DONE, JOB, LIBC, MUTEX, CONDITION, SLOTS = (
    *range(0, 8 * LINE, LINE),
    8 * LINE,
    10 * LINE,
    12 * LINE,
)
SLEEPERS = 4  # within a signal
WAKE, SPINS, IDLE_SPINS = 8, 16, 24  # within the header
CONTEXT, THREADS, STOP = 8, 16, 24  # within the job

FUTEX = {"x86_64": x86.FUTEX, "aarch64": arm.FUTEX}
"""The number of Linux's futex system call; elsewhere a mutex and a condition do its work."""
_LOCK = (
    "pthread_mutex_lock",
    "pthread_mutex_unlock",
    "pthread_cond_wait",
    "pthread_cond_broadcast",
)


def libc_names(futex: int | None) -> tuple[str, ...]:
    """Which of libc's functions the block holds, in this order."""
    return ("sched_yield", *_LOCK) if futex is None else ("sched_yield", "syscall")
