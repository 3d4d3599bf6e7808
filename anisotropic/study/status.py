"""How far is a study, and why did cells fail? What the words ``status`` and ``errors`` answer."""

from __future__ import annotations

import json
from pathlib import Path

from .._support.output import SCHEMA, plain, visible
from .grid import Axes
from .results import SHOWN_POINTS, Results, alike
from .source import Definition
from .store import FINISHED, Store

COMPLETE, INCOMPLETE = 0, 3


def status(study: Definition, folder: Path, axes: Axes, as_json: bool) -> int:
    """Print how many cells are done, diverged, failed or missing; 3 where any is left."""
    points = study.keys(axes)
    store = Store(folder)
    index = store.index(points)
    states = [entry.state for entry in index.values()]
    counts = {state: states.count(state) for state in (*FINISHED, "failed")}
    counts["missing"] = len(points) - sum(counts.values())
    damaged = states.count("damaged")
    old = store.outdated(p for k, p in points.items() if k not in index)
    left = counts["failed"] + counts["missing"]
    spent = [entry.seconds for entry in index.values() if entry.state in FINISHED]
    seconds = left * sum(spent) / len(spent) if spent else None if left else 0.0
    if as_json:
        told = {"schema": SCHEMA, "study": study.name, "cells": len(points), **counts, "outdated": old}
        print(json.dumps(plain(told | {"damaged": damaged, "cell_seconds_left": seconds}), allow_nan=False))
        return INCOMPLETE if left else COMPLETE
    parts = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    estimate = f"; about {seconds:.0f} s of one core left" if seconds else ""
    print(f"{study.name}: {len(points)} cells: {parts}{estimate}")
    if old:
        print(f"{old} missing cells are stored by an older version of this study or package; a run recomputes them")
    if damaged:
        print(f"{damaged} missing cells are stored but damaged (wrong checksum); a run recomputes them")
    return INCOMPLETE if left else COMPLETE


def errors(results: Results, as_json: bool) -> int:
    """Print the tracebacks of failed cells, equal ones once; 3 where there are any."""
    if as_json:
        failed = [{"point": c.point, "traceback": c.traceback} for c in results.failed]
        print(json.dumps(plain({"schema": SCHEMA, "study": results.study.name, "failed": failed}), allow_nan=False))
        return INCOMPLETE if failed else COMPLETE
    for trace, cells in alike(results.failed).items():
        for cell in cells[:SHOWN_POINTS]:
            print(visible(", ".join(f"{k}={v}" for k, v in cell.point.items())))
        if len(cells) > SHOWN_POINTS:
            print(f"and {len(cells) - SHOWN_POINTS} more cells")
        print(visible(trace))
    print(f"{results.study.name}: {len(results.failed)} failed cells")
    return INCOMPLETE if results.failed else COMPLETE
