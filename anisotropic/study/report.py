"""What did a study find, on one page to hand around? A results folder as a single HTML file without outside links."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import numbers
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .._support.output import number, visible
from . import pictures, spreadsheet
from .errors import StudyError
from .files import write_text
from .manifest import MANIFEST
from .results import SUMMARY

PAGE = Path(__file__).with_name("page")
LARGEST_TABLE = 200
LONGEST_TEXT = 200
#: Bytes of figures, of data to save and of JSON that one page carries; what does not fit stays beside it.
ROOM = {"figures": 1_500_000, "data": 400_000, "json": 600_000}
#: Statuses in the order in which a reader should see them.
STATUSES = ("violated", "inconclusive", "not contradicted", "not applicable")
VERDICT_COLUMNS = ("case", "bound", "verdict", "measured", "interval", "claim", "slack", "power", "untested")
LONG = ("slacks", "horizons", "digests")


def write(folder: str | Path, path: str | Path | None = None) -> Path:
    """Write the report of a results folder; returns its path, by default ``report.html`` in the folder.

    The page opens without network. It begins with the sentences that matter most and with the totals, violated bounds
    first. Then come the verdicts with their power, in a table that sorts and filters, all other tables, the figures
    with descriptions, the errors of failed cells, the data, the manifest, and how to repeat the study. Nothing from
    outside the folder is read, and nothing in it is executed.

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
        page = _render(_view(folder, summary, manifest))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise StudyError(
            f"{folder / SUMMARY} or {MANIFEST} beside it is not what a study writes ({type(error).__name__}: {error}); "
            "run and plot the study again, which keeps its finished cells"
        ) from None
    return write_text(Path(path) if path is not None else folder / "report.html", page)


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise StudyError(f"{path.parent} has no {path.name}; run and plot a study into it first") from None
    except (ValueError, RecursionError) as error:
        raise StudyError(f"{path} is not JSON ({error}); run the study again, which keeps its finished cells") from None


def _render(view: Mapping[str, Any]) -> str:
    """The page; every value is written as a reader wants it, and escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    def told(value: Any) -> Any:
        return value if isinstance(value, (Markup, StrictUndefined)) or callable(value) else number(value)

    room = Environment(
        loader=FileSystemLoader(PAGE), autoescape=True, undefined=StrictUndefined, finalize=told, trim_blocks=True
    )
    style, script = ((PAGE / f"report.{kind}").read_text(encoding="utf-8").strip() for kind in ("css", "js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    room.tests["number"] = lambda v: isinstance(v, numbers.Real) and not isinstance(v, bool)
    return room.get_template("report.html").render(
        view,
        figures=[f | {"content": Markup(f["content"])} for f in view["figures"]],
        json=Markup(view["json"]),
        style=Markup(style),
        script=Markup(script),
        script_hash=Markup(f"sha256-{digest}"),
        raw=lambda v: Markup(repr(float(v))),
        verdict_columns=VERDICT_COLUMNS,
    ) + "\n"  # fmt: skip


def _view(folder: Path, summary: Mapping[str, Any], manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that the page shows, as plain values."""
    judged = [(bool(t["planted"]), v) for t in summary["verdicts"] for v in t["verdicts"]]
    view: dict[str, Any] = {
        "title": summary["question"] or summary["study"],
        "complete": bool(summary["complete"]),
        "state": _state(summary, manifest),
        "sentences": [str(sentence) for sentence in summary["sentences"]],
        "totals": _totals(summary, [v for planted, v in judged if not planted]),
        "real": _rows([v for planted, v in judged if not planted]),
        "planted": _rows([v for planted, v in judged if planted]),
        "tables": [{"title": t["title"] or "Table", **_table(t["rows"])} for t in summary["tables"]],
        "errors": _errors(summary),
        "conditions": _conditions(manifest),
        "repeat": _repeat(folder, manifest),
    }
    files = [str(name) for name in summary["files"]]
    view["figures"], view["lost"] = _figures(folder, files, summary.get("figures", {}))
    view["data"], lost = _data(folder, [name for name in files if name.endswith(".csv")])
    view["lost"] += lost
    names = {"verdicts": view["real"], "planted": view["planted"], "tables": view["tables"],
             "figures": view["figures"] or view["lost"], "statements": view["sentences"][5:],
             "errors": view["errors"], "data": view["data"], "manifest": True, "repeat": True}  # fmt: skip
    titles = {"planted": "Planted falsehoods", "statements": "All statements", "errors": "Errors",
              "manifest": "How it was computed", "repeat": "How to repeat it"}  # fmt: skip
    view["contents"] = [(k, titles.get(k, k.capitalize())) for k, there in names.items() if there]
    view["json"] = _json(summary, manifest)
    return view


def _state(summary: Mapping[str, Any], manifest: Mapping[str, Any]) -> str:
    """One line on completeness; an incomplete sweep must not pass for a complete one."""
    done = f"{summary['finished']} of {summary['cells']} cells finished, {summary['diverged']} of them diverged"
    version = manifest["versions"]["anisotropic"]
    return f"{done}, {summary['failed']} failed. anisotropic {version}, started {manifest['start']}."


def _totals(summary: Mapping[str, Any], verdicts: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """How many verdicts of each kind, violated ones first, and how many cells."""
    found = [v["status"] for v in verdicts]
    rows = [{"count": found.count(s), "what": s, "alarm": s == "violated" and s in found} for s in STATUSES if found]
    missing = summary["cells"] - summary["finished"] - summary["failed"]
    cells = {"finished": summary["finished"], "failed": summary["failed"], "not computed": missing}
    rows += [
        {"count": count, "what": f"cells {what}" if count != 1 else f"cell {what}", "alarm": what != "finished"}
        for what, count in cells.items() if count
    ]  # fmt: skip
    return rows


def _rows(verdicts: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the verdict table from their JSON form, violated ones first."""
    rows = []
    for v in verdicts:
        applies, violated = v["status"] != "not applicable", v["status"] == "violated"
        low, high = v["interval"]
        numbers = {
            "measured": v["estimate"],
            "interval": "-" if low is None or high is None else f"[{number(low)}, {number(high)}] {v['interval_kind']}",
            "claim": v["bound"],
            "slack": v["slack"],
            "power": f"off x{number(v['excess'])}" if violated and v.get("excess") is not None else v["power"],
        }
        rows.append({"status": str(v["status"]), "cells": {
            "case": v["label"],
            "bound": f"{v['theorem']} ({v['form']})" if v.get("form") else v["theorem"],
            "verdict": f"{v['status']}: {v['reason']}" if v["reason"] else v["status"],
            **(numbers if applies else dict.fromkeys(numbers, "")),
            "untested": ", ".join(t["name"] for t in v["terms"] if not t["exercised"]),
        }})  # fmt: skip
    order = {status: k for k, status in enumerate(STATUSES)}
    return sorted(rows, key=lambda row: order.get(row["status"], len(order)))


def _table(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    listed = [dict(row) for row in rows]
    return {"columns": list(dict.fromkeys(k for row in listed for k in row)), "rows": listed}


def _errors(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Tracebacks of failed cells, equal ones once; the last line names the reason."""
    return [
        {
            "count": e["count"],
            "reason": _short(str(e["traceback"]).strip().rpartition("\n")[2]),
            "points": [", ".join(f"{k}={v}" for k, v in point.items()) for point in e["points"]],
            "traceback": str(e["traceback"]),
        }
        for e in summary.get("errors", [])
    ]


def _figures(folder: Path, files: Sequence[str], told: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    """The figures as inline drawings, as pictures where there is no drawing, and sentences for those left out."""
    stems = dict.fromkeys(name[:-4] for name in files if name.endswith((".svg", ".png", ".pdf")))
    figures: list[dict[str, Any]] = []
    lost: list[str] = []
    room = ROOM["figures"]
    for k, stem in enumerate(stems):
        name, alt = stem.replace("_", " "), str(told.get(stem, ""))
        markup = None
        if f"{stem}.svg" in files and (data := pictures.content(folder, f"{stem}.svg")) is not None:
            markup = pictures.drawing(data, f"f{k}", alt or name)
        picture = None
        if markup is None or len(markup) > room:
            picture = pictures.content(folder, f"{stem}.png")
            markup = None if picture is None else pictures.embedded(picture, alt or name)
        if markup is None:
            lost.append(pictures.absent(folder, f"{stem}.png"))
        elif len(markup) > room:
            lost.append(f"{stem} is too large for this page; see the files {stem}.* beside it.")
        else:
            room -= len(markup)
            figures.append({"name": name, "alt": alt, "content": markup})
    return figures, lost


def _data(folder: Path, names: Iterable[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """The CSV files: their first rows to look at, and where it fits the whole of each to save."""
    found: list[dict[str, Any]] = []
    lost: list[str] = []
    room = ROOM["data"]
    for name in dict.fromkeys(names):
        content = pictures.content(folder, name)
        if content is None:
            lost.append(pictures.absent(folder, name))
            continue
        columns, rows = _parsed(content.decode("utf-8", "replace"))
        shown = f", the first {LARGEST_TABLE} of {len(rows):,} rows" if len(rows) > LARGEST_TABLE else ""
        link = "data:text/csv;base64," + base64.b64encode(spreadsheet.text_of(columns, rows).encode()).decode()
        fits = len(link) <= room
        room -= len(link) * fits
        short = [{k: _short(v) for k, v in row.items()} for row in rows[:LARGEST_TABLE]]
        found.append({"name": name, "title": f"{name}{shown}", "columns": columns, "rows": short,
                      "link": link if fits else ""})  # fmt: skip
    return found, lost


def _parsed(text: str) -> tuple[list[str], list[dict[str, str]]]:
    """Columns and rows of a CSV file; a row that is longer than the head loses what is beyond it."""
    before = csv.field_size_limit(len(text) + 1)
    try:
        reader = csv.DictReader(io.StringIO(text), restkey=None, restval="")
        rows = [{str(k): str(v) for k, v in row.items() if k is not None} for row in reader]
    finally:
        csv.field_size_limit(before)
    return [str(c) for c in reader.fieldnames or []], rows


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]} ... ({len(text):,} characters)"


def _conditions(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The manifest as rows, without the digests of the cells."""
    rows = []
    for name, value in manifest.items():
        if name != "digests":
            text = json.dumps(value) if isinstance(value, (dict, list)) else value
            rows.append({"what": name, "value": text if isinstance(text, bool) or text is None else str(text)})
    return rows


def _repeat(folder: Path, manifest: Mapping[str, Any]) -> list[dict[str, str]]:
    """The lines that install what computed this, that go on with the study, and that repeat and compare it."""
    name, command = str(manifest["study"]), str(manifest.get("command", ""))
    where = shlex.quote(f"{folder.name}/{MANIFEST}")
    version = manifest["versions"]["anisotropic"]
    return [
        {"text": "Install the version that computed it:", "command": f"pip install anisotropic=={version}"},
        *([{"text": "The command that was given; a second run computes only what is missing:", "command": command}]
          if command else []),
        {"text": "Compute every cell again, in a folder of its own, and compare all numbers bit for bit:",
         "command": f"anisotropic study run {shlex.quote(name)} --from-manifest {where}"},
    ]  # fmt: skip


def _json(summary: Mapping[str, Any], manifest: Mapping[str, Any]) -> str:
    """Summary and manifest for programs, without the long lists; nothing where they do not fit."""
    def brief(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: brief(v) for k, v in value.items() if k not in LONG}
        return [brief(v) for v in value] if isinstance(value, list) else value

    text = json.dumps({"summary": brief(dict(summary)), "manifest": brief(dict(manifest))})
    return visible(text).replace("<", "\\u003c") if len(text) <= ROOM["json"] else ""
