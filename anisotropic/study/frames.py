"""How do a study's numbers get into other tools? As an xarray data set, a pandas frame, or one JSON document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__
from .._support.extras import require
from .._support.output import SCHEMA, plain
from ..records import Verdict
from . import spreadsheet
from .errors import StudyError

if TYPE_CHECKING:
    from .results import Results


def to_pandas(results: Results) -> Any:
    """One row for each finished cell: its point, state, seconds, and every quantity that is a single value."""
    pandas = require("pandas", "xarray")
    columns, rows = spreadsheet.of_cells(*results.tabular())
    return pandas.DataFrame(list(rows), columns=columns)


def to_xarray(results: Results, *names: str) -> Any:
    """Quantities over the grid, NaN or "" where a cell is missing; own dimensions of an array are called ``NAME_0``."""
    xarray = require("xarray", "xarray")
    cells = results.cells()
    have = dict.fromkeys(name for cell in cells for name in cell.arrays)
    for name in names:
        if name not in have:
            raise StudyError(f"no finished cell has {name!r}; found {', '.join(map(str, have)) or 'none'}")
    data: dict[str, Any] = {}
    ragged: list[str] = []
    for name in names or have:
        found = [(c.point, _array(c.arrays[name])) for c in cells if name in c.arrays]
        shapes = {values.shape for _, values in found}
        if len(shapes) > 1:
            if names:
                raise StudyError(f"{name!r} has shapes {sorted(shapes)} in different cells; read them with cells()")
            ragged.append(name)
            continue
        own = [f"{name}_{k}" for k in range(found[0][1].ndim)]
        shown = f"{name} (result)" if name in results.axes else name
        data[shown] = ([*results.axes, *own], _filled(results, found, shapes.pop()))
    data["seconds"] = (list(results.axes), _filled(results, [(c.point, np.array(c.seconds)) for c in cells], ()))
    data["state"] = (list(results.axes), _filled(results, [(c.point, np.array(c.state)) for c in cells], ()))
    about = {"study": results.study.name, "question": results.summary["question"], "schema": SCHEMA}
    if ragged:
        about["left out"] = f"shapes differ between cells: {', '.join(ragged)}"
    axes = {name: _axis(values) for name, values in results.axes.items()}
    return xarray.Dataset(data, axes, about)


def to_dict(results: Results) -> dict[str, Any]:
    """Everything as plain values, under the keys that ``docs/howto/results.md`` lists."""
    return plain(
        {
            "schema": SCHEMA,
            "kind": "anisotropic.results",
            "version": __version__,
            "study": results.study.name,
            "question": results.summary["question"],
            "axes": results.axes,
            "complete": results.complete,
            "cells": [
                {
                    "point": c.point,
                    "state": c.state,
                    "seconds": c.seconds,
                    "values": {k: v.to_dict() if isinstance(v, Verdict) else v for k, v in c.arrays.items()},
                }
                for c in results.cells()
            ],
            "missing": results.missing,
            "failed": [{"point": c.point, "traceback": c.traceback} for c in results.failed],
        }
    )


def _array(value: Any) -> np.ndarray:
    return np.asarray(value.status if isinstance(value, Verdict) else value)


def _axis(values: list[Any]) -> np.ndarray:
    """The values of an axis; a mixture keeps its Python objects."""
    return np.array(values, dtype=None if len({type(v) for v in values}) == 1 else object)


def _filled(results: Results, found: list[tuple[dict[str, Any], np.ndarray]], shape: tuple[int, ...]) -> np.ndarray:
    """Values at their places in the grid; integers become floating where a place stays empty."""
    grid = tuple(len(values) for values in results.axes.values())
    kind = np.result_type(*(values for _, values in found)) if found else np.dtype(float)
    if len(found) < np.prod(grid) and kind.kind in "iub":
        kind = np.result_type(kind, np.float64)
    empty = "" if kind.kind == "U" else np.nan if kind.kind in "fc" else 0
    out = np.full(grid + shape, empty, dtype=kind)
    for point, values in found:
        out[tuple(axis.index(point[name]) for name, axis in results.axes.items())] = values
    return out
