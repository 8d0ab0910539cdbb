"""`mobilenets data check`: what a data set with boxes holds, and what is wrong with it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mobilenets.cli.console import err, out, print_json, progress

if TYPE_CHECKING:
    from mobilenets.data.detection import ObjectDataset
    from mobilenets.data.problems import Problem
    from mobilenets.data.survey import Survey

app = typer.Typer(help="What a data set holds, and what is wrong with it.")

Surveys = Mapping[str, "Survey"]
"""By part."""
MOST_CLASSES = 40
"""Rows of the table of classes; JSON has all."""
MOST_BOXES = 300
"""Boxes drawn on one picture."""


@app.callback()
def options() -> None:
    """What a data set holds, and what is wrong with it."""


@app.command("check")
def check(
    data: Annotated[
        str, typer.Argument(metavar="DIR", help="A folder, a .json, a data.yaml, or shapes.")
    ],
    split: Annotated[
        Literal["train", "val", "test", "all"] | None,
        typer.Option(help="As training would open it; every part on disk if not given."),
    ] = None,
    save_dir: Annotated[
        Path | None, typer.Option(help="Also draw some images with their boxes here.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Images to draw of each part.")] = 8,
    model: Annotated[
        str, typer.Option(help="The detector whose anchors are laid over the objects.")
    ] = "ssdlite_mobilenet_v2",
    resolution: Annotated[
        int | None, typer.Option(min=1, help="Of its input; the paper's if not given.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say what is in images labelled with boxes, and all that is wrong with them.

    Images and objects of each part and class, sizes, the objects that no anchor of a detector
    reaches, and everything that training would leave out, counted and named. The exit status is
    0 where there is something to train on, whatever else is wrong.

    Example: `mobilenets data check photos --save-dir seen --resolution 320`
    """
    from mobilenets.data.detection import open_detection, open_parts
    from mobilenets.data.survey import survey
    from mobilenets.inference import check_apart
    from mobilenets.models.ssd_geometry import anchors_of

    side = side_of(model, resolution)
    anchors = anchors_of(model, (side, side))
    parts = open_parts(data) if split is None else {str(split): open_detection(data, split)}
    if save_dir is not None:
        check_apart(image_files(parts), save_dir)
    with progress("counting", sum(map(len, parts.values()))) as advance:
        surveys = {name: survey(part, anchors, advance) for name, part in parts.items()}
    drawn = save_samples(parts, save_dir, samples) if save_dir is not None else []
    reach = {"model": model, "resolution": side, "anchors": len(anchors)}
    if json:
        print_json({**to_json(parts, surveys, reach), "drawn": [str(path) for path in drawn]})
        return
    show(data, parts, surveys, reach)
    if drawn:
        say(f"{len(drawn)} images drawn in {save_dir}")


def side_of(model: str, resolution: int | None) -> int:
    """The input's side; ValueError where `model` is no detector."""
    from mobilenets.models.geometry import NETWORKS, unknown_name

    detectors = [name for name, network in NETWORKS.items() if network.task == "detect"]
    if model not in detectors:
        raise ValueError(unknown_name(model, detectors, "model"))
    return NETWORKS[model].size if resolution is None else resolution


def image_files(parts: "Mapping[str, ObjectDataset]") -> list[Path]:
    """The images on disk of all parts; none of the built-in data."""
    from mobilenets.data.annotations import AnnotatedImages

    return [
        part.root / file
        for part in parts.values()
        if isinstance(part, AnnotatedImages)
        for file in part.files
    ]


def save_samples(parts: "Mapping[str, ObjectDataset]", folder: Path, most: int) -> list[Path]:
    """Draw images of each part, spread evenly over it; one that cannot be read is named."""
    from mobilenets.errors import DataError
    from mobilenets.inference import save_picture
    from mobilenets.runtime.draw_boxes import draw_boxes

    used: set[str] = set()
    chosen = [(part, i * len(part) // most) for part in parts.values() for i in range(most)]
    for part, i in dict.fromkeys(chosen):
        try:
            image = part.image(i)
        except DataError as error:
            say(f"not drawn: {error}", err)
            continue
        objects = part.target(i)
        labels = objects.labels[:MOST_BOXES].tolist()
        captions = [
            part.classes[label] + " (crowd)" * crowd + " (difficult)" * difficult
            for label, crowd, difficult in zip(
                labels, objects.crowd.tolist(), objects.difficult.tolist(), strict=False
            )
        ]
        picture = draw_boxes(image, objects.boxes[:MOST_BOXES], captions, labels)
        save_picture(picture, Path(f"{part.name(i)}.jpg").with_suffix(""), folder, used)
    return [folder / name for name in sorted(used)]


def problems_of(parts: "Mapping[str, ObjectDataset]") -> "list[Problem]":
    """What was found wrong in any part, once."""
    return list(dict.fromkeys(problem for part in parts.values() for problem in part.problems))


def notes_of(parts: "Mapping[str, ObjectDataset]") -> list[str]:
    """What else there is to say of any part, once."""
    told = {problem.sentence for problem in problems_of(parts)}
    notes = dict.fromkeys(note for part in parts.values() for note in part.notes)
    return [note for note in notes if note not in told]


def to_json(
    parts: "Mapping[str, ObjectDataset]", surveys: Surveys, reach: dict[str, Any]
) -> dict[str, Any]:
    """Everything, for programs."""
    first = next(iter(parts.values()))
    return {
        "kind": first.kind,
        "classes": list(first.classes),
        "parts": {name: part_json(first.classes, one) for name, one in surveys.items()},
        "anchors": reach,
        "problems": [
            {"kind": one.kind, "count": one.count, "text": one.sentence, "names": one.names}
            for one in problems_of(parts)
        ],
        "notes": notes_of(parts),
    }


def part_json(classes: tuple[str, ...], one: "Survey") -> dict[str, Any]:
    """One part's figures."""
    from mobilenets.data.survey import REACHED, RESEMBLED, quantiles

    return {
        "images": one.images,
        "images_without_objects": one.empty,
        "objects": len(one.labels),
        "crowds": one.crowds,
        "difficult": one.difficult,
        "by_class": dict(zip(classes, one.by_class(len(classes)), strict=True)),
        "sizes": one.sizes(),
        "side_pixels": quantiles(one.sides),
        "side_shares": quantiles(one.shares),
        "overlap_below": {
            str(overlap): int(one.below(overlap).sum()) for overlap in (REACHED, RESEMBLED)
        },
    }


def show(
    data: str,
    parts: "Mapping[str, ObjectDataset]",
    surveys: Surveys,
    reach: dict[str, Any],
) -> None:
    """Everything, for a person."""
    first = next(iter(parts.values()))
    say(f"{data}: {first.kind}, {len(first.classes)} classes")
    show_parts(surveys)
    show_classes(first.classes, surveys)
    show_sizes(surveys)
    show_reach(surveys, reach)
    problems, notes = problems_of(parts), notes_of(parts)
    for note in notes:
        say(f"note: {note}")
    for problem in problems:
        say(f"problem: {problem.sentence}")
    if not problems:
        say("no problems")


def show_parts(surveys: Surveys) -> None:
    """Images and objects of each part."""
    rows = {
        name: (one.images, one.empty, len(one.labels), one.crowds, one.difficult)
        for name, one in surveys.items()
    }
    show_table(("part", "images", "without objects", "objects", "crowds", "difficult"), rows)


def show_classes(classes: tuple[str, ...], surveys: Surveys) -> None:
    """Objects of each class in each part, and those that no anchor reaches."""
    import numpy as np

    from mobilenets.data.survey import REACHED

    every = [one.by_class(len(classes)) for one in surveys.values()]
    labels = np.concatenate([one.labels[one.below(REACHED)] for one in surveys.values()])
    missed = np.bincount(labels, minlength=len(classes)).tolist()
    rows = {
        name: (*(counts[i] for counts in every), missed[i])
        for i, name in enumerate(classes[:MOST_CLASSES])
    }
    show_table(("class", *surveys, "no anchor"), rows)
    if len(classes) > MOST_CLASSES:
        say(f"and {len(classes) - MOST_CLASSES} classes more: --json has all")


def show_sizes(surveys: Surveys) -> None:
    """Small, medium and large, and quantiles of the boxes' sides."""
    from mobilenets.data.survey import QUANTILES, quantiles

    sizes = {name: tuple(one.sizes().values()) for name, one in surveys.items()}
    show_table(("objects", "small < 32²", "medium < 96²", "large"), sizes)
    rows: dict[str, tuple[Any, ...]] = {}
    for name, one in surveys.items():
        rows[f"{name}, pixels"] = tuple(f"{v:.0f}" for v in quantiles(one.sides).values())
        rows[f"{name}, of the image"] = tuple(f"{v:.3f}" for v in quantiles(one.shares).values())
    show_table(("root of a box's area", *(f"{q:.0%}" for q in QUANTILES)), rows)


def show_reach(surveys: Surveys, reach: dict[str, Any]) -> None:
    """How many objects no anchor overlaps enough, and what that means."""
    from mobilenets.data.survey import REACHED, RESEMBLED

    objects = sum(len(one.labels) for one in surveys.values())
    missed, strange = (
        sum(int(one.below(overlap).sum()) for one in surveys.values())
        for overlap in (REACHED, RESEMBLED)
    )
    say(f"{reach['model']} at {reach['resolution']} pixels has {reach['anchors']} anchors")
    say(
        f"{missed} of {objects} objects ({missed / max(objects, 1):.1%}) overlap none by "
        f"{REACHED}: each is learnt from its one best anchor, a forced match"
    )
    say(
        f"{strange} of them ({strange / max(objects, 1):.1%}) overlap none by {RESEMBLED}: even "
        "their best anchor hardly resembles them"
    )


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
