"""One page to look through the worst images of an evaluation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from itertools import islice
from typing import Any
from urllib.parse import quote

from mobilenets.data.listing import count, one_line
from mobilenets.review.judged import Review, ReviewedImage
from mobilenets.tasks.intervals import figure_text

TABLE, FOLDER = "images.csv", "worst"
"""Beside the page: every image in a table, and the pictures."""
MARK = "<!-- written by mobilenets eval -->"
"""By it a page of an evaluation before is known, and replaced."""
MOST = 30
"""Rows of the table of what is taken for what."""
STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 80rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; }
td, th { padding: .15rem 1.2rem .15rem 0; text-align: left; vertical-align: top; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
p img { max-width: 100%; } figure { margin: 2.5rem 0; }
figure img { max-width: 100%; max-height: 90vh; }
.wrong b { color: #d33; } .right b { color: #393; }
"""


def page_of(review: Review, drawn: int, files: Sequence[str] = ()) -> str:
    """The page as HTML; its pictures lie in the folder beside it, and `files` of all images too."""
    found, images = review.found, len(review.order)
    intervals = review.evaluator.intervals()
    figures = "".join(
        f"<tr><td>{escape(name)}</td>"
        f"<td class=n>{figure_text(value, intervals.results.get(name))}</td></tr>"
        for name, value in found.results.items()
    )
    brackets = f"<p>In brackets: 95 % intervals, {escape(intervals.how)}.</p>" if figures else ""
    lost = len(found.failures)
    unread = f" {count(lost, 'image', 'images')} could not be read." if lost else ""
    what = f"{drawn:,} of {count(images, 'image', 'images')}, the worst first"
    shown = "".join(figure_of(one) for one in islice(review.images(drawn), drawn))
    return (
        f"<!doctype html>{MARK}<html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width'><title>mobilenets eval</title>"
        f"<style>{STYLE}</style><body><h1>{escape(review.line)}</h1>"
        f"<p>{escape(one_line(review.measured.line))}.{unread} "
        f"<a href={TABLE}>All images in a table</a>.</p>"
        f"<table>{figures}</table>{brackets if intervals.results else ''}"
        f"{''.join(map(file_part, files))}{confusions_of(review)}"
        f"<h2>{what}</h2>{shown}</body></html>\n"
    )


def file_part(name: str) -> str:
    """A picture of all images, or a link to what else there is of them."""
    if name.endswith(".png"):
        return f"<p><img src='{quote(name)}' alt='all images'></p>"
    return f"<p><a href='{quote(name)}'>{escape(name)}</a></p>"


def confusions_of(review: Review) -> str:
    """What is taken for what, as a table; '' where nothing is."""
    pairs = review.evaluator.confusions(review.threshold)
    if not pairs:
        return ""
    rows = "".join(
        f"<tr><td>{escape(one.truth)}</td><td>{escape(one.answer)}</td>"
        f"<td class=n>{one.times:,}</td><td class=n>{one.share:.1%}</td></tr>"
        for one in pairs[:MOST]
    )
    more = len(pairs) - MOST
    rest = f"<p>And {count(more, 'pair', 'pairs')} more.</p>" if more > 0 else ""
    return (
        "<h2>What is taken for what</h2><table><tr><th>truth<th>answer"
        f"<th>{escape(review.evaluator.UNIT)}<th>share</tr>{rows}</table>{rest}"
    )


def figure_of(one: ReviewedImage) -> str:
    """A picture with what there is to say of it."""
    verdict = one.verdict
    result = "right" if verdict.right else "wrong"
    score: Mapping[str, Any] = {} if verdict.score is None else {"score": verdict.score}
    said = ", ".join(
        f"{name.replace('_', ' ')} {value:.4g}"
        for name, value in {**score, **verdict.figures}.items()
        if not math.isnan(value)
    )
    return (
        f"<figure class={result}><img loading=lazy src='{FOLDER}/{quote(one.picture)}' "
        f"alt='truth and answer'><figcaption>{one.rank}. <b>{result}</b> "
        f"{escape(one_line(one.name))}<br>truth: {escape(verdict.truth)}<br>"
        f"answer: {escape(verdict.answer) or 'nothing'}<br>{escape(said)}</figcaption></figure>"
    )
