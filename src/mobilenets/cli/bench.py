"""`mobilenets bench`: the engine beside the runtimes that people use."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mobilenets.cli import knobs
from mobilenets.cli.additions import extended
from mobilenets.cli.console import out, print_json, progress, say
from mobilenets.cli.options import AsJson, ClassesOfName, KnobsOfName, Resolution, WidthOfName

if TYPE_CHECKING:
    from mobilenets.bench.figures import Comparison
    from mobilenets.bench.photos.compare import FromFiles


@extended("bench", before="rounds")
def run(
    source: Annotated[
        str,
        typer.Argument(metavar="NAME|WEIGHTS|ONNX", help="A network, weights, or model.onnx."),
    ],
    from_files: Annotated[
        str | None,
        typer.Option(
            metavar="IMAGE|DIR",
            help="Time from file to label instead, beside a plain program on ONNX Runtime.",
        ),
    ] = None,
    threads: Annotated[
        str | None,
        typer.Option(metavar="N,...", help="Numbers of threads: 1; one, 2, for --from-files."),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(metavar="SIDE,...", help="Runtimes; all that are known if not given."),
    ] = None,
    width: WidthOfName = None,
    resolution: Resolution = None,
    classes: ClassesOfName = None,
    knob: KnobsOfName = None,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="Turns of each side: 30; 5 for --from-files.")
    ] = None,
    python: Annotated[
        list[str] | None,
        typer.Option(metavar="SIDE=PATH", help="The interpreter that has a side's libraries."),
    ] = None,
    json: AsJson = False,
    **options: Any,
) -> None:
    """Speed, memory and outputs of the engine and of other runtimes, taking turns.

    Each side runs in a process of its own; in every round each has one turn while the others
    sleep. Sides are onnxruntime, litert, openvino, executorch and torch; one that is not installed
    or cannot take the source is named and left out. A NAME gets random weights. Ratios are a
    side's time over the engine's, so above 1 the engine is faster; memory is what is resident
    beyond the libraries.

    With `--from-files` a turn is `predict` over all images, from the file to the label, and the
    other side a plain program: Pillow, numpy and ONNX Runtime with as many threads.

    Example: `mobilenets bench mobilenet_v2 --threads 1,2 --against onnxruntime,litert`
    """
    from mobilenets.bench.compare import BenchPlan, compare
    from mobilenets.bench.sides import PEERS

    arguments = knobs.of_name(knob, width=width, classes=classes)
    if from_files is not None:
        given = {"--against": against, "--python": python, **options}
        unfit = [name for name, value in given.items() if value]
        if unfit:
            raise ValueError(f"{unfit[0]} is not for --from-files")
        compare_files(source, from_files, threads or "2", rounds or 5, resolution, arguments, json)
        return
    rounds = rounds or 30
    plan = BenchPlan(
        threads=numbers(threads or "1"),
        against=PEERS if against is None else tuple(filter(None, against.split(","))),
        rounds=rounds,
        pythons=interpreters(python or []),
    )
    with progress("measuring", rounds * len(plan.threads)) as advance:
        result = compare(
            source, plan, resolution=resolution, knobs=arguments, options=options, advance=advance
        )
    for one in result.skipped:
        which = "" if one.threads is None else f" on {one.threads}"
        note = f"left out: {one.side}{which}: {one.reason}"
        say(note)
    if json:
        print_json(result.to_dict())
    else:
        for count in result.threads():
            show(result, count)
    if not result.sides:
        raise typer.Exit(1)


def compare_files(
    source: str,
    folder: str,
    threads: str,
    rounds: int,
    resolution: int | None,
    arguments: dict[str, Any],
    json: bool,
) -> None:
    """From file to label, ours beside the plain program."""
    from mobilenets.bench.photos.compare import compare_from_files
    from mobilenets.runtime.images import find_images

    counts = numbers(threads)
    if len(counts) > 1:
        raise ValueError(f"--threads must be one number for --from-files, got {threads!r}")
    files = find_images([folder])
    with progress("measuring", rounds) as advance:
        result = compare_from_files(
            source,
            files,
            threads=counts[0],
            rounds=rounds,
            resolution=resolution,
            knobs=arguments,
            advance=advance,
        )
    if result.skipped:
        say(f"left out: the plain program: {result.skipped}")
    if result.unread:
        say(f"left out: {result.unread} of {result.images} images could not be read")
    if json:
        print_json(result.to_dict())
    else:
        show_files(result)


def show_files(result: "FromFiles") -> None:
    """A table for a person: each side's time for an image, and how far we are ahead."""
    from rich.box import SIMPLE
    from rich.table import Table

    rounds = len(next(iter(result.passes.values())))
    title = f"{result.images} images, {result.threads} threads, {rounds} rounds"
    table = Table(title=title, title_justify="left", box=SIMPLE, pad_edge=False)
    table.add_column("side", overflow="fold")
    for column in ("ms an image", "images a second", "processor ms"):
        table.add_column(column, justify="right", no_wrap=True)
    for side in result.passes:
        taken = result.per_image_ms(side)
        table.add_row(
            side, f"{taken:.3f}", f"{1e3 / taken:.1f}", f"{result.processor_ms(side):.3f}"
        )
    out.print(table)
    ratio = result.ratio()
    if ratio is not None:
        out.print(
            f"the plain program over ours: {ratio.median:.2f} ({ratio.low:.2f}..{ratio.high:.2f}); "
            f"the same answer for {result.same:.1%}"
        )


def numbers(text: str) -> tuple[int, ...]:
    """`1,2` -> (1, 2); each once, in the order given."""
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise ValueError(f"--threads must be positive whole numbers such as 1,2, got {text!r}")
    return tuple(dict.fromkeys(int(part) for part in parts))


def interpreters(pairs: list[str]) -> dict[str, str]:
    """`["litert=/envs/litert/bin/python"]` -> {"litert": "/envs/litert/bin/python"}."""
    found = {}
    for pair in pairs:
        side, equals, path = pair.partition("=")
        if not (side and equals and path):
            raise ValueError(f"--python must be SIDE=PATH, got {pair!r}")
        found[side] = path
    return found


def show(result: "Comparison", threads: int) -> None:
    """A table for a person: the fastest first, and how far the engine is ahead."""
    from rich.box import SIMPLE
    from rich.table import Table

    title = f"{threads} thread{'s' if threads > 1 else ''}, {result.rounds} rounds"
    table = Table(title=title, title_justify="left", box=SIMPLE, pad_edge=False)
    table.add_column("side", overflow="fold")
    for column in ("median ms", "best ms", "ratio", "quartiles", "memory MB", "agreement"):
        table.add_column(column, justify="right", no_wrap=True)
    ratios = result.ratios()
    found = {name: of[threads] for name, of in result.sides.items() if threads in of}
    for name, one in sorted(found.items(), key=lambda item: item[1].median_ms):
        ratio = ratios.get(name, {}).get(threads)
        table.add_row(
            f"[bold]{name}[/]" if name == result.ours else name,
            f"{one.median_ms:.3f}",
            f"{one.best_ms:.3f}",
            f"{ratio.median:.2f}" if ratio else "",
            f"{ratio.low:.2f}..{ratio.high:.2f}" if ratio else "",
            f"{one.memory / 1e6:.1f}",
            "" if one.agreement is None else f"{one.agreement:.0e}",
        )
    out.print(table)
    ahead = result.ratio_to_best_peer(threads)
    if ahead is not None:
        out.print(f"best peer, {result.best_peer(threads)}, over ours: {ahead:.2f}")
