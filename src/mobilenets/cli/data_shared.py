"""What `mobilenets data check` says alike of boxes and of masks."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from PIL import Image

from mobilenets.cli.console import err, out

if TYPE_CHECKING:
    from mobilenets.data.detection import ObjectDataset
    from mobilenets.data.problems import Problem
    from mobilenets.data.segmentation import MaskDataset

Parts = Mapping[str, "ObjectDataset | MaskDataset"]
"""By name."""
MOST_CLASSES = 40
"""Rows of the table of classes; JSON has all."""


class Report(NamedTuple):
    """What was found in a data set."""

    parts: Parts
    answer: dict[str, Any]
    """Figures, for programs."""
    show: Callable[[], None]
    """Prints them for a person."""
    draw: Callable[[Any, Image.Image, int], Image.Image]
    """A part, an image of it and its number -> the image with what is known of it."""


def image_files(parts: Parts) -> list[Path]:
    """The images and masks on disk of all parts; none of the built-in data."""
    from mobilenets.data.annotations import AnnotatedImages
    from mobilenets.data.mask_images import MaskedImages

    found: list[Path] = []
    for part in parts.values():
        if isinstance(part, AnnotatedImages | MaskedImages):
            found += [part.root / file for file in part.files]
        if isinstance(part, MaskedImages):
            found += [part.root / file for file in part.masks]
    return found


def save_samples(report: Report, folder: Path, most: int) -> list[Path]:
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


def findings(parts: Parts, notes: list[str]) -> dict[str, Any]:
    """Problems and notes, for programs; `notes` are more of them."""
    return {
        "problems": [
            {"kind": one.kind, "count": one.count, "text": one.sentence, "names": one.names}
            for one in problems_of(parts)
        ],
        "notes": [*notes, *notes_of(parts)],
    }


def show_findings(parts: Parts, notes: list[str]) -> None:
    """Problems and notes, for a person."""
    problems = problems_of(parts)
    for note in [*notes, *notes_of(parts)]:
        say(f"note: {note}")
    for problem in problems:
        say(f"problem: {problem.sentence}")
    if not problems:
        say("no problems")


def show_table(titles: tuple[str, ...], rows: Mapping[str, tuple[Any, ...]]) -> None:
    """Names on the left, figures on the right."""
    from rich.markup import escape
    from rich.table import Table

    table = Table()
    for i, title in enumerate(titles):
        table.add_column(escape(title), justify="right" if i else "left")
    for name, figures in rows.items():
        table.add_row(escape(name), *(f"{v:,}" if isinstance(v, int) else v for v in figures))
    out.print(table)


def say(line: str, console: Any = out) -> None:
    """A line as it is."""
    console.print(line, highlight=False, markup=False, soft_wrap=True)
