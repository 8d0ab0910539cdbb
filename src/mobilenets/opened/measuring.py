"""How good an open model is on labelled images, and the worst of them drawn."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from mobilenets.data.dataset import Dataset, whole
from mobilenets.evaluation import Evaluation, MeasuredPart, evaluate, spread
from mobilenets.labelled import open_data
from mobilenets.runtime.images import find_images
from mobilenets.runtime.session import Session
from mobilenets.tasks.task import Task

GIVEN = "the images of a data set in memory"


def measure(
    session: Session,
    task: Task,
    data: str | os.PathLike[str] | Dataset,
    split: str,
    *,
    limit: int | None,
    batch_size: int | None,
    exact: bool,
    save_dir: str | os.PathLike[str] | None,
    worst: int,
    threshold: float | None,
    unknown: str | os.PathLike[str] | None,
    progress: Callable[[int], None],
) -> Evaluation:
    """`Model.evaluate`: measure, and write the page of the worst images where one is asked for."""
    if isinstance(data, (str, os.PathLike)):
        name, dataset = os.fspath(data), open_data(task, os.fspath(data), split)
    else:
        name, dataset, split = type(data).__name__, whole(data), "all"
    indices = spread(len(dataset), limit)
    folder = None if save_dir is None else Path(save_dir)
    if folder is not None:
        from mobilenets.review import check_folder

        check_folder(folder, dataset, indices)
    found = evaluate(
        session,
        dataset,
        task,
        indices=indices,
        batch_size=batch_size,
        exact=exact,
        progress=progress,
        unknown=[] if unknown is None else find_images([os.fspath(unknown)]),
    )
    if folder is not None:
        from mobilenets.review import judge, write_review

        images = len(found.images)
        measured = MeasuredPart.on(name, split, dataset, images)
        if not (isinstance(data, (str, os.PathLike)) or hasattr(data, "origin")):
            measured = MeasuredPart(name, split, GIVEN, images, len(dataset))
        review = judge(found, dataset, measured, task, threshold)
        write_review(review, session, task, folder, worst, exact=exact)
    return found
