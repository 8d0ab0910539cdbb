"""Peak memory of `predict` and `eval` of many images: it does not grow with their number.

Makes the images (one file under many names), runs a command in a process of its own, and prints
the peak of its resident memory. `masks`: predict --json of a segmentation network, on 2 megapixels.
`boxes`: eval of a detector. `classes`: predict --json and eval of a classifier, on 12 megapixels.
Example: `python bench/memory.py masks boxes --images 100 1000`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from mobilenets.export import export_onnx
from mobilenets.export.source import open_source
from mobilenets.runtime.labels import coco_labels

SIDES = {"masks": (1600, 1200), "boxes": (320, 240), "classes": (4000, 3000)}
NETWORKS = {
    "classes": ("mobilenet_v2", {"width": 0.35, "classes": 10}, 96),
    "masks": ("deeplabv3_mobilenet_v2", {"width": 0.35, "classes": 21}, 129),
    "boxes": ("ssdlite_mobilenet_v2", {"width": 0.35, "classes": 80}, 96),
}
COMMANDS = {"masks": ("predict",), "boxes": ("eval",), "classes": ("predict", "eval")}
PEAK = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:], stdout=open("/dev/null", "wb")).returncode
print(status, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
"""


def write_images(folder: Path, count: int, what: str) -> None:
    """One photograph under `count` names; for `boxes` seven objects in each, as YOLO has them."""
    random = np.random.default_rng(0)
    small = Image.fromarray(random.integers(0, 255, (12, 16, 3), np.uint8))
    parts = [f"class {i}" for i in range(10)] if what == "classes" else ["images"]
    for part in parts:
        (folder / part).mkdir(parents=True)
    first = folder / parts[0] / "0.jpg"
    small.resize(SIDES[what], Image.Resampling.BICUBIC).save(first)
    for i in range(1, count):
        os.link(first, folder / parts[i % len(parts)] / f"{i}.jpg")
    if what == "boxes":
        (folder / "labels").mkdir()
        names = list(coco_labels(80))
        (folder / "data.yaml").write_text(f"names: {json.dumps(names)}\n")
        for i in range(count):
            rows = np.column_stack([random.integers(0, 80, 7), random.uniform(0.3, 0.6, (7, 4))])
            text = "".join(
                f"{int(row[0])} {' '.join(f'{v:.4f}' for v in row[1:])}\n" for row in rows
            )
            (folder / "labels" / f"{i}.txt").write_text(text)


def measure(command: list[str]) -> tuple[float, float]:
    """The peak of a command's resident memory in MB, and its seconds."""
    began = time.monotonic()
    call = [sys.executable, "-c", PEAK, sys.executable, "-m", "mobilenets", *command]
    ran = subprocess.run(call, check=True, capture_output=True, text=True)
    status, peak = ran.stdout.split()
    if status != "0":
        raise SystemExit(ran.stderr)
    return float(peak), time.monotonic() - began


def main() -> None:
    """Make, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", nargs="+", choices=list(NETWORKS))
    parser.add_argument("--images", type=int, nargs="+", default=[100, 1000])
    options = parser.parse_args()
    for what in options.what:
        with tempfile.TemporaryDirectory() as place:
            name, knobs, size = NETWORKS[what]
            model = Path(place) / "model.onnx"
            export_onnx(open_source(name, resolution=size, knobs=knobs), model)
            for count in options.images:
                data = Path(place) / str(count)
                write_images(data, count, what)
                for command in COMMANDS[what]:
                    part = ["--split", "all"] if command == "eval" else []
                    peak, seconds = measure([command, str(model), str(data), *part, "--json"])
                    line = f"{what}, {command} of {count:,} images: {peak:.0f} MB at most"
                    print(f"{line}, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
