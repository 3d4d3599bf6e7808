"""What did the study find? Arrays by axis values, tables that fit a terminal, figures, CSV and plain sentences."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._support.names import nearest
from .._support.output import SCHEMA, plain, say, show
from .._support.paper import latex_table
from ..evidence.entries import Race
from ..records import Verdict
from . import frames, spreadsheet
from .errors import StudyError
from .files import canonical, write_bytes, write_text
from .grid import Axes
from .races import Races
from .screen import show_verdicts
from .source import Definition
from .store import FINISHED, Cell, Entry, Store

SUMMARY = "summary.json"
CELLS = "cells.csv"
SHOWN_POINTS = 5


class Results:
    """The finished cells of a study, and the way out for everything that is said about them.

    `axes` are those in force, `points` the finished points in grid order, `missing` and `failed` the others. What a
    cell returned is read when it is first asked for; a stored cell that is not as it was written counts as missing.
    """

    def __init__(
        self,
        study: Definition,
        folder: Path,
        axes: Axes,
        *,
        quiet: bool = False,
        stored: tuple[Mapping[str, dict[str, Any]], Mapping[str, Entry]] | None = None,
    ) -> None:
        self.study, self.folder, self.axes, self.quiet = study, folder, axes, quiet
        self._store = Store(folder)
        points = stored[0] if stored is not None else study.keys(axes)
        index = stored[1] if stored is not None else self._store.index(points)
        self._finished = {k: p for k, p in points.items() if k in index and index[k].state in FINISHED}
        self._entries = index
        self._loaded: dict[str, Cell] = {}
        self.points = list(self._finished.values())
        broken = {k: p for k, p in points.items() if k in index and index[k].state == "failed"}
        self.failed = [c._replace(point=broken[k]) for k, c in zip(broken, self._store.cells(broken), strict=True)]
        self.missing = [p for k, p in points.items() if k not in index or index[k].state == "damaged"]
        self.damaged = sum(entry.state == "damaged" for entry in index.values())
        self.outdated = self._store.outdated(p for k, p in points.items() if k not in index) if self.missing else 0
        self.summary: dict[str, Any] = {
            "schema": SCHEMA,
            "study": study.name,
            "question": study.document.partition("\n")[0],
            "axes": axes,
            "cells": len(points),
            "finished": len(self.points),
            "diverged": sum(index[k].state == "diverged" for k in self._finished),
            "failed": len(self.failed),
            "complete": len(self.points) == len(points),
            "sentences": [],
            "tables": [],
            "verdicts": [],
            "files": [],
            "figures": {},
            "errors": [
                {"count": len(cells), "points": [c.point for c in cells[:SHOWN_POINTS]], "traceback": trace}
                for trace, cells in alike(self.failed).items()
            ],
        }

    @property
    def complete(self) -> bool:
        """True where every point of the grid has finished."""
        return self.summary["complete"]

    def cells(self, **select: Any) -> list[Cell]:
        """The finished cells whose axes have the given values (a value or a list of values for each axis)."""
        wanted = self._wanted(select)
        chosen = [k for k, p in self._finished.items() if all(p[axis] in v for axis, v in wanted.items() if axis in p)]
        absent = [k for k in chosen if k not in self._loaded]
        for key, cell in zip(absent, self._store.cells(absent), strict=True):
            self._loaded[key] = cell._replace(point=self._finished[key])
        return [self._loaded[k] for k in chosen]

    def one(self, **select: Any) -> dict[str, Any]:
        """The arrays of the one finished cell that the axis values single out."""
        found = self.cells(**select)
        if len(found) != 1:
            raise StudyError(f"{_words(select) or 'no choice'} singles out {len(found)} finished cells; expected one")
        return found[0].arrays

    def array(self, name: str, **select: Any) -> np.ndarray:
        """One quantity over the grid.

        Parameters
        ----------
        name : str
            A key of the dict that `cell` returned.
        **select
            An axis value drops that axis, a list of values keeps it in the order of the list.

        Returns
        -------
        array
            One dimension for each axis that is left and has more than one value or was selected by a list, in the
            order of AXES, then the shape of the quantity. Cells without it hold NaN (numbers) or "" (texts).

        Raises
        ------
        StudyError
            No finished cell has the quantity, or its shape differs between cells.
        """
        wanted = self._wanted(select)
        left = {k: wanted.get(k, v) for k, v in self.axes.items()}
        listed = {k for k, v in select.items() if isinstance(v, (list, tuple))}
        kept = {k: v for k, v in left.items() if k in listed or (k not in select and len(v) > 1)}
        found = self.cells(**select)
        values = {canonical(c.point): np.asarray(c.arrays[name]) for c in found if name in c.arrays}
        if not values:
            names = sorted({n for c in found for n in c.arrays})
            where = _words(select) or "any point"
            raise StudyError(f"no finished cell with {where} has {name!r}; found {names}{nearest(name, names)}")
        shapes = {v.shape for v in values.values()}
        if len(shapes) > 1:
            raise StudyError(f"{name!r} has shapes {sorted(shapes)} in different cells; read them with cells()")
        kind = np.result_type(*values.values())
        hole = len(values) < math.prod(len(v) for v in left.values())
        kind = np.result_type(kind, np.float64) if hole and kind.kind in "iub" else kind
        shape = tuple(len(v) for v in kept.values())
        out = np.full(shape + shapes.pop(), "" if kind.kind == "U" else np.nan if hole else 0, dtype=kind)
        for cell in found:
            if name in cell.arrays:
                out[tuple(kept[k].index(cell.point[k]) for k in kept)] = values[canonical(cell.point)]
        return out

    def races(self, label: str | Callable[[dict[str, Any]], str] = "", **select: Any) -> Races:
        """The races that the selected cells returned (``{**race.arrays()}``), to draw, to store and to speak of.

        `label` names a race: a format string over the axes such as "M={batch}", or a function of the point.
        """
        found = [(c.point, Race.from_arrays(c.arrays)) for c in self.cells(**select) if "race" in c.arrays]
        return Races(self, found, label or ", ".join(f"{axis}={{{axis}}}" for axis in self.axes))

    def _wanted(self, select: Mapping[str, Any]) -> Axes:
        wanted: Axes = {}
        for axis, value in select.items():
            if axis not in self.axes:
                has = f"it has {', '.join(self.axes)}{nearest(axis, self.axes)}"
                raise StudyError(f"study {self.study.name} has no axis {axis!r}; {has}")
            wanted[axis] = list(value) if isinstance(value, (list, tuple)) else [value]
            for v in wanted[axis]:
                if v not in self.axes[axis]:
                    raise StudyError(f"axis {axis!r} has no value {v!r}; it has {self.axes[axis]}")
        return wanted

    def say(self, sentence: str) -> None:
        """Print a plain sentence and keep it for summary.json."""
        self.summary["sentences"].append(sentence)
        if not self.quiet:
            say(sentence)

    def table(self, rows: Iterable[Mapping[str, Any]], title: str = "") -> None:
        """Print rows, dicts with the same keys, as a table of at most 80 columns, and keep it for summary.json."""
        kept = [dict(row) for row in rows]
        self.summary["tables"].append({"title": title, "rows": plain(kept)})
        if not self.quiet and kept:
            show(kept, title)

    def verdicts(
        self, verdicts: Iterable[tuple[str, Verdict]], title: str = "Verdicts", *, planted: bool = False
    ) -> None:
        """Print (label, verdict) pairs with slack, power and untested terms, and keep them for summary.json.

        A violated bound makes the study end with exit code 4, unless `planted` says that the falsehoods in this table
        were put there to be caught.
        """
        pairs = list(verdicts)
        listed = [{"label": label, **plain(verdict.to_dict())} for label, verdict in pairs]
        self.summary["verdicts"].append({"title": title, "planted": planted, "verdicts": listed})
        if not self.quiet and pairs:
            show_verdicts(listed, title)

    @property
    def violated(self) -> bool:
        """True where a verdict says violated and nobody planted it."""
        real = [t["verdicts"] for t in self.summary["verdicts"] if not t["planted"]]
        return any(v["status"] == "violated" for verdicts in real for v in verdicts)

    def save_figure(self, figure: Any, name: str) -> Path:
        """Write a figure, or that of given Axes, as PDF with embedded fonts, PNG and SVG; returns the PDF's path."""
        figure = getattr(figure, "figure", figure)
        if figure is None or not hasattr(figure, "savefig"):
            raise TypeError(f"save_figure got {type(figure).__name__}; expected a matplotlib Figure or Axes")
        from ..plotting import describe, save

        self.summary["figures"][name] = describe(figure)
        with tempfile.TemporaryDirectory() as private:
            drawn = save(figure, Path(private) / name, ("pdf", "png", "svg"))
            paths = [self._keep(write_bytes(self.folder / path.name, path.read_bytes())) for path in drawn]
        return paths[0]

    def save_csv(self, name: str, rows: Iterable[Mapping[str, Any]] | Mapping[str, Sequence[Any]]) -> Path:
        """Write rows (dicts), or a mapping of column names to columns of equal length, as NAME.csv."""
        if isinstance(rows, Mapping):
            rows = [dict(zip(rows, values, strict=True)) for values in zip(*rows.values(), strict=True)]
        kept = [dict(row) for row in rows]
        return self._write_csv(name, list(dict.fromkeys(k for row in kept for k in row)), kept)

    def save_latex(self, name: str, rows: Iterable[Mapping[str, Any]], caption: str = "", label: str = "") -> Path:
        """Write rows (dicts) as NAME.tex, a table for a paper; intervals keep the digits that their width supports."""
        path = self.folder / f"{name.removesuffix('.tex')}.tex"
        return self._keep(write_text(path, latex_table(rows, caption, label) + "\n"))

    def save_json(self, name: str = "results") -> Path:
        """Write all cells with their arrays as NAME.json, in the form that `to_dict` returns."""
        path = self.folder / f"{name.removesuffix('.json')}.json"
        return self._keep(write_text(path, json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n"))

    def to_dict(self) -> dict[str, Any]:
        """All cells with their arrays as plain values: schema, study, axes, cells, missing and failed points."""
        return frames.to_dict(self)

    def to_pandas(self) -> Any:
        """A ``pandas.DataFrame`` with one row per finished cell: point, state, seconds and scalars (extra `xarray`)."""
        return frames.to_pandas(self)

    def to_xarray(self, *names: str) -> Any:
        """An ``xarray.Dataset`` over the axes of the grid (extra `xarray`).

        Missing cells hold NaN or "". A quantity with dimensions of its own calls them NAME_0, NAME_1, ...; one whose
        shape differs between cells is left out and named in ``attrs["left out"]``. `names` selects quantities.
        """
        return frames.to_xarray(self, *names)

    def tabular(self) -> tuple[Any, ...]:
        """Axes, finished points, entries and scalars, as `spreadsheet.of_cells` takes them."""
        return self.axes, self._finished, self._entries, self._store.scalars(self._finished)

    def _repr_html_(self) -> str:
        from .._support.html import html_block

        done, total = len(self.points), self.summary["cells"]
        told = f"{done} of {total} cells finished, {self.summary['diverged']} diverged, {len(self.failed)} failed"
        rows = [{"axis": name, "values": ", ".join(map(str, values))} for name, values in self.axes.items()]
        return html_block(f"{self.study.name}: {told}", *self.summary["sentences"], rows=rows)

    def write_cells(self, *, unless_there: bool = False) -> Path:
        """Write cells.csv: every finished cell with its point, state, seconds and its scalar quantities."""
        if unless_there and (self.folder / CELLS).is_file():
            return self._keep(self.folder / CELLS)
        return self._write_csv("cells", *spreadsheet.of_cells(*self.tabular()))

    def _write_csv(self, name: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Path:
        path = self.folder / f"{name.removesuffix('.csv')}.csv"
        return self._keep(write_text(path, spreadsheet.text_of(columns, rows)))

    def write_summary(self) -> Path:
        """Write summary.json: completeness, sentences, tables, verdicts and the files beside it."""
        return write_text(self.folder / SUMMARY, self.summary_text())

    def summary_text(self) -> str:
        """What `write_summary` writes."""
        return json.dumps(plain(self.summary), indent=1, allow_nan=False) + "\n"

    def _keep(self, path: Path) -> Path:
        if path.name not in self.summary["files"]:
            self.summary["files"].append(path.name)
        return path


def alike(failed: Iterable[Cell]) -> dict[str, list[Cell]]:
    """Failed cells by their traceback."""
    groups: dict[str, list[Cell]] = {}
    for cell in failed:
        groups.setdefault(cell.traceback, []).append(cell)
    return groups


def _words(select: Mapping[str, Any]) -> str:
    return ", ".join(f"{k}={v!r}" for k, v in select.items())
