"""What happens to a cell, in whatever process it is computed? A list of points in, a list of outcomes out.

The code of a cell is settled before the first one: a process that is not the driver checks that what it loaded has the
driver's fingerprint, and checks again whenever more modules were imported while cells ran. Numbers of other code than
the driver's are refused, never stored.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .._support.environment import environment
from .._support.extras import MissingExtra
from .blobs import encode
from .errors import Stopped, StudyError
from .signals import Signals
from .source import fingerprint_of, module_from

#: Seconds of cells that travel together, so that handing them over costs little beside computing them.
CHUNK_SECONDS = 0.5
#: Bytes of arrays after which a chunk ends early, so that large results do not pile up.
CHUNK_BYTES = 64_000_000


class OtherCode(Stopped):
    """A process would compute the cells with other code than the driver's."""


class Task(NamedTuple):
    """Which function computes the cells: itself, or for a study with a file that file's text."""

    cell: Callable[..., Any] | None
    path: str
    text: str
    fingerprint: str
    version: str
    seeded: bool
    driver: int
    chunk_seconds: float = CHUNK_SECONDS


class Batch(NamedTuple):
    """Outcomes of the first points of a chunk, and where they were computed."""

    outcomes: list[dict[str, Any]]
    conditions: dict[str, Any]


class _Loaded(NamedTuple):
    cell: Callable[..., Any]
    path: Path
    modules: int


_loaded: dict[str, _Loaded] = {}
_conditions: dict[str, Any] = {}


def compute(
    task: Task, points: Sequence[dict[str, Any]], seeds: Sequence[int], signals: Signals | None = None
) -> Batch:
    """Compute cells one after the other, until all are done, `CHUNK_BYTES` are full or twice a chunk's time is over."""
    cell = _cell(task)
    outcomes: list[dict[str, Any]] = []
    size = 0
    end = time.monotonic() + 2 * task.chunk_seconds
    for point, seed in zip(points, seeds, strict=True):
        full = size > CHUNK_BYTES or time.monotonic() > end
        if outcomes and (full or (signals is not None and signals.asked)):
            break
        try:
            outcomes.append(outcome_of(cell, point, seed if task.seeded else None, signals))
        except KeyboardInterrupt:
            if not outcomes:
                raise
            break
        size += len(outcomes[-1]["arrays"])
    _check_again(task)
    return Batch(outcomes, _where())


def outcome_of(
    cell: Callable[..., Any], point: dict[str, Any], seed: int | None, signals: Signals | None = None
) -> dict[str, Any]:
    """One cell; a failure is an outcome with a traceback, a missing extra an exception."""
    started = time.perf_counter()
    state, scalars, arrays, digest, trace = "done", "{}", b"", "", ""
    values: Any = None
    try:
        try:
            with signals.cutting() if signals is not None else contextlib.nullcontext():
                values = cell(**point) if seed is None else cell(**point, seed=seed)
        except KeyboardInterrupt:
            if values is None:
                raise
        if not isinstance(values, dict):
            raise TypeError(f"cell returned {type(values).__name__}; expected a dict of arrays")
        scalars, arrays, digest = encode(values, point)
        if "status" in values and np.any(np.asarray(values["status"]) == "diverged"):
            state = "diverged"
    except MissingExtra:
        raise
    except FloatingPointError:
        state, trace = "diverged", printable_trace()
        digest = encode({}, point).digest
    except SystemExit:
        state, trace = "failed", f"{printable_trace()}(the cell called sys.exit, which ends only the cell)\n"
    except Exception:
        state, trace = "failed", printable_trace()
    return outcome(state, scalars, arrays, digest, trace, time.perf_counter() - started)


def outcome(
    state: str, scalars: str = "{}", arrays: bytes = b"", digest: str = "", traceback: str = "", seconds: float = np.nan
) -> dict[str, Any]:
    """What is stored of a cell."""
    return {"state": state, "scalars": scalars, "arrays": arrays, "digest": digest} | {
        "traceback": traceback,
        "seconds": seconds,
    }


def printable_trace() -> str:
    """The traceback of the exception at hand, as UTF-8 can say it."""
    return traceback.format_exc().encode("utf-8", "backslashreplace").decode()


def load(task: Task) -> None:
    """Load the code of a task, so that no cell pays for it."""
    _cell(task)


def _cell(task: Task) -> Callable[..., Any]:
    """The function of a task, checked in every process but the one that made the task."""
    if task.fingerprint not in _loaded:
        path = Path(task.path)
        if task.cell is not None and task.driver == os.getpid():
            _loaded[task.fingerprint] = _Loaded(task.cell, path, len(sys.modules))
            return task.cell
        if task.text and not path.is_file():  # on another machine: the text has traveled, its neighbors have not
            path = Path(tempfile.mkdtemp(prefix="anisotropic-study-")) / path.name
            path.write_text(task.text, encoding="utf-8")
        _refuse_other_code(task, path)
        cell = task.cell or module_from(path, task.text).cell
        _loaded[task.fingerprint] = _Loaded(cell, path, len(sys.modules))
        _check_again(task)
    return _loaded[task.fingerprint].cell


def _check_again(task: Task) -> None:
    """Modules imported while cells ran may come from files that were edited since the study began."""
    found = _loaded[task.fingerprint]
    if task.text and len(sys.modules) != found.modules:
        _refuse_other_code(task, found.path)
        _loaded[task.fingerprint] = found._replace(modules=len(sys.modules))


def _refuse_other_code(task: Task, path: Path) -> None:
    from .. import __version__

    try:
        if fingerprint_of(task.cell, path, task.text) == task.fingerprint:
            return
        why = "it was edited meanwhile, or differs between machines"
    except StudyError as error:
        why = str(error)
    same = task.version == __version__
    versions = "" if same else f"the driver has anisotropic {task.version}, the worker {__version__}; "
    raise OtherCode(
        f"{versions}the study, a module behind its imports or anisotropic itself is not what it was when the study "
        f"began ({why}); finished cells are kept, run the study again"
    )


def _where() -> dict[str, Any]:
    """The conditions of this process."""
    if not _conditions:
        _conditions.update(environment(None))
    return _conditions
