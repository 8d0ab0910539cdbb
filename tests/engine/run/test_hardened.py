"""Systems that let no memory become code: hardened kernels, SELinux, services under systemd."""

import ctypes
import os
import subprocess
import sys

import onnx
import pytest

from mobilenets.engine.targets.host import host
from mobilenets.errors import InputError
from tests.engine.graphs import array, model, node

REFUSE = """
import ctypes, sys
import numpy as np
PR_SET_MDWE, REFUSE_EXEC_GAIN = 65, 1
if ctypes.CDLL(None).prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0):
    sys.exit("prctl")
from mobilenets.errors import InputError
from mobilenets.inference import open_session
x = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
"""
FALLS_BACK = """
session = open_session(sys.argv[1], threads=2)
(found,) = session(x).values()
(wanted,) = open_session(sys.argv[1], runtime="onnxruntime")(x).values()
np.testing.assert_array_equal(found, wanted)
print(session.runs_on, session.note)
"""
SAYS_SO = """
try:
    open_session(sys.argv[1], threads=2, runtime="mobilenets")
except InputError as error:
    print(error)
sys.modules["onnxruntime"] = None
try:
    open_session(sys.argv[1], threads=1)
except InputError as error:
    print(error)
"""


def run(path, scene: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", REFUSE + scene, path],
        env={**os.environ, "MOBILENETS_CACHE": str(path.parent / "cache")},
        capture_output=True,
        text=True,
    )
    if done.stderr.strip() == "prctl":
        pytest.skip("this kernel cannot be told so")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def path(tmp_path):
    if sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "prctl"):
        pytest.skip("Linux can be told so")
    nodes = [node("Conv", "x w", "c"), node("ReduceMean", "c", "y", axes=[2, 3], keepdims=0)]
    onnx.save(model(nodes, ("n", 3, 8, 8), {"w": array(4, 3, 3, 3)}), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def test_onnx_runtime_runs_the_file_and_the_note_says_why(path):
    said = run(path, FALLS_BACK)
    assert said.startswith(f"onnxruntime {path} runs on ONNX Runtime, not on the engine: ")
    assert "this system does not let programs make code that runs (Permission denied)" in said


def test_without_another_runtime_it_is_an_error_of_one_line(path):
    lines = run(path, SAYS_SO).splitlines()
    assert len(lines) == 2
    assert all("this system does not let programs make code that runs" in one for one in lines)


def test_a_processor_of_another_family_is_named(monkeypatch):
    monkeypatch.setattr("llvmlite.binding.get_process_triple", lambda: "riscv64-unknown-linux-gnu")
    with pytest.raises(InputError, match=r"makes code for x86_64, .*; this processor is riscv64-"):
        host()
