"""The classes of an image's pixels, drawn over it or kept as a picture of their own."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilenets.runtime.draw import (
    GROUND,
    LEAST,
    TEXT,
    Colour,
    Font,
    Pen,
    colour_of,
    font_of,
    pen_on,
    printable,
    readable,
)
from mobilenets.runtime.preprocess import scaled_mask

VOID = 255
"""In a mask of uint8: a pixel of no class."""

_INSIDE, _EDGE, _HATCH = 0.5, 0.9, 0.35
"""How much of a pixel is its class's colour."""
_FAINT = (150, 156, 166)

Mask = NDArray[np.uint8] | NDArray[np.uint16]


class _LegendEntry(NamedTuple):
    """What the legend says of a class."""

    name: str
    share: str
    colour: Colour | None
    """None where the picture is left as it is."""
    void: bool


def palette(count: int) -> NDArray[np.uint8]:
    """(count, 3): red, green, blue of the classes from 0 on, as PASCAL VOC's masks have them.

    The bits of a class's number, the lowest first, go to red, green and blue in turn, and fill
    each from its highest bit down: 1 is (128, 0, 0), 2 is (0, 128, 0), 8 is (64, 0, 0).
    """
    if not 0 <= count <= 1 << 16:
        raise ValueError(f"count must be 0 to {1 << 16}, got {count}")
    bits = np.arange(count)[:, None] >> np.arange(24) & 1  # (count, 24)
    worth = 128 >> np.arange(8)
    colours: NDArray[np.uint8] = (
        (bits.reshape(count, 8, 3) * worth[:, None]).sum(1).astype(np.uint8)
    )
    return colours


def mask_image(mask: Mask) -> Image.Image:
    """A mask (H, W) as a picture that keeps the classes' numbers; for a format without loss.

    One of uint8 has mode P with VOC's colours, also for 255, void; one of uint16 is grey, I;16.
    """
    _check(mask)
    picture = Image.fromarray(mask)
    if mask.dtype == np.uint8:
        picture.putpalette(palette(256).tobytes())
    return picture


def draw_mask(image: Image.Image, mask: Mask, labels: Sequence[str]) -> Image.Image:
    """A copy of an RGB image under its classes' colours, with a legend below.

    `mask` (H, W) has the image's size and holds places in `labels`; in uint8, 255 is void. Void
    is hatched, and a first class named background left as it is, so that what is seen stands out.
    The other classes have a thin edge. The legend names those that are there, the largest first,
    with their share of all pixels. The longer side is brought to 360 to 1280 pixels, and lines
    and text are in proportion. ValueError for a mask of another size or with other values.
    """
    _check(mask)
    if mask.shape != image.size[::-1]:
        raise ValueError(f"mask must have the image's shape, {image.size[::-1]}, got {mask.shape}")
    counts = _counts(mask, len(labels))
    entries = {index: _entry(index, count / mask.size, labels) for index, count in counts.items()}
    picture = readable(image)
    colours = {index: entry.colour for index, entry in entries.items()}
    picture = _overlay(picture, scaled_mask(mask, picture.size), colours)
    return _with_legend(picture, sorted(entries.values(), key=lambda entry: entry.void))


def _check(mask: Mask) -> None:
    if mask.ndim != 2 or mask.dtype not in (np.uint8, np.uint16):
        raise ValueError(
            f"mask must be (height, width) of uint8 or uint16, got {mask.shape} of {mask.dtype}"
        )


def _counts(mask: Mask, classes: int) -> dict[int, int]:
    """How many pixels each value has that is there, the most frequent first."""
    counts = np.bincount(mask.ravel())
    void = mask.dtype == np.uint8
    wrong = [i for i in np.flatnonzero(counts).tolist() if i >= classes and not void & (i == VOID)]
    if wrong:
        allowed = f"0 to {classes - 1}{' or 255, void' if void else ''}"
        raise ValueError(f"mask must have values {allowed}, got {wrong[0]}")
    order = np.argsort(-counts, kind="stable").tolist()
    return {i: int(counts[i]) for i in order if counts[i]}


def _entry(index: int, share: float, labels: Sequence[str]) -> _LegendEntry:
    percent = f"{share:.1%}" if share >= 0.0005 else "<0.1%"
    if index >= len(labels):
        return _LegendEntry("void", percent, None, True)
    bare = index == 0 and labels[0].strip().lower() == "background"
    name = printable(labels[index], lambda text: True) or str(index)
    return _LegendEntry(name, percent, None if bare else colour_of(index), False)


def _overlay(picture: Image.Image, mask: Mask, colours: dict[int, Colour | None]) -> Image.Image:
    """The picture with its classes' colours, the more of them along a class's edge."""
    values, line = max(colours) + 1, max(1, round(max(picture.size) / 640))
    paint, strength = np.zeros((values, 3), np.float32), np.zeros((2, values), np.float32)
    for index, colour in colours.items():
        if colour is not None:
            paint[index], strength[:, index] = colour, (_INSIDE, _EDGE)
    amount = strength[_edges(mask, line).astype(np.intp), mask][..., None]
    pixels = np.asarray(picture, np.float32)
    pixels = pixels + (paint[mask] - pixels) * amount
    if mask.dtype == np.uint8:
        _hatch(pixels, mask == VOID, line)
    return Image.fromarray(np.round(pixels).astype(np.uint8))


def _edges(mask: Mask, line: int) -> NDArray[np.bool_]:
    """Where another class is within `line` pixels, up, down, left or right."""
    edge = np.zeros(mask.shape, bool)
    for step in range(1, line + 1):
        across = mask[:, step:] != mask[:, :-step]
        down = mask[step:] != mask[:-step]
        edge[:, step:] |= across
        edge[:, :-step] |= across
        edge[step:] |= down
        edge[:-step] |= down
    return edge


def _hatch(pixels: NDArray[np.float32], where: NDArray[np.bool_], line: int) -> None:
    """Slanting lines, light and dark side by side, so that one of them shows on any ground."""
    y, x = np.ogrid[: where.shape[0], : where.shape[1]]
    place = (x + y) // line % 8
    light, dark = where & (place == 0), where & (place == 1)
    pixels[light] += (255 - pixels[light]) * _HATCH
    pixels[dark] *= 1 - _HATCH


def _with_legend(picture: Image.Image, entries: Sequence[_LegendEntry]) -> Image.Image:
    """The picture over a band with the entries in columns, row after row."""
    width = max(picture.width, LEAST)
    size = max(13, round(width / 60))
    font = font_of(size)
    pad, row = size * 3 // 4, round(size * 1.8)
    inner = width - pad
    most = max(inner // min(len(entries), 3), min(12 * size, inner))
    widest = max(_length(entry, entry.name, font, size) for entry in entries)
    columns = max(1, int(inner // min(most, widest)))
    rows = -(-len(entries) // columns)
    canvas = Image.new("RGB", (width, picture.height + rows * row + pad), GROUND)
    canvas.paste(picture, ((width - picture.width) // 2, 0))
    pen = pen_on(canvas)
    for i, entry in enumerate(entries):
        x = pad + i % columns * (inner // columns)
        y = picture.height + pad // 2 + i // columns * row + row // 2
        _draw_entry(pen, (x, y), entry, font, size, inner // columns)
    return canvas


def _length(entry: _LegendEntry, name: str, font: Font, size: int) -> float:
    """Pixels from an entry's swatch to the next entry's."""
    return size * 3.4 + font.getlength(name) + font.getlength(entry.share)


def _draw_entry(
    pen: Pen,
    place: tuple[int, int],
    entry: _LegendEntry,
    font: Font,
    size: int,
    width: int,
) -> None:
    x, y = place
    swatch = (x, y - size // 2, x + size, y - size // 2 + size)
    pen.rectangle(swatch, fill=entry.colour, outline=entry.colour or _FAINT)
    if entry.void:
        for step in range(size // 3, size * 2, size // 3):
            start, end = max(0, step - size), min(step, size)
            pen.line((x + start, swatch[1] + step - start, x + end, swatch[1] + step - end), _FAINT)
    name = printable(entry.name, lambda name: _length(entry, name, font, size) <= width)
    x += round(size * 1.5)
    pen.text((x, y), name, TEXT, font, anchor="lm")
    pen.text((x + font.getlength(name) + size * 0.5, y), entry.share, _FAINT, font, anchor="lm")
