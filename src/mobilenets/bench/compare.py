"""A comparison from beginning to end: lay out, convert, take turns."""

import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mobilenets.bench.convert import NOTHING, ONNX, TFLITE
from mobilenets.bench.figures import Comparison, Skipped
from mobilenets.bench.processes import Process, SideError
from mobilenets.bench.sides import OURS, PEERS, find
from mobilenets.bench.source import lay_out
from mobilenets.bench.turns import Turns, why
from mobilenets.processors import processors


@dataclass(frozen=True)
class BenchPlan:
    """Who is compared, and for how long."""

    threads: tuple[int, ...] = (1,)
    against: tuple[str, ...] = PEERS
    """Names of sides, or `module:ATTRIBUTE` for one of your own."""
    rounds: int = 30
    turn: float = 0.05
    """Seconds that a side runs for in a round, about."""
    pythons: Mapping[str, str] = field(default_factory=dict)
    """Sides that run under another interpreter, which has their libraries -> its path."""
    ours: str = OURS

    def __post_init__(self) -> None:
        if not self.threads or min(self.threads) < 1:
            raise ValueError(f"threads must be positive integers, got {list(self.threads)}")
        if self.rounds < 1:
            raise ValueError(f"rounds must be a positive integer, got {self.rounds}")
        for name in (*self.against, *self.pythons):
            find(name)

    @property
    def sides(self) -> list[str]:
        """All of them, ours first, each once."""
        return list(dict.fromkeys((self.ours, *self.against)))

    def python(self, side: str) -> str:
        """The interpreter that a side runs under."""
        return self.pythons.get(side, sys.executable)


def compare(
    source: str,
    plan: BenchPlan,
    *,
    resolution: int | None = None,
    knobs: dict[str, Any] | None = None,
    options: Mapping[str, bool] = NOTHING,
    say: Callable[[str], object] = lambda text: None,
    advance: Callable[[int], object] = lambda turns: None,
) -> Comparison:
    """Measure `source`, a network's name, weights or a deployed file, on every side of `plan`.

    `resolution`, `knobs` and `options` are `lay_out`'s.

    A side that is missing, cannot take the source or dies is in `skipped` with the reason. `say`
    hears what is being done, `advance` each round of each number of threads as it ends. Raises
    ValueError and InputError for the source alone.
    """
    result = Comparison(plan.ours, plan.rounds, machine=machine())
    with TemporaryDirectory(prefix="mobilenets-bench-") as name:
        folder = Path(name)
        say(f"laying out {source}")
        weights = lay_out(source, folder, resolution=resolution, knobs=knobs, options=options)
        ready: list[str] = []
        for side in reversed(plan.sides):  # ours last: what its cache holds is then new
            say(f"converting for {side}")
            try:
                prepare(side, folder, plan, weights=weights)
                ready.insert(0, side)
            except SideError as error:
                result.skipped.append(Skipped(side, None, why(side, error)))
        for threads in plan.threads:
            say(f"measuring, {threads} {'thread' if threads == 1 else 'threads'}")
            with Turns(threads, folder) as turns:
                for side in ready:
                    turns.load(side, plan.python(side), plan.turn)
                for number in range(plan.rounds):
                    turns.round(number)
                    advance(1)
                turns.end()
            result.add(threads, turns.found)
            result.skipped += turns.skipped
    return result


def prepare(name: str, folder: Path, plan: BenchPlan, *, weights: bool) -> None:
    """Make the file that a side reads, in a process of its own; SideError if that fails."""
    side = find(name)
    there = side.reads(folder)
    bare = ONNX if (folder / ONNX).exists() else TFLITE
    alone = side.needs_weights and bare == ONNX  # what it reads is made of the torch network
    if not weights and (alone or (there is None and (side.needs_weights or side.convert is None))):
        what = "the torch network is needed" if side.needs_weights else f"it reads {side.files[0]}"
        raise SideError(f"{what}, which a bare {Path(bare).suffix} file has not")
    if side.convert is not None and (weights or not side.needs_weights):
        with Process("convert", name, folder, list(plan.threads), plan.python(name)) as process:
            process.answer()


def machine() -> dict[str, Any]:
    """What this was measured on."""
    processor = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                processor = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    return {"processor": processor, "cores": processors(), "system": platform.system()}
