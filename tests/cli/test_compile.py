import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import mobilenets
from mobilenets import open_session
from mobilenets.engine.plan.schedule import Schedule
from tests.quick import quick_export

BLOCK = {
    "kind": "inverted residual",
    "schedule": "conv rows > rows, groups of 48",
    "input_shape": [1, 16, 112, 112],
    "output_shape": [1, 24, 56, 56],
    "madds": 13_000_000,
    "arena_bytes": 401_408,
    "weights_bytes": 20_000,
    "share_of_peak": None,
}
REPORT = {
    "arena_bytes": 1_250_000,
    "weights_bytes": 14_000_000,
    "unfused_arena_bytes": 6_000_000,
    "code_bytes": 90_000,
    "target": "avx512",
    "threads": 2,
    "compile_seconds": 3.25,
    "cached": False,
    "blocks": [{"name": "block 1", **BLOCK}, {"name": "block [2]", **BLOCK}],
}


class Net:
    """What the engine's has that the command uses."""

    input_shape = (1, 3, 8, 8)
    input_dtype = "float32"

    def report(self) -> dict[str, Any]:
        return REPORT

    def profile(self, image: np.ndarray) -> list[Any]:
        assert image.shape == self.input_shape
        assert image.dtype == np.float32
        shares = (0.815, 0.625)
        return [SimpleNamespace(milliseconds=0.1234, share_of_peak=share) for share in shares]


@pytest.fixture
def asked(monkeypatch) -> list[dict[str, Any]]:
    """What the engine is called with."""
    calls: list[dict[str, Any]] = []

    def compiled(path, **values):
        calls.append({"path": str(path), **values})
        if Path(path).exists():
            calls[-1]["card"] = open_session(path).card
        return Net()

    monkeypatch.setattr(mobilenets, "compile", compiled, raising=False)
    return calls


def test_json_is_the_report_and_nothing_else(call, asked):
    ran = call("compile", "m.onnx", "--json")
    assert ran.status == 0
    assert json.loads(ran.out) == REPORT
    assert asked == [{"path": "m.onnx", "threads": None, "shape": None, "schedule": None}]


def test_options_reach_the_engine(call, asked, tmp_path):
    chosen = {"blocks": {"block 1": {"kind": "groups", "group": 48, "strip": 1}}, "stream": 0}
    path = tmp_path / "schedule.json"
    path.write_text(json.dumps(chosen))
    ran = call("compile", "m.onnx", "--threads", 2, "--shape", "1,3,97,97", "--schedule", path)
    assert ran.status == 0
    assert asked == [
        {
            "path": "m.onnx",
            "threads": 2,
            "shape": (1, 3, 97, 97),
            "schedule": Schedule.from_json(chosen),
        }
    ]


def test_the_table_has_blocks_schedules_bytes_and_totals(call, asked, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    said = call("compile", "m.onnx").out
    for word in (
        "block 1",
        "block [2]",
        "rows, groups of 48",
        "24x56x56",
        "13.00",
    ):
        assert word in said
    assert "401.4" in said
    assert "26.0 M multiply-adds on 2 threads of avx512, compiled in 3.25 s" in said
    assert "arena 1.250 MB; layer by layer it would be 6.000 MB" in said
    assert "ms" not in said.split()


def test_a_profile_adds_times_and_shares_of_peak(call, asked, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    blocks = json.loads(call("compile", "m.onnx", "--profile", "--json").out)["blocks"]
    new = {"milliseconds": 0.1234, "share_of_peak": 0.625}
    assert blocks[1] == {**REPORT["blocks"][1], **new}
    said = call("compile", "m.onnx", "--profile").out
    assert "0.123" in said
    assert "81.5" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--shape", "1,3,big"), "--shape must be positive whole numbers"),
        (("--shape", "1,3,0,7"), "--shape must be positive whole numbers"),
        (("--threads", "0"), "threads"),
    ],
)
def test_wrong_arguments_are_one_line(call, asked, arguments, message):
    ran = call("compile", "m.onnx", *arguments)
    assert ran.status == 2
    assert message in " ".join(ran.err.split())
    assert ran.out == ""


@pytest.mark.parametrize("content", ["{", "[1, 2]"])
def test_a_schedule_that_is_no_object_is_named(call, asked, tmp_path, content):
    path = tmp_path / "schedule.json"
    path.write_text(content)
    ran = call("compile", "m.onnx", "--schedule", path)
    assert ran.status == 1
    assert "schedule.json: " in ran.err
    assert asked == []


def test_a_name_is_exported_and_compiled(call, asked):
    """To a file that is there while it is needed, and not kept."""
    words = ("--width", 0.35, "--classes", 3, "--resolution", 32)
    with quick_export():
        assert call("compile", "mobilenet_v2", *words).status == 0
    [found] = asked
    assert found["card"].arguments["width"] == 0.35
    assert len(found["card"].labels) == 3
    assert found["card"].preprocessing.size == (32, 32)
    assert not Path(found["path"]).exists()
