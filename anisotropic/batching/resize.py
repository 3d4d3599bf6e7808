"""What does a rule see of a batch? The variances of its samples, at a cost that does not grow with the batch.

For normal noise the batch mean and the sample variances are independent: the variance of coordinate j among b samples
is sigma_j^2 chi^2_{b-1} / (b-1), and that of the projections <g_i, g> onto the batch mean g is
(sum_j g_j^2 sigma_j^2) chi^2_{b-1} / (b-1). Both marginal laws are exact; they are drawn independently of each other,
which ignores their correlation. For a finite sum the rows' own gradients are used.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from numba import config
from numba.extending import register_jitable
from numpy.typing import NDArray

from ..compiled.leaf import FLAGS, leaf
from ..compiled.random import chi_square
from ..records import FloatArray, module_level
from .rules import bounded, finite, ratio

LARGEST = 2**62
ROUNDING = 1 + 1e-9

for _function in (bounded, finite, ratio):
    register_jitable(fastmath=FLAGS, error_model="numpy")(_function)


@cache
def compiled(decide: Callable) -> Callable:
    """A rule's function for the kernel; one that is compiled already stays as it is."""
    ready = decide if config.DISABLE_JIT or hasattr(decide, "py_func") else leaf(decide)
    return module_level(ready, "decide")


class Sampling(NamedTuple):
    """What is known of the samples, how a rule is applied, and whether it kept its promise.

    The promise of an exact rule is a relative noise of at most `limit` at every iteration, of the whole gradient or of
    each coordinate. A cap or a floor may break it, at iterations that no record shows: then `broken` is set to 1, once
    for all replicas.
    """

    sigma: FloatArray
    rho: float
    population: int
    interval: int
    max_batch: int
    shrink: bool
    exact: bool
    limit: float = np.inf
    by_coordinate: bool = False
    replace: bool = True
    broken: NDArray[np.int64] = np.zeros(1, np.int64)


@leaf
def watch(batch, true, variance, factor, sampling):
    """Note whether ``factor variance/batch`` exceeds `limit` times the square of the true gradient."""
    noise, square = 0.0, 0.0
    for j in range(true.size):
        v, s = factor * variance[j] / batch, true[j] * true[j]
        if sampling.by_coordinate and v > sampling.limit * s * ROUNDING:
            sampling.broken[0] = 1
        noise += v
        square += s
    if noise > sampling.limit * square * ROUNDING and not sampling.by_coordinate:
        sampling.broken[0] = 1


@leaf
def by_law(decide, sample_gradient, batch, w, true, mean, rows, variance, row, history, stream, po, rule, sampling):
    """Next batch under normal noise of variance sigma^2 + rho G^2 for one sample."""
    idle = stream.step % sampling.interval != 0 or (batch >= sampling.max_batch and not sampling.shrink)
    if idle and not sampling.exact:
        return batch
    along, freedom = 0.0, batch - 1.0
    for j in range(w.size):
        one = sampling.sigma[j] * sampling.sigma[j] + sampling.rho * true[j] * true[j]
        direction = true[j] if sampling.exact else mean[j]
        along += direction * direction * one
        variance[j] = one if sampling.exact else one * chi_square(freedom, stream, j) / freedom
    if not sampling.exact:
        along *= chi_square(freedom, stream, w.size) / freedom
    if not idle:
        seen = true if sampling.exact else mean
        wanted = decide(batch, seen, variance, along, 0, stream.step, history, rule)
        batch = bounded(batch, wanted, sampling.shrink, sampling.max_batch)
    if sampling.exact:
        watch(batch, true, variance, 1.0, sampling)
    return batch


@leaf
def row_moments(sample_gradient, w, po, rows, mean, variance, row, divisor):
    """Variance of each coordinate among the gradients of `rows`, and of their projections onto `mean`."""
    total = along = 0.0
    for j in range(w.size):
        variance[j] = 0.0
        total += mean[j] * mean[j]
    for i in range(rows.size):
        sample_gradient(w, po, rows[i : i + 1], row)
        product = 0.0
        for j in range(w.size):
            difference = row[j] - mean[j]
            variance[j] += difference * difference / divisor
            product += row[j] * mean[j]
        along += (product - total) * (product - total) / divisor
    return along


@leaf
def by_rows(decide, sample_gradient, batch, w, true, mean, rows, variance, row, history, stream, po, rule, sampling):
    """Next batch of a finite sum: variances among the rows of the batch, or among all rows for the exact form.

    The exact form gets all row numbers in `rows` from its own buffer behind the batch.
    """
    n = sampling.population
    idle = stream.step % sampling.interval != 0 or (batch >= sampling.max_batch and not sampling.shrink)
    if idle and (not sampling.exact or (batch >= n and not sampling.replace)):
        return batch
    if sampling.exact:
        along = row_moments(sample_gradient, w, po, rows[rows.size - n :], true, variance, row, float(n))
        if not idle:
            wanted = decide(batch, true, variance, along, n, stream.step, history, rule)
            batch = bounded(batch, wanted, sampling.shrink, sampling.max_batch)
        watch(batch, true, variance, 1.0 if sampling.replace else (n - batch) / max(n - 1.0, 1.0), sampling)
        return batch
    along = row_moments(sample_gradient, w, po, rows[:batch], mean, variance, row, batch - 1.0)
    wanted = decide(batch, mean, variance, along, n, stream.step, history, rule)
    return bounded(batch, wanted, sampling.shrink, sampling.max_batch)
