"""How do rows become a CSV file that a spreadsheet may open? Texts that it would take for formulas are quoted."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from .store import Entry


def text_of(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """CSV with a header; a missing value is an empty field.

    >>> text_of(["n", "name"], [{"n": -1, "name": "=1+1"}, {"name": "sgd"}])
    "n,name\\n-1,'=1+1\\n,sgd\\n"
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(map(_harmless, columns))
    for row in rows:
        writer.writerow([_harmless(row.get(c, "")) for c in columns])
    return out.getvalue()


def of_cells(
    axes: Iterable[str],
    points: Mapping[str, dict[str, Any]],
    entries: Mapping[str, Entry],
    scalars: Iterable[tuple[str, dict[str, Any]]],
) -> tuple[list[str], Iterator[dict[str, Any]]]:
    """Columns and rows for finished cells: point, state, seconds, and what the cells returned besides arrays.

    A quantity that is called like an axis, "state" or "seconds" gets a column of its own, "NAME (result)", unless it
    only repeats the axis.
    """
    own = [*axes, "state", "seconds"]
    names: dict[str, int] = {}
    found: dict[str, list[Any]] = {}  # by key, in the order of `names`: a hundred thousand dicts would be large
    clashes = set()
    for key, values in scalars:
        found[key] = row = [""] * len(names)
        for name, value in values.items():
            shown = value["verdict"]["status"] if isinstance(value, dict) else value
            if names.setdefault(name, len(names)) < len(row):
                row[names[name]] = shown
            else:
                row.append(shown)
            if name in own and shown != points[key].get(name):
                clashes.add(name)
    columns = {k: f"{k} (result)" if k in clashes else k for k in names if k in clashes or k not in own}

    def rows() -> Iterator[dict[str, Any]]:
        for key, point in points.items():
            row, entry = found.get(key, []), entries[key]
            yield point | {"state": entry.state, "seconds": round(entry.seconds, 4)} | {
                column: row[names[name]] for name, column in columns.items() if names[name] < len(row)
            }

    return [*own, *columns.values()], rows()


def _harmless(value: Any) -> Any:
    """A value, with an apostrophe before a text that a spreadsheet would compute; a text that is a number is none."""
    if not isinstance(value, str) or value[:1] not in ("=", "+", "-", "@", "\t", "\r"):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
