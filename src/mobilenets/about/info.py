"""What a model is, for people and for programs."""

from __future__ import annotations

import hashlib
import html
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from mobilenets.card import ModelCard, Output, Preprocessing, TrainedOn
from mobilenets.data.listing import one_line

_SHOWN = 5
"""Labels that are named in a text."""


@dataclass(frozen=True, repr=False)
class Info:
    """What a model is; as text, or in a notebook, a table.

    >>> mobilenets.open("photos.onnx").info
    network     mobilenet_v2, classes=8, width=0.35
    ...
    """

    source: str
    """The file, the folder or the name that was asked for."""
    kind: str
    """What it is, in words: what kind of file, or a name."""
    file: str = ""
    """The file that it means; '' where there is none on this disk."""
    size: int | None = None
    """Bytes of the file, and of those that belong to it; None without one."""
    writer: str = ""
    """The program that wrote the file, where the file says so."""
    architecture: str = ""
    """The network's name; '' for one that is not of the zoo."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """The constructor's arguments."""
    task: str = ""
    """What it is for, in a word; '' where nothing says."""
    labels: tuple[str, ...] = ()
    """The classes in words; () where the file does not say."""
    resolution: tuple[int, int] | None = None
    """(height, width) of the input in pixels; None where nothing says."""
    preprocessing: Preprocessing | None = None
    """How an image becomes its input; None where nothing says."""
    outputs: tuple[Output, ...] = ()
    """What comes out: names, what their numbers mean, shapes."""
    parameters: int | None = None
    """Trained numbers; None where they cannot be counted."""
    madds: int | None = None
    """Multiply-adds for one image; None where they cannot be counted."""
    engine: bool | None = None
    """Whether this package's engine runs it; None for what is exported as `.onnx` first."""
    reason: str = ""
    """Why the engine does not run it, the operator that stops it first; or what exports it."""
    results: dict[str, float] = field(default_factory=dict)
    """What it was measured with: metrics by name, shares 0 to 1."""
    trained_on: dict[str, Any] | None = None
    """Of the images it was trained on: `images`, how many; `keys`, how many of their keys the file
    has; `digest`, the same for files that were trained on the same. None where nobody said."""
    run: dict[str, Any] = field(default_factory=dict)
    """What the training run whose folder this is was started with; {} where it is none."""
    origin: str = ""
    """Who published it, or what was assumed about it, in words."""
    notes: tuple[str, ...] = ()
    """What else a person should know."""

    @property
    def note(self) -> str:
        """The notes in a line."""
        return "; ".join(self.notes)

    def to_dict(self) -> dict[str, Any]:
        """All fields, as values that `json.dumps` takes."""
        return asdict(self)

    def rows(self) -> list[tuple[str, str]]:
        """What there is to say, each with its name: rows of a table."""
        knobs = [f"{name}={value!r}" for name, value in sorted(self.arguments.items())]
        network = ", ".join([self.architecture, *knobs]) if self.architecture else ""
        found = {
            "source": self.source,
            "kind": self.kind,
            "file": self.file if self.file != self.source else "",
            "size": _bytes(self.size),
            "written by": self.writer,
            "network": network or "not one of ours by name",
            "task": self.task or "not known",
            "labels": self._labels(),
            "input": self._input(),
            "outputs": "; ".join(_output(one) for one in self.outputs),
            "parameters": "" if self.parameters is None else f"{self.parameters:,}",
            "multiply-adds": "" if self.madds is None else f"{self.madds:,}",
            "engine": self._engine(),
            "results": ", ".join(f"{name} {value:.4g}" for name, value in self.results.items()),
            "trained on": self._trained_on(),
            "run": ", ".join(f"{name} {value}" for name, value in self.run.items()),
            "from": self.origin,
            **{("note" if i == 0 else f"note {i + 1}"): one for i, one in enumerate(self.notes)},
        }
        return [(name, one_line(text)) for name, text in found.items() if text]

    def _labels(self) -> str:
        more = len(self.labels) - _SHOWN
        named = "; ".join(self.labels[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
        if not self.labels:
            return "not named" if self.file else ""
        return f"{len(self.labels)}: {named}"

    def _input(self) -> str:
        size = "{} x {}".format(*self.resolution) if self.resolution else ""
        pre = self.preprocessing
        if pre is None:
            return size
        crop = f" {pre.crop_fraction:g}" if pre.resize in ("crop", "torchvision") else ""
        feed = f"mean {_numbers(pre.mean)}, deviation {_numbers(pre.std)}"
        return f"{size} {pre.order}, {pre.resize}{crop}, {pre.interpolation}, {feed}"

    def _engine(self) -> str:
        if self.engine is None:
            return f"once exported: {self.reason}" if self.reason else ""
        return "runs it" if self.engine else f"does not run it: {self.reason}"

    def _trained_on(self) -> str:
        known = self.trained_on
        if known is None:
            return ""
        images = f"{known['images']:,} {'image' if known['images'] == 1 else 'images'}"
        return f"{images}, digest {known['digest']}" if known["digest"] else images

    def __repr__(self) -> str:
        rows = self.rows()
        wide = max(len(name) for name, _ in rows) + 2
        return "\n".join(f"{name:{wide}}{text}" for name, text in rows)

    def _repr_html_(self) -> str:
        cells = (
            f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>"
            for name, text in self.rows()
        )
        return f"<table>{''.join(cells)}</table>"


def of_card(card: ModelCard) -> dict[str, Any]:
    """The fields of an `Info` that a card says."""
    return {
        "architecture": card.architecture,
        "arguments": dict(card.arguments),
        "task": card.task,
        "labels": card.labels,
        "resolution": card.preprocessing.size,
        "preprocessing": card.preprocessing,
        "outputs": card.outputs,
        "origin": card.source,
        "results": dict(card.results),
        "trained_on": _known(card.trained_on),
    }


def _known(images: TrainedOn | None) -> dict[str, Any] | None:
    """How many images there were, and what tells those of two files apart."""
    if images is None:
        return None
    stored = f"{images.images} {images.below} {images.keys}"
    digest = hashlib.sha256(stored.encode()).hexdigest()[:16] if images.keys else ""
    return {"images": images.images, "keys": len(images.numbers()), "digest": digest}


def _output(one: Output) -> str:
    """`logits (N, classes)`; its name too where that is another word."""
    name = "" if one.name == one.meaning else f"{one.name}: "
    return f"{name}{one.meaning} {one.shape}".strip()


def _bytes(size: int | None) -> str:
    """`3.61 MB`; of small files kilobytes."""
    if size is None:
        return ""
    return f"{size / 1e6:.2f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


def _numbers(values: Iterable[float]) -> str:
    """`0.5` for three that are equal, else all of them."""
    shown = [f"{value:.4g}" for value in values]
    return shown[0] if len(set(shown)) == 1 else f"({', '.join(shown)})"


def said(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those that say something: no None, nothing empty."""
    return {name: value for name, value in values.items() if value not in (None, "", {}, ())}
