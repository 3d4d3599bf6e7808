"""How does anything reach the reader? Numbers, tables that fit the terminal, and JSON without NaN."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

#: Version of every JSON document that this package prints or writes.
SCHEMA = 1
WIDEST = 80


def number(value: Any) -> str:
    """A value as a reader wants it: four significant digits, thousands separated.

    >>> [number(v) for v in (3291.63, 0.012345678, 10_000, 1e-9, float("nan"), "sgd", True)]
    ['3,292', '0.01235', '10,000', '1e-09', '-', 'sgd', 'yes']
    """
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        return f"{value:,}"
    if isinstance(value, (float, np.floating)):
        real = float(value)
        if math.isnan(real):
            return "-"
        return f"{real:,.0f}" if 1000 <= abs(real) < 1e7 else f"{real:.4g}"
    return str(value)


def plain(value: Any) -> Any:
    """What JSON can say: arrays become lists, NaN and infinities null, anything else its text.

    >>> plain({"a": np.array([1.0, np.nan]), "b": (1, None)})
    {'a': [1.0, None], 'b': [1, None]}
    """
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (int, float, str, bool, type(None))) else str(value)


def console(*, stderr: bool = False) -> Any:
    """A rich console on the current stream, never wider than 80 columns; it honours NO_COLOR and COLUMNS."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    found = Console(file=stream)
    return found if found.width <= WIDEST else Console(file=stream, width=WIDEST)


def say(text: str) -> None:
    """Print a sentence on stdout, wrapped to the terminal."""
    console().print(text, markup=False, highlight=False)


def show(rows: Sequence[Mapping[str, Any]], title: str = "") -> None:
    """Print dicts with the same keys as a table on stdout, at most 80 columns wide; words are broken only in need."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    printer = console()
    columns = list(dict.fromkeys(k for row in rows for k in row))
    cells = [[number(row.get(c, "")) for c in columns] for row in rows]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    widths = widths_for([columns, *cells], printer.width - 2 * len(columns) + 1)
    for column, width in zip(columns, widths, strict=True):
        numeric = all(isinstance(row.get(column, 0), (int, float, np.number)) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold", width=width)
    for texts in cells:
        table.add_row(*map(Text, texts))
    if title:
        printer.print(Text(title, style="bold"))
    printer.print(table)
    printer.print()


def widths_for(lines: Sequence[Sequence[str]], budget: int) -> list[int]:
    """Widths of the columns of a table: first no word is broken, then no text is wrapped, as far as `budget` goes.

    >>> widths_for([["a", "long words here"], ["b", "x"]], 16), widths_for([["a", "long words here"]], 11)
    ([1, 15], [1, 10])
    >>> widths_for([["a" * 9, "b" * 12]], 16)
    [9, 7]
    """
    columns = list(zip(*lines, strict=True))
    words = [max((len(word) for text in column for word in text.split()), default=1) for column in columns]
    whole = [max(map(len, column)) for column in columns]
    widths = [min(width, 6) for width in words]
    for wanted in (words, whole):
        for k in sorted(range(len(columns)), key=lambda k: wanted[k] - widths[k]):
            spare = budget - sum(widths)
            if wanted is whole or wanted[k] - widths[k] <= spare:
                widths[k] += min(max(0, wanted[k] - widths[k]), max(0, spare))
    return widths
