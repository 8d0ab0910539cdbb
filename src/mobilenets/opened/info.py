"""What a model is, for people."""

from __future__ import annotations

import html
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mobilenets.card import ModelCard, Preprocessing

_SHOWN = 5
"""Labels that are named in a text."""


@dataclass(frozen=True, repr=False)
class Info:
    """What a model is; as text, or in a notebook, a table.

    >>> mobilenets.open("photos.onnx").info
    network  mobilenet_v2, classes=8, width=0.35
    ...
    """

    source: str
    """The file or the name that was opened."""
    size: int | None
    """The file's bytes; None where it is no single file at hand."""
    architecture: str
    """The network's name; '' for a file of another program."""
    arguments: dict[str, Any]
    """The constructor's arguments."""
    task: str
    """What it is for, in a word."""
    labels: tuple[str, ...]
    """The classes in words; () where the file does not say."""
    preprocessing: Preprocessing
    """How an image becomes its input."""
    outputs: dict[str, str]
    """What each output's numbers mean, by its name."""
    origin: str
    """Who published it, or what was assumed about it, in words."""
    results: dict[str, float]
    """What it was measured with: metrics by name, shares 0 to 1."""
    note: str
    """What a person should know of how it runs."""

    @classmethod
    def of(cls, card: ModelCard, task: str, source: str, note: str) -> Info:
        """What a card says of a model that was opened as `source`."""
        path = Path(source)
        return cls(
            source,
            path.stat().st_size if path.is_file() else None,
            card.architecture,
            dict(card.arguments),
            task,
            card.labels,
            card.preprocessing,
            {one.name: one.meaning for one in card.outputs},
            card.source,
            dict(card.results),
            note,
        )

    def to_dict(self) -> dict[str, Any]:
        """All fields, as values that `json.dumps` takes."""
        return asdict(self)

    def rows(self) -> list[tuple[str, str]]:
        """What there is to say, each with its name: rows of a table."""
        pre = self.preprocessing
        more = len(self.labels) - _SHOWN
        named = "; ".join(self.labels[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
        knobs = [f"{name}={value!r}" for name, value in sorted(self.arguments.items())]
        found = {
            "opened": self.source,
            "size": f"{self.size / 1e6:.2f} MB" if self.size is not None else "",
            "network": ", ".join([self.architecture or "of another program", *knobs]),
            "task": self.task,
            "labels": f"{len(self.labels)}: {named}" if self.labels else "not named",
            "input": f"{pre.size[0]} x {pre.size[1]} {pre.order}, {pre.resize}, mean {pre.mean}, "
            f"deviation {pre.std}",
            "outputs": ", ".join(self.outputs.values()),
            "from": self.origin,
            "results": ", ".join(f"{name} {value:.4g}" for name, value in self.results.items()),
            "note": self.note,
        }
        return [(name, text) for name, text in found.items() if text]

    def __repr__(self) -> str:
        return "\n".join(f"{name:9}{text}" for name, text in self.rows())

    def _repr_html_(self) -> str:
        cells = (
            f"<tr><th>{name}</th><td>{html.escape(text)}</td></tr>" for name, text in self.rows()
        )
        return f"<table>{''.join(cells)}</table>"
