"""The LLVM text that the engine writes for many networks, as digests: is it the same as before?

    python bench/llvm_text.py -o before.json          # at the commit before a change
    python bench/llvm_text.py --against before.json   # after it

The 38 released configurations, SSDLite at 320 and Mobile DeepLabv3 at 513, each for every target
that the engine knows, on one thread and on two. The text is what LLVM is given, before it
optimises. Nothing is compiled or run, so every target can be compared on any machine. A change that
only moves code must give the same text byte for byte; one that means to change kernels shows here
which networks and targets it reaches.

Networks are exported once, with torch and random weights of a fixed seed, to the folder `--models`,
and read from there ever after: both sides must be given the same files. Exit status 1 where a text
differs or is missing on one side.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from rich.progress import Progress
from sweep import configurations

from mobilenets.engine.codegen.network import generate
from mobilenets.engine.front.read import read_graph
from mobilenets.engine.plan.program import prepare
from mobilenets.engine.plan.schedule import Schedule
from mobilenets.engine.targets.host import TARGETS
from mobilenets.files import replace_file

THREADS = (1, 2)
SEED = 0


def networks() -> dict[str, tuple[str, int, dict[str, float]]]:
    """File's name -> (name in the zoo, pixels along a side, arguments of its constructor)."""
    found: dict[str, tuple[str, int, dict[str, float]]] = {
        name: (one.architecture, one.resolution, {"width": one.width})
        for name, one in configurations().items()
    }
    found["ssdlite_mobilenet_v2_320"] = ("ssdlite_mobilenet_v2", 320, {})
    found["deeplabv3_mobilenet_v2_513"] = ("deeplabv3_mobilenet_v2", 513, {})
    return found


def export(path: Path, name: str, resolution: int, knobs: dict[str, float]) -> None:
    """Write a network with random weights; the file is whole or not there."""
    import torch

    from mobilenets.export import export_onnx
    from mobilenets.export.source import open_source

    torch.manual_seed(SEED)
    export_onnx(open_source(name, resolution=resolution, knobs=dict(knobs)), path)


def digests(path: Path) -> Iterator[tuple[str, str]]:
    """(what is compiled, SHA-256 of its LLVM text) for one file, each target and thread count."""
    graph = read_graph(path)
    for target in TARGETS.values():
        for threads in THREADS:
            text = generate(prepare(graph, target, threads, Schedule()))
            what = f"{path.stem} {target.name} {threads}"
            yield what, hashlib.sha256(text.encode()).hexdigest()


def measure(folder: Path) -> dict[str, str]:
    """What is compiled -> digest, for all networks; those not in `folder` are exported first."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = networks()
    found: dict[str, str] = {}
    with Progress() as bar:
        task = bar.add_task("", total=len(wanted))
        for name, given in wanted.items():
            path = folder / f"{name}.onnx"
            if not path.exists():
                bar.update(task, description=f"exporting {name}")
                export(path, *given)
            bar.update(task, description=name)
            found.update(digests(path))
            bar.advance(task)
    return found


def differences(found: Mapping[str, str], before: Mapping[str, str]) -> list[str]:
    """A line for each text that is not the same, or that one side lacks."""
    lines = [f"differs: {what}" for what in found if before.get(what, found[what]) != found[what]]
    lines += [f"only now: {what}" for what in found if what not in before]
    lines += [f"only before: {what}" for what in before if what not in found]
    return lines


def main() -> None:
    """Make the digests, write or compare them, print what is to be said."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("-o", "--output", type=Path, help="a JSON file for the digests")
    parser.add_argument("--against", type=Path, help="the file to compare with")
    parser.add_argument(
        "--models", type=Path, default=Path("llvm-models"), help="where the .onnx files are kept"
    )
    given = parser.parse_args()
    if not (given.output or given.against):
        parser.error("--output or --against must be given")
    before = json.loads(given.against.read_text()) if given.against else None
    found = measure(given.models)
    if given.output:
        text = json.dumps(found, indent=1) + "\n"
        replace_file(given.output, lambda path: path.write_text(text))
        print(f"{len(found)} texts of {len(networks())} networks: {given.output}")
    if before is not None:
        lines = differences(found, before)
        print("\n".join([*lines, f"{len(found)} texts compared, {len(lines)} differ"]))
        sys.exit(bool(lines))


if __name__ == "__main__":
    main()
