"""What a model file says of itself: architecture, task, labels, preprocessing, results.

The same JSON travels in a checkpoint's safetensors header and in an ONNX file's metadata, under
the key `mobilenets`. No torch here: a device that only predicts reads it too.
"""

import base64
import dataclasses
import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

from mobilenets.errors import WeightsError

KEY = "mobilenets"
VERSION = 4
"""Of the format. Version 1 had one word for the outputs, and before 3 a card did not know the
images that a network was trained on. Version 4 is that of cards with something in `kept`; others
are written as version 3, which older programs read too."""

MAX_SIDE = 8192
"""Pixels of an input's side: a damaged card must not ask for all the memory."""

ResizeRule = Literal["crop", "torchvision", "squash", "pad"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]
ColourOrder = Literal["RGB", "BGR"]


@dataclass(frozen=True)
class Output:
    """One output of a network, as a program that runs it sees it."""

    name: str
    """What a session and a deployed file call it."""
    meaning: str
    """What its numbers are, one of the words that its task knows: `logits`, `boxes`, ..."""
    shape: str = ""
    """In words, the batch first: `(N, classes)`; empty where nobody said."""


def one_output(meaning: str, shape: str = "") -> tuple[Output, ...]:
    """The outputs of a network that has one, called by what its numbers are."""
    return (Output(meaning, meaning, shape),)


INDEPENDENT = (Output("logits", "independent logits", "(N, classes)"),)
"""Of a network whose outputs are scores each by itself, once a sigmoid has made them so."""


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes a model's input: (3, height, width), (pixel / 255 - mean) / std.

    `resize` is a rule: `crop` scales the short side to round(side / `crop_fraction`) and takes
    the centre, and so does `torchvision`, rounding as that library does; `squash` scales each
    side by itself; `pad` fits the image in and fills the rest, right and below, with the mean.
    """

    size: tuple[int, int] = (224, 224)
    """(height, width) in pixels."""
    resize: ResizeRule = "crop"
    """How the image is brought to `size`: one of the rules above."""
    crop_fraction: float = 0.875
    """Share of the scaled short side that the crop keeps, above 0 to 1; `crop` and `torchvision`
    alone use it."""
    interpolation: Interpolation = "bilinear"
    """Of the scaling: `nearest`, `bilinear`, `bicubic` or `lanczos`."""
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    """Subtracted from each channel, in `order`; shares of the brightest, 0 to 1."""
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    """What each channel is divided by, in the same unit; above 0."""
    order: ColourOrder = "RGB"
    """Of the channels: `RGB` or `BGR`."""

    def __post_init__(self) -> None:
        sides = self.size if isinstance(self.size, (tuple, list)) else ()
        fits = [isinstance(side, int) and 0 < side <= MAX_SIDE for side in sides]
        if len(fits) != 2 or not all(fits):
            raise ValueError(f"size must be two integers from 1 to {MAX_SIDE}, got {self.size!r}")
        if self.resize not in get_args(ResizeRule):
            raise ValueError(f"resize must be one of {get_args(ResizeRule)}, got {self.resize!r}")
        if not isinstance(self.crop_fraction, (int, float)) or not 0 < self.crop_fraction <= 1:
            raise ValueError(f"crop_fraction must be in (0, 1], got {self.crop_fraction!r}")
        if self.interpolation not in get_args(Interpolation):
            allowed = get_args(Interpolation)
            raise ValueError(f"interpolation must be one of {allowed}, got {self.interpolation!r}")
        for name, values in (("mean", self.mean), ("std", self.std)):
            three = isinstance(values, (tuple, list)) and len(values) == 3
            if not three or not all(isinstance(v, (int, float)) for v in values):
                raise ValueError(f"{name} must be three numbers, got {values!r}")
        if min(self.std) <= 0:
            raise ValueError(f"std must be three numbers above 0, got {self.std!r}")
        if self.order not in get_args(ColourOrder):
            raise ValueError(f"order must be RGB or BGR, got {self.order!r}")


INCEPTION = Preprocessing()
"""Google's: pixels to [-1, 1], centre crop of 87.5 %."""

TORCHVISION = Preprocessing(
    resize="torchvision", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
)
"""The mean and deviation of ImageNet, as torchvision and most PyTorch ports use them."""


@dataclass(frozen=True)
class TrainedOn:
    """Which images a network was trained on, by keys of their contents (`data.contents`).

    A set of millions is known by the least of its keys, a sample that does not depend on the
    images' names or order: of other images too, those with keys so small can be looked up.
    """

    images: int
    """How many there were."""
    keys: str = ""
    """Numbers of 48 bits in base64, six bytes each, the highest first; rising, none twice."""
    below: int | None = None
    """Keys from here on were left out; None where all are there."""

    def __post_init__(self) -> None:
        whole = (self.images, 0 if self.below is None else self.below)
        if not all(type(one) is int and one >= 0 for one in whole) or not isinstance(
            self.keys, str
        ):
            raise ValueError("trained_on must be numbers of images and keys in base64")

    MOST: ClassVar[int] = 4096
    """Keys that are kept: 32 KB of a file."""

    @classmethod
    def of(cls, images: int, keys: Collection[int], below: int | None = None) -> "TrainedOn":
        """From keys in any order, of which those from `below` on count as left out."""
        rising = sorted({key for key in keys if below is None or key < below})
        if len(rising) > cls.MOST:
            rising, below = rising[: cls.MOST], rising[cls.MOST]
        stored = b"".join(key.to_bytes(6, "big") for key in rising)
        return cls(images, base64.b64encode(stored).decode("ascii"), below)

    def numbers(self) -> frozenset[int]:
        """The keys, decoded: below 2 to the power of 48. ValueError where they are damaged."""
        stored = base64.b64decode(self.keys, validate=True)
        return frozenset(int.from_bytes(stored[i : i + 6], "big") for i in range(0, len(stored), 6))

    def joined(self, other: "TrainedOn | None") -> "TrainedOn":
        """What was trained on this and then on `other`.

        Images of both are counted once where all keys are there, twice where they are not.
        """
        if other is None:
            return self
        ours, theirs = self.numbers(), other.numbers()
        bounds = [one.below for one in (self, other) if one.below is not None]
        twice = 0 if bounds else len(ours & theirs)
        return self.of(self.images + other.images - twice, ours | theirs, min(bounds, default=None))


def _kind(key: str, value: Any, kind: type, allowed: str) -> Any:
    """The value, if it is of that kind; ValueError that names the key."""
    if not isinstance(value, kind):
        raise ValueError(f"{key} must be {allowed}, got {value!r:.80}")
    return value


@dataclass(frozen=True)
class ModelCard:
    """Everything needed to build, feed and read a model, and where it came from."""

    architecture: str
    """A name of the zoo, or '' for an ONNX file that another program wrote."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the constructor, JSON values only."""
    task: str = ""
    """The use that it was made for; empty stands for that of the architecture."""
    labels: tuple[str, ...] = ()
    """One per output, of a detector one per class of objects; empty where nobody said."""
    preprocessing: Preprocessing = INCEPTION
    """How an image becomes the input; Google's unless given."""
    outputs: tuple[Output, ...] = one_output("logits")
    """What comes out, in the order of the file; the first is the one that is measured.

    A classifier's logits become `probabilities` where a softmax is part of the file; each task's
    `outputs` says which meanings it has.
    """
    source: str = ""
    """Who published the weights, in words."""
    recipe: dict[str, Any] = field(default_factory=dict)
    """What it was trained by: the recipe's settings by name, as JSON values; empty where nobody
    said."""
    results: dict[str, float] = field(default_factory=dict)
    """Measured metrics by name, shares as 0..1."""
    trained_on: TrainedOn | None = None
    """None where nobody said."""
    kept: dict[str, Any] = field(default_factory=dict)
    """What its use needs to read the outputs and that was found in the data, as JSON values: cells
    of a map, thresholds; empty for most."""
    reading: dict[str, Any] = field(default_factory=dict)
    """Options for whoever reads the outputs this time, by name; never written to a file."""

    def __post_init__(self) -> None:
        for name in ("architecture", "task", "source"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"{name} must be text, got {getattr(self, name)!r:.80}")
        for name in ("arguments", "recipe", "results", "kept", "reading"):
            if not isinstance(getattr(self, name), dict):
                raise ValueError(f"{name} must be a dictionary, got {getattr(self, name)!r:.80}")
        names = [one.name for one in self.outputs if isinstance(one, Output)]
        if not names or len(names) < len(self.outputs) or len(set(names)) < len(names):
            raise ValueError(
                f"outputs must be one or more Output with names of their own, got {self.outputs!r}"
            )

    @property
    def output(self) -> Output:
        """The first output, which most networks have alone."""
        return self.outputs[0]

    def replace(self, **changes: Any) -> "ModelCard":
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def to_json(self) -> str:
        """One line of JSON, the same for equal cards."""
        values = dataclasses.asdict(self)
        del values["reading"]
        if not self.kept:
            del values["kept"]
        version = VERSION if self.kept else 3
        return json.dumps({"version": version, **values}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str, path: object) -> "ModelCard":
        """Read what `to_json` wrote; `path` is for the message of a WeightsError."""
        try:
            values = json.loads(text)
            version = values.pop("version")
            if version not in range(1, VERSION + 1):
                raise WeightsError(
                    f"{path}: written by a version of mobilenets that this one does not read "
                    f"(format {version}, this is {VERSION})"
                )
            said = _kind("preprocessing", values.pop("preprocessing"), dict, "an object")
            pre: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in said.items()
            }
            names = _kind("labels", values.pop("labels"), list, "a list of names")
            labels = tuple(str(label) for label in names)
            found = values.pop("outputs", "logits")
            if version > 1:
                for one in _kind("outputs", found, list, "a list of objects"):
                    _kind("outputs", one, dict, "a list of objects")
            outputs = one_output(found) if version == 1 else tuple(Output(**one) for one in found)
            images = values.pop("trained_on", None)
            if images is not None:
                _kind("trained_on", images, dict, "an object")
            trained_on = TrainedOn(**images) if images is not None else None
            if trained_on is not None:
                trained_on.numbers()  # what cannot be read is said now
            return cls(
                **values,
                reading={},
                labels=labels,
                preprocessing=Preprocessing(**pre),
                outputs=outputs,
                trained_on=trained_on,
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise WeightsError(f"{path}: its {KEY} metadata is damaged ({error})") from error


def card_of(model: object) -> ModelCard:
    """The card of a network; ValueError where it has none, as one just built has not."""
    card = getattr(model, "card", None)
    if not isinstance(card, ModelCard):
        raise ValueError(f"model must have a card, got {card!r}; set model.card to a ModelCard")
    return card


def set_card(model: object, card: ModelCard) -> None:
    """Give any network a card; on a torch module it is a plain attribute, no parameter."""
    object.__setattr__(model, "card", card)
