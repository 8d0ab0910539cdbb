"""Pictures of answers under names of their own, on any file system."""

from pathlib import Path

import pytest
from PIL import Image

from mobilenets.inference import check_apart, save_picture

DOT = Image.new("RGB", (2, 2))


def test_names_that_some_systems_take_for_the_same_are_told_apart(tmp_path):
    used: set[str] = set()
    # Capitals; é as one letter and as two; the German sharp s, which has no capital of its own.
    names = [
        "Cat.png",
        "cat.jpg",
        "CAT-2.png",
        "caf\u00e9.png",
        "cafe\u0301.png",
        "ß.png",
        "SS.png",
    ]
    saved = [save_picture(DOT, Path(name), tmp_path, used, DOT) for name in names]
    found = [path.name for pair in saved for path in pair]
    assert found[:6] == [
        "Cat.jpg",
        "Cat.png",
        "cat-2.jpg",
        "cat-2.png",
        "CAT-2-2.jpg",
        "CAT-2-2.png",
    ]
    assert len({name.casefold() for name in found}) == len(found)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(found)


def test_the_images_own_folder_is_known_by_any_of_its_names(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    photo = tmp_path / "photos" / "a.png"
    DOT.save(photo)
    for other in (tmp_path / "link", tmp_path / "photos" / ".." / "photos"):
        with pytest.raises(ValueError, match="save_dir must be another folder than the images'"):
            check_apart([photo], other)
    check_apart([photo], tmp_path / "new")
