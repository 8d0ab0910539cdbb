"""Pictures that are too large or damaged: one line, at once, and nothing else on the terminal."""

import logging
import struct
import threading
import tracemalloc
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from mobilenets.errors import DataError
from mobilenets.runtime import images
from mobilenets.runtime.images import read_header, read_image
from tests.tasks.detect.formats.files import write


def claims(path, width, height, depth, kind):
    """A PNG whose header says so, and that has few pixels."""

    def chunk(name, data):
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000)))
    return write(path, b"\x89PNG\r\n\x1a\n" + data + chunk(b"IEND", b""))


@pytest.mark.parametrize(
    ("width", "height", "depth", "kind", "reason"),
    [
        (10_000, 10_000, 16, 0, "10000 x 10000 pixels of mode I;16 take 600 MB, at most 480 MB"),
        (12_000, 12_000, 8, 2, "mode RGB take 576 MB"),
        (9_000, 9_000, 8, 6, "mode RGBA take 648 MB"),
        (20_000, 20_000, 8, 2, "bomb: it claims more than 179 megapixels"),
        (2**31 - 1, 2**31 - 1, 8, 2, "bomb: it claims more than 179 megapixels"),
    ],
)
def test_a_picture_that_would_fill_the_memory_is_refused_by_its_header(
    tmp_path, width, height, depth, kind, reason
):
    path = claims(tmp_path / "large.png", width, height, depth, kind)
    for read in (read_image, read_header):
        tracemalloc.start()
        with pytest.raises(DataError, match=reason) as caught:
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 5e6
        tracemalloc.stop()
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)


def test_a_webp_is_counted_with_its_decoders_copies_and_a_jpeg_not_at_all(tmp_path, monkeypatch):
    picture = Image.new("RGB", (200, 100))
    for name in ("a.webp", "a.jpg", "a.bmp"):
        picture.save(tmp_path / name)
    monkeypatch.setattr(images, "MAX_BYTES", 200 * 100 * 15)
    with pytest.raises(DataError, match="take 0 MB"):
        read_image(tmp_path / "a.webp")
    assert read_image(tmp_path / "a.bmp").size == (200, 100)
    monkeypatch.setattr(images, "MAX_BYTES", 1)
    assert read_image(tmp_path / "a.jpg").size == (200, 100)


@pytest.mark.parametrize("mode", ["I;16", "I", "F", "RGBA", "LA", "PA"])
def test_strips_join_to_what_the_whole_picture_gives(tmp_path, monkeypatch, mode):
    values = np.random.default_rng(0).integers(0, 60_000, (37, 11))
    made = {
        "I;16": lambda: Image.fromarray(values.astype(np.uint16)),
        "I": lambda: Image.fromarray((values * 9 - 5).astype(np.int32)),
        "F": lambda: Image.fromarray((values * 0.31 - 7).astype(np.float32)),
    }
    colours = Image.fromarray(np.random.default_rng(1).integers(0, 255, (37, 11, 4), np.uint8))
    picture = made[mode]() if mode in made else colours.convert("L").convert("LA")
    if mode in ("RGBA", "PA"):
        picture = colours if mode == "RGBA" else colours.quantize(9)
    if mode == "LA":
        picture.putalpha(colours.getchannel("A"))
    suffix = "tif" if mode in made else "png"
    picture.save(tmp_path / f"a.{suffix}")
    whole = np.asarray(read_image(tmp_path / f"a.{suffix}"))
    monkeypatch.setattr(images, "STRIP", 30)  # 2 rows
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / f"a.{suffix}")), whole)
    assert len(np.unique(whole)) > 5


def test_libtiff_and_pillow_say_nothing_on_the_terminal(tmp_path, capfd):
    path = tmp_path / "a.tif"
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    Image.fromarray(noise).save(path, compression="tiff_lzw")
    data = bytearray(path.read_bytes())
    data[300:340] = b"\xff" * 40
    path.write_bytes(data)
    samples = tmp_path / "samples.tif"
    Image.fromarray(noise).save(samples)
    data = bytearray(samples.read_bytes())
    place = data.index(b"\x15\x01\x03\0\x01\0\0\0\x03\0")  # 277, SamplesPerPixel: 3
    data[place + 8 : place + 10] = b"\0\x08"
    samples.write_bytes(data)
    broken = tmp_path / "exif.jpg"
    Image.fromarray(noise).save(broken, exif=b"Exif\0\0II*\0\xff\0\0\0garbage")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with pytest.raises(DataError, match=r"a\.tif"):
            read_image(path)
        with pytest.raises(DataError, match=r"samples\.tif"):
            read_image(samples)
        assert read_image(broken).size == (40, 40)
        threads = [threading.Thread(target=read_image, args=[broken]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert logging.getLogger("PIL").handlers  # else Python prints what is logged there
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")
