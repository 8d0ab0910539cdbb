"""The memory plan is the truth: nothing outside it is touched, and nothing else is allocated."""

import threading
from itertools import pairwise

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mobilenets
from mobilenets.cost import profile
from mobilenets.engine.front.read import read_graph
from mobilenets.engine.passes.fuse import FusedBlock, fuse
from mobilenets.engine.plan.arena import LINE, Buffer, bound, plan_arena
from mobilenets.engine.plan.program import prepare
from mobilenets.engine.plan.schedule import Choice, Schedule
from mobilenets.engine.run import session
from mobilenets.engine.targets.host import host
from tests.engine.graphs import array, ints, model, node
from tests.engine.nets import mobilenet, net_of, targets
from tests.engine.run.memory_scenes import guarded, play
from tests.some import some

OWN = host().name
SMALL = ("mobilenet_v2", 0.35, (64, 64))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the file and the cache that most tests share lie: what they run is compiled once."""
    made = tmp_path_factory.mktemp("small")
    (made / "model.onnx").write_bytes(mobilenet(*SMALL, classes=10))
    return made


@pytest.fixture
def small(folder, monkeypatch):
    """The file, and the shared cache."""
    monkeypatch.setenv("MOBILENETS_CACHE", str(folder / "cache"))
    return folder / "model.onnx"


@pytest.fixture
def uncached(tmp_path, monkeypatch):
    """The beginning of a network in a file, and a cache of the test's own, empty."""
    monkeypatch.setenv("MOBILENETS_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "beginning.onnx"
    path.write_bytes(mobilenet(*SMALL, blocks=2))
    return path


# Guard pages and allocations, in processes of their own


OTHERS = [name for name in targets() if name not in ("avx2", OWN)]


@pytest.mark.parametrize("target", some([OWN, *OTHERS]))
def test_nothing_is_read_or_written_beyond_arena_weights_input_and_outputs(target):
    ends_well("guards", target)


@pytest.mark.parametrize("end", ["lower", "upper"])
def test_a_guard_page_ends_the_process(end):
    result = play("overrun", end)
    assert result.stdout == "before\n"
    assert result.returncode < 0


def test_guarded_memory_lies_where_it_should():
    for size in (4, 4096, 5000):
        assert guarded(size, "lower").address % 4096 == 0
        assert (guarded(size, "upper").address + size) % 4096 == 0


@pytest.mark.parametrize("threads", some(["1", "2"], (1,)))
def test_a_thousand_runs_allocate_nothing_but_their_outputs(threads):
    ends_well("allocations", threads)


@pytest.mark.every
@pytest.mark.parametrize("threads", ["1", "2"])
def test_forked_children_have_an_arena_of_their_own(threads):
    ends_well("fork", threads)


def ends_well(scene: str, argument: str) -> None:
    """Python 3.12 and later warn of any fork with threads, on stderr."""
    result = play(scene, argument)
    assert (result.returncode, result.stdout) == (0, "done\n"), result.stderr


# The plan


def buffers() -> st.SearchStrategy[list[Buffer]]:
    """Any sizes, any times."""
    spans = st.tuples(st.integers(0, 12), st.integers(0, 12)).map(sorted)
    one = st.tuples(st.integers(1, 300), spans)
    return st.lists(one, max_size=14).map(
        lambda drawn: [Buffer(str(i), size, *span) for i, (size, span) in enumerate(drawn)]
    )


@settings(max_examples=300, deadline=None)
@given(buffers())
def test_buffers_that_are_alive_together_never_overlap(drawn):
    made = plan_arena(drawn)
    for one in drawn:
        start = made.offsets[one.name]
        assert start >= 0
        assert start % LINE == 0
        assert start + one.size <= made.size
        for other in drawn:
            if other is not one and one.meets(other):
                at = made.offsets[other.name]
                assert start + one.size <= at or at + other.size <= start
    assert made.size >= bound(drawn)
    assert made.size <= sum(-(-b.size // LINE) * LINE for b in drawn)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 500), min_size=1, max_size=12))
def test_a_chain_of_maps_needs_what_two_neighbours_need(sizes):
    chain = [Buffer(str(i), size, i, i + 1) for i, size in enumerate(sizes)]
    pairs = [sum(-(-n // LINE) * LINE for n in pair) for pair in pairwise([0, *sizes, 0])]
    assert bound(chain) == max(pairs)
    assert plan_arena(chain).size <= 1.5 * max(pairs)


@pytest.mark.parametrize("threads", some([1, 2, 3], (1,)))
@pytest.mark.parametrize("stream", [-1, 0, Schedule().stream])
def test_the_plan_of_a_network_is_what_the_report_says_and_the_session_takes(
    monkeypatch, stream, threads
):
    taken = []
    ordinary = session.allocate
    monkeypatch.setattr(session, "allocate", lambda size: (taken.append(size), ordinary(size))[1])
    blocks = None if (threads, stream) == (2, Schedule().stream) else 6  # the whole network once
    graph = read_graph(mobilenet(*SMALL, classes=10, blocks=blocks), shape=(1, 3, 64, 64))
    program = prepare(graph, host(), threads, Schedule(stream=stream))
    with net_of(graph, threads, Schedule(stream=stream)) as net:
        report = net.report()
    assert taken == [report["arena_bytes"]] == [program.arena_bytes]
    assert report["weights_bytes"] == program.weights_bytes
    assert report["arena_bytes"] <= report["unfused_arena_bytes"]


def test_v2_at_224_needs_little_more_than_a_megabyte():
    graph = read_graph(mobilenet("mobilenet_v2"), shape=(1, 3, 224, 224))
    found = {
        stream: prepare(graph, host(), 1, Schedule(stream=stream)).arena_bytes
        for stream in (-1, 0, Schedule().stream)
    }
    assert found[Schedule().stream] <= 1_300_000
    assert found[0] < found[-1]
    assert found[Schedule().stream] <= 750_000  # its early blocks are streamed as one


def test_a_shortcut_is_made_in_place():
    data = mobilenet("mobilenet_v2", 1.0, (56, 56), blocks=3)
    graph = read_graph(data, shape=(1, 3, 56, 56))
    block = next(unit for unit in fuse(graph) if isinstance(unit, FusedBlock) and unit.shortcut)
    schedule = Schedule({block.name: Choice("rows", 144, 1)}, -1)
    program = prepare(graph, host(), 1, schedule)
    assert program.roots == {block.output: (block.source, 0)}
    assert block.output not in program.plan.offsets
    x = array(1, 3, 56, 56)
    with net_of(graph, 1, schedule) as net, net_of(graph, 2) as other:
        np.testing.assert_allclose(net(x), other(x), atol=1e-5)


def test_sums_and_activations_are_made_in_place():
    nodes = [node("HardSwish", "x", "a"), node("Add", "a c", "b"), node("Sigmoid", "b", "d")]
    nodes += [node("Mul", "d c", "e"), node("Softmax", "e", "y", axis=1)]
    graph = read_graph(model(nodes, (1, 8, 9, 9), {"c": array(8, 1, 1)}, "y").SerializeToString())
    program = prepare(graph, host(), 2, Schedule())
    assert set(program.roots.values()) == {("a", 0)}
    assert {"b", "d", "e"} <= set(program.roots)


# The session


def test_outputs_belong_to_the_caller(small):
    with mobilenets.compile(small, shape=(1, 3, 64, 64), threads=1) as net:
        x = array(2, 3, 64, 64)
        first = net(x)
        kept = first.copy()
        net(array(2, 3, 64, 64))
        np.testing.assert_array_equal(first, kept)
        low = net._arena.address
        address = first.ctypes.data
        assert not low <= address < low + net.report()["arena_bytes"]


def test_the_second_time_comes_from_the_cache_with_the_weights_mapped(uncached):
    x = array(1, 3, 64, 64)
    found = []
    for cached in (False, True):
        with mobilenets.compile(uncached, shape=(1, 3, 64, 64), threads=2) as net:
            assert net.report()["cached"] is cached
            assert isinstance(net._weights, np.memmap)
            assert not net._weights.flags.writeable
            found.append(net(x))
    np.testing.assert_array_equal(*found)


def test_what_is_asked_for_otherwise_is_compiled_anew(uncached):
    shape = (1, 3, 64, 64)
    ways = [
        {"shape": shape, "threads": 1},
        {"shape": shape, "threads": 2},
        {"shape": (1, 3, 65, 64), "threads": 1},
        {"shape": shape, "threads": 1, "schedule": Schedule(stream=-1)},
    ]
    for cached in (False, True):
        for way in ways:
            with mobilenets.compile(uncached, **way) as net:
                assert net.report()["cached"] is cached


def test_files_that_share_weights_beside_them_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("MOBILENETS_CACHE", str(tmp_path / "cache"))
    weights = {"w": array(4, 3, 1, 1), "s": ints(1, 3, -1)}
    for size in (2, 5):
        nodes = [node("Conv", "x w", "c"), node("Relu", "c", "y")]
        path = tmp_path / f"{size}.onnx"
        onnx.save(
            model(nodes, (1, 3, size, size), weights), path, save_as_external_data=True,
            location="weights.bin", size_threshold=0,
        )  # fmt: skip
        with mobilenets.compile(path, threads=1) as net:
            assert net.input_shape == (1, 3, size, size)
            assert not net.report()["cached"]
        (tmp_path / "weights.bin").unlink()


REPORT = {
    "arena_bytes", "weights_bytes", "unfused_arena_bytes", "code_bytes", "target", "threads",
    "compile_seconds", "blocks", "cached",
}  # fmt: skip
BLOCK = {
    "name", "kind", "schedule", "input_shape", "output_shape", "output_dtype", "madds",
    "arena_bytes", "weights_bytes",
}  # fmt: skip


def test_the_report_has_what_compile_prints(small):
    with mobilenets.compile(small, shape=(1, 3, 64, 64), threads=1) as net:
        report = net.report()
    assert set(report) == REPORT
    assert all(set(block) == BLOCK for block in report["blocks"])
    assert report["target"] == OWN
    counted = profile("mobilenet_v2", width=0.35, resolution=64, classes=10)
    assert sum(block["madds"] for block in report["blocks"]) == counted.madds


def test_a_profile_adds_up_to_a_run(small):
    with mobilenets.compile(small, shape=(1, 3, 64, 64), threads=1) as net:
        x = array(2, 3, 64, 64)
        rows = net.profile(x, rounds=30)
        names = [(row.name, row.kind, row.madds) for row in rows]
        blocks = net.report()["blocks"]
        assert names == [(block["name"], block["kind"], block["madds"]) for block in blocks]
        assert all(row.milliseconds > 0 for row in rows)
        assert all(0 <= row.share_of_peak < 1.5 for row in rows)
        # No step is left out of the clock: the ticks from the first to the last are all of them.
        clock = net._clock.copy()
        assert (np.diff(clock) > 0).all()
        assert np.diff(clock).sum() == clock[-1] - clock[0]


WRONG = {
    "another size": (np.zeros((1, 3, 63, 64), np.float32), r"x must have shape .*64, 64\), got"),
    "an axis less": (np.zeros((3, 64, 64), np.float32), "x must have shape .*got"),
    "doubles": (np.zeros((1, 3, 64, 64)), "x must be float32, got float64"),
    "other bytes": (np.zeros((1, 3, 64, 64), ">f4"), "x must be float32, got >f4"),
    "a list": ([[0.0]], "x must have shape .*got list"),
    "a number": (np.float32(1), "x must have shape"),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_input_that_does_not_fit_is_named(small, name):
    x, message = WRONG[name]
    with (
        mobilenets.compile(small, shape=(1, 3, 64, 64), threads=1) as net,
        pytest.raises(ValueError, match=message) as caught,
    ):
        net(x)
    assert "\n" not in str(caught.value)


def test_outputs_can_be_given_and_must_fit(small):
    with mobilenets.compile(small, shape=(1, 3, 64, 64), threads=1) as net:
        x = array(3, 3, 64, 64)
        out = np.full((3, 10), np.nan, np.float32)
        assert net(x, out=[out]) is out
        np.testing.assert_array_equal(out, net(x))
        sealed = np.zeros((3, 10), np.float32)
        sealed.flags.writeable = False
        wrong = [
            [np.zeros((2, 10), np.float32)],
            [np.zeros((3, 10))],
            [np.zeros((3, 20), np.float32)[:, ::2]],
            [out, out],
            [],
            [sealed],
        ]
        for given in wrong:
            with pytest.raises(ValueError, match=r"out must be .*arrays"):
                net(x, out=given)
        assert not sealed.any()


def test_inputs_that_lie_otherwise_are_copied(small):
    with mobilenets.compile(small, shape=(1, 3, 64, 64), threads=2) as net:
        x = array(4, 3, 64, 64)
        expected = net(x)
        turned = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
        np.testing.assert_array_equal(net(turned), expected)
        np.testing.assert_array_equal(net(np.repeat(x, 2, 0)[::2]), expected)
        raw = np.zeros(x.nbytes + 1, np.uint8)[1:].view(np.uint8)
        odd = np.frombuffer(raw.data, np.float32).reshape(x.shape)
        odd[...] = x
        np.testing.assert_array_equal(net(odd), expected)


def test_many_python_threads_share_a_network(small):
    with mobilenets.compile(small, shape=(1, 3, 64, 64), threads=2) as net:
        images = [array(2, 3, 64, 64) for _ in range(4)]
        expected = [net(x) for x in images]
        wrong = []

        def work(number: int) -> None:
            for _ in range(10):
                if not np.array_equal(net(images[number]), expected[number]):
                    wrong.append(number)

        workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert not wrong


def test_a_closed_network_says_so(small):
    net = mobilenets.compile(small, shape=(1, 3, 64, 64), threads=2)
    net.close()
    with pytest.raises(ValueError, match="closed"):
        net(array(1, 3, 64, 64))


def test_arguments_of_the_wrong_kind_are_named(tmp_path):
    path = tmp_path / "v2.onnx"
    path.write_bytes(mobilenet("mobilenet_v2", 0.35, (32, 32), classes=10))
    with pytest.raises(ValueError, match="schedule must be a Schedule, got str"):
        mobilenets.compile(path, schedule="mine.json")
    with pytest.raises(ValueError, match="shape must be a tuple of integers, got 224"):
        mobilenets.compile(path, shape=224)
    net = net_of(path.read_bytes(), shape=(1, 3, 32, 32))
    x = np.zeros((1, 3, 32, 32), np.float32)
    for out in (np.zeros((1, 10), np.float32), [[0.0] * 10]):
        with pytest.raises(ValueError, match="out must be a list of arrays"):
            net(x, out=out)
    with pytest.raises(ValueError, match="an image and a round are needed, got 0 and 50"):
        net.profile(x[:0])
