"""What does a schedule of step sizes do to the last iterate? A few numbers, by one pass from the last step size back.

With theta_1, ..., theta_T the step sizes, S_t the tail sums of the weighted step sizes in the proofs, and
d_t = S_t - S_{t+1}:

* smooth functions: S_{T+1} = 0, S_t (S_t - S_{t+1}) = theta_t; A = S_1^2, B = sum d_t^2 = 2 sum theta - A, and
  C = sum d_t^2 theta_t;
* Lipschitz functions: S_{T+1} = a, S_{t+1} (S_t - S_{t+1}) = theta_t; A = S_1^2 at its smallest over a > 0, and
  B = A - 2 sum theta. With x = S_t^2 one step is x -> (x + theta)^2 / x, which falls until x = theta and rises after,
  so the smallest value is carried back exactly: from m on the set of values is [m, infinity), and the next m is the
  image of max(m, theta).

A step size of zero changes nothing and is passed over. Proofs: docs/theory/convex_sgd_last.md and
docs/theory/convex_sgd_last_nonsmooth.md.
"""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

import numpy as np

from ..records import FloatArray


class Smooth(NamedTuple):
    """A, B, C of a schedule for smooth functions, its step sizes above zero, and their d_t."""

    A: float
    B: float
    C: float
    step_sizes: FloatArray
    d: FloatArray


class Lipschitz(NamedTuple):
    """A and B of a schedule for Lipschitz functions."""

    A: float
    B: float


def smooth(schedule: FloatArray) -> Smooth:
    """The numbers of a schedule for smooth functions.

    >>> smooth(np.array([1.0, 0.75, 0.5, 0.25]))[:3]
    (4.0, 1.0, 0.625)
    """
    taken = schedule[schedule > 0]
    backwards: list[float] = []
    tail = 0.0
    for step_size in reversed(taken.tolist()):
        tail = 0.5 * (tail + sqrt(tail * tail + 4.0 * step_size))
        backwards.append(step_size / tail)
    d = np.array(backwards[::-1])
    squares = d * d
    return Smooth(tail * tail, float(squares.sum()), float(squares @ taken), taken, d)


def compressed(of: Smooth, most: int = 256) -> Smooth:
    """The same A, with iterations of about the same step size taken together: for a search, not for a claim."""
    if of.step_sizes.size <= most:
        return of
    top = float(of.step_sizes.max())
    bins = np.minimum((of.step_sizes / top * most).astype(np.int64), most - 1)
    squares = np.bincount(bins, of.d**2, most)
    weighted = np.bincount(bins, of.d**2 * of.step_sizes, most)
    used = squares > 0
    return Smooth(of.A, of.B, of.C, weighted[used] / squares[used], np.sqrt(squares[used]))


def lipschitz(schedule: FloatArray) -> Lipschitz:
    """The numbers of a schedule for Lipschitz functions.

    >>> A, B = lipschitz(np.array([0.75, 0.5, 0.25]))
    >>> round(A, 12), round(B, 12)
    (4.0, 1.0)
    """
    least, excess, passed = 0.0, 0.0, 0.0
    for step_size in reversed(schedule[schedule > 0].tolist()):
        if step_size > least:
            least, excess = step_size, step_size - passed
        gain = step_size * step_size / least
        least += 2.0 * step_size + gain
        excess += gain
        passed += 2.0 * step_size
    return Lipschitz(least, excess)


def alpha(schedule: FloatArray) -> float:
    """A/T in units of the largest step size: 1 for linear decay, 2 for a constant step size."""
    return smooth(schedule).A / (np.max(schedule) * np.size(schedule))


def kappa(schedule: FloatArray) -> float:
    """TB/A: 1 for linear decay, about (ln T)/4 + 0.58 for a constant step size."""
    found = smooth(schedule)
    return np.size(schedule) * found.B / found.A


def kappa_nonsmooth(schedule: FloatArray) -> float:
    """(T + 1)B/A: 1 for linear decay, about (ln T)/4 + 0.86 for a constant step size."""
    found = lipschitz(schedule)
    return (np.size(schedule) + 1) * found.B / found.A
