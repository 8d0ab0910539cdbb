"""What YOLO's data says of itself: `data.yaml` and lists of class names."""

import re
from pathlib import Path

from mobilenets.errors import DataError

_LISTS = ("classes.txt", "labels/classes.txt", "obj.names", "data/obj.names", "_darknet.labels")
_ITEM = re.compile(r"""\s*(?:'((?:[^']|'')*)'|"((?:[^"\\]|\\.)*)"|([^,\[\]{}]*))\s*(?:,|$)""")

Value = str | list[str] | dict[str, str]


def find_yaml(folder: Path) -> Path | None:
    """`data.yaml`, else the only YAML file of a folder that has a line `names:`."""
    files = sorted(f for f in folder.glob("*.y*ml") if f.suffix in (".yaml", ".yml"))
    plain = [file for file in files if file.stem == "data"]
    named = [f for f in plain or files if re.search(r"^names\s*:", _text(f), re.MULTILINE)]
    return named[0] if len(named) == 1 else None


def listed_names(folder: Path) -> list[str]:
    """The lines of `classes.txt`, `obj.names` or another `.names`; [] where there is none."""
    usual = [folder / name for name in _LISTS]
    files = [f for f in [*usual, *sorted(folder.glob("*.names"))] if f.is_file()]
    return [line.strip() for line in _text(files[0]).splitlines() if line.strip()] if files else []


def read_yaml(path: Path) -> dict[str, Value]:
    """The top level of a simple YAML file: texts, lists and mappings of texts.

    Comments, quotes, and lists and mappings over several lines are understood; what is nested
    deeper is not. DataError where a line is neither.
    """
    found: dict[str, Value] = {}
    lines = [line for line in map(_uncommented, _text(path).splitlines()) if line.strip()]
    at = 0
    while at < len(lines):
        key, colon, rest = lines[at].partition(":")
        if lines[at][0].isspace() or not colon:
            if lines[at].strip() in ("---", "..."):
                at += 1
                continue
            raise DataError(f"{path}: expected `name: value`, got {lines[at].strip()[:60]!r}")
        at += 1
        block = [rest]
        while at < len(lines) and (lines[at][0].isspace() or lines[at][0] in "-]}"):
            if lines[at].startswith("---"):
                break
            block.append(lines[at])
            at += 1
        found[_unquoted(key)] = _value(block, path)
    return found


def names_in(content: dict[str, Value], path: Path) -> list[str]:
    """The class names of a `data.yaml`, by number; a number left out has itself as its name."""
    names = content.get("names", [])
    if isinstance(names, list):
        return names
    if isinstance(names, dict) and all(key.isdecimal() and len(key) < 6 for key in names):
        by_number = {int(key): name for key, name in names.items()}
        return [by_number.get(i, str(i)) for i in range(max(by_number, default=-1) + 1)]
    raise DataError(f"{path}: names must be a list, or class numbers with names, got {names!r:.60}")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not text in UTF-8 ({error})") from error


def _uncommented(line: str) -> str:
    """Without what follows a # that begins a word outside quotes."""
    quoted = re.compile(r"""'[^']*'|"(?:[^"\\]|\\.)*"|(?:^|\s)(#)""")
    start = next((m.start(1) for m in quoted.finditer(line) if m[1]), len(line))
    return line[:start].rstrip()


def _value(block: list[str], path: Path) -> Value:
    first, rest = block[0].strip(), [line.strip() for line in block[1:]]
    if first[:1] in ("[", "{"):
        return _inline(" ".join([first, *rest]), path)
    if first or not rest:
        return _unquoted(" ".join([first, *rest]))
    if all(line.startswith("-") for line in rest):
        return [_unquoted(line[1:]) for line in rest]
    pairs = [line.partition(":") for line in rest]
    if not all(colon for _, colon, _ in pairs):
        raise DataError(f"{path}: expected a list or a mapping, got {rest[0][:60]!r}")
    return {_unquoted(key): _unquoted(value) for key, _, value in pairs}


def _inline(text: str, path: Path) -> Value:
    """`[a, 'b']` or `{0: a, 1: b}`."""
    if text[-1:] != {"[": "]", "{": "}"}[text[0]]:
        raise DataError(f"{path}: {text[:60]!r} has no end")
    inner, items = text[1:-1].strip().removesuffix(","), []
    at = 0
    if text[0] == "{":
        parts = [part.partition(":") for part in re.split(r",\s*(?=[\w'\"]+\s*:)", inner) if part]
        return {_unquoted(key): _unquoted(value) for key, _, value in parts}
    while at < len(inner):
        match = _ITEM.match(inner, at)
        if not match or match.end() == at:
            raise DataError(f"{path}: a list that cannot be read at {inner[at : at + 40]!r}")
        items.append(_unquoted(match[0].strip().removesuffix(",")))
        at = match.end()
    return items


def _unquoted(text: str) -> str:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    if len(text) > 1 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text
