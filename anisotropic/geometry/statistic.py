"""How uneven is a diagonal? R_med, its quantile cousins, and what noise alone would give.

R_med = max_i |H_ii| / median_i |H_ii| over the entries of one layer (arXiv 2211.02254). It does not change when the
loss or the whole layer is rescaled; it does change when single coordinates are, which is its point.
"""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..records import FloatArray

#: Median of |z| for a standard normal z.
HALF_NORMAL_MEDIAN = 0.674489750196082
EULER = 0.5772156649015329


class RMed(NamedTuple):
    """R_med of one layer.

    Attributes
    ----------
    value : float
        maximum / median; NaN where the median is zero.
    maximum, median : float
        Of the absolute entries that were evaluated.
    zeros, negative : int
        How many of the evaluated entries are structural zeros, and how many are negative (their sign is dropped).
        For an estimate they count in the random subset, whose size is `sampled`.
    interval : (float, float)
        Contains R_med with at least the stated confidence; both ends are `value` for an exact diagonal.
    median_interval, maximum_interval : (float, float)
        The two intervals that `interval` is made of.
    mean : float
        Mean of the absolute entries, estimated where not all are known; maximum / mean is R_mean.
    mean_interval : (float, float)
        Contains the mean, and `maximum_interval` the maximum, both with at least the stated confidence together.
    size, sampled, evaluated : int
        Entries of the layer; entries drawn at random for the median; entries evaluated exactly.
    method : str
        "exact" (every entry evaluated), "subset" (random entries and screening), or a shortcut to the exact diagonal:
        "output layer" or "units".
    """

    value: float
    maximum: float
    median: float
    zeros: int
    negative: int
    interval: tuple[float, float] = (math.nan, math.nan)
    median_interval: tuple[float, float] = (math.nan, math.nan)
    maximum_interval: tuple[float, float] = (math.nan, math.nan)
    mean: float = math.nan
    mean_interval: tuple[float, float] = (math.nan, math.nan)
    size: int = 0
    sampled: int = 0
    evaluated: int = 0
    method: str = "exact"


def finite_entries(diagonal: ArrayLike) -> FloatArray:
    """The diagonal as a flat float64 array; refuse an empty one and one with NaN or infinite entries."""
    entries = np.asarray(diagonal, dtype=np.float64).ravel()
    if entries.size == 0:
        raise ValueError("the diagonal is empty; expected at least one entry")
    bad = ~np.isfinite(entries)
    if bad.any():
        raise ValueError(
            f"{int(bad.sum())} of the {entries.size} diagonal entries are not finite (the first is entry "
            f"{int(np.argmax(bad))}); check the weights and the batch for NaN"
        )
    return entries


def r_med(diagonal: ArrayLike, *, zero_below: float = 0.0, standard_error: ArrayLike | None = None) -> RMed:
    """R_med = max_i |h_i| / median_i |h_i| of a diagonal of any shape.

    An entry counts as a structural zero where |h_i| <= max(`zero_below`, 4 eps max |h|), eps = 2.2e-16: rows of tokens
    that are absent from the batch, dead units, directions in which the loss is exactly flat. Where more than half of
    the entries are zeros the median is zero and the value is NaN, never a huge number made of rounding errors.

    Parameters
    ----------
    diagonal : array of any shape
    zero_below : float
        Absolute size under which an entry is rounding error.
    standard_error : array like `diagonal`, optional
        Of an estimated diagonal (`hutchinson_diagonal`): a warning says when the median is made of noise.

    Raises
    ------
    ValueError
        If the diagonal is empty or has entries that are not finite.

    Examples
    --------
    >>> r = r_med([1.0, -2.0, 3.0, 0.0, 10.0])
    >>> r.value, r.zeros, r.negative
    (5.0, 1, 1)
    >>> r_med([0.0, 0.0, 1.0]).value
    nan
    """
    entries = finite_entries(diagonal)
    size = np.abs(entries)
    maximum = float(size.max())
    threshold = max(float(zero_below), 4 * np.finfo(float).eps * maximum)
    zero = size <= threshold
    median = float(np.median(np.where(zero, 0.0, size)))
    value = maximum / median if median > 0 else math.nan
    if standard_error is not None:
        _warn_if_noise(size, standard_error, value)
    return RMed(
        value,
        maximum,
        median,
        int(zero.sum()),
        int(np.sum((entries < 0) & ~zero)),
        interval=(value, value),
        median_interval=(median, median),
        maximum_interval=(maximum, maximum),
        mean=float(size.mean()),
        mean_interval=(float(size.mean()), float(size.mean())),
        size=size.size,
        sampled=size.size,
        evaluated=size.size,
    )


def quantile_ratio(diagonal: ArrayLike, level: float = 0.99) -> float:
    """R_q = (the `level` quantile of |h_i|) / (the median of |h_i|): R_med without its dependence on one entry.

    The quantile is the ceil(level n)-th smallest entry. NaN where the median is zero.

    Examples
    --------
    >>> quantile_ratio(range(1, 101), 0.95)   # 95 / 50.5
    1.88...
    """
    if not 0 < level <= 1:
        raise ValueError(f"level = {level:g}; expected a number in (0, 1]")
    size = np.sort(np.abs(finite_entries(diagonal)))
    median = float(np.median(size))
    return float(size[math.ceil(level * size.size) - 1]) / median if median > 0 else math.nan


def normal_maximum(size: int) -> float:
    """Typical maximum of |z_1|, ..., |z_n|: Phi^-1(1 - e^{-gamma} / (2 n))."""
    from scipy.special import ndtri

    if size < 1:
        raise ValueError(f"size = {size}; expected at least 1 entry")
    return float(-ndtri(gumbel_tail(size) / 2))


def gumbel_tail(size: int) -> float:
    """Tail probability at the mean of a maximum of n: exp(-gamma) / n, since a Gumbel variable has mean gamma."""
    return math.exp(-EULER) / size


def noise_floor(size: int) -> float:
    """R_med of n independent centered normals of equal variance: what an estimate reports where there is no signal.

    Phi^-1(1 - e^{-gamma} / (2 n)) / 0.6745, with gamma Euler's constant: 4 to 7 for layers of 100 to 100,000 entries.

    Examples
    --------
    >>> round(noise_floor(10_000), 1)
    6.0
    """
    return normal_maximum(size) / HALF_NORMAL_MEDIAN


def _warn_if_noise(size: FloatArray, standard_error: ArrayLike, value: float) -> None:
    error = np.broadcast_to(np.asarray(standard_error, dtype=np.float64).ravel(), size.shape)
    clear = float(np.median(size / np.maximum(error, np.finfo(float).tiny)))
    if clear < 2 * HALF_NORMAL_MEDIAN:
        warnings.warn(
            f"R_med = {value:.3g} is no better than noise: the median entry is {clear:.2g} standard errors large (pure "
            f"noise gives 0.67 and R_med = {noise_floor(size.size):.1f}); evaluate entries exactly with estimate_r_med",
            UserWarning,
            stacklevel=3,
        )
