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


def fixed_point(step_size: Callable[[float], float]) -> float:
    """The positive fixed point of a concave increasing function that starts above 0, from above.

    >>> round(float(fixed_point(lambda x: 1 + np.log(1 + x))), 10)
    2.1461932206
    """
    x = 1.0
    while step_size(x) > x:
        x *= 4
        if x > 1e280:
            raise ValueError("the bound's fixed point exceeds 1e280; check the constants")
    for _ in range(10_000):
        lower = step_size(x)
        if x - lower <= 1e-14 * x:
            break
        x = lower
    return x


def split(parts: dict[str, float], C: dict[str, float]) -> dict[str, float]:
    """The parts of G = Q + Q C/G: those of Q, and one for each part of C (eps, and noise crossed with the rest).

    >>> {name: float(part) for name, part in split({"bias": 3.0}, {"eps": 6.0}).items()}
    {'bias': 3.0, 'eps': 3.0}
    """
    Q = sum(parts.values())
    G = root(Q, sum(C.values()))
    return parts | {name: Q * c / G if G > 0 else 0.0 for name, c in C.items()}
