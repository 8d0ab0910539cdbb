"""What is damaged: a whole file or folder of each kind that a reader takes, and how it is read.

A subject writes its seed once; `damage` writes one damaged copy, `read` gives that to every
reader of the package which would take it. Both depend on the random numbers alone.
"""

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz import mutate

Write = Callable[[Path], Path]
"""Writes a seed into a folder, and says where it is."""
Read = Callable[[Path], None]
Damage = Callable[[random.Random, Path, Path], Path]
"""(random numbers, the seed, an empty folder) -> the damaged copy in that folder."""


@dataclass(frozen=True)
class Subject:
    name: str
    write: Write
    damage: Damage
    read: Read
    weight: int = 1
    """How often it is taken, beside the others."""
    heavy: bool = False
    """Its seed needs a large library, or files that are not in the repository."""


def in_bytes(near: int | None = None) -> Damage:
    """Damage to the bytes of a file, and to where it begins for the most part."""

    def damage(rng: random.Random, seed: Path, folder: Path) -> Path:
        path = folder / seed.name
        path.write_bytes(mutate.damaged(rng, seed.read_bytes(), near))
        return path

    return damage


def in_tree(rng: random.Random, seed: Path, folder: Path) -> Path:
    """A folder in which some files are others, missing, renamed, or there twice."""
    root = folder / "data"
    shutil.copytree(seed, root)
    files = sorted(path for path in root.rglob("*") if path.is_file())
    told = [path for path in files if path.suffix not in (".jpg", ".png")]
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        path = rng.choice(told) if told and rng.random() < 0.7 else rng.choice(files)
        if not path.is_file():
            continue
        match rng.randrange(12):
            case 0:
                path.unlink()
            case 1:
                odd = [" ", "\n", "é", "ﬁ", "%s", "'", "CON", "x" * 200, ".hidden", "a.b", "İ"]
                path.rename(path.with_name(rng.choice(odd) + path.suffix))
            case 2:
                copy = rng.choice(files).parent / f"{rng.randrange(9)}{path.suffix}"
                if not copy.exists():
                    shutil.copy(path, copy)
            case 3:
                path.unlink()
                path.symlink_to(rng.choice([path.name, "/dev/null", "/nowhere", "..", "."]))
            case 4:
                path.unlink()
                path.mkdir()
            case _ if path.suffix == ".json":
                path.write_bytes(mutate.json_bytes(rng, path.read_bytes()))
            case _ if path in told:
                path.write_bytes(mutate.text(rng, path.read_bytes()))
            case _:
                path.write_bytes(mutate.damaged(rng, path.read_bytes(), 200))
    return root
