"""What does a driver need to know of an executor?"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

from .compute import CHUNK_SECONDS
from .workers import Workers


class Serial(Executor):
    """Computes at submission, in the calling thread: the executor for a debugger."""

    def submit(self, fn: Callable, /, *args: Any, **kwargs: Any) -> Future:
        future: Future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class Pool:
    """An executor, and what a driver needs to know of it.

    Attributes
    ----------
    executor : Executor
    width : int
        Calls that it can work on at once.
    here : bool
        True where the calls run in this process.
    chunk_seconds : float
        How long a chunk of cells should take, so that handing it over costs little beside it.
    overhead : float
        Seconds that handing over a chunk costs the pool; no chunk is made shorter to share out the last cells.
    first_chunk : int
        The most cells of a chunk before it is known what a cell costs.
    """

    chunk_seconds, overhead, first_chunk = CHUNK_SECONDS, 0.0, 1

    def __init__(self, executor: Executor, width: int) -> None:
        self.executor, self.width = executor, width
        self.here = isinstance(executor, (Serial, ThreadPoolExecutor))

    def submit(self, seconds: float | None, fn: Callable, *args: Any) -> Future:
        """Call `fn`; `seconds` is how long it may take, which only processes of our own can keep."""
        if isinstance(self.executor, Workers):
            return self.executor.submit_within(seconds, fn, *args)
        return self.executor.submit(fn, *args)

    def check(self) -> None:
        """Raise `Stopped` where no answer can be expected any more."""
