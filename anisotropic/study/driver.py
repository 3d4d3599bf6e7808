"""How is a study run? What is missing in a folder is computed, kept, and told in the manifest."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from . import manifest as record
from .dispatch import Dispatch
from .errors import StudyError
from .grid import Axes
from .progress import Progress
from .results import Results
from .signals import Signals
from .source import Definition
from .store import FINISHED, Entry, Store


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM during a study; every finished cell is stored. `dropped` cells may still be running."""

    def __init__(self, results: Results, dropped: int) -> None:
        super().__init__("interrupted")
        self.results, self.dropped = results, dropped


def run(
    study: Definition,
    folder: Path,
    axes: Axes,
    *,
    executor: str | Executor = "threads",
    workers: int | None = None,
    timeout: float | None = None,
    mix_processors: bool = False,
    quiet: bool = True,
    command: str = "",
    repeats: str = "",
) -> Results:
    """Compute the cells of a grid that `folder` lacks; failures are tried again, other states are kept.

    `repeats` names a recorded run: then everything is computed anew, but for what an interrupted repeat has done.
    """
    code = study.fingerprint()
    points = study.keys(axes)
    with Store(folder) as store:
        before = record.read(folder)
        if repeats:
            _begin_repeat(store, folder, points, before, repeats)
        index = store.index(points)
        missing = {k: p for k, p in points.items() if k not in index or index[k].state not in FINISHED}
        opened = record.opened(study, axes, command, executor, repeats)
        if missing:
            record.write(folder, opened | {"state": "running", "cells": len(points)})
        clock, state, dropped, changed = time.perf_counter(), "stopped", None, True
        try:
            with Progress(study.name, len(points), len(points) - len(missing), quiet) as progress, Signals() as signals:
                targets = _say_what_is_there(progress, store, points, index)
                dispatch = Dispatch(study, store, progress, signals, targets, mix_processors)
                try:
                    if missing:
                        dropped = dispatch.drive(missing, executor, workers, timeout)
                    state = "ended" if dropped is None else "interrupted"
                finally:
                    index |= dispatch.stored
        finally:
            closed = record.closed(points, index, store.conditions(), state)
            if missing:
                spent = {"stop": record.now(), "wall_seconds": round(time.perf_counter() - clock, 3)}
                computed = sum(k in missing and e.state in FINISHED for k, e in index.items())
                record.write(folder, opened | closed | spent | {"computed_now": computed})
            else:
                changed = record.amend(folder, before, opened, closed)
        with contextlib.suppress(StudyError):
            study.settle(code)
        results = Results(study, folder, axes, stored=(points, index))
        results.write_cells(unless_there=not changed)
    if dropped is not None:
        raise Interrupted(results, dropped)
    return results


def _begin_repeat(store: Store, folder: Path, points: dict[str, Any], before: dict[str, Any], repeats: str) -> None:
    """Forget what an earlier repeat computed; results that are not a repeat are not touched."""
    if store.states() and not before.get("repeats"):
        raise StudyError(f"{folder} holds results that are not a repeat; pass --results with an empty folder")
    if before.get("repeats") != repeats or before.get("state") == "complete":
        store.forget(points)


def _say_what_is_there(
    progress: Progress, store: Store, points: dict[str, dict[str, Any]], index: dict[str, Entry]
) -> set[str]:
    """Notes on what a run starts from; the processors of the finished cells."""
    damaged = sum(entry.state == "damaged" for entry in index.values())
    if damaged:
        progress.note(f"{damaged} stored cells are damaged (their checksums are wrong); recomputing them")
    if old := store.outdated(p for k, p in points.items() if k not in index):
        progress.note(f"{old} stored cells come from an older version of this study or package; recomputing them")
    facts = store.conditions()
    finished = {e.conditions for e in index.values() if e.state in FINISHED}
    return {str(facts[number].get("cpu_target")) for number in finished if number in facts}
