"""How does a record look in a notebook? A small table of escaped text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from .output import number


def html_table(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as an HTML table; numbers to four digits, every text escaped.

    >>> html_table([{"a<b": 1234.5}])
    '<table><thead><tr><th>a&lt;b</th></tr></thead><tbody><tr><td>1,234</td></tr></tbody></table>'
    """
    listed = [dict(row) for row in rows]
    columns = list(dict.fromkeys(k for row in listed for k in row))
    head = "".join(f"<th>{told(c)}</th>" for c in columns)
    lines = ("".join(f"<td>{told(row.get(c, ''))}</td>" for c in columns) for row in listed)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def html_block(title: str, *paragraphs: str, rows: Iterable[Mapping[str, Any]] = ()) -> str:
    """A bold title, paragraphs of text, and a table where there are rows.

    >>> html_block("Run", "x < 1")
    '<div><p><strong>Run</strong></p><p>x &lt; 1</p></div>'
    """
    listed = list(rows)
    texts = "".join(f"<p>{told(text)}</p>" for text in paragraphs if text)
    return f"<div><p><strong>{told(title)}</strong></p>{texts}{html_table(listed) if listed else ''}</div>"


def told(value: Any) -> str:
    """A value as a reader wants it, escaped."""
    return "-" if value is None else escape(number(value))
