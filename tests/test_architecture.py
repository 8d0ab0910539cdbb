"""The rules of the house: who may import whom, what lies where, kept by reading the source."""

import ast
import re
import statistics
import subprocess
import sys
from collections import defaultdict
from functools import cache
from graphlib import TopologicalSorter
from importlib.metadata import packages_distributions
from itertools import product
from pathlib import Path

import pytest

import mobilenets
from mobilenets.cli import COMMANDS
from mobilenets.tasks.registry import networks, tasks
from mobilenets.tasks.task import Task

ROOT = Path(mobilenets.__file__).parent
TASKS = list(tasks())
LEAVES = {"allocator", "arguments", "card", "errors", "extras", "files", "processors", "saved"}
SHARED = {"tasks", "models", "data", "runtime", "weights.containers"}
"""What a room may import beside its own: of `tasks` what lies beside the rooms."""
MAY_IMPORT = {
    "engine": set(),
    "runtime": {"engine"},
    "models": set(),
    "data": {"runtime"},
    "weights.containers": {"models", "runtime", "engine"},
    "tasks": {"models", "data", "runtime", "weights.containers"},
    **{f"tasks.{name}": SHARED for name in TASKS},
    "cost": {"weights", "tasks", "models"},
    "devices": set(),
    "weights": {"weights.containers", "tasks", "models", "runtime"},
    "inference": {"devices", "tasks", "weights", "models", "data", "runtime"},
    "about": {
        *("engine", "runtime", "data", "tasks", "models", "cost", "weights", "inference"),
        "training",
    },
    "opened": {
        *(
            "review",
            "inference",
            "evaluation",
            "labelled",
            "export",
            "cost",
            "tasks",
            "models",
            "data",
            "runtime",
        ),
        *("about", "engine", "devices"),
    },
    "evaluation": {"tasks", "models", "data", "runtime"},
    "labelled": {"tasks", "data"},
    "index": {"evaluation", "inference", "opened", "tasks", "models", "data", "runtime"},
    "review": {"inference", "evaluation", "tasks", "data", "runtime"},
    "export": {"inference", "tasks", "weights", "models", "runtime"},
    "training": {
        "devices",
        "tasks",
        "weights",
        "inference",
        "evaluation",
        "labelled",
        "models",
        "data",
        "runtime",
    },
    "bench": {"engine", "export", "inference", "models", "runtime", "tasks", "weights"},
}
# These may import everything but rooms: the public names, the demonstration, the command line.
TOPS = {"__init__", "__main__", "cli", "demo"}
REGISTRY = "mobilenets.tasks.registry"
PUBLIC = "mobilenets"
"""Its list of public names says where each lives, in rooms too."""
ENGINE = {
    "ir": set(),
    "targets": set(),
    "passes": {"ir"},
    "front": {"ir", "passes"},
    "kernels": {"ir", "targets"},
    "stages": {"ir", "targets", "kernels"},
    "steps": {"ir", "targets", "kernels", "stages"},
    "plan": {"ir", "targets", "passes", "kernels", "stages", "steps"},
    "codegen": {"ir", "targets", "kernels", "steps", "plan"},
    "run": {"ir", "targets", "kernels", "plan", "codegen", "front"},
}
"""The engine's rooms, and which others each may import."""
TORCH = {"torch", "torchvision", "timm", "accelerate"}
WITH_TORCH = {"network", "learn", "probe", "know", "teach"}
"""Parts of a use that may import torch at the top of a file, and what such parts share."""
BROUGHT = {
    "filelock": "torch",
    "flatbuffers": "tflite",
    "google": "onnx",
    "typing_extensions": "onnx",
}
"""What comes with a library that is declared: import name -> that library's."""
ENTRIES = {"mobilenets", "mobilenets.__main__", "mobilenets.cli"}
MOST_FILES, MOST_LINES, MEDIAN_LINES = 14, 400, 140


def module_name(path: Path) -> str:
    parts = ("mobilenets", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


@cache
def texts() -> dict[str, str]:
    """The source of each module. Read when a rule first asks: every worker imports this file."""
    return {name: path.read_text(encoding="utf-8") for name, path in FILES.items()}


@cache
def trees() -> dict[str, ast.Module]:
    """Each module, parsed."""
    return {name: ast.parse(text) for name, text in texts().items()}


def unit(module: str) -> str:
    """The package, the room or the top-level module that the rules speak of."""
    parts = [*module.split(".")[1:], "__init__"]
    if parts[0] == "tasks" and parts[1] in TASKS:
        return f"tasks.{parts[1]}"
    if parts[:2] == ["weights", "containers"]:
        return "weights.containers"
    return parts[0]


def imports(module: str, *, lazy: bool = True) -> set[str]:
    """Every module imported in a file; without `lazy`, at its top and not for types alone."""
    found = set()
    tree = trees()[module]
    for node in ast.walk(tree) if lazy else tree.body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import, line {node.lineno}"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in FILES else str(node.module))
    return found


@cache
def imported() -> dict[str, set[str]]:
    """What each module imports, wherever in the file."""
    return {module: imports(module) for module in FILES}


@cache
def ours() -> dict[str, set[str]]:
    """What each module imports of ours."""
    return {
        module: {name for name in names if name.split(".")[0] == "mobilenets"} - {module}
        for module, names in imported().items()
    }


def wrong_everywhere(found: dict[str, object]) -> None:
    """Fail with all that is wrong, a line for each file."""
    found = {name: wrong for name, wrong in found.items() if wrong}
    assert not found, "\n" + "\n".join(f"{name}: {wrong}" for name, wrong in found.items())


# Who imports whom


def test_a_module_imports_only_what_its_place_allows():
    found = {}
    for module, names in ours().items():
        place = unit(module)
        if place in TOPS or module == REGISTRY:
            continue
        assert place in MAY_IMPORT or place in LEAVES, f"say in this test who {place} may import"
        allowed = LEAVES | {place} | MAY_IMPORT.get(place, set())
        found[module] = sorted(name for name in names if unit(name) not in allowed)
    wrong_everywhere(found)


def test_nobody_imports_from_a_room_but_itself_and_the_registry():
    rooms = {f"tasks.{name}" for name in TASKS}
    wrong_everywhere(
        {
            module: sorted(name for name in names if unit(name) in rooms - {unit(module)})
            for module, names in ours().items()
            if module not in (REGISTRY, PUBLIC)
        }
    )


def test_a_room_knows_nothing_of_the_list_of_rooms():
    wrong_everywhere(
        {
            module: REGISTRY in names
            for module, names in ours().items()
            if unit(module).startswith("tasks.")
        }
    )


def words_of_logic(module: str):
    """(line, word) of identifiers and of strings without spaces, docstrings aside."""
    tree = trees()[module]
    texts = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Name):
            names = [node.id]
        elif isinstance(node, ast.Attribute):
            names = [node.attr]
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.arg | ast.keyword) and node.arg:
            names = [node.arg]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            one_word = id(node) not in texts and not re.search(r"\s", node.value.strip())
            names = [node.value] if one_word else []
        for name in names:
            for word in re.split(r"[^A-Za-z]+|(?<=[a-z])(?=[A-Z])", name):
                yield getattr(node, "lineno", 0), word.lower()


_OF_NODES = ("constants", "reader", "elementwise", "pairs", "resizing", "builder")
_OF_TOOLS = ("find", "lists", "table")
OTHER_SENSE = {
    "mobilenets.engine.front.onnx.stored": {"segment"},
    "mobilenets.engine.kernels.emit": {"attributes"},
    "mobilenets.engine.codegen.sync": {"attributes"},
    "mobilenets.runtime.foreign.parts": {"attributes"},
    "mobilenets.runtime.foreign.beginning": {"attributes"},
    **{f"mobilenets.engine.front.onnx.{name}": {"attributes"} for name in _OF_NODES},
    "mobilenets.data.classes.columns": {"attributes"},
    **{f"mobilenets.tasks.detect.formats.tools.{name}": {"attributes"} for name in _OF_TOOLS},
    "mobilenets.tasks.classify.architecture.classifier": {"embed"},
    "mobilenets.cli": {"embed"},
}
"""Words that mean something else there: a field of ONNX's tensors, what ONNX's nodes, LLVM's
functions and the regions of labelling tools have, a method, a command."""


def test_no_file_outside_a_room_has_its_name_as_a_word_of_logic():
    rooms = {f"tasks.{name}": name for name in TASKS}
    found = {}
    for module in FILES:
        if module in (REGISTRY, PUBLIC):
            continue
        others = {name for room, name in rooms.items() if room != unit(module)}
        others -= OTHER_SENSE.get(module, set())
        found[module] = sorted({(n, w) for n, w in words_of_logic(module) if w in others})
    wrong_everywhere(found)


def test_networks_are_named_in_one_place():
    """A network's name is written where it is described and made, and in the public list."""
    found = {}
    for module in FILES:
        if module in (PUBLIC, REGISTRY) or ".architecture" in module:
            continue
        names = [name for _, name in whole_strings(module) if name in set(networks()) - BODIES]
        found[module] = sorted(set(names) - DEFAULTS_OF.get(module, set()))
    wrong_everywhere(found)


BODIES = {"mobilenet_v1", "mobilenet_v2"}
"""Classifiers and bodies share their names: readers of weights say which body they found."""
DEFAULTS_OF = {
    "mobilenets.tasks.attributes.demo": {"attributes_mobilenet_v2"},
    "mobilenets.tasks.detect.check": {"ssdlite_mobilenet_v2"},
    "mobilenets.tasks.detect.demo": {"ssdlite_mobilenet_v2"},
    "mobilenets.tasks.embed.demo": {"embedding_mobilenet_v2"},
    "mobilenets.tasks.geolocate.demo": {"planet_mobilenet_v2"},
    "mobilenets.tasks.segment.demo": {"deeplabv3_mobilenet_v2"},
}
"""The network that a use takes where nobody names one."""


def whole_strings(module: str):
    for node in ast.walk(trees()[module]):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def test_the_rooms_of_the_engine_import_downwards():
    prefix = "mobilenets.engine."
    found = {}
    for module, names in ours().items():
        if not module.startswith(prefix):
            continue
        place = module.removeprefix(prefix).split(".")[0]
        assert place in ENGINE, f"say in this test which rooms {place} may import"
        others = {n.removeprefix(prefix).split(".")[0] for n in names if n.startswith(prefix)}
        found[module] = sorted(others - {place} - ENGINE[place])
    wrong_everywhere(found)


def test_torch_is_imported_only_where_it_may_be():
    found = {}
    for module in FILES:
        place = unit(module)
        own = module.split(".")[3:4]
        if place in {"runtime", "engine", "cost", "data", "weights.containers", *LEAVES}:
            seen = imports(module) if place != "weights.containers" else imports(module, lazy=False)
        elif place == "models" and ".modules" not in module:
            seen = {name for name in imports(module, lazy=False) if ".modules" not in name}
        elif place == "tasks":
            shared = module.split(".")[2:3]
            seen = set() if set(shared) & WITH_TORCH else imports(module, lazy=False)
        elif place.startswith("tasks.") and own and own[0] not in WITH_TORCH:
            if module in makers() or module in MADE_OF:
                continue
            seen = imports(module, lazy=False)
        else:
            continue
        found[module] = sorted(name for name in seen if name.split(".")[0] in TORCH)
    wrong_everywhere(found)


def makers() -> set[str]:
    """The modules in which networks are made."""
    return {
        network.constructor.partition(":")[0]
        for _, network in networks().values()
        if network.constructor
    }


MADE_OF: set[str] = set()
"""Other modules of an architecture that only those import."""


def test_nothing_imports_the_tests_or_their_peers():
    peers = {"tests", "keras", "tensorflow", "transformers", "pytest", "sklearn", "ai_edge_litert"}
    wrong_everywhere(
        {
            module: sorted(name for name in names if name.split(".")[0] in peers)
            for module, names in imported().items()
        }
    )


def test_no_circle_between_packages():
    graph: dict[str, set[str]] = {}
    for module, names in ours().items():
        if module == PUBLIC:
            continue
        place = REGISTRY if module == REGISTRY else unit(module)
        graph.setdefault(place, set()).update(
            REGISTRY if name == REGISTRY else unit(name) for name in names
        )
    for place, below in graph.items():
        below.discard(place)
    assert list(TopologicalSorter(graph).static_order())


def test_no_circle_between_modules():
    assert list(TopologicalSorter(ours()).static_order())


def test_imports_name_real_modules():
    """So that a typo cannot hide a module from the rules above."""
    wrong_everywhere(
        {
            module: sorted(name for name in names if name not in FILES)
            for module, names in ours().items()
        }
    )


def test_every_file_is_imported_by_something():
    commands = {f"mobilenets.cli.{name}" for name in COMMANDS.values()}  # imported by their names
    used = set().union(*ours().values(), ENTRIES, commands, makers(), *map(parts, TASKS))
    # Importing a module imports its packages.
    used |= {name.rsplit(".", n)[0] for name in used for n in range(1, name.count(".") + 1)}
    assert set(FILES) <= used


def parts(task: str) -> set[str]:
    """The modules of a use that `Task` imports by name."""
    cls = type(tasks()[task])
    names = [name for name, value in vars(cls).items() if isinstance(value, property)]
    files = ("weights.tflite", "weights.transformers")  # what `weights.uses` asks for
    return {f"mobilenets.tasks.{task}.{name}" for name in (*names, *files)}


def test_each_part_is_what_its_protocol_says(tmp_path):
    """A type checker holds every module of every use to the protocol in `tasks.base`."""
    lines = ["from mobilenets.tasks import base"]
    for task, (name, value) in product(TASKS, vars(Task).items()):
        if isinstance(value, property) and tasks()[task].has(name):
            lines.append(f"from mobilenets.tasks.{task} import {name} as {task}_{name}")
            protocol = value.fget.__annotations__["return"]
            lines.append(f"_{task}_{name}: base.{protocol} = {task}_{name}")
    assert len(lines) > 60
    (tmp_path / "held.py").write_text("\n".join(lines) + "\n")
    command = [sys.executable, "-m", "mypy", str(tmp_path / "held.py")]
    done = subprocess.run(command, cwd=ROOT.parents[1], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_third_parties_are_declared():
    """Everything imported is the standard library's, ours, or named in pyproject.toml."""
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML")
    with (Path(__file__).parents[1] / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["train"], *extras["heic"]]
    wanted += [*extras["geo"], *extras["metric"], *extras["parquet"]]
    wanted += extras["usearch"]
    declared = {re.split("[^a-z0-9-]", line.lower())[0] for line in wanted}
    owners = packages_distributions()
    for module, names in imported().items():
        for top in {name.split(".")[0] for name in names} - {"mobilenets"}:
            owner = {found.lower() for found in owners.get(BROUGHT.get(top, top), [top])}
            owner |= {name.replace("_", "-") for name in owner}
            assert top in sys.stdlib_module_names or owner & declared, (
                f"{module} imports {top}, which nothing in pyproject.toml brings"
            )


# What lies where


def test_files_are_short():
    lines = {module: text.count("\n") for module, text in texts().items()}
    wrong_everywhere({module: n for module, n in lines.items() if n > MOST_LINES})
    real = [n for module, n in lines.items() if FILES[module].name != "__init__.py" or n > 5]
    assert statistics.median(real) <= MEDIAN_LINES


def test_folders_are_rooms_not_heaps():
    """Few files in each, and no prefix that stands for a folder nobody made."""
    folders = defaultdict(list)
    for path in FILES.values():
        folders[path.parent].append(path.stem)
    found = {}
    for folder, stems in folders.items():
        heads = [stem.split("_")[0] for stem in stems if not stem.startswith("_")]
        shared = sorted({head for head in heads if heads.count(head) > 1})
        if shared or len(stems) > MOST_FILES:
            found[str(folder.relative_to(ROOT))] = f"{len(stems)} files, shared prefixes {shared}"
    wrong_everywhere(found)


def test_a_class_name_means_one_thing():
    owners = defaultdict(set)
    for module, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                owners[node.name.lstrip("_")].add(module)
    wrong_everywhere({name: sorted(where) for name, where in owners.items() if len(where) > 1})


# Words


def public_definitions(tree: ast.AST, prefix: str = ""):
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        if any(ast.unparse(one) == "overload" for one in node.decorator_list):
            continue  # the types of one that is defined behind it
        # What a framework calls by its own name says what it does in its class's docstring.
        if node.name.startswith("_") or (prefix and node.name in {"forward", "__call__"}):
            continue
        yield f"{prefix}{node.name}", node
        if isinstance(node, ast.ClassDef):
            yield from public_definitions(node, f"{node.name}.")


def test_public_names_have_docstrings_that_say_something():
    found = {}
    for module, tree in trees().items():
        poor = [] if ast.get_docstring(tree) else ["the file itself"]
        for name, node in public_definitions(tree):
            text = ast.get_docstring(node) or ""
            if len(text.split()) <= 3:
                poor.append(name)
        found[module] = poor
    wrong_everywhere(found)


def test_public_names_are_sorted_and_there():
    assert mobilenets.__all__ == sorted(mobilenets.__all__)
    assert set(mobilenets.__all__) <= set(dir(mobilenets))
    for name in mobilenets.__all__:
        assert getattr(mobilenets, name) is not None
