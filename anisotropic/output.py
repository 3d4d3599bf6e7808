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
    """Print dicts with the same keys as a table on stdout, at most 80 columns wide."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    columns = list(dict.fromkeys(k for row in rows for k in row))
    widest = max(len(number(row.get(columns[0], ""))) for row in rows)
    for k, column in enumerate(columns):
        numeric = all(isinstance(row.get(column, 0), (int, float, np.number)) for row in rows)
        whole = k == 0 and widest <= 25
        table.add_column(column, justify="right" if numeric else "left", overflow="fold", no_wrap=whole)
    for row in rows:
        table.add_row(*(Text(number(row.get(c, ""))) for c in columns))
    printer = console()
    if title:
        printer.print(Text(title, style="bold"))
    printer.print(table)
