"""The code for aarch64, run under emulation where qemu and a cross compiler are installed."""

import shutil
import subprocess

import numpy as np
import pytest

from mobilenets.engine.codegen.build import build
from mobilenets.engine.front.read import read_graph
from mobilenets.engine.ir.reference import run_graph
from mobilenets.engine.plan.schedule import Schedule
from mobilenets.engine.targets.arm import NEON
from tests.engine.graphs import close
from tests.engine.nets import mobilenet

COMPILER, EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64"
pytestmark = pytest.mark.skipif(
    not (shutil.which(COMPILER) and shutil.which(EMULATOR)),
    reason=f"needs {COMPILER} and {EMULATOR}",
)
MAIN = r"""
#include <stdio.h>
#include <stdlib.h>
void network(void **context, long thread, long threads, void *barrier);
static void *block(long bytes) { return aligned_alloc(64, (bytes + 127) / 64 * 64); }
static void *file(const char *name) {
    FILE *f = fopen(name, "rb"); fseek(f, 0, SEEK_END); long n = ftell(f); rewind(f);
    void *p = block(n); if (fread(p, 1, n, f) != n) exit(2); fclose(f); return p;
}
int main(int argc, char **argv) {
    long arena = atol(argv[1]), output = atol(argv[2]);
    void *out = block(output);
    void *context[] = {block(arena), file("weights"), block(65536), file("input"), out};
    network(context, 0, 1, 0);
    FILE *f = fopen("output", "wb"); fwrite(out, 1, output, f); return fclose(f);
}
"""


@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v2"])
def test_neon_code_computes_what_the_reference_does(name, tmp_path):
    graph = read_graph(mobilenet(name, 0.35, 96), shape=(1, 3, 96, 96))
    code, weights, info = build(graph, NEON, 1, Schedule())
    x = np.random.default_rng(0).standard_normal(graph.tensors[graph.input].shape)
    x = x.astype(np.float32)
    (tmp_path / "main.c").write_text(MAIN)
    (tmp_path / "net.o").write_bytes(code)
    weights.tofile(tmp_path / "weights")
    x.tofile(tmp_path / "input")
    command = [COMPILER, "-static", "-O1", "main.c", "net.o", "-o", "main"]
    subprocess.run(command, cwd=tmp_path, check=True)
    output = graph.outputs[0]
    sizes = info["report"]["arena_bytes"], 4 * graph.tensors[output].size
    subprocess.run([EMULATOR, "./main", *map(str, sizes)], cwd=tmp_path, check=True, timeout=120)
    found = np.fromfile(tmp_path / "output", np.float32)
    close(found.reshape(graph.tensors[output].shape), run_graph(graph, x)[output])
