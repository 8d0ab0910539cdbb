"""Scenes of the engine's memory that need a process of their own: a fault ends it.

`python -m tests.engine.run.memory_scenes SCENE` plays one; it ends with status 0 and says `done`.
"""

import ctypes
import mmap
import os
import resource
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mobilenets.engine.codegen.build import build
from mobilenets.engine.front.read import read_graph
from mobilenets.engine.ir.graph import Graph
from mobilenets.engine.ir.reference import run_graph
from mobilenets.engine.plan.schedule import Schedule
from mobilenets.engine.run import session
from mobilenets.engine.run.session import Memory, Net
from mobilenets.engine.targets.host import host
from tests.engine import stored
from tests.engine.graphs import array, model, node
from tests.engine.nets import mobilenet, net_of, same, targets

ROOT = Path(__file__).parents[3]
PAGE = mmap.PAGESIZE
LINE = 64


def play(scene: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a scene in a process of its own."""
    command = [sys.executable, "-m", "tests.engine.run.memory_scenes", scene, *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )


def guarded(size: int, end: str, alignment: int = 4) -> Memory:
    """`size` bytes that begin right after a page that faults, or end right before one."""
    pages = -(-size // PAGE)
    block = mmap.mmap(-1, (pages + 2) * PAGE)
    held = (ctypes.c_char * len(block)).from_buffer(block)
    base = ctypes.addressof(held)
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    for page in (0, pages + 1):
        assert protect(base + page * PAGE, PAGE, mmap.PROT_READ * 0) == 0
    after = pages * PAGE - size if end == "upper" else 0
    return Memory(base + PAGE + after // alignment * alignment, (block, held))


def copied(values: np.ndarray, end: str) -> np.ndarray:
    """A copy between guards."""
    memory = guarded(max(values.nbytes, 4), end)
    raw = (ctypes.c_char * values.nbytes).from_address(memory.address)
    copy = np.frombuffer(raw, values.dtype).reshape(values.shape)
    copy[...] = values
    _KEPT.append(memory)
    return copy


_KEPT: list[Memory] = []


def guarded_net(built: tuple[bytes, np.ndarray, dict[str, Any]], end: str) -> Net:
    """A network whose arena and weights lie between guards, nothing to spare."""
    code, weights, info = built
    ordinary = session.allocate
    session.allocate = lambda size: guarded(size, end)
    try:
        return Net(code, copied(weights, end), info, cached=False)
    finally:
        session.allocate = ordinary


def everything() -> bytes:
    """Operators that MobileNets lack, on odd shapes."""
    nodes = [
        node("Conv", "x w0", "a", pads=[1, 0, 2, 1], strides=[2, 1]),
        node("Conv", "a w1", "b", group=3, pads=[1, 1, 1, 1]),
        node("HardSwish", "b", "c"),
        node("AveragePool", "c", "d", kernel_shape=[3, 2], pads=[1, 0, 1, 1], strides=[2, 1]),
        node("MaxPool", "c", "e", kernel_shape=[2, 3], pads=[0, 1, 1, 1]),
        node("Resize", "d - - size", "f", mode="linear"),
        node("Concat", "f f", "g", axis=1),
        node("Pad", "g pads", "h"),
        node("Softmax", "h", "i", axis=1),
        node("Transpose", "e", "j", perm=[0, 3, 1, 2]),
        node("Slice", "j start end axis step", "k"),
        node("GlobalAveragePool", "c", "l"),
        node("Mul", "c l", "m"),
        node("ArgMax", "m", "n_i", axis=1),
        node("Sigmoid", "x", "o"),
        node("Resize", "d - - size", "p", mode="linear"),
        node("Resize", "d - - size", "q", mode="linear"),
        node("ArgMax", "q", "r_i", axis=1),
        node("Expand", "l like", "s"),
        node("Concat", "c s c", "t", axis=1),
        node("Conv", "t w2", "u"),
    ]
    numbers = {"size": (1, 9, 7, 11), "pads": (0, 1, 0, 1, 0, 0, 1, 0), "start": (1,)}
    numbers |= {"end": (9,), "axis": (2,), "step": (2,), "like": (1, 9, 5, 7)}
    weights = {name: np.array(values, np.int64) for name, values in numbers.items()}
    weights |= {"w0": array(9, 5, 3, 2), "w1": array(9, 3, 3, 3), "w2": array(11, 27, 1, 1)}
    proto = model(nodes, (1, 5, 9, 7), weights, outputs="i k m n_i o p r_i u")
    return proto.SerializeToString()


def networks() -> list[Graph]:
    """Whole ones and parts: odd channels, odd sizes, every operator."""
    kinds = [
        ("mobilenet_v2", 0.35, (49, 75), None),
        ("mobilenet_v2", 1.0, (40, 40), 4),
        ("mobilenet_v1", 0.27, (31, 50), 5),
    ]
    graphs = [
        read_graph(mobilenet(name, width, size, classes=7, blocks=blocks), shape=(1, 3, *size))
        for name, width, size, blocks in kinds
    ]
    return [*graphs, read_graph(everything())]


def guards(target: str) -> None:
    """Arena, weights, input and outputs each between two pages that fault."""
    whole, *parts = networks()
    every = ((1, 0), (1, -1), (3, Schedule().stream))
    graphs = [(graph, every) for graph in parts]
    if target == host().name:
        graphs.append((whole, every[2:]))
    cases = [(graph, ways, array(*graph.tensors[graph.input].shape)) for graph, ways in graphs]
    cases += [(graph, every, x) for graph, x in stored.networks()]
    for graph, ways, x in cases:
        values = run_graph(graph, x)
        wanted = [values[name] for name in graph.outputs]
        for threads, stream in ways:
            built = build(graph, targets()[target], threads, Schedule(stream=stream))
            for end in ("lower", "upper"):
                with guarded_net(built, end) as net:
                    out = [copied(np.zeros_like(values), end) for values in wanted]
                    net(copied(x, end), out=out)
                for found, expected in zip(out, wanted, strict=True):
                    same(found, expected)


def overrun() -> None:
    """What the guards are for: this one must fault."""
    memory = guarded(5000, sys.argv[2])
    print("before", flush=True)  # noqa: T201
    ctypes.c_char.from_address(memory.address + (5000 if sys.argv[2] == "upper" else -1)).value = 1


class _Mallinfo(ctypes.Structure):
    """What glibc says of its heap; the eighth is bytes in use, the second those of mmap."""

    _fields_ = [(f"field{i}", ctypes.c_size_t) for i in range(10)]


def heap() -> int:
    """Bytes that native code holds; 0 where the C library does not tell."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallinfo2"):
        return 0
    library.mallinfo2.restype = _Mallinfo
    found = library.mallinfo2()
    return int(found.field7 + found.field4)


def resident() -> int:
    """Most bytes that this process has had in memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def allocations(threads: str) -> None:
    """Runs leave nothing behind, and need nothing but their outputs meanwhile."""
    size = (48, 48)
    graph = read_graph(mobilenet("mobilenet_v2", 0.35, size, blocks=6), shape=(1, 3, *size))
    net, x = net_of(graph, int(threads)), array(1, 3, *size)
    out = [net(x)]
    for _ in range(50):
        net(x, out=out)
    most = resident()
    tracemalloc.start()
    start, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    for _ in range(1000):
        net(x, out=out)
    now, peak = tracemalloc.get_traced_memory()
    assert now - start < 20_000, f"{now - start} bytes are left"
    assert peak - start < 10_000, f"{peak - start} bytes at once"
    made = net(x)
    tracemalloc.reset_peak()
    assert tracemalloc.get_traced_memory()[0] - now < made.nbytes + 1000
    tracemalloc.stop()
    del made
    # What leaks does so every time; what the C library sets up once, when a thread first waits
    # long, is in one of the three.
    grown = []
    for _ in range(3):
        held = heap()
        for _ in range(500):
            net(x, out=out)
        grown.append(heap() - held)
    assert min(grown) < 5000, f"{grown} bytes of the heap"
    assert resident() - most < 256 * 1024
    net.close()


def fork(threads: str) -> None:
    """Children run the network that their parent has run, all of them at once."""
    size = (64, 64)
    net = net_of(mobilenet("mobilenet_v2", 0.35, size), int(threads), shape=(1, 3, *size))
    x = array(2, 3, *size)
    wanted = net(x)
    children = []
    for _ in range(3):
        child = os.fork()
        if not child:
            os._exit(0 if all(np.array_equal(net(x), wanted) for _ in range(50)) else 1)
        children.append(child)
    same = all(np.array_equal(net(x), wanted) for _ in range(50))
    for child in children:
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
    assert same


SCENES: dict[str, Callable[..., None]] = {
    "allocations": allocations,
    "fork": fork,
    "guards": guards,
    "overrun": lambda _: overrun(),
}

if __name__ == "__main__":
    SCENES[sys.argv[1]](*sys.argv[2:])
    print("done")  # noqa: T201
