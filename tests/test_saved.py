"""Pictures of answers under names of their own, on any file system."""

from pathlib import Path

import pytest
from PIL import Image

from mobilenets.data.shapes import Shapes
from mobilenets.saved import check_apart, names_in, save_picture, written_by_others

DOT = Image.new("RGB", (2, 2))


def test_names_that_some_systems_take_for_the_same_are_told_apart(tmp_path):
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
    targets = names_in(tmp_path, map(Path, names))
    saved = [save_picture(DOT, target, "x", DOT) for target in targets]
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


def test_a_picture_says_which_command_wrote_it(tmp_path):
    [target] = names_in(tmp_path, [Path("a.png")])
    places = Image.new("L", (2, 2), 3)
    saved = save_picture(DOT, target, "mobilenets predict", places)
    assert written_by_others(saved, "mobilenets predict") == []
    assert written_by_others(saved, "mobilenets data check") == list(saved)
    with Image.open(saved[1]) as mask:
        assert (mask.mode, mask.getpixel((0, 0))) == ("L", 3)
    DOT.save(tmp_path / "b.jpg")
    (tmp_path / "c.jpg").write_text("no picture")
    (tmp_path / "d.jpg").symlink_to(target)
    others = [tmp_path / name for name in ("b.jpg", "c.jpg", "d.jpg")]
    assert written_by_others([*others, tmp_path / "e.jpg"], "mobilenets predict") == others


COMMANDS = {
    "predict": lambda checkpoint, photos, seen: ("predict", checkpoint, photos / "a.png", *seen),
    "data check": lambda checkpoint, photos, seen: ("data", "check", "shapes", *seen),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_writes_over_its_own_pictures_and_over_no_others(
    call, checkpoint, tmp_path, command
):
    (tmp_path / "photos").mkdir()
    Shapes(32).image(0).save(tmp_path / "photos" / "a.png")
    seen = tmp_path / "seen"
    options: tuple[object, ...] = ("--save-dir", seen)
    if command == "data check":
        options += ("--split", "val", "--samples", 2)
    words = COMMANDS[command](checkpoint, tmp_path / "photos", options)
    assert call(*words).status == 0
    first, *_ = sorted(seen.iterdir())
    before = first.read_bytes()
    assert call(*words).status == 0
    assert first.read_bytes() == before
    DOT.save(first)
    mine = first.read_bytes()
    ran = call(*words)
    assert (ran.status, first.read_bytes()) == (2, mine)
    assert f"--save-dir: {first} is there already; --force overwrites" in ran.err
    assert call(*words, "--force").status == 0
    assert first.read_bytes() == before
