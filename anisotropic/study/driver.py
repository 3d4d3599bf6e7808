"""Who computes the cells? One driver that hands points to an executor and writes each result as it arrives."""

from __future__ import annotations

import contextlib
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from .._support.environment import cores
from .._support.extras import MissingExtra
from . import manifest as record
from .grid import Axes
from .progress import Progress
from .results import Results
from .source import Definition, load_module
from .store import Store, StudyError, canonical, encode


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a study; every finished cell is stored. `dropped` cells may still be running in threads."""

    def __init__(self, results: Results, dropped: int) -> None:
        super().__init__("interrupted")
        self.results, self.dropped = results, dropped


class Serial(Executor):
    """Computes at submission, in the calling thread: the executor for a debugger."""

    def submit(self, fn: Callable, /, *args: Any, **kwargs: Any) -> Future:
        future: Future = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def compute(source: Callable | str, point: dict[str, Any], seed: int | None) -> dict[str, Any]:
    """One cell, in whatever process; a failure is a result with a traceback, a missing extra an exception.

    `source` is the cell function, or the study's path where the function cannot travel.
    """
    started = time.perf_counter()
    state, arrays, trace = "done", b"", ""
    try:
        cell = load_module(Path(source)).cell if isinstance(source, str) else source
        values = cell(**point) if seed is None else cell(**point, seed=seed)
        if not isinstance(values, dict):
            raise TypeError(f"cell returned {type(values).__name__}; expected a dict of arrays")
        arrays = encode(values)
        if "status" in values and np.any(np.asarray(values["status"]) == "diverged"):
            state = "diverged"
    except MissingExtra:
        raise
    except FloatingPointError:
        state, trace = "diverged", traceback.format_exc()
    except Exception:
        state, trace = "failed", traceback.format_exc()
    return {"state": state, "arrays": arrays, "traceback": trace, "seconds": time.perf_counter() - started}


@contextlib.contextmanager
def executor_for(name: str | Executor, workers: int | None) -> Iterator[Executor]:
    """The executor of a name; one that the caller made is used and left open."""
    if isinstance(name, Executor):
        yield name
        return
    kind, _, address = name.partition(":")
    pool: Executor
    if kind == "serial":
        pool = Serial()
    elif kind == "threads":
        pool = ThreadPoolExecutor(workers or cores())
    elif kind == "processes":
        from multiprocessing import get_context

        pool = ProcessPoolExecutor(workers or cores(), get_context("spawn"), _ignore_interrupts)
    elif kind == "dask":
        from .._support.extras import require

        client = require("dask.distributed", "distributed").Client(address or None)
        try:
            yield client.get_executor()
        finally:
            client.close()
        return
    else:
        known = "serial, threads, processes, dask, dask:ADDRESS"
        raise StudyError(f"executor {name!r} is unknown; expected one of {known}")
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def run(
    study: Definition,
    folder: Path,
    axes: Axes,
    *,
    executor: str | Executor = "threads",
    workers: int | None = None,
    quiet: bool = True,
    command: str = "",
) -> Results:
    """Compute the cells of a grid that `folder` lacks; failures are tried again, other states are kept."""
    points = {study.key(p): p for p in study.points(axes)}
    with Store(folder) as store:
        states = store.states()
        missing = {k: p for k, p in points.items() if states.get(k) not in ("done", "diverged")}
        started, clock = _now(), time.perf_counter()
        manifest = record.opened(study, axes, command, executor, started)
        record.write(folder, manifest | {"state": "running", "cells": len(points)})
        dropped: int | None = None
        state = "stopped"
        try:
            with Progress(study.name, len(points), len(points) - len(missing), quiet) as progress:
                if old := store.outdated(p for k, p in points.items() if k not in states):
                    progress.note(f"{old} cells here were computed by other code; they are kept and computed anew")
                dropped = _drive(study, store, missing, executor, workers, progress)
            state = "interrupted" if dropped is not None else "ended"
        finally:
            states = store.states()
            finished = sum(states.get(k) in ("done", "diverged") for k in points)
            digests = store.digests()
            record.write(
                folder,
                manifest
                | {
                    "state": "complete" if finished == len(points) else state,
                    "stop": _now(),
                    "wall_seconds": round(time.perf_counter() - clock, 3),
                    "cells": len(points),
                    "finished": finished,
                    "failed": sum(states.get(k) == "failed" for k in points),
                    "computed_now": finished - (len(points) - len(missing)),
                    "digests": {canonical(p): digests[k] for k, p in points.items() if k in digests},
                },
            )
    results = Results(study, folder, axes)
    results.write_cells()
    if dropped is not None:
        raise Interrupted(results, dropped)
    return results


def _drive(
    study: Definition,
    store: Store,
    missing: dict[str, dict[str, Any]],
    executor: str | Executor,
    workers: int | None,
    progress: Progress,
) -> int | None:
    """Keep the executor busy. None at the end; after Ctrl-C the number of running cells that were given up."""
    in_threads = isinstance(executor, (ThreadPoolExecutor, Serial)) or executor in ("threads", "serial")
    source = study.cell if in_threads or study.path is None else str(study.path.resolve())
    seeded = study.takes_seed
    todo = iter(missing.items())
    pending: dict[Future, tuple[str, dict[str, Any]]] = {}
    interrupts = 0
    with executor_for(executor, workers) as pool:
        slots = 1 if isinstance(pool, Serial) else 2 * (workers or cores())
        while True:
            try:
                while not interrupts and len(pending) < slots and (item := next(todo, None)) is not None:
                    key, point = item
                    pending[pool.submit(compute, source, point, study.seed(point) if seeded else None)] = (key, point)
                if not pending:
                    return 0 if interrupts else None
                for future in wait(pending, timeout=0.5, return_when=FIRST_COMPLETED).done:
                    key, point = pending.pop(future)
                    outcome = _outcome(future)
                    store.put(key, canonical(point), study.seed(point), outcome, _now())
                    progress.advance(point, outcome)
            except KeyboardInterrupt:
                interrupts += 1
                pending = {f: v for f, v in pending.items() if not f.cancel()}
                running = sum(not f.done() for f in pending)
                if interrupts > 1 or isinstance(pool, Serial):
                    return running
                if running:
                    progress.note(f"stopping; {running} running cells will be kept too; Ctrl-C again drops them")
            except BrokenExecutor:
                raise StudyError(
                    "a worker process died (out of memory?); finished cells are kept, run again with fewer --workers"
                ) from None


def _outcome(future: Future) -> dict[str, Any]:
    """What a future holds; a worker that died is a failure like any other."""
    try:
        return future.result()
    except MissingExtra:
        raise
    except Exception:
        return {"state": "failed", "arrays": b"", "traceback": traceback.format_exc(), "seconds": float("nan")}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
