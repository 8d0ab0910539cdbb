"""The script that makes the curve of students: its table, its picture, and the whole of it."""

import json
import sys

import pytest

from mobilenets.data.shapes import Shapes
from mobilenets.weights.sources.own import save
from tests.quick import quick_export, shake_norms
from tests.small import of_shapes

ROW = {"metric": "top1", "images": 90, "parameters": 3.2e6}


@pytest.fixture
def students(script):
    return script("students")


def row(width, resolution, quality, madds, ms):
    own = {"resolution": resolution, "quality": quality, "madds": madds, "ms": ms}
    return {**ROW, **own, **({} if width is None else {"width": width})}


def test_the_table_says_what_each_loses(students):
    teacher = row(None, 224, 0.9, 300e6, 4.0)
    rows = [row(1.0, 224, 0.91, 568e6, 8.0), row(0.25, 128, 0.872, 13.3e6, 0.4)]
    lines = students.table(teacher, rows).splitlines()
    assert lines[0].startswith("| Network | top1 |")
    assert lines[2] == "| teacher | 0.900 | +0.000 | 300 | 3.20 | 4.00 |"
    assert lines[4] == "| 0.25-128 | 0.872 | -0.028 | 13 | 3.20 | 0.40 |"


@pytest.mark.every
def test_the_picture_has_a_line_for_each_size(students, tmp_path):
    teacher = row(None, 224, 0.9, 300e6, 4.0)
    rows = [row(w, s, 0.9 * w**0.1, s * w * 1e6, s * w) for w in (1.0, 0.25) for s in (224, 128)]
    figure = students.picture(teacher, rows)
    names = figure.axes[0].get_legend_handles_labels()[1]
    assert names == ["students, 128 pixels", "students, 224 pixels", "teacher"]
    figure.savefig(tmp_path / "students.png", dpi=40)


@pytest.mark.every
def test_from_a_teacher_to_the_curve(students, tmp_path, monkeypatch, no_curves):
    save(shake_norms(of_shapes(64)), tmp_path / "teacher.safetensors")
    (tmp_path / "photos").mkdir()
    for i in range(12):
        Shapes(64).image(i).save(tmp_path / "photos" / f"{i}.png")
    words = [tmp_path / "teacher.safetensors", "--unlabelled", tmp_path / "photos"]
    words += ["--data", "shapes", "--output", tmp_path / "out", "--widths", "0.5,0.25"]
    words += ["--resolutions", "32", "--epochs", 1]
    monkeypatch.setattr(sys, "argv", ["students.py", *map(str, words)])
    with quick_export():
        students.main()
        students.main()  # goes on with what is there: nothing is missing
    found = json.loads((tmp_path / "out" / "students.json").read_text())
    assert list(found) == ["teacher", "0.5-32", "0.25-32"]
    assert found["0.25-32"]["madds"] < found["0.5-32"]["madds"]
    assert 0 < found["0.25-32"]["agreement"] <= 1
    assert (tmp_path / "out" / "students.png").stat().st_size > 1000
    assert len((tmp_path / "out" / "students.md").read_text().splitlines()) == 5
