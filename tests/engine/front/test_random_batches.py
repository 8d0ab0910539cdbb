"""Random small graphs: refused, or answered for 1, 2 and 3 images as ONNX Runtime does."""

import numpy as np
import pytest

from mobilenets.engine.front.read import read_graph
from mobilenets.engine.ir.reference import run_graph
from mobilenets.errors import WeightsError
from tests.engine.front.random_graphs import RefusedError, answer, random_graph
from tests.some import some

AT_ONCE = 50


@pytest.mark.parametrize("block", some(range(40)))
def test_no_graph_has_another_answer_for_a_batch(block):
    compared = 0
    for seed in range(AT_ONCE * block, AT_ONCE * (block + 1)):
        proto, x = random_graph(seed)
        try:
            graph = read_graph(proto.SerializeToString())
        except WeightsError:
            continue
        runs = [run_graph(graph, image[None])[graph.outputs[0]] for image in x]
        for count in (1, 2, 3):
            try:
                wanted = answer(proto, x[:count])
            except RefusedError:  # a file for one image that leaves the number open
                assert count > 1, seed
                continue
            found = np.concatenate(runs[:count]) if runs[0].ndim else np.stack(runs[:count])
            found = found.reshape(wanted.shape) if count == 1 else found
            scale = max(1.0, float(np.abs(wanted).max()))
            np.testing.assert_allclose(
                found, wanted, rtol=1e-3, atol=1e-4 * scale, err_msg=f"seed {seed}, {count} images"
            )
            compared += 1
    assert compared > AT_ONCE / 2


def test_images_are_not_mixed_before_a_shape_that_fits_one_alone():
    """Its last Reshape fails for five images, but not for two: the first puts them second."""
    proto, _ = random_graph(498)
    with pytest.raises(WeightsError, match="mixes the images of a batch"):
        read_graph(proto.SerializeToString())
