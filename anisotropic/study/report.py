"""What did a study find, on one page to hand around? A results folder as a single HTML file without outside links."""

from __future__ import annotations

import base64
import csv
import html
import io
import json
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .._support.output import number
from .errors import StudyError
from .files import write_text
from .manifest import MANIFEST
from .results import SUMMARY

STYLE = """
:root { color-scheme: light dark; --edge: color-mix(in srgb, currentColor 22%, transparent); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; line-height: 1.25; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; font-size: .875rem; display: block; overflow-x: auto; }
th, td { padding: .2rem .7rem .2rem 0; text-align: left; border-bottom: 1px solid var(--edge); vertical-align: top; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
figure { margin: 1rem 0; } figure img { max-width: min(100%, 44rem); background: white; }
.warn { border-left: 4px solid #d55e00; padding: .3rem .8rem; } .violated { color: #d55e00; font-weight: 600; }
details { margin: .5rem 0; } code { font-size: .85em; overflow-wrap: anywhere; }
"""
LARGEST_TABLE = 200
LONGEST_TEXT = 200


def write(folder: str | Path, path: str | Path | None = None) -> Path:
    """Write the report of a results folder; returns its path, by default ``report.html`` in the folder.

    It holds the sentences, verdicts with power, tables, figures, CSV files and the manifest, and opens without network.

    Raises
    ------
    StudyError
        The folder holds no summary, or the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from anisotropic.study import Study
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     results = Study("squares", {"n": [1, 2]}, lambda n: {"square": n * n}).run(folder)
    ...     results.quiet = True
    ...     _ = results.say("The square of 2 is 4."), results.write_summary()
    ...     "The square of 2 is 4." in write(folder).read_text()
    True
    """
    folder = Path(folder)
    summary, manifest = _read(folder / SUMMARY), _read(folder / MANIFEST)
    try:
        page = _page(folder, summary, manifest)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise StudyError(
            f"{folder / SUMMARY} or {MANIFEST} beside it is not what a study writes ({type(error).__name__}: {error}); "
            "run and plot the study again, which keeps its finished cells"
        ) from None
    return write_text(Path(path) if path is not None else folder / "report.html", page)


def _page(folder: Path, summary: Mapping[str, Any], manifest: Mapping[str, Any]) -> str:
    title = summary["question"] or summary["study"]
    body = [f"<h1>{_text(title)}</h1>", _state(summary, manifest)]
    body += [f"<p>{_text(sentence)}</p>" for sentence in summary["sentences"]]
    body += [_verdicts(table) for table in summary["verdicts"]]
    body += [f"<h2>{_text(t['title'] or 'Table')}</h2>{_table(t['rows'])}" for t in summary["tables"]]
    pictures = [name for name in summary["files"] if name.endswith((".pdf", ".png"))]
    body += [_picture(folder, name) for name in dict.fromkeys(f"{p[:-4]}.png" for p in pictures)]
    body += [_csv(folder, name) for name in summary["files"] if name.endswith(".csv")]
    body += [_details("How it was computed", _table(_conditions(manifest)))]
    data = json.dumps({"summary": summary, "manifest": manifest}).replace("<", "\\u003c")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{_text(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
        f'{"".join(body)}<script type="application/json" id="data">{data}</script></body></html>\n'
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise StudyError(f"{path.parent} has no {path.name}; run and plot a study into it first") from None
    except (ValueError, RecursionError) as error:
        raise StudyError(f"{path} is not JSON ({error}); run the study again, which keeps its finished cells") from None


def _text(value: Any) -> str:
    return html.escape(number(value))


def _state(summary: Mapping[str, Any], manifest: Mapping[str, Any]) -> str:
    """One line on completeness; an incomplete sweep must not pass for a complete one."""
    done = f"{summary['finished']} of {summary['cells']} cells finished, {summary['diverged']} of them diverged"
    version = manifest["versions"]["anisotropic"]
    told = f"{done}, {summary['failed']} failed. anisotropic {version}, started {manifest['start']}."
    return f'<p class="{"" if summary["complete"] else "warn"}">{_text(told)}</p>'


def _verdicts(table: Mapping[str, Any]) -> str:
    """The rows of a verdict table, from its JSON form."""
    rows = []
    for v in table["verdicts"]:
        applies = v["status"] != "not applicable"
        sees = v["power"] if applies and v["status"] != "violated" else ""
        numbers = {"slack": v["slack"] if applies else "", "sees factor": sees}
        idle = ", ".join(t["name"] for t in v["terms"] if not t["exercised"])
        told = f"{v['status']}: {v['reason']}" if v["reason"] else v["status"]
        bound = f"{v['theorem']} ({v['form']})" if v.get("form") else v["theorem"]
        rows.append({"case": v["label"], "bound": bound, "verdict": told, **numbers, "untested": idle})
    planted = " (falsehoods planted to be caught)" if table["planted"] else ""
    return f"<h2>{_text(table['title'])}{planted}</h2>{_table(rows)}"


def _table(rows: Iterable[Mapping[str, Any]]) -> str:
    listed = list(rows)
    columns = list(dict.fromkeys(k for row in listed for k in row))
    head = "".join(f"<th>{_text(c)}</th>" for c in columns)
    body = "".join(f"<tr>{''.join(_entry(row.get(c, '')) for c in columns)}</tr>" for row in listed)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _entry(value: Any) -> str:
    if value is None:
        return "<td>-</td>"
    kind = ' class="n"' if isinstance(value, (int, float)) else ""
    mark = ' class="violated"' if isinstance(value, str) and value.startswith("violated") else ""
    return f"<td{kind or mark}>{_text(value)}</td>"


def _content(folder: Path, name: str) -> bytes | None:
    """What a file of the folder itself holds. A summary may come from a stranger and name the reader's own files."""
    path = folder / name
    try:
        if Path(name).name != name or not stat.S_ISREG(path.lstat().st_mode):
            return None
        return path.read_bytes()
    except (OSError, ValueError):
        return None


def _absent(folder: Path, name: str) -> str:
    gone = Path(name).name == name and not os.path.lexists(folder / name)
    why = "missing" if gone else "is not a file of this folder"
    return f'<p class="warn">{_text(name)} is listed in the summary but {why}.</p>'


def _picture(folder: Path, file: str) -> str:
    content = _content(folder, file)
    if content is None:
        return _absent(folder, file)
    data = base64.b64encode(content).decode()
    name = _text(file.removesuffix(".png").replace("_", " "))
    return f'<figure><img alt="{name}" src="data:image/png;base64,{data}"><figcaption>{name}</figcaption></figure>'


def _csv(folder: Path, name: str) -> str:
    content = _content(folder, name)
    if content is None:
        return _absent(folder, name)
    text = content.decode("utf-8", "replace")
    before = csv.field_size_limit(len(text) + 1)
    try:
        rows = [{k: _short(v) for k, v in row.items()} for row in csv.DictReader(io.StringIO(text))]
    finally:
        csv.field_size_limit(before)
    shown = f", the first {LARGEST_TABLE} of {len(rows)} rows" if len(rows) > LARGEST_TABLE else ""
    data = base64.b64encode(text.encode()).decode()
    link = f'<p><a download="{_text(name)}" href="data:text/csv;base64,{data}">Save {_text(name)}</a></p>'
    return _details(f"{name}{shown}", link + _table(rows[:LARGEST_TABLE]))


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]} ... ({len(text):,} characters)"


def _details(title: str, content: str) -> str:
    return f"<details><summary>{_text(title)}</summary>{content}</details>"


def _conditions(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The manifest as rows, without the digests of the cells."""
    rows = []
    for name, value in manifest.items():
        if name != "digests":
            rows.append({"what": name, "value": json.dumps(value) if isinstance(value, (dict, list)) else value})
    return rows
