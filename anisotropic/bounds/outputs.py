"""What holds for a weighted mean of the gaps along a run under a schedule, in place of the last one?

The proofs of the last iterate leave any weights of the outputs w_1, ..., w_{T+1} on the left, as long as their moving
point v_t does not have to go back: docs/theory/convex_sgd_last.md and convex_sgd_last_nonsmooth.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..records import FloatArray, numbers
from .best_schedule import Price, lowest
from .theorem import Bound

#: Values of the free end of the tails that are tried for Lipschitz functions.
_ENDS = 60


def weighted_outputs(bound: Bound, weights: ArrayLike, *, schedule: Any, **constants: Any) -> float:
    """A bound on sum_t weights_t (E f(w_t) - f*), from the proof of a bound on the last iterate.

    Parameters
    ----------
    bound : Bound
        One of ``convex_sgd_last``, ``convex_sgd_last_proj``, ``convex_sgd_last_nonsmooth``.
    weights : array ``(T + 1,)``
        Of w_1, ..., w_{T+1}, not negative; they are divided by their sum. For smooth functions w_1 has weight 0.
    schedule, constants
        Those of the bound.

    Raises
    ------
    ValueError
        Where the proof does not reach these weights: uniform ones under a schedule that rises, for example.

    Examples
    --------
    All weight on the last iterate gives the bound itself, weights in proportion to the step sizes the textbook's.

    >>> import anisotropic.bounds as bounds
    >>> known = {"schedule": [0.2, 0.1], "R": 1.0, "G": 1.0}
    >>> b = bounds.convex_sgd_last_nonsmooth
    >>> bool(abs(weighted_outputs(b, [0, 0, 1], **known) - b(**known)) < 1e-12)
    True
    >>> round(weighted_outputs(b, [0.2, 0.1, 0.1], **known), 4), round((1 + 0.04 + 0.01 + 0.01) / (2 * 0.4), 4)
    (1.325, 1.325)
    """
    from . import last_iterate

    prices: dict[str, Callable[[dict[str, Any]], Price]] = {
        "convex_sgd_last": last_iterate.free_price,
        "convex_sgd_last_proj": last_iterate.box_price,
    }
    if bound.name not in {*prices, "convex_sgd_last_nonsmooth"}:
        raise ValueError(f"{bound.name} is no bound on the last iterate under a schedule; take convex_sgd_last")
    c = bound.checked(schedule=schedule, **constants)
    share = _shares(weights, c["schedule"].size)
    last = int(np.flatnonzero(share)[-1])
    theta, later = c["schedule"][:last], np.cumsum(share[::-1])[::-1][1 : last + 1]
    if bound.name in prices:
        if share[0] > 0:
            raise ValueError(f"weights[0] = {share[0]:g}; a bound for smooth functions says nothing of w_1: make it 0")
        return _smooth(prices[bound.name](c), theta, later)
    return _lipschitz(*last_iterate.norms(c), theta, later, share[last - 1 : last + 1])


def _shares(weights: ArrayLike, T: int) -> FloatArray:
    array = numbers(weights, "weights", "one weight for each of w_1, ..., w_{T+1}")
    if array.shape != (T + 1,):
        raise ValueError(f"weights has shape {array.shape}; expected ({T + 1},), one for each of w_1, ..., w_{T + 1}")
    bad = ~(np.isfinite(array) & (array >= 0))
    if bad.any() or not array.any():
        j = int(np.argmax(bad))
        raise ValueError(f"weights[{j}] = {array[j]:g}; expected finite weights of at least 0, one of them above")
    found: FloatArray = array / array.sum()
    return found


def _refuse_decrease(v: FloatArray, first: int) -> None:
    """v_first, v_{first+1}, ... must not decrease."""
    falls = np.diff(v) < -1e-9 * v[:-1]
    if falls.any():
        t = first + 1 + int(np.argmax(falls))
        raise ValueError(
            f"the proof does not reach these weights: its moving point would have to go back at iteration {t}, as with "
            "uniform weights under a rising schedule; put more weight on later outputs, or take a schedule that falls"
        )


def _smooth(price: Price, theta: FloatArray, later: FloatArray) -> float:
    """(R^2/S_1^2 + sum d_t^2 N_t)/2 with S_t (S_t - S_{t+1}) = theta_t P_t."""
    tail, backwards = 0.0, []
    for step in reversed((theta * later).tolist()):
        tail = 0.5 * (tail + float(np.sqrt(tail * tail + 4.0 * step)))
        backwards.append(tail)
    tails = np.array(backwards[::-1])
    if tails[-1] == 0.0:
        raise ValueError("the step size before the last output with a weight is 0; give its weight to an earlier one")
    _refuse_decrease(later / tails, 1)
    squares = (theta * later / tails) ** 2
    return 0.5 * (price.R2 / tails[0] ** 2 + float(squares @ price.noise(theta)[0]))


def _lipschitz(R2: float, G2: float, theta: FloatArray, later: FloatArray, ends: FloatArray) -> float:
    """(R^2/S_1^2 + G^2 (S_1^2 - 2 sum theta_t P_t))/2 at the best end a for which v_t does not decrease.

    `ends` are the weights of the last two outputs: in proportion to the step sizes they leave v_t constant at one a.
    """
    steps = theta * later
    whole = float(steps.sum())
    if not whole:
        return float(np.sqrt(R2 * G2))

    def moving(a: float) -> tuple[float, FloatArray]:
        tails = [a]
        for step in reversed(steps.tolist()):
            tails.append(tails[-1] + step / tails[-1])
        S = np.array(tails[::-1])
        return float(S[0]), np.append(1 / S[0], later / S[1:])

    def value(log_a: float) -> float:
        first, v = moving(float(np.exp(log_a)))
        fits = bool((np.diff(v) >= -1e-9 * v[:-1]).all())
        return 0.5 * (R2 / first**2 + G2 * (first**2 - 2 * whole)) if fits else float("inf")

    low, high = 0.5 * np.log(steps[steps > 0].min()) - 4, 0.5 * np.log(whole + np.sqrt(R2 / G2)) + 4
    found = value(lowest(value, float(low), float(high), grid=_ENDS, rounds=60))
    if theta[-1] > 0 and ends[0] > 0:
        found = min(found, value(float(np.log(ends[1] * np.sqrt(theta[-1] / ends[0])))))
    if np.isinf(found):
        _refuse_decrease(moving(float(np.sqrt(steps[steps > 0].min())))[1], 0)
    return found
