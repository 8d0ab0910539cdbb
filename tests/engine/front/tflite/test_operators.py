"""Each operator through the front end and the slow twin, against LiteRT on the same file.

Integers must be the same to the last bit; floats are added up in another order.
"""

import numpy as np
import pytest

from mobilenets.engine.front.read import read_graph
from mobilenets.engine.ir.reference import run_graph
from tests.engine.front.tflite.files import litert
from tests.engine.front.tflite.single import BYTES, CASES, FLOATS, INT8, UINT8, Kind
from tests.engine.graphs import close

OF_BYTES = {**CASES, **BYTES}
OF_FLOATS = {**CASES, **FLOATS}


def check(case, kind):
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


@pytest.mark.parametrize("case", OF_FLOATS.values(), ids=OF_FLOATS)
def test_floats(case):
    check(case, Kind(np.float32, 0))


@pytest.mark.parametrize("dtype", [INT8, UINT8])
@pytest.mark.parametrize("case", OF_BYTES.values(), ids=OF_BYTES)
def test_integers(case, dtype):
    for seed in range(2):
        check(case, Kind(dtype, seed))


@pytest.mark.every
@pytest.mark.parametrize("dtype", [INT8, UINT8])
@pytest.mark.parametrize("case", OF_BYTES.values(), ids=OF_BYTES)
def test_integers_of_many_scales(case, dtype):
    for seed in range(2, 60):
        check(case, Kind(dtype, seed))
