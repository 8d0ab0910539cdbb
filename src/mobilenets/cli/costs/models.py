"""`mobilenets models`: the networks and the published checkpoints, with what they cost."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import typer

from mobilenets.cli.console import out, print_json, say
from mobilenets.cli.console.tables import Column, Grid, show_table
from mobilenets.cli.costs import units
from mobilenets.cli.options import AsJson

Row = dict[str, Any]
FORMS = ("float32", "float16", "int8")
Form = Literal["float32", "float16", "int8"]
Order = Literal["madds", "size", "params", "accuracy"]


def run(
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="The published checkpoints instead.")
    ] = False,
    max_madds: Annotated[
        str | None, typer.Option(metavar="N", help="At most so many multiply-adds: 5M, 1G.")
    ] = None,
    max_params: Annotated[
        str | None, typer.Option(metavar="N", help="At most so many parameters: 500K, 2M.")
    ] = None,
    max_size: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="A file of at most so much: 1MB, 300kB."),
    ] = None,
    form: Annotated[
        Form, typer.Option(help="How the file of --max-size and --sort size is stored.")
    ] = "float32",
    sort: Annotated[
        Order | None, typer.Option(help="The least first; of accuracy the best, use by use.")
    ] = None,
    classes: Annotated[
        int | None, typer.Option(min=1, help="Outputs, of a detector kinds of objects, to count.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Every network by name, at each width and input size that was released, with what it costs.

    The accuracy is what the paper or the publisher prints; sizes are of a file's weights as
    float32, float16 and int8. With `--pretrained`, the checkpoints that a name fetches wherever
    WEIGHTS are asked for. What a limit leaves out is counted.

    Example: `mobilenets models --max-madds 20M --max-size 1MB --form int8 --sort accuracy`
    """
    limits = limits_of(max_madds, max_params, max_size, form)
    rows = published_rows(classes) if pretrained else network_rows(classes)
    kept = [row for row in rows if all(figure(row) <= most for most, figure in limits.values())]
    say_left_out(rows, kept, limits)
    if sort is not None:
        kept.sort(key=order_of(sort, form))
    if json:
        print_json(kept)
    elif kept:
        if out.is_terminal and not pretrained and not limits and sort is None:
            show_descriptions()
        show(kept, grouped="" if sort else "source" if pretrained else "task")


Limits = dict[str, tuple[int, Callable[[Row], int]]]
"""An option -> the most, and the figure of a row that it is for."""


def limits_of(
    max_madds: str | None, max_params: str | None, max_size: str | None, form: str
) -> Limits:
    """The limits that were given; ValueError for a number or a unit that is none."""
    found: Limits = {}
    if max_madds is not None:
        most = units.count(max_madds, "max-madds")
        found[f"--max-madds {max_madds}"] = most, lambda row: int(row["madds"])
    if max_params is not None:
        most = units.count(max_params, "max-params")
        found[f"--max-params {max_params}"] = most, lambda row: int(row["parameters"])
    if max_size is not None:
        most = units.size(max_size, "max-size")
        found[f"--max-size {max_size} as {form}"] = most, lambda row: int(row["file_bytes"][form])
    return found


def say_left_out(rows: list[Row], kept: list[Row], limits: Limits) -> None:
    """Count what the limits leave out; where that is all, how far the least is."""
    if len(kept) == len(rows):
        return
    say(f"left out: {len(rows) - len(kept)} of {len(rows)}, over {' or '.join(limits)}")
    if not kept:
        for option, (most, figure) in limits.items():
            least = min(rows, key=figure)
            if figure(least) > most:
                where = f"{least['name']} {least['width']:g} at {least['resolution']} pixels"
                say(f"the least for {option} is {figure(least):,}: {where}")


def order_of(sort: Order, form: str) -> Callable[[Row], Any]:
    """The key to sort rows by. Accuracies of two uses are not compared; without one comes last."""
    if sort == "accuracy":
        return lambda row: (row["task"], row["accuracy"] is None, -(row["accuracy"] or 0))
    if sort == "size":
        return lambda row: row["file_bytes"][form]
    return lambda row: row["madds" if sort == "madds" else "parameters"]


def network_rows(classes: int | None = None) -> list[Row]:
    """Every network at each width and size that somebody released, else at its paper's."""
    from mobilenets.tasks.registry import networks
    from mobilenets.weights.published import PUBLISHED

    rows = []
    for name, (_, network) in networks().items():
        found: dict[tuple[float, int], tuple[dict[str, Any], tuple[str, float] | None]] = {}
        for one in PUBLISHED.values():
            if one.architecture == name and one.url:
                printed = None if one.top1 is None else ("top1", one.top1)
                found.setdefault((one.width, one.resolution), (one.arguments, printed))
        own = (1.0, network.size)
        if own not in found or found[own][1] is None:
            found[own] = ({}, network.printed)  # what is printed is for the default arguments
        for (width, size), (arguments, printed) in found.items():
            rows.append(row_of(name, width, size, arguments, printed, classes))
            rows[-1]["description"] = network.description
    return rows


def published_rows(classes: int | None = None) -> list[Row]:
    """What is known of every published checkpoint.

    `top1` is on ImageNet's validation images as its publisher says, 0..1; None if nobody said.
    """
    from mobilenets.weights.published import PUBLISHED

    rows = []
    for found in PUBLISHED.values():
        printed = None if found.top1 is None else ("top1", found.top1)
        row = row_of(
            *(found.architecture, found.width, found.resolution, found.arguments, printed, classes)
        )
        more = {"top1": found.top1, "source": found.source, "url": found.url}
        rows.append({**row, "name": found.name, "architecture": found.architecture, **more})
    return rows


def row_of(
    name: str,
    width: float,
    size: int,
    arguments: dict[str, Any],
    printed: tuple[str, float] | None,
    classes: int | None,
) -> Row:
    """What a network costs at a width and an input size, and the accuracy that is printed."""
    from mobilenets.cost import profile
    from mobilenets.tasks.registry import networks

    task, network = networks()[name]
    given = {**arguments, "width": width, "classes": classes}
    known = {key: v for key, v in given.items() if v is not None and key in network.knobs}
    cost = profile(name, resolution=size, **known)
    metric, accuracy = printed or (None, None)
    return {
        "name": name,
        "task": task.name,
        "width": width,
        "resolution": size,
        "metric": metric,
        "accuracy": accuracy,
        "parameters": cost.parameters,
        "madds": cost.madds,
        "file_bytes": cost.file_bytes,
    }


def show_descriptions() -> None:
    """What each network is, in a line."""
    from mobilenets.tasks.registry import networks

    for name, (_, network) in networks().items():
        out.line(f"{name}: {network.description}")
    out.line("")


def show(rows: list[Row], *, grouped: str) -> None:
    """A table for a person; a heading for each value of `grouped`, where that is not empty.

    In a pipe the description of each network is its last column.
    """
    published = "source" in rows[0]
    described = not published and not out.is_terminal
    columns = [Column("network")]
    if not published:
        columns += [Column("width", figures=True), Column("pixels", figures=True)]
    columns += [
        Column("acc.", figures=True, spare=1),
        Column("params", figures=True),
        Column("madds", figures=True),
        Column("f32", figures=True, spare=2),
        Column("f16", figures=True, spare=4),
        Column("int8", figures=True, spare=3),
        *[Column("description")] * described,
    ]
    cells = [
        (
            row["name"],
            *([] if published else [f"{row['width']:g}", str(row["resolution"])]),
            "" if row["accuracy"] is None else f"{row['accuracy'] * 100:.1f}",
            units.millions(row["parameters"]),
            units.millions(row["madds"]),
            *(units.millions(row["file_bytes"][form]) for form in FORMS),
            *([row["description"]] if described else []),
        )
        for row in rows
    ]
    groups = [row[grouped] for row in rows] if grouped else []
    show_table(Grid(columns, cells, groups=groups, group=grouped, once=True))
    if out.is_terminal:
        out.line(
            "accuracy: top-1, AP or mIoU in %, as printed; params and madds in millions; "
            "MB as float32, float16 and int8"
        )
