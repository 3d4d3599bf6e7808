"""Chunks of replicas in threads: every replica once, errors and interrupts reach the caller and stop the rest."""

import os
import signal as signals
import threading

import numpy as np
import pytest

import anisotropic as an
from anisotropic.simulation.chunks import in_chunks


@pytest.mark.parametrize(("replicas", "threads", "tile"), [(1, 1, 1), (7, 2, 1), (100, 3, 8), (5, 4, 32), (64, 1, 25)])
def test_every_replica_is_simulated_once_in_whole_tiles(replicas, threads, tile):
    seen = np.zeros(replicas, int)
    starts = []

    def kernel(first, last, signal):
        seen[first:last] += 1
        if last > first:
            starts.append(first)

    in_chunks(kernel, replicas, 10, tile=tile, threads=threads)
    assert (seen == 1).all() and all(first % tile == 0 for first in starts)


def test_an_error_in_one_chunk_stops_the_others_and_is_raised_here():
    stopped = threading.Event()

    def kernel(first, last, signal):
        if first == last:
            return
        if first == 0:
            raise ZeroDivisionError("in a leaf")
        while signal[0] == 0:
            stopped.wait(0.001)
        stopped.set()

    with pytest.raises(ZeroDivisionError, match="in a leaf"):
        in_chunks(kernel, 8, 10, threads=2)
    assert stopped.wait(60)


def test_what_is_told_never_falls_and_ends_with_all_updates():
    seen = []

    def kernel(first, last, signal):
        for _ in range(10 * (last - first)):
            signal[1] += 1
            threading.Event().wait(0.002)

    in_chunks(kernel, 12, 10, threads=2, tell=seen.append)
    assert seen == sorted(seen) and seen[-1] == 120 and len(seen) > 1


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dim", [2, 50_000])
def test_an_interrupt_ends_a_simulation_that_would_take_hours(threads, dim):
    f, before = an.problems.quadratic(np.ones(dim)), threading.active_count()
    run = {"noise": an.noises.gaussian(1.0), "start": 0.0, "replicas": 4, "records": 1, "threads": threads}
    an.simulate(f, an.optimizers.sgd(0.1), steps=1, **run)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signals.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        an.simulate(f, an.optimizers.sgd(0.1), steps=10**12, **run)
    timer.join()
    for thread in threading.enumerate():
        if thread.daemon and thread.name.endswith("(work)"):
            thread.join(60)
    assert threading.active_count() <= before
