"""What is measured? One problem, four methods, four sizes, two workloads, with and without the cost of the noise.

The problem: f(w) = (1/2) sum_j h_j (w_j - 0.9)^2 on [-1, 1]^d with h_j = 1 / j^2, from 0, noise of standard deviation
sqrt(h_j) for one sample, batches of 64. "theory" takes the running means of gap, |grad|_1 and |grad|_2^2 at every step;
"bare" takes statistics at the records only. Both project onto the box, average the iterates, and record the value, the
value at the average and |grad|_2^2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

METHODS = ("sgd", "adagrad", "adam", "adagrad_norm")
STEP = {"sgd": 1.0, "adagrad": 0.5, "adam": 0.01, "adagrad_norm": 1.0}
ADAGRAD_EPS, ADAM = 1e-14, (0.9, 0.999, 1e-8)
BATCH, SEED, CENTRE, RECORDS = 64, 20, 0.9, 100

#: The columns of what a peer returns: at its last record, per replica.
VALUE, MEAN_VALUE, AVERAGE_VALUE, MEAN_L1, MEAN_L2_SQUARED, L2_SQUARED = range(6)


class Size(NamedTuple):
    """Replicas, steps and dimension; and the steps that compiled loops and slow peers are given."""

    replicas: int
    steps: int
    dim: int
    long: int
    short: int


SIZES = (
    Size(256, 10_000, 100, long=1600, short=320),
    Size(64, 10_000, 1000, long=640, short=128),
    Size(16, 1000, 100_000, long=40, short=10),
    Size(4096, 1000, 10, long=1000, short=200),
)


class Cell(NamedTuple):
    """One thing to run: `drawn` says that the noise was drawn beforehand; `record` are the numbers of updates."""

    method: str
    theory: bool
    drawn: bool
    replicas: int
    steps: int
    dim: int
    record: np.ndarray

    @property
    def updates(self) -> int:
        """Coordinate-steps."""
        return self.replicas * self.steps * self.dim

    @property
    def curvature(self) -> np.ndarray:
        """h, shape (d,)."""
        return 1.0 / np.arange(1.0, self.dim + 1) ** 2

    @property
    def scale(self) -> np.ndarray:
        """Standard deviation of the minibatch gradient, shape (d,)."""
        return np.sqrt(self.curvature / BATCH)

    def normals(self) -> np.ndarray:
        """Noise drawn beforehand: four steps of it, used in a cycle; (4, replicas and some spare, d)."""
        return np.random.Generator(np.random.SFC64(SEED)).standard_normal((4, self.replicas + 32, self.dim))


#: A peer prepares a cell outside the clock and returns the function that is timed; its result is (replicas, 6).
Peer = Callable[[Cell], Callable[[], np.ndarray]]


def cell(size: Size, method: str, theory: bool, drawn: bool, steps: int) -> Cell:
    """A cell with its records: 100 log-spaced ones at full length, in proportion where the run is shortened."""
    from anisotropic.simulation.layout import record_steps

    records = max(2, round(min(RECORDS, size.steps) * steps / size.steps))
    return Cell(method, theory, drawn, size.replicas, steps, size.dim, record_steps(steps, records))
