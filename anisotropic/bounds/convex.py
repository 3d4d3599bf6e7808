"""What is known for SGD, AdaGrad and AdaGrad-Norm on convex functions? Bounds on the mean gap, with all constants.

Statements and proofs: docs/theory/, one page a bound. K_j = D_j^2/(2 s_j) + s_j is AdaGrad's price of adapting to
coordinate j with the step size s_j; it is smallest, sqrt(2) D_j, at s_j = D_j/sqrt(2).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import sympy
from sympy import Eq, Le, Lt, log, sqrt

from .active import late, leftover
from .symbols import (
    D,
    Delta,
    G,
    G_star,
    L,
    M,
    R,
    T,
    delta,
    eps,
    evaluate,
    larger,
    largest,
    mu,
    rho,
    scalar,
    sigma,
    step_size,
    total,
    uniform_eps,
    uniform_step_size,
)
from .theorem import Bound, Requires, Solver, Source, StepRule

K = D**2 / (2 * step_size) + step_size
Lambda = total(L * K**2) / 2
_affine = 1 + rho / M
_D2 = total(D**2)
_K_norm = _D2 / (2 * uniform_step_size) + uniform_step_size
_INTERIOR = frozenset({"convex", "interior minimizer"})
_SGD = Source("bottou2018optimization", "1606.04838", "constant step size; the constants are ours", "derived here")
_ADAGRAD = Source("liu2025adagrad", "2406.15244", "convex AdaGrad, anisotropic constants", "in the spirit of")
_NOISE = "noise of mean zero given the past, one-sample variance at most sigma_j^2 + rho (grad_j f)^2"
_PLAIN_NOISE = "noise of mean zero given the past, one-sample variance at most sigma_j^2"


# ---- SGD ------------------------------------------------------------------------------------------------------------

_sgd_terms = {
    "bias": total(R**2) / (2 * uniform_step_size * T),
    "noise": uniform_step_size * total(sigma**2) / (2 * M),
}
convex_sgd = Bound(
    "convex_sgd",
    "mean_gap",
    "upper",
    _sgd_terms,
    conditions=[Le(uniform_step_size, 1 / (_affine * largest(L)))],
    requires=Requires(optimizers="sgd", properties=_INTERIOR),
    source=_SGD,
    title="SGD with a constant step size, convex, gradient zero at the minimizer",
    assumptions=[_NOISE],
    step_rule=StepRule(sum(_sgd_terms.values()), cap=1 / (_affine * largest(L))),
)

convex_sgd_proj = Bound(
    "convex_sgd_proj",
    "mean_gap_after",
    "upper",
    {
        "bias": total(R**2) / (2 * uniform_step_size * T),
        "noise": uniform_step_size * total(sigma**2 / (1 - uniform_step_size * L)) / (2 * M),
    },
    conditions=[Lt(uniform_step_size, 1 / largest(L)), Eq(rho, 0)],
    requires=Requires(optimizers="sgd", properties="convex"),
    source=Source("lan2012optimal", "", "plain SGD for smooth convex functions over a convex set", "in the spirit of"),
    title="projected SGD, convex, constraints may be active at the minimizer",
    assumptions=[_PLAIN_NOISE],
    step_rule=StepRule(
        total(R**2) / (2 * uniform_step_size * T) + uniform_step_size * total(sigma**2) / M, cap=1 / (2 * largest(L))
    ),
)

_diag_terms = {"bias": total(R**2 / (2 * step_size * T)), "noise": total(step_size * sigma**2 / (2 * M))}
convex_diag_sgd = Bound(
    "convex_diag_sgd",
    "mean_gap",
    "upper",
    _diag_terms,
    conditions=[Le(step_size, 1 / (_affine * L))],
    requires=Requires(optimizers="sgd", properties=_INTERIOR),
    source=_SGD,
    title="SGD with one constant step size per coordinate, convex (the yardstick for AdaGrad)",
    assumptions=[_NOISE, "the feasible set is a box, or there is none"],
    step_rule=StepRule(sum(_diag_terms.values()), cap=1 / (_affine * L)),
)

_nonsmooth_sgd = {"bias": total(R**2) / (2 * uniform_step_size * T), "gradient": uniform_step_size * total(G**2) / 2}
convex_sgd_nonsmooth = Bound(
    "convex_sgd_nonsmooth",
    "mean_gap",
    "upper",
    _nonsmooth_sgd,
    requires=Requires(optimizers="sgd", properties="convex"),
    source=_SGD,
    title="SGD with a constant step size, convex, no smoothness",
    assumptions=["E g_tj^2 <= G_j^2 along the path: squared true subgradient plus sigma_j^2/M"],
    step_rule=StepRule(sum(_nonsmooth_sgd.values())),
)

_contraction = 1 - uniform_step_size * mu * (2 - uniform_step_size * largest(L))
pl_sgd = Bound(
    "pl_sgd",
    "gap",
    "upper",
    {
        "bias": _contraction**T * Delta,
        "noise": (1 - _contraction**T)
        * uniform_step_size
        * total(L * sigma**2)
        / (2 * M * mu * (2 - uniform_step_size * largest(L))),
    },
    conditions=[Lt(uniform_step_size, 2 / largest(L)), Le(1 - _contraction, 1), Eq(rho, 0)],
    requires=Requires(optimizers="sgd", box=False),
    source=Source("karimi2016linear", "1608.04636", "linear convergence from the PL inequality", "in the spirit of"),
    title="SGD with a constant step size under the Polyak-Lojasiewicz inequality",
    assumptions=["|grad f|^2 >= 2 mu (f - inf f), convexity is not needed", _PLAIN_NOISE],
)


# ---- AdaGrad --------------------------------------------------------------------------------------------------------


def _solved(smooth: sympy.Expr, rest: dict[str, sympy.Expr]) -> dict[str, sympy.Expr]:
    """T times the gap S solves ``S = 2 sqrt(smooth S) + sum(rest)``; the parts of S/T at the root."""
    root = sqrt(smooth) + sqrt(smooth + sum(rest.values()))
    return {"bias": 2 * sqrt(smooth) * root / T} | {name: part / T for name, part in rest.items()}


def _plain(smooth: sympy.Expr, rest: dict[str, sympy.Expr]) -> dict[str, sympy.Expr]:
    """With co-coercivity kept, S is at most ``smooth + sum(rest)``; the parts of S/T."""
    return {"bias": smooth / T} | {name: part / T for name, part in rest.items()}


def _simple(smooth: sympy.Expr, rest: dict[str, sympy.Expr]) -> dict[str, sympy.Expr]:
    """The root is at most ``4 smooth + 2 sum(rest)``."""
    return {"bias": 4 * smooth / T} | {name: 2 * part / T for name, part in rest.items()}


_rest = {"noise": sqrt(T / M) * total(K * sigma), "eps": total(eps * D**2 / (2 * step_size))}


def _water_filling(values: dict[str, Any]) -> dict[str, float]:
    """Largest S with ``S <= max{sum K_j sqrt(B_j + n_j) : B >= 0, sum B_j/L_j <= 2 S} + e``, where n_j = T sigma_j^2/M.

    At the maximum B_j + n_j = (K_j L_j level)^2 on the coordinates whose threshold sqrt(n_j)/(K_j L_j) lies below
    `level`. The right-hand side is concave in S, so Newton's method from above decreases to the root and every iterate
    is itself a valid bound.
    """
    price = np.asarray(evaluate(K, values))
    L_eff = values["L"] * (1 + values["rho"] / values["M"])
    noise = values["T"] * values["sigma"] ** 2 / values["M"]
    e = float(evaluate(_rest["eps"], values))
    floor = float(np.sum(price * np.sqrt(noise)))
    T_ = values["T"]
    live = price * L_eff > 0
    K_, L_, n_ = price[live], L_eff[live], noise[live]
    order = np.argsort(np.sqrt(n_) / (K_ * L_))
    K_, L_, n_ = K_[order], L_[order], n_[order]
    thresholds = np.sqrt(n_) / (K_ * L_)
    weight, spent = np.cumsum(K_**2 * L_), np.cumsum(n_ / L_)
    start = np.cumsum(K_**2 * L_) * thresholds**2 - spent
    idle = floor - float(np.sum(K_ * np.sqrt(n_)))
    smooth = 0.5 * float(np.sum(L_ * K_**2))
    S = (np.sqrt(smooth) + np.sqrt(smooth + floor + e)) ** 2
    for _ in range(100):
        if S <= 0 or not K_.size:
            break
        active = int(np.searchsorted(start, 2 * S))
        level = np.sqrt((2 * S + spent[active - 1]) / weight[active - 1])
        reached = idle + level * weight[active - 1] + float(np.sum(K_[active:] * np.sqrt(n_[active:]))) + e
        slope = 1 / level
        decrease = (S - reached) / (1 - slope) if slope < 1 else 0.0
        if decrease <= 1e-15 * S:
            break
        S -= decrease
    S = max(S, floor + e)
    return {"bias": float(S - floor - e) / T_, "noise": floor / T_, "eps": e / T_}


_noise_level = sigma * sqrt(T / M)
_S = scalar("S")


def _sharp(values: dict[str, Any]) -> dict[str, float]:
    """S <= sum_j max over B of (K_j sqrt(B + n_j) - B/(2 L_j)) + e, coordinate by coordinate in closed form."""
    smooth = values["L"] * (1 + values["rho"] / values["M"])
    bias = leftover(evaluate(K, values), smooth, evaluate(_noise_level, values))
    rest = {name: float(evaluate(part, values)) for name, part in _rest.items()}
    return {name: part / values["T"] for name, part in ({"bias": bias} | rest).items()}


_sharp_equation = Eq(
    _S,
    total(larger(_affine * L * K - _noise_level, 0) ** 2 / (2 * _affine * L)) / T + sum(_rest.values()) / T,
    evaluate=False,
)
_needs = (L, sigma, D, step_size, eps, T, M, rho)

convex_adagrad = Bound(
    "convex_adagrad",
    "mean_gap",
    "upper",
    _simple(_affine * Lambda, _rest),
    forms={
        "quad": _solved(_affine * Lambda, _rest),
        "tight": Solver(_water_filling, _needs),
        "sharp": Solver(_sharp, _needs, _sharp_equation),
    },
    requires=Requires(optimizers="adagrad", preset="convex", properties=_INTERIOR, box=True),
    source=_ADAGRAD,
    title="AdaGrad in a box, convex, gradient zero at the minimizer",
    assumptions=[_NOISE],
    step_rule=StepRule(K),
)

_active_rest = _rest | {"active": sqrt(T) * total(K * G_star)}
convex_adagrad_active = Bound(
    "convex_adagrad_active",
    "mean_gap",
    "upper",
    _simple(Lambda, _active_rest),
    forms={"quad": _solved(Lambda, _active_rest), "sharp": _plain(Lambda, _active_rest), "late": late},
    conditions=[Eq(rho, 0)],
    requires=Requires(optimizers="adagrad", preset="convex", properties="convex", box=True),
    source=_ADAGRAD,
    title="AdaGrad in a box, convex, constraints may be active at the minimizer",
    assumptions=[_PLAIN_NOISE, "form late: no term with sqrt(T) G_star"],
    step_rule=StepRule(K),
)

_log = log(2 / delta)
_hp_rest = {
    "noise": sqrt(T / M) * total(K * sigma),
    "deviation": sqrt(2 * _log * total(K**2 * sigma**2) / M) + sqrt(2 * T * _log * total(D**2 * sigma**2) / M),
    "eps": total(eps * D**2 / (2 * step_size)),
}
convex_adagrad_hp = Bound(
    "convex_adagrad_hp",
    "mean_gap",
    "upper",
    _simple(Lambda, _hp_rest),
    forms={"quad": _solved(Lambda, _hp_rest), "sharp": _plain(Lambda, _hp_rest)},
    conditions=[Lt(delta, 1), Eq(rho, 0)],
    requires=Requires(
        optimizers="adagrad", preset="convex", properties=_INTERIOR, box=True, noises={"gaussian", "none"}
    ),
    source=Source("liu2023high", "2302.14843", "high probability without bounded gradients", "in the spirit of"),
    title="AdaGrad in a box, convex, for one path with probability 1 - delta at each T",
    assumptions=[
        "additive Gaussian noise, independent between iterations and coordinates, with the same law everywhere",
        "the claim is about each T by itself: that it holds at all T together has a smaller probability",
    ],
    step_rule=StepRule(K),
    probability=True,
)

_nonsmooth_terms = {"gradient": total(K * G) / sqrt(T), "eps": total(eps * D**2 / (2 * step_size)) / T}
convex_adagrad_nonsmooth = Bound(
    "convex_adagrad_nonsmooth",
    "mean_gap",
    "upper",
    _nonsmooth_terms,
    requires=Requires(optimizers="adagrad", preset="convex", properties="convex", box=True),
    source=Source("duchi2011adaptive", "", "regret of AdaGrad with diagonal matrices", "in the spirit of"),
    title="AdaGrad in a box, convex, no smoothness",
    assumptions=["E g_tj^2 <= G_j^2 along the path: squared true subgradient plus sigma_j^2/M"],
    step_rule=StepRule(K),
)


# ---- AdaGrad-Norm ---------------------------------------------------------------------------------------------------

_e = uniform_eps * _D2 / (2 * uniform_step_size)
_P = 2 * _affine * largest(L) * _K_norm**2
_C = _K_norm**2 * (2 * _affine * largest(L) * _e + T * total(sigma**2) / M)
_root = _P / 2 + sqrt(_P**2 / 4 + _C)
# With u = S - e the root solves u^2 = P u + K^2 T |sigma|^2/M + P e; dividing by u shows the share of each cause.
_noise_share = _K_norm**2 * T * total(sigma**2) / M / _root
_norm_noise = sqrt(T / M) * sqrt(total(sigma**2))
_norm_smooth = _affine * largest(L)


def _sharp_norm(values: dict[str, Any]) -> dict[str, float]:
    """The sharp form of AdaGrad with one coordinate in place of d."""
    price, noise = float(evaluate(_K_norm, values)), float(evaluate(_norm_noise, values))
    bias = leftover(price, evaluate(_norm_smooth, values), noise)
    return {"bias": bias / values["T"], "noise": price * noise / values["T"], "eps": evaluate(_e, values) / values["T"]}


_sharp_norm_equation = Eq(
    _S,
    larger(_norm_smooth * _K_norm - _norm_noise, 0) ** 2 / (2 * _norm_smooth * T) + (_K_norm * _norm_noise + _e) / T,
    evaluate=False,
)
convex_adagrad_norm = Bound(
    "convex_adagrad_norm",
    "mean_gap",
    "upper",
    {
        "bias": _P / T,
        "noise": _K_norm * sqrt(total(sigma**2)) / sqrt(M * T),
        "eps": 2 * _e / T,
    },
    forms={
        "quad": {"bias": _P / T, "noise": _noise_share / T, "eps": (_e + _P * _e / _root) / T},
        "sharp": Solver(_sharp_norm, (L, sigma, D, uniform_step_size, uniform_eps, T, M, rho), _sharp_norm_equation),
    },
    requires=Requires(optimizers="adagrad_norm", preset="convex", properties=_INTERIOR),
    source=Source("ward2020adagrad", "1806.01811", "AdaGrad, one step size for all coordinates", "in the spirit of"),
    title="AdaGrad-Norm in a box, convex, gradient zero at the minimizer",
    assumptions=[_NOISE, "D bounds |w_tj - w*_j|: the widths of the box"],
    step_rule=StepRule(_K_norm),
)
