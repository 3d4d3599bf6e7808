r"""Is a number the slope of a function? Differences decide, with the error they have: curvature, kinks and rounding.

Along a direction v the slope g.v must lie between the one-sided differences D- = (f(w) - f(w - h v))/h and
D+ = (f(w + h v) - f(w))/h, up to third derivatives and rounding: for a smooth function their distance is h v'Hv, and at
a kink every subgradient of a convex function lies between them. Third derivatives, and waves or wells that are shorter
than h, show as a disagreement of the differences at h and h/4; a pair of widths that disagrees decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ...records import FloatArray

EPS = float(np.finfo(np.float64).eps)
#: Widths h, each tried together with h/4. The second, coarse one sees over the steps of a value that cancels.
WIDTHS = (2.0**-17, 2.0**-9, 2.0**-24, 2.0**-32)
#: A width decides where its errors are below this share of what they must tell apart.
SHARP = 0.1
JITTER = 2.0**-44


class Slope(NamedTuple):
    """What differences say: the limits of the slope, and how far off they may be; `right` is None where undecided."""

    right: bool | None
    low: float
    high: float


UNDECIDED = Slope(None, np.nan, np.nan)


def rounding(value: Callable[[FloatArray], float], w: FloatArray, v: FloatArray) -> float:
    """How far rounding moves f near w: 16 ulps, or what second differences over a tiny stretch show, times 4.

    A value that cancels large numbers jumps by far more than its own last digit.
    """
    near = [value(w + (i * JITTER) * v) for i in range(-2, 3)]
    if not np.isfinite(near).all():
        return np.inf
    return 16.0 * EPS * max(abs(f) for f in near) + 4.0 * float(np.abs(np.diff(near, 2)).max())


def compare(value: Callable[[FloatArray], float], w: FloatArray, v: FloatArray, slope: float, noise: float) -> Slope:
    """Whether `slope` is the derivative of `value` at w along v; `noise` is the rounding of one value.

    It is right where one width says so, and wrong where the finest width above rounding says so.
    """
    at, answer = value(w), UNDECIDED
    noise += 4.0 * EPS * abs(slope) * float(np.abs(w).max(initial=0.0)) / max(float(np.abs(v).max()), 1e-300)
    for width in WIDTHS:
        wide, narrow = (np.array(_sides(value, w, v, at, h)) for h in (width, width / 4.0))
        if not (np.isfinite(wide).all() and np.isfinite(narrow).all()):
            continue
        rough, off = 8.0 * noise / width, abs(slope - float(narrow.mean()))
        if rough > SHARP * max(off, abs(slope)):
            continue
        error = abs(float(wide.mean() - narrow.mean())) + rough
        low, high = float(narrow.min()) - error, float(narrow.max()) + error
        if low <= slope <= high:
            return Slope(True, low, high)
        settled = (np.abs(wide - narrow) <= SHARP * np.abs(wide) + rough).all()  # waves and wells are wider than this
        answer = Slope(False, low, high) if settled and error < SHARP * off else UNDECIDED
    return answer


def _sides(value: Callable, w: FloatArray, v: FloatArray, at: float, h: float) -> tuple[float, float]:
    return (at - value(w - h * v)) / h, (value(w + h * v) - at) / h
