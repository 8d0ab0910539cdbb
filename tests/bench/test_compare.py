import sys
from functools import partial

import numpy as np
import pytest

from mobilenets.bench import processes
from mobilenets.bench.compare import BenchPlan, compare
from mobilenets.bench.convert import IMAGE
from mobilenets.bench.sides import PEERS, SIDES, find
from tests.bench.stand_ins import name
from tests.engine.front.tflite.single import CASES, Kind

QUICK = partial(BenchPlan, rounds=3, turn=0.002, ours=name("OURS"))


def reasons(result) -> dict[str, str]:
    return {one.side.partition(":")[2] or one.side: one.reason for one in result.skipped}


def test_sides_take_turns_and_are_measured_at_every_number_of_threads(pool):
    done = []
    plan = QUICK(threads=(1, 2), against=(name("SLOW"), name("WRONG")))
    result = compare(str(pool), plan, advance=done.append)
    assert result.skipped == []
    assert sum(done) == 2 * 3
    assert result.threads() == [1, 2]
    assert set(result.sides) == {name("OURS"), name("SLOW"), name("WRONG")}
    for found in result.sides.values():
        for one in found.values():
            assert [len(turn) > 0 for turn in one.rounds] == [True] * 3
            assert 0 < one.best_ms <= one.median_ms
            assert one.peak >= one.memory
    assert result.best_peer(1) == name("WRONG")
    assert result.machine["cores"] >= 1


@pytest.mark.every
def test_what_is_missing_dies_refuses_or_fails_is_named_and_the_others_go_on(pool):
    sides = ("ABSENT", "DYING", "REFUSING", "FROM_WEIGHTS", "FAILING", "SLOW")
    result = compare(str(pool), QUICK(threads=(2,), against=tuple(map(name, sides))))
    assert set(result.sides) == {name("OURS"), name("SLOW")}
    found = reasons(result)
    assert found["ABSENT"] == "no_such_library is not installed; pip install such-library"
    assert found["DYING"] == "its process ended with status 3: Illegal instruction"
    assert found["REFUSING"] == "operator Foo is not supported"
    assert found["FAILING"] == "one thread is all it has"
    assert "a bare .onnx file has not" in found["FROM_WEIGHTS"]
    assert result.ratio_to_best_peer(2) is not None


@pytest.mark.every
def test_without_ours_the_peers_are_still_measured(pool):
    plan = BenchPlan((1,), (name("SLOW"),), rounds=1, turn=0.002, ours=name("REFUSING"))
    result = compare(str(pool), plan)
    assert set(result.sides) == {name("SLOW")}
    assert result.to_dict()["ratio_to_best_peer"] == {"1": None}


def test_silence_is_not_waited_for_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "PATIENCE", 1)
    np.save(tmp_path / IMAGE, np.zeros((1, 3, 8, 8), np.float32))
    with (
        processes.Process("run", name("SILENT"), tmp_path, [1]) as silent,
        pytest.raises(processes.SideError, match=r"^no answer in 1 seconds$"),
    ):
        silent.answer()


def test_an_interpreter_that_is_not_there_is_named(pool, tmp_path):
    plan = QUICK(against=(name("SLOW"),), pythons={name("SLOW"): str(tmp_path / "python")})
    assert reasons(compare(str(pool), plan)) == {
        "SLOW": f"{tmp_path / 'python'}: No such file or directory"
    }


def test_another_interpreter_finds_this_package(pool, tmp_path):
    """Through a link of another name, it is another one."""
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    environment = processes.environment(tmp_path, str(python))
    assert environment["PYTHONPATH"].startswith(str(tmp_path / "reach"))
    assert (tmp_path / "reach" / "mobilenets" / "bench" / "worker.py").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threads": (0,)}, "threads must be positive"),
        ({"threads": ()}, "threads must be positive"),
        ({"rounds": 0}, "rounds must be a positive integer, got 0"),
        ({"against": ("onnxrun",)}, "onnxruntime"),
        ({"pythons": {"tflite": "python"}}, "litert"),
        ({"against": ("tests.bench.stand_ins:NOWHERE",)}, "cannot be imported"),
        ({"against": ("tests.bench.stand_ins:NOT_A_SIDE",)}, "must be a mobilenets.bench"),
    ],
)
def test_a_wrong_plan_is_an_argument_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        BenchPlan(**arguments)


def test_every_peer_says_what_installs_it():
    for peer in PEERS:
        assert SIDES[peer].install
        assert find(peer).package


def test_a_tflite_file_is_run_as_it_is(tmp_path):
    """Of integers, to the same bits; who reads other files is named."""
    data, _ = CASES["convolution"](Kind(np.uint8, 0))
    path = tmp_path / "some.tflite"
    path.write_bytes(data)
    sides = ("litert", "onnxruntime", "torch")
    result = compare(str(path), BenchPlan((1,), sides, rounds=1, turn=0.002))
    assert set(result.sides) == {"mobilenets", "litert"}
    assert result.sides["mobilenets"][1].agreement == 0
    found = reasons(result)
    assert found["onnxruntime"] == "it reads model.onnx, which a bare .tflite file has not"
    assert found["torch"] == "the torch network is needed, which a bare .tflite file has not"
    with pytest.raises(ValueError, match=r"resolution must be \d+, which .*some\.tflite fixes"):
        compare(str(path), BenchPlan((1,), ()), resolution=999)


@pytest.mark.every
def test_real_sides_agree_on_a_network_with_random_weights():
    plan = BenchPlan((1,), ("onnxruntime", "torch"), rounds=2, turn=0.005, ours=name("OURS"))
    result = compare("mobilenet_v2", plan, resolution=32, knobs={"width": 0.25, "classes": 10})
    assert result.skipped == []
    assert result.sides["onnxruntime"][1].agreement == 0
    assert result.sides["torch"][1].agreement < 1e-4
    assert result.sides["torch"][1].version == __import__("torch").__version__.partition("+")[0]
