import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from mobilenets.bench import compare
from mobilenets.bench.compare import BenchPlan
from tests.bench.stand_ins import name, write_pool


@pytest.fixture
def pool(tmp_path) -> Path:
    return write_pool(tmp_path / "pool.onnx", ("N", 3, 8, 8))


@pytest.fixture
def quick(monkeypatch):
    """The command line with a stand-in for the engine, and short turns."""
    monkeypatch.setattr(compare, "BenchPlan", partial(BenchPlan, turn=0.002, ours=name("OURS")))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


@pytest.mark.every
@pytest.mark.usefixtures("quick")
def test_the_command_prints_json_alone(call, pool):
    peers = f"{name('SLOW')},{name('ABSENT')}"
    ran = call("bench", pool, "--threads", "1,2", "--against", peers, "--rounds", 2, "--json")
    assert ran.status == 0
    found = json.loads(ran.out)
    assert set(found["ratio_to_best_peer"]) == {"1", "2"}
    for values in found["sides"][name("SLOW")].values():
        assert {"median_ms", "best_ms", "memory_mb", "agreement"} <= set(values)
        assert np.isfinite(values["median_ms"])
    assert "left out: " in ran.err
    assert "no_such_library is not installed; pip install such-library" in ran.err


@pytest.mark.usefixtures("quick")
def test_the_command_prints_a_table(call, pool):
    ran = call("bench", pool, "--against", name("SLOW"), "--rounds", 2)
    assert ran.status == 0
    assert "median ms" in ran.out
    assert "over ours: " in ran.out


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("mobilenet_v2", "--threads", "1,x"), 2, "--threads must be positive whole numbers"),
        (("mobilenet_v2", "--threads", "0"), 2, "--threads must be positive whole numbers"),
        (("mobilenet_v2", "--against", "tensorrt"), 2, "a side must be one of mobilenets"),
        (("mobilenet_v2", "--python", "litert"), 2, "--python must be SIDE=PATH"),
        (("nowhere.onnx",), 1, "nowhere.onnx: no such file"),
        (("mobilenet_v2", "--knob", "colour=red"), 2, "colour"),
        (("mobilenet_v2", "--resolution", "0"), 2, "resolution must be a positive integer"),
    ],
)
def test_wrong_arguments_are_one_line(call, arguments, status, message):
    ran = call("bench", *arguments)
    assert ran.status == status
    assert message in " ".join(ran.err.split())
    assert ran.out == ""
