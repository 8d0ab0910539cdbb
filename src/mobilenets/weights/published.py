"""The checkpoints that others published, by name, and one of ours; the list is published.json.

Top-1 is what the publisher states for the checkpoint, absent where we have no figure of theirs:
Google's release pages (the 16 and 22), torchvision's and timm's own results. A sha256, whole or
its beginning, is there where it is published; see `mobilenets.weights.fetch` for the others.
"""

import json
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Published:
    """One checkpoint: what it is, and where it lies."""

    name: str
    architecture: str
    """A name of the zoo."""
    width: float
    resolution: int
    """Pixels along a side, that it was published for."""
    source: str
    url: str = ""
    """Empty for one that is part of the package."""
    top1: float | None = None
    """ImageNet validation, 0..1."""
    sha256: str | None = None
    """Of the file, all 64 digits or the first ones."""
    beside: tuple[str, ...] = ()
    """Addresses of small files that belong next to it."""
    arguments: dict[str, Any] = field(default_factory=dict, hash=False)
    """Of its constructor, beside the width, where they are not the default."""

    @property
    def packaged(self) -> Path | None:
        """Its file beside this one, where it is part of the package."""
        return None if self.url else Path(__file__).with_name(f"{self.name}.safetensors")


def _read() -> dict[str, Published]:
    rows = json.loads(files(__package__).joinpath("published.json").read_text(encoding="utf-8"))
    return {
        row["name"]: Published(**{**row, "beside": tuple(row.get("beside", ()))}) for row in rows
    }


PUBLISHED: dict[str, Published] = _read()
"""By name, V1 before V2, Google's before the others, those of segmentation and ours at the end."""
