"""Which columns of a table say what: the image, its class, its part."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from mobilenets.data.listing import Role, few
from mobilenets.errors import DataError
from mobilenets.runtime.images import SUFFIXES
from mobilenets.runtime.kinds import suffix_of

IMAGE_COLUMNS = (
    *("image", "path", "filename", "file", "image_path", "filepath", "file_path", "file_name"),
    *("image_name", "img_path", "img", "fname", "image_id", "imageid", "images", "name", "id"),
)
LABEL_COLUMNS = (
    *("label", "class", "class_name", "category", "target", "labels", "classname", "label_name"),
    *("breed", "species", "diagnosis", "class_id", "classid", "label_id", "category_id"),
)
SPLIT_COLUMNS = ("split", "subset", "set", "data set", "dataset", "partition")
GROUP_COLUMNS = ("group", "group_id")
ROLE_COLUMNS: Mapping[Role, tuple[str, str]] = {
    "query": ("query", "is_query"),
    "gallery": ("gallery", "is_gallery"),
}
"""Of 0 and 1: whether an image is looked for, and whether it can be found."""
_BOX_COLUMNS = ("xmin", "x_min", "xmax", "x1", "bbox", "x_center", "region_shape_attributes")
_ASIDE = ("width", "height", "index", "unnamed: 0", "")
"""ListColumns that are no class, whatever they hold."""
_MARKS = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}

Row = Mapping[str, str]


class NoListError(DataError):
    """A table is about other things than one class for each image."""


class ListColumns(NamedTuple):
    """What the columns of a table are."""

    image: str
    label: str
    """'' where each class has a column."""
    classes: tuple[str, ...]
    """Those columns, of 0 and 1."""
    split: str
    """'' where there is none."""
    group: str
    """'' where there is none."""
    notes: tuple[str, ...]
    roles: Mapping[Role, str] = MappingProxyType({})
    """The columns of roles, where there are any."""

    @property
    def guessed(self) -> bool:
        """Whether no column is called after classes."""
        return bool(self.notes)


def find_columns(path: Path, heads: Sequence[str], rows: Sequence[Row]) -> ListColumns:
    """By their names, else by what they hold; NoListError for a table of other things."""
    boxes = [head for head in heads if head.strip().casefold() in _BOX_COLUMNS]
    if boxes:
        raise NoListError(
            f"{path}: it has boxes (columns {few(boxes)}), which are for a detector: to classify, "
            "one class for an image is needed"
        )
    split = _by_name(heads, SPLIT_COLUMNS)
    label = _by_name(heads, LABEL_COLUMNS)
    group = _by_name(heads, GROUP_COLUMNS)
    image = _by_name([head for head in heads if head != label], IMAGE_COLUMNS)
    if not image:
        image = next((one for one in heads if one != label and _names_images(one, rows)), "")
    if not image:
        raise _missing(path, heads, IMAGE_COLUMNS)
    if label:
        roles = {role: _by_name(heads, names) for role, names in ROLE_COLUMNS.items()}
        clear = all(_is_mark(row[head]) for head in roles.values() if head for row in rows)
        roles = {role: head for role, head in roles.items() if head and clear}
        return ListColumns(image, label, (), split, group, (), roles)
    aside = (image, split, *(head for head in heads if head.strip().casefold() in _ASIDE))
    others = [head for head in heads if head not in aside]
    if len(others) > 1:  # else it is the only column that can be the class
        others = [head for head in others if head != group]
    marked = [head for head in others if all(_is_mark(row[head]) for row in rows)]
    if len(others) > 1 and marked == others and rows:
        note = f"{path.name}: a column for each class"
        return ListColumns(image, "", tuple(others), split, group, (note,))
    if len(others) == 1 and not marked and not _are_numbers(others[0], rows):
        note = f"{path.name}: the classes are those in the column {others[0].strip()}"
        group = "" if group == others[0] else group
        return ListColumns(image, others[0], (), split, group, (note,))
    raise _missing(path, heads, LABEL_COLUMNS)


def marked_class(path: Path, line: int, row: Row, columns: ListColumns) -> str:
    """The one class whose column has a 1; '' where none has. DataError for several."""
    found = [head.strip() for head in columns.classes if _MARKS[row[head].strip().casefold()]]
    if len(found) > 1:
        raise DataError(
            f"{path}: line {line} has several classes ({few(found)}): one for an image is needed"
        )
    return found[0] if found else ""


def role_of(row: Row, columns: ListColumns) -> Role | None:
    """What an image is for in a search: '' for both; None where the row says neither."""
    if not columns.roles:
        return ""
    said = {role: _MARKS[row[head].strip().casefold()] for role, head in columns.roles.items()}
    roles = [role for role, is_so in said.items() if is_so]
    if len(said) == 1:  # the other is all that this one is not
        (only,) = said
        other: Role = "gallery" if only == "query" else "query"
        return roles[0] if roles else other
    return None if not roles else "" if len(roles) == 2 else roles[0]


def _by_name(heads: Sequence[str], names: Sequence[str]) -> str:
    by_name = {head.strip().casefold(): head for head in reversed(heads)}
    return next((by_name[name] for name in names if name in by_name), "")


def _names_images(head: str, rows: Sequence[Row]) -> bool:
    return bool(rows) and all(suffix_of(row[head].strip()) in SUFFIXES for row in rows)


def _is_mark(value: str) -> bool:
    return value.strip().casefold() in _MARKS


def _are_numbers(head: str, rows: Sequence[Row]) -> bool:
    """Whether a column holds numbers, which could be ages or scores as well as classes."""
    return all(row[head].strip().replace(".", "", 1).lstrip("-").isdecimal() for row in rows)


def _missing(path: Path, heads: Sequence[str], names: Sequence[str]) -> NoListError:
    has = f"it has {few(heads, 8)}" if heads else "it is empty"
    return NoListError(f"{path}: needs a column {' or '.join(names[:3])}; {has}")
