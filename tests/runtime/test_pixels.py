import ctypes

import numpy as np
import pytest
from PIL import Image

from mobilenets.runtime.pixels import pixels_of

HAS_ARROW = hasattr(Image.Image, "__arrow_c_array__")


@pytest.mark.skipif(not HAS_ARROW, reason="this Pillow gives no Arrow arrays")
def test_the_memory_is_the_images_own():
    picture = np.random.default_rng(0).integers(0, 256, (7, 11, 3)).astype(np.uint8)
    image = Image.fromarray(picture)
    found = pixels_of(image)
    assert found[1:4] == (11, 7, 4)
    memory = np.frombuffer(ctypes.string_at(found.address, 7 * 11 * 4), np.uint8)
    assert np.array_equal(memory.reshape(7, 11, 4)[..., :3], picture)
    image.putpixel((0, 0), (1, 2, 3))
    assert ctypes.string_at(found.address, 3) == b"\1\2\3"


def test_what_lies_in_pieces_or_has_other_pixels_is_not_given():
    assert pixels_of(Image.new("RGB", (3000, 2000))) is None
    assert pixels_of(Image.new("L", (8, 8))) is None
