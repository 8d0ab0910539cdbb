"""A TFLite file as its readers see it: the graph, how it is fed, and the names packed with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mobilenets.card import Preprocessing
from mobilenets.engine.front.tflite.dilation import joined
from mobilenets.errors import WeightsError
from mobilenets.weights.containers.tflite.feed import parted, preprocessing_of
from mobilenets.weights.containers.tflite.graph import IDENTIFIER, TfliteGraph
from mobilenets.weights.containers.tflite.metadata import (
    TfliteMetadata,
    label_files,
    metadata_of,
    unreadable_labels,
)


@dataclass(frozen=True)
class TfliteFile:
    """A file of one image.

    In its graph dilated convolutions are single operators, and arithmetic on the input is left
    out: that is part of `preprocessing`.
    """

    path: Path
    graph: TfliteGraph
    preprocessing: Preprocessing
    """Size, mean and deviation; how an image comes to that size no such file says."""
    metadata: TfliteMetadata
    said: str
    """In words, what `preprocessing` was read from."""

    @classmethod
    def of(cls, path: Path, graph: TfliteGraph) -> TfliteFile:
        """ValueError for damaged constants, WeightsError for a network not of one image."""
        data = path.read_bytes()
        metadata = metadata_of(data)
        if len(graph.inputs) != 1:
            raise WeightsError(f"a network of one image, got {len(graph.inputs)} inputs")
        inner, affine = parted(graph)
        preprocessing, said = preprocessing_of(graph, affine, metadata)
        if metadata.calibrated:
            said += "; the score calibration in its metadata is left out"
        if metadata.damaged:
            said += "; its metadata is damaged and left out"
        if lost := unreadable_labels(data, metadata):
            said += f"; the labels {lost!r} that its metadata names cannot be read"
        return cls(path, joined(inner), preprocessing, metadata, said)

    def labels(self, outputs: int) -> tuple[str, ...]:
        """The names in the label file packed behind the model; () if there is none that fits.

        TFLite metadata appends a zip to the flatbuffer; a label file has one name on a line.
        """
        found = (lines for _, lines in self._label_files() if len(lines) == outputs)
        return next(found, ())

    def misfit(self, classes: int) -> str:
        """In words, that there are label files and none names so many classes; '' if one does.

        One name more is the background's, or of one output the other class's.
        """
        counts = {name: len(lines) for name, lines in self._label_files()}
        if not counts or {classes, classes + 1} & {*counts.values()}:
            return ""
        name, number = next(iter(counts.items()))
        return f"the {number} labels in {name!r} do not fit its {classes} classes, left aside"

    def _label_files(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        return label_files(self.path.read_bytes(), self.metadata)


def is_tflite(path: Path) -> bool:
    """Whether `path` is a TFLite file, by the identifier at its start."""
    with path.open("rb") as file:
        return file.read(8)[4:] == IDENTIFIER
