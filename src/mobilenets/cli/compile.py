"""`mobilenets compile`: how the engine runs an ONNX file."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from mobilenets.cli import knobs
from mobilenets.cli.console import err, out, print_json
from mobilenets.cli.options import AsJson, ClassesOfName, KnobsOfName, Resolution, WidthOfName


def run(
    model: Annotated[
        str,
        typer.Argument(metavar="ONNX|NAME|WEIGHTS", help="A file, model.onnx; a network; weights."),
    ],
    threads: Annotated[
        int | None, typer.Option(min=1, help="To run on; all cores if not given.")
    ] = None,
    schedule: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Schedules of blocks, in JSON.")
    ] = None,
    shape: Annotated[
        str | None, typer.Option(metavar="N,...", help="Of the input: 1,3,224,224.")
    ] = None,
    resolution: Resolution = None,
    width: WidthOfName = None,
    classes: ClassesOfName = None,
    knob: KnobsOfName = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Run it, and time each block.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Compile an ONNX file and show its plan: blocks, schedules, multiply-adds and bytes.

    A NAME, with random weights, and WEIGHTS are exported first, to a file that is not kept.
    The machine code is kept on disk, so that loading the file the next time takes no compiler.
    `--schedule` overrides what is chosen: {"stream": floats, "blocks": {NAME: {"kind": "rows" or
    "groups", "group": channels, "strip": rows}}}. `--profile` adds the milliseconds of each block
    and its share of what the processor can do at most.

    Example: `mobilenets compile model.onnx --threads 2 --profile`
    """
    import mobilenets
    from mobilenets.engine.plan.schedule import Schedule

    sizes = dimensions(shape) if shape is not None else None
    chosen = Schedule.from_file(schedule) if schedule is not None else None
    arguments = knobs.of_name(knob, width=width, classes=classes)
    with onnx_of(model, resolution, arguments) as path, err.status("compiling"):
        net = mobilenets.compile(path, threads=threads, shape=sizes, schedule=chosen)
    report: dict[str, Any] = net.report()
    if profile:
        report = {**report, "blocks": measured(net, report["blocks"])}
    if json:
        print_json(report)
        return
    show(report, model)


@contextmanager
def onnx_of(model: str, resolution: int | None, arguments: dict[str, Any]) -> Iterator[Path]:
    """The .onnx file that `model` is, or one that is made of it for as long as the context lasts.

    ValueError for a resolution or arguments that come with a file, which says all itself.
    """
    if model.lower().endswith(".onnx"):
        given = ["resolution"] * (resolution is not None) + list(arguments)
        if given:
            raise ValueError(f"{given[0]} is for a name or weights, {model} is a file of its own")
        yield Path(model)
        return
    from mobilenets.export import export_onnx
    from mobilenets.export.source import open_source

    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        with err.status("exporting"):
            export_onnx(open_source(model, resolution=resolution, knobs=arguments), path)
        yield path


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


def show(report: dict[str, Any], model: str) -> None:
    """The plan for a person; the stages of what is streamed as one below each other."""
    from rich.box import SIMPLE
    from rich.table import Table

    blocks = report["blocks"]
    timed = any("milliseconds" in block for block in blocks)
    table = Table(box=SIMPLE, pad_edge=False, collapse_padding=True)
    table.caption = "rows: strip x channels; groups: number x channels; arena and weights in kB"
    for title in ("block", "schedule"):
        table.add_column(title, overflow="fold")
    for title in ["output", "M madds", "arena", "weights"] + ["ms", "peak %"] * timed:
        table.add_column(title, justify="right", no_wrap=True)
    for block in blocks:
        cells = [
            "x".join(map(str, block["output_shape"][1:])),
            f"{block['madds'] / 1e6:.2f}",
            f"{block['arena_bytes'] / 1e3:.1f}",
            f"{block['weights_bytes'] / 1e3:.1f}",
        ]
        if timed:
            cells += [f"{block['milliseconds']:.3f}", f"{block['share_of_peak'] * 100:.1f}"]
        first, *rest = stages(block)
        table.add_row(*first, *cells)
        for stage in rest:
            table.add_row(*stage)
    out.print(table)
    out.print(summary(report, model), highlight=False, markup=False, soft_wrap=True)


def stages(block: dict[str, Any]) -> list[tuple[str, str]]:
    """(name, schedule) of each, of "a > b"; what a file calls its nodes is no markup."""
    from rich.markup import escape

    names = block["name"].split(" > ")
    schedules = str(block["schedule"] or block["kind"]).split(" > ")
    pairs = zip_longest(names, schedules, fillvalue="")
    return [(escape(name), escape(schedule)) for name, schedule in pairs]


def summary(report: dict[str, Any], model: str) -> str:
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
