"""Vectors of images from any weights: an embedding network's own, or another one's features."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mobilenets.card import ModelCard, Output
from mobilenets.errors import InputError, WeightsError
from mobilenets.inference import TorchSession
from mobilenets.models.listing import Layers
from mobilenets.opened.inside import OnnxInside
from mobilenets.runtime.batches import read_batches
from mobilenets.runtime.inputs import Given, read_input
from mobilenets.runtime.session import OnnxSession, Session
from mobilenets.tasks.registry import networks

if TYPE_CHECKING:
    from torch import nn

MEANING = "embedding"
"""What a card calls an output that is a vector of unit length."""
LEAST = 1e-12
Vectors = NDArray[np.float32]


class Embedder:
    """Images to vectors of unit length, by an open session.

    The first output of an embedding network; of any other network the mean of the last map of its
    body. WeightsError for a file that gives neither.
    """

    def __init__(self, session: Session) -> None:
        self.card: ModelCard = session.card
        self.note = session.note
        self.layer = ""
        """The layer whose mean is taken; '' for a network that gives vectors itself."""
        self.runs_on: str = getattr(session, "runs_on", "torch")
        self._run: Any = session
        if self.card.output.meaning == MEANING:
            name = self.card.output.name
            self._run = lambda batch: session(batch)[name]
        elif isinstance(session, TorchSession):
            self.layer = last_layer(self.card)
            self._run = _pooled(session)
        elif isinstance(session, OnnxSession):
            self.layer = last_layer(self.card)
            inside = OnnxInside(session)
            if self.layer not in inside.layers:
                raise WeightsError(
                    f"{session.source.name} gives no vectors, and the end of its body is not "
                    "known: give weights, or the export of an embedding network"
                )
            self._run = inside.runner(self.layer)
        self.digest = _digest(session)
        """SHA-256 of the graph, or of the weights, in hexadecimal."""

    def __call__(self, batch: NDArray[np.float32]) -> Vectors:
        """(N, 3, height, width) -> (N, dimensions), each of length 1.

        WeightsError for vectors that are not finite, or empty.
        """
        found = self._run(batch)
        if found.ndim > 2:
            found = found.mean(axis=tuple(range(2, found.ndim)))
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        if not np.isfinite(lengths).all():
            raise WeightsError("the vectors are not finite: the weights are damaged or overflow")
        found = found / np.maximum(lengths, LEAST)
        unit: Vectors = found.astype(np.float32, copy=False)
        return unit

    def fingerprint(self) -> dict[str, Any]:
        """What decides the vectors of an image, as JSON values."""
        return {
            "model": self.digest,
            "layer": self.layer,
            "runtime": self.runs_on,
            "preprocessing": json.loads(json.dumps(asdict(self.card.preprocessing))),
        }

    def of(
        self, images: Iterable[Given], *, batch_size: int = 32, exact: bool = False
    ) -> Iterator[tuple[list[Given], Vectors, list[tuple[Given, str]]]]:
        """Images with their vectors, in batches, and those that could not be read, with why."""

        def read(image: Given) -> NDArray[np.float32]:
            return read_input(image, self.card.preprocessing, exact=exact).values

        for batch in read_batches(images, read, batch_size):
            vectors = self(batch.inputs) if batch.items else np.zeros((0, 0), np.float32)
            yield batch.items, vectors, batch.failures

    def one(self, image: Given, *, exact: bool = False) -> Vectors:
        """The vector of an image, (dimensions,); DataError where it cannot be read."""
        values = read_input(image, self.card.preprocessing, exact=exact).values
        found: Vectors = self(values[None])[0]
        return found


def last_layer(card: ModelCard) -> str:
    """The last layer of a network's body, as `opened.inside` calls it; '' for none of ours."""
    if card.architecture not in networks():
        return ""
    network = networks()[card.architecture][1]
    body_type = network.body
    given = {k: v for k, v in card.arguments.items() if k in body_type.knobs()}
    body = body_type(**given)
    layers = Layers((3, *card.preprocessing.size), body.image_padding)
    every = {layer.name for layer in network.layers((3, *card.preprocessing.size), **{
        k: v for k, v in card.arguments.items() if k in network.knobs})}  # fmt: skip
    name = body.add(layers)
    if name not in every:  # a head on the last block
        name = body.add_blocks(Layers((3, *card.preprocessing.size), body.image_padding))
    return name.removeprefix("backbone.")


def _pooled(session: TorchSession) -> Any:
    """What runs the body of a torch network: (N, 3, H, W) -> (N, channels)."""
    body = getattr(session.module, "backbone", None)
    if body is None:
        raise WeightsError("these weights have no `backbone`, so there are no features to take")
    pooled = _mean_of(body)
    card = session.card.replace(outputs=(Output(MEANING, MEANING, "(N, channels)"),))
    run = TorchSession(pooled, card)
    return lambda batch: run(batch)[MEANING]


def _mean_of(body: nn.Module) -> nn.Module:
    """A module that gives the mean of a body's last map."""
    from torch import nn

    return nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def _digest(session: Session) -> str:
    if isinstance(session, OnnxSession):
        return hashlib.sha256(session.source.data).hexdigest()
    if not isinstance(session, TorchSession):
        raise InputError("vectors are made by a file or by weights")
    found = hashlib.sha256()
    for name, value in session.module.state_dict().items():
        found.update(name.encode())
        found.update(np.ascontiguousarray(value.detach().cpu().numpy()).tobytes())
    return found.hexdigest()


def open_embedder(weights: str | Path, **how: Any) -> Embedder:
    """Anything that `inference.open_model` opens, for vectors; its arguments."""
    from mobilenets.inference import open_model

    return Embedder(open_model(str(weights), **how))
