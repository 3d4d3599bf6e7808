"""Where do the results of a study live, and what survives a kill? One SQLite file, one writer, one row a cell.

Rows are written in transactions as cells end, so that a kill at any moment loses at most what was not yet handed over.
Every row carries a checksum over all of it, and a reader takes a row that does not match for a missing cell. The driver
holds a lock on a second small file while it runs; the operating system frees it when the process dies, hence no stale
locks.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import shutil
import socket
import sqlite3
import tempfile
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .blobs import Damaged, decode
from .errors import StudyError
from .files import canonical, sweep, usable

FILE = "results.sqlite"
LOCK = "results.lock"
VERSION = 2
SCHEMA = (
    "CREATE TABLE cells (key TEXT PRIMARY KEY, point TEXT NOT NULL, state TEXT NOT NULL, seed INTEGER, "
    "seconds REAL, finished TEXT, conditions INTEGER, digest TEXT, traceback TEXT, scalars TEXT, checksum BLOB, "
    "arrays BLOB)",
    "CREATE TABLE conditions (id INTEGER PRIMARY KEY, facts TEXT UNIQUE)",
    f"PRAGMA user_version = {VERSION}",
)
_COLUMNS = "key, point, state, seed, seconds, finished, conditions, digest, traceback, scalars, checksum, arrays"
#: States that are results; "failed" is computed again, and so is "damaged", which only readers give.
FINISHED = ("done", "diverged")


class Cell(NamedTuple):
    """One stored cell: its point, its state ("done", "diverged" or "failed"), its arrays and its cost in seconds."""

    point: dict[str, Any]
    state: str
    arrays: dict[str, Any]
    seconds: float
    traceback: str = ""


class Entry(NamedTuple):
    """What is known of a stored cell without unpacking it; the state is "damaged" where the checksum is wrong."""

    state: str
    seconds: float
    digest: str
    conditions: int
    finished: str


class Record(NamedTuple):
    """One cell on its way into the store."""

    key: str
    point: str
    seed: int
    outcome: Mapping[str, Any]
    finished: str
    conditions: int


def checksum(fields: Sequence[Any], arrays: bytes) -> bytes:
    """A hash of a row: of its texts and numbers as Python writes them, and of the bytes of its arrays."""
    sha = hashlib.blake2b(repr(tuple(fields)).encode(), digest_size=16)
    sha.update(arrays)
    return sha.digest()


class Store:
    """The cells of one results folder. Use as a context manager to write; reading needs no lock."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / FILE
        self._lock: sqlite3.Connection | None = None
        self._writer: sqlite3.Connection | None = None

    def __enter__(self) -> Store:
        for name in (FILE, f"{FILE}-journal", LOCK, f"{LOCK}-journal"):
            if (self.folder / name).is_symlink():
                raise StudyError(f"{self.folder / name} is a symbolic link; a study writes into its own folder only")
        with usable(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._acquire()
        try:
            with usable(self.folder, self.file):
                self._writer = sqlite3.connect(self.file, timeout=30.0)
                self._writer.text_factory = _text
                self._writer.execute("PRAGMA trusted_schema = OFF")
                if not _has_tables(self._writer, self.file):
                    for statement in ("BEGIN IMMEDIATE", *SCHEMA):  # all of it or nothing, also after a kill
                        self._writer.execute(statement)
                    self._writer.commit()
                sweep(self.folder)
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
        path = self.folder / LOCK
        lock = sqlite3.connect(path, timeout=0.5, isolation_level=None)
        try:
            lock.execute("CREATE TABLE IF NOT EXISTS holder (name TEXT)")
            lock.execute("BEGIN IMMEDIATE")
            lock.execute("DELETE FROM holder")
            lock.execute("INSERT INTO holder VALUES (?)", (f"process {os.getpid()} on {socket.gethostname()}",))
            lock.execute("COMMIT")
            lock.execute("BEGIN IMMEDIATE")
        except sqlite3.DatabaseError as error:
            holder = _holder(lock) if "locked" in str(error) else None
            lock.close()
            if "not a database" in str(error) or "malformed" in str(error):
                raise StudyError(f"{path} is damaged; it holds no results: delete it and run again") from None
            if holder is None:
                raise
            raise StudyError(
                f"{self.folder} is in use by {holder}; wait until it ends, or pass --results with another folder"
            ) from None
        self._lock = lock

    @contextlib.contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection | None]:
        if self._writer is not None:
            with usable(self.folder, self.file):
                yield self._writer
        elif not self.file.exists():
            yield None
        else:
            with contextlib.ExitStack() as stack, usable(self.folder, self.file):
                connection = self._opened(stack)
                yield connection if _has_tables(connection, self.file) else None

    def _opened(self, stack: contextlib.ExitStack) -> sqlite3.Connection:
        """A connection that reads. After a kill the file has a journal, which only one that may write can roll back."""
        file = self.file
        for mode in ("ro", "rw", "copy"):
            if mode == "copy":
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                for name in (FILE, f"{FILE}-journal"):
                    if (self.folder / name).exists():
                        shutil.copyfile(self.folder / name, folder / name)
                file = folder / FILE
            address = f"{file.resolve().as_uri()}?mode={'ro' if mode == 'ro' else 'rw'}"
            try:
                connection = stack.enter_context(contextlib.closing(sqlite3.connect(address, uri=True, timeout=30.0)))
                connection.text_factory = _text
                connection.execute("PRAGMA trusted_schema = OFF")
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            except sqlite3.OperationalError as error:
                if mode == "copy" or "locked" in str(error):
                    raise
            else:
                return connection
        raise AssertionError("unreachable")

    def index(self, wanted: Container[str]) -> dict[str, Entry]:
        """What is stored under these keys, each row checked against its checksum."""
        found: dict[str, Entry] = {}
        with self._reader() as db:
            for row in db.execute(f"SELECT {_COLUMNS} FROM cells") if db else ():
                if row[0] in wanted:
                    state = row[2] if _is_whole(row) else "damaged"
                    found[row[0]] = Entry(state, _seconds(row[4]), row[7], row[6], row[5])
        return found

    def states(self) -> dict[str, str]:
        """State of every stored cell by key, unchecked."""
        with self._reader() as db:
            return dict(db.execute("SELECT key, state FROM cells")) if db else {}

    def outdated(self, missing: Iterable[Mapping[str, Any]]) -> int:
        """How many of these points, whose own key is not stored, are stored under another: computed by other code."""
        with self._reader() as db:
            stored = {row[0] for row in db.execute("SELECT point FROM cells")} if db else set()
        return sum(canonical(point) in stored for point in missing)

    def cells(self, keys: Iterable[str]) -> Iterator[Cell]:
        """The cells under these keys, unpacked.

        Raises
        ------
        StudyError
            One of them is not there, or not as it was written.
        """
        with self._reader() as db:
            for key in keys:
                query = f"SELECT {_COLUMNS} FROM cells WHERE key = ?"
                row = db.execute(query, (key,)).fetchone() if db else None
                if row is None or not _is_whole(row):
                    raise StudyError(f"a cell in {self.file} was damaged or removed just now; run the study again")
                try:
                    arrays = decode(row[9], row[11])
                except Damaged as error:
                    raise StudyError(f"the cell {row[1]} in {self.file} cannot be read: {error}") from None
                yield Cell(json.loads(row[1]), row[2], arrays, _seconds(row[4]), row[8])

    def scalars(self, wanted: Container[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Keys and the numbers and texts under them as JSON has them, without arrays, in the order of the file."""
        with self._reader() as db:
            for key, text in db.execute("SELECT key, scalars FROM cells") if db else ():
                if key in wanted:
                    yield key, json.loads(text)

    def conditions(self) -> dict[int, dict[str, Any]]:
        """The conditions under which cells were computed, by number."""
        with self._reader() as db:
            return {k: json.loads(v) for k, v in db.execute("SELECT id, facts FROM conditions")} if db else {}

    def condition(self, facts: Mapping[str, Any]) -> int:
        """The number of these conditions."""
        assert self._writer is not None, "a store is written inside its with block"
        with usable(self.folder, self.file), self._writer:
            text = canonical(facts)
            self._writer.execute("INSERT OR IGNORE INTO conditions (facts) VALUES (?)", (text,))
            return self._writer.execute("SELECT id FROM conditions WHERE facts = ?", (text,)).fetchone()[0]

    def put(self, records: Iterable[Record]) -> None:
        """Write cells, all of them or none, in one transaction."""
        assert self._writer is not None, "a store is written inside its with block"
        rows = []
        for key, point, seed, outcome, finished, conditions in records:
            fields: list[Any] = [key, point, outcome["state"], seed, _real(outcome["seconds"]), finished, conditions]
            fields += [outcome["digest"], outcome["traceback"], outcome["scalars"]]
            rows.append((*fields, checksum(fields, outcome["arrays"]), outcome["arrays"]))
        marks = ", ".join("?" * (1 + _COLUMNS.count(",")))
        with usable(self.folder, self.file), self._writer:
            for row in rows:
                self._writer.execute(f"INSERT OR REPLACE INTO cells ({_COLUMNS}) VALUES ({marks})", row)

    def forget(self, keys: Iterable[str]) -> None:
        """Remove cells, for a repeat that computes them anew."""
        assert self._writer is not None, "a store is written inside its with block"
        with usable(self.folder, self.file), self._writer:
            self._writer.executemany("DELETE FROM cells WHERE key = ?", ((key,) for key in keys))


def _real(seconds: float) -> float | None:
    """A time as SQLite keeps it: it has no NaN."""
    return None if math.isnan(seconds) else float(seconds)


def _seconds(stored: float | None) -> float:
    return math.nan if stored is None else stored


def _text(data: bytes) -> str:
    """A stored text; one that is damaged is for the checksum to find."""
    return data.decode("utf-8", "backslashreplace")


def _is_whole(row: tuple[Any, ...]) -> bool:
    return isinstance(row[11], bytes) and row[10] == checksum(row[:10], row[11])


def _holder(lock: sqlite3.Connection) -> str:
    with contextlib.suppress(sqlite3.DatabaseError):
        row = lock.execute("SELECT name FROM holder").fetchone()
        return row[0] if row else "another process"
    return "another process"


def _has_tables(db: sqlite3.Connection, file: Path) -> bool:
    """False for a file that is still empty; one that another version of this package laid out is refused."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if version == 0 and not tables:
        return False
    if version != VERSION or not {"cells", "conditions"} <= tables:
        raise StudyError(
            f"{file} was written by another version of anisotropic (layout {version}, expected {VERSION}); "
            "pass --results with another folder and compute it there"
        )
    return True
