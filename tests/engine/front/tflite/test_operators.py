"""Each operator through the front end, the slow twin and the engine, against LiteRT.

Integers must be the same to the last bit; floats are added up in another order.
"""

import numpy as np
import pytest

from mobilenets.engine.front.read import read_graph
from mobilenets.engine.ir.reference import run_graph
from mobilenets.engine.targets.host import host
from tests.engine.front.tflite.files import litert
from tests.engine.front.tflite.single import BYTES, CASES, FLOATS, INT8, UINT8, Kind
from tests.engine.graphs import close
from tests.engine.nets import net_of, targets

OF_BYTES = {**CASES, **BYTES}
OF_FLOATS = {**CASES, **FLOATS}


def check(case, kind, on=()):
    data, x = case(kind)
    graph = read_graph(data)
    (wanted,) = litert(data, x)
    found = run_graph(graph, x)[graph.outputs[0]]
    assert found.shape == wanted.shape
    assert found.dtype == wanted.dtype == graph.tensors[graph.outputs[0]].dtype.numpy
    if wanted.dtype.kind == "f":
        close(found, wanted, 1e-5)
    else:
        np.testing.assert_array_equal(found, wanted)
    for target in on:
        with net_of(graph, 2, target=target) as net:
            np.testing.assert_array_equal(net(x), found)


@pytest.mark.parametrize("case", OF_FLOATS.values(), ids=OF_FLOATS)
def test_floats(case):
    check(case, Kind(np.float32, 0))


@pytest.mark.parametrize("dtype", [INT8, UINT8])
@pytest.mark.parametrize("case", OF_BYTES.values(), ids=OF_BYTES)
def test_integers(case, dtype):
    check(case, Kind(dtype, 0), (host(),))
    check(case, Kind(dtype, 1))


@pytest.mark.every
@pytest.mark.parametrize("dtype", [INT8, UINT8])
@pytest.mark.parametrize("case", OF_BYTES.values(), ids=OF_BYTES)
def test_integers_of_many_scales(case, dtype):
    for seed in range(2, 60):
        check(case, Kind(dtype, seed), targets().values() if seed < 5 else ())
