"""`mobilenets compile`: how the engine runs an ONNX file."""

import json as jsonlib
from pathlib import Path
from typing import Annotated, Any

import typer

from mobilenets.cli.console import err, out, print_json


def run(
    model: Annotated[Path, typer.Argument(metavar="ONNX", help="A file, model.onnx.")],
    threads: Annotated[
        int | None, typer.Option(min=1, help="To run on; all cores if not given.")
    ] = None,
    schedule: Annotated[
        Path | None, typer.Option(metavar="JSON", help="Schedules of blocks, by their names.")
    ] = None,
    shape: Annotated[
        str | None, typer.Option(metavar="N,...", help="Of the input: 1,3,224,224.")
    ] = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Run it, and time each block.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Compile an ONNX file and show its plan: blocks, schedules, multiply-adds and bytes.

    The machine code is kept on disk, so that loading the file the next time takes no compiler.
    `--schedule` overrides what is chosen: a JSON object from a block's name to its schedule, as
    `--json` prints them. `--profile` adds the milliseconds of each block and its share of what
    the machine can do at most.

    Example: `mobilenets compile model.onnx --threads 2 --profile`
    """
    import mobilenets

    sizes = dimensions(shape) if shape is not None else None
    chosen = read_schedule(schedule) if schedule is not None else None
    with err.status("compiling"):
        net = mobilenets.compile(model, threads=threads, shape=sizes, schedule=chosen)
    report: dict[str, Any] = net.report()
    if profile:
        report = {**report, "blocks": measured(net, report["blocks"])}
    if json:
        print_json(report)
        return
    show(report, model)


def dimensions(text: str) -> tuple[int, ...]:
    """`1,3,224,224` -> (1, 3, 224, 224)."""
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise ValueError(f"--shape must be positive whole numbers as 1,3,224,224, got {text!r}")
    return tuple(int(part) for part in parts)


def read_schedule(path: Path) -> dict[str, Any]:
    """The JSON object in a file: a block's name -> its schedule. ValueError for anything else."""
    try:
        found = jsonlib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"--schedule {path} must be JSON ({error})") from error
    if not isinstance(found, dict):
        raise ValueError(f"--schedule {path} must be an object of blocks' names and schedules")
    return found


def measured(net: Any, blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The blocks with the milliseconds and the share of peak that a run on noise gives them."""
    import numpy as np

    image = np.random.default_rng(0).uniform(-1, 1, net.input_shape).astype(np.float32)
    with err.status("measuring"):
        rows = {row["name"]: row for row in net.profile(image)}
    return [{**block, **rows.get(block["name"], {})} for block in blocks]


def show(report: dict[str, Any], model: Path) -> None:
    """The plan for a person."""
    from rich.box import SIMPLE
    from rich.table import Table

    blocks = report["blocks"]
    timed = any(block.get("ms") is not None for block in blocks)
    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column("block", no_wrap=True)
    table.add_column("schedule")
    columns = ["output", "M madds", "arena kB", "weights kB"] + ["ms"] * timed + ["peak %"]
    for title in columns:
        table.add_column(title, justify="right")
    for block in blocks:
        cells = [
            "x".join(map(str, block["output_shape"])),
            f"{block['madds'] / 1e6:.2f}",
            f"{block['arena_bytes'] / 1e3:.1f}",
            f"{block['weights_bytes'] / 1e3:.1f}",
            *([number(block.get("ms"), 1, 3)] if timed else []),
            number(block.get("share_of_peak"), 100, 1),
        ]
        table.add_row(f"{block['name']} [dim]{block['kind']}[/]", text(block["schedule"]), *cells)
    out.print(table)
    out.print(summary(report, model), highlight=False, soft_wrap=True)


def summary(report: dict[str, Any], model: Path) -> str:
    """The totals, in a few lines."""
    threads, seconds = report["threads"], report["compile_seconds"]
    how = "from the cache" if report["cached"] else f"compiled in {seconds:.2f} s"
    madds = sum(block["madds"] for block in report["blocks"])
    return (
        f"{model}: {madds / 1e6:.1f} M multiply-adds on {threads} "
        f"thread{'s' if threads > 1 else ''} of {report['target']}, {how}\n"
        f"arena {report['arena_bytes'] / 1e6:.3f} MB; layer by layer it would be "
        f"{report['unfused_arena_bytes'] / 1e6:.3f} MB\n"
        f"weights {report['weights_bytes'] / 1e6:.2f} MB, code {report['code_bytes'] / 1e3:.0f} kB"
    )


def text(schedule: Any) -> str:
    """A schedule in few words: its values by name, if it has names."""
    if isinstance(schedule, dict):
        return " ".join(f"{name}={value}" for name, value in schedule.items())
    return str(schedule)


def number(value: float | None, scale: float, digits: int) -> str:
    """A figure that may not be known."""
    return "" if value is None else f"{value * scale:.{digits}f}"
