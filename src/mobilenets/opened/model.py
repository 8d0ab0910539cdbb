"""One object for any model file, whatever runs it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, get_args, overload

import numpy as np
from numpy.typing import NDArray

from mobilenets.about import Info
from mobilenets.arguments import explained, nearest
from mobilenets.card import ModelCard
from mobilenets.data.listing import count
from mobilenets.errors import DataError, InputError
from mobilenets.inference import TorchSession, predict
from mobilenets.opened.images import plain, several
from mobilenets.opened.inside import BODY, Inside, OnnxInside, TorchInside
from mobilenets.runtime.inputs import Given, is_image, read_input
from mobilenets.runtime.session import OnnxSession, Session
from mobilenets.tasks.registry import task_of
from mobilenets.tasks.task import Task

if TYPE_CHECKING:
    from torch import nn
    from typing_extensions import Unpack

    from mobilenets.cost import Cost
    from mobilenets.data.dataset import Dataset
    from mobilenets.evaluation import Evaluation
    from mobilenets.export import Exported
    from mobilenets.tasks.answer import Answer

Errors = Literal["raise", "keep"]
SPLITS = ("eval", "train", "val", "test", "all")


class Asked(TypedDict, total=False):
    """What may be asked of `Model.predict` beside the images; its own docstring says each."""

    top: int | None
    threshold: float | None
    batch_size: int | None
    exact: bool
    errors: Errors
    progress: Callable[[int], None]


class Model:
    """A model ready to answer. `mobilenets.open` makes it.

    `predict` says what is in images, `evaluate` how good it is on labelled ones, `profile` what it
    costs, `features` what its layers give, `export` writes a file for a device. `info` says what
    it is; `card`, `labels`, `layers` and `note` are parts of that. `session` takes arrays that are
    prepared already, `module` is the torch module, where there is one.

    >>> model = mobilenets.open("mobilenet_v2_1.0_224_quant.tflite")
    >>> model
    <Model mobilenet_v2 to classify, 1001 labels, 224 x 224, mobilenet_v2_1.0_224_quant.tflite>
    """

    def __init__(self, session: Session, source: str, *, trained: bool = True) -> None:
        self.session = session
        """What runs it: `session(batch)`, (N, 3, H, W) float32, prepared -> outputs by name."""
        self.source = source
        """The file, the published name, or the network's name that was opened."""
        self._trained = trained

    @property
    def card(self) -> ModelCard:
        """What it is, how images are prepared for it, what its outputs mean; see `ModelCard`."""
        return self.session.card

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes in words, one for each output; () where the file does not say."""
        return self.card.labels

    @property
    def note(self) -> str:
        """What a person should know of how it runs; '' where there is nothing."""
        return self.session.note

    @property
    def task(self) -> str:
        """What it is for, in a word: the name of its use."""
        return self._task.name

    @property
    def module(self) -> nn.Module:
        """The torch module, as `mobilenets.load` gives it; InputError for an `.onnx` file."""
        if not isinstance(self.session, TorchSession):
            raise InputError(f"{self.source} is a finished program: it has no torch module")
        return self.session.loaded

    @property
    def info(self) -> Info:
        """What it is, its labels, how images are prepared, its size, where it comes from."""
        from mobilenets.about.describe import describe_open

        return describe_open(self.source, self.card, self.task, self.note)

    @overload  # a path is a sequence too, of text
    def predict(  # type: ignore[overload-overlap]
        self,
        images: Given,
        **how: Unpack[Asked],
    ) -> Answer: ...
    @overload
    def predict(self, images: Iterator[Given], **how: Unpack[Asked]) -> Iterator[Answer]: ...
    @overload
    def predict(self, images: Sequence[Given], **how: Unpack[Asked]) -> list[Answer]: ...
    @explained
    def predict(
        self,
        images: Given | Iterable[Given],
        *,
        top: int | None = None,
        threshold: float | None = None,
        batch_size: int | None = None,
        exact: bool = False,
        errors: Errors = "raise",
        progress: Callable[[int], None] = lambda images: None,
    ) -> Answer | Iterator[Answer] | list[Answer]:
        """What is in an image, or in each of many.

        An image is a file's path, a file's bytes (or an open file), a Pillow image of any mode, or
        a numpy array: (H, W, 3) RGB or (H, W) grey of uint8 (OpenCV has BGR: `frame[..., ::-1]`).
        One image gives an answer. A list of images, or an array (N, H, W, 3), gives a list of
        answers; so does a folder, or a pattern such as "photos/*.jpg". An iterator gives an
        iterator, which reads a few batches ahead and keeps nothing.

        At most `top` things in each image, with a score from `threshold` on; None: what is usual
        for the task. `batch_size`: images that are run at once. `exact`: decode large photographs
        at full size. `progress` is called with the number of images just done.

        An answer has the fields of its task: `label` and `score`, `boxes`, `mask`; and always
        `to_json()`, `draw()` (a Pillow image), `rows` and `path`.

        DataError for an image that cannot be read; with `errors="keep"` its answer has the reason
        as `error`, and the others come. ValueError for what is no image or a wrong argument.

        >>> model.predict("cat.jpg", top=3).labels
        ['Egyptian cat', 'tabby', 'tiger cat']
        >>> for answer in model.predict(Path("photos").glob("*.jpg")):
        ...     print(answer.path, answer.label)
        """
        self._check(top, threshold, batch_size, errors)
        given = several(images)
        one = is_image(given)
        answers = self._answers(
            [given] if one else given,
            errors,
            top=top,
            threshold=threshold,
            batch_size=batch_size,
            exact=exact,
            progress=progress,
            workers=0 if one else None,
        )
        if one:
            return next(answers)
        return answers if isinstance(given, Iterator) else list(answers)

    def _answers(self, images: Iterable[Any], errors: Errors, **how: Any) -> Iterator[Answer]:
        for answer in predict(self.session, map(plain, images), self._task, **how):
            if answer.error and errors == "raise":
                raise DataError(answer.error)
            yield answer
            del answer  # masks of large images are not kept

    def _check(
        self, top: Any, threshold: Any, batch_size: Any = None, errors: Any = "raise"
    ) -> None:
        """ValueError for an argument out of range, and for a model that nobody has trained."""
        for name, value in (("top", top), ("batch_size", batch_size)):
            if value is not None and not (type(value) is int and value > 0):
                raise ValueError(f"{name} must be a positive integer, got {value!r}")
        if threshold is not None and not (
            isinstance(threshold, (int, float)) and 0 <= threshold <= 1
        ):
            raise ValueError(f"threshold must be a number from 0 to 1, got {threshold!r}")
        if errors not in get_args(Errors):
            raise ValueError(f"errors must be 'raise' or 'keep', got {errors!r}")
        if not self._trained:
            raise ValueError(
                f"{self.source} has random weights, its answers would mean nothing: open a file, "
                "or a published name; `mobilenets models --pretrained` lists these"
            )

    @explained
    def evaluate(
        self,
        data: str | os.PathLike[str] | Dataset,
        *,
        split: str = "eval",
        limit: int | None = None,
        batch_size: int | None = None,
        exact: bool = False,
        save_dir: str | os.PathLike[str] | None = None,
        worst: int = 50,
        threshold: float | None = None,
        unknown: str | os.PathLike[str] | None = None,
        progress: Callable[[int], None] = lambda images: None,
    ) -> Evaluation:
        """How good the model is on labelled images, as `mobilenets eval` says it.

        `data` is a folder, a list or the name of built-in data, or a data set of one's own, with
        the methods of `mobilenets.data.dataset.Dataset`; of that, `split` is not asked. `split`:
        "eval" is val as training has it, held out if need be; or "train", "val", "test", "all".
        `limit`: at most so many images, drawn from all over the data, the same ones each time.
        `results` of what comes back has the figures by name, shares 0 to 1, `intervals.results`
        from where to where each may be, and `by_class` those of each class.

        `save_dir` is a new folder, or one that was written so before: it gets `index.html` with
        the `worst` images, at most so many, drawn beside the truth, and `images.csv` with all.
        There `threshold` is the least score that counts, None as `predict` has it. `unknown` is a
        folder with images of none of the classes, for a model that tells such ones.

        DataError for data that is not this task's, or whose classes are not the model's.

        >>> model.evaluate("photos", split="test").results
        {'top1': 0.96, 'top5': 1.0, 'loss': 0.12, 'images': 153}
        >>> model.evaluate("photos", save_dir="wrong").intervals.results["top1"]
        Interval(low=0.917, high=0.982)
        """
        from mobilenets.opened.measuring import measure

        self._check(None, threshold, batch_size)
        if split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
        if type(worst) is not int or worst < 1:
            raise ValueError(f"worst must be a positive integer, got {worst!r}")
        if save_dir is None and threshold is not None:
            raise ValueError("threshold is for save_dir: the figures are those of all scores")
        return measure(
            self.session,
            self._task,
            data,
            split,
            limit=limit,
            batch_size=batch_size,
            exact=exact,
            save_dir=save_dir,
            worst=worst,
            threshold=threshold,
            unknown=unknown,
            progress=progress,
        )

    @explained
    def profile(
        self, *, resolution: int | tuple[int, int] | None = None, bytes_per_element: int = 4
    ) -> Cost:
        """What it costs for one image: parameters, multiply-adds, bytes; layer by layer.

        `resolution` in pixels, a side or (height, width), takes the place of the model's own.

        >>> model.profile().madds
        300774272
        """
        size = self.card.preprocessing.size if resolution is None else resolution
        from mobilenets.cost import profile, profile_card

        if isinstance(self.session, OnnxSession):
            return profile(self.source, resolution=size, bytes_per_element=bytes_per_element)
        return profile_card(self.card, resolution=size, bytes_per_element=bytes_per_element)

    def export(
        self, path: str | os.PathLike[str], *, batch: int | None = None, **options: Any
    ) -> Exported:
        """Write it as `.onnx`, compared with its source before it is kept: `export_onnx`.

        Labels and preprocessing go with it. `batch` fixes the batch size; `options` are the
        task's: `softmax` to classify, `nms` to detect, `argmax` to segment. InputError for a model
        that is an `.onnx` file already.

        >>> model.export("photos.onnx").difference
        1.2e-06
        """
        if isinstance(self.session, OnnxSession):
            raise InputError(f"{self.source} is an .onnx file already: there is nothing to export")
        from mobilenets.export import export_onnx

        return export_onnx(self.module, Path(path), batch=batch, **options)

    @cached_property
    def _inside(self) -> Inside:
        if isinstance(self.session, OnnxSession):
            return OnnxInside(self.session)
        return TorchInside(self.module, self.card)

    @property
    def layers(self) -> list[str]:
        """The names that `features` takes, in the order in which they run."""
        return self._inside.layers

    @overload
    def features(  # type: ignore[overload-overlap]
        self, images: Given | Sequence[Given], layer: str, *, exact: bool = False
    ) -> NDArray[np.float32]: ...
    @overload
    def features(
        self, images: Given | Sequence[Given], layer: Sequence[str], *, exact: bool = False
    ) -> dict[str, NDArray[np.float32]]: ...
    @explained
    def features(
        self,
        images: Given | Sequence[Given],
        layer: str | Sequence[str],
        *,
        exact: bool = False,
    ) -> NDArray[np.float32] | dict[str, NDArray[np.float32]]:
        """What comes out of a layer inside the model: (channels, height, width), float32.

        Of several images (N, channels, height, width); images as `predict` takes them. `layer` is
        one of `layers`: a module's path such as "blocks.13.expand", in a file of another program a
        tensor's name. A list of names gives a dictionary from one run. Of a convolution it is what
        is left after its norm and its activation, of a block after its shortcut.

        ValueError for a name that there is not, with the nearest.

        >>> model.features("cat.jpg", "blocks.13.expand").shape
        (576, 14, 14)
        """
        names = [layer] if isinstance(layer, str) else list(layer)
        known = self._inside.known()
        for name in names:
            if name not in known and name.removeprefix(BODY) not in known:
                raise ValueError(
                    f"layer must be one of model.layers, got {name!r}{nearest(name, known)}"
                )
        given = several(images)
        one = is_image(given)
        inputs = [
            read_input(plain(image), self.card.preprocessing, exact=exact).values
            for image in ([given] if one else given)
        ]
        if not inputs:
            raise ValueError("images must be one image at least, got none")
        found = self._inside(np.stack(inputs), names)
        found = {name: values[0] if one else values for name, values in found.items()}
        return found[names[0]] if isinstance(layer, str) else found

    @cached_property
    def _task(self) -> Task:
        return task_of(self.card)

    def __repr__(self) -> str:
        height, width = self.card.preprocessing.size
        name = self.card.architecture or "network"
        labels = f"{count(len(self.labels), 'label', 'labels')}, " if self.labels else ""
        return f"<Model {name} to {self.task}, {labels}{height} x {width}, {self.source}>"
