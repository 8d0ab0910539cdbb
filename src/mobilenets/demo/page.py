"""One HTML file with everything in it: no server, no other file, readable in any browser."""

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from mobilenets.cost import Cost
from mobilenets.files import replace_file

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.3rem; margin-top: 2.6rem; } h3 { font-size: 1rem; }
table { border-collapse: collapse; } td, th { padding: .2rem .9rem .2rem 0; text-align: left; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: 1rem; }
figure { margin: 0; } figure img { width: 100%; border-radius: 4px; } img.wide { max-width: 100%;
background: white; border-radius: 4px; } .wrong { color: #c0392b; }
"""


class DemoStep(NamedTuple):
    """Something the demo did."""

    title: str
    seconds: float
    text: str


class Chapter(NamedTuple):
    """One use: what was done, what is seen, and what it costs."""

    title: str
    model: str
    steps: Sequence[DemoStep]
    pictures: Sequence[tuple[Image.Image, str, bool]]
    """(drawn prediction, what is there, right)."""
    mistake: str
    """What a picture that is not right is, in words."""
    run: Path
    """The run's folder."""
    picture: str
    """The name of the task's own picture in it."""
    cost: Cost


def write_page(path: Path, chapters: Sequence[Chapter], seconds: float) -> Path:
    """Write the page, a part for each chapter; `seconds` is what all took."""
    body = (
        f"<h1>MobileNetV2, from images to device files in {seconds:.0f} seconds</h1>"
        f"<p>Trained on the built-in shapes, evaluated, exported to ONNX and run from there.</p>"
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
    """A chapter as HTML."""
    did = "".join(
        f"<tr><td>{escape(step.title)}</td><td class=n>{step.seconds:.1f} s</td>"
        f"<td>{escape(step.text)}</td></tr>"
        for step in chapter.steps
    )
    seen = "".join(
        f"<figure><img src='{data_uri(image)}' alt='{escape(truth)}'>"
        f"<figcaption{'' if right else ' class=wrong'}>"
        f"{escape(truth)}{'' if right else escape(f', {chapter.mistake}')}</figcaption></figure>"
        for image, truth, right in chapter.pictures
    )
    images = "".join(
        f"<h3>{title}</h3><img class=wide src='{file_uri(chapter.run / name)}' alt='{title}'>"
        for title, name in (
            ("Learning curves", "curves.png"),
            (chapter.picture.capitalize(), f"{chapter.picture}.png"),
        )
    )
    pixels = chapter.cost.resolution[0]
    return (
        f"<h2>{chapter.title}: {chapter.model} at {pixels} pixels</h2><table>{did}</table>"
        f"<h3>What the exported model sees</h3><div class=grid>{seen}</div>{images}"
        f"<h3>What it costs</h3><table>{cost_rows(chapter.cost)}</table>"
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
    """An image inside the page."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def file_uri(path: Path) -> str:
    """A PNG file inside the page."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
