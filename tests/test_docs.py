"""Help, README and docs say what is true of the code."""

import ast
import importlib
import pkgutil
import re
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer

import mobilenets
from mobilenets.cli import app
from mobilenets.tasks.recipe import Recipe

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
GROUPS: dict[str, Any] = {
    name: command.commands
    for name, command in typer.main.get_command(app).commands.items()
    if hasattr(command, "commands")
}
COMMANDS: dict[str, Any] = {
    name: command
    for name, command in typer.main.get_command(app).commands.items()
    if name not in GROUPS
} | {f"{group} {name}": command for group in GROUPS for name, command in GROUPS[group].items()}
"""By all the words that call them: `train`, `data check`."""
SHELL, PYTHON = {"", "sh", "bash", "shell", "console"}, {"python", "py"}


class Block(NamedTuple):
    page: str
    line: int
    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page."""
    found: list[Block] = []
    language, start, inside = "", 0, None
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fence = re.match(r"\s*```\s*([\w-]*)", line)
        if fence and inside is None:
            language, start, inside = fence[1].lower(), number, []
        elif fence:
            found.append(Block(page.name, start, language, "\n".join(inside or [])))
            inside = None
        elif inside is not None:
            inside.append(line)
    assert inside is None, f"{page.name}: the block of line {start} has no end"
    return found


BLOCKS = [block for page in PAGES for block in blocks(page)]


def command_lines(text: str) -> list[list[str]]:
    """The words of every `mobilenets ...` in a shell block, or in a line of help."""
    text = re.sub(r"\\\n\s*", " ", text)  # lines that go on
    found = []
    for line in text.splitlines():
        line = line.strip().removeprefix("$ ")
        # Also `python -m mobilenets`, behind a launcher, a variable, or in a pipe.
        match = re.search(r"(?:^|[\s;|&/])mobilenets\s+((?:[\w-]|\.\.\.).*)$", f" {line}")
        starts = re.match(
            r"(?:[A-Z_]+=\S+\s+)*(\S*/)?(mobilenets|accelerate|torchrun|python3?)\b", line
        )
        if match and starts:
            words = shlex.split(match[1], comments=True)
            ends = [i for i, word in enumerate(words) if word in {"|", ">", ">>", "&&", "||", ";"}]
            found.append(words[: min(ends, default=len(words))])
    return found


def options(command: Any) -> dict[str, Any]:
    return {name: p for p in command.params for name in p.opts if name.startswith("-")}


def check(words: list[str]) -> str:
    """What is wrong with a command line; '' if nothing. Nothing is run."""
    name, *rest = words
    if name in {"--help", "...", "COMMAND"}:
        return ""
    if name in GROUPS and rest:
        name, rest = f"{name} {rest[0]}", rest[1:]
    if name not in COMMANDS:
        return f"no command {name!r}"
    known, wanted = options(COMMANDS[name]), 0
    for word in rest:
        if wanted:
            wanted -= 1
        elif word == "--help":
            continue
        elif word.startswith("-") and word != "-":
            option, equals, _ = word.partition("=")
            if option not in known:
                return f"{name} has no option {option}"
            wanted = 0 if equals or known[option].is_flag else 1
    return f"{name}: {rest[-1]} needs a value" if wanted else ""


CALLS = [
    pytest.param(words, id=f"{block.page}:{block.line} {' '.join(words)}"[:90])
    for block in BLOCKS
    if block.language in SHELL
    for words in command_lines(block.text)
]
SNIPPETS = [
    pytest.param(block.text, id=f"{block.page}:{block.line}")
    for block in BLOCKS
    if block.language in PYTHON
]


def test_pages_have_something_to_check():
    assert len(CALLS) >= 5
    assert len(SNIPPETS) >= 3


@pytest.mark.parametrize("words", CALLS)
def test_a_command_line_in_the_docs_parses(words):
    assert check(words) == ""


def test_what_is_wrong_with_a_command_line_is_seen():
    assert check(["trian"]) == "no command 'trian'"
    assert check(["train", "x", "--date", "y"]) == "train has no option --date"
    assert check(["train", "x", "--data"]) == "train: --data needs a value"
    assert check(["train", "x", "--data", "--epochs", "--resume"]) == ""
    assert check(["export", "x", "-o", "y"]) == ""
    assert check(["data", "chekc", "x"]) == "no command 'data chekc'"
    assert check(["data", "check", "x", "--splt"]) == "data check has no option --splt"
    assert check(["data", "check", "x", "--split", "val"]) == ""


def test_command_lines_are_found_in_whatever_surrounds_them():
    text = (
        "$ mobilenets models\nmobilenets train a \\\n   --data b  # so\n"
        "accelerate launch --num_processes 4 -m mobilenets train c\n"
        ".venv/bin/mobilenets demo\npip install mobilenets now\nX=1 mobilenets eval d e --json | jq"
    )
    found = [" ".join(words) for words in command_lines(text)]
    assert found == ["models", "train a --data b", "train c", "demo", "eval d e --json"]


@pytest.mark.parametrize("code", SNIPPETS)
def test_python_in_the_docs_compiles_and_its_names_are_there(code):
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mobilenets"):
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                assert hasattr(module, alias.name), f"{node.module} has no {alias.name}"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("mobilenets"):
                    importlib.import_module(alias.name)
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "mobilenets":
            assert hasattr(mobilenets, node.attr), f"mobilenets has no {node.attr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_modules_and_files_in_the_text_are_there(page):
    files = [
        str(path) for part in ("src", "tests", "bench") for path in (ROOT / part).rglob("*.py")
    ]
    outside = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for span in re.findall(r"`([^`]+)`", outside):
        if name := re.match(r"mobilenets(?:\.\w+)+", span):
            pkgutil.resolve_name(name[0])
        for path in re.findall(r"[\w/]+\.py\b", span):
            assert any(file.endswith(f"/{path}") for file in files), f"{page.name}: no {path}"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_explains_itself_with_an_example_that_parses(name):
    command = COMMANDS[name]
    text = command.help or ""
    assert len(text.split("\n\n")) >= 2, "what it does, then an example"
    example = re.search(r"Example: `(.+?)`", text, re.DOTALL)
    assert example, "no line `Example: ...`"
    [words] = command_lines(" ".join(example[1].split()))
    assert " ".join(words).startswith(f"{name} ") or words == [name]
    assert check(words) == ""
    for parameter in command.params:
        assert parameter.help or parameter.name == "help", f"{parameter.name} says nothing"


@pytest.mark.parametrize("name", COMMANDS)
def test_options_named_in_help_are_there(name):
    named = set(re.findall(r"`(--[\w-]+)`", COMMANDS[name].help or ""))
    assert named <= set(options(COMMANDS[name]))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_its_place_in_the_pages(name):
    pages = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert re.search(rf"mobilenets {name}\b", pages)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_and_links_in_the_text_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    known = {name for command in COMMANDS.values() for name in options(command)} | {"--help"}
    outside = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    spans = re.findall(r"`([^`]+)`", outside)
    for span in spans:
        if span.startswith("--"):
            assert span.split()[0].split("=")[0] in known, f"{page.name}: no option {span}"
        for words in command_lines(span):
            assert check(words) == "", f"{page.name}: {span}"
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", outside):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: no {target}"


def test_settings_named_in_the_docs_are_a_recipes():
    """With `--set`, and in the tables of settings."""
    from mobilenets.cli.knobs import value_of
    from mobilenets.training.recipes import recipe, recipes, settings_of

    owner = {
        setting: name
        for name, (_, make) in recipes().items()
        for names in settings_of(make()).values()
        for setting in names
    }
    pages = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    named = re.findall(r"--set (\w+)=([^\s`]+)", pages)
    assert named
    for name, value in named:
        if value != "VALUE":
            recipe(owner.get(name, "modern"), **{name: value_of(value)})
    tables = re.findall(r"^\| Setting \|.*\n\|[-|]+\n((?:\|.*\n)+)", pages, re.MULTILINE)
    assert len(tables) >= 3
    rows = [line.split("|")[1] for table in tables for line in table.splitlines()]
    known = {*owner, *(field.name for field in fields(Recipe))}
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} <= known


def test_the_changelog_ends_at_the_version_of_the_package():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.+)"$', text, re.MULTILINE)
    newest = re.search(
        r"^## \[?v?([\w.]+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert version
    assert newest
    assert newest[1] == version[1]
