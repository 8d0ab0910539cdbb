"""Files that are whole or not there at all."""

import pytest

from mobilenets.files import replace_file


@pytest.mark.parametrize("name", ["a.txt", "n" * 250, "é" * 120 + ".png"])
def test_any_name_that_the_system_takes(tmp_path, name):
    path = tmp_path / name
    path.write_text("before")
    replace_file(path, lambda temporary: temporary.write_text("after"))
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_leaves_the_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("before")

    def full(temporary):
        temporary.write_text("half")
        raise OSError(28, "No space left on device", str(temporary))

    with pytest.raises(OSError, match="No space left") as caught:
        replace_file(path, full)
    assert caught.value.filename == str(path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_errors_name_the_file_and_not_its_temporary_one(tmp_path):
    path = tmp_path / "none" / "a.txt"
    with pytest.raises(FileNotFoundError) as caught:
        replace_file(path, lambda temporary: temporary.write_text("x"))
    assert caught.value.filename == str(path)
