import io
import sys

import pytest
from PIL import Image, features

from mobilenets.errors import DataError
from mobilenets.runtime import kinds
from mobilenets.runtime.images import find_images, read_image
from mobilenets.runtime.kinds import kind_of, kind_of_bytes

PICTURE = Image.new("RGB", (64, 48), (200, 30, 60))
FTYP = b"\0\0\0\x18ftyp"


def saved(form: str) -> bytes:
    file = io.BytesIO()
    PICTURE.save(file, form)
    return file.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM"])
def test_pillow_and_the_first_bytes_agree(form):
    assert kind_of_bytes(saved(form)[:132]) == form


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (FTYP + b"heic\0\0\0\0mif1heic", "HEIC"),
        (FTYP + b"mif1\0\0\0\0mif1heic", "HEIC"),
        (FTYP + b"mif1\0\0\0\0avifmiaf", "AVIF"),
        (FTYP + b"isom\0\0\0\0isomiso2", "video"),
        (FTYP, "video"),
        (b"BM is how a sentence can begin", ""),
        (b"P1 is no picture", ""),
        (b"P5\n# made by hand\n4 3\n255\n", "PPM"),
        (b"\0" * 128 + b"DICM", "DICOM"),
        (b"<?xml version='1.0'?><svg xmlns=", "SVG"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"", ""),
    ],
)
def test_first_bytes_of_others(head, kind):
    assert kind_of_bytes(head) == kind


def test_images_of_a_folder_are_found_by_their_content(tmp_path):
    jpeg = saved("JPEG")
    for name in ("plain", "a.jpg!d", "b.jpeg_large", "c.JPG", "d.jpg.1", "photo.2024", "e.jfif"):
        (tmp_path / name).write_bytes(jpeg)
    for name in ("README", "x.txt", "Thumbs.db", ".hidden", "half.jpg!d", "notes.2024"):
        (tmp_path / name).write_bytes(b"no picture" if name != "x.txt" else jpeg)
    (tmp_path / "@eaDir").mkdir()
    (tmp_path / "@eaDir" / "thumb.jpg").write_bytes(jpeg)
    found = {path.name for path in find_images([tmp_path])}
    assert found == {
        *("plain", "a.jpg!d", "b.jpeg_large", "c.JPG", "d.jpg.1", "photo.2024", "e.jfif")
    }
    assert read_image(tmp_path / "a.jpg!d").size == (64, 48)


def test_links_to_folders_are_followed_once(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "1.jpg").write_bytes(saved("JPEG"))
    (tmp_path / "a" / "to_b").symlink_to(tmp_path / "b")
    (tmp_path / "b" / "to_a").symlink_to(tmp_path / "a")
    (tmp_path / "b" / "up").symlink_to(tmp_path)
    (tmp_path / "b" / "here").symlink_to(tmp_path / "b")
    (tmp_path / "a" / "down").mkdir()
    (tmp_path / "a" / "down" / "again").symlink_to(tmp_path / "a" / "down")
    found = [path.relative_to(tmp_path).as_posix() for path in find_images([tmp_path / "b"])]
    assert found == ["b/to_a/1.jpg"]


@pytest.mark.skipif(not kinds.can_read("AVIF"), reason="this Pillow was built without AVIF")
def test_avif_is_read_whatever_it_is_called(tmp_path):
    assert features.check("avif")
    for name in ("a.avif", "b.jpg", "c"):
        PICTURE.save(tmp_path / name, "AVIF")
    files = find_images([tmp_path])
    assert [path.name for path in files] == ["a.avif", "b.jpg", "c"]
    for path in files:
        red, green, blue = read_image(path).getpixel((32, 24))
        assert abs(red - 200) + abs(green - 30) + abs(blue - 60) < 20


def heic(path):
    pillow_heif = pytest.importorskip("pillow_heif", reason="the extra `heic` is not installed")
    pillow_heif.from_pillow(PICTURE).save(path)
    return path


def test_heic_is_read_with_its_extra(tmp_path):
    heic(tmp_path / "IMG_1.HEIC")
    heic(tmp_path / "IMG_2.jpg")
    files = find_images([tmp_path])
    assert [path.name for path in files] == ["IMG_1.HEIC", "IMG_2.jpg"]
    for path in files:
        red, green, blue = read_image(path).getpixel((32, 24))
        assert abs(red - 200) + abs(green - 30) + abs(blue - 60) < 20


def test_heic_without_its_extra_says_what_it_needs(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr("mobilenets.runtime.kinds.find_spec", lambda name: None)
    kinds.can_read.cache_clear()
    path = tmp_path / "IMG_1.jpg"
    path.write_bytes(FTYP + b"heic\0\0\0\0mif1heic" + bytes(40))
    try:
        assert kind_of(path) == "HEIC"
        with pytest.raises(DataError, match=r"IMG_1.jpg: it is HEIC, which needs `pip install pil"):
            read_image(path)
        path.rename(tmp_path / "IMG_1.HEIC")
        with pytest.raises(DataError, match="no images in"):
            find_images([tmp_path])
    finally:
        kinds.can_read.cache_clear()
