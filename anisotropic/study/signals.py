"""Who asked the driver to stop, and how urgently? Ctrl-C and SIGTERM become a flag, so that neither cuts a write."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

#: Seconds that running cells get after SIGTERM: batch systems kill some half a minute after it.
GRACE = 5.0


class Signals:
    """Use as a context manager in the thread that drives.

    Attributes
    ----------
    asked : int
        How often Ctrl-C was pressed, or 1 after SIGTERM.
    """

    def __init__(self) -> None:
        self.asked, self._cutting = 0, False
        self._thread = threading.get_ident()
        self._deadline = float("inf")
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            self._before[signal.SIGINT] = signal.signal(signal.SIGINT, self._interrupt)
            if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
                self._before[signal.SIGTERM] = signal.signal(signal.SIGTERM, self._terminate)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    @property
    def patience_is_over(self) -> bool:
        """True where running cells are given up: after a second Ctrl-C, or `GRACE` seconds after SIGTERM."""
        return self.asked > 1 or time.monotonic() > self._deadline

    @contextlib.contextmanager
    def cutting(self) -> Iterator[None]:
        """Inside, a signal raises KeyboardInterrupt: for a cell that computes in the thread that drives."""
        self._cutting = threading.get_ident() == self._thread
        try:
            yield
        finally:
            self._cutting = False

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.asked += 1
        if self._cutting:
            raise KeyboardInterrupt

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        self.asked = max(self.asked, 1)
        self._deadline = min(self._deadline, time.monotonic() + GRACE)
        if self._cutting:
            raise KeyboardInterrupt
