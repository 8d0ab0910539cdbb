"""The page on Python runs as it stands."""

import shutil

import pytest
from PIL import Image

from tests.quick import quick_export
from tests.test_docs import PYTHON, ROOT, blocks

BLOCKS = [one for one in blocks(ROOT / "docs" / "python.md") if one.language in PYTHON]


@pytest.mark.every
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"line-{block.line}")
def test_a_snippet_runs(files, block, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copy(files.onnx, "photos.onnx")
    shutil.copy(files.checkpoint, "best.safetensors")
    for name in ("cat", "dog"):
        Image.open(files.picture).convert("RGB").save(f"{name}.jpg")
    shutil.copytree(files.picture.parent, "holiday")
    names: dict[str, object] = {}
    with quick_export():
        exec(compile(block.text, f"{block.page}:{block.line}", "exec"), names)
    assert capsys.readouterr().out
    if "feature" in names:
        assert names["feature"].shape == (192, 3, 3)
        assert names["both"]["last"].shape == (2, 1280, 2, 2)
    if "answer" in names:
        assert names["answer"].label in names["model"].labels


def test_there_are_snippets():
    assert len(BLOCKS) >= 4
