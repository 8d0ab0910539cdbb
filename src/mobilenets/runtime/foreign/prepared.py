"""How images are prepared, as transformers writes it into a file beside a model."""

from pathlib import Path

from mobilenets.card import (
    INCEPTION,
    MAX_SIDE,
    ColourOrder,
    Interpolation,
    Preprocessing,
    ResizeRule,
)
from mobilenets.errors import WeightsError
from mobilenets.runtime.foreign.beside import JsonSection, is_side, read_json

PREPARED = "preprocessor_config.json"
"""The file's name."""
RESAMPLE: dict[int, Interpolation] = {
    0: "nearest",
    1: "lanczos",
    2: "bilinear",
    3: "bicubic",
}
"""Pillow's numbers, as the file gives them."""

_USUAL = 224


def prepared_beside(folder: Path, image: tuple[int, int]) -> Preprocessing | None:
    """What the file in `folder` says; None where there is none, or an empty one.

    image: (height, width) of the input, where the file leaves it open. WeightsError, naming the
    key, for a damaged file and for what a card cannot say.
    """
    given = JsonSection(read_json(folder / PREPARED), f"{PREPARED}: ")
    if not given.content:
        return None
    try:
        return _preprocessing(given, image)
    except ValueError as error:
        raise WeightsError(f"{PREPARED}: {error}") from error


def prepared_for(model: str, sides: tuple[int | None, ...]) -> tuple[Preprocessing | None, str]:
    """The same for a file whose input is (height, width), None for what it leaves open.

    With what is wrong in words, where the file beside it is damaged or does not fit.
    """
    height, width = sides
    try:
        said = prepared_beside(Path(model).parent, (height or _USUAL, width or _USUAL))
    except (WeightsError, OSError) as error:
        return None, f"{' '.join(str(error).split())}, left aside"
    if said is None or all(a in (None, b) for a, b in zip(sides, said.size, strict=True)):
        return said, ""
    takes, given = (" by ".join(map(str, one)) for one in (sides, said.size))
    return (
        None,
        f"{PREPARED} beside it makes images of {given}, its input takes {takes}: left aside",
    )


def _preprocessing(given: JsonSection, image: tuple[int, int]) -> Preprocessing:
    size, crop = (
        _sides(given, "size", "shortest_edge"),
        _sides(given, "crop_size", "height", "width"),
    )
    cropped = given.content.get("do_center_crop", True) and bool(crop.content)
    resize: ResizeRule = "crop"
    fraction = 1.0
    if "height" in size.content:
        out = (size.side("height"), size.side("width"))
        resize, fraction = "squash", INCEPTION.crop_fraction
        if cropped and (crop.side("height"), crop.side("width")) != out:
            raise given.wrong("crop_size", f"that of size, {out[0]} by {out[1]}")
    elif cropped and "shortest_edge" in size.content:
        out = (crop.side("height"), crop.side("width"))
        edge = size.side("shortest_edge")
        if max(out) > edge or out[0] != out[1]:
            raise given.wrong("crop_size", f"a square of at most the shortest_edge, {edge}")
        fraction = out[0] / edge
    else:
        out = image
    for key in ("do_resize", "do_rescale", "do_normalize"):
        if not given.content.get(key, True):
            raise given.wrong(key, "true")
    for key in ("do_pad", "rescale_offset", "crop_pct"):
        if given.content.get(key):
            raise given.wrong(key, "false, or not there")
    if abs(given.number("rescale_factor", 1 / 255) * 255 - 1) >= 1e-3:
        raise given.wrong("rescale_factor", "1 / 255")
    order: ColourOrder = "BGR" if given.content.get("do_flip_channel_order") else "RGB"
    return Preprocessing(
        size=out,
        resize=resize,
        crop_fraction=fraction,
        interpolation=given.choice("resample", RESAMPLE, 2),
        mean=given.colours("image_mean", INCEPTION.mean),
        std=given.colours("image_std", INCEPTION.std, divide=True),
        order=order,
    )


def _sides(given: JsonSection, key: str, *names: str) -> JsonSection:
    """An object of sides in pixels; one number stands for all of `names`."""
    value = given.content.get(key)
    if type(value) is not int:
        return given.section(key)
    if not is_side(value):
        raise given.wrong(key, f"pixels from 1 to {MAX_SIDE}")
    return JsonSection(dict.fromkeys(names, value), given.where)
