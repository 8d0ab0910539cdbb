r"""What a student loses of its teacher, by width and size: paper 1's Table 12 on your own images.

    python bench/students.py TEACHER --unlabelled photos --data list.csv --output runs/students
    python bench/students.py runs/faces/run/best.safetensors --unlabelled runs/faces/unlabelled \
        --data runs/faces/faces.csv --output runs/students \
        --from 0.25=mobilenet_v1_0.25_128_quant.tflite

One student for each width and size, of V1 unless `--model` names another network of the teacher's
use. Each learns the teacher's outputs on the images in `--unlabelled`, no label, picks its best
epoch by agreement with the teacher, and is exported. Then it is measured as its file on the engine:
quality on the test part of `--data`, else on the part that training would hold out; multiply-adds;
and the median time of one image on one thread. Prints a table, and writes it with the picture to
`students.md`, `students.json` and `students.png`. Started again, it goes on with what is missing.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import mobilenets
from mobilenets.cli.knobs import parse
from mobilenets.data.dataset import Dataset
from mobilenets.errors import DataError
from mobilenets.evaluation import evaluate
from mobilenets.export import export_onnx
from mobilenets.files import replace_file
from mobilenets.tasks.registry import task_for, task_of
from mobilenets.tasks.task import Task
from mobilenets.training.run import Plan, train
from mobilenets.training.state import NAME as STATE

WIDTHS, SIDES = (1.0, 0.5, 0.25), (224, 128)
"""Those of the paper's table."""
TIMED, WARM = 30, 5
Row = dict[str, Any]


def measured_part(task: Task, data: str) -> Dataset:
    """The test part, which no training sees; where there is none, what it would hold out."""
    try:
        return task.data.open_data(data, "test")
    except DataError:
        return task.data.open_data(data, "eval")


def milliseconds(file: Path) -> float:
    """The median time of one image on the engine, one thread."""
    session = mobilenets.open_session(file, threads=1, runtime="mobilenets")
    height, width = session.card.preprocessing.size
    batch = np.random.default_rng(0).normal(size=(1, 3, height, width)).astype(np.float32)
    times = []
    for _ in range(WARM + TIMED):
        began = time.perf_counter()
        session(batch)
        times.append(time.perf_counter() - began)
    return 1000 * statistics.median(times[WARM:])


def measure(checkpoint: Path, file: Path, data: str) -> Row:
    """Export a network, and what its file gives."""
    model = mobilenets.load(checkpoint)
    export_onnx(model, file)
    session = mobilenets.open_session(file, runtime="mobilenets", many=True)
    task = task_of(session.card)
    results = evaluate(session, measured_part(task, data), task).results
    side = session.card.preprocessing.size[0]
    cost = mobilenets.profile(model.card.architecture, resolution=side, **model.card.arguments)
    return {
        "resolution": side,
        "madds": cost.madds,
        "parameters": cost.parameters,
        "ms": milliseconds(file),
        "metric": task.measure.METRIC.name,
        "quality": results[task.measure.METRIC.name],
        "images": results["images"],
    }


def student(
    given: argparse.Namespace, width: float, side: int, weights: str | None, folder: Path
) -> Row:
    """Train one, or go on with it, and measure it."""
    plan = Plan(given.model, weights, side, {"width": width}, given.teacher, given.unlabelled)
    changes = parse(given.set, "set") | ({"epochs": given.epochs} if given.epochs else {})
    resume = (folder / STATE).exists()
    result = train(plan, None, changes=changes, output=folder, resume=resume, workers=0, say=print)
    row = measure(result.checkpoint, folder / "student.onnx", given.data)
    return {"width": width, **row, "agreement": result.best["agreement"]}


def table(teacher: Row, rows: Sequence[Row]) -> str:
    """All of it as Markdown."""
    metric = teacher["metric"]
    lines = [
        f"| Network | {metric} | of the teacher | M multiply-adds | M parameters | ms |",
        "|---|---|---|---|---|---|",
    ]
    for row in (teacher, *rows):
        name = f"{row['width']:g}-{row['resolution']}" if "width" in row else "teacher"
        lost = row["quality"] - teacher["quality"]
        lines.append(
            f"| {name} | {row['quality']:.3f} | {lost:+.3f} | {row['madds'] / 1e6:.0f} | "
            f"{row['parameters'] / 1e6:.2f} | {row['ms']:.2f} |"
        )
    return "\n".join(lines) + "\n"


def picture(teacher: Row, rows: Sequence[Row]) -> Figure:
    """Quality against multiply-adds, and against the time of an image."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    for axes, (key, scale, words) in zip(
        figure.subplots(1, 2, sharey=True),
        (("madds", 1e6, "million multiply-adds"), ("ms", 1.0, "ms an image, one thread")),
        strict=True,
    ):
        for side in sorted({row["resolution"] for row in rows}):
            own = sorted((row for row in rows if row["resolution"] == side), key=lambda r: r[key])
            axes.plot(
                [row[key] / scale for row in own],
                [row["quality"] for row in own],
                marker="o",
                label=f"students, {side} pixels",
            )
            for row in own:
                place = (row[key] / scale, row["quality"])
                axes.annotate(f"{row['width']:g}", place, (3, 4), textcoords="offset points")
        axes.plot(teacher[key] / scale, teacher["quality"], "k*", markersize=11, label="teacher")
        axes.axhline(teacher["quality"], color="grey", linewidth=0.8, linestyle="--")
        axes.set_xscale("log")
        axes.set_xlabel(words)
    figure.axes[0].set_ylabel(f"{teacher['metric']} on {teacher['images']} images")
    figure.axes[0].legend()
    return figure


def numbers(text: str, kind: type) -> list[Any]:
    """Values with commas between them."""
    return [kind(one) for one in text.split(",")]


def main() -> None:
    """The teacher and every student, a table and a picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("teacher")
    parser.add_argument("--unlabelled", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--model", help="the V1 network of the teacher's use if not given")
    parser.add_argument("--widths", default=",".join(map(str, WIDTHS)))
    parser.add_argument("--resolutions", default=",".join(map(str, SIDES)))
    parser.add_argument("--from", dest="start", action="append", metavar="WIDTH=WEIGHTS")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--set", action="append", metavar="NAME=VALUE")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    teacher_card = mobilenets.load(given.teacher).card
    task = task_for(teacher_card.architecture)
    given.model = given.model or next(iter(task.architecture.NETWORKS))
    starts = {
        float(width): path for width, _, path in (one.partition("=") for one in given.start or ())
    }
    kept = given.output / "students.json"
    found: dict[str, Row] = json.loads(kept.read_text("utf-8")) if kept.exists() else {}

    def keep(name: str, row: Row) -> None:
        found[name] = row
        text = json.dumps(found, indent=1) + "\n"
        replace_file(kept, lambda file: file.write_text(text, "utf-8"))

    if "teacher" not in found:
        keep("teacher", measure(Path(given.teacher), given.output / "teacher.onnx", given.data))
    for side in numbers(given.resolutions, int):
        for width in numbers(given.widths, float):
            name = f"{width:g}-{side}"
            if name not in found:
                folder = given.output / name
                keep(name, student(given, width, side, starts.get(width), folder))
            print(f"{name}: {found[name]['quality']:.3f}", flush=True)
    rows = [row for name, row in found.items() if name != "teacher"]
    text = table(found["teacher"], rows)
    print(text)
    replace_file(given.output / "students.md", lambda file: file.write_text(text, "utf-8"))
    figure = picture(found["teacher"], rows)
    replace_file(
        given.output / "students.png", lambda file: figure.savefig(file, format="png", dpi=130)
    )


if __name__ == "__main__":
    main()
