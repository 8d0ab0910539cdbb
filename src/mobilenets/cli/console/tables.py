"""Tables: as wide as the terminal, and lines with tabs where nobody looks."""

from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple

from mobilenets.cli.console import out

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

GAP = 2
"""Columns of the terminal between two columns of a table."""
INDENT = 2
"""Before what stands below a name that has a line of its own."""
NARROW = 20
"""Text may be broken between its words into a column as narrow as this, and no narrower."""
Row = Sequence[str]


class Column(NamedTuple):
    """A column of a table, and how it may be made narrower."""

    title: str
    figures: bool = False
    """Set to the right, and never broken."""
    spare: int = 0
    """Above 0 it may be left out where the terminal is narrow, the greatest first."""


class Grid(NamedTuple):
    """What a table has: for each row of text a cell for each column."""

    columns: Sequence[Column]
    rows: Sequence[Row]
    strong: Collection[int] = ()
    """Rows that stand out."""
    groups: Sequence[str] = ()
    """What each row belongs to: said above the first of its kind."""
    group: str = ""
    """What the groups are, in a word."""
    once: bool = False
    """Whether the first cell is said once for rows that follow each other."""

    def cells(self, i: int) -> list[str]:
        """All of a column."""
        return [row[i] for row in self.rows]

    def of(self, kept: Sequence[int]) -> "Grid":
        """The same with some of its columns."""
        rows = [[row[i] for i in kept] for row in self.rows]
        return self._replace(columns=[self.columns[i] for i in kept], rows=rows)


def show_table(grid: Grid, *, title: str = "", apart: bool = False, heading: bool = True) -> None:
    """Print a table.

    On a terminal it is made as narrow as that is: text is broken between words, spare columns are
    left out and named below, and at last each name gets a line of its own. Elsewhere a row is a
    line, with tabs between its cells. `apart`: an empty line comes first.
    """
    if apart:
        out.line("")
    if title:
        out.line(title, style="italic")
    if not out.is_terminal:
        for row in plain_rows(grid, heading=heading):
            write_row(row)
        return
    width = out.console.width
    kept = fitting(grid, width)
    if kept is None:
        first = 1 if len(grid.columns) > 1 else 0
        kept = fitting(grid, width - INDENT, first=first)
        kept = [*range(first), *(kept if kept is not None else needed(grid, first))]
        _print_below_names(grid.of(kept), width, heading=heading)
    else:
        _print(grid.of(kept), width, heading=heading)
    left = [column.title for i, column in enumerate(grid.columns) if i not in kept]
    if left:
        out.line(f"no room for: {', '.join(left)}", style="dim")


def write_row(cells: Row) -> None:
    """Print cells as a line for programs; what breaks lines or cells is a space."""
    out.write("\t".join(" ".join(cell.split()) for cell in cells))


def plain_rows(grid: Grid, *, heading: bool = True) -> Iterator[Row]:
    """The rows as programs get them: titles first, and the group of each row at its end."""
    ends = [[group] for group in grid.groups] or [[] for _ in grid.rows]
    if heading:
        yield [*(column.title for column in grid.columns), *([grid.group] if grid.groups else [])]
    for row, end in zip(grid.rows, ends, strict=True):
        yield [*row, *end]


def needed(grid: Grid, first: int) -> list[int]:
    """The columns that are never left out, from the `first` on."""
    return [i for i, column in enumerate(grid.columns) if i >= first and not column.spare]


def fitting(grid: Grid, width: int, *, first: int = 0) -> list[int] | None:
    """The columns, from the `first` on, that have room in `width`; None if the needed have not."""
    kept = list(range(first, len(grid.columns)))
    while kept:
        if sum(least(grid, i) for i in kept) + GAP * (len(kept) - 1) <= width:
            return kept
        spare = max(kept, key=lambda i: (grid.columns[i].spare, i))
        if not grid.columns[spare].spare:
            break
        kept.remove(spare)
    return None


def extent(text: str) -> int:
    """How many columns of a terminal a text takes: signs of Asian scripts take two."""
    from rich.cells import cell_len

    return cell_len(text)


def natural(grid: Grid, i: int) -> int:
    """How wide a column would be if there were room."""
    texts = [grid.columns[i].title, *grid.cells(i)]
    return max(extent(line) for text in texts for line in text.split("\n"))


def least(grid: Grid, i: int) -> int:
    """How narrow a column can be made: words and figures are not broken."""
    title, figures, _ = grid.columns[i]
    texts = [title] if figures else [title, *grid.cells(i)]
    whole = max([min(NARROW, natural(grid, i)), 1])
    if figures:
        whole = max([extent(cell) for cell in grid.cells(i)], default=1)
    return max([whole, *(extent(word) for text in texts for word in text.split())])


def widths(grid: Grid, width: int) -> list[int]:
    """The width of each column in all of `width`: those that need least get theirs first."""
    found = [least(grid, i) for i in range(len(grid.columns))]
    room = width - sum(found) - GAP * (len(found) - 1)
    if room < 0:  # a word alone is wider: it has to be broken
        widest = max(range(len(found)), key=found.__getitem__)
        found[widest] = max(found[widest] + room, 1)
        return found
    wants = {i: natural(grid, i) - found[i] for i in range(len(found))}
    for done, i in enumerate(sorted(wants, key=wants.__getitem__)):
        more = min(wants[i], room // (len(wants) - done))
        found[i] += more
        room -= more
    return found


def _heads(grid: Grid) -> list[str]:
    """Above which row a group's name stands: the names, '' for none."""
    pairs = pairwise(["", *grid.groups])
    return ["" if group == before else group for before, group in pairs] or [""] * len(grid.rows)


def _firsts(grid: Grid) -> list[bool]:
    """Whether the first cell of each row is to be shown."""
    pairs = pairwise([None, *grid.cells(0)])
    return [not grid.once or cell != before for before, cell in pairs]


def _print(grid: Grid, width: int, *, heading: bool) -> None:
    """The table in one piece, or in one for each group, below each other."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    sizes = widths(grid, width)

    def new(*, heading: bool) -> Table:
        table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, show_header=heading)
        table.padding = (0, GAP - 1, 0, 0)
        for column, wide in zip(grid.columns, sizes, strict=True):
            _add(table, column, wide)
        return table

    table = new(heading=heading)
    heads, firsts = _heads(grid), _firsts(grid)
    for i, row in enumerate(grid.rows):
        if heads[i]:
            out.print(table)
            table = new(heading=False)
            if i:
                out.line("")
            out.line(heads[i], style="bold")
        shown = [row[0] if firsts[i] else "", *row[1:]]
        table.add_row(*(_text(cell, strong=i in grid.strong) for cell in shown))
    out.print(table)


def _print_below_names(grid: Grid, width: int, *, heading: bool) -> None:
    """The first cell of each row on a line of its own, the others below it."""
    from rich.padding import Padding
    from rich.table import Table

    rest = grid.of(range(1, len(grid.columns)))
    sizes = widths(rest, width - INDENT) if rest.columns else []

    def below(cells: Row, *, strong: bool) -> None:
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, GAP, 0, 0))
        for column, wide in zip(rest.columns, sizes, strict=True):
            _add(table, column, wide)
        table.add_row(*(_text(cell, strong=strong) for cell in cells))
        out.print(Padding(table, (0, 0, 0, INDENT), expand=False))

    if heading:
        out.line(grid.columns[0].title, style="bold")
        below([column.title for column in rest.columns], strong=True)
    heads, firsts = _heads(grid), _firsts(grid)
    for i, row in enumerate(grid.rows):
        if heads[i]:
            out.line(heads[i], style="bold")
        if firsts[i]:
            out.line(row[0], style="bold" if i in grid.strong else "")
        if rest.columns:
            below(row[1:], strong=i in grid.strong)


def _add(table: "Table", column: Column, width: int) -> None:
    """One more column, of this width; what is wider yet is broken, and nothing is cut."""
    side: Literal["left", "right"] = "right" if column.figures else "left"
    table.add_column(column.title, justify=side, width=width, overflow="fold")


def _text(cell: str, *, strong: bool) -> "Text":
    """A cell as it is, whatever signs it has."""
    from rich.text import Text

    return Text(cell, "bold" if strong else "")
