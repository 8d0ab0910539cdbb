"""Schedules are data: printed, read back, overridden; one that makes no sense is one line."""

import json

import numpy as np
import pytest

from mobilenets.engine.front.read import read_graph
from mobilenets.engine.passes.fuse import FusedBlock, fuse, weights_of
from mobilenets.engine.plan.program import prepare
from mobilenets.engine.plan.schedule import HEAVY, BlockShape, Choice, Schedule, choose, group_sizes
from mobilenets.engine.targets.arm import NEON
from mobilenets.engine.targets.host import host
from mobilenets.errors import InputError
from tests.engine.graphs import array, model, node
from tests.engine.nets import mobilenet, net_of, targets
from tests.some import some

SHAPE = (1, 3, 64, 64)


@pytest.fixture(scope="module")
def graph():
    return read_graph(mobilenet("mobilenet_v2", 0.5, 64, blocks=9), shape=SHAPE)


@pytest.fixture(scope="module")
def blocks(graph) -> list[FusedBlock]:
    return [unit for unit in fuse(graph) if isinstance(unit, FusedBlock)]


@pytest.fixture(scope="module")
def expected(graph):
    x = array(*SHAPE)
    with net_of(graph, 1) as net:
        return x, net(x)


def middle(block: FusedBlock) -> int:
    return len(block.depthwise.weight)


def smallest(block: FusedBlock, lanes: int) -> int:
    """Channels of the smallest group."""
    return lanes if middle(block) % lanes == 0 else middle(block)


def test_json_there_and_back():
    schedule = Schedule({"a": Choice("rows", 32, 2), "b/c": Choice("groups", 48, 7)}, 1000)
    text = json.dumps(schedule.to_json())
    assert Schedule.from_json(json.loads(text)) == schedule
    assert Schedule.from_json({}) == Schedule()
    assert Schedule.from_json({"stream": None}) == Schedule()
    assert Schedule.from_json({"stream": -1}) == Schedule(stream=-1)


def test_a_file_there_and_back(tmp_path):
    path = tmp_path / "schedule.json"
    schedule = Schedule({"a": Choice("groups", 16, 3)}, 0)
    path.write_text(json.dumps(schedule.to_json()))
    assert Schedule.from_file(path) == schedule


@pytest.mark.parametrize("threads", some([1, 2], (1,)))
@pytest.mark.parametrize("kind", ["rows", "groups"])
def test_an_override_changes_the_report_and_not_the_outputs(graph, blocks, expected, kind, threads):
    lanes = host().lanes
    chosen = {block.name: Choice(kind, smallest(block, lanes), 2) for block in blocks}
    x, wanted = expected
    with net_of(graph, threads, Schedule(chosen)) as net:
        rows = net.report()["blocks"]
        kinds = {row["kind"] for row in rows if any(b.name in row["name"] for b in blocks)}
        assert kinds == {kind}
        np.testing.assert_allclose(net(x), wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())
    plain = prepare(graph, host(), threads, Schedule())
    assert [entry.schedule for entry in plain.entries] != [row["schedule"] for row in rows]


def test_one_block_is_overridden_and_the_others_stay(graph, blocks):
    last = blocks[-1]
    plain = prepare(graph, host(), 1, Schedule())
    (entry,) = [e for e in plain.entries if last.name in e.names]
    kind = "rows" if entry.step.kind == "groups" else "groups"
    chosen = Schedule({last.name: Choice(kind, middle(last), 1)})
    other = prepare(graph, host(), 1, chosen)
    assert len(plain.entries) == len(other.entries)
    for before, after in zip(plain.entries, other.entries, strict=True):
        changed = last.name in before.names
        assert (before.schedule != after.schedule) is changed
        assert after.step.kind == (kind if changed else before.step.kind)


def test_streaming_makes_fewer_steps_that_name_all_their_blocks(graph, blocks):
    lanes = host().lanes
    rows = {block.name: Choice("rows", smallest(block, lanes), 1) for block in blocks}
    entries = {
        stream: prepare(graph, host(), 1, Schedule(rows, stream)).entries for stream in (-1, 0)
    }
    assert len(entries[0]) < len(entries[-1])
    for stream in (-1, 0):
        named = [name for entry in entries[stream] for name in entry.names]
        assert [b.name for b in blocks] == [n for n in named if n in {b.name for b in blocks}]
    together = next(entry for entry in entries[0] if blocks[-1].name in entry.names)
    assert {block.name for block in blocks} <= set(together.names)


def test_a_strip_of_more_rows_than_there_are_takes_no_more_memory(graph, blocks):
    block = blocks[0]
    high = graph.tensors[block.output].shape[2]
    sizes = [
        prepare(
            graph, host(), 1, Schedule({block.name: Choice("rows", middle(block), strip)}, -1)
        ).arena_bytes
        for strip in (high, 10**9)
    ]
    assert sizes[0] == sizes[1]


BAD = {
    "a list": [],
    "nothing": None,
    "another key": {"block": {}},
    "blocks that are a list": {"blocks": []},
    "stream below": {"stream": -2},
    "stream that is no number": {"stream": "many"},
    "stream that is a truth": {"stream": True},
    "a fraction": {"stream": 0.5},
    "a block that is a number": {"blocks": {"a": 3}},
    "a block without a strip": {"blocks": {"a": {"kind": "rows", "group": 8}}},
    "a block with more": {"blocks": {"a": {"kind": "rows", "group": 8, "strip": 1, "x": 1}}},
    "an unknown kind": {"blocks": {"a": {"kind": "columns", "group": 8, "strip": 1}}},
    "a group of none": {"blocks": {"a": {"kind": "rows", "group": 0, "strip": 1}}},
    "a strip below": {"blocks": {"a": {"kind": "groups", "group": 8, "strip": -1}}},
    "a group of a fraction": {"blocks": {"a": {"kind": "rows", "group": 8.0, "strip": 1}}},
    "a group that is a truth": {"blocks": {"a": {"kind": "rows", "group": True, "strip": 1}}},
}


@pytest.mark.parametrize("name", BAD)
def test_json_that_is_no_schedule_is_one_line(tmp_path, name):
    path = tmp_path / "schedule.json"
    path.write_text(json.dumps(BAD[name]))
    with pytest.raises(InputError, match=r"schedule\.json: .* (must|got)") as caught:
        Schedule.from_file(path)
    assert "\n" not in str(caught.value)


def test_a_schedule_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"mine\.json: no such file"):
        Schedule.from_file(str(tmp_path / "mine.json"))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"{} {}"])
def test_a_file_that_is_no_json_is_one_line(tmp_path, content):
    path = tmp_path / "schedule.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"schedule\.json: not a schedule in JSON") as caught:
        Schedule.from_file(path)
    assert "\n" not in str(caught.value)


def test_a_block_that_is_not_there_is_named(graph):
    with pytest.raises(InputError, match="'nobody' is no block of this network; it has ") as error:
        prepare(graph, host(), 1, Schedule({"nobody": Choice("rows", 16, 1)}))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("group", [1, 15, 10**9])
def test_a_group_that_does_not_divide_is_named_with_what_is_allowed(graph, blocks, group):
    name = blocks[3].name
    with pytest.raises(InputError, match=rf"{name}'s group must be one of \[.*\], got {group}"):
        prepare(graph, host(), 1, Schedule({name: Choice("groups", group, 1)}))


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("target", [*targets().values(), NEON], ids=[*targets(), "neon"])
def test_what_is_chosen_is_allowed_on_every_target(graph, blocks, target, threads):
    shapes = graph.tensors
    for block in blocks:
        high, wide = shapes[block.source].shape[2:]
        rows = shapes[block.output].shape[2]
        shape = BlockShape(high, wide, middle(block), rows, block.expand is not None, 0, 4)
        choice = choose(shape, target.lanes, threads)
        assert choice.group in group_sizes(middle(block), target.lanes)
        assert 1 <= choice.strip <= rows


def chains(name: str, schedule: Schedule) -> list[str]:
    graph = read_graph(mobilenet(name), shape=(1, 3, 224, 224))
    return [" > ".join(entry.names) for entry in prepare(graph, host(), 1, schedule).entries]


def test_blocks_with_many_weights_stay_out_of_chains_unless_all_is_streamed():
    size = {stream: len(chains("mobilenet_v1", Schedule(stream=stream))) for stream in (-1, 0)}
    default = chains("mobilenet_v1", Schedule())
    assert size[0] < len(default) < size[-1]
    first = read_graph(mobilenet("mobilenet_v1"), shape=(1, 3, 224, 224))
    heavy = [
        unit.name
        for unit in fuse(first)
        if isinstance(unit, FusedBlock)
        if weights_of(unit) > HEAVY
    ]
    assert len(heavy) > 5
    assert set(heavy) <= set(default)


def test_on_two_threads_chains_are_shorter_for_each_makes_rows_at_the_seam():
    graph = read_graph(mobilenet("mobilenet_v2"), shape=(1, 3, 224, 224))

    def stages(threads: int, schedule: Schedule) -> int:
        return len(prepare(graph, host(), threads, schedule).entries[0].names)

    assert stages(2, Schedule()) < stages(1, Schedule())
    stream = Schedule().limit(1)
    assert stages(2, Schedule(stream=stream)) == stages(1, Schedule())


def test_blocks_have_the_names_of_their_weights():
    """What all layers of a block begin with; where two blocks have that in common, the middle's."""
    nodes = [
        node("Conv", "x blocks.0.expand.conv.weight", "a"),
        node("Conv", "a blocks.0.depthwise.conv.weight", "b", group=8),
        node("Conv", "b blocks.0.project.conv.weight", "c"),
        node("Conv", "c other.1.weight", "d"),
        node("Conv", "d other.2.weight", "e", group=8),
        node("Conv", "e other.3.weight", "f"),
        node("Conv", "f other.4.weight", "g"),
        node("Conv", "g other.5.weight", "h", group=8),
        node("Conv", "h other.6.weight", "y"),
    ]
    shapes = ((8, 4, 1, 1), (8, 1, 1, 1), (4, 8, 1, 1)) * 3
    names = [one.input[1] for one in nodes]
    weights = {name: array(*shape) for name, shape in zip(names, shapes, strict=True)}
    graph = read_graph(model(nodes, (1, 4, 5, 5), weights).SerializeToString())
    found = [unit.name for unit in fuse(graph)]
    assert found == ["blocks.0", "other.2", "other.5"]
