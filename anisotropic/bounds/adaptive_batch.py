"""What does AdaGrad gain when a test keeps the noise below a share of the gradient? Accumulators that stay bounded.

With E|g - G|^2 <= rho |G|^2 in every iteration (rho = eta^2 for the exact norm test) AdaGrad-Norm finds a small
gradient at rate 1/K, and its accumulator converges; at a fixed batch the accumulator grows like K. The coordinate test
does the same for AdaGrad. Write r = 1 + rho, v_0 = eps^2, and let both y be expected roots of accumulators: each
theorem ends in y <= c + a ln y, whose largest solution is found by `fixed_point`.

References
----------
Lau, Liu, Kolar, arXiv 2402.11215 (the method and the rate). Wang, Zhang, Ma, Chen, COLT 2023, arXiv 2305.18471 (the
technique for AdaGrad-Norm under affine noise).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sympy import Eq, Gt, sqrt

from .fixed_point import fixed_point
from .symbols import Delta, L, T, delta, eps, rho, scalar, uniform_eps, uniform_step_size
from .theorem import Bound, Requires, Solver, Source

_SOURCE = Source(
    "lau2024adadagrad", "2402.11215", "AdaGrad and AdaGrad-Norm with tested batches, rate 1/K", "derived here"
)


class StrongGrowth(NamedTuple):
    """Constants of the theorem: E sqrt(v_K) <= B and E sum_k |G_k|^2/sqrt(v_{k-1}) <= A = C1 + 2 C2 ln(B/eps)."""

    C1: float
    C2: float
    A: float
    B: float


def strong_growth_constants(
    L: ArrayLike, Delta: float, eps: float, step_size: float, rho: float, first_gradient: float | None = None
) -> StrongGrowth:
    r"""C1, C2, A and B of AdaGrad-Norm under strong growth, r = 1 + rho.

    With the step size s, C1 = 4 Delta/s + 2 r \|G_1\|^2/eps + 4 s^2 L^2 (r + 2 r^2)/eps, C2 = 2 L s, and B is the
    largest solution of y = eps + r C1/2 + r C2 ln(y/eps).

    Parameters
    ----------
    L : number or array ``(d,)``
        Smoothness; the largest entry counts.
    Delta, eps, step_size, rho : float
        Initial gap, sqrt(v_0), step size s, and relative noise with E\|g - G\|^2 <= rho \|G\|^2.
    first_gradient : float, optional
        \|G_1\|^2; without it its bound 2 L Delta.

    Examples
    --------
    >>> found = strong_growth_constants(L=1.0, Delta=1.0, eps=1.0, step_size=1.0, rho=0.0)
    >>> found.C1, found.C2
    (20.0, 2.0)
    >>> bool(abs(found.B - (1 + 10 + 2 * np.log(found.B))) < 1e-9)
    True
    """
    smooth, r = float(np.max(L)), 1.0 + rho
    square = 2 * smooth * Delta if first_gradient is None else first_gradient
    C1 = 4 * Delta / step_size + 2 * r * square / eps + 4 * step_size**2 * smooth**2 * (r + 2 * r**2) / eps
    C2 = 2 * smooth * step_size
    B = eps * fixed_point(lambda y: 1 + r * C1 / (2 * eps) + r * C2 / eps * np.log(y))
    return StrongGrowth(C1, C2, C1 + 2 * C2 * np.log(B / eps), B)


def _norm(values: dict[str, Any]) -> dict[str, float]:
    """A B/(delta^2 T), split like A."""
    smooth, r, e, step_size_ = float(np.max(values["L"])), 1.0 + values["rho"], values["eps"], values["step_size"]
    found = strong_growth_constants(smooth, values["Delta"], e, step_size_, values["rho"])
    share = found.B / (values["delta"] ** 2 * values["T"])
    start, first = 4 * values["Delta"] / step_size_, 4 * r * smooth * values["Delta"] / e
    drift = found.C1 - start - first
    parts = {"bias": start, "first gradient": first, "drift": drift, "curvature": found.A - found.C1}
    return {name: part * share for name, part in parts.items()}


def _coordinates(values: dict[str, Any]) -> dict[str, float]:
    """sqrt(A B)/(s sqrt(T)) of AdaGrad with step sizes s_j, split like A.

    With weights w_j = s_j^2 L_j (1/2 + (r^2 + r/2) sum_i s_i L_i/eps_i) and start S = sum_j s_j eps_j, the sum over j
    of w_j ln(y_j/eps_j) is at most W (ln(Y/S) + KL), W = sum w and KL the divergence of w/W from s eps/S.
    """
    smooth, e, step_size_ = values["L"], values["eps"], values["step_size"]
    r, gap, ratio = 1.0 + values["rho"], values["Delta"], step_size_ * smooth / e
    weight = step_size_**2 * smooth * (0.5 + (r**2 + r / 2) * np.sum(ratio))
    W, start, held = float(np.sum(weight)), float(step_size_ * np.sum(e)), weight > 0
    share = weight[held] / W
    divergence = float(np.sum(share * np.log(share * start / (step_size_ * e[held]))))
    first = r * gap * float(np.max(ratio))
    level = 1 + (2 * r * (gap + first) + 4 * r * W * divergence) / start
    z = fixed_point(lambda z: level + 4 * r * W / start * np.log(z))
    parts = {"bias": 4 * gap, "first gradient": 4 * first, "curvature": 8 * W * (float(np.log(z)) + divergence)}
    A = sum(parts.values())
    value = float(np.sqrt(A * start * z / values["T"]) / step_size_)
    return {name: value * part / A if A > 0 else 0.0 for name, part in parts.items()}


_A, _B, _S = scalar("A"), scalar("B"), scalar("S")

adagrad_norm_strong_growth = Bound(
    "adagrad_norm_strong_growth",
    "gradient_l2_squared",
    "upper",
    forms={
        "solved": Solver(
            _norm, (L, Delta, uniform_eps, uniform_step_size, rho, delta, T), Eq(_S, _A * _B / (delta**2 * T))
        )
    },
    conditions=[Gt(uniform_eps, 0)],
    requires=Requires(
        optimizers="adagrad_norm", preset="nonconvex", box=False, schedule="constant",
        batch=("norm test", "inner-product test", "noise scale", "coordinate norm test"), batch_test_always_holds=True,
    ),
    source=_SOURCE,
    title="AdaGrad-Norm with batches that pass the norm test, nonconvex",
    assumptions=[
        "E|g_k - G_k|^2 <= rho |G_k|^2 at every iteration, given the past: rho = eta^2 for the norm tests, "
        "theta^2 + nu^2 for the inner-product test, 1/c for the noise scale",
        "A and B are those of bounds.strong_growth_constants; neither depends on T",
    ],
    probability=True,
    asymptotic=dict.fromkeys(("bias", "noise"), Delta**2 / (uniform_step_size**2 * delta**2 * T)),
)

adagrad_strong_growth = Bound(
    "adagrad_strong_growth",
    "gradient_l1",
    "upper",
    forms={
        "solved": Solver(
            _coordinates, (L, Delta, eps, uniform_step_size, rho, T), Eq(_S, sqrt(_A * _B / T) / uniform_step_size)
        )
    },
    conditions=[Gt(eps, 0)],
    requires=Requires(
        optimizers="adagrad", preset="nonconvex", box=False, batch="coordinate norm test", batch_test_always_holds=True,
        schedule="constant",
    ),
    source=_SOURCE,
    title="AdaGrad with batches that pass the norm test in every coordinate, nonconvex",
    assumptions=[
        "E(g_kj - G_kj)^2 <= rho G_kj^2 for every j at every iteration, given the past: the test's floor never acts",
        "A and B, which do not depend on T, are those of the proof",
    ],
    asymptotic=dict.fromkeys(("bias", "noise"), Delta / (uniform_step_size * sqrt(T))),
)  # fmt: skip
