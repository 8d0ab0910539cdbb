"""Every field of a class that users meet says what it means: reached from the public names."""

import ast
from collections.abc import Iterator
from functools import cache

import mobilenets
from mobilenets.tasks.registry import with_part
from mobilenets.training.recipes import PARTS
from tests.test_architecture import trees


@cache
def classes() -> dict[str, ast.ClassDef]:
    """Every class of the package by its name."""
    return {
        node.name: node
        for tree in trees().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }


def functions() -> Iterator[ast.FunctionDef]:
    """The public functions."""
    for name in mobilenets.__all__:
        for module, tree in trees().items():
            if module.startswith(f"mobilenets.{mobilenets._HOMES[name]}"):
                found = (node for node in tree.body if isinstance(node, ast.FunctionDef))
                yield from (node for node in found if node.name == name)


def met() -> dict[str, ast.ClassDef]:
    """The classes among the public names, in their annotations, and so on; and of recipes."""
    recipes = [make() for task in with_part("recipes") for make in task.recipes.RECIPES.values()]
    parts = {type(getattr(recipe, part)).__name__ for recipe in recipes for part in PARTS}
    waiting = ["Recipe", *parts, *(name for name in mobilenets.__all__ if name in classes())]
    for function in functions():
        waiting += named(function)
    found: dict[str, ast.ClassDef] = {}
    while waiting:
        name = waiting.pop()
        if name in classes() and name not in found:
            found[name] = classes()[name]
            for part in classes()[name].body:
                waiting += named(part)
    return found


def named(node: ast.stmt) -> Iterator[str]:
    """The classes in the annotations of a public field, property, method or function."""
    if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
        annotations = [
            node.returns,
            *(one.annotation for one in ast.walk(node.args) if isinstance(one, ast.arg)),
        ]
    elif isinstance(node, ast.AnnAssign):
        annotations = [node.annotation]
    else:
        return
    for annotation in filter(None, annotations):
        for inner in ast.walk(annotation):
            if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                inner = ast.parse(inner.value, mode="eval").body
                yield from (one.id for one in ast.walk(inner) if isinstance(one, ast.Name))
            if isinstance(inner, ast.Name):
                yield inner.id


def silent(node: ast.ClassDef) -> Iterator[str]:
    """Public fields of a dataclass or a named tuple that have no text behind them."""
    decorators = [ast.unparse(one) for one in node.decorator_list]
    bases = [ast.unparse(one) for one in node.bases]
    if "NamedTuple" not in bases and not any(one.startswith("dataclass") for one in decorators):
        return
    for field, behind in zip(node.body, [*node.body[1:], None], strict=True):
        if not isinstance(field, ast.AnnAssign) or "ClassVar" in ast.unparse(field.annotation):
            continue
        text = isinstance(behind, ast.Expr) and isinstance(behind.value, ast.Constant)
        name = ast.unparse(field.target)
        if not text and not name.startswith("_"):
            yield name


def test_every_field_that_users_meet_says_what_it_means():
    classes = met()
    assert {"ModelCard", "Cost", "LayerCost", "Evaluation", "Result", "Recipe", "Info"} <= set(
        classes
    )
    missing = {name: found for name, node in classes.items() if (found := list(silent(node)))}
    assert not missing, missing
