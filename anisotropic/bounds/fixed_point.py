"""How large can the gradients of AdaGrad's relatives stay? The fixed points behind the nonconvex bounds, by numbers.

All of them end in the same place: with Q the total of E[a^2/sqrt(b)] that descent allows (a the gradient, b its
stand-in for the accumulator), G = sum of gradient sizes obeys G^2 <= Q (C + G), and Q depends on log G. The right-hand
side is concave and increasing in G, so there is one positive fixed point, and going down to it from above every
iterate is itself a valid bound.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

#: What a unit of noise costs in lemma N1: E[a g/sqrt(v+g^2)] >= a^2/sqrt(b) - sqrt(2) s E[g^2/(v+g^2)].
NOISE_COST = float(np.sqrt(2))


def root(Q: float, C: float) -> float:
    """The positive G with G^2 = Q (C + G)."""
    return Q / 2 + np.sqrt(Q**2 / 4 + Q * C)


def fixed_points(function: Callable[[np.ndarray], np.ndarray], size: int) -> np.ndarray:
    """The positive fixed points of `size` concave increasing functions that start above 0, from above.

    >>> fixed_points(lambda x: np.array([1.0, 2.0]) + x / 2, 2).round(10).tolist()
    [2.0, 4.0]
    """
    x = np.ones(size)
    while np.any(low := function(x) > x):
        x = np.where(low, 4 * x, x)
        if np.any(x > 1e280):
            raise ValueError("the bound's fixed point exceeds 1e280; check the constants")
    for _ in range(10_000):
        lower = function(x)
        if np.all(x - lower <= 1e-14 * x):
            break
        x = lower
    return x


def fixed_point(function: Callable[[float], float]) -> float:
    """The positive fixed point of one such function.

    >>> round(fixed_point(lambda x: 1 + np.log(1 + x)), 10)
    2.1461932206
    """
    return float(fixed_points(lambda x: np.atleast_1d(function(float(x[0]))), 1)[0])


def split(parts: dict[str, float], C: dict[str, float]) -> dict[str, float]:
    """The parts of G = Q + Q C/G: those of Q, and one for each part of C (eps, and noise crossed with the rest).

    >>> {name: float(part) for name, part in split({"bias": 3.0}, {"eps": 6.0}).items()}
    {'bias': 3.0, 'eps': 3.0}
    """
    Q = sum(parts.values())
    G = root(Q, sum(C.values()))
    return parts | {name: Q * c / G if G > 0 else 0.0 for name, c in C.items()}
