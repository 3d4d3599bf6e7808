"""What holds for AdaGrad without a box? Deterministic bounds on the gap whose constants do not grow with T.

For AdaGrad-Norm the distance to the minimizer can only grow while the step size over the root is still too large for
the smoothness; that growth is a finite integral, since epsilon stands outside the root and is positive. One coordinate
of a separable function cannot be overshot by more than one update.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sympy import Eq, Expr, Gt, Rational, log, sqrt

from .nonconvex import final_roots
from .symbols import (
    Delta,
    L,
    R,
    T,
    eps,
    larger,
    largest,
    mu,
    scalar,
    step_size,
    total,
    uniform_eps,
    uniform_step_size,
)
from .theorem import Bound, Form, Requires, Solver, Source, StepRule

_SOURCE = Source("liu2023convergence", "2209.14827", "AdaGrad(Norm) on the whole space", "in the spirit of")


def _drift(step_size_: Expr, smooth: Expr, e: Expr) -> Expr:
    """2 s^2 [(1 + 1/x) ln x - 2 (1 - 1/x)] with x = max(s smooth/(2 eps), 1), s the step size: growth of |w - w*|^2."""
    x = larger(step_size_ * smooth / (2 * e), 1)
    return 2 * step_size_**2 * ((1 + 1 / x) * log(x) - 2 * (1 - 1 / x))


_norm_reach = total(R**2) + _drift(uniform_step_size, largest(L), uniform_eps)
_norm_price = _norm_reach / (2 * uniform_step_size) + uniform_step_size
convex_adagrad_norm_free = Bound(
    "convex_adagrad_norm_free",
    "mean_gap",
    "upper",
    {
        "bias": largest(L) * _norm_price**2 / (2 * T),
        "eps": uniform_eps * _norm_reach / (2 * uniform_step_size * T),
    },
    conditions=[Gt(uniform_eps, 0)],
    requires=Requires(optimizers="adagrad_norm", preset="convex", properties="convex", box=False, noises="none"),
    source=_SOURCE,
    title="AdaGrad-Norm without a box and without noise, convex",
    assumptions=["R is the distance of the start from any one minimizer"],
)


def _separable(reach: Expr) -> dict[str, Expr]:
    """The regret of each coordinate at distance `reach`, with co-coercivity kept."""
    price = reach**2 / (2 * step_size) + step_size
    return {"bias": total(L * price**2) / (2 * T), "eps": total(eps * reach**2 / (2 * step_size)) / T}


#: The regret when the first update has length step_size exactly: the distance is R before it, R - step_size after it.
_after_first = larger(R - 3 * step_size, 0) * (R - step_size) / (2 * step_size)
_first = R * (R**2 + step_size**2) / (2 * step_size) - R**2 / 2 + _after_first**2 / 2
convex_adagrad_free_separable = Bound(
    "convex_adagrad_free_separable",
    "mean_gap",
    "upper",
    _separable(larger(R, step_size)),
    forms={
        "sharp": _separable(larger(R, larger(sqrt(step_size) - sqrt(eps / L), 0) ** 2)),
        "first": Form({"bias": total(L * larger(_first, Rational(9, 8) * step_size**2)) / T}, (Eq(eps, 0),)),
    },
    requires=Requires(
        optimizers="adagrad", preset="convex", properties={"convex", "separable", "interior minimizer"}, noises="none"
    ),
    source=_SOURCE,
    title="AdaGrad without noise, convex and separable; a box is not needed",
    assumptions=["R is the distance of the start from any one minimizer, at which the gradient is zero"],
    step_rule=StepRule(R**2 / (2 * step_size) + step_size),
)


def _fromfinal_roots(values: dict[str, Any]) -> dict[str, float]:
    """sum over t of |grad f(w_t)|^2 is at most (sum U_j)^2, and 2 mu times the gap is at most |grad f|^2."""
    size = sum(final_roots(values).values()) * np.sqrt(values["T"])
    return {"bias": float(size**2 / (2 * values["mu"] * values["T"]))}


_S, _size = scalar("S"), scalar("G")
pl_adagrad = Bound(
    "pl_adagrad",
    "mean_gap",
    "upper",
    forms={
        "solved": Solver(
            _fromfinal_roots, (L, eps, uniform_step_size, T, Delta, mu), Eq(_S, _size**2 / (2 * mu * T))
        )
    },
    conditions=[Gt(eps, 0)],
    requires=Requires(optimizers="adagrad", preset="nonconvex", box=False, noises="none"),
    source=_SOURCE,
    title="AdaGrad without a box and without noise, under the Polyak-Lojasiewicz inequality",
    assumptions=[
        "|grad f|^2 >= 2 mu (f - inf f), convexity is not needed",
        "G in the printed equation is sqrt(T) times the bound nonconvex_adagrad_det in its tight form",
    ],
)
