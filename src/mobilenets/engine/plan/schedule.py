"""Which schedule each block gets: a choice by its shape and the caches, as data that can be read.

rows: output rows are made one strip after the other, from a ring of expanded rows.
groups: the whole map, one group of expanded channels after the other (the paper's t groups);
    threads share the groups and add up partial sums.
Several rows-scheduled stages in a row can be streamed as one chain: maps between them never exist.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from mobilenets.errors import InputError

Kind = Literal["rows", "groups"]
_TINY, _SMALL = 20 * 20, 28 * 28  # pixels
_WORK = 640 * 1024  # bytes of a group on the whole map, expanded and convolved: fits L2
_MOST_GROUP = 160
_STRIP, _LONG_STRIP = 56, 196  # pixels
_ROW_BYTES = 10752  # of a row of a group: three of them and their outputs fit the first cache
_WIDE_ROW, _WIDE_GROUP = 32 * 1024, 112
"""A row of more bytes is cut into groups of about so many channels, where nothing is expanded."""
HEAVY = 64 * 1024
"""So many weights are better read once an image than once for each strip of a chain."""
_MANY, _LONG_ROW = 192 * 1024, 24 * 1024
"""Of a block with more weights, such a row of a group: each group reads and adds to the outputs."""
_STREAMED = 256 * 1024  # bytes of a map beyond which it pays not to write it
_STREAMED_APART = 3 * _STREAMED
"""The same on several threads: the longer a chain, the more rows both make at the seam."""


@dataclass(frozen=True)
class Choice:
    """How a block is computed, and what that takes."""

    kind: Kind
    """What it goes by."""
    group: int
    """Expanded channels at once."""
    strip: int
    """Output rows at once."""


@dataclass(frozen=True)
class Schedule:
    """Choices by a block's name, and which neighbours are streamed as one."""

    blocks: Mapping[str, Choice] = field(default_factory=dict)
    """For the blocks that are named; the planner chooses for the others."""
    stream: int | None = None
    """A map of more than so many bytes between two stages is not written but streamed; 0 streams
    all that can be, -1 none; None: as pays on so many threads. Blocks with more than `HEAVY`
    weights are streamed with 0 only."""

    def limit(self, threads: int) -> int:
        """`stream`, chosen where it is left open."""
        if self.stream is not None:
            return self.stream
        return _STREAMED if threads == 1 else _STREAMED_APART

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> "Schedule":
        """Read what `to_json` wrote, or part of it. InputError where it does not make sense."""
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise InputError(f"{path}: no such file") from error
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: not a schedule in JSON ({error})") from error
        return cls.from_json(data, str(path))

    @classmethod
    def from_json(cls, data: Any, where: str = "schedule") -> "Schedule":
        """The schedule of a parsed JSON object."""
        if not isinstance(data, dict) or set(data) - {"blocks", "stream"}:
            raise InputError(f"{where}: must be an object with blocks and stream, got {data!r:.80}")
        blocks, stream = data.get("blocks", {}), data.get("stream")
        if stream is not None and (type(stream) is not int or stream < -1):
            raise InputError(f"{where}: stream must be -1 or more bytes, got {stream!r}")
        if not isinstance(blocks, dict):
            raise InputError(f"{where}: blocks must be an object, got {blocks!r:.80}")
        return cls({name: _choice(where, name, value) for name, value in blocks.items()}, stream)

    def to_json(self) -> dict[str, Any]:
        """The schedule as a JSON object, which `from_json` reads back."""
        blocks = {name: asdict(choice) for name, choice in self.blocks.items()}
        return {"blocks": blocks, "stream": self.stream}


def _choice(where: str, name: str, value: Any) -> Choice:
    wanted = {"kind", "group", "strip"}
    good = isinstance(value, dict) and set(value) == wanted
    if good and value["kind"] in ("rows", "groups"):
        sizes = value["group"], value["strip"]
        if all(type(size) is int and size > 0 for size in sizes):
            return Choice(value["kind"], *sizes)
    raise InputError(
        f"{where}: {name} must have kind (rows or groups), group and strip (positive), "
        f"got {value!r:.80}"
    )


@dataclass(frozen=True)
class BlockShape:
    """What the choice depends on: the map convolved by depth, the outputs' height, the weights."""

    height: int
    width: int
    middle: int
    outputs: int
    expands: bool
    weights: int
    size: int
    """Bytes of an element of that map."""


def choose(shape: BlockShape, lanes: int, threads: int) -> Choice:
    """The schedule of a block, from measurements of both kinds over the networks' shapes.

    Small maps go by groups, as large as fit the second-level cache: tiles of pixels cross rows,
    weights are read once, and two threads split channels without making a row twice. Large maps
    go by rows: a few rows of all channels fit where a group of a whole map would not.
    """
    pixels = shape.height * shape.width
    sizes = group_sizes(shape.middle, lanes)
    if not shape.expands:
        return _without_expansion(shape, sizes)
    if pixels <= (_SMALL if threads > 1 else _TINY):
        most = min(_MOST_GROUP, _WORK // (2 * pixels * shape.size))
        fitting = [size for size in sizes if size <= most] or sizes[:1]
        even = [size for size in fitting if (shape.middle // size) % threads == 0]
        return Choice("groups", max(even or fitting[:1]), shape.outputs)
    row = (_LONG_ROW if shape.weights > _MANY else _ROW_BYTES) / shape.size
    near = min(sizes, key=lambda size: abs(size - row / shape.width))
    return Choice("rows", near, 1)


def _without_expansion(shape: BlockShape, sizes: list[int]) -> Choice:
    """The schedule of a block without expansion: always by rows, since no row is made twice.

    The more weights each strip reads, the more rows it has. Where the rows of a window are far more
    than the first-level cache holds, as in a detector's heads, channels go in groups.
    """
    strip = strip_of(shape)
    wide = shape.width * shape.middle * shape.size > _WIDE_ROW
    group = min(sizes, key=lambda size: abs(size - _WIDE_GROUP)) if wide else sizes[-1]
    return Choice("rows", group, strip)


def strip_of(shape: BlockShape) -> int:
    """How many output rows are made at once: the more, the fewer times the weights are read."""
    pixels = _LONG_STRIP if shape.weights > HEAVY else _STRIP
    return min(shape.outputs, -(-pixels // shape.width))


def group_sizes(middle: int, lanes: int) -> list[int]:
    """How many channels a group may have: whole vectors that divide them, or all of them."""
    if middle % lanes:
        return [middle]
    vectors = middle // lanes
    return [n * lanes for n in range(1, vectors + 1) if vectors % n == 0]
