"""`mobilenets eval`: how good a model is on labelled images."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mobilenets.cli.additions import extended
from mobilenets.cli.console import out, print_json, progress, say
from mobilenets.cli.console.tables import Column, Grid, show_table
from mobilenets.cli.options import AsJson, Running, Weights, say_where
from mobilenets.data.listing import count

if TYPE_CHECKING:
    from mobilenets.data.contents import SeenBefore
    from mobilenets.data.dataset import Dataset
    from mobilenets.evaluation import Evaluation, MeasuredPart
    from mobilenets.runtime.session import Session
    from mobilenets.tasks.intervals import Interval

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
        int | None,
        typer.Option(help="At most so many: drawn from all over the data, the same each time."),
    ] = None,
    save_dir: Annotated[
        Path | None,
        typer.Option(
            help="Also write here a page of the worst images beside the truth, and a CSV of all."
        ),
    ] = None,
    worst: Annotated[
        int, typer.Option(min=1, help="With --save-dir: at most so many images are drawn.")
    ] = 50,
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="With --save-dir: least score, as `predict` has it."),
    ] = None,
    unknown: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="Images of none of its classes: the share that it calls unknown."
        ),
    ] = None,
    probe: Annotated[
        str | None,
        typer.Option(
            metavar="KINDS", help="Instead: how good its features are; knn, linear or both."
        ),
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
    trained on. Beside a figure of fewer than 5,000 images is its 95 % interval.

    A classifier that was trained with `--unknown` also says how many images it calls unknown; with
    `--unknown strangers` also how many of those in that folder.

    `--probe knn,linear` takes any weights and any data in classes: the features of the last layer,
    or an embedding network's vectors, are learned from on the train part, by the 20 nearest
    neighbours and by logistic regression.

    Example: `mobilenets eval runs/mobilenet_v2-photos/best.safetensors photos --save-dir wrong`
    """
    if probe is not None:
        if save_dir is not None or limit is not None or unknown is not None or split != "eval":
            raise ValueError("probe measures on the val part, all of it: no other option fits it")
        show_probe(weights, data, probe, running, json=json)
        return
    from mobilenets.data.contents import count_trained_on
    from mobilenets.evaluation import MeasuredPart, evaluate, spread
    from mobilenets.runtime.images import find_images
    from mobilenets.tasks.registry import task_of

    if save_dir is None and threshold is not None:
        raise ValueError("threshold is for --save-dir: the figures are those of all scores")
    session = running.open(weights, many=True, **options)
    dataset, where = open_part(session, data, split, json=json)
    indices = spread(len(dataset), limit)
    if save_dir is not None:
        from mobilenets.review import check_folder

        check_folder(save_dir, dataset, indices)
    strangers = [] if unknown is None else find_images([unknown])
    with progress("evaluating", len(indices) + len(strangers)) as advance:
        found = evaluate(
            session,
            dataset,
            task_of(session.card),
            indices=indices,
            batch_size=running.batch_size,
            exact=running.exact,
            progress=advance,
            unknown=strangers,
        )
    measured = MeasuredPart.on(data, split, dataset, len(found.images))
    seen = count_trained_on(session.card.trained_on, dataset, indices)
    say_what(found, measured, seen)
    written: dict[str, Any] = {}
    line = ""
    if save_dir is not None:
        how = running.exact, threshold
        written, line = write_worst(found, session, dataset, measured, save_dir, worst, *how)
    if json:
        known = {"trained_on": seen.to_json()} if seen else {}
        more: dict[str, Any] = {**known, **where, "measured": asdict(measured), **written}
        print_json({**found.to_json(), **more})
        return
    show_found(found)
    if line:
        out.line(line)


def open_part(
    session: "Session", data: str, split: Split, *, json: bool
) -> "tuple[Dataset, dict[str, str]]":
    """The images to measure on, and where the model runs; what is to know of both is said."""
    from mobilenets.data.inventory import take_account
    from mobilenets.labelled import open_data
    from mobilenets.tasks.registry import task_of

    dataset = open_data(task_of(session.card), data, split)
    for note in filter(None, [session.note, *dataset.notes]):
        say(f"note: {note}")
    where = say_where(session, json=json)
    account = take_account(data, [dataset])
    if account and account.line:
        say(account.line)
    return dataset, where


def say_what(found: "Evaluation", measured: "MeasuredPart", seen: "SeenBefore | None") -> None:
    """Say which images were measured, which of them were trained on, and which were left out."""
    for note in found.evaluator.notes:
        say(f"note: {note}")
    say(measured.line)
    if seen and seen.trained_on:
        about = "" if seen.exact else f"about, by {seen.hits} of {seen.known} that can be told: "
        of = count(seen.images, "image", "images")
        verb = "was" if seen.trained_on == 1 else "were"
        say(f"note: {about}{seen.trained_on} of {of} measured here {verb} trained on")
    for _, why in found.failures:
        say(f"left out: {why}")


def write_worst(
    found: "Evaluation",
    session: "Session",
    dataset: "Dataset",
    measured: "MeasuredPart",
    folder: Path,
    worst: int,
    exact: bool,
    threshold: float | None,
) -> tuple[dict[str, Any], str]:
    """Write the page of the worst images; what was written, for JSON and as a line."""
    from mobilenets.review import judge, write_review
    from mobilenets.tasks.registry import task_of

    task = task_of(session.card)
    review = judge(found, dataset, measured, task, threshold)
    with progress("drawing", min(worst, len(found.images))) as advance:
        drawn = write_review(review, session, task, folder, worst, exact=exact, progress=advance)
    drawings = count(drawn, "image is", "images are")
    line = f"{review.line}; {drawings} drawn, the worst first: {folder / 'index.html'}"
    return {"saved": {"folder": str(folder), "drawn": drawn, "wrong": review.wrong}}, line


def show_found(found: "Evaluation") -> None:
    """Print the figures of all classes, those of each, and how sure they are."""
    sure = found.intervals
    show_results(found.results, sure.results, len(found.failures))
    show_classes(found.by_class, sure.by_class)
    if sure.how:
        out.line(f"in brackets: 95 % intervals, {sure.how}")


def show_probe(weights: str, data: str, probe: str, running: Running, *, json: bool) -> None:
    """The share that is right from features alone."""
    from mobilenets.index.embedder import Embedder
    from mobilenets.index.frozen import features, kinds_of, measure, open_parts

    kinds = kinds_of(probe)
    embedder = Embedder(running.open(weights, many=True))
    parts = open_parts(data)
    for note in dict.fromkeys([*filter(None, [embedder.note]), *parts[0].notes, *parts[1].notes]):
        say(f"note: {note}")
    with progress("embedding", sum(map(len, parts))) as advance:
        train, tested = (
            features(
                embedder,
                part,
                batch_size=running.batch_size or 32,
                exact=running.exact,
                progress=advance,
            )
            for part in parts
        )
    for _, why in [*train.failures, *tested.failures]:
        say(f"left out: {why}")
    found = dict(measure(kinds, train, tested, len(parts[0].classes)))
    sizes = {"learned_from": len(train.labels), "images": len(tested.labels)}
    of = embedder.layer or "its vectors"
    say(f"features: {of}, {train.vectors.shape[1]} numbers; {getattr(parts[1], 'origin', '')}")
    if json:
        print_json({**found, **sizes, "layer": embedder.layer})
        return
    show_results({**found, **sizes}, {}, len(train.failures) + len(tested.failures))


def show_results(
    results: Mapping[str, float], sure: Mapping[str, "Interval"], failures: int
) -> None:
    """Print the figures of all classes together, and how many images were left out."""
    from mobilenets.tasks.intervals import figure_text

    rows = [(name, figure_text(value, sure.get(name))) for name, value in results.items()]
    if failures:
        rows.append(("not readable", str(failures)))
    show_table(Grid([Column(""), Column("", figures=True)], rows), heading=False)


def show_classes(
    by_class: Mapping[str, Mapping[str, float]], sure: Mapping[str, Mapping[str, "Interval"]]
) -> None:
    """Each class, the best by its first figure first; the first of many."""
    from mobilenets.tasks.intervals import figure_text

    if not by_class:
        return
    names = sorted(by_class, key=lambda name: -next(iter(by_class[name].values())))
    titles = list(by_class[names[0]])
    columns = [Column("class")]
    columns += [Column(title, figures=True, spare=i) for i, title in enumerate(titles)]
    rows = []
    for name in names[:MOST_CLASSES]:
        (first, value), *others = by_class[name].items()
        best = figure_text(value, sure.get(name, {}).get(first))
        rows.append((name, best, *(figure_text(other, None) for _, other in others)))
    show_table(Grid(columns, rows), apart=True)
    if len(names) > MOST_CLASSES:
        more = count(len(names) - MOST_CLASSES, "class", "classes")
        out.line(f"and {more} more: --json has all")
