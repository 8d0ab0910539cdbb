"""`mobilenets data check`: what a data set with boxes or masks holds, and what is wrong with it."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mobilenets.cli.console import print_json
from mobilenets.cli.data_shared import (
    findings,
    image_files,
    save_samples,
    say,
    show_findings,
)
from mobilenets.cli.options import AsJson

app = typer.Typer(help="What a data set holds, and what is wrong with it.")

Task = Literal["detect", "segment"]


@app.callback()
def options() -> None:
    """What a data set holds, and what is wrong with it."""


@app.command("check")
def check(
    data: Annotated[
        str, typer.Argument(metavar="DIR", help="A folder, a .json, a data.yaml, or shapes.")
    ],
    task: Annotated[
        Task | None, typer.Option(help="Boxes or masks; boxes if not given and there are both.")
    ] = None,
    split: Annotated[
        Literal["train", "val", "test", "all"] | None,
        typer.Option(help="As training would open it; every part on disk if not given."),
    ] = None,
    save_dir: Annotated[
        Path | None, typer.Option(help="Also draw some images with their boxes or masks here.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Images to draw of each part.")] = 8,
    model: Annotated[
        str | None,
        typer.Option(
            help="The detector whose anchors are laid over boxes; else ssdlite_mobilenet_v2."
        ),
    ] = None,
    resolution: Annotated[
        int | None, typer.Option(min=1, help="Of its input; the paper's if not given.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Say what is in images labelled with boxes or masks, and all that is wrong with them.

    Of boxes: images and objects of each part and class, sizes, and the objects that no anchor of
    a detector reaches. Of masks: the share of pixels and the number of images of each class, and
    void's share. And everything that training would leave out, counted and named. The exit
    status is 0 where there is something to train on, whatever else is wrong.

    Example: `mobilenets data check photos --save-dir seen`
    """
    from mobilenets.cli import data_boxes, data_masks
    from mobilenets.errors import DataError
    from mobilenets.inference import check_apart

    task, notes = kind_of_labels(data, task)
    if task == "segment" and (model is not None or resolution is not None):
        raise ValueError("model and resolution are for boxes: masks know no anchors")
    if task == "segment":
        report = data_masks.look(data, split)
    else:
        try:
            report = data_boxes.look(data, split, model, resolution)
        except DataError as error:
            if not notes:
                raise
            report = data_masks.look(data, split)
            notes = [f"these are the masks, no boxes can be used: {error}"]
    drawn: list[Path] = []
    if save_dir is not None:
        check_apart(image_files(report.parts), save_dir)
        drawn = save_samples(report, save_dir, samples)
    if json:
        found = findings(report.parts, notes)
        print_json({**report.answer, **found, "drawn": [str(path) for path in drawn]})
        return
    report.show()
    show_findings(report.parts, notes)
    if drawn:
        say(f"{len(drawn)} images drawn in {save_dir}")


def kind_of_labels(data: str, asked: Task | None) -> tuple[Task, list[str]]:
    """Whether to look at boxes or masks, and a note where there are both to choose from."""
    from mobilenets.data.detection import has_boxes
    from mobilenets.data.segmentation import has_masks
    from mobilenets.data.shapes import is_built_in
    from mobilenets.errors import DataError

    if asked is not None:
        return asked, []
    boxes, masks = has_boxes(data), has_masks(data)
    if boxes and masks and not is_built_in(data):
        return "detect", ["there are masks too: --task segment looks at them"]
    if not boxes and not masks and Path(data).is_dir():
        raise DataError(
            f"{data}: no boxes and no masks found; expected COCO, VOC or YOLO files, or images/ "
            "and masks/ with PNG files of the same names (docs/data.md)"
        )
    return ("detect" if boxes or not masks else "segment"), []
