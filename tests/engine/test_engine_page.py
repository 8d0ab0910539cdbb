"""docs/engine.md is true of the code: its example works, its tables are complete."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mobilenets.engine
from mobilenets.engine.front.onnx.operators import OPERATORS
from mobilenets.engine.front.tflite import operators as tflite
from mobilenets.engine.front.tflite.graph import POSTPROCESS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "engine.md").read_text(encoding="utf-8")


def block(language: str, containing: str) -> str:
    """The fenced block of a language that contains a text."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    (found,) = [text for text in blocks if containing in text]
    return found


@pytest.mark.skipif(shutil.which("git") is None, reason="git applies the diff")
def test_the_worked_example_of_an_operator_applies_and_runs(tmp_path):
    shutil.copytree(
        ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
    )
    front = Path("tests") / "engine" / "front"
    (tmp_path / front).mkdir(parents=True)
    shutil.copy(ROOT / front / "test_operators.py", tmp_path / front)
    diff = block("diff", "Elu")
    environment = {
        **os.environ,
        "GIT_CEILING_DIRECTORIES": str(tmp_path.parent),
        "PYTHONPATH": str(tmp_path / "src"),
        "MOBILENETS_CACHE": "off",
    }
    applied = subprocess.run(
        ["git", "apply", "-"], input=diff, cwd=tmp_path, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert applied.returncode == 0, f"docs/engine.md: the diff is out of date\n{applied.stderr}"
    ran = subprocess.run(
        [sys.executable, "-c", block("python", "elu.onnx")], cwd=tmp_path, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    said = ran.stdout.strip()
    assert f"`{said}`" in PAGE


@pytest.mark.parametrize(
    ("title", "operators"),
    [
        ("Operators", [*OPERATORS]),
        (
            "TFLite files",
            [*tflite.OPERATORS, "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND", POSTPROCESS],
        ),
    ],
)
def test_the_page_lists_the_operators_that_are_supported(title, operators):
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| ")]
    named = [name for row in rows[1:] for name in re.findall(r"[\w.]+", row)]
    assert sorted(named) == sorted(operators)


def test_the_page_says_what_every_module_is_for():
    folder = Path(mobilenets.engine.__file__).parent
    table = PAGE.split("\n## From a file to a session\n")[1].split("\n## ")[0]
    rows = {
        line.split("`")[1]: set(re.findall(r"`([\w/]+(?:\.py)?)`", line))
        for line in table.splitlines()
        if line.startswith("| `")
    }
    assert {*rows} == {f"{path.parent.name}/" for path in folder.glob("*/__init__.py")}
    for room, named in rows.items():
        inner = {path.name for path in (folder / room).glob("*.py")} - {"__init__.py"}
        inner |= {f"{path.parent.name}/" for path in (folder / room).glob("*/__init__.py")}
        assert inner <= named, f"docs/engine.md, {room}"


def test_the_page_names_only_files_that_are_there():
    folder = Path(mobilenets.engine.__file__).parent
    named = set(re.findall(r"`((?:\w+/)+\w+\.py)`", PAGE))
    missing = {name for name in named if not any((at / name).exists() for at in (folder, ROOT))}
    assert named
    assert not missing
