"""`mobilenets predict`: what is in these images."""

from collections import Counter
from collections.abc import Iterator, Sequence
from math import floor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from mobilenets.cli.additions import by_use, extended
from mobilenets.cli.console import JsonList, out, progress, say
from mobilenets.cli.console.tables import Column, Grid, show_table, write_row
from mobilenets.cli.options import DEFAULTS, AsJson, Force, Running, Weights, say_where
from mobilenets.cli.overwriting import check_pictures
from mobilenets.cli.starting import starting

if TYPE_CHECKING:
    from mobilenets.tasks.answer import Answer
    from mobilenets.tasks.task import Task

WRITER = "mobilenets predict"
"""What its pictures say that wrote them."""
PAGE = 500
"""Images in one table: a table of many takes memory, and a row 2 KB."""
LEAST_SCORE = 0.01
"""Scores below this are noise: no threshold is proposed for them."""
Row = tuple[str, str, str]
"""Image, label, score."""
COLUMNS: Row = ("image", "label", "score")
Described = Sequence[tuple[str, float]]
"""Labels and scores of an image."""


@extended("predict", before="threads")
def run(
    weights: Weights,
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGE|DIR...", help="Files, folders or patterns.")
    ],
    top: Annotated[
        int | None,
        typer.Option(min=1, help=f"Answers per image: {by_use({n: d.top for n, d in DEFAULTS})}."),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help=f"Least score: {by_use({n: d.threshold for n, d in DEFAULTS})}."
        ),
    ] = None,
    save_dir: Annotated[
        Path | None, typer.Option(help="Also write each image with what is seen drawn on it here.")
    ] = None,
    *,
    running: Running,
    force: Force = False,
    json: AsJson = False,
    **options: Any,
) -> None:
    """Say what is in each image, best guess first, with its score.

    USES

    WEIGHTS is a checkpoint, anyone's weights that the package reads, an `.onnx` file (which needs
    no torch) or a published name. An image that cannot be read is named and passed over; the exit
    status is 1 where none could be read. `--save-dir` writes over its own pictures of before, and
    asks before it writes over other files.

    Example: `mobilenets predict model.onnx holiday/*.jpg --top 3 --save-dir seen`
    """
    with starting():
        from mobilenets.inference import predict
        from mobilenets.runtime.images import find_images
        from mobilenets.tasks.registry import task_of

    files = find_images(images)
    if not all(Path(one).is_file() for one in images):  # a file's name leaves nothing out
        from mobilenets.data.inventory import passed_over

        left = passed_over(images, files)
        if left:
            say(left)
    if save_dir is not None:
        from mobilenets.saved import check_apart, save_picture

        check_apart(files, save_dir)
    session = running.open(weights, many=len(files) > 1, **options)
    if session.note:
        say(f"note: {session.note}")
    where = say_where(session, json=json)
    task = task_of(session.card)
    names = Counter(path.name for path in files)
    targets = targets_of(files, save_dir, task, force=force, json=json)
    broken = 0
    whole: list[tuple[str, Any]] = []
    hidden: list[float] = []
    answers = JsonList() if json else None
    rows = None if json else Tables() if out.is_terminal else TabLines()
    with progress("predicting", len(files), shown=not (json and out.is_terminal)) as advance:
        for one in predict(
            session,
            files,
            task,
            top=top,
            threshold=threshold,
            batch_size=running.batch_size,
            exact=running.exact,
            workers=0 if len(files) == 1 else None,  # threads would start for one picture
            progress=advance,
        ):
            path, target = cast(Path, one.path), next(targets)
            saved: tuple[Path, ...] = ()
            if one.error:
                broken += 1
                say(f"left out: {one.error}")
            elif save_dir is not None:
                saved = save_picture(one.draw(), target, WRITER, one.mask_image())
                whole += [(str(path), one.decoded)] if hasattr(task.show, "together") else []
            if one.hidden is not None:
                hidden.append(one.hidden)
            if answers is not None:
                answers.add({**answer(path, one, saved), **where})
            elif rows is not None and not one.error:
                rows.add(path.name if names[path.name] == 1 else str(path), one.rows)
    if whole and save_dir is not None:
        say(f"all of them: {save_together(whole, save_dir, task)}")
    if answers is not None:
        answers.end()
    if rows is not None:
        rows.end()
        if broken:
            from mobilenets.data.listing import count

            say(f"{broken} of {count(len(files), 'image', 'images')} could not be read")
    if hidden:
        level = task.defaults.threshold if threshold is None else threshold
        say(f"note: {hint(hidden, len(files) - broken, level)}")
    if broken == len(files):
        raise typer.Exit(1)


def targets_of(
    files: Sequence[Path], folder: Path | None, task: "Task", *, force: bool, json: bool
) -> Iterator[Path]:
    """Where the picture of each file goes, if any; asked before one is written over another's."""
    if folder is None:
        return iter(files)  # and none is written
    from mobilenets.saved import mask_of, names_in

    targets = names_in(folder, files)
    more = [mask_of(one) for one in targets] if getattr(task.show, "MASKS", False) else []
    more += [folder / task.show.TOGETHER] if hasattr(task.show, "TOGETHER") else []
    check_pictures([*targets, *more], WRITER, force=force, json=json)
    return iter(targets)


def save_together(seen: Sequence[tuple[str, Any]], folder: Path, task: "Task") -> Path:
    """Write the file for all images, of their names and what is seen in each."""
    from mobilenets.files import replace_file

    show: Any = task.show
    path = folder / str(show.TOGETHER)
    text = show.together(seen, WRITER)
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return path


def answer(path: Path, one: "Answer", saved: Sequence[Path]) -> dict[str, Any]:
    """What is seen in an image, or why it was not read, for programs."""
    if one.error:
        return {"image": str(path), "error": one.error}
    written = {"saved": [str(file) for file in saved]} if saved else {}
    return {"image": str(path), "predictions": one.to_json(), **written}


def hint(hidden: Sequence[float], images: int, threshold: float) -> str:
    """Of images in which nothing reached `threshold`: what would show their best, `hidden`."""
    from mobilenets.data.listing import count

    best = max(hidden)
    where = f"in {len(hidden)} of {count(images, 'image', 'images')}, " if images > 1 else ""
    text = f"{where}nothing scores {threshold:g} or more; the best is {two_digits(best)}"
    lower = rounded_down(best)
    return f"{text}: try --threshold {lower}" if lower else text


def two_digits(score: float) -> str:
    """A score with two digits, rounded down: it never reads as if it reached a threshold."""
    return f"{floor(score * 100 + 1e-9) / 100:g}" if score >= 0.1 else f"{score:.2g}"


def rounded_down(score: float) -> str:
    """The next round number at or below a score; '' for one that is as good as nothing."""
    if score < LEAST_SCORE:
        return ""
    digits = 1 if score >= 0.1 else 2
    return f"{floor(score * 10**digits) / 10**digits:g}"


class Tables:
    """What is seen in images, for people: printed at the end, `PAGE` images in a table."""

    def __init__(self) -> None:
        self.images: list[list[Row]] = []

    def add(self, image: str, described: Described) -> None:
        """What is seen in an image."""
        self.images.append([(image, *row) for row in cells(described)])

    def end(self) -> None:
        """Print a table for each `PAGE` images that were added."""
        columns = [Column(title, figures=title == "score") for title in COLUMNS]
        for first in range(0, len(self.images), PAGE):
            rows = [row for one in self.images[first : first + PAGE] for row in one]
            show_table(Grid(columns, rows, once=True), apart=first > 0)


class TabLines:
    """The same for a pipe or a file: a line for each row, tabs between, as soon as it is known.

    The image's name stands in every line, nothing is cut, and what lays out tables is not imported.
    """

    def __init__(self) -> None:
        write_row(COLUMNS)

    def add(self, image: str, described: Described) -> None:
        """Write what is seen in an image."""
        for row in cells(described):
            write_row((image, *row))

    def end(self) -> None:
        """Nothing is left: each line was written when its image was seen."""


def cells(described: Described) -> list[tuple[str, str]]:
    """Labels and scores as they are shown; a row that says so where there are none."""
    return [(label, f"{score:.3f}") for label, score in described] or [("nothing", "")]
