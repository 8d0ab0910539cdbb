"""The parts of a use of a network, each a protocol.

A use is a package, its room. Each part is a module of it, named as the properties of `Task`, that
has what the protocol of the same name says. A use has the parts that it can do something with: one
that nobody trains has no `learn`, one without pictures no `show`. Of the parts, `network`, `learn`,
`probe`, `know` and `teach` may import torch; the others run where there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mobilenets.card import ModelCard
from mobilenets.tasks.base.evaluators import Drawing as Drawing
from mobilenets.tasks.base.evaluators import Evaluator as Evaluator
from mobilenets.tasks.base.evaluators import Examining as Examining
from mobilenets.tasks.base.evaluators import Gathering as Gathering
from mobilenets.tasks.base.evaluators import Searching as Searching
from mobilenets.tasks.values import (
    Addition,
    Arrays,
    Defaults,
    Demo,
    Judged,
    Metric,
    Size,
)

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor, nn

    from mobilenets.data.dataset import Dataset
    from mobilenets.models.network import Network
    from mobilenets.tasks.answer import Answer
    from mobilenets.tasks.forms import Form
    from mobilenets.tasks.recipe import Recipe
    from mobilenets.tasks.report import Report
    from mobilenets.weights.containers.foreign import Foreign, Infer
    from mobilenets.weights.containers.heads import TransformersHead
    from mobilenets.weights.containers.tflite.file import TfliteFile
    from mobilenets.weights.containers.tflite.graph import TfliteGraph


class Architecture(Protocol):
    """The networks of a use, described without torch."""

    NETWORKS: Mapping[str, Network]
    """By name, in the order in which they are listed."""

    def default_labels(self, classes: int | None) -> tuple[str, ...]:
        """Names of as many outputs, of a network without data that has a knob `classes`."""
        ...


class Data(Protocol):
    """Where images and what is known of them come from.

    A use whose labels show which classes an image has may have `classes_in(dataset, i)`: those that
    image i surely has, and those it may have. One that learns that may have
    `of_classes(dataset, found, things)`: its own data from another use's, whose labels are
    `things`. And `open_learning(path, split, objective)`, where training data follows the recipe's
    objective: it is called in place of `open_data` then.
    """

    def open_data(self, path: str | Path, split: str, *, seed: int = 0) -> Dataset:
        """A data set from disk or by name; DataError where it is not one.

        `split` is train, val, test or all; `eval` is the same images as val, and where training
        would have none of those test, else all.
        """
        ...


class Building(Protocol):
    """Networks as torch modules. A module may also have `vary`, see `variant`."""

    def build(self, name: str, labels: Sequence[str], arguments: dict[str, Any]) -> nn.Module:
        """A network with random weights and a head for `labels`, its card set."""
        ...

    def adapt(
        self, name: str, loaded: nn.Module, labels: Sequence[str], arguments: dict[str, Any]
    ) -> tuple[nn.Module, str]:
        """The network called `name` for `labels`, with all of `loaded` that fits.

        And what is new in it, in words; empty where nothing is.
        """
        ...

    def deploy(self, model: nn.Module) -> nn.Module:
        """The network as it predicts, its norms folded, its decoding inside, its card set.

        It returns a tensor, or one for each of the card's outputs in their order.
        """
        ...


class Recipes(Protocol):
    """How a network is trained, as data; the settings of its loss and augmentation beside it."""

    RECIPES: Mapping[str, Callable[[], Recipe]]
    SCRATCH: str
    """The recipe without weights to start from."""
    FINETUNE: str
    """The recipe with them."""


class Learning(Protocol):
    """How a network learns: transforms and the loss.

    It may have `sampler(dataset, batch, objective)`: from a seed to the numbers of an epoch's
    images, batch by batch, the same in every process; or None, and all images are shuffled. And
    `picked(outputs, known)`, where the outputs are not one tensor: those of some of the images.
    """

    SMALLEST_BATCH: int
    """Images that are normalised together at least, where norms learn."""

    def input_size(self, dataset: Dataset, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of the input to train on this data, where nobody asked for one.

        `size` is the network's own.
        """
        ...

    def settle(self, objective: Any, dataset: Dataset) -> Any:
        """The settings of the loss, with what the training data decides of them."""
        ...

    def transform(
        self, card: ModelCard, augmentation: Any
    ) -> Callable[[Image.Image, Any], tuple[Tensor, Tensor]]:
        """(image, target) -> tensors for training, drawing from torch's random numbers.

        It must be possible to pickle it, for processes that read.
        """
        ...

    def mixer(self, augmentation: Any, classes: int) -> Callable[..., Any] | None:
        """Mixes whole batches of (images, targets), or None."""
        ...

    def criterion(self, card: ModelCard, objective: Any) -> Callable[[Any, Tensor], Tensor]:
        """(outputs, targets) -> the mean loss over a batch."""
        ...

    def weight(self, targets: Tensor) -> Tensor:
        """What a batch's mean loss is a mean over: its parts count in proportion to it."""
        ...


class Probing(Protocol):
    """How a new head starts: fitted to what the network makes of images, as it came."""

    def most(self, classes: int) -> int:
        """Training images that are looked at, at most."""

    def rows(
        self, model: nn.Module, images: Tensor, targets: Sequence[Any], sizes: Sequence[Size]
    ) -> tuple[Tensor, ...]:
        """What `fit` needs of (N, 3, H, W) images; of each tensor, all batches' rows are joined."""

    def fit(self, model: nn.Module, rows: tuple[Tensor, ...]) -> str:
        """Fit the head, on the CPU, and say how, in words; empty where nothing could be fitted."""


class Knowing(Protocol):
    """How a network tells what is none of its classes, and learns new ones without training.

    Both read rows as `Probing.rows` gives them: features of images, and the class of each.
    """

    def check(self, model: nn.Module) -> None:
        """Raise ValueError where this network can do neither."""

    def tell_unknown(
        self, model: nn.Module, seen: tuple[Tensor, ...], held: tuple[Tensor, ...]
    ) -> str:
        """From now on it also says how much an image looks like its classes; in words, how.

        `seen` are rows of training images, `held` of validation images, on which the floor rests.
        """
        ...

    def left_out(
        self, model: nn.Module, rows: tuple[Tensor, ...], names: Sequence[str]
    ) -> tuple[int, int]:
        """(right, all) of the images of new classes, each seen without having been learned."""
        ...

    def add_classes(self, model: nn.Module, rows: tuple[Tensor, ...], names: Sequence[str]) -> str:
        """Give it a class for each of `names`, its own stay as they are; in words, how."""
        ...


class Teaching(Protocol):
    """How a network learns from another one's outputs.

    Where these are large it may also have `answer(outputs)`: what of the teacher's outputs for
    images is kept for validation, which `agreement` gets in their place.
    """

    def check_teacher(
        self, name: str, card: ModelCard | None, outputs: int, student: ModelCard
    ) -> None:
        """Raise ValueError where the network called `name` cannot teach the student.

        `card` is its own, None for a network of another library; `outputs` how many it has.
        """
        ...

    def distillation_loss(self, student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        """The mean loss of the student's outputs against the teacher's."""
        ...

    def nothing(self, card: ModelCard) -> Any:
        """A target that no image has: it stands for an image of which nothing is known."""
        ...

    def agreement(self, student: Tensor, teacher: Tensor) -> Tensor:
        """(N,) how near the student's answers to the teacher's are, from 0 to 1 for the same."""
        ...


class Reading(Protocol):
    """From a network's outputs to answers.

    Where `commands` declares options with `reading` it also has `read_with(card, **options)`: the
    card with its `reading` set, by which `decode` and the evaluator go.
    """

    def decode(
        self, outputs: Arrays, card: ModelCard, sizes: Sequence[Size], *, top: int, threshold: float
    ) -> list[Any]:
        """The answer for each image of a batch: at most `top` things, from a score on."""
        ...


class Measuring(Protocol):
    """How good a network is."""

    METRIC: Metric
    """The result that picks the best epoch."""
    PICTURE: str
    """What the evaluator's figure shows, in a word; the name of its file."""

    def evaluator(self, card: ModelCard, dataset: Dataset, objective: Any = None) -> Evaluator:
        """A fresh evaluator; DataError where the data's classes are not the model's.

        `objective` are the settings of the loss; None for the task's own.
        """
        ...


class Showing(Protocol):
    """Answers for people and for programs."""

    def describe(self, decoded: Any) -> list[tuple[str, float]]:
        """Rows (label, score) for a table."""
        ...

    def to_json(self, decoded: Any) -> Any:
        """What is seen in one image, as JSON values."""
        ...

    def draw(self, image: Image.Image, decoded: Any) -> Image.Image:
        """The image with what is seen in it drawn on it."""
        ...

    def mask(self, decoded: Any) -> Image.Image | None:
        """What is seen in each pixel, for programs to read; None where JSON has all.

        A use that gives one for each image says so: `MASKS = True`. It may also have
        `TOGETHER`, the name of one file for all images, and `together(seen, writer)`: its text,
        with the word `writer` in it, from pairs (image, decoded).
        """
        ...


class Answering(Protocol):
    """The fields of an answer in Python."""

    ANSWER: type[Answer]
    """With the fields that a person asks for first: labels, boxes, a mask."""


class Outputs(Protocol):
    """The forms that a deployed file of a network can have."""

    OPTIONS: Mapping[str, str]
    """Switches of an export, each with the words for whom it is: `nms` is `for detectors`."""

    form: Callable[..., Form]
    """(model, card, **options) -> what is exported: a network, its twin to compare with, a card.

    `model` is the network as it was loaded, `options` the switches that were asked for."""

    def guess(self, shapes: Sequence[tuple[int | None, ...]], last: str) -> ModelCard | None:
        """The card of a file that says nothing of itself, by what comes out; None if not ours.

        `shapes` are those of the outputs, the batch first, None for what is open; `last` is
        the operator that gives the first, in lower case, changes of shape left out: `softmax`.
        """
        ...


class Checking(Protocol):
    """`data check`: what data of this use holds, and what is wrong with it."""

    THINGS: str
    """What the labels are, in a word: `boxes`."""
    NETWORK: str
    """What learns from them, in words: `a detector`."""
    GIVE: str
    """What there has to be, in words that follow `give`: `boxes in COCO's JSON, ...`."""
    LAST: bool
    """Whether other uses' labels are looked at instead, where there are any."""

    def claims(self, path: str) -> bool:
        """Whether there is such data."""
        ...

    look: Callable[..., Report]
    """(path, split, progress, **options) -> what every part on disk holds.

    With `split`, what training would open as that. `progress` is a `report.Progress`.
    """


class Commands(Protocol):
    """What a task adds to commands, and what it does unless someone says otherwise."""

    DEFAULTS: Defaults
    ADDITIONS: Mapping[str, Addition]
    """By the command's name, such as `predict` or `data check`."""


class Weights(Protocol):
    """How other people's weights of these networks are recognised.

    Where it is a package it may have a module `tflite` (`TfliteReading`) and one `transformers`
    (`TransformersNames`). Uses that are listed later are asked first. It may have a function
    `finish(card, scores)`: the card of a file whose outputs no reader has described, `scores`
    being what the file says is done with them, `sigmoid` or `softmax`, empty if it does not. And
    `head_names(layers)`, for heads that a torch user put in: our names of the layers with weights
    in the rows of `layers` (`containers.heads`), WeightsError for a head that is none of ours.
    """

    def recognise(
        self, shapes: Mapping[str, tuple[int, ...]], backbone: str, arguments: dict[str, Any]
    ) -> tuple[str, dict[str, Any]] | None:
        """A network's name and arguments from the shapes of its tensors, by our names.

        `backbone` and `arguments` are what its body was recognised as. None for a head that is
        none of these; WeightsError for one that is, but with something that we have not.
        """
        ...


class TfliteReading(Protocol):
    """The module `weights.tflite`: how these networks are found in a TFLite file's graph."""

    def matches(self, graph: TfliteGraph) -> bool:
        """Whether the graph is one of this use; then `read` has the word on it."""
        ...

    def read(self, file: TfliteFile, infer: Infer) -> Foreign:
        """The network; `infer` gives its name and arguments from tensors in our names.

        WeightsError for another network, ValueError for damaged weights, without the path.
        """
        ...


class TransformersNames(Protocol):
    """The module `weights.transformers`: what Hugging Face calls the layers behind a body."""

    def head(self, names: Collection[str]) -> TransformersHead | None:
        """The head of a network with tensors of these names; None where it is no use's of ours."""
        ...


class Demonstration(Protocol):
    """A use's part of `mobilenets demo`."""

    DEMO: Demo


class Judging(Demonstration, Protocol):
    """The same of a use whose answers are not other images: the evaluator judges those."""

    def judge(self, decoded: Any, target: Any, classes: Sequence[str]) -> Judged:
        """What is seen in a picture, an answer of `decode`, beside its `target` in the data."""
        ...
