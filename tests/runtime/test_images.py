import contextlib
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mobilenets.errors import DataError
from mobilenets.runtime.images import find_images, natural_key, read_image

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)


def read(path: Path) -> np.ndarray:
    image = read_image(path)
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


def png(path: Path, header: tuple[int, int, int, int], raw: bytes) -> Path:
    """A PNG written by hand: (width, height, bit depth, colour type) and unfiltered rows."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    parts = [(b"IHDR", struct.pack(">IIBBBBB", *header, 0, 0, 0)), (b"IDAT", zlib.compress(raw))]
    body = b"".join(chunk(kind, data) for kind, data in [*parts, (b"IEND", b"")])
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp", "ppm"])
def test_lossless_formats_give_their_pixels(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(COLOURS).save(path, **({"lossless": True} if suffix == "webp" else {}))
    assert (read(path) == COLOURS).all()


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_lossy_formats_come_close(tmp_path, suffix):
    smooth = Image.fromarray(COLOURS).resize((64, 48), Image.Resampling.BICUBIC)
    smooth.save(tmp_path / f"a.{suffix}", quality=95)
    assert np.abs(read(tmp_path / f"a.{suffix}") - np.asarray(smooth)).mean() < 8


def test_the_suffix_does_not_matter(tmp_path):
    Image.fromarray(COLOURS).save(tmp_path / "a.jpg", format="PNG")
    assert (read(tmp_path / "a.jpg") == COLOURS).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_every_exif_orientation_ends_upright(tmp_path, orientation, suffix):
    """The stored picture is the inverse turn of the true one, written out by index."""
    true = np.zeros((32, 48), np.uint8)
    true[:16, :24] = 255  # bright left top
    true[:16, 24:] = 128  # grey right top
    stored = {
        1: true,
        2: true[:, ::-1],
        3: true[::-1, ::-1],
        4: true[::-1],
        5: true.T,
        6: true.T[::-1],
        7: true[::-1, ::-1].T,
        8: true.T[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.ascontiguousarray(stored)).convert("RGB").save(path, exif=exif)
    assert np.abs(read(path)[..., 0] - true).mean() < 4


def test_a_broken_exif_block_does_not_cost_the_picture(tmp_path):
    Image.fromarray(COLOURS).save(tmp_path / "a.png", exif=b"Exif\0\0garbage!")
    assert (read(tmp_path / "a.png") == COLOURS).all()


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_grey_and_palette(tmp_path, mode):
    image = Image.fromarray(COLOURS).convert(mode)
    image.save(tmp_path / "a.png")
    assert (read(tmp_path / "a.png") == np.asarray(image.convert("RGB"))).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_composited_on_white(tmp_path, mode):
    alpha = RNG.integers(0, 256, COLOURS.shape[:2], dtype=np.uint8)
    image = Image.fromarray(np.dstack([COLOURS, alpha])).convert(mode)
    image.save(tmp_path / "a.png")
    colours = np.asarray(image.convert("RGBA"))[..., :3].astype(float)
    share = alpha[..., None] / 255
    assert np.abs(read(tmp_path / "a.png") - (colours * share + 255 * (1 - share))).max() <= 1


def test_a_transparent_palette_entry_is_white(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    for name in ("a.png", "a.gif"):
        image.save(tmp_path / name, transparency=0)
        assert read(tmp_path / name).tolist() == [[[255] * 3, [40, 50, 60]]]
    image.save(tmp_path / "many.png", transparency=bytes([0, 255]))
    assert read(tmp_path / "many.png").tolist() == [[[255] * 3, [40, 50, 60]]]


def test_a_transparent_colour_of_an_rgb_png_is_white(tmp_path):
    image = Image.new("RGB", (2, 1), (1, 2, 3))
    image.putpixel((1, 0), (4, 5, 6))
    image.save(tmp_path / "a.png", transparency=(1, 2, 3))
    assert read(tmp_path / "a.png").tolist() == [[[255] * 3, [4, 5, 6]]]


def test_the_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue", "lime")]
    for name in ("a.gif", "a.webp", "a.tif", "a.png"):
        more = {"lossless": True} if name == "a.webp" else {}
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **more)
        assert (read(tmp_path / name) == [255, 0, 0]).all()


def test_cmyk_jpegs_plain_and_inverted_are_not_negatives(tmp_path):
    image = Image.new("RGB", (16, 16), (200, 60, 30))
    image.convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    data = (tmp_path / "a.jpg").read_bytes()
    assert b"Adobe" in data, "Pillow writes CMYK as Photoshop does: inverted, with a marker"
    assert np.abs(read(tmp_path / "a.jpg") - [200, 60, 30]).max() < 10
    image.convert("CMYK").save(tmp_path / "a.tif")
    assert np.abs(read(tmp_path / "a.tif") - [200, 60, 30]).max() < 10


def test_16_bit_grey_is_scaled_not_clipped(tmp_path):
    levels = np.array([[0, 128, 129, 257, 1000, 32768, 65278, 65535]], np.uint16)
    want = np.rint(levels / 257.0)
    png(tmp_path / "a.png", (8, 1, 16, 0), b"\0" + levels.astype(">u2").tobytes())
    Image.fromarray(levels).save(tmp_path / "a.tif")
    for name in ("a.png", "a.tif"):
        assert (read(tmp_path / name) == want[..., None]).all()


@pytest.mark.parametrize(("colour_type", "channels"), [(2, 3), (6, 4)])
def test_16_bit_colour_is_scaled_to_within_one_level(tmp_path, colour_type, channels):
    levels = RNG.integers(0, 65536, (5, 7, channels))
    if channels == 4:
        levels[..., 3] = 65535
    raw = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    path = png(tmp_path / "a.png", (7, 5, 16, colour_type), raw)
    assert np.abs(read(path) - levels[..., :3] / 257).max() <= 1


@pytest.mark.parametrize(
    ("values", "want"),
    [
        ([[0.0, 0.5, 1.0]], [0, 128, 255]),
        ([[0.0, 100.4, 255.0]], [0, 100, 255]),
        ([[-10.0, 0.0, 10.0]], [0, 128, 255]),
        ([[7000.0, 7000.0, 7000.0]], [0, 0, 0]),
    ],
)
def test_floats(tmp_path, values, want):
    Image.fromarray(np.array(values, np.float32)).save(tmp_path / "a.tif")
    assert np.abs(read(tmp_path / "a.tif")[0, :, 0] - want).max() <= 1


def test_32_bit_integers_beyond_16_bits_are_stretched(tmp_path):
    Image.fromarray(np.array([[0, 1 << 20, 1 << 21]], np.int32)).save(tmp_path / "a.tif")
    assert np.abs(read(tmp_path / "a.tif")[0, :, 0] - [0, 128, 255]).max() <= 1


def broken_files(folder: Path) -> dict[str, str]:
    """File name -> what the message must say."""
    noise = Image.fromarray(RNG.integers(0, 256, (80, 80, 3), dtype=np.uint8))
    for name in ("cut.jpg", "cut.png", "cut.webp", "cut.gif", "cut.tif", "cut.bmp"):
        noise.save(folder / name)
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "page.jpg").write_text("<html>not found</html>")
    (folder / "magic.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "folder.png").mkdir()
    vector = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
    (folder / "drawing.jpg").write_bytes(vector)
    png(folder / "bomb.png", (60000, 60000, 8, 2), b"\0" * 100)
    Image.fromarray(np.array([[0.0, np.nan]], np.float32)).save(folder / "nan.tif")
    said = {
        "empty.jpg": "the file is empty",
        "page.jpg": "not an image",
        "drawing.jpg": "not an image",
        "folder.png": "Is a directory",
        "gone.png": "No such file",
        "bomb.png": "decompression bomb",
        "nan.tif": "not finite",
        "magic.png": "",
    }
    return said | dict.fromkeys(("cut.jpg", "cut.png", "cut.webp", "cut.gif", "cut.tif"), "")


def test_broken_files_are_named_with_a_reason_in_one_line(tmp_path):
    for name, reason in broken_files(tmp_path).items():
        with pytest.raises(DataError) as caught:
            read_image(tmp_path / name)
        message = str(caught.value)
        assert message.startswith(f"{tmp_path / name}: "), message
        assert reason in message
        assert "\n" not in message
        assert len(message) < len(str(tmp_path)) + 160


def test_damage_anywhere_is_a_data_error_or_a_picture_never_another_error(tmp_path):
    for suffix in ("jpg", "png", "gif", "tif", "webp", "bmp"):
        buffer = io.BytesIO()
        Image.fromarray(COLOURS).save(
            buffer, format={"jpg": "jpeg", "tif": "tiff"}.get(suffix, suffix)
        )
        for _ in range(40):
            data = bytearray(buffer.getvalue())
            for place in RNG.integers(0, len(data), 3):
                data[place] = RNG.integers(256)
            path = tmp_path / f"a.{suffix}"
            path.write_bytes(data)
            with contextlib.suppress(DataError):
                assert read_image(path).mode == "RGB"


@pytest.fixture
def tree(tmp_path) -> Path:
    for name in (
        "img10.png",
        "img2.JPG",
        "b/img1.webp",
        "b/.hidden.png",
        ".x/img.png",
        "readme.txt",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def test_folders_are_searched_in_depth_and_ordered_as_people_count(tree):
    found = [path.relative_to(tree).as_posix() for path in find_images([tree])]
    assert found == ["b/img1.webp", "img2.JPG", "img10.png"]


def test_globs_files_and_folders_mix_and_nothing_comes_twice(tree):
    pattern = f"{tree}/**/*.webp"
    found = find_images([pattern, str(tree / "b"), tree / "readme.txt", f"{tree}/img*"])
    assert [path.name for path in found] == ["img1.webp", "img2.JPG", "img10.png", "readme.txt"]


def test_a_file_whose_name_looks_like_a_glob_is_a_file(tree):
    (tree / "a[1].png").write_bytes(b"")
    assert find_images([tree / "a[1].png"]) == [tree / "a[1].png"]


def test_a_path_that_does_not_exist_and_a_search_without_finds(tree):
    with pytest.raises(FileNotFoundError, match="no such file or folder") as caught:
        find_images([tree / "nowhere.png"])
    assert caught.value.filename == str(tree / "nowhere.png")
    (tree / "void").mkdir()
    with pytest.raises(DataError, match=r"no images in .*void"):
        find_images([tree / "void"])
    with pytest.raises(DataError, match=r"no images in .*\*\.bmp"):
        find_images([f"{tree}/*.bmp"])
    with pytest.raises(DataError, match="no images"):
        find_images([])


def test_natural_order_is_total_over_mixed_names():
    names = ["a", "a1", "a02", "a2", "a10", "1", "10", "9", "B", "b2", "²"]
    backwards = list(reversed(names))
    assert sorted(backwards, key=natural_key) == sorted(names, key=natural_key)
    assert sorted(["10", "9", "1"], key=natural_key) == ["1", "9", "10"]


@pytest.mark.assets
def test_real_pictures_are_read_as_pillow_reads_them(assets):
    for path in find_images([assets / "ants-bees" / "val" / "bees"])[:10]:
        with Image.open(path) as image:
            assert (np.asarray(read_image(path)) == np.asarray(image.convert("RGB"))).all()
