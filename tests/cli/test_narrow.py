"""What commands print at 40, 60 and 80 columns, and in a pipe."""

import re

import pytest
from rich.cells import cell_len

from mobilenets.cli.console import Printer, err, out
from mobilenets.cli.console.tables import Column, Grid, show_table
from mobilenets.data.shapes import Shapes

WIDTHS = [40, 60, 80]
PIPE = 0
BOXES = re.compile("[\u2500-\u257f\x1b]")
"""What draws tables, and what colours them."""


@pytest.fixture
def at(monkeypatch):
    """Sets the width of the terminal; `PIPE` is none."""

    def set_width(width: int) -> None:
        monkeypatch.setenv("COLUMNS", str(width or 40))
        monkeypatch.setattr(Printer, "is_terminal", width > 0)
        for printer in (out, err):
            printer.__dict__.pop("console", None)

    yield set_width
    set_width(PIPE)


def is_narrow(text: str, width: int) -> bool:
    """Whether no line is longer, but for a word alone that is, or an option with its value."""
    lines = [line.rstrip() for line in text.splitlines()]
    whole = re.compile(r"\S+|--[a-z-]+ \S+|-\w, --[a-z-]+ \S+")
    return all(cell_len(line) <= width or whole.fullmatch(line.strip()) for line in lines)


PEOPLE = Grid(
    [
        Column("name"),
        Column("born", figures=True),
        Column("towns", spare=2),
        Column("age", True, 1),
    ],
    [
        ("Ada-Augusta-King-Noel", "1815", "London, Marylebone and many others", "36"),
        ("Émile", "1859", "\tLes  Andelys", "85"),
    ],
)


@pytest.mark.parametrize("width", range(1, 100, 7))
def test_needed_cells_are_whole_at_any_width(at, capsys, width):
    """Where a word fits, it is whole; what is left out is named; nothing ends in an ellipsis."""
    at(width)
    show_table(PEOPLE)
    text = capsys.readouterr().out
    assert is_narrow(text, max(width, 8))
    assert "…" not in text
    joined = re.sub(r"\s", "", text)
    assert "Ada-Augusta-King-Noel" in joined
    if width > 6:
        assert "1815" in text.split()
        assert ("Andelys" in text) != (
            "towns" in " ".join(text.split()).partition("no room for:")[2]
        )


def test_the_sparest_column_goes_first(at, capsys):
    at(36)
    show_table(PEOPLE)
    assert capsys.readouterr().out.splitlines()[-1] == "no room for: towns"


def test_in_a_pipe_rows_are_lines_with_tabs(at, capsys):
    at(PIPE)
    show_table(PEOPLE)
    first, *rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert first == ["name", "born", "towns", "age"]
    assert rows == [[" ".join(cell.split()) for cell in row] for row in PEOPLE.rows]


def test_groups_are_headings_or_cells(at, capsys):
    grid = Grid([Column("a")], [("x",), ("y",), ("z",)], groups=["one", "one", "two"], group="of")
    at(PIPE)
    show_table(grid)
    assert capsys.readouterr().out == "a\tof\nx\tone\ny\tone\nz\ttwo\n"
    at(40)
    show_table(grid)
    assert capsys.readouterr().out.split() == ["a", "─", "one", "x", "y", "two", "z"]


@pytest.fixture(scope="module")
def here(tmp_path_factory, checkpoint):
    """A folder with images, in class folders and alone under a long name, and a model."""
    folder = tmp_path_factory.mktemp("here")
    images = Shapes(64)
    for index in range(12):
        label = images.classes[images.target(index)]
        place = folder / "data" / ("train" if index < 9 else "val") / label
        place.mkdir(parents=True, exist_ok=True)
        images.image(index).save(place / f"{index}.png")
    images.image(0).save(folder / f"{'a_long_name_' * 3}of_a_photograph.png")
    (folder / "model.safetensors").write_bytes(checkpoint.read_bytes())
    return folder


NEEDED = {
    "models": ["mobilenet_v1", "mobilenet_v2", "params", "madds", "300.8"],
    "models --pretrained": ["mobilenet_v2_1.0_224.google", "madds"],
    "profile mobilenet_v2": ["parameters", "3.50 M", "multiply-adds", "300.77 M"],
    "profile mobilenet_v2 --layers": ["blocks.1.expand", "params", "madds"],
    "profile mobilenet_v2 mobilenet_v1 --width 0.5,1": ["mobilenet_v2", "params", "madds"],
    "predict model.safetensors .": ["a_long_name_", "label", "score", "0."],
    "eval model.safetensors data --split all": ["top1", "class"],
    "data check data": ["part", "images", "train", "used: images"],
    "info model.safetensors": ["multiply-adds", "mobilenet_v2", "engine"],
    "predict model.safetensors none.png": [],
    "--help": ["models", "predict", "--version"],
    "train --help": ["--learning-rate", "--data", "Example"],
    "predict --help": ["--threshold", "Example"],
    "data check --help": ["Example"],
}
"""A command -> what the reader wants of it."""


SLOW = {
    "export model.safetensors -o a.onnx --force": ["a.onnx: 1.0", "MB", "outputs"],
    "compile a.onnx": ["schedule", "blocks.16", "arena"],
    "bench a.onnx --against onnxruntime --rounds 2": ["median", "ratio", "best peer"],
}
"""One after the other."""


@pytest.mark.parametrize("width", [*WIDTHS, PIPE])
@pytest.mark.parametrize("line", NEEDED)
def test_commands_keep_what_matters(at, call, here, monkeypatch, line, width):
    monkeypatch.chdir(here)
    at(width)
    keeps_what_matters(call(*line.split()), NEEDED[line], width)


@pytest.mark.every
@pytest.mark.parametrize("width", [*WIDTHS, PIPE])
def test_slow_commands_keep_what_matters(at, call, here, monkeypatch, width):
    monkeypatch.chdir(here)
    at(width)
    for line, words in SLOW.items():
        keeps_what_matters(call(*line.split()), words, width)


def keeps_what_matters(done, words, width):
    said = " ".join((done.out + done.err).split())
    assert done.status == (not words), done
    assert not [word for word in words if word not in said], done
    assert not done.out.startswith("\n")
    assert "…" not in done.out
    if width:
        assert is_narrow(done.out, width)
        assert is_narrow(done.err, width)
    else:
        assert not done.err.startswith("\n")
        assert not BOXES.search(done.out + done.err)
