"""`mobilenets compile`: how the engine runs an ONNX file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from mobilenets.cli import knobs
from mobilenets.cli.console import err, out, print_json
from mobilenets.cli.console.tables import Column, Grid, show_table
from mobilenets.cli.options import AsJson, ClassesOfName, KnobsOfName, Resolution, WidthOfName
from mobilenets.data.listing import count


def run(
    model: Annotated[
        str,
        typer.Argument(
            metavar="FILE|NAME|WEIGHTS", help="model.onnx or .tflite; a network; weights."
        ),
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
    """Compile an ONNX or TFLite file and show its plan: blocks, schedules, multiply-adds and bytes.

    A NAME, with random weights, and WEIGHTS are exported first, to a file that is not kept.
    The machine code is kept on disk, so that loading the file the next time takes no compiler.
    `--schedule` overrides what is chosen: {"stream": bytes, "blocks": {NAME: {"kind": "rows" or
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
    """The file that `model` is, .onnx or .tflite, or one made of it while the context lasts.

    ValueError for a resolution or arguments that come with a file, which says all itself.
    """
    if model.lower().endswith((".onnx", ".tflite")):
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

    random = np.random.default_rng(0)
    if net.input_dtype == "float32":
        image = random.uniform(-1, 1, net.input_shape).astype(np.float32)
    else:
        image = random.integers(0, 128, net.input_shape).astype(net.input_dtype)
    with err.status("measuring"):
        rows = net.profile(image)
    return [
        {**block, "milliseconds": row.milliseconds, "share_of_peak": row.share_of_peak}
        for block, row in zip(blocks, rows, strict=True)
    ]


def show(report: dict[str, Any], model: str) -> None:
    """The plan for a person; the stages of what is streamed as one below each other."""
    blocks = report["blocks"]
    timed = any("milliseconds" in block for block in blocks)
    columns = [
        Column("block"),
        Column("schedule"),
        Column("output", figures=True, spare=3),
        Column("M madds", figures=True, spare=2),
        Column("arena", figures=True, spare=4),
        Column("weights", figures=True, spare=5),
    ]
    columns += [Column("ms", figures=True), Column("peak %", figures=True, spare=1)] * timed
    rows = []
    for block in blocks:
        cells = [
            "x".join(map(str, block["output_shape"][1:])),
            f"{block['madds'] / 1e6:.2f}",
            f"{block['arena_bytes'] / 1e3:.1f}",
            f"{block['weights_bytes'] / 1e3:.1f}",
        ]
        if timed:
            cells += [f"{block['milliseconds']:.3f}", f"{block['share_of_peak'] * 100:.1f}"]
        rows.append((*stages(block), *cells))
    show_table(Grid(columns, rows))
    out.line("rows: strip x channels; groups: number x channels; arena and weights in kB")
    for line in summary(report, model):
        out.line(line)


def stages(block: dict[str, Any]) -> tuple[str, str]:
    """The names of a block's stages and their schedules, one below the other."""
    schedule = str(block["schedule"] or block["kind"])
    return block["name"].replace(" > ", " >\n"), schedule.replace(" > ", " >\n")


def summary(report: dict[str, Any], model: str) -> list[str]:
    """The totals, in a few lines."""
    seconds, threads = report["compile_seconds"], count(report["threads"], "thread", "threads")
    how = "from the cache" if report["cached"] else f"compiled in {seconds:.2f} s"
    madds = sum(block["madds"] for block in report["blocks"])
    return [
        f"{model}: {madds / 1e6:.1f} M multiply-adds on {threads} of {report['target']}, {how}",
        f"arena {report['arena_bytes'] / 1e6:.3f} MB; layer by layer it would be "
        f"{report['unfused_arena_bytes'] / 1e6:.3f} MB",
        f"weights {report['weights_bytes'] / 1e6:.2f} MB, code {report['code_bytes'] / 1e3:.0f} kB",
    ]
