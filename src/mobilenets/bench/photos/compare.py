"""From file to label, ours beside the plain program: rounds in turns, and what they come to."""

import dataclasses
import json
import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mobilenets.bench.compare import machine
from mobilenets.bench.convert import ONNX
from mobilenets.bench.figures import Ratio, spread
from mobilenets.bench.photos import worker
from mobilenets.bench.photos.worker import LIST, OURS, PLAIN
from mobilenets.bench.processes import Process, SideError, wait_for_rest
from mobilenets.bench.source import lay_out
from mobilenets.card import ModelCard
from mobilenets.errors import InputError
from mobilenets.inference import open_session


@dataclass
class FromFiles:
    """What was found: the nanoseconds of every pass over all files, and whether answers agree."""

    images: int
    threads: int
    passes: dict[str, list[int]] = field(default_factory=dict)
    """By side, one number a round."""
    processor: dict[str, list[float]] = field(default_factory=dict)
    """By side, the seconds of processor time that each pass took, on all processors together."""
    same: float | None = None
    """Share of the files with the same best output on both sides; None without both."""
    unread: int = 0
    """Files that could not be read; both sides pass over them."""
    skipped: str = ""
    """Why the plain program did not take part."""
    machine: dict[str, Any] = field(default_factory=machine)

    def per_image_ms(self, side: str) -> float:
        """The median pass over the number of images, in milliseconds."""
        return statistics.median(self.passes[side]) / self.images / 1e6

    def processor_ms(self, side: str) -> float:
        """The median processor time of a pass over the number of images, in milliseconds."""
        return 1e3 * statistics.median(self.processor[side]) / self.images

    def ratio(self) -> Ratio | None:
        """The plain program's time over ours, round by round; None without both."""
        if PLAIN not in self.passes:
            return None
        pairs = zip(self.passes[PLAIN], self.passes[OURS], strict=True)
        return spread([theirs / ours for theirs, ours in pairs])

    def to_dict(self) -> dict[str, Any]:
        """JSON values, times in milliseconds an image."""
        ratio = self.ratio()
        return {
            "ratio": ratio._asdict() if ratio else None,
            "sides": {
                name: {
                    "ms_per_image": self.per_image_ms(name),
                    "images_per_second": 1e3 / self.per_image_ms(name),
                    "processor_ms_per_image": self.processor_ms(name),
                }
                for name in self.passes
            },
            "same_answers": self.same,
            "images": self.images,
            "not_readable": self.unread,
            "threads": self.threads,
            "rounds": len(self.passes[OURS]),
            "skipped": self.skipped,
            "machine": self.machine,
        }


def compare_from_files(
    source: str,
    files: Sequence[Path],
    *,
    threads: int = 2,
    rounds: int = 5,
    resolution: int | None = None,
    knobs: dict[str, Any] | None = None,
    advance: Callable[[int], object] = lambda turns: None,
) -> FromFiles:
    """Time `predict` over `files` beside the plain program, each in a process of its own.

    `source`: a classifier's name, weights or ONNX file. In each of `rounds` rounds both answer all
    files, one while the other sleeps; who begins changes. Raises ValueError and InputError for
    the source, or where ours fails; where the plain program cannot run, `skipped` says why.
    """
    for name, value in (("threads", threads), ("rounds", rounds)):
        if value < 1:
            raise ValueError(f"{name} must be a positive integer, got {value}")
    with TemporaryDirectory(prefix="mobilenets-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        lay_out(source, folder, resolution=resolution, knobs=knobs)
        card = open_session(folder / ONNX, threads=threads).card
        _check(source, card)
        given = {
            "files": [str(path.resolve()) for path in files],
            "recipe": dataclasses.asdict(card.preprocessing),
        }
        (folder / LIST).write_text(json.dumps(given), encoding="utf-8")
        result = FromFiles(len(files), threads)
        processes: dict[str, Process] = {}
        for side in (OURS, PLAIN):
            try:
                process = Process("run", side, folder, [threads], module=worker.__name__)
                stack.enter_context(process).answer()
                processes[side] = process
            except SideError as error:
                if side == OURS:
                    raise InputError(f"{source}: {error}") from error
                brings = f"{error.missing} is not installed; pip install {error.missing}"
                result.skipped = brings if error.missing else str(error)
        _take_turns(processes, rounds, result, advance)
    return result


def _take_turns(
    processes: dict[str, Process],
    rounds: int,
    result: FromFiles,
    advance: Callable[[int], object],
) -> None:
    """Fill `result`: in each round each side has one pass."""
    found: dict[str, list[int]] = {}
    for number in range(rounds):
        for side in list(processes)[:: -1 if number % 2 else 1]:
            wait_for_rest(processes.values())
            before = processes[side].used()
            answer = processes[side].tell("go 1")
            result.processor.setdefault(side, []).append(processes[side].used() - before)
            result.passes.setdefault(side, []).extend(answer["ns"])
            found[side] = answer["found"]
        advance(1)
    result.unread = found[OURS].count(-1)
    if PLAIN in found:
        agree = [a == b for a, b in zip(found[OURS], found[PLAIN], strict=True)]
        result.same = sum(agree) / len(agree)


def _check(source: str, card: ModelCard) -> None:
    """ValueError unless the network is one that the plain program can run."""
    if len(card.outputs) > 1 or card.output.shape.count(",") > 1:
        outputs = ", ".join(f"{one.name} {one.shape}" for one in card.outputs)
        raise ValueError(
            f"--from-files is for networks with one output (N, classes), {source} has {outputs}"
        )
    if card.preprocessing.resize == "pad":
        raise ValueError(f"--from-files is for networks that crop or squash, {source} pads")
