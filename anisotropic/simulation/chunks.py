"""How do chunks of replicas run in threads, and stop when asked?

The kernels release the interpreter lock, so chunks run side by side while this thread waits, reports what is done, and
can be interrupted: a kernel looks at its signal between two blocks of coordinates. The numbers do not depend on the
number of threads or chunks: replica r of seed s is the same trajectory wherever it runs.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

import numpy as np
from numba import config

from ..records import count

PAUSE = 0.05  # seconds between two looks at what is done
GRACE = 0.3  # seconds that an interrupted kernel is given to return


def in_chunks(
    kernel: Callable[[int, int, np.ndarray], None],
    replicas: int,
    updates: int,
    *,
    tile: int = 1,
    threads: int | None = None,
    tell: Callable[[int], None] | None = None,
) -> None:
    """Run ``kernel(first, last, signal)`` over all replicas.

    Parameters
    ----------
    kernel : callable
        Simulates the replicas first..last-1. It returns early once signal[0] is not 0, and counts in signal[1] the
        updates done, of all its replicas together.
    replicas, updates : int
        The whole work: replicas, and updates of each.
    tile : int
        Chunks are multiples of so many replicas.
    threads : int, optional
        Default: all cores.
    tell : callable, optional
        Called in this thread with the number of updates done so far, of all replicas together.
    """
    threads = (os.cpu_count() or 1) if threads is None else count(threads, "threads")
    kernel(0, 0, np.zeros(2, np.int64))  # compiles in this thread, simulates nothing
    if config.DISABLE_JIT:
        kernel(0, replicas, np.zeros(2, np.int64))
        return
    size = -(-replicas // (4 * threads if threads > 1 else 1))
    size = -(-size // tile) * tile
    chunks = [(a, min(a + size, replicas), np.zeros(2, np.int64)) for a in range(0, replicas, size)]
    waiting, failures, ended = iter(chunks), [], threading.Semaphore(0)

    def work() -> None:
        try:
            for first, last, signal in waiting:
                kernel(first, last, signal)
        except BaseException as error:
            failures.append(error)
        finally:
            ended.release()

    workers = [threading.Thread(target=work, daemon=True) for _ in range(min(threads, len(chunks)))]
    try:
        for worker in workers:
            worker.start()
        left = len(workers)
        while left:
            left -= ended.acquire(timeout=PAUSE)
            if failures:
                raise failures[0]
            if tell is not None and left:
                tell(int(sum(signal[1] for *_, signal in chunks)))
    except BaseException:
        for *_, signal in chunks:
            signal[0] = 1
        deadline = time.monotonic() + GRACE
        for worker in workers:
            worker.join(max(0.0, deadline - time.monotonic()))
        raise
    if tell is not None:
        tell(replicas * updates)
