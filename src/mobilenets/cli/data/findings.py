"""What `mobilenets data check` prints: tables, problems and notes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobilenets.cli.console import err, out

if TYPE_CHECKING:
    from mobilenets.data.dataset import AnnotatedDataset
    from mobilenets.data.inventory import Account
    from mobilenets.data.problems import Problem
    from mobilenets.tasks.report import Report, Table

Parts = Mapping[str, "AnnotatedDataset"]
"""By name."""


def save_samples(report: "Report", folder: Path, most: int) -> list[Path]:
    """Draw images of each part, spread evenly over it; one that cannot be read is named."""
    from mobilenets.errors import DataError
    from mobilenets.inference import save_picture

    used: set[str] = set()
    chosen = [(part, i * len(part) // most) for part in report.parts.values() for i in range(most)]
    for part, i in dict.fromkeys(chosen):
        try:
            picture = report.draw(part, part.image(i), i)
        except DataError as error:
            say(f"not drawn: {error}", err)
            continue
        save_picture(picture, Path(f"{part.name(i)}.jpg").with_suffix(""), folder, used)
    return [folder / name for name in sorted(used)]


def problems_of(parts: Parts) -> "list[Problem]":
    """What was found wrong in any part, once."""
    return list(dict.fromkeys(problem for part in parts.values() for problem in part.problems))


def notes_of(parts: Parts) -> list[str]:
    """What else there is to say of any part, once."""
    told = {problem.sentence for problem in problems_of(parts)}
    notes = dict.fromkeys(note for part in parts.values() for note in part.notes)
    return [note for note in notes if note not in told]


def findings(parts: Parts, notes: list[str], problems: "Sequence[Problem]") -> dict[str, Any]:
    """Problems and notes, for programs; `notes` and `problems` are more than the parts have."""
    return {
        "problems": [
            {"kind": one.kind, "count": one.count, "text": one.sentence, "names": one.names}
            for one in [*problems_of(parts), *problems]
        ],
        "notes": [*notes, *notes_of(parts)],
    }


def show_findings(parts: Parts, notes: list[str], more: "Sequence[Problem]") -> None:
    """Problems and notes, for a person; `notes` and `more` are not the parts' own."""
    problems = [*problems_of(parts), *more]
    for note in [*notes, *notes_of(parts)]:
        say(f"note: {note}")
    for problem in problems:
        say(f"problem: {problem.sentence}")
    if not problems:
        say("no problems")


def show_account(account: "Account") -> None:
    """Every file of the folder: what is used, and what is left out and why."""
    from mobilenets.tasks.report import Table

    rows: dict[str, tuple[Any, ...]] = {
        "used: images": (account.images, ""),
        "used: labels": (account.labels, ""),
    }
    for one in account.left:
        rows[f"left out: {one.words[one.number != 1]}"] = (one.number, one.names[0])
    show_table(Table(("files", "number", "first"), rows))


def show_content(content: "Sequence[Table | str]") -> None:
    """Tables and lines, for a person."""
    for one in content:
        if isinstance(one, str):
            say(one)
        else:
            show_table(one)


def show_table(found: "Table") -> None:
    """Names on the left, figures on the right."""
    from rich.markup import escape
    from rich.table import Table as Grid

    table = Grid()
    for i, title in enumerate(found.titles):
        table.add_column(escape(title), justify="right" if i else "left")
    for name, figures in found.rows.items():
        table.add_row(escape(name), *(f"{v:,}" if isinstance(v, int) else v for v in figures))
    out.print(table)


def say(line: str, console: Any = out) -> None:
    """A line as it is."""
    console.print(line, highlight=False, markup=False, soft_wrap=True)
