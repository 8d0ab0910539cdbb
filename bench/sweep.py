"""The engine and its peers on the 16 configurations of V1 and the 22 of V2 that were released.

    python bench/sweep.py --python litert=ENV/bin/python --python executorch=ENV/bin/python

Measures each as `mobilenets bench` does, with random weights; accuracies are the publishers'.
Writes engine-sweep.md and images/engine-sweep.png in the folder `--output`, and prints the
geometric mean of the best peer's median over ours. What is finished is in the JSON file `--kept`:
started again, it goes on with the rest, and measures anew what lacks a side or a number of threads.
"""

import argparse
import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mobilenets.bench.compare import BenchPlan, compare
from mobilenets.bench.sides import OURS
from mobilenets.cli.bench import interpreters, numbers
from mobilenets.files import replace_file
from mobilenets.weights.published import PUBLISHED, Published

AGAINST = "onnxruntime,litert,openvino,executorch"
Found = Mapping[str, dict[str, Any]]
"""A configuration's name -> what `Comparison.to_dict` gave."""


def configurations(only: str = "") -> dict[str, Published]:
    """The 38 by name, `mobilenet_v2_1.0_224`; those whose name begins with `only`."""
    google = [found for found in PUBLISHED.values() if found.name.endswith(".google")]
    names = {found.name.removesuffix(".google"): found for found in google}
    return {name: found for name, found in names.items() if name.startswith(only)}


def complete(found: dict[str, Any], plan: BenchPlan) -> bool:
    """Whether our side and every side that was not left out ran at every number of threads."""
    sides, out = found["sides"], {one["side"] for one in found["skipped"]}
    wanted = {plan.ours} | ({*plan.against} - out)
    return all(str(n) in sides.get(name, {}) for name in wanted for n in plan.threads)


def measure(plan: BenchPlan, kept: Path, only: str) -> Found:
    """Every configuration, those that are in the file `kept` from there."""
    found: dict[str, dict[str, Any]] = json.loads(kept.read_text()) if kept.exists() else {}
    for name, one in configurations(only).items():
        if name not in found or not complete(found[name], plan):
            result = compare(
                one.architecture, plan, resolution=one.resolution, knobs={"width": one.width}
            )
            found[name] = result.to_dict()
            text = json.dumps(found, indent=1)
            replace_file(kept, lambda path, text=text: path.write_text(text))
        ratios = found[name]["ratio_to_best_peer"]
        print(name, {n: r and round(r, 3) for n, r in ratios.items()}, flush=True)
        for left in found[name]["skipped"]:
            print(f"  left out: {left['side']}: {left['reason']}", flush=True)
    return {name: found[name] for name in configurations(only)}


def geometric_mean(found: Found, threads: int) -> float | None:
    """Of the best peer's median over ours; None where nothing has both."""
    ratios = [one["ratio_to_best_peer"].get(str(threads)) for one in found.values()]
    known = [ratio for ratio in ratios if ratio is not None]
    return statistics.geometric_mean(known) if known else None


def table(found: Found, threads: int, peers: tuple[str, ...]) -> str:
    """Markdown: one row per configuration, medians in milliseconds."""
    titles = ["Network", "Top-1 %", *(OURS, *peers), "best peer / ours", "memory MB, ours / best"]
    lines = ["| " + " | ".join(titles) + " |", "|---" + "|---:" * (len(titles) - 1) + "|"]
    for name, one in found.items():
        sides = {side: of.get(str(threads)) for side, of in one["sides"].items()}
        cells = [milliseconds(sides.get(side)) for side in (OURS, *peers)]
        ratio = one["ratio_to_best_peer"].get(str(threads))
        memory = [of["memory_mb"] for side, of in sides.items() if of and side != OURS]
        ours = sides.get(OURS)
        row = [
            name,
            accuracy(name),
            *cells,
            f"{ratio:.2f}" if ratio else "",
            f"{ours['memory_mb']:.1f} / {min(memory):.1f}" if ours and memory else "",
        ]
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def milliseconds(side: dict[str, Any] | None) -> str:
    """A side's median, if it ran."""
    return f"{side['median_ms']:.3f}" if side else ""


def accuracy(name: str) -> str:
    """What its publisher states, in percent."""
    top1 = PUBLISHED[f"{name}.google"].top1
    return "" if top1 is None else f"{top1 * 100:.1f}"


def page(found: Found, plan: BenchPlan) -> str:
    """The whole page."""
    first = next(iter(found.values()))
    machine = first["machine"]
    versions = {
        side: one["version"]
        for side, of in first["sides"].items()
        for one in of.values()
        if one["version"] and side != OURS
    }
    parts = [
        "# All released configurations\n\nWritten by `bench/sweep.py`, measured as "
        "[bench.md](bench.md) says. "
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}; "
        f"float32, batch 1, {first['rounds']} rounds, medians in milliseconds. "
        + ", ".join(f"{side} {version}" for side, version in versions.items())
        + ". Accuracy is ImageNet top-1 as Google published it.\n\n"
        "![latency against accuracy](images/engine-sweep.png)"
    ]
    for threads in plan.threads:
        mean = geometric_mean(found, threads)
        said = "" if mean is None else f" Geometric mean of best peer / ours: {mean:.2f}."
        parts.append(
            f"## {threads} thread{'s' if threads > 1 else ''}\n\n{len(found)} networks.{said}"
        )
        parts.append(table(found, threads, plan.against))
    return "\n\n".join(parts) + "\n"


def points(found: Found, threads: int, ours: bool) -> dict[str, list[tuple[float, float]]]:
    """Network -> (milliseconds, top-1 %) of our side, or of the best peer."""
    made: dict[str, list[tuple[float, float]]] = {}
    for name, one in found.items():
        published = PUBLISHED[f"{name}.google"]
        side = OURS if ours else one["best_peer"].get(str(threads))
        at = one["sides"].get(side, {}).get(str(threads))
        if at and published.top1 is not None:
            point = (at["median_ms"], published.top1 * 100)
            made.setdefault(published.architecture, []).append(point)
    return made


def draw(found: Found, threads: int, path: Path) -> None:
    """Latency against accuracy, ours and the best peer's; a line joins each network's two."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter, NullFormatter

    figure, axes = pyplot.subplots(figsize=(7.2, 4.6), layout="constrained")
    ours, best = points(found, threads, ours=True), points(found, threads, ours=False)
    for network, there in best.items():
        for (x, y), (z, _) in zip(ours.get(network, []), there, strict=False):
            axes.plot([x, z], [y, y], color="0.8", linewidth=1, zorder=1)
    for of, colour, label in ((ours, "#1f5fbf", "mobilenets"), (best, "#d9822b", "best peer")):
        for network, marker in (("mobilenet_v1", "o"), ("mobilenet_v2", "^")):
            if network in of:
                x, y = zip(*of[network], strict=True)
                name = f"{label}, V{network[-1]}"
                axes.scatter(x, y, s=26, color=colour, marker=marker, label=name, zorder=2)
    axes.set_xscale("log")
    axes.set_xticks([0.2, 0.5, 1, 2, 5, 10])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(f"milliseconds, batch 1, {threads} thread{'s' if threads > 1 else ''}")
    axes.set_ylabel("ImageNet top-1, %")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", default="1", help="numbers of threads, 1,2")
    parser.add_argument("--against", default=AGAINST, help="sides, with commas between them")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--python", action="append", default=[], metavar="SIDE=PATH")
    parser.add_argument("--only", default="", help="names that begin so: mobilenet_v2_1.0")
    parser.add_argument("--kept", type=Path, default=Path("engine-sweep.json"))
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "docs")
    options = parser.parse_args()
    plan = BenchPlan(
        threads=numbers(options.threads),
        against=tuple(options.against.split(",")),
        rounds=options.rounds,
        pythons=interpreters(options.python),
    )
    found = measure(plan, options.kept, options.only)
    if not found:
        parser.error(f"--only must begin a name such as mobilenet_v2_1.0_224, got {options.only!r}")
    options.output.mkdir(parents=True, exist_ok=True)
    text = page(found, plan)
    replace_file(options.output / "engine-sweep.md", lambda path: path.write_text(text))
    draw(found, plan.threads[0], options.output / "images" / "engine-sweep.png")
    for threads in plan.threads:
        mean = geometric_mean(found, threads)
        print(f"{threads} threads, geometric mean of best peer / ours: {mean and round(mean, 3)}")


if __name__ == "__main__":
    main()
