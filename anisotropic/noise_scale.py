"""Up to which batch size do larger batches pay? The gradient noise scale, estimated without bias, with an interval.

The simple noise scale is tr(Sigma) / |G|^2, G the true gradient and Sigma the covariance of one sample's gradient: the
batch size at which noise and signal have equal length. |g|^2 of a batch is no estimate of |G|^2, since it contains
tr(Sigma) / b; from two batch sizes, or from several workers with equal batches, both parts follow without bias.
Numerator and denominator are averaged separately and divided last. The ratio of two noisy numbers has no symmetric
error bar: the interval is Fieller's, and it has no upper end where |G|^2 cannot be told from 0.

Source: arXiv 1812.06162 (the quantity); estimators, jackknife and intervals are derived in docs/theory/noise_scale.md.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from .records import FloatArray, count


class NoiseScale(NamedTuple):
    """Estimate of tr(Sigma) / |G|^2 in samples; floats, or ``(d,)`` arrays for one scale per coordinate.

    `value` is infinite where the estimate of |G|^2 is not positive; `interval` = (lower, upper), upper possibly
    infinite.
    """

    value: Any
    interval: tuple[Any, Any]


class NoiseMoments(NamedTuple):
    """Unbiased estimates of tr(Sigma), for one sample, and of |G|^2, which may come out negative."""

    trace: Any
    gradient_norm_squared: Any


def gradient_noise_scale(
    gradients: ArrayLike, batch_size: int, *, per_coordinate: bool = False, level: float = 0.05
) -> NoiseScale:
    """Gradient noise scale from the gradients of several workers (or micro-batches) at one point, or at several steps.

    With J workers, batch b each, and mean gradient m: S = b / (J - 1) sum_j |g_j - m|^2 has the mean tr(Sigma), and
    |m|^2 - S / (J b) has the mean |G|^2. Both are averaged over steps, then divided.

    Parameters
    ----------
    gradients : array ``(workers, d)`` or ``(steps, workers, d)``
        Mean gradient of each worker's own batch, all taken at the same point.
    batch_size : int
        b, samples of one worker.
    per_coordinate : bool
        Sigma_jj / G_j^2 for each coordinate in place of the sum over coordinates.
    level : float
        The interval misses the truth with about this probability: a Student interval from leaving out one worker at a
        time (from the spread over steps if there are only two workers). It is approximate: 8 workers whose gradients
        are as skewed as an exponential law missed in 11 % instead of 5 %; means of 8 such samples in at most 7 %.

    Returns
    -------
    NoiseScale
        value, interval.

    Raises
    ------
    ValueError
        On fewer than two workers, a wrong shape, numbers that are not finite, or a level outside (0, 1).

    Examples
    --------
    Two workers with batches of 3 and gradients 3 and 1: S = 3 * 2, |G|^2 = 4 - 6 / 6. One step of two workers has no
    interval.

    >>> gradient_noise_scale([[3.0], [1.0]], 3)
    NoiseScale(value=2.0, interval=(0.0, inf))
    """
    squares, length, own, cross = _sums(gradients, batch_size, per_coordinate)
    steps, workers = own.shape[:2]
    b = int(batch_size)
    trace, norm = _estimates(squares, length, workers, b)
    if workers == 2:
        return _scale(trace, norm, _spread_over_steps(trace, norm), steps - 1, level, per_coordinate)
    # Without worker j the mean moves by -(g_j - m) / (J - 1) and the squares lose J / (J - 1) |g_j - m|^2.
    rest = workers - 1
    less = squares[:, None] - own * workers / rest
    moved = length[:, None] - 2.0 * cross / rest + own / rest**2
    left_out = np.stack(_estimates(less, moved, rest, b))
    left_out -= left_out.mean(axis=2, keepdims=True)
    covariance = np.einsum("astk,bstk->abk", left_out, left_out) * (rest / workers) / steps**2
    return _scale(trace, norm, covariance, steps * rest, level, per_coordinate)


def noise_moments(gradients: ArrayLike, batch_size: int, *, per_coordinate: bool = False) -> NoiseMoments:
    """Numerator and denominator of `gradient_noise_scale`, each unbiased, averaged over steps.

    Parameters and errors are those of `gradient_noise_scale`. Average these over a run, then divide.

    Examples
    --------
    >>> noise_moments([[3.0], [1.0]], 3)
    NoiseMoments(trace=6.0, gradient_norm_squared=3.0)
    """
    squares, length, own, _ = _sums(gradients, batch_size, per_coordinate)
    trace, norm = (v.mean(axis=0) for v in _estimates(squares, length, own.shape[1], int(batch_size)))
    return NoiseMoments(trace, norm) if per_coordinate else NoiseMoments(float(trace[0]), float(norm[0]))


def _sums(
    gradients: ArrayLike, batch_size: int, per_coordinate: bool
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Per step, m the mean over workers: sum_j |g_j - m|^2 and |m|^2; per worker |g_j - m|^2 and m . (g_j - m)."""
    g = np.asarray(gradients, dtype=np.float64)
    if g.ndim == 2:
        g = g[None]
    if g.ndim != 3 or 0 in g.shape:
        raise ValueError(f"gradients has shape {np.shape(gradients)}; expected (workers, d) or (steps, workers, d)")
    if g.shape[1] < 2:
        raise ValueError("gradients of 1 worker have no spread; expected at least 2 workers or micro-batches")
    if not np.isfinite(g).all():
        raise ValueError("gradients contain NaN or infinity; expected finite numbers")
    count(batch_size, "batch_size")
    centre = g.mean(axis=1, keepdims=True)
    deviation = g - centre

    def total(products: FloatArray) -> FloatArray:
        return products if per_coordinate else products.sum(axis=-1, keepdims=True)

    own = total(deviation**2)
    return own.sum(axis=1), total(centre[:, 0] ** 2), own, total(centre * deviation)


def two_batch_noise_scale(
    small_norm_squared: ArrayLike, big_norm_squared: ArrayLike, small: int, big: int, *, level: float = 0.05
) -> NoiseScale:
    """Gradient noise scale from squared gradient norms at two batch sizes: two floats a step.

    |G|^2 from (B |g_B|^2 - b |g_b|^2) / (B - b), tr(Sigma) from (|g_b|^2 - |g_B|^2) / (1/b - 1/B); means over steps.

    Parameters
    ----------
    small_norm_squared, big_norm_squared : float or array ``(steps,)``
        |g|^2 of a batch of size `small` and of one of size `big`, which may contain the first; means over workers of
        |g|^2 are as good.
    small, big : int
        b < B.
    level : float
        As in `gradient_noise_scale`; the interval comes from the spread over steps, which should not be correlated.

    Returns
    -------
    NoiseScale

    Raises
    ------
    ValueError
        On different shapes, numbers that are negative or not finite, or sizes that do not increase.

    Examples
    --------
    >>> round(two_batch_noise_scale(5.0, 4.0, 1, 2).value, 9)
    0.666666667
    """
    low, high = (np.atleast_1d(np.asarray(v, dtype=np.float64)) for v in (small_norm_squared, big_norm_squared))
    if low.ndim != 1 or low.shape != high.shape or low.size == 0:
        raise ValueError(f"squared norms have shapes {low.shape} and {high.shape}; expected one number each per step")
    if not (np.isfinite(low).all() and np.isfinite(high).all() and min(low.min(), high.min()) >= 0.0):
        raise ValueError("squared norms contain a negative number, NaN or infinity; expected finite numbers")
    b, B = count(small, "small"), count(big, "big")
    if b >= B:
        raise ValueError(f"small = {b} and big = {B}; expected the second batch to be larger")
    norm = ((B * high - b * low) / (B - b))[:, None]
    trace = ((low - high) / (1.0 / b - 1.0 / B))[:, None]
    return _scale(trace, norm, _spread_over_steps(trace, norm), low.size - 1, level, False)


def _estimates(squares: FloatArray, length: FloatArray, workers: int, b: int) -> tuple[FloatArray, FloatArray]:
    """Unbiased tr(Sigma) and |G|^2 from sum_j |g_j - m|^2 and |m|^2."""
    trace = b / (workers - 1) * squares
    return trace, length - trace / (workers * b)


def _spread_over_steps(trace: FloatArray, norm: FloatArray) -> FloatArray:
    """Covariance (2, 2, k) of the two means over steps."""
    steps = len(trace)
    if steps < 2:
        return np.zeros((2, 2, trace.shape[1]))
    both = np.stack([trace, norm])
    both = both - both.mean(axis=1, keepdims=True)
    return np.einsum("ask,bsk->abk", both, both) / (steps * (steps - 1))


def _scale(
    trace: FloatArray, norm: FloatArray, covariance: FloatArray, freedom: int, level: float, per_coordinate: bool
) -> NoiseScale:
    """Ratio of the means over steps, with Fieller's interval."""
    if not 0.0 < level < 1.0:
        raise ValueError(f"level = {level:g}; expected a probability above 0 and below 1")
    S, G = trace.mean(axis=0), norm.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.where(G > 0.0, S / G, np.inf)
    if freedom < 1:
        lower, upper = np.zeros_like(S), np.full_like(S, np.inf)
    else:
        lower, upper = _fieller(S, G, covariance, float(stdtrit(freedom, 1.0 - level / 2.0)))
    if per_coordinate:
        return NoiseScale(value, (lower, upper))
    return NoiseScale(float(value[0]), (float(lower[0]), float(upper[0])))


def _fieller(S: FloatArray, G: FloatArray, covariance: FloatArray, quantile: float) -> tuple[FloatArray, FloatArray]:
    """All r >= 0 with |S - r G| <= quantile * (standard error of S - r G): a r^2 - 2 h r + c <= 0, per coordinate."""
    a = G**2 - quantile**2 * covariance[1, 1]
    h = S * G - quantile**2 * covariance[0, 1]
    c = S**2 - quantile**2 * covariance[0, 0]
    root = np.sqrt(np.maximum(h**2 - a * c, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.sort(np.stack([(h - root) / a, (h + root) / a]), axis=0)
    known = (a > 0.0) & (G > 0.0)
    # Otherwise |G|^2 may be 0 and the ratio infinite; what is left below is c > 0: S itself is known not to be 0.
    lower = np.where(known, ends[0], np.where((a < 0.0) & (c > 0.0), ends[1], 0.0))
    return np.maximum(np.nan_to_num(lower, nan=0.0), 0.0), np.where(known, ends[1], np.inf)
