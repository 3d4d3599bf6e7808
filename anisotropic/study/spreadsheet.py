"""How do rows become a CSV file that a spreadsheet may open? Texts that it would take for formulas are quoted."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


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


def _harmless(value: Any) -> Any:
    """A value, with an apostrophe before a text that a spreadsheet would compute; a text that is a number is none."""
    if not isinstance(value, str) or value[:1] not in ("=", "+", "-", "@", "\t", "\r"):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
