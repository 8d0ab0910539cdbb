"""Every image in a table for spreadsheets: CSV as RFC 4180 has it."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mobilenets.data.listing import one_line
from mobilenets.evaluation import MeasuredPart
from mobilenets.files import replace_file
from mobilenets.review.judged import ReviewedImage

FIRST = ("rank", "image", "result", "truth", "answer", "score")
LAST = ("picture", "error", "data", "split", "part")


def write_table(
    path: Path,
    ranked: Iterable[ReviewedImage],
    failures: Sequence[tuple[str, str]],
    measured: MeasuredPart,
) -> None:
    """A row for each image, the worst first, those that could not be read last.

    Between the columns of every use are its own figures. UTF-8 with a mark at its start, without
    which Excel takes names for another alphabet.
    """
    where = {"data": measured.data, "split": measured.split, "part": measured.part}

    def rows() -> Iterator[Mapping[str, Any]]:
        for one in ranked:
            yield {**_row(one), **where}
        for name, why in failures:
            yield {"image": name, "result": "not read", "error": why, **where}

    def write(temporary: Path) -> None:
        found = rows()
        first = next(found, {})
        own = [name for name in first if name not in (*FIRST, *LAST)]
        with temporary.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.DictWriter(file, [*FIRST, *own, *LAST], restval="")
            writer.writeheader()
            for row in (first, *found) if first else ():
                writer.writerow({name: cell(value) for name, value in row.items()})

    replace_file(path, write)


def _row(one: ReviewedImage) -> dict[str, Any]:
    verdict = one.verdict
    return {
        "rank": one.rank,
        "image": one.name,
        "result": "right" if verdict.right else "wrong",
        "truth": verdict.truth,
        "answer": verdict.answer,
        "score": "" if verdict.score is None else verdict.score,
        **verdict.figures,
        "picture": one.picture,
    }


def cell(value: Any) -> str:
    """A value as text: figures with six digits, '' for NaN, names without breaks."""
    if isinstance(value, float) and math.isnan(value):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else one_line(str(value))


def write_text(path: Path, text: str) -> None:
    """A file of text, whole or not at all."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Any file, whole or not at all."""
    replace_file(path, lambda temporary: temporary.write_bytes(content))
