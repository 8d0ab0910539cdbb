"""The images of an evaluation one by one: the worst drawn beside the truth, all in a table."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

from PIL import Image

from mobilenets.data.dataset import Dataset, OnDisk
from mobilenets.evaluation import Evaluation, MeasuredPart, input_of
from mobilenets.review.judged import Review, ReviewedImage
from mobilenets.review.page import FOLDER, MARK, TABLE, page_of
from mobilenets.review.pictures import beside, save
from mobilenets.review.table import write_bytes, write_table, write_text
from mobilenets.runtime.draw import readable
from mobilenets.runtime.session import Session
from mobilenets.saved import check_apart
from mobilenets.tasks.base import Drawing
from mobilenets.tasks.task import Task

PAGE = "index.html"
NOT_OURS = "save_dir must be a new folder or one that eval wrote, {} has files of its own"


def judge(
    found: Evaluation,
    dataset: Dataset,
    measured: MeasuredPart,
    task: Task,
    threshold: float | None = None,
) -> Review:
    """The images of an evaluation, judged; `threshold` None is the task's, as `predict` has it."""
    least = task.defaults.threshold if threshold is None else threshold
    return Review(found, dataset, measured, least)


def write_review(
    review: Review,
    session: Session,
    task: Task,
    folder: Path,
    drawn: int,
    *,
    exact: bool = False,
    progress: Callable[[int], None] = lambda images: None,
) -> int:
    """Draw at most `drawn` images, the worst first; write the table of all and the page.

    How many were drawn. ValueError where the folder cannot be taken (`check_folder`). `exact` as
    they were measured.
    """
    check_folder(folder, review.dataset, review.found.images)
    gathered, ours = review.files(), os.path.lexists(folder / PAGE)
    for name in gathered:
        if not ours and os.path.lexists(folder / name):
            raise ValueError(NOT_OURS.format(folder))
    pictures = folder / FOLDER
    pictures.mkdir(parents=True, exist_ok=True)
    for path in pictures.glob("[0-9]*-*.jpg"):  # of an evaluation before
        path.unlink()
    most = min(drawn, len(review.order))
    for one in islice(review.images(most), most):
        save(_draw(review, session, task, one, exact=exact), pictures / one.picture)
        progress(1)
    write_table(folder / TABLE, review.images(most), review.found.failures, review.measured)
    for name, content in gathered.items():
        write_bytes(folder / name, content)
    write_text(folder / PAGE, page_of(review, most, list(gathered)))
    return most


def _draw(
    review: Review, session: Session, task: Task, one: ReviewedImage, *, exact: bool
) -> Image.Image:
    """The image with what is there beside it with what is seen, or beside its answer."""
    card, data = session.card, review.dataset
    image, target = data.image(one.number), data.target(one.number)
    if not isinstance(review.evaluator, Drawing):
        if one.answer is None:
            return beside(("not looked for", readable(image)))
        return beside(("query", readable(image)), ("nearest", readable(data.image(one.answer))))
    values, size = input_of(data, one.number, card.preprocessing, exact=exact)
    outputs, top = session(values[None]), task.defaults.top
    (seen,) = task.read.decode(outputs, card, [size], top=top, threshold=review.threshold)
    draw, truth = task.show.draw, review.evaluator.truth(target)
    return beside(("truth", draw(image, truth)), ("answer", draw(image, seen)))


def check_folder(folder: Path, dataset: Dataset, images: Sequence[int]) -> None:
    """Raise ValueError unless a review may be written to `folder`.

    It must not hold the data's images, nor a page, a table or pictures that are not of a review.
    """
    if isinstance(dataset, OnDisk):
        for place in (folder, folder / FOLDER):
            check_apart([dataset.path(index) for index in images], place)
    page = folder / PAGE
    if os.path.lexists(page):
        head = page.read_bytes()[:200] if page.is_file() else b""
        ours = MARK.encode() in head
    else:
        pictures = folder / FOLDER
        filled = any(pictures.iterdir()) if pictures.is_dir() else os.path.lexists(pictures)
        ours = not (filled or os.path.lexists(folder / TABLE))
    if not ours:
        raise ValueError(NOT_OURS.format(folder))
