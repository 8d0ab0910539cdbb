"""The demo on several seeds: a table of what each reached, and the spread.

    python bench/demo_seeds.py --seeds 0,1,2,3,4 --output runs/demo-seeds

Runs `mobilenets demo --seed N --json` one after the other, with the Python that runs this: another
torch release is another environment. Training seconds are those of the use that took longest,
since all train side by side; processor seconds are of the whole demo, in all its processes:
they tell two versions apart also where the machine has other work.
"""

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path

import torch

from mobilenets.tasks.registry import with_part

METRICS = {task.name: task.demo.DEMO.metric for task in with_part("demo")}


def main() -> None:
    """Run, print a row for each seed, and the spread."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--output", type=Path, default=Path("runs/demo-seeds"))
    options = parser.parse_args()
    print(f"torch {torch.__version__}\n")
    names = " | ".join(METRICS.values())
    print(f"| Seed | {names} | training, s | all, s | processor, s |")
    print("|---" * (len(METRICS) + 4) + "|")
    found = []
    for seed in options.seeds.split(","):
        command = [sys.executable, "-m", "mobilenets", "demo", "--seed", seed, "--json"]
        command += ["--output", str(options.output / seed)]
        before = processor_seconds()
        # One that fails has its row too.
        ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        told = json.loads(ran.stdout)
        values = [told[task][metric] for task, metric in METRICS.items()]
        seconds = max(told[task]["training_seconds"] for task in METRICS)
        found.append(values)
        cells = [seed, *(f"{value:.3f}" for value in values), f"{seconds:.0f}"]
        cells += [f"{told['seconds']:.0f}", f"{processor_seconds() - before:.0f}"]
        print(f"| {' | '.join(cells)} |", flush=True)
    spread = [max(column) - min(column) for column in zip(*found, strict=True)]
    print(f"| spread | {' | '.join(f'{value:.3f}' for value in spread)} | | | |")


def processor_seconds() -> float:
    """Of all processes that this one started and that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
