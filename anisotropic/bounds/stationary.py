"""How large can the gradients of AdaGrad's relatives stay? The fixed points behind the nonconvex bounds, by numbers.

All of them end in the same place: with Q the total of E[a^2/sqrt(b)] that descent allows (a the gradient, b its
stand-in for the accumulator), G = sum of gradient sizes obeys G^2 <= Q (C + G), and Q depends on log G. The right-hand
side is concave and increasing in G, so there is one positive fixed point, and going down to it from above every
iterate is itself a valid bound.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Descent(NamedTuple):
    """What is summed up by descent: Q = min over 0 < lam < 1 of (bias + curvature + noise/lam)/(1 - lam)."""

    bias: float
    curvature: float
    noise: float

    def best(self) -> tuple[float, dict[str, float]]:
        """Q at the best lam, (sqrt(noise) + sqrt(bias + curvature + noise))^2, and its parts.

        >>> Descent(3.0, 0.0, 1.0).best()[0]
        9.0
        """
        plain = self.bias + self.curvature
        whole = (np.sqrt(self.noise) + np.sqrt(plain + self.noise)) ** 2
        lam = np.sqrt(self.noise) / (np.sqrt(self.noise) + np.sqrt(plain + self.noise)) if whole > 0 else 0.0
        parts = {"bias": self.bias / (1 - lam), "curvature": self.curvature / (1 - lam)}
        return float(whole), parts | {"noise": float(whole) - sum(parts.values())}


def root(Q: float, C: float) -> float:
    """The positive G with G^2 = Q (C + G)."""
    return Q / 2 + np.sqrt(Q**2 / 4 + Q * C)


def fixed_point(step: Callable[[float], float]) -> float:
    """The positive fixed point of a concave increasing function that starts above 0, from above.

    >>> round(float(fixed_point(lambda x: 1 + np.log(1 + x))), 10)
    2.1461932206
    """
    x = 1.0
    while step(x) > x:
        x *= 4
        if x > 1e280:
            raise ValueError("the bound's fixed point exceeds 1e280; check the constants")
    for _ in range(10_000):
        lower = step(x)
        if x - lower <= 1e-14 * x:
            break
        x = lower
    return x


def split(Q: float, parts: dict[str, float], C: dict[str, float], G: float) -> dict[str, float]:
    """Parts of G = Q + Q C/G: those of Q, and one for each part of C (eps, and noise crossed with the rest)."""
    return parts | {name: Q * c / G if G > 0 else 0.0 for name, c in C.items()}
