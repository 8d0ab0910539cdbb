"""What a model file of ours says of itself, kept beside its compiled code.

The library that reads ONNX files takes as long to import as the rest of the runtime. A file that
was opened before, and has a card, is opened without it.
"""

import hashlib
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from mobilenets.engine import Source
from mobilenets.engine.run.cache import Cache, key_of

_WRITERS = ("known.py", "session.py")
"""What is kept is as these files made it: others read the model again."""


class Recalled(NamedTuple):
    """A graph's one input, and the card that travels with it."""

    name: str
    kind: str
    """numpy's name of its type."""
    dims: tuple[int | None, ...]
    """None where the file leaves a size open."""
    layout: Literal["NCHW", "NHWC"]
    card: str
    """JSON; empty where the file has none."""


def recall(source: Source) -> Recalled | None:
    """What was kept of a file with this content; None where nothing was."""
    entry = Cache().fetch(_key(source))
    if entry is None:
        return None
    name, kind, dims, layout, card = entry.info["known"]
    source.whole = entry.info["whole"]  # of the same content: not searched again
    return Recalled(name, kind, tuple(dims), layout, card)


def keep(source: Source, known: Recalled) -> None:
    """Keep it for the next process; nothing where nothing is kept."""
    store = Cache()
    if store.directory is not None:
        store.store(
            _key(source),
            b"",
            np.zeros(1, np.float32),
            {"known": list(known), "whole": source.whole},
        )


def _key(source: Source) -> str:
    return key_of("known", source.content, _writers())


@cache
def _writers() -> bytes:
    digest = hashlib.blake2b()
    for name in _WRITERS:
        digest.update(Path(__file__).with_name(name).read_bytes())
    return digest.digest()
