"""`mobilenets bench`: the engine beside the runtimes that people use."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mobilenets.cli import knobs
from mobilenets.cli.additions import extended
from mobilenets.cli.console import out, print_json, progress, say
from mobilenets.cli.console.tables import Column, Grid, show_table
from mobilenets.cli.options import AsJson, ClassesOfName, KnobsOfName, Resolution, WidthOfName
from mobilenets.data.listing import count

if TYPE_CHECKING:
    from mobilenets.bench.figures import Comparison
    from mobilenets.bench.photos.compare import FromFiles


@extended("bench", before="rounds")
def run(
    source: Annotated[
        str,
        typer.Argument(metavar="NAME|WEIGHTS|FILE", help="A network; weights; .onnx or .tflite."),
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
    beyond the libraries. A .tflite file is run as it is, by the engine and by litert.

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
    reasons: dict[str, list[str]] = {}
    for one in result.skipped:
        which = "" if one.threads is None else f" on {one.threads}"
        reasons.setdefault(one.reason, []).append(f"{one.side}{which}")
    for reason, sides in reasons.items():
        say(f"left out: {', '.join(sides)}: {reason}")
    if json:
        print_json(result.to_dict())
    else:
        for i, threads_used in enumerate(result.threads()):
            show(result, threads_used, apart=i > 0)
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
        of = count(result.images, "image", "images")
        say(f"left out: {result.unread} of {of} could not be read")
    if json:
        print_json(result.to_dict())
    else:
        show_files(result)


def show_files(result: "FromFiles") -> None:
    """A table for a person: each side's time for an image, and how far we are ahead."""
    rounds = len(next(iter(result.passes.values())))
    columns = [
        Column("side"),
        Column("ms an image", figures=True),
        Column("images a second", figures=True, spare=2),
        Column("processor ms", figures=True, spare=1),
    ]
    taken = {side: result.per_image_ms(side) for side in result.passes}
    rows = [
        (side, f"{ms:.3f}", f"{1e3 / ms:.1f}", f"{result.processor_ms(side):.3f}")
        for side, ms in taken.items()
    ]
    show_table(Grid(columns, rows), title=title_of(result.threads, rounds, result.images))
    ratio = result.ratio()
    if ratio is not None:
        out.line(
            f"the plain program over ours: {ratio.median:.2f} ({ratio.low:.2f}..{ratio.high:.2f}); "
            f"the same answer for {result.same:.1%}"
        )


def title_of(threads: int, rounds: int, images: int | None = None) -> str:
    """What a table was measured with: `500 images, 1 thread, 30 rounds`."""
    parts = [count(threads, "thread", "threads"), count(rounds, "round", "rounds")]
    return ", ".join([count(images, "image", "images"), *parts] if images else parts)


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


def show(result: "Comparison", threads: int, *, apart: bool = False) -> None:
    """A table for a person: the fastest first, and how far the engine is ahead."""
    columns = [
        Column("side"),
        Column("median ms", figures=True),
        Column("best ms", figures=True, spare=2),
        Column("ratio", figures=True),
        Column("quartiles", figures=True, spare=1),
        Column("memory MB", figures=True, spare=3),
        Column("agreement", figures=True, spare=4),
    ]
    ratios = result.ratios()
    found = {name: of[threads] for name, of in result.sides.items() if threads in of}
    names = sorted(found, key=lambda name: found[name].median_ms)
    rows = []
    for name in names:
        one, ratio = found[name], ratios.get(name, {}).get(threads)
        rows.append(
            (
                name,
                f"{one.median_ms:.3f}",
                f"{one.best_ms:.3f}",
                f"{ratio.median:.2f}" if ratio else "",
                f"{ratio.low:.2f}..{ratio.high:.2f}" if ratio else "",
                f"{one.memory / 1e6:.1f}",
                "" if one.agreement is None else f"{one.agreement:.0e}",
            )
        )
    strong = [i for i, name in enumerate(names) if name == result.ours]
    show_table(Grid(columns, rows, strong), title=title_of(threads, result.rounds), apart=apart)
    ahead = result.ratio_to_best_peer(threads)
    if ahead is not None:
        out.line(f"best peer, {result.best_peer(threads)}, over ours: {ahead:.2f}")
