"""Object files in memory, and a process that runs what was compiled before without LLVM."""

import ctypes
import os
import subprocess
import sys

import pytest

from mobilenets.engine.codegen.objects import compile_object
from mobilenets.engine.ir.types import FLOAT32
from mobilenets.engine.kernels.emit import Module
from mobilenets.engine.run.loader import load
from mobilenets.engine.targets.host import host
from tests.engine.nets import mobilenet

linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems load by LLVM")
SCENE = """
import sys
import numpy as np
import mobilenets
net = mobilenets.compile(sys.argv[1], threads=2, shape=(1, 3, 32, 32))
net(np.zeros((1, 3, 32, 32), np.float32))
llvm = any(name.startswith(("llvmlite", "onnx")) for name in sys.modules)
print(net.report()["cached"], llvm)
"""


@linux
def test_what_was_compiled_before_runs_without_llvm(tmp_path):
    path = tmp_path / "v2.onnx"
    path.write_bytes(mobilenet("mobilenet_v2", 0.35, (32, 32), classes=10))
    said = [
        subprocess.run(
            [sys.executable, "-c", SCENE, path],
            env={**os.environ, "MOBILENETS_CACHE": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for _ in range(2)
    ]
    assert said == [["False", "True"], ["True", "False"]]


def text(body: str, more: str = "") -> str:
    return f'target triple = "{host().triple}"\n{more}\ndefine i32 @f(i32 %i) {{\n{body}\n}}\n'


def test_code_finds_its_own_constants_and_functions():
    table = "@numbers = internal constant [4 x i32] [i32 7, i32 11, i32 13, i32 17]"
    inner = """define internal i32 @twice(i32 %x) noinline {
  %y = add i32 %x, %x
  ret i32 %y
}"""
    body = """  %p = getelementptr [4 x i32], ptr @numbers, i32 0, i32 %i
  %x = load i32, ptr %p
  %y = call i32 @twice(i32 %x)
  ret i32 %y"""
    image = load(compile_object(text(body, f"{table}\n{inner}"), host()), ("f",))
    function = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(image.address("f"))
    assert [function(i) for i in range(4)] == [14, 22, 26, 34]
    with pytest.raises(KeyError):
        image.address("g")


@linux
def test_code_that_needs_something_from_outside_is_refused():
    body = "  %y = call i32 @getpid()\n  ret i32 %y"
    code = compile_object(text(body, "declare i32 @getpid()"), host())
    with pytest.raises(ValueError, match="the code needs getpid from outside"):
        load(code, ("f",))


def test_loops_that_copy_or_fill_do_not_become_calls():
    """LLVM makes `memset` and `memcpy` of them unless it is told not to."""
    module = Module(host())

    def body(e, p):
        with e.repeat(0, 4096, e.lanes) as i:
            e.store(e.splat(0.0), p[0], i)

    module.function("fill", [FLOAT32], body, public=True)
    assert load(compile_object(str(module), host()), ("fill",)).address("fill")
