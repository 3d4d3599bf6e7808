"""Which rates of others can be cited as they are stated? Six on the last iterate of gradient descent and heavy ball.

Number, formula and constants are those of the texts named in docs/theory/as_stated.md; none is proved here. They are
about exact gradients, a minimizer w*, L = max_j L_j, R = |w_1 - w*|_2 and Delta = f(w_1) - f*.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sympy import Eq, Ge, Le, Lt, sqrt

from .symbols import Delta, L, R, T, largest, momentum, mu, total, uniform_step_size
from .theorem import Bound, Requires, Solver, Source

_L, _R2 = largest(L), total(R**2)
_SMOOTH = ["exact gradients", "f is smooth with constant max_j L_j"]
_STRONG = "f is strongly convex with constant mu, not only of Polyak-Lojasiewicz type"
_SUBLINEAR = {"bias": _L * _R2 / T, "noise": _L * _R2 / T}
_DESCENT = Requires(optimizers="sgd", properties="convex", noises="none", box=False)


def _stated(key: str, arxiv: str, place: str) -> Source:
    return Source(key, arxiv, place, "as stated")


drori_teboulle_gd = Bound(
    "drori_teboulle_gd",
    "gap",
    "upper",
    {"bias": _L * _R2 / (4 * T * _L * uniform_step_size + 2)},
    conditions=[Le(uniform_step_size, 1 / _L)],
    requires=_DESCENT,
    source=_stated("drori2014performance", "1206.3209", "Theorem 3.1"),
    title="gradient descent, convex, last iterate: the exact worst case",
    assumptions=_SMOOTH,
    asymptotic=_SUBLINEAR,
)

_nesterov = 2 * _R2 + T * uniform_step_size * (2 - _L * uniform_step_size) * Delta
nesterov_gd = Bound(
    "nesterov_gd",
    "gap",
    "upper",
    {"bias": 2 * Delta * _R2 / _nesterov},
    conditions=[Lt(uniform_step_size, 2 / _L)],
    requires=_DESCENT,
    source=_stated("nesterov2018lectures", "", "Theorem 2.1.14"),
    title="gradient descent, convex, last iterate, every step size below 2/L",
    assumptions=_SMOOTH,
    asymptotic=_SUBLINEAR,
)

nesterov_gd_short = Bound(
    "nesterov_gd_short",
    "gap",
    "upper",
    {"bias": 2 * _L * _R2 / (T + 4)},
    conditions=[Eq(uniform_step_size, 1 / _L)],
    requires=_DESCENT,
    source=_stated("nesterov2018lectures", "", "Corollary 2.1.2"),
    title="gradient descent, convex, last iterate, step size 1/L",
    assumptions=_SMOOTH,
    asymptotic=_SUBLINEAR,
)

deklerk_gd = Bound(
    "deklerk_gd",
    "gap",
    "upper",
    {"bias": ((_L - mu) / (_L + mu)) ** (2 * T) * Delta},
    conditions=[Eq(uniform_step_size, 2 / (_L + mu))],
    requires=_DESCENT,
    source=_stated("deklerk2020worst", "1709.05191", "Theorem 5.3 at error 0"),
    title="gradient descent, strongly convex, last iterate, step size 2/(L + mu)",
    assumptions=[*_SMOOTH, _STRONG],
)

ghadimi_heavy_ball = Bound(
    "ghadimi_heavy_ball",
    "gap",
    "upper",
    {"bias": (1 - uniform_step_size * mu) ** T * Delta},
    conditions=[
        Le(uniform_step_size, 1 / _L),
        Eq(momentum, sqrt((1 - uniform_step_size * mu) * (1 - uniform_step_size * _L))),
    ],
    requires=Requires(optimizers="heavy_ball", properties="convex", noises="none", box=False),
    source=_stated("ghadimi2015global", "1412.7457", "Theorem 4"),
    title="heavy ball, strongly convex, last iterate, its momentum set by the step size",
    assumptions=[*_SMOOTH, _STRONG],
)


def lojasiewicz_factor(L: float, mu: float, step_size: float) -> float:
    """What one step of gradient descent leaves of the gap, 1/L <= step_size < 2/L.

    1 - (4 - a^2) b/(2 + b) with a = L step_size, b = mu step_size up to a = sqrt 3, written without cancellation for mu
    near L and a near 1.

    >>> round(lojasiewicz_factor(1.0, 0.2, 1.0), 6)
    0.727273
    """
    a, b = L * step_size, mu * step_size
    if a <= np.sqrt(3):
        return (2 * (L - mu) + mu * (a - 1) ** 2 * (a + 2)) / (L * (2 + b))
    return (a - 1) ** 2 / ((a - 1) ** 2 + b * (2 - a))


def _lojasiewicz(values: dict[str, Any]) -> dict[str, float]:
    factor = lojasiewicz_factor(float(np.max(values["L"])), values["mu"], values["step_size"])
    return {"bias": factor ** values["T"] * values["Delta"]}


abbaszadehpeivasti_gd_pl = Bound(
    "abbaszadehpeivasti_gd_pl",
    "gap",
    "upper",
    forms={"geometric": Solver(_lojasiewicz, (L, mu, uniform_step_size, T, Delta))},
    conditions=[Ge(uniform_step_size, 1 / _L), Lt(uniform_step_size, 2 / _L)],
    requires=Requires(optimizers="sgd", noises="none", box=False),
    source=_stated("abbaszadehpeivasti2023conditions", "2204.00647", "Theorem 3, step sizes of at least 1/L"),
    title="gradient descent under the Polyak-Lojasiewicz inequality, last iterate",
    assumptions=[*_SMOOTH, "|grad f|^2 >= 2 mu (f - inf f), convexity is not needed"],
)
