"""Up to which batch size do larger batches cost nothing at equal samples? Measured by short runs from a checkpoint.

From a point that SGD reached, short runs with larger and larger batches spend the same samples, each batch size with a
step size of its own. The critical batch size is where the decrease of the loss falls below a share of what the smallest
batch achieves. Beside it stands the gradient noise scale at the same point.

Source: arXiv 2505.23971 (branches from a checkpoint; in its spirit: there the step size follows a rule, here it is
searched). arXiv 1812.06162 (the noise scale).
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from .. import optimizers
from ..noise_scale import NoiseScale, gradient_noise_scale
from ..records import FloatArray
from .compare import FLOOR
from .grids import search
from .rows import Rows, follow, gaps, group_gradients, noise_over_rows

KEEP = 0.9
LEAST_ITERATIONS = 4
GROUPS = 32
DRAWS = 400


class Critical(NamedTuple):
    """The critical batch size with an interval, and what it came from.

    `value` and `high` are infinite where no batch size that was tried costs anything; NaN where the smallest batch
    made no progress. The interval is a percentile bootstrap over replicas, at this checkpoint. `sizes` were tried,
    `decrease` is the mean decrease of the loss. `noise_scale`: the gradient noise scale at the checkpoint, estimated
    from groups of rows, with Fieller's interval for fresh rows of the same kind; `over_rows`: the same over exactly
    these rows. `gap`: how far above the minimum the checkpoint stands; `samples`: what each branch spent.
    """

    value: float
    low: float
    high: float
    sizes: FloatArray
    decrease: FloatArray
    noise_scale: NoiseScale
    over_rows: float
    gap: float
    samples: int


def crossing(sizes: FloatArray, decrease: FloatArray, keep: float = KEEP) -> float:
    """Where the decrease first falls below `keep` times that of the first size, linear between logarithms of sizes.

    >>> round(crossing(np.array([1.0, 2.0, 4.0]), np.array([1.0, 1.0, 0.8])), 6)
    2.828427
    >>> crossing(np.array([1.0, 2.0]), np.array([1.0, 0.95])), crossing(np.array([1.0, 2.0]), np.array([-1.0, 0.0]))
    (inf, nan)
    """
    if not decrease[0] > 0.0:
        return np.nan
    share = decrease / decrease[0]
    below = np.flatnonzero(~(share >= keep))
    if below.size == 0:
        return np.inf
    k = int(below[0])
    part = (share[k - 1] - keep) / (share[k - 1] - share[k]) if np.isfinite(share[k]) else 0.0
    return float(sizes[k - 1] * (sizes[k] / sizes[k - 1]) ** part)


def branch(
    rows: Rows, step_size: float, batch_size: int, smallest: int, samples: int, *, replicas: int, seed: int,
    level: float, threads: int | None,
) -> Critical:  # fmt: skip
    """Follow SGD for a quarter of the samples, then branch for another quarter.

    Parameters
    ----------
    step_size, batch_size : float, int
        Of the run to the checkpoint.
    smallest : int
        The batch size to compare with.
    samples : int
        The budget of a whole run.
    """
    start = follow(rows, "sgd", step_size, max(1, samples // (4 * batch_size)), batch_size, seed).last
    gradients, size = group_gradients(rows, start, min(GROUPS, rows.signed.shape[0]), seed)
    exact = noise_over_rows(rows, start)
    scale = gradient_noise_scale(gradients, size, level=level)
    spend = max(samples // 4, LEAST_ITERATIONS * 2 * smallest)
    count = int(np.log2(spend / (LEAST_ITERATIONS * smallest))) + 1
    sizes = smallest * 2 ** np.arange(count)
    sizes = sizes[sizes <= max(rows.signed.shape[0], smallest)]
    loss = float(np.logaddexp(0.0, -(rows.signed @ start)).mean() + 0.5 * rows.l2 * (start @ start))
    before = max(loss - float(rows.objective.minimum or 0.0), 0.0)
    after, centre = np.empty((replicas, sizes.size)), step_size * smallest / batch_size
    for i, b in enumerate(int(s) for s in sizes):
        def try_size(size: float, n: int, at: int, b: int = b) -> dict[str, FloatArray]:
            return gaps(rows, optimizers.sgd(size), start, spend // b, b, n, at, threads)

        found = search(partial(try_size, n=max(4, replicas // 2), at=seed ^ 1), centre, ("gap",), reach=1)
        centre = found.best["gap"] if np.isfinite(found.best["gap"]) else centre
        after[:, i] = try_size(centre, n=replicas, at=seed)["gap"]
    decrease = before - after
    value, low, high = critical_interval(sizes, decrease, level, seed)
    if not before > FLOOR:
        value = low = high = np.nan
    return Critical(
        value, low, high, sizes.astype(np.float64), decrease.mean(axis=0), scale, exact, before, spend
    )


def critical_interval(
    sizes: FloatArray, decrease: FloatArray, level: float, seed: int = 0
) -> tuple[float, float, float]:
    """`crossing` of the mean decreases, with a percentile bootstrap over replicas, each size by itself.

    Parameters
    ----------
    sizes : array ``(sizes,)``
    decrease : array ``(replicas, sizes)``

    Examples
    --------
    Replicas that agree leave no doubt:

    >>> [round(v, 6) for v in critical_interval(np.array([1, 2, 4]), np.array([[1.0, 1.0, 0.8]] * 3), 0.05)]
    [2.828427, 2.828427, 2.828427]
    """
    replicas, count = decrease.shape
    drawn = np.random.default_rng(seed).integers(replicas, size=(DRAWS, replicas, count))
    means = np.take_along_axis(decrease[None], drawn, axis=1).mean(axis=1)
    resampled = np.array([crossing(sizes, one) for one in means])
    return (crossing(sizes, decrease.mean(axis=0)), *_limits(resampled, level))


def _limits(values: FloatArray, level: float) -> tuple[float, float]:
    """Percentiles of resampled values; NaN where more than a share `level` of them is."""
    if np.isnan(values).mean() > level:
        return np.nan, np.nan
    ordered = np.sort(values[~np.isnan(values)])
    at = [int(q * (ordered.size - 1) + 0.5) for q in (level / 2, 1 - level / 2)]
    return float(ordered[at[0]]), float(ordered[at[1]])
