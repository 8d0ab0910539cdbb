"""`mobilenets profile`: what a network costs."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mobilenets.cli.additions import extended
from mobilenets.cli.console import out, print_json
from mobilenets.cli.console.tables import Column, Grid, show_table
from mobilenets.cli.costs import units
from mobilenets.cli.options import AsJson
from mobilenets.data.listing import count

if TYPE_CHECKING:
    from mobilenets.cost import Cost

Knob = dict[str, Any]


@extended("profile", before="padding")
def run(
    targets: Annotated[
        list[str],
        typer.Argument(metavar="NAME|FILE...", help="A network, or weights or ONNX in a file."),
    ],
    width: Annotated[
        str | None, typer.Option(metavar="W,...", help="Width multiplier, or several.")
    ] = None,
    resolution: Annotated[
        str | None, typer.Option(metavar="R|HxW,...", help="Pixels of the image, or several sizes.")
    ] = None,
    classes: Annotated[
        int | None, typer.Option(help="Outputs; of a detector, kinds of objects.")
    ] = None,
    output_stride: Annotated[int | None, typer.Option(help="8, 16 or 32.")] = None,
    padding: Annotated[str | None, typer.Option(help="same, symmetric or keras.")] = None,
    early_strides: Annotated[
        str | None, typer.Option(metavar="S,S", help="Of the stem and the next stage: 2,2.")
    ] = None,
    no_separable: Annotated[
        bool, typer.Option("--no-separable", help="V1: full convolutions.")
    ] = False,
    shallow: Annotated[bool, typer.Option("--shallow", help="V1: without five blocks.")] = False,
    expansion: Annotated[int | None, typer.Option(help="V2: expansion factor.")] = None,
    divisor: Annotated[int | None, typer.Option(help="V2: of channels, 8.")] = None,
    shortcut: Annotated[str | None, typer.Option(help="V2: bottleneck, expansion or none.")] = None,
    no_linear_bottleneck: Annotated[
        bool, typer.Option("--no-linear-bottleneck", help="V2: ReLU6 after a block.")
    ] = False,
    no_finegrained: Annotated[
        bool, typer.Option("--no-finegrained", help="V2: thinner end below width 1.")
    ] = False,
    bytes_per_element: Annotated[int, typer.Option(help="Of activations.")] = 4,
    layers: Annotated[bool, typer.Option("--layers", help="Every layer too.")] = False,
    json: AsJson = False,
    **options: Any,
) -> None:
    """Parameters, multiply-adds and bytes of activations of a network, without building it.

    NAME is a network (`mobilenets models` lists them) or a published checkpoint, and takes the
    options of its constructor. FILE is an ONNX file or weights of any kind that the package
    reads; it says everything itself but `--resolution`. Of several NAMES, widths or resolutions
    each combination is one row of a table, or an item of a list in JSON.

    Example: `mobilenets profile mobilenet_v2 --width 0.35,1.0 --resolution 96,224`
    """
    given: Knob = {
        "classes": classes,
        "output_stride": output_stride,
        "padding": padding,
        "early_strides": pair(early_strides, ",", "early-strides") if early_strides else None,
        "separable": False if no_separable else None,
        "shallow": shallow or None,
        "expansion": expansion,
        "divisor": divisor,
        "shortcut": shortcut,
        "linear_bottleneck": False if no_linear_bottleneck else None,
        "finegrained": False if no_finegrained else None,
    }
    knobs = {**{key: value for key, value in given.items() if value is not None}, **options}
    wanted = combinations(targets, knobs, width, resolution)
    if layers and len(wanted) > 1 and not json:
        raise ValueError(f"--layers is for one network or for --json, got {len(wanted)}")
    from mobilenets.cost import profile

    costs = [
        profile(target, resolution=size, bytes_per_element=bytes_per_element, **one)
        for target, one, size in wanted
    ]
    show_costs(costs, layers=layers, json=json)


def combinations(
    targets: list[str], knobs: Knob, width: str | None, resolution: str | None
) -> list[tuple[str, Knob, tuple[int, int] | None]]:
    """Each target with each width and each size: (target, knobs, (height, width))."""
    return [
        (target, {**knobs, **({} if one is None else {"width": one})}, size)
        for target in targets
        for one in ([None] if width is None else numbers(width))
        for size in ([None] if resolution is None else sizes(resolution))
    ]


def show_costs(costs: "list[Cost]", *, layers: bool, json: bool) -> None:
    """Print one cost in full, several as a table, or all as JSON."""
    if json:
        found = [cost.to_dict(layers=layers) for cost in costs]
        print_json(found if len(found) > 1 else found[0])
        return
    if len(costs) > 1:
        show_several(costs)
        return
    [cost] = costs
    show(cost)
    if layers:
        show_layers(cost)


def numbers(text: str) -> list[float]:
    """`0.35,0.5` -> [0.35, 0.5]; each once, in the order given."""
    try:
        return list(dict.fromkeys(float(part) for part in text.split(",")))
    except ValueError:
        raise ValueError(f"--width must be numbers such as 0.35,1.0, got {text!r}") from None


def sizes(text: str) -> list[tuple[int, int]]:
    """`96,128x224` -> [(96, 96), (128, 224)]; each once, in the order given."""
    return list(dict.fromkeys(pair(part, "x", "resolution") for part in text.split(",")))


def pair(text: str, separator: str, option: str) -> tuple[int, int]:
    """Two whole numbers, or one for both."""
    parts = text.lower().split(separator)
    if len(parts) > 2 or not all(part.strip().isdecimal() for part in parts):
        raise ValueError(
            f"--{option} must be a whole number or two such as 1{separator}2, got {text!r}"
        )
    return int(parts[0]), int(parts[-1])


def show(cost: "Cost") -> None:
    """The totals, and the parts of each kind of layer, for a person."""
    height, width = cost.resolution
    title = f"{cost.name}, {height} x {width}"
    if cost.arguments.get("multi_scale"):
        title += ", at six scales, each also mirrored"
    stored = cost.file_bytes.items()
    totals = [
        ("parameters", millions(cost.parameters), "with norms' gamma and beta"),
        ("  convolutions and FC", millions(cost.conv_fc), "weights and biases"),
        *([("  behind the body", millions(cost.head), "the head's own")] if cost.head else ()),
        *(
            (f"  a file as {form}", megabytes(size), "weights, norms folded")
            for form, size in stored
        ),
        ("multiply-adds", millions(cost.madds), "convolutions and FC, one image"),
        (
            "activations, all layers",
            megabytes(cost.output_bytes),
            f"{count(cost.bytes_per_element, 'byte', 'bytes')} a value",
        ),
        ("  alive at once", megabytes(cost.peak_bytes), "layer by layer"),
        ("  alive at once", megabytes(cost.peak_fused_bytes), "a block is one operation"),
    ]
    columns = [Column(""), Column("", figures=True), Column("")]
    show_table(Grid(columns, totals), title=title, heading=False)
    parts = [
        (kind, f"{madds:.2%}", f"{parameters:.2%}")
        for kind, (madds, parameters) in cost.shares().items()
    ]
    columns = [Column("layers"), Column("multiply-adds", figures=True)]
    columns += [Column("parameters", figures=True)]
    show_table(Grid(columns, parts), title="Where it goes", apart=True)


def show_several(costs: "list[Cost]") -> None:
    """A row for each, with the sizes of its file and what is alive at once."""
    columns = [
        Column("network"),
        Column("width", figures=True),
        Column("pixels", figures=True),
        Column("params", figures=True),
        Column("madds", figures=True),
        Column("f32", figures=True, spare=1),
        Column("f16", figures=True, spare=4),
        Column("int8", figures=True, spare=3),
        Column("peak", figures=True, spare=2),
    ]
    rows = []
    for cost in costs:
        height, across = cost.resolution
        stored = cost.file_bytes
        cells = (
            cost.name,
            f"{cost.arguments['width']:g}" if "width" in cost.arguments else "",
            str(height) if height == across else f"{height}x{across}",
            units.millions(cost.parameters),
            units.millions(cost.madds),
            *(units.millions(stored[form]) for form in ("float32", "float16", "int8")),
            units.millions(cost.peak_bytes),
        )
        rows.append(cells)
    show_table(Grid(columns, rows, once=True))
    if out.is_terminal:
        out.line(
            "params and madds in millions; MB of a file as float32, float16 and int8; "
            "peak: MB of activations alive at once, layer by layer"
        )


def show_layers(cost: "Cost") -> None:
    """One row per layer; beside its kind, its stride and its atrous rate where they are not 1."""
    columns = [
        Column("layer"),
        Column("kind"),
        Column("output", figures=True, spare=2),
        Column("params", figures=True),
        Column("M madds", figures=True),
        Column("kB", figures=True, spare=1),
    ]
    rows = [
        (
            layer.name.replace("backbone.", "", 1),
            layer.kind
            + (f" /{layer.stride}" if layer.stride > 1 else "")
            + (f" r{layer.dilation}" if layer.dilation > 1 else ""),
            "x".join(map(str, layer.output)),
            f"{layer.parameters + layer.norm:,}",
            f"{layer.madds / 1e6:.2f}",
            f"{cost.bytes_of(layer.output) / 1e3:.1f}",
        )
        for layer in cost.layers
    ]
    show_table(Grid(columns, rows), title="Layers", apart=True)


def millions(count: int) -> str:
    """A count in words: `3.50 M`."""
    return f"{count / 1e6:.2f} M"


def megabytes(count: int) -> str:
    """Bytes in words, in millions: `6.02 MB`."""
    return f"{count / 1e6:.2f} MB"
