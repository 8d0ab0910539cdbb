"""What a run says on a terminal of any width, and in a pipe."""

import io
from functools import partial

import pytest
from rich.cells import cell_len
from rich.console import Console

from mobilenets.training.runs import report
from mobilenets.training.runs.report import Reporter

LINES = [
    "finetune: 10 epochs of 243 images in 2 classes at 128 pixels, batch 16, rate rate 0.000243",
    "the run is kept in /a/path/that/is/longer/than/the/narrowest/of/these/terminals/is",
]
HISTORY = [{"epoch": 0, "step": 0, "val_loss": 0.2536, "top1": 0.9091}]


def said(folder, monkeypatch, **console) -> str:
    """All that stays on the screen."""
    file = io.StringIO()
    monkeypatch.setattr(report, "Console", lambda **_: Console(file=file, **console))
    with Reporter(folder, 0, shown=True) as run:
        run.plan(160)
        for line in LINES:
            run.say(line)
        run.step(1, 0, 1.25, 0.01)
        run.validating(77)
        run.validated(77)
        run.epoch(HISTORY, "top1", "the probe")
    return file.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80])
def test_lines_fit_the_terminal_and_keep_every_word(tmp_path, monkeypatch, width):
    make = partial(said, tmp_path, monkeypatch, width=width, force_terminal=True)
    text = make(color_system=None, legacy_windows=False, _environ={"TERM": "xterm"})
    lines = [bare(line) for part in text.split("\n") for line in part.split("\r")]
    long = [line for line in lines if cell_len(line) > width]
    assert all(" " not in line.strip() for line in long), long
    words = " ".join(lines).split()
    for line in [*LINES, "epoch 0, the probe: val loss 0.2536, val top1 0.9091"]:
        assert " ".join(line.split()) in " ".join(words)
    assert "1/160" in words
    assert ("\u2501" in text) == (width >= 60)


def test_in_a_pipe_a_line_is_one_line(tmp_path, monkeypatch):
    text = said(tmp_path, monkeypatch, width=40, force_terminal=False)
    assert text.splitlines() == [*LINES, "epoch 0, the probe: val loss 0.2536, val top1 0.9091"]


def bare(line: str) -> str:
    """Without what moves the cursor, hides it, or clears a line."""
    found = ""
    while line:
        first, escape, line = line.partition("\x1b[")
        found += first
        if escape:
            line = line.lstrip("?0123456789;")[1:]
    return found.rstrip()
