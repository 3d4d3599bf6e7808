"""How far can a partly evaluated diagonal be trusted? R_med with an interval that holds for finite samples.

The median of a layer comes from a random subset evaluated exactly. A random subset can never certify a maximum, so
Rademacher probes bound every entry that was not evaluated; with these bounds the subset limits the mean as well. No
step assumes normality.
Derivations: docs/theory/geometry_estimators.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..records import FloatArray, count
from .estimators import SignProbes, exact_entries
from .order_statistics import ROUNDING, bounded_mean_interval, median_interval, ratio_of_ranges
from .statistic import RMed, r_med

#: Entries drawn for the median where the caller does not say.
DEFAULT_ENTRIES = 200


class _Evaluated:
    """Exact entries of a layer so far: a growing random subset, and entries chosen because they may be large."""

    def __init__(self, hvp: Callable[[FloatArray], Any], size: int, seed: int) -> None:
        self.hvp, self.values = hvp, np.full(size, np.nan)
        self.order = np.random.default_rng([seed, 0]).permutation(size)

    def add(self, index: NDArray[np.intp]) -> None:
        missing = index[np.isnan(self.values[index])]
        self.values[missing] = exact_entries(self.hvp, self.values.size, missing)

    def upper_bound(self, probes: SignProbes, level: float) -> FloatArray:
        """Bound of every |H_ii|, jointly at `level`.

        v_i (H v)_i - H_ii is symmetric about zero, so its self-normalized sum over m probes exceeds x with probability
        at most exp(-x^2 / 2), for every distribution; solved for H_ii with x^2 = 2 ln(n / level).
        """
        m = probes.probes
        x2 = 2 * math.log(self.values.size / level)
        margin = np.sqrt(probes.squares / m * (x2 / (m - x2))) if m > x2 else np.inf
        return np.abs(probes.mean) + margin


def estimate_r_med(
    hvp: Callable[[FloatArray], Any],
    size: int,
    *,
    entries: int = DEFAULT_ENTRIES,
    probes: int = 64,
    exact: int = 32,
    level: float = 0.05,
    width: float | None = None,
    zero_below: float = 0.0,
    seed: int = 0,
) -> RMed:
    """R_med of a layer from Hessian-vector products, with an interval that keeps its level for finite samples.

    `entries` diagonal entries drawn at random are evaluated exactly: their order statistics bound the median. Sign
    probes bound all other entries; the `exact` ones with the largest bounds are evaluated too. The maximum lies
    between the largest value seen and the largest bound left; the interval of the ratio spends level / 2 on each.
    The mean is that of the `exact` entries with the largest bounds, known exactly, and of the others, which the random
    entries represent and the largest bound among them limits. `mean_interval` and `maximum_interval` hold together.
    A layer that costs no more to evaluate fully (size <= entries + probes + exact) is evaluated fully.

    Parameters
    ----------
    hvp : callable (n,) -> (n,)
        Multiplies by the layer's Hessian block (NumPy, torch or JAX arrays).
    size : int
        n, the layer's number of entries.
    entries, probes, exact : int
        See above. Fewer than 2 ln(2 n / level) probes leave the interval without an upper end.
    level : float
        1 - confidence.
    width : float, optional
        Stopping rule: double what limits the interval until its ends differ by at most this factor (1.5, say), or the
        layer is exact. Round r is held to level / 2^r, so that looking repeatedly does not cost the level.
    zero_below : float
        Absolute size under which an entry counts as a structural zero.
    seed : int

    Returns
    -------
    RMed
        `value` = largest entry seen / median of the random subset; NaN with a NaN interval where that median is zero.

    Raises
    ------
    ValueError
        If a number is out of range, or hvp returns another shape, half precision or NaN.

    Examples
    --------
    >>> h = np.ones(1000)
    >>> h[3] = 7.0
    >>> r = estimate_r_med(lambda v: h * v, 1000, entries=50)
    >>> round(r.value, 9), [round(end, 9) for end in r.interval], r.evaluated
    (7.0, [7.0, 7.0], 82)
    """
    n = count(size, "size")
    counts = [count(entries, "entries"), count(probes, "probes", low=2), count(exact, "exact", low=0)]
    if not 0 < level < 1:
        raise ValueError(f"level = {level:g}; expected a number between 0 and 1, such as 0.05")
    if width is not None and not width > 1:
        raise ValueError(f"width = {width:g}; expected a factor above 1 between the interval's ends, such as 1.5")
    known, sample = _Evaluated(hvp, n, int(seed)), SignProbes(hvp, n, int(seed))
    spent, rounds = level, 0
    while sum(counts) < n:
        rounds += 1
        spent = level if width is None else level / 2**rounds
        result = _one_round(known, sample, counts, spent, zero_below)
        low, high = result.interval
        if width is None or math.isnan(result.value) or high <= width * low:
            return result
        median_is_wider = result.median_interval[1] * result.maximum_interval[0] > (
            result.median_interval[0] * result.maximum_interval[1]
        )
        counts = [counts[0] * 2, *counts[1:]] if median_is_wider else [counts[0], counts[1] * 2, max(1, counts[2]) * 2]
    known.add(known.order)
    return r_med(known.values, zero_below=zero_below)


class _Mean(NamedTuple):
    estimate: float
    interval: tuple[float, float]


def _mean(
    size: FloatArray, bound: FloatArray, subset: NDArray[np.intp], largest_first: NDArray[np.intp], level: float
) -> _Mean:
    """Mean of |H_ii|: `size` is NaN where not evaluated, `bound` holds for all entries.

    The entries `largest_first` are evaluated and depend on the probes alone, so those of the subset that are not among
    them are a random sample of the others.
    """
    n = size.size
    apart = np.zeros(n, dtype=bool)
    apart[largest_first] = True
    rest, drawn = n - largest_first.size, size[subset[~apart[subset]]]
    largest = float(max(bound[~apart].max(), drawn.max(initial=0.0)))
    known = float(size[apart].sum())
    low, high = bounded_mean_interval(drawn, largest, population=rest, level=level)
    above = float(np.where(np.isnan(size), bound, size).mean())
    typical = float(drawn.mean()) if drawn.size else (low + high) / 2
    ends = (known + rest * low) / n, min((known + rest * high) / n, above)
    return _Mean((known + rest * typical) / n, (ends[0] * (1 - ROUNDING), ends[1] * (1 + ROUNDING)))


def _one_round(known: _Evaluated, sample: SignProbes, counts: list[int], level: float, zero_below: float) -> RMed:
    entries, probes, exact = counts
    n = known.values.size
    subset = known.order[:entries]
    known.add(subset)
    sample.extend(probes - sample.probes)
    bound = known.upper_bound(sample, level / 2)
    ranking = np.argsort(bound if np.isfinite(bound).all() else np.abs(sample.mean), kind="stable")[::-1]
    known.add(ranking[np.isnan(known.values[ranking])][:exact])
    seen = np.abs(known.values)
    largest = float(np.nanmax(seen))
    top = largest, max(largest, float(np.where(np.isnan(seen), bound, -np.inf).max()))
    floor = max(zero_below, 4 * np.finfo(float).eps * largest)
    drawn = r_med(known.values[subset], zero_below=floor)
    size = np.where(seen <= floor, 0.0, seen)
    middle = median_interval(size[subset], population=n, level=level / 2)
    middle = max(middle[0], 0.0), middle[1]
    mean = _mean(size, bound, subset, ranking[:exact], level / 2)
    value = largest / drawn.median if drawn.median > 0 else math.nan
    return drawn._replace(
        value=value,
        maximum=largest,
        interval=ratio_of_ranges(top, middle) if drawn.median > 0 else (math.nan, math.nan),
        median_interval=middle,
        maximum_interval=top,
        mean=mean.estimate,
        mean_interval=mean.interval,
        size=n,
        evaluated=int(np.sum(~np.isnan(known.values))),
        method="subset",
    )
