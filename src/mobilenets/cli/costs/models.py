"""`mobilenets models`: the networks and the published checkpoints, with what they cost."""

from typing import Annotated, Any

import typer

from mobilenets.cli.console import out, print_json
from mobilenets.cli.options import AsJson


def run(
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="The published checkpoints instead.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Every network by name: parameters and multiply-adds at width 1.0 and its paper's input.

    With `--pretrained`, the checkpoints that a name fetches wherever WEIGHTS are asked for.

    Example: `mobilenets models --pretrained`
    """
    rows = published_rows() if pretrained else network_rows()
    if json:
        print_json(rows)
    elif pretrained:
        show_published(rows)
    else:
        show_networks(rows)


def network_rows() -> list[dict[str, Any]]:
    """Name, task, pixels, parameters, multiply-adds and description of every network."""
    from mobilenets.cost import profile
    from mobilenets.tasks.registry import networks

    rows = []
    for name, (task, network) in networks().items():
        cost = profile(name)
        rows.append(
            {
                "name": name,
                "task": task.name,
                "resolution": network.size,
                "parameters": cost.parameters,
                "madds": cost.madds,
                "description": network.description,
            }
        )
    return rows


def published_rows() -> list[dict[str, Any]]:
    """What is known of every published checkpoint.

    `top1` is on ImageNet's validation images as its publisher says, 0..1; None if nobody said.
    """
    from mobilenets.cost import profile
    from mobilenets.weights.published import PUBLISHED

    rows = []
    for found in PUBLISHED.values():
        cost = profile(
            found.architecture,
            width=found.width,
            resolution=found.resolution,
            **found.arguments,
        )
        rows.append(
            {
                "name": found.name,
                "architecture": found.architecture,
                "width": found.width,
                "resolution": found.resolution,
                "top1": found.top1,
                "parameters": cost.parameters,
                "madds": cost.madds,
                "source": found.source,
                "url": found.url,
            }
        )
    return rows


def show_networks(rows: list[dict[str, Any]]) -> None:
    """A table for a person, by task."""
    columns = {
        "pixels": [str(row["resolution"]) for row in rows],
        "params M": [f"{row['parameters'] / 1e6:.2f}" for row in rows],
        "madds M": [f"{row['madds'] / 1e6:.1f}" for row in rows],
    }
    show_groups("network", rows, "task", columns, [row["description"] for row in rows])


def show_published(rows: list[dict[str, Any]]) -> None:
    """A table for a person, the source above its checkpoints."""
    columns = {
        "top-1 %": ["" if row["top1"] is None else f"{row['top1'] * 100:.1f}" for row in rows],
        "params M": [f"{row['parameters'] / 1e6:.2f}" for row in rows],
        "madds M": [f"{row['madds'] / 1e6:.1f}" for row in rows],
    }
    show_groups("checkpoint", rows, "source", columns)


def show_groups(
    title: str,
    rows: list[dict[str, Any]],
    group: str,
    columns: dict[str, list[str]],
    last: list[str] | None = None,
) -> None:
    """Rows by name under a heading for each value of `group`, figures to the right of them."""
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column(title, no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right")
    if last:
        table.add_column("")
    heading = ""
    for i, row in enumerate(rows):
        if row[group] != heading:
            heading = row[group]
            table.add_section()
            table.add_row(f"[bold]{heading}[/]")
        figures = [column[i] for column in columns.values()]
        table.add_row(row["name"], *figures, *(last[i : i + 1] if last else []))
    out.print(table)
