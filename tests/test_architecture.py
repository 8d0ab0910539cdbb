"""The rules about who may import whom, kept by reading the source."""

import ast
import re
import sys
from graphlib import TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import mobilenets

ROOT = Path(mobilenets.__file__).parent
LEAVES = {"allocator", "card", "errors", "files"}
MAY_IMPORT = {
    "bench": {"engine", "export", "models", "weights"},
    "engine": set(),
    "runtime": {"engine"},
    "models": set(),
    "data": {"runtime"},
    "weights": {"models", "runtime"},
    "cost": {"models"},
    "tasks": {"models", "data", "runtime"},
    "inference": {"tasks", "weights", "models", "data", "runtime"},
    "evaluation": {"tasks", "inference", "models", "data", "runtime"},
    "export": {"tasks", "weights", "models", "data", "runtime"},
    "training": {"tasks", "weights", "inference", "evaluation", "models", "data", "runtime"},
}
# These may import everything: the public names, the demonstration, the command line.
TOPS = {"__init__", "__main__", "cli", "demo"}
TORCH = {"torch", "torchvision", "timm", "accelerate"}
TRANSFORMS = {
    f"mobilenets.data.{name}" for name in ("transforms", "box_transforms", "mask_transforms")
}
"""What training does to images: it may import torch, and evaluation never imports it."""
BROUGHT = {"filelock": "torch", "flatbuffers": "tflite", "google": "onnx"}
"""What comes with a library that is declared: import name -> that library's."""
ENTRIES = {"mobilenets", "mobilenets.__main__", "mobilenets.cli"}


def module_name(path: Path) -> str:
    parts = ("mobilenets", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}


def unit(module: str) -> str:
    """The package or the top-level module that the rules speak of."""
    return [*module.split("."), "__init__"][1]


def imports(module: str) -> set[str]:
    """Every module imported anywhere in a file, functions and type checking included."""
    found = set()
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import, line {node.lineno}"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in FILES else str(node.module))
    return found


IMPORTS = {module: imports(module) for module in FILES}
OURS = {
    module: {name for name in names if name.split(".")[0] == "mobilenets"} - {module}
    for module, names in IMPORTS.items()
}


@pytest.mark.parametrize("module", FILES)
def test_a_module_imports_only_what_its_place_allows(module):
    place = unit(module)
    if place in TOPS:
        return
    assert place in MAY_IMPORT or place in LEAVES, f"say in this test who {place} may import"
    allowed = LEAVES | {place} | MAY_IMPORT.get(place, set())
    wrong = {name for name in OURS[module] if unit(name) not in allowed}
    assert not wrong, f"{module} must not import {sorted(wrong)}"


@pytest.mark.parametrize("module", FILES)
def test_torch_is_imported_only_where_it_may_be(module):
    if unit(module) not in {"runtime", "engine", "cost", "data", *LEAVES}:
        return
    if module in TRANSFORMS:
        return
    wrong = {name for name in IMPORTS[module] if name.split(".")[0] in TORCH}
    assert not wrong, f"{module} must not import {sorted(wrong)}, not even lazily"


def test_geometry_is_free_of_torch_for_cost_to_stand_on():
    names = ("geometry", "ssd_geometry", "deeplab_geometry")
    geometry = {f"mobilenets.models.{name}" for name in names}
    for module in geometry:
        assert not {name.split(".")[0] for name in IMPORTS[module]} & TORCH
        assert OURS[module] <= geometry
    below = {name for m in FILES if unit(m) == "cost" for name in OURS[m] if unit(name) == "models"}
    assert below == geometry


def test_nothing_imports_the_tests_or_their_peers():
    peers = {"tests", "keras", "tensorflow", "transformers", "pytest", "sklearn", "ai_edge_litert"}
    wrong = {
        (module, name)
        for module, names in IMPORTS.items()
        for name in names
        if name.split(".")[0] in peers
    }
    assert not wrong


def test_no_circle_between_packages():
    graph: dict[str, set[str]] = {}
    for module, names in OURS.items():
        if module != "mobilenets":
            graph.setdefault(unit(module), set()).update(unit(name) for name in names)
    for place, below in graph.items():
        below.discard(place)
    assert list(TopologicalSorter(graph).static_order())


def test_no_circle_between_modules():
    assert list(TopologicalSorter(OURS).static_order())


@pytest.mark.parametrize("module", FILES)
def test_a_file_is_at_most_400_lines(module):
    assert len(FILES[module].read_text(encoding="utf-8").splitlines()) <= 400


def test_every_file_is_imported_by_something():
    used = set().union(*OURS.values(), ENTRIES)
    # Importing a module imports its packages.
    used |= {name.rsplit(".", n)[0] for name in used for n in range(1, name.count(".") + 1)}
    assert set(FILES) <= used


def public_definitions(tree: ast.AST, prefix: str = ""):
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        # What a framework calls by its own name says what it does in its class's docstring.
        if node.name.startswith("_") or (prefix and node.name in {"forward", "__call__"}):
            continue
        yield f"{prefix}{node.name}", node
        if isinstance(node, ast.ClassDef):
            yield from public_definitions(node, f"{node.name}.")


@pytest.mark.parametrize("module", FILES)
def test_public_names_have_docstrings(module):
    tree = TREES[module]
    assert ast.get_docstring(tree), f"{module} says nothing of itself"
    without = [name for name, node in public_definitions(tree) if not ast.get_docstring(node)]
    assert not without, f"{module}: {without} without a docstring"


def test_public_names_are_sorted_and_there():
    assert mobilenets.__all__ == sorted(mobilenets.__all__)
    assert set(mobilenets.__all__) <= set(dir(mobilenets))
    for name in mobilenets.__all__:
        assert getattr(mobilenets, name) is not None


def test_imports_name_real_modules():
    """So that a typo cannot hide a module from the rules above."""
    for module, names in OURS.items():
        for name in names:
            assert name in FILES, f"{module} imports {name}, which is not there"


def test_third_parties_are_declared():
    """Everything imported is the standard library's, ours, or named in pyproject.toml."""
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML")
    with (Path(__file__).parents[1] / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["train"]]
    declared = {re.split("[^a-z0-9-]", line.lower())[0] for line in wanted}
    owners = packages_distributions()
    for module, names in IMPORTS.items():
        for top in {name.split(".")[0] for name in names} - {"mobilenets"}:
            owner = {found.lower() for found in owners.get(BROUGHT.get(top, top), [top])}
            assert top in sys.stdlib_module_names or owner & declared, (
                f"{module} imports {top}, which nothing in pyproject.toml brings"
            )
