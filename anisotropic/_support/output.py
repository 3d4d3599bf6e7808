"""How does anything reach the reader? Numbers, tables that fit the terminal, and JSON without NaN."""

from __future__ import annotations

import contextlib
import math
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

#: Version of every JSON document that this package prints or writes.
SCHEMA = 1
WIDEST = 80
#: What a terminal would obey and not show: control characters but for tab and newline, marks that turn the direction
#: of text, and halves of characters, which no encoding can write.
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    r"""A text that is safe to print: characters that steer a terminal become escapes.

    >>> print(visible("\x1b[31mred\x07"))
    \x1b[31mred\x07
    """
    return _HIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


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
    return visible(str(value))


class _Patient:
    """A stream whose reader may leave: what it does not take is dropped, and the work goes on."""

    def __init__(self, stream: Any, lost: type[OSError]) -> None:
        self._stream, self._lost = stream, lost

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
        except self._lost:
            self._leave()
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except self._lost:
            self._leave()

    def _leave(self) -> None:
        """Let the rest of the buffer go nowhere, also when Python ends."""
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def patient_streams() -> Iterator[None]:
    """Inside, neither a closed pipe behind stdout nor anything at all behind stderr stops the work."""
    before = sys.stdout, sys.stderr
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        sys.stdout = _Patient(before[0] or nowhere, BrokenPipeError)
        sys.stderr = _Patient(before[1] or nowhere, OSError)
        try:
            yield
            sys.stdout.flush()
        finally:
            sys.stdout, sys.stderr = before


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
    console().print(visible(text), markup=False, highlight=False)


def show(rows: Sequence[Mapping[str, Any]], title: str = "") -> None:
    """Print dicts with the same keys as a table on stdout, at most 80 columns wide; words are broken only in need."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    printer = console()
    columns = list(dict.fromkeys(k for row in rows for k in row))
    heads = [visible(str(c)) for c in columns]
    cells = [[number(row.get(c, "")) for c in columns] for row in rows]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    widths = widths_for([heads, *cells], printer.width - 2 * len(columns) + 1)
    for column, head, width in zip(columns, heads, widths, strict=True):
        numeric = all(isinstance(row.get(column, 0), (int, float, np.number)) for row in rows)
        table.add_column(Text(head), justify="right" if numeric else "left", overflow="fold", width=width)
    for texts in cells:
        table.add_row(*map(Text, texts))
    if title:
        printer.print(Text(visible(title), style="bold"))
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
