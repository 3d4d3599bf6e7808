r"""Do errors have mean zero and the variance that is claimed? Rejected at a stated rate whatever their law is.

Let s^2 be the claimed variance of one error and cut the errors into groups of n. By Markov's inequality the mean square
of a group exceeds t s^2 with probability at most 1/t, and by Cantelli's its mean exceeds t s / sqrt(n) with probability
at most 1 / (1 + t^2). Groups are independent, so that the number of them above a threshold is at most binomial: too
many contradict the claim, for heavy tails as well. Errors that are normal by their law, or by the central limit theorem
because a batch is huge, get the sharper tails of the normal and of chi-squares (Laurent and Massart, Ann. Statist. 28,
2000): P(X >= k + 2 sqrt(k x) + 2 x) and P(X <= k - 2 sqrt(k x)) are at most e^-x.
"""

from __future__ import annotations

import math
from functools import cache

from ...records import FloatArray

#: How often a noise that keeps its promises is rejected, over all its tests together.
FALSE_ALARMS = 1e-6
GROUPS = 40
SQUARES = (2.0, 3.0, 4.0, 8.0)
SHIFTS = (1.0, 2.0)


@cache
def most(groups: int, probability: float, rate: float) -> int:
    """The smallest k with P(Binomial(groups, probability) >= k) <= rate; groups + 1 where there is none."""
    tail = 0.0
    for k in range(groups, -1, -1):
        tail += math.comb(groups, k) * probability**k * (1.0 - probability) ** (groups - k)
        if tail > rate:
            return k + 1
    return 0


def contradiction(errors: FloatArray, normal: float, exact: bool, tests: int) -> str:
    """What contradicts mean zero and variance one in `errors`, divided by their claimed deviation; "" for nothing.

    `normal` is 0 for any law, 1 for normal errors, a little more for nearly normal ones: the factor by which limits are
    widened. `exact` says that a smaller variance contradicts the claim, too. `tests` share the rate of false alarms.
    """
    rate = FALSE_ALARMS / (tests * (2 * len(SHIFTS) + len(SQUARES) + 3))
    count, mean, square = errors.size, float(errors.mean()), float((errors**2).mean())
    if normal:
        x = -math.log(rate)
        shifted = abs(mean) > normal * math.sqrt(2.0 * x / count)
        large = square > normal * (1.0 + 2.0 * math.sqrt(x / count) + 2.0 * x / count)
        small = exact and square * normal < 1.0 - 2.0 * math.sqrt(x / count)
    else:
        groups = errors[: count - count % GROUPS].reshape(GROUPS, -1)
        means, squares = groups.mean(axis=1) * math.sqrt(groups.shape[1]), (groups**2).mean(axis=1)
        sides = {t: max((means > t).sum(), (means < -t).sum()) for t in SHIFTS}
        shifted = any(side >= most(GROUPS, 1.0 / (1.0 + t * t), rate) for t, side in sides.items())
        large, small = any((squares > t).sum() >= most(GROUPS, 1.0 / t, rate) for t in SQUARES), False
    if shifted and large:  # a large variance moves the mean as well, and the other way round
        return "mean" if 2.0 * mean * mean > square else "large"
    return "mean" if shifted else "large" if large else "small" if small else ""
