"""The engine's arena over the steps of a network, as a picture: docs/images/engine-arena.png.

    mobilenets export mobilenet_v2 -o mobilenet_v2.onnx
    python bench/arena_picture.py mobilenet_v2.onnx

Nothing is compiled or run: the plan is drawn as `mobilenets.engine.plan.program.prepare` makes it.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from mobilenets.engine.front.read import read_graph
from mobilenets.engine.plan.program import Program, prepare, unfused_bytes
from mobilenets.engine.plan.schedule import Schedule
from mobilenets.engine.targets.host import host
from mobilenets.files import replace_file

KILO = 4e-3  # kB of a float
COLOURS = {"scratch": "#e8a33d", "map": "#4c78a8"}


class Held(NamedTuple):
    """A buffer: floats from `at`, needed from step `first` to step `last`."""

    kind: str
    first: int
    last: int
    at: int
    size: int


def held(program: Program) -> list[Held]:
    """The arena's buffers with their lives."""
    found = []
    offsets = program.plan.offsets
    lives: dict[str, list[int]] = {}
    for index, entry in enumerate(program.entries):
        step = entry.step
        for name in (*step.inputs, step.output):
            lives.setdefault(program.roots.get(name, (name, 0))[0], []).append(index)
        scratch = f"scratch of {step.name}"
        if scratch in offsets:
            size = step.scratch(program.target)
            found.append(Held("scratch", index, index, offsets[scratch], size))
    for name, steps in lives.items():
        if name in offsets:
            size = program.lowered.sizes[name]
            found.append(Held("map", min(steps), max(steps), offsets[name], size))
    return found


def label(program: Program, index: int) -> str:
    """A step in a few characters: how it runs, and what it makes."""
    entry = program.entries[index]
    kind = f"{len(entry.names)} as one" if len(entry.names) > 1 else entry.step.kind
    return f"{kind}\n{'x'.join(map(str, entry.target[1:]))}"


def draw(axes: Axes, program: Program, unfused: int) -> None:
    """Time to the right, addresses upwards."""
    for one in held(program):
        width, height = one.last - one.first + 1, one.size * KILO
        corner = (one.first - 0.5, one.at * KILO)
        axes.add_patch(Rectangle(corner, width, height, fc=COLOURS[one.kind], ec="white", lw=1))
    whole = program.arena_bytes / 1e3
    axes.axhline(whole, color="#555555", lw=1, ls="--")
    count = len(program.entries)
    axes.set(xlim=(-0.5, count - 0.5), ylim=(0, whole * 1.12), ylabel="kB from the arena's start")
    text = f"arena: {whole:.0f} kB; layer by layer it would be {unfused / 1e3:.0f} kB"
    axes.text(count - 0.6, whole * 1.02, text, ha="right", va="bottom", color="#333333")
    names = [label(program, i) for i in range(count)]
    axes.set_xticks(range(count), names, rotation=90, fontsize=8)
    handles = [Rectangle((0, 0), 1, 1, fc=colour) for colour in COLOURS.values()]
    words = ["scratch: rings, groups, partial sums", "maps between steps"]
    axes.legend(handles, words, loc=(0.5, 0.6))
    axes.spines[["top", "right"]].set_visible(False)


def main() -> None:
    """Read the file, plan, draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("model", type=Path, help="an .onnx file")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("docs/images/engine-arena.png"))
    given = parser.parse_args()
    mpl.use("Agg")
    from matplotlib import pyplot

    graph = read_graph(given.model)
    program = prepare(graph, host(), given.threads, Schedule())
    figure, axes = pyplot.subplots(figsize=(9, 4.6), layout="constrained")
    draw(axes, program, unfused_bytes(graph))
    given.output.parent.mkdir(parents=True, exist_ok=True)
    replace_file(given.output, lambda path: figure.savefig(path, format="png", dpi=110))


if __name__ == "__main__":
    main()
