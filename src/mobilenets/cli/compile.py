"""`mobilenets compile`: how the engine runs an ONNX file."""

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
        Path | None, typer.Option(metavar="FILE", help="Schedules of blocks, in JSON.")
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
    `--schedule` overrides what is chosen: {"stream": floats, "blocks": {NAME: {"kind": "rows" or
    "groups", "group": channels, "strip": rows}}}. `--profile` adds the milliseconds of each block
    and its share of what the processor can do at most.

    Example: `mobilenets compile model.onnx --threads 2 --profile`
    """
    import mobilenets
    from mobilenets.engine.schedule import Schedule

    sizes = dimensions(shape) if shape is not None else None
    chosen = Schedule.from_file(schedule) if schedule is not None else None
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


def measured(net: Any, blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The blocks with the milliseconds and the share of peak of runs on noise."""
    import numpy as np

    image = np.random.default_rng(0).uniform(-1, 1, net.input_shape).astype(np.float32)
    with err.status("measuring"):
        rows = net.profile(image)
    return [
        {**block, "milliseconds": row.milliseconds, "share_of_peak": row.share_of_peak}
        for block, row in zip(blocks, rows, strict=True)
    ]


def show(report: dict[str, Any], model: Path) -> None:
    """The plan for a person."""
    from rich.box import SIMPLE
    from rich.markup import escape
    from rich.table import Table

    blocks = report["blocks"]
    timed = any("milliseconds" in block for block in blocks)
    table = Table(box=SIMPLE, pad_edge=False)
    for title in ("block", "kind", "schedule"):
        table.add_column(title, overflow="fold")
    columns = ["output", "M madds", "arena kB", "weights kB"] + ["ms", "peak %"] * timed
    for title in columns:
        table.add_column(title, justify="right")
    for block in blocks:
        cells = [
            "x".join(map(str, block["output_shape"])),
            f"{block['madds'] / 1e6:.2f}",
            f"{block['arena_bytes'] / 1e3:.1f}",
            f"{block['weights_bytes'] / 1e3:.1f}",
        ]
        if timed:
            cells += [f"{block['milliseconds']:.3f}", f"{block['share_of_peak'] * 100:.1f}"]
        words = (escape(str(block[key])) for key in ("name", "kind", "schedule"))
        table.add_row(*words, *cells)
    out.print(table)
    out.print(summary(report, model), highlight=False, markup=False, soft_wrap=True)


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
