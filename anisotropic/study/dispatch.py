"""Which cells go out next, and what of the answers? The loop that keeps an executor busy and stores what comes back."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from typing import Any, NamedTuple

from .._support.extras import MissingExtra
from .compute import CHUNK_SECONDS, Batch, Task, compute, load, outcome
from .errors import Stopped, StudyError
from .executors import pool_of
from .files import canonical
from .manifest import now
from .pool import Pool, Serial
from .progress import Progress
from .signals import Signals
from .source import Definition
from .store import Entry, Record, Store
from .workers import TookTooLong, Workers

#: The most cells that are handed over together.
LARGEST_CHUNK = 1000
#: Seconds after which the loop looks up from waiting, for signals and for the health of the pool.
POLL = 0.2
#: So many calls that fail before one succeeds say that none will.
HOPELESS = 5


class Chunk(NamedTuple):
    """Cells that travel together."""

    keys: list[str]
    points: list[dict[str, Any]]
    seeds: list[int]


class Dispatch:
    """Hands out cells in chunks of about `chunk_seconds` of the pool and writes every answer into the store.

    A chunk whose process died is taken apart: its cells wait until all others are done, then run one at a time with
    nothing beside them, so that the one that kills its process is known by name.

    `targets` are the processors of the cells that the store has; one that is not among them is refused unless `mix`.
    """

    def __init__(
        self, study: Definition, store: Store, progress: Progress, signals: Signals, targets: set[str], mix: bool
    ) -> None:
        self.study, self.store, self.progress, self.signals = study, store, progress, signals
        self._targets, self._mix = targets, mix
        self.stored: dict[str, Entry] = {}
        self._todo: deque[tuple[str, dict[str, Any]]] = deque()
        self._suspects: deque[tuple[str, dict[str, Any]]] = deque()
        self._suspected: set[str] = set()
        self._pending: dict[Future, Chunk] = {}
        self._size, self._cost, self._seconds = 1, 0.0, CHUNK_SECONDS
        self._answers = self._refusals = 0

    def drive(
        self, missing: dict[str, dict[str, Any]], executor: str | Executor, workers: int | None, timeout: float | None
    ) -> int | None:
        """Compute cells until none is left: None. After a signal: how many running cells were given up."""
        self._todo.extend(missing.items())
        with pool_of(executor, workers, self.store.folder) as pool:
            self._size, self._seconds = pool.first_chunk, pool.chunk_seconds
            task = self._task(pool)
            if isinstance(pool.executor, Workers):
                pool.executor.prepare(load, task)
            elif timeout is not None:
                raise StudyError("a time limit for cells needs processes, which can be ended: --executor processes")
            stopping = False
            while True:
                if not self.signals.asked:
                    self._hand_out(pool, task, timeout)
                elif not stopping:
                    stopping = True
                    self._cancel_waiting()
                if not self._pending:
                    return 0 if self.signals.asked else None
                if self.signals.patience_is_over:
                    self._collect(0.0)
                    return sum(len(chunk.keys) for chunk in self._pending.values())
                self._collect(POLL)
                pool.check()

    def _task(self, pool: Pool) -> Task:
        from .. import __version__

        study = self.study
        cell = study.cell if pool.here or not study.text else None
        path = str(study.path.resolve()) if study.path else ""
        return Task(
            cell, path, study.text, study.current(), __version__, study.takes_seed, os.getpid(), pool.chunk_seconds
        )

    def _hand_out(self, pool: Pool, task: Task, timeout: float | None) -> None:
        slots = 1 if isinstance(pool.executor, Serial) else 2 * pool.width
        while self._todo and len(self._pending) < slots:
            fair = max(1, len(self._todo) // slots, int(pool.overhead / self._cost) if self._cost else 0)
            size = min(self._size, fair, len(self._todo))
            self._submit(pool, task, timeout, [self._todo.popleft() for _ in range(size)])
        if self._suspects and not self._pending and not self._todo:
            self._submit(pool, task, timeout, [self._suspects.popleft()])

    def _submit(self, pool: Pool, task: Task, timeout: float | None, items: list[tuple[str, dict[str, Any]]]) -> None:
        chunk = Chunk([k for k, _ in items], [p for _, p in items], [self.study.seed(p) for _, p in items])
        limit = None if timeout is None else timeout + (2 * CHUNK_SECONDS if len(items) > 1 else 0.0)
        signals = self.signals if pool.here else None
        if isinstance(pool.executor, Serial):
            try:
                future = pool.submit(limit, compute, task, chunk.points, chunk.seeds, signals)
            except KeyboardInterrupt:  # Ctrl-C in a cell of this very thread; `signals` has counted it
                return
        else:
            future = pool.submit(limit, compute, task, chunk.points, chunk.seeds, signals)
        self._pending[future] = chunk

    def _cancel_waiting(self) -> None:
        for future in list(self._pending):
            if future.cancel():
                del self._pending[future]
        running = sum(len(chunk.keys) for chunk in self._pending.values())
        if running:
            self.progress.note(f"stopping; {running} running cells will be kept too; Ctrl-C again drops them")

    def _collect(self, seconds: float) -> None:
        """Store what has come back. An error that ends the study is raised after that."""
        ended = wait(self._pending, timeout=seconds, return_when=FIRST_COMPLETED).done
        records: list[Record] = []
        fatal: BaseException | None = None
        for future in ended:
            chunk = self._pending.pop(future)
            try:
                records += self._records(chunk, future)
            except (MissingExtra, StudyError) as error:
                fatal = error
        if records:
            self.store.put(records)
            self.stored |= {r.key: _entry(r) for r in records}
            self.progress.advance(records)
        if fatal is not None:
            raise fatal

    def _records(self, chunk: Chunk, future: Future) -> list[Record]:
        """The cells of a chunk that are to be stored; the others of it wait again."""
        cells = list(zip(chunk.keys, chunk.points, strict=True))
        if future.cancelled():  # by a scheduler that was started anew
            self._todo.extendleft(reversed(cells))
            return []
        try:
            batch: Batch = future.result()
        except (MissingExtra, StudyError):
            raise
        except BrokenExecutor as error:
            raise Stopped(
                f"the executor that was passed is broken ({error}): a process died, out of memory?; finished cells are "
                "kept, and executor='processes' would go on without it"
            ) from None
        except BaseException as error:
            return self._suspect(chunk, error)
        self._answers += 1
        self._see(str(batch.conditions.get("cpu_target")))
        done = len(batch.outcomes)
        self._todo.extendleft(reversed(cells[done:]))
        self._plan([o["seconds"] for o in batch.outcomes])
        number, moment = self.store.condition(batch.conditions), now()
        return [
            Record(key, canonical(point), seed, result, moment, number)
            for key, point, seed, result in zip(chunk.keys, chunk.points, chunk.seeds, batch.outcomes, strict=False)
        ]

    def _see(self, target: str) -> None:
        """Bits are promised on one kind of processor: another one is refused unless it was asked for."""
        if self._targets and target not in self._targets and not self._mix:
            raise Stopped(
                f"cells came from the processor {target}, the others from {', '.join(sorted(self._targets))}, so their "
                "last digits may differ; those cells are dropped. Compute on one kind of processor, or pass "
                "--mix-processors"
            )
        self._targets.add(target)

    def _plan(self, seconds: list[float]) -> None:
        """The next size of a chunk, from what cells have cost lately."""
        mean = sum(seconds) / len(seconds)
        self._cost = mean if not self._cost else max(0.5 * (self._cost + mean), 1e-9)
        largest = int(LARGEST_CHUNK * self._seconds / CHUNK_SECONDS)
        self._size = max(1, min(int(self._seconds / max(self._cost, 1e-9)), 4 * self._size, largest))

    def _suspect(self, chunk: Chunk, error: BaseException) -> list[Record]:
        """A call that failed outside of its cells: they are tried one at a time, and who fails again has failed."""
        self._refusals += 1
        if not self._answers and self._refusals >= HOPELESS and not isinstance(error, Stopped):
            raise Stopped(f"no worker can compute a cell ({type(error).__name__}: {error})")
        failed: list[Record] = []
        for key, point, seed in zip(*chunk, strict=True):
            certain = isinstance(error, TookTooLong) and len(chunk.keys) == 1
            if key in self._suspected or certain:
                result = outcome("failed", traceback=f"{type(error).__name__}: {error}\n")
                failed.append(Record(key, canonical(point), seed, result, now(), 0))
            else:
                self._suspected.add(key)
                self._suspects.append((key, point))
        return failed


def _entry(record: Record) -> Entry:
    result = record.outcome
    return Entry(result["state"], result["seconds"], result["digest"], record.conditions, record.finished)
