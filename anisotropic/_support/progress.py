"""How far is a computation? One line on a terminal while it takes more than two seconds, and nothing anywhere else.

Work within work (the runs of a race, the cells of a study) belongs to the line of the outermost. Only the main thread
of a process that nobody started as a worker shows anything, so that no two lines ever meet. The line is plain text
that is written over: an interrupt at any moment leaves nothing to restore.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

SHORT = 2.0  # seconds that are waited for without a line
FIRST = 0.5  # seconds after which the whole is estimated from the part that is done
BETWEEN = 0.25  # seconds between two looks of a line

Tell = Callable[[int], None]


class _Line:
    """The line of one piece of work, written once it is clear that it takes more than `SHORT` seconds."""

    def __init__(self, what: str, total: int | None, wanted: bool) -> None:
        self.what, self.total, self.done = what, total, 0
        self._wanted, self._width = wanted, 0
        self._clock = self._looked = time.perf_counter()

    def tell(self, done: int) -> None:
        """So much is done."""
        self.done = done
        now = time.perf_counter()
        if not self._wanted or now - self._looked < BETWEEN:
            return
        self._looked = now
        elapsed = now - self._clock
        share = min(done / self.total, 1.0) if self.total else 0.0
        long = elapsed > SHORT or (elapsed > FIRST and share > 0 and elapsed / share > SHORT)
        if self._width or long:
            left = f"{share:.0%}, {elapsed / share - elapsed:,.0f} s left" if share > 0 else f"{elapsed:,.0f} s"
            self._wanted = self._write(f"{self.what}: {left}")

    def erase(self) -> None:
        if self._width:
            self._write("")
            self._width = 0

    def _write(self, text: str) -> bool:
        """Write over the line; False where nobody can see it, or the terminal is gone."""
        from .output import visible

        try:
            if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
                return False
            columns = os.get_terminal_size(sys.stderr.fileno()).columns or 80  # 0 where it is not known
            text = visible(text)[: columns - 1]
            self._width = max(self._width, len(text))
            sys.stderr.write("\r" + text.ljust(self._width) + "\r" * (not text))
            sys.stderr.flush()
        except (OSError, ValueError, AttributeError):  # no stderr, or one that is closed
            return False
        return True


_outermost: _Line | None = None


@contextlib.contextmanager
def working(what: str, total: int | None = None, *, shown: bool = True) -> Iterator[Tell]:
    """Inside, tell the function that is yielded how much of `total` is done; inner work counts for the outer.

    Not `shown`, neither this work nor any within it has a line.
    """
    global _outermost
    from multiprocessing import parent_process

    if threading.current_thread() is not threading.main_thread() or parent_process() is not None:
        yield lambda done: None
        return
    if _outermost is not None:
        line, before = _outermost, _outermost.done
        yield lambda done: line.tell(before + done)
        return
    line = _Line(what, total, shown)
    try:
        _outermost = line
        yield line.tell
    finally:
        _outermost = None
        line.erase()


def hush(context: Any, option: Any, quiet: bool) -> bool:
    """The callback of a click option ``--quiet``: nothing in the command shows its progress."""
    if quiet:
        context.with_resource(working("", shown=False))
    return quiet
