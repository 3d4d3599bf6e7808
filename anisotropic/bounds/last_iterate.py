"""What is known for the last iterate of SGD under a schedule? Bounds for any step sizes fixed before the run.

The step size of coordinate j in iteration t is step_size_j theta_t, theta the schedule. Statements and proofs:
docs/theory/convex_sgd_last.md, convex_sgd_last_proj.md and convex_sgd_last_nonsmooth.md; the numbers A, B, C of a
schedule are those of `tails`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import sympy
from sympy import Eq, Le, Lt, sqrt

from ..records import FloatArray
from . import best_schedule, tails
from .best_schedule import Price
from .schedule_functions import alpha, kappa, kappa_nonsmooth
from .symbols import (
    G,
    G_norm,
    L,
    L_max,
    M,
    R,
    R_norm,
    T,
    along,
    largest,
    rho,
    scalar,
    schedule,
    sigma,
    sigma_norm,
    step_size,
    total,
)
from .theorem import Bound, Requires, Solver, Source, StepSolver

Constants = dict[str, Any]
Parts = dict[str, float]

_A, _B, _C, _S = (scalar(name) for name in "ABCS")
_AS_GIVEN = "the step size of coordinate j in iteration t is step_size_j schedule_t"
_NOISE = "noise of mean zero given the past, one-sample variance at most sigma_j^2"
_ZAMANI = Source(
    "zamani2023exact", "2307.11134", "moving reference point; exact rates of the last iterate", "in the spirit of"
)


# ---- Lipschitz functions --------------------------------------------------------------------------------------------


def norms(c: Constants) -> tuple[float, float]:
    """||R||^2 and ||G||^2 in the metric of the step sizes."""
    size = c.get("step_size", 1.0)
    return float(np.sum(c["R"] ** 2 / size)), float(np.sum(size * c["G"] ** 2))


def _sharp(c: Constants) -> Parts:
    """(R^2/A + G^2 (A - 2 sum theta))/2 at A = max(A_min, R/G)."""
    R2, G2 = norms(c)
    found = tails.lipschitz(c["schedule"])
    if G2 == 0.0:
        return {"bias": 0.0, "gradient": 0.0}
    A = max(found.A, sqrt_ratio(R2, G2))
    return {"bias": R2 / (2 * A), "gradient": G2 * (found.B + (A - found.A)) / 2}


def sqrt_ratio(a: float, b: float) -> float:
    """sqrt(a/b) without overflow of the quotient."""
    return float(np.sqrt(a) / np.sqrt(b))


def _scheduled(c: Constants) -> Parts:
    """The bound of arXiv 2310.07831 as in the code of arXiv 2501.18965, at the best step size after the last."""
    R2, G2 = norms(c)
    given = c["schedule"][c["schedule"] > 0]
    sizes, squares = np.cumsum(given[::-1])[::-1], np.cumsum(given[::-1] ** 2)[::-1]

    def parts(after: float) -> Parts:
        tail, energy = sizes + after, squares + after**2
        beyond = np.append(tail[1:], after)
        sum_of_steps = float(np.sum(given / beyond * energy / tail))
        return {"bias": R2 / (2 * tail[0]), "gradient": G2 * (energy[0] / tail[0] + sum_of_steps) / 2}

    def value(log_after: float) -> float:
        return sum(parts(float(np.exp(log_after))).values())

    low, high = np.log(given.min() * 1e-3), np.log(given.max() * 1e3)
    return parts(float(np.exp(best_schedule.lowest(value, float(low), float(high), grid=12))))


def _tuned_nonsmooth(c: Constants) -> float:
    """R / (G sqrt(A B)) for the schedule as it is given."""
    R2, G2 = (float(np.sum(c[name] ** 2)) for name in ("R", "G"))
    if G2 == 0.0:
        raise ValueError("the tuned step size of convex_sgd_last_nonsmooth is unbounded where G = 0; pass step_size")
    found = tails.lipschitz(c["schedule"])
    return max(sqrt_ratio(R2, G2) / float(np.sqrt(found.A * found.B)), float(np.finfo(float).tiny))


convex_sgd_last_nonsmooth = Bound(
    "convex_sgd_last_nonsmooth",
    "gap",
    "upper",
    forms={
        "sharp": Solver(
            _sharp,
            (R, G, T, step_size, schedule),
            Eq(_S, total(R**2 / step_size) / (2 * _A) + total(step_size * G**2) * (_A - 2 * along(schedule)) / 2),
        ),
        "scheduled": Solver(_scheduled, (R, G, T, step_size, schedule)),
    },
    requires=Requires(optimizers="sgd", properties="convex", schedule=None, fixed_schedule=True),
    source=_ZAMANI,
    title="last iterate of SGD under any schedule, convex, no smoothness",
    assumptions=[
        "E g_tj^2 <= G_j^2 along the path, and no less than the squared subgradient at the last iterate",
        _AS_GIVEN + "; where step_size_j differs between coordinates, the feasible set is a box, or there is none",
    ],
    step_rule=StepSolver(_tuned_nonsmooth, (R, G, T, schedule), best_schedule.linear_decay),
    horizon=False,
    asymptotic={"bias": R_norm * G_norm * sqrt(kappa_nonsmooth(schedule) / T), "noise": sympy.S.Zero},
)


# ---- smooth functions -----------------------------------------------------------------------------------------------


def _bias(R2: float, A: float) -> float:
    """R^2/(2A), infinite where nothing has moved yet."""
    return R2 / (2 * A) if A > 0 else float("inf")


def free_price(c: Constants) -> Price:
    """Without a projection: N_t = sum_j s_j^2 (1 + theta_t L_j), s_j^2 and L_j in the metric of the step sizes."""
    size = c.get("step_size", 1.0)
    R2, s2 = float(np.sum(c["R"] ** 2 / size)), size * c["sigma"] ** 2 / c["M"]
    noise, curvature = float(np.sum(s2)), float(np.sum(size * c["L"] * s2))

    def terms(of: tails.Smooth, factor: float) -> Parts:
        return {
            "bias": _bias(R2, factor * of.A),
            "noise": factor * of.B * noise / 2,
            "curvature": factor**2 * of.C * curvature / 2,
        }

    return Price(R2, terms, lambda sizes: (noise + curvature * sizes, np.full_like(sizes, curvature)))


def box_price(c: Constants) -> Price:
    """With a projection: N_t = sum_j s_j^2 / (1 - theta_t L_j); coordinates of equal curvature are taken together."""
    size = np.broadcast_to(c.get("step_size", 1.0), c["L"].shape)
    R2, slope = float(np.sum(c["R"] ** 2 / size)), size * c["L"]
    groups, place = np.unique(slope, return_inverse=True)
    variances = np.bincount(place, size * c["sigma"] ** 2 / c["M"])

    def noise(sizes: FloatArray) -> tuple[FloatArray, FloatArray]:
        level, change = np.zeros_like(sizes), np.zeros_like(sizes)
        for steepness, variance in zip(groups, variances, strict=True):
            if variance > 0:
                room = 1 / (1 - steepness * sizes)
                level += variance * room
                change += variance * steepness * room**2
        return level, change

    def terms(of: tails.Smooth, factor: float) -> Parts:
        level = noise(factor * of.step_sizes)[0]
        return {"bias": _bias(R2, factor * of.A), "noise": factor * float(of.d**2 @ level) / 2}

    return Price(R2, terms, noise)


def _last(price: Callable[[Constants], Price], c: Constants) -> Parts:
    return price(c).terms(tails.smooth(c["schedule"]), 1.0)


def _cap(c: Constants, room: float) -> float:
    """Largest step size that the theorem allows, in units of the schedule's largest entry; infinite for L = 0."""
    with np.errstate(divide="ignore"):
        return float(np.divide(room, np.max(c["L"])))


def _tuned(price: Callable[[Constants], Price], room: Callable[[Constants], float], c: Constants) -> float:
    """The factor of a given schedule at which the bound is smallest: it is convex in the factor."""
    of, at = tails.compressed(tails.smooth(c["schedule"])), price(c)
    cap = _cap(c, room(c)) / float(np.max(c["schedule"]))
    if not np.isfinite(cap):
        raise ValueError("the tuned step size is unbounded where every L is 0; pass step_size")
    if not c["R"].any():
        return float(np.finfo(float).tiny)
    return best_schedule.lowest_convex(lambda factor: at.value(of, factor), cap)


def _free_room(c: Constants) -> float:
    relative = c.get("rho", 0.0) / c["M"]
    if relative >= 1:
        raise ValueError(f"rho = {c['rho']:g} is not below M = {c['M']:g}; the theorem needs a larger batch")
    return float((1 - relative) / (1 + relative))


def _box_room(c: Constants) -> float:
    return 1 - 1e-9


def _equation(noise: sympy.Expr) -> sympy.Eq:
    return Eq(_S, total(R**2 / step_size) / (2 * _A) + noise)


_needed = (L, sigma, R, T, M, step_size, schedule)
_relaxed = {
    "bias": L_max * R_norm**2 / (2 * alpha(schedule) * T),
    "noise": R_norm * sigma_norm * sqrt(2 * kappa(schedule) / (M * T)),
}
_price = total(step_size * sigma**2)
convex_sgd_last = Bound(
    "convex_sgd_last",
    "gap",
    "upper",
    forms={
        "sharp": Solver(
            partial(_last, free_price),
            _needed,
            _equation(_B * _price / (2 * M) + _C * total(step_size**2 * L * sigma**2) / (2 * M)),
        )
    },
    conditions=[Lt(rho, M), Le(schedule, (1 - rho / M) / ((1 + rho / M) * largest(step_size * L)))],
    requires=Requires(optimizers="sgd", properties="convex", box=False, schedule=None, fixed_schedule=True),
    source=_ZAMANI,
    title="last iterate of SGD under any schedule, convex and smooth, without a projection",
    assumptions=[_NOISE + " + rho (grad_j f)^2", _AS_GIVEN],
    step_rule=StepSolver(
        partial(_tuned, free_price, _free_room),
        (L, sigma, R, T, M, rho, schedule),
        partial(best_schedule.by_price, free_price, _free_room),
    ),
    horizon=False,
    asymptotic=_relaxed,
)

convex_sgd_last_proj = Bound(
    "convex_sgd_last_proj",
    "gap",
    "upper",
    forms={"sharp": Solver(partial(_last, box_price), _needed, _equation(_B * _price / (2 * M)))},
    conditions=[Lt(schedule, 1 / largest(step_size * L)), Eq(rho, 0)],
    requires=Requires(optimizers="sgd", properties="convex", schedule=None, fixed_schedule=True),
    source=_ZAMANI,
    title="last iterate of projected SGD under any schedule, convex and smooth, active constraints allowed",
    assumptions=[_NOISE, _AS_GIVEN + "; where step_size_j differs between coordinates, the feasible set is a box"],
    step_rule=StepSolver(
        partial(_tuned, box_price, _box_room),
        (L, sigma, R, T, M, schedule),
        partial(best_schedule.by_price, box_price, _box_room),
    ),
    horizon=False,
    asymptotic=_relaxed | {"bias": 2 * _relaxed["bias"]},
)
