"""How far is the study? A bar on a terminal, a few plain lines in a log; always on stderr."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

from .._support.output import visible
from .._support.progress import working
from .store import Record

#: Failures that are told as they happen.
TOLD = 20


class Progress:
    """Counts cells. `advance` after each; on a terminal a bar with the time left, else a line each tenth of the way."""

    def __init__(self, name: str, total: int, finished: int, quiet: bool) -> None:
        self.name, self.total, self.finished, self.quiet = name, total, finished, quiet
        self.failed = 0
        self._first, self._shown, self._clock = finished, -1, time.perf_counter()
        self._bar: Any = None
        self._runs = contextlib.ExitStack()

    def __enter__(self) -> Progress:
        self._runs.enter_context(working(self.name, shown=False))
        if self.quiet:
            return self
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress as Bar, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        if console.is_terminal and not console.is_dumb_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Bar(*columns, console=console)
            self._bar.add_task(self.name, total=self.total, completed=self.finished)
            self._bar.start()
        elif self._first:
            self.note(f"{self._first} of {self.total} cells are there already")
        return self

    def __exit__(self, *_: object) -> None:
        self._runs.close()
        if self._bar is not None:
            self._bar.stop()

    def advance(self, records: Sequence[Record]) -> None:
        """Some cells have ended."""
        for record in records:
            if record.outcome["state"] == "failed":
                self._failed(record)
            else:
                self.finished += 1
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self.finished + self.failed)
            return
        tenth = 10 * (self.finished + self.failed) // max(self.total, 1)
        if tenth > self._shown:
            self._shown = tenth
            elapsed = time.perf_counter() - self._clock
            self.note(f"{self.finished} of {self.total} cells, {elapsed:.0f} s")

    def _failed(self, record: Record) -> None:
        self.failed += 1
        if self.failed <= TOLD:
            where = ", ".join(f"{k}={v}" for k, v in json.loads(record.point).items())
            lines = record.outcome["traceback"].strip().splitlines()
            self.note(f"failed: {where}: {lines[-1] if lines else 'without a word'}")
        elif self.failed == TOLD + 1:
            self.note("more failed cells are stored without a line here; the word 'errors' shows them all")

    def note(self, text: str) -> None:
        """A plain line that does not tear the bar."""
        if self.quiet:
            return
        line = visible(f"{self.name}: {text}")
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)
