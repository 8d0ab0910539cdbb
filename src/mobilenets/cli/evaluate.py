"""`mobilenets eval`: how good a model is on labelled images."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import typer

from mobilenets.cli.additions import extended
from mobilenets.cli.console import out, print_json, progress, say
from mobilenets.cli.options import AsJson, Running, Weights, say_where

Split = Literal["eval", "train", "val", "test", "all"]
MOST_CLASSES = 20
"""Rows of the table of classes; JSON has all."""


@extended("eval", before="threads")
def run(
    weights: Weights,
    data: Annotated[str, typer.Argument(metavar="DATA", help="A folder, a list, or shapes.")],
    split: Annotated[
        Split, typer.Option(help="eval: val, as training has it, held out if need be.")
    ] = "eval",
    limit: Annotated[
        int | None, typer.Option(help="At most so many images, spread evenly over the data.")
    ] = None,
    *,
    running: Running,
    json: AsJson = False,
    **options: Any,
) -> None:
    """How good WEIGHTS are on DATA: its val part, or the images that training holds out of it.

    USES Where there are classes, of each of them too.

    WEIGHTS is a checkpoint, anyone's weights that the package reads, an `.onnx` file (which needs
    no torch) or a published name. Shares are 0 to 1 in JSON. Images that cannot be read are named
    and left out. Which images are measured is said, and how many of them a checkpoint of ours was
    trained on.

    Example: `mobilenets eval runs/mobilenet_v2-photos/best.safetensors photos`
    """
    from mobilenets.data.contents import count_trained_on
    from mobilenets.data.inventory import take_account
    from mobilenets.evaluation import evaluate, spread
    from mobilenets.tasks.registry import task_of

    session = running.open(weights, many=True, **options)
    task = task_of(session.card)
    dataset = task.data.open_data(data, split)
    for note in filter(None, [session.note, *dataset.notes]):
        say(f"note: {note}")
    where = say_where(session, json=json)
    account = take_account(data, [dataset])
    if account and account.line:
        say(account.line)
    indices = spread(len(dataset), limit)
    with progress("evaluating", len(indices)) as advance:
        found = evaluate(
            session,
            dataset,
            task,
            indices=indices,
            batch_size=running.batch_size,
            exact=running.exact,
            progress=advance,
        )
    for note in found.evaluator.notes:
        say(f"note: {note}")
    which = getattr(dataset, "origin", "")
    if which:
        say(f"measured on {len(indices)} of {len(dataset)} images: {which}")
    seen = count_trained_on(session.card.trained_on, dataset, indices)
    if seen and seen.trained_on:
        about = "" if seen.exact else f"about, by {seen.hits} of {seen.known} that can be told: "
        say(f"note: {about}{seen.trained_on} of {seen.images} images measured here were trained on")
    for _, why in found.failures:
        say(f"left out: {why}")
    by_class = found.evaluator.by_class()
    if json:
        failures = [{"image": name, "error": why} for name, why in found.failures]
        known = {"trained_on": seen.to_json()} if seen else {}
        print_json({**found.results, **known, **where, "by_class": by_class, "failures": failures})
        return
    show_results(found.results, len(found.failures))
    show_classes(by_class)


def show_results(results: Mapping[str, float], failures: int) -> None:
    """Print the figures of all classes together, and how many images were left out."""
    from rich.table import Table

    table = Table(show_header=False)
    for name, value in results.items():
        table.add_row(name, figure(value))
    if failures:
        table.add_row("not readable", str(failures))
    out.print(table)


def show_classes(by_class: Mapping[str, Mapping[str, float]]) -> None:
    """Each class, the best by its first figure first; the first of many."""
    from rich.markup import escape
    from rich.table import Table

    if not by_class:
        return
    names = sorted(by_class, key=lambda name: -next(iter(by_class[name].values())))
    table = Table("class")
    for title in by_class[names[0]]:
        table.add_column(title, justify="right")
    for name in names[:MOST_CLASSES]:
        table.add_row(escape(name), *map(figure, by_class[name].values()))
    out.print(table)
    if len(names) > MOST_CLASSES:
        more = len(names) - MOST_CLASSES
        out.print(f"and {more} classes more: --json has all", highlight=False, markup=False)


def figure(value: float) -> str:
    """A share with four digits, a number of images or objects as it is."""
    return f"{value:.4f}" if isinstance(value, float) else f"{value:,}"
