"""What `mobilenets data check` prints: tables, problems and notes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobilenets.cli.console import err, out
from mobilenets.cli.console.tables import Column, Grid, show_table

if TYPE_CHECKING:
    from mobilenets.data.dataset import AnnotatedDataset
    from mobilenets.data.inventory import Account
    from mobilenets.data.problems import Problem
    from mobilenets.tasks.report import Report, Table

Parts = Mapping[str, "AnnotatedDataset"]
"""By name."""
Samples = Mapping[Path, tuple["AnnotatedDataset", int]]
"""A picture to write -> the part and the index in it of the image."""
WRITER = "mobilenets data check"
"""What its pictures say that wrote them."""


def samples_of(report: "Report", folder: Path, most: int) -> Samples:
    """At most so many images from all over each part, and where their pictures go."""
    from mobilenets.evaluation import spread
    from mobilenets.saved import names_in

    samples = [(part, i) for part in report.parts.values() for i in spread(len(part), most)]
    names = [Path(f"{part.name(i)}.jpg").with_suffix("") for part, i in samples]
    return dict(zip(names_in(folder, names), samples, strict=True))


def save_samples(report: "Report", samples: Samples) -> list[Path]:
    """Draw them, and say which files that gave; an image that cannot be read is named."""
    from mobilenets.errors import DataError
    from mobilenets.saved import save_picture

    drawn: list[Path] = []
    for target, (part, i) in samples.items():
        try:
            picture = report.draw(part, part.image(i), i)
        except DataError as error:
            err.line(f"not drawn: {error}")
            continue
        drawn += save_picture(picture, target, WRITER)
    return sorted(drawn)


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
        out.line(f"note: {note}")
    for problem in problems:
        out.line(f"problem: {problem.sentence}")
    if not problems:
        out.line("no problems")


def show_account(account: "Account") -> None:
    """Every file of the folder: what is used, and what is left out and why."""
    columns = [Column("files"), Column("number", figures=True), Column("first", spare=1)]
    rows = [
        ("used: images", f"{account.images:,}", ""),
        ("used: labels", f"{account.labels:,}", ""),
    ]
    for one in account.left:
        rows.append((f"left out: {one.words[one.number != 1]}", f"{one.number:,}", one.names[0]))
    show_table(Grid(columns, rows), apart=True)
    out.line("")


def show_content(content: "Sequence[Table | str]") -> None:
    """Tables and lines, for a person: an empty line between."""
    before: Table | str = ""
    for i, one in enumerate(content):
        if not isinstance(one, str):
            show_table(grid_of(one), apart=i > 0)
        else:
            if not isinstance(before, str):
                out.line("")
            out.line(one)
        before = one


def grid_of(found: "Table") -> Grid:
    """Names on the left, figures on the right; where there is little room, the last go first."""
    first, second, *others = found.titles
    columns = [Column(first), Column(second, figures=True)]
    columns += [Column(title, figures=True, spare=i) for i, title in enumerate(others, 1)]
    rows = [
        (name, *(f"{value:,}" if isinstance(value, int) else str(value) for value in figures))
        for name, figures in found.rows.items()
    ]
    return Grid(columns, rows)
