"""Tables, CSV and JSON out of any text whatever: hostile values change nothing but their own cell."""

import json
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vae_search.core.text import printable

LONGEST_CELL = 200  # characters; JSON and CSV have the whole value
_GAP = 2  # columns between two of a table

_QUOTED = re.compile(r'[",\r\n]|^ | $|^$')
_BEYOND_ASCII = re.compile(r"[^\n -~]")


def cell(value: object, longest: int = LONGEST_CELL) -> str:
    """A value on one line, without anything that a terminal would act on."""
    match value:
        case None:
            return "NULL"
        case float():
            return f"{value:.6g}"
        case _:
            return printable(str(value), longest)


def show_table(
    out: Console, names: Sequence[str], rows: Sequence[Sequence[str]], *, left: Collection[str] | None = None
) -> None:
    """Rows of cells below each other; where the screen is too narrow for that, one block for each row.

    So nothing is ever cut in the middle of a number.

    Args:
        left: the columns that are flush left; default: all.
    """
    names = [cell(name) for name in names]
    if not fits(names, rows, out.width):
        longest = max((cell_len(name) for name in names), default=0)
        blocks = (
            "\n".join(
                f"{name}{' ' * (longest - cell_len(name))}  {text}" for name, text in zip(names, row, strict=True)
            )
            for row in rows
        )
        out.print(escape("\n\n".join(blocks)), soft_wrap=True)
        return
    table = Table(box=None, pad_edge=False)
    for name in names:
        table.add_column(escape(name), justify="left" if left is None or name in left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*map(escape, row))
    out.print(table)


def fits(names: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> bool:
    """True if a table of these cells is at most `width` columns of a screen wide."""
    widths = (max(map(cell_len, column)) for column in zip(names, *rows, strict=True))
    return sum(widths) + _GAP * (len(names) - 1) <= width


def csv_text(names: Sequence[str], rows: Iterable[Sequence[object]], *, for_terminal: bool) -> str:
    """CSV as RFC 4180 has it: raw values, NULL as nothing, empty text as two quotes, lines that end in CR LF.

    Text that a spreadsheet would take for a formula stays as it is: whoever reads the file back must find what the
    store has, and a minus sign begins numbers as well. A spreadsheet is to import foreign columns as text.

    Args:
        for_terminal: whether control characters are shown as escapes, as `ls` does, instead of being obeyed.
    """
    lines = (",".join(map(_csv_field, row)) for row in [names, *rows])
    if for_terminal:
        return "".join(f"{_visible(line)}\n" for line in lines)
    return "".join(f"{line}\r\n" for line in lines)


def json_text(value: object) -> str:
    """`value` as JSON; NaN and infinity as null, dates and such as text, invisible characters as escapes."""
    text = json.dumps(plain(value), indent=1, ensure_ascii=False, default=str, allow_nan=False)
    # What is not printable stands in strings only, where JSON may have it as an escape.
    return _BEYOND_ASCII.sub(lambda found: found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1], text)


def plain(value: object) -> object:
    """A value as JSON has it: no NaN, no infinity."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case _:
            return value


def _csv_field(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)  # of a float, the shortest that reads back as the same one
    if isinstance(value, int | float) or not _QUOTED.search(text):
        return text
    return '"' + text.replace('"', '""') + '"'


def _visible(line: str) -> str:
    return printable(line, len(line) * 10)
