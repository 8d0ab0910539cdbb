"""`mobilenets.train`: names of settings, data sets of one's own, what is said, what comes back."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mobilenets
from mobilenets.errors import TrainingError
from mobilenets.training.runs.arguments import kept_arguments
from tests.test_docs import PYTHON, ROOT, blocks

pytestmark = pytest.mark.usefixtures("no_curves")

START = "mobilenet_v2_0.35_64.shapes"
BLOCKS = [
    one
    for one in blocks(ROOT / "docs" / "training.md")
    if one.language in PYTHON and "class Colours" in one.text  # the other takes a minute
]


class Colours:
    """Eight pictures of two colours, as an array and without names."""

    classes = ["red", "blue"]  # noqa: RUF012

    def __init__(self, shade: int = 200) -> None:
        self.shade = shade

    def __len__(self) -> int:
        return 8

    def image(self, i: int):
        picture = np.full((40, 48, 3), 10 * i, np.uint8)
        picture[..., 2 * (i % 2)] = self.shade
        return picture if i else Image.fromarray(picture)

    def target(self, i: int) -> int:
        return i % 2


def train(data, folder, **more):
    how = {"weights": START, "epochs": 1, "workers": 0, "output": folder, "resolution": 32}
    return mobilenets.train("mobilenet_v2", data, **how, **more)


def test_a_run_on_a_data_set_of_ones_own(tmp_path, capsys):
    lines: list[str] = []
    result = train(Colours(), tmp_path / "a", val=Colours(180), say=lines.append, batch_size=4)
    assert capsys.readouterr() == ("", "")
    assert any("of 8 images in 2 classes at 32 pixels, batch 4" in line for line in lines)
    assert any(re.match(r"epoch 1: loss .*, val top1 ", line) for line in lines)
    assert result.checkpoint == tmp_path / "a" / "best.safetensors"
    assert f"{result.metric} {result.best['top1']:.4f} at epoch" in repr(result)
    model = result.open()
    assert model.labels == ("red", "blue")
    measured = model.evaluate(Colours(180)).results["top1"]
    assert measured == pytest.approx(result.best["top1"])
    assert kept_arguments(tmp_path / "a").data == "<Colours>"
    # It goes on with the same data alone.
    with pytest.raises(TrainingError, match="cannot be resumed with a changed training files"):
        train(Colours(90), tmp_path / "a", val=Colours(180), say=None, batch_size=4, resume=True)
    again = train(
        Colours(), tmp_path / "a", val=Colours(180), batch_size=4, resume=True, extend=1, say=None
    )
    assert len(again.history) == len(result.history) + 1
    assert capsys.readouterr() == ("", "")
    with pytest.raises(ValueError, match=r"data set of one's own \(Colours\): mobilenets.train"):
        train("<Colours>", tmp_path / "b")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"epoch": 3}, "no argument 'epoch', nor have its recipes or mobilenet_v2; did you mean"),
        ({"wieghts": "x"}, "did you mean 'weights'?"),
        ({"widht": 0.5}, "did you mean 'width'?"),
        ({"zoom_out": 2}, "zoom_out is a setting to detect"),
        ({"padding": "keras"}, "padding must be 'same' as in mobilenet_v2_0.35_64.shapes, got"),
        ({"hidden": 9}, "hidden must be 0 as in mobilenet_v2_0.35_64.shapes, got 9"),
        ({"say": 3}, "say must be a function, None or 'print', got 3"),
        ({"val": None}, "val must be a data set too"),
        ({"data": 7}, "data must be a path, or a data set with classes, a length, image(i)"),
    ],
)
def test_what_it_refuses_is_named(tmp_path, more, said):
    more = {"data": Colours(), "val": Colours(), "say": None, **more}
    with pytest.raises(ValueError, match=re.escape(said)):
        train(more.pop("data"), tmp_path / "run", **more)
    assert not (tmp_path / "run").exists()


def test_a_knob_that_weights_do_not_decide_is_honoured(tmp_path, capsys):
    """`--knob dropout=0.7` on a classifier whose labels stay, or not."""
    from mobilenets.tasks.registry import task_for
    from mobilenets.training.run import Plan, start

    task = task_for("mobilenet_v2")
    labels = mobilenets.identify(START).labels
    for names in (labels, ("a", "b")):
        model, _ = start(Plan("mobilenet_v2", START, knobs={"dropout": 0.7}), task, names)
        assert model.dropout.p == model.card.arguments["dropout"] == 0.7


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"line-{block.line}")
def test_a_snippet_of_the_page_runs(block, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    names: dict[str, object] = {}
    exec(compile(block.text, f"{block.page}:{block.line}", "exec"), names)
    assert capsys.readouterr().out
    assert Path(names["result"].checkpoint).is_file()
