"""Misspelt keyword arguments of public functions, answered with the nearest name."""

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'width'?`: the nearest of the known names; '' where none is near."""
    near = difflib.get_close_matches(name, list(known), 1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def explained(function: Callable[P, R]) -> Callable[P, R]:
    """A decorator: a keyword argument that there is not is a TypeError with the nearest that is.

    >>> mobilenets.open("photos.onnx", thread=2)
    TypeError: open() has no argument 'thread'; did you mean 'threads'?
    """
    parameters = inspect.signature(function).parameters.values()
    known = [p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        for name in kwargs:
            if name not in known:
                short = function.__name__
                raise TypeError(f"{short}() has no argument {name!r}{nearest(name, known)}")
        return function(*args, **kwargs)

    return call
