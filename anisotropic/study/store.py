"""Where do the results of a study live, and what survives a kill? One SQLite file, one writer, one row a cell.

A row is written in one transaction when its cell ends, so that a kill at any moment loses at most the cells that
were running. The driver holds a lock on a second small file while it runs; the operating system frees it when the
process dies, hence no stale locks.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import socket
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..records import TermCheck, Verdict

FILE = "results.sqlite"
LOCK = "results.lock"
SCHEMA = """CREATE TABLE IF NOT EXISTS cells (key TEXT PRIMARY KEY, point TEXT NOT NULL, state TEXT NOT NULL,
seed INTEGER, seconds REAL, finished TEXT, arrays BLOB, digest TEXT, traceback TEXT)"""


class StudyError(Exception):
    """A study cannot go on; the message says what to do (exit code 2)."""


class Cell(NamedTuple):
    """One stored cell: its point, its state ("done", "diverged" or "failed"), its arrays and its cost in seconds."""

    point: dict[str, Any]
    state: str
    arrays: dict[str, Any]
    seconds: float
    traceback: str = ""


def canonical(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces, so that equal points have equal hashes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def encode(arrays: Mapping[str, Any]) -> bytes:
    """Arrays, numbers, texts and verdicts as one npz blob without pickles.

    >>> decode(encode({"gap": 0.5, "name": "sgd"}))["gap"]
    0.5
    """
    plain: dict[str, Any] = {}
    for name, value in arrays.items():
        if isinstance(value, Verdict):
            plain[f"verdict/{name}"] = np.array(json.dumps(asdict(value)))
            continue
        array = np.asarray(value)
        if array.dtype.hasobject:
            raise TypeError(
                f"cell returned {name!r} of type {type(value).__name__}; expected numbers, texts, arrays of them "
                "or a Verdict"
            )
        plain[f"array/{name}"] = array
    blob = io.BytesIO()
    np.savez_compressed(blob, **plain)
    return blob.getvalue()


def decode(blob: bytes | None) -> dict[str, Any]:
    """The arrays of a blob; what was a number or a text comes back as one."""
    if not blob:
        return {}
    arrays: dict[str, Any] = {}
    with np.load(io.BytesIO(blob), allow_pickle=False) as file:
        for entry in file.files:
            kind, _, name = entry.partition("/")
            value = file[entry] if file[entry].ndim else file[entry].item()
            arrays[name] = verdict_from(json.loads(value)) if kind == "verdict" else value
    return arrays


def verdict_from(data: dict[str, Any]) -> Verdict:
    """A `Verdict` from its fields as JSON has them."""
    data = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    return Verdict(**(data | {"terms": tuple(TermCheck(**t) for t in data.get("terms", ()))}))


def digest(blob: bytes | None) -> str:
    """Hash of the numbers in a blob, whatever the zip file around them says."""
    sha = hashlib.sha256()
    if blob:
        with np.load(io.BytesIO(blob), allow_pickle=False) as file:
            for name in sorted(file.files):
                array = np.ascontiguousarray(file[name])
                sha.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
                sha.update(array.tobytes())
    return sha.hexdigest()[:16]


def write_text(path: Path, text: str) -> Path:
    """Write a file whole or not at all."""
    part = path.with_name(path.name + ".part")
    with writable(path.parent):
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    return path


@contextlib.contextmanager
def writable(folder: Path) -> Iterator[None]:
    """Turn what the disk refuses into one sentence."""
    try:
        yield
    except (OSError, sqlite3.DatabaseError) as error:
        if isinstance(error, sqlite3.DatabaseError) and "not a database" in str(error):
            raise StudyError(f"{folder / FILE} is not a results file; move it away or pass --results") from None
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise StudyError(
            f"cannot use the results folder {folder}: {reason}; "
            "free the disk, or pass --results with a folder that you may write"
        ) from None


class Store:
    """The cells of one results folder. Use as a context manager to write; reading needs no lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: sqlite3.Connection | None = None
        self._writer: sqlite3.Connection | None = None

    def __enter__(self) -> Store:
        with writable(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._acquire()
            try:
                self._writer = sqlite3.connect(self.folder / FILE, timeout=30.0)
                self._writer.execute(SCHEMA)
                self._writer.commit()
            except BaseException:
                self.close()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the file and the lock."""
        for connection in (self._writer, self._lock):
            if connection is not None:
                connection.close()
        self._writer = self._lock = None

    def _acquire(self) -> None:
        """Hold a reserved lock; the holder's name, committed before, stays readable for everyone else."""
        lock = sqlite3.connect(self.folder / LOCK, timeout=0.5, isolation_level=None)
        try:
            lock.execute("CREATE TABLE IF NOT EXISTS holder (name TEXT)")
            lock.execute("BEGIN IMMEDIATE")
            lock.execute("DELETE FROM holder")
            lock.execute("INSERT INTO holder VALUES (?)", (f"process {os.getpid()} on {socket.gethostname()}",))
            lock.execute("COMMIT")
            lock.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                lock.close()
                raise
            row = lock.execute("SELECT name FROM holder").fetchone()
            lock.close()
            holder = row[0] if row else "another process"
            raise StudyError(
                f"{self.folder} is in use by {holder}; wait until it ends, or pass --results with another folder"
            ) from None
        self._lock = lock

    @contextlib.contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection | None]:
        if self._writer is not None:
            yield self._writer
        elif not (self.folder / FILE).exists():
            yield None
        else:
            with writable(self.folder):
                address = f"{(self.folder / FILE).resolve().as_uri()}?mode=ro"
                connection = sqlite3.connect(address, uri=True, timeout=30.0)
            try:
                yield connection
            finally:
                connection.close()

    def states(self) -> dict[str, str]:
        """State of every stored cell by key."""
        with self._reader() as db, writable(self.folder):
            return dict(db.execute("SELECT key, state FROM cells")) if db else {}

    def outdated(self, missing: Iterable[Mapping[str, Any]]) -> int:
        """How many of these points, whose own key is not stored, are stored under another: computed by other code."""
        with self._reader() as db, writable(self.folder):
            stored = {row[0] for row in db.execute("SELECT point FROM cells")} if db else set()
        return sum(canonical(point) in stored for point in missing)

    def get(self, key: str) -> Cell | None:
        """One cell, or None where it is not stored."""
        with self._reader() as db, writable(self.folder):
            query = "SELECT point, state, arrays, seconds, traceback FROM cells WHERE key = ?"
            row = db.execute(query, (key,)).fetchone() if db else None
        return row and Cell(json.loads(row[0]), row[1], decode(row[2]), row[3], row[4] or "")

    def digests(self) -> dict[str, str]:
        """Hash of the arrays of every finished cell by key."""
        with self._reader() as db, writable(self.folder):
            return dict(db.execute("SELECT key, digest FROM cells WHERE state != 'failed'")) if db else {}

    def mean_seconds(self) -> float:
        """Mean cost of a finished cell, NaN before the first."""
        with self._reader() as db, writable(self.folder):
            row = db.execute("SELECT avg(seconds) FROM cells WHERE state != 'failed'").fetchone() if db else None
        return row[0] if row and row[0] is not None else float("nan")

    def put(self, key: str, point: str, seed: int, outcome: Mapping[str, Any], finished: str) -> None:
        """Write one cell, whole, in one transaction."""
        assert self._writer is not None, "a store is written inside its with block"
        arrays, trace = outcome["arrays"], outcome["traceback"]
        row = (key, point, outcome["state"], seed, outcome["seconds"], finished, arrays, digest(arrays), trace)
        with writable(self.folder), self._writer:
            self._writer.execute("INSERT OR REPLACE INTO cells VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
