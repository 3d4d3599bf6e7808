r"""Is a number the slope of a function? Differences decide, with the error they have: curvature, kinks and rounding.

Along a direction v the slope g.v must lie between the one-sided differences D- = (f(w) - f(w - h v))/h and
D+ = (f(w + h v) - f(w))/h, up to third derivatives and rounding: for a smooth function their distance is h v'Hv, and at
a kink every subgradient of a convex function lies between them. Third derivatives and fast oscillation show as a
disagreement of the central differences at h and h/4; a pair of widths that disagrees decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ...records import FloatArray

EPS = float(np.finfo(np.float64).eps)
#: Widths h, as pairs h and h/4 in the order in which they are tried: middle, fine, coarse, finest.
WIDTHS = (2.0**-17, 2.0**-24, 2.0**-9, 2.0**-32)
#: A pair of widths decides where its error is below this share of the slope.
SHARP = 1e-3
JITTER = 2.0**-44


class Slope(NamedTuple):
    """What differences say: the limits of the slope, and how far off they may be; `right` is None where undecided."""

    right: bool | None
    low: float
    high: float


def rounding(value: Callable[[FloatArray], float], w: FloatArray, v: FloatArray) -> float:
    """How far rounding moves f near w: 16 ulps, or what second differences over a tiny stretch show, times 4.

    A value that cancels large numbers jumps by far more than its own last digit.
    """
    near = [value(w + (i * JITTER) * v) for i in range(-2, 3)]
    if not np.isfinite(near).all():
        return np.inf
    return 16.0 * EPS * max(abs(f) for f in near) + 4.0 * float(np.abs(np.diff(near, 2)).max())


def compare(value: Callable[[FloatArray], float], w: FloatArray, v: FloatArray, slope: float, noise: float) -> Slope:
    """Whether `slope` is the derivative of `value` at w along v; `noise` is the rounding of one value."""
    at = value(w)
    noise += 4.0 * EPS * abs(slope) * float(np.abs(w).max(initial=0.0)) / max(float(np.abs(v).max()), 1e-300)
    for width in WIDTHS:
        found = [_sides(value, w, v, at, h) for h in (width, width / 4)]
        if not np.isfinite(found).all():
            continue
        coarse, fine = (low + high for low, high in found)
        error = abs(coarse - fine) + 8.0 * noise / width
        scale = max(abs(slope), abs(fine) / 2)
        if error > SHARP * scale and not (scale == 0.0 and error < 1e-9):
            continue
        low, high = min(found[1]) - error, max(found[1]) + error
        slack = 3.0 * error + 1e-9 * scale
        if low <= slope <= high:
            return Slope(True, low, high)
        if slope < low - slack or slope > high + slack:
            return Slope(False, low, high)
    return Slope(None, np.nan, np.nan)


def _sides(value: Callable, w: FloatArray, v: FloatArray, at: float, h: float) -> tuple[float, float]:
    return (at - value(w - h * v)) / h, (value(w + h * v) - at) / h
