"""From a folder of images to a file of vectors; a second time, only what changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mobilenets.data.listing import count
from mobilenets.errors import DataError
from mobilenets.index.embedder import Embedder
from mobilenets.index.file import Index, read_index, write_index
from mobilenets.index.probes import check, probe


@dataclass(frozen=True)
class Built:
    """What became of a folder."""

    index: Index
    embedded: int
    """Images that were read now."""
    kept: int
    """Images that are as they were."""
    gone: int
    """Images of the file that are not in the folder any more."""
    failures: tuple[tuple[str, str], ...]
    """(name, why) of those that could not be read."""

    @property
    def line(self) -> str:
        """All of it in one line."""
        parts = [f"{self.embedded:,} embedded", f"{self.kept:,} as they were"]
        parts += [f"{self.gone:,} gone"] if self.gone else []
        parts += [f"{len(self.failures):,} could not be read"] if self.failures else []
        return f"{count(len(self.index.names), 'image', 'images')}: {', '.join(parts)}"


def build_index(
    embedder: Embedder,
    weights: str,
    root: Path,
    files: Sequence[Path],
    output: Path,
    *,
    half: bool = False,
    anew: bool = False,
    batch_size: int = 32,
    exact: bool = False,
    progress: Callable[[int], None] = lambda images: None,
) -> Built:
    """Embed `files`, which lie below `root`, and write `output`.

    Where that is there already, images of the same name, size and time keep their vectors.
    DataError where it was made in another way (`probes.check`), unless it is to be made `anew`; and
    where no image could be read. `half` stores float16: half the size, cosines to three digits.
    """
    names = [os.path.relpath(file, root).replace(os.sep, "/") for file in files]
    stats = [file.stat() for file in files]
    old: dict[tuple[str, int, int], int] = {}
    before: Index | None = None
    if output.exists() and not anew:
        before = read_index(output)
        check(str(output), before.made, before.probes, embedder)
        rows = zip(before.names, before.sizes.tolist(), before.times.tolist(), strict=True)
        old = {key: i for i, key in enumerate(rows)}
    keys = [(n, s.st_size, s.st_mtime_ns) for n, s in zip(names, stats, strict=True)]
    todo = [i for i, key in enumerate(keys) if key not in old]
    kind = np.float16 if half else np.float32
    found: dict[int, Any] = {}
    failures: list[tuple[str, str]] = []
    place = {id(files[i]): i for i in todo}
    for items, vectors, failed in embedder.of(
        (files[i] for i in todo), batch_size=batch_size, exact=exact
    ):
        for item, vector in zip(items, vectors.astype(kind), strict=True):
            found[place[id(item)]] = vector
        failures += [(names[place[id(item)]], why) for item, why in failed]
        progress(len(items) + len(failed))
    kept = [i for i, key in enumerate(keys) if key in old]
    for i in kept:
        assert before is not None
        found[i] = before.vectors[old[keys[i]]].astype(kind)
    if not found:
        raise DataError(f"none of {count(len(files), 'image', 'images')} could be read")
    order = sorted(found)
    index = Index(
        str(root.resolve()),
        weights,
        embedder.fingerprint(),
        tuple(names[i] for i in order),
        np.stack([found[i] for i in order]),
        np.array([keys[i][1] for i in order], np.int64),
        np.array([keys[i][2] for i in order], np.int64),
        probe(embedder),
        dict(embedder.card.kept),
    )
    write_index(index, output)
    gone = len({*(before.names if before else ())} - {*names})
    return Built(index, len(order) - len(kept), len(kept), gone, tuple(failures))


def export_vectors(index: Index, path: Path) -> list[Path]:
    """Write the vectors as `.npy`, the names beside it as text, or all as `.parquet`.

    ValueError for another ending; ModuleNotFoundError where Parquet's writer is not installed.
    """
    from mobilenets.files import replace_file

    if path.suffix == ".npy":
        names = path.with_suffix(".txt")

        def save(temporary: Path) -> None:
            with temporary.open("wb") as file:
                np.save(file, index.vectors)

        replace_file(path, save)
        text = "".join(f"{name}\n" for name in index.names)
        replace_file(names, lambda one: one.write_text(text, "utf-8", "surrogateescape"))
        return [path, names]
    if path.suffix != ".parquet":
        raise ValueError(f"to must end in .npy or .parquet, got {path.name!r}")
    import pyarrow
    from pyarrow import parquet

    flat = pyarrow.array(index.vectors.ravel())
    lists = pyarrow.FixedSizeListArray.from_arrays(flat, index.vectors.shape[1])
    table = pyarrow.table({"image": list(index.names), "vector": lists})
    replace_file(path, lambda one: parquet.write_table(table, str(one)))
    return [path]
