"""One HTML file with everything in it: no server, no other file, readable in any browser."""

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from mobilenets.cost import Cost
from mobilenets.demo.pictures import Pair, Shown
from mobilenets.files import replace_file

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.3rem; margin-top: 2.6rem; } h3 { font-size: 1rem; }
table { border-collapse: collapse; } td, th { padding: .2rem .9rem .2rem 0; text-align: left; }
td.n { text-align: right; font-variant-numeric: tabular-nums; } code { font-size: .8rem; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(14.5rem, 1fr)); gap: 1rem; }
.small { grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); font-size: .8rem; }
figure { margin: 0; } figure span { display: flex; gap: 2px; align-items: start; }
figure img { width: 50%; border-radius: 4px; }
img.wide { max-width: 100%; background: white; border-radius: 4px; }
"""
SIDE = 280
"""Pixels of a picture's longer side on the page."""


class DemoStep(NamedTuple):
    """Something the demo did."""

    title: str
    seconds: float
    text: str
    command: str
    """What does the same on the command line."""


class Chapter(NamedTuple):
    """One use: what was done, what is seen, and what it costs."""

    title: str
    model: str
    steps: Sequence[DemoStep]
    shown: Shown
    run: Path
    """The run's folder."""
    picture: str
    """The name of the task's own picture in it."""
    cost: Cost


def write_page(path: Path, chapters: Sequence[Chapter], seconds: float) -> Path:
    """Write the page, a part for each chapter; `seconds` is what all took."""
    body = (
        f"<h1>From pictures to device files in {seconds:.0f} seconds</h1>"
        "<p>Small networks learned drawn shapes on this machine. They were measured on pictures "
        "never trained on, written as ONNX files, and run from there on the engine, without "
        "torch. They start from weights in the package, which know 32 other shapes on the same "
        "kind of ground, and none of these eight.</p>"
        + "".join(chapter_part(chapter) for chapter in chapters)
        + "<p>What any network costs: <code>mobilenets profile mobilenet_v2</code>.</p>"
    )
    page = (
        f"<!doctype html><html lang=en><meta charset=utf-8>"
        f"<meta name=viewport content='width=device-width'>"
        f"<title>mobilenets demo</title><style>{STYLE}</style><body>{body}</body></html>\n"
    )
    replace_file(path, lambda temporary: temporary.write_text(page, encoding="utf-8"))
    return path


def chapter_part(chapter: Chapter) -> str:
    """A chapter as HTML: what it gets right, what it gets wrong, how it was made."""
    shown, pixels = chapter.shown, chapter.cost.resolution[0]
    did = "".join(
        f"<tr><td>{escape(step.title)}</td><td class=n>{step.seconds:.1f} s</td>"
        f"<td>{escape(step.text)}<br><code>{escape(step.command)}</code></td></tr>"
        for step in chapter.steps
    )
    images = "".join(
        f"<h3>{title}</h3><img class=wide src='{file_uri(chapter.run / name)}' alt='{title}'>"
        for title, name in (
            ("Learning curves", "curves.png"),
            (chapter.picture.capitalize(), f"{chapter.picture}.png"),
        )
    )
    return (
        f"<h2>{chapter.title}: {chapter.model} at {pixels} pixels</h2>"
        f"<p>Right in {shown.hits} of {shown.of} test pictures; the surest are shown. "
        f"{escape(shown.sides)}</p>"
        f"<div class=grid>{figures(shown.right)}</div>"
        f"{failures(shown)}"
        f"<h3>How it was made</h3><table>{did}</table>{images}"
        f"<h3>What it costs</h3><table>{cost_rows(chapter.cost)}</table>"
    )


def failures(shown: Shown) -> str:
    """The pictures that are wrong, small; nothing where there are none."""
    if not shown.wrong:
        return ""
    count, some = shown.of - shown.hits, len(shown.wrong)
    which = f"the {some} nearest to right" if some < count else "all of them"
    return (
        f"<h3>Not right: {count} of {shown.of}, {which}</h3>"
        f"<div class='grid small'>{figures(shown.wrong)}</div>"
    )


def figures(pairs: Sequence[Pair]) -> str:
    """Pictures beside the truth, with a caption."""
    return "".join(
        f"<figure><span><img src='{data_uri(pair.truth)}' alt='truth'>"
        f"<img src='{data_uri(pair.seen)}' alt='seen'></span>"
        f"<figcaption>{escape(pair.said)}</figcaption></figure>"
        for pair in pairs
    )


def cost_rows(cost: Cost) -> str:
    """The costs as rows of a table."""
    rows = (
        ("parameters", f"{cost.parameters:,}"),
        ("multiply-adds per image", f"{cost.madds:,}"),
        ("activations of all layers", f"{cost.output_bytes:,} bytes"),
        ("most alive at once, layer by layer", f"{cost.peak_bytes:,} bytes"),
        ("most alive at once, a block as one operation", f"{cost.peak_fused_bytes:,} bytes"),
    )
    return "".join(f"<tr><td>{name}</td><td class=n>{value}</td></tr>" for name, value in rows)


def data_uri(image: Image.Image) -> str:
    """An image inside the page, small."""
    small, buffer = image.copy(), io.BytesIO()
    small.thumbnail((SIDE, 2 * SIDE), Image.Resampling.LANCZOS)
    small.save(buffer, "JPEG", quality=90)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def file_uri(path: Path) -> str:
    """A PNG file inside the page."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
