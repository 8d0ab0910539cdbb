"""`mobilenets data check`: what a data set with labels holds, and what is wrong with it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from mobilenets.cli.additions import additions, extended
from mobilenets.cli.console import err, out, print_json, progress
from mobilenets.cli.data.findings import (
    WRITER,
    findings,
    problems_of,
    samples_of,
    save_samples,
    show_account,
    show_content,
    show_findings,
)
from mobilenets.cli.options import AsJson, Force
from mobilenets.cli.overwriting import check_pictures
from mobilenets.tasks.registry import with_part
from mobilenets.tasks.task import Task

if TYPE_CHECKING:
    TaskName = str
else:  # what the help shows and the parser allows
    TaskName = Literal[tuple(task.name for task in with_part("check"))]


@extended("data check", before="json")
def run(
    data: Annotated[
        str, typer.Argument(metavar="DIR", help="A folder, a .json, a data.yaml, or shapes.")
    ],
    task: Annotated[
        TaskName | None,
        typer.Option(help="Whose labels to look at; the first that there are if not given."),
    ] = None,
    split: Annotated[
        Literal["train", "val", "test", "all"] | None,
        typer.Option(help="As training would open it; every part on disk if not given."),
    ] = None,
    save_dir: Annotated[
        Path | None, typer.Option(help="Also draw some images with their labels here.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Images to draw of each part.")] = 8,
    force: Force = False,
    json: AsJson = False,
    **options: Any,
) -> None:
    """Say what is in images that are labelled, and all that is wrong with them.

    USES And everything that training would leave out, counted and named. The exit
    status is 0 where there is something to train on, whatever else is wrong. `--save-dir` writes
    over its own pictures of before, and asks before it writes over other files.

    Example: `mobilenets data check photos --save-dir seen`
    """
    from mobilenets.data.inventory import take_account
    from mobilenets.data.listing import count
    from mobilenets.errors import DataError
    from mobilenets.labelled import explained, refuse_no_classes
    from mobilenets.saved import check_apart
    from mobilenets.tasks.alike import find_alike
    from mobilenets.tasks.report import REFUSED

    chosen, notes = kinds_of_labels(data, task)
    first, *others = chosen
    check_options(first, options)
    try:
        report = first.check.look(data, split, bar, **options)
    except DataError as error:
        if not others:
            raise explained(first, data, error) from error
        report = others[0].check.look(data, split, bar)
        things = others[0].check.THINGS
        notes = [f"these are the {things}, no {first.check.THINGS} can be used: {error}"]
    refuse_no_classes(first, data, next(iter(report.parts.values())).classes)
    drawn: list[Path] = []
    if save_dir is not None:
        check_apart(report.files, save_dir)
        chosen_samples = samples_of(report, save_dir, samples)
        check_pictures(chosen_samples, WRITER, force=force, json=json)
        drawn = save_samples(report, chosen_samples)
    account = take_account(data, report.parts.values())
    problems, more = find_alike(report.parts, bar)
    notes += more
    if json:
        files = account.to_json() if account else None
        found = {"files": files, **findings(report.parts, notes, problems)}
        print_json({**report.answer, **found, "drawn": [str(path) for path in drawn]})
    else:
        show_content(report.content)
        if account:
            show_account(account)
        show_findings(report.parts, notes, problems)
        if drawn:
            out.line(f"{count(len(drawn), 'image', 'images')} drawn in {save_dir}")
    if any(one.kind == REFUSED for one in problems_of(report.parts)):
        raise typer.Exit(1)


def kinds_of_labels(data: str, asked: str | None) -> tuple[list[Task], list[str]]:
    """The uses whose labels the data has, the one to look at first; and a note on the others."""
    from mobilenets.data.built_in import is_built_in
    from mobilenets.errors import DataError

    able = list(with_part("check"))
    if asked is not None:
        return [task for task in able if task.name == asked], []
    there = [task for task in able if task.check.claims(data)]
    # Of those that look at folders, one listed later claims fewer: it has seen something more.
    there = [task for task in there if not task.check.LAST] or there[::-1]
    if len(there) > 1 and is_built_in(data):
        return there[:1], []
    if not there and Path(data).is_dir():
        tried = []
        for task in able:
            try:
                task.data.open_data(data, "all")
            except DataError as error:
                tried.append(f"no {task.check.THINGS}: {str(error).removeprefix(f'{data}: ')}")
            else:
                if not task.check.LAST:
                    return [task], []
                tried.append(f"--task {task.name} would take its folders as {task.check.THINGS}")
        raise DataError(f"{data}: {'; '.join(tried)} (docs/data.md)")
    notes = [
        f"there are {task.check.THINGS} too: --task {task.name} looks at them" for task in there[1:]
    ]
    return there or able[:1], notes


def check_options(task: Task, given: Mapping[str, Any]) -> None:
    """ValueError for an option of another use than the one whose labels are looked at."""
    owners = {
        option.name: other
        for other, addition in additions("data check")
        for option in addition.options
    }
    wrong = [name for name in given if owners[name].name != task.name]
    if wrong:
        verb, things = ("are" if len(wrong) > 1 else "is"), owners[wrong[0]].check.THINGS
        raise ValueError(
            f"{' and '.join(wrong)} {verb} for {things}: these are {task.check.THINGS}"
        )


@contextmanager
def bar(title: str, total: int) -> Iterator[Any]:
    """A progress bar; a word where nobody knows how much there is to do."""
    if total:
        with progress(title, total) as advance:
            yield advance
        return
    with err.status(title):
        yield cast(Any, lambda done: None)
