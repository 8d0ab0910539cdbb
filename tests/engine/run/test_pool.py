import threading
import time
from pathlib import Path

import numpy as np
import pytest
from llvmlite import binding, ir

from mobilenets.engine.codegen import shared
from mobilenets.engine.codegen.sync import declare_barrier
from mobilenets.engine.run.pool import MAX_THREADS, ThreadPool
from tests.engine.run.pool_kernels import CELLS, build, check_exchange, context, play, source


@pytest.fixture(scope="module")
def kernels() -> dict[str, int]:
    return build()


@pytest.fixture(params=["futex", "condition"])
def way(request, monkeypatch) -> str:
    """Both ways of sleeping: Linux's, and that of other systems."""
    if request.param == "condition":
        monkeypatch.setattr(shared, "FUTEX", {})
    return request.param


def tasks() -> set[str]:
    """The ids of the process' threads."""
    return {task.name for task in Path("/proc/self/task").iterdir()}


def await_end(threads: set[str]) -> None:
    """Wait until the system has none of the threads: it still lists a thread for a moment after
    it was joined."""
    until = time.monotonic() + 60
    while threads & tasks():
        assert time.monotonic() < until, "threads are still there"
        time.sleep(0.001)


@pytest.mark.parametrize("threads", [1, 2, 3, 4])
def test_every_thread_sees_what_the_others_wrote_before_a_barrier(kernels, threads, way):
    pool = ThreadPool(threads)
    for rounds in (1, 2, 3, 300):
        check_exchange(pool, kernels, rounds)
    pool.close()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_each_of_thousands_of_runs_calls_every_thread_once(kernels, threads, way):
    pool = ThreadPool(threads)
    cells = context(threads)
    runs = 2_000
    for _ in range(runs):
        pool.run(kernels["count"], cells.ctypes.data)
    np.testing.assert_array_equal(cells[CELLS:], runs)
    pool.close()


def test_runs_far_apart_wake_sleeping_threads(kernels, way):
    pool = ThreadPool(3)
    pause = threading.Event()
    for i in range(100):
        check_exchange(pool, kernels, 2)
        # Around the time that the threads go to sleep, before and after.
        pause.wait(i * 2e-6)
    pool.close()


def test_two_functions_alternate_on_one_thread(kernels):
    pool = ThreadPool(1)
    cells = context(1)
    for _ in range(3):
        check_exchange(pool, kernels)
        pool.run(kernels["count"], cells.ctypes.data)
    assert cells[CELLS] == 3


def test_two_pools_take_turns(kernels):
    pools = [ThreadPool(2), ThreadPool(3)]
    for _ in range(200):
        for pool in pools:
            check_exchange(pool, kernels, 3)
    pools[0].close()
    check_exchange(pools[1], kernels)
    pools[1].close()


@pytest.mark.parametrize("shared", [True, False])
def test_python_threads_share_a_pool_or_have_their_own(kernels, shared):
    pools = [ThreadPool(2)] * 3 if shared else [ThreadPool(2), ThreadPool(2), ThreadPool(2)]
    errors = []

    def work(pool: ThreadPool) -> None:
        try:
            for _ in range(150):
                check_exchange(pool, kernels, 5)
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=work, args=(pool,)) for pool in pools]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not errors
    for pool in pools:
        pool.close()


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads in /proc")
def test_threads_start_with_the_first_run_and_end_with_the_pool(kernels):
    before = tasks()
    pool = ThreadPool(4)
    assert tasks() <= before
    check_exchange(pool, kernels)
    started = tasks() - before
    assert len(started) == 3
    pool.close()
    await_end(started)
    pool.close()
    before = tasks()
    pool = ThreadPool(4)
    check_exchange(pool, kernels)
    started = tasks() - before
    assert len(started) == 3
    del pool
    await_end(started)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_closed_pool_says_so(kernels, threads):
    pool = ThreadPool(threads)
    check_exchange(pool, kernels)
    pool.close()
    with pytest.raises(ValueError, match="the pool is closed"):
        check_exchange(pool, kernels)


@pytest.mark.parametrize("threads", [0, -1, MAX_THREADS + 1, 1.5, "2"])
def test_a_number_of_threads_out_of_range_is_named(threads):
    with pytest.raises(ValueError, match=r"threads must be an integer from 1 to 64, got"):
        ThreadPool(threads)


def test_many_more_threads_than_cores_make_progress(kernels):
    pool = ThreadPool(MAX_THREADS)
    check_exchange(pool, kernels, 5)
    pool.close()


def test_the_barrier_needs_no_symbol_from_outside():
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    module = binding.parse_assembly(source())
    outside = [f.name for f in module.functions if f.is_declaration]
    assert [name for name in outside if not name.startswith("llvm.")] == []


@pytest.mark.parametrize(
    "triple", ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "arm64-apple-darwin"]
)
def test_the_barrier_can_be_made_for_other_machines(triple):
    module = ir.Module()
    module.triple = triple
    assert declare_barrier(module) is declare_barrier(module)
    parsed = binding.parse_assembly(str(module))
    parsed.verify()
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    machine = binding.Target.from_triple(triple).create_target_machine()
    text = machine.emit_assembly(parsed)
    assert ("pause" if triple.startswith("x86") else "yield") in text


def test_an_idle_pool_uses_no_processor_time():
    result = play("idle")
    assert result.returncode == 0, result.stderr
    # 0.6 s would be two threads that go on spinning.
    assert float(result.stdout) < 0.03


@pytest.mark.parametrize("scene", ["fork", "fork_in_run", "fork_in_compile"])
def test_a_forked_child_has_threads_of_its_own(scene):
    # Python 3.12 and later warn of any fork with threads, on stderr.
    result = play(scene)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("threads", ["1", "2"])
def test_ctrl_c_comes_after_the_run(threads):
    result = play("interrupt", threads)
    assert (result.returncode, result.stdout) == (0, "interrupted"), result.stderr


@pytest.mark.parametrize(
    ("scene", "threads"),
    [
        ("exit_at_once", "3"),
        ("exit_while_spinning", "2"),
        ("exit_in_thread", "3"),
        ("exit_in_run", "3"),
    ],
)
def test_a_program_ends_in_order_with_its_pools_alive(scene, threads):
    for _ in range(3):
        result = play(scene, threads)
        assert (result.returncode, result.stderr) == (3, "")
