"""What is known without convexity? Bounds on the mean size of the gradient for SGD, signSGD, AdaGrad and RMSProp.

Statements and proofs: docs/theory/, one page a bound. AdaGrad, AdaGrad-Norm and RMSProp start with v_0 = eps^2 and no
gradient bound is assumed: the logarithm of the accumulator is closed by a fixed point.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import sympy
from sympy import Eq, Gt, Le, Lt, log, sqrt

from . import fixed_point as stationary
from .fixed_point import NOISE_COST
from .symbols import (
    Delta,
    G,
    L,
    M,
    T,
    beta,
    eps,
    evaluate,
    larger,
    largest,
    rho,
    scalar,
    sigma,
    step_size,
    total,
    uniform_eps,
    uniform_step_size,
)
from .theorem import Bound, Requires, Solver, Source, StepRule

_NOISE = "noise of mean zero given the past, one-sample variance at most sigma_j^2"
_NO_GRADIENT_BOUND = "no bound on the gradients is assumed"
_affine = 1 + rho / M
_sgd_source = Source("bottou2018optimization", "1606.04838", "nonconvex SGD with a constant step size", "derived here")
_adagrad_source = Source("jiang2025provable", "2406.04592", "AdaGrad in the l1 norm", "in the spirit of")
_S = scalar("S")
_quarter = sympy.Rational(1, 4)


# ---- SGD and signSGD ------------------------------------------------------------------------------------------------

_loss = 1 - uniform_step_size * _affine * largest(L) / 2
_bias, _noise = Delta / (uniform_step_size * T), uniform_step_size * total(L * sigma**2) / (2 * M)
nonconvex_sgd = Bound(
    "nonconvex_sgd",
    "gradient_l2_squared",
    "upper",
    {"bias": _bias / _loss, "noise": _noise / _loss},
    conditions=[Lt(uniform_step_size, 2 / (_affine * largest(L)))],
    requires=Requires(optimizers="sgd", box=False),
    source=_sgd_source,
    title="SGD with a constant step size, smooth; the noise enters as sum L_j sigma_j^2",
    assumptions=["noise of mean zero given the past, one-sample variance at most sigma_j^2 + rho (grad_j f)^2"],
    step_rule=StepRule(2 * (_bias + _noise), cap=1 / (_affine * largest(L))),
)


def _root_of(bias: sympy.Expr, noise: sympy.Expr) -> dict[str, sympy.Expr]:
    """sqrt(bias + noise), shared in proportion."""
    return {"bias": bias / sqrt(bias + noise), "noise": noise / sqrt(bias + noise)}


_l1 = total(1 / step_size)
_l1_bias, _l1_noise = 2 * _l1 * Delta / T, _l1 * total(step_size**2 * L * sigma**2) / M
nonconvex_diag_sgd = Bound(
    "nonconvex_diag_sgd",
    "gradient_l1",
    "upper",
    _root_of(_l1_bias, _l1_noise),
    conditions=[Le(step_size, 1 / L), Eq(rho, 0)],
    requires=Requires(optimizers="sgd", box=False),
    source=_sgd_source,
    title="SGD with one constant step size per coordinate, smooth, in the l1 norm (the yardstick for AdaGrad)",
    assumptions=[_NOISE],
)

_sign_terms = {
    "bias": Delta / (uniform_step_size * T),
    "curvature": uniform_step_size * total(L) / 2,
    "noise": total(sigma) / sqrt(M),
}
_sign = Source("bernstein2018signsgd", "1802.04434", "sign updates with anisotropic constants", "in the spirit of")
_sign_tuning = StepRule(_sign_terms["bias"] + _sign_terms["curvature"])
nonconvex_signsgd = Bound(
    "nonconvex_signsgd",
    "gradient_l1",
    "upper",
    _sign_terms,
    conditions=[Eq(rho, 0)],
    requires=Requires(optimizers="sign_sgd", box=False),
    source=_sign,
    title="signSGD with a constant step size, smooth; does not converge for a fixed batch size",
    assumptions=[_NOISE],
    step_rule=_sign_tuning,
)


#: What a wrong sign costs per unit of Gaussian noise: max over x of 2 x Phi(-x) = 0.33994..., rounded up.
GAUSSIAN_LOSS = sympy.Rational(17, 50)
nonconvex_signsgd_gaussian = Bound(
    "nonconvex_signsgd_gaussian",
    "gradient_l1",
    "upper",
    _sign_terms | {"noise": GAUSSIAN_LOSS * total(sigma) / sqrt(M)},
    conditions=[Eq(rho, 0)],
    requires=Requires(optimizers="sign_sgd", box=False, laws={"gaussian", "none"}),
    source=_sign,
    title="signSGD with a constant step size, smooth, Gaussian noise",
    assumptions=[_NOISE],
    step_rule=_sign_tuning,
)


# ---- AdaGrad --------------------------------------------------------------------------------------------------------


def _adagrad_parts(values: dict[str, Any], logs: np.ndarray) -> tuple[dict[str, float], dict[str, float]]:
    """The parts of Q and of C, for logarithms ``logs >= E ln(v_T/eps^2)`` of the coordinates."""
    s, eta = values["sigma"] / np.sqrt(values["M"]), values["step_size"]
    Q = {
        "bias": values["Delta"] / eta,
        "curvature": eta * float(np.sum(values["L"] * logs)) / 2,
        "noise": NOISE_COST * float(np.sum(s * logs)),
    }
    C = {
        "cross": float(np.sum(s)) * np.sqrt(values["T"]),
        "eps": float(np.sum(np.sqrt(values["eps"] ** 2 + s**2))),
    }
    return Q, C


def _over_root_T(parts: dict[str, float], T_: float) -> dict[str, float]:
    return {name: float(part) / np.sqrt(T_) for name, part in parts.items()}


def _fixed_log(values: dict[str, Any]) -> dict[str, float]:
    """ln v_T from the fixed point: E sqrt(v_Tj) <= eps_j + s_j sqrt(T) + G."""
    s = values["sigma"] / np.sqrt(values["M"])

    def pieces(size: float) -> dict[str, float]:
        logs = 2 * np.log1p((s * np.sqrt(values["T"]) + size) / values["eps"])
        return stationary.split(*_adagrad_parts(values, logs))

    size = stationary.fixed_point(lambda x: sum(pieces(x).values()))
    return _over_root_T(pieces(size), values["T"])


def _given_log(logs: sympy.Expr, values: dict[str, Any]) -> dict[str, float]:
    """The bound with a logarithm that is known in closed form."""
    pieces = stationary.split(*_adagrad_parts(values, np.asarray(evaluate(logs, values))))
    return _over_root_T(pieces, values["T"])


_s = sigma / sqrt(M)
_log_bounded = log(1 + T * G**2 / eps**2)
_reach = sqrt(2 * L * Delta) + uniform_step_size * T * sqrt(L * total(L))
_log_closed = log(1 + T * (_reach**2 + sigma**2 / M) / eps**2)


def _equation(logs: sympy.Expr) -> sympy.Eq:
    """G^2 = Q (C + G) for the bound S = G/sqrt(T), with the logarithms as they are."""
    size = _S * sqrt(T)
    Q = Delta / uniform_step_size + total((uniform_step_size * L / 2 + sqrt(2) * _s) * logs)
    C = total(sqrt(eps**2 + sigma**2 / M)) + sqrt(T) * total(_s)
    return Eq(size**2, Q * (C + size), evaluate=False)


_adagrad_needs = (L, sigma, eps, uniform_step_size, T, M, Delta)
# Up to logarithms, at the best step size: Q ~ sqrt(Delta |L|_1) + |s|_1 and G ~ Q + sqrt(Q |s|_1 sqrt(T)).
_adagrad_asymptotic = {
    "bias": sqrt(Delta * total(L) / T),
    "noise": (Delta * total(L)) ** _quarter * sqrt(total(sigma)) / (M * T) ** _quarter
    + total(sigma) / (sqrt(M) * T**_quarter),
}
nonconvex_adagrad = Bound(
    "nonconvex_adagrad",
    "gradient_l1",
    "upper",
    forms={
        "solved": Solver(_fixed_log, _adagrad_needs, _equation(2 * log(1 + (sqrt(T) * _s + _S * sqrt(T)) / eps))),
        "bounded": Solver(partial(_given_log, _log_bounded), (*_adagrad_needs, G), _equation(_log_bounded)),
        "closed": Solver(partial(_given_log, _log_closed), _adagrad_needs, _equation(_log_closed)),
    },
    conditions=[Gt(eps, 0), Eq(rho, 0)],
    requires=Requires(optimizers="adagrad", preset="nonconvex", box=False),
    source=_adagrad_source,
    title="AdaGrad, smooth, in the l1 norm",
    assumptions=[_NOISE, _NO_GRADIENT_BOUND, "form 'bounded' takes G, with E g_tj^2 <= G_j^2 along the path"],
    asymptotic=_adagrad_asymptotic,
)

_peak = uniform_step_size * L
_det_terms = {
    "bias": 2 * Delta / (uniform_step_size * sqrt(T)),
    "curvature": 2 * total(_peak * log(larger(_peak / eps, 1)) - larger(_peak - eps, 0)) / sqrt(T),
    "eps": total(eps) / sqrt(T),
}


def _largest_gain(price: float, peak: np.ndarray, e: np.ndarray) -> np.ndarray:
    """max over U >= eps of U - price F(U), for price > 1, where F(U) is what descent pays for a final root U.

    F(U) = 2 (U - eps) - peak ln(U/eps) up to `peak`, and (1 + peak/U)(U - eps) - peak ln(U/eps) beyond; the maximum is
    at eps, at peak, or where the slope of F is 1/price on either side.
    """
    q = 1 - 1 / price
    inside = np.clip(peak / (1 + q), e, None)
    beyond = (peak + np.sqrt(np.maximum(peak**2 - 4 * peak * e * q, 0))) / (2 * q)
    gains = []
    for U in (e, inside, np.maximum(peak, e), np.maximum(beyond, np.maximum(peak, e))):
        F = (1 + np.minimum(peak / U, 1)) * (U - e) - peak * np.log(U / e)
        gains.append(U - price * F)
    return np.max(gains, axis=0)


def final_roots(values: dict[str, Any]) -> dict[str, float]:
    """sum U_j <= price Delta/step + sum_j max over U (U - price F_j(U)), at the best price; each price is a bound."""
    from scipy.optimize import minimize_scalar

    e, room = np.asarray(values["eps"]), values["Delta"] / values["step_size"]
    peak = np.asarray(values["step_size"] * values["L"])

    def whole(log_excess: float) -> float:
        price = 1 + np.exp(log_excess)
        return float(price * room + np.sum(_largest_gain(price, peak, e)))

    best = minimize_scalar(whole, bounds=(-12, 12), method="bounded", options={"xatol": 1e-9})
    price = 1 + np.exp(best.x if whole(best.x) < whole(0.0) else 0.0)
    gains = float(np.sum(_largest_gain(price, peak, e)))
    return _over_root_T({"bias": price * room, "curvature": gains - np.sum(e), "eps": np.sum(e)}, values["T"])


nonconvex_adagrad_det = Bound(
    "nonconvex_adagrad_det",
    "gradient_l1",
    "upper",
    _det_terms,
    forms={"tight": Solver(final_roots, (L, eps, uniform_step_size, T, Delta))},
    conditions=[Gt(eps, 0)],
    requires=Requires(optimizers="adagrad", preset="nonconvex", box=False, noises="none"),
    source=_adagrad_source,
    title="AdaGrad without noise, smooth, in the l1 norm; no logarithm of T",
    assumptions=[_NO_GRADIENT_BOUND],
)


# ---- AdaGrad-Norm ---------------------------------------------------------------------------------------------------


def _norm_log(values: dict[str, Any]) -> dict[str, float]:
    """AdaGrad's bound with one coordinate, the noise |sigma|_2 and the smoothness max L_j."""
    one = values | {"L": np.array([np.max(values["L"])]), "sigma": np.array([np.sqrt(np.sum(values["sigma"] ** 2))])}
    return _fixed_log(one | {"eps": np.array([values["eps"]])})


def _norm_equation() -> sympy.Eq:
    size, s = _S * sqrt(T), sqrt(total(sigma**2) / M)
    ell = 2 * log(1 + (s * sqrt(T) + size) / uniform_eps)
    Q = Delta / uniform_step_size + (uniform_step_size * largest(L) / 2 + sqrt(2) * s) * ell
    C = sqrt(uniform_eps**2 + s**2) + s * sqrt(T)
    return Eq(size**2, Q * (C + size), evaluate=False)


nonconvex_adagrad_norm = Bound(
    "nonconvex_adagrad_norm",
    "gradient_l2",
    "upper",
    forms={"solved": Solver(_norm_log, (L, sigma, uniform_eps, uniform_step_size, T, M, Delta), _norm_equation())},
    conditions=[Gt(uniform_eps, 0), Eq(rho, 0)],
    requires=Requires(optimizers="adagrad_norm", preset="nonconvex", box=False),
    source=Source("ward2020adagrad", "1806.01811", "nonconvex AdaGrad-Norm", "in the spirit of"),
    title="AdaGrad-Norm, smooth, in the l2 norm",
    assumptions=[_NOISE, _NO_GRADIENT_BOUND],
    asymptotic={
        "bias": sqrt(Delta * largest(L) / T),
        "noise": (Delta * largest(L) * total(sigma**2)) ** _quarter / (M * T) ** _quarter
        + sqrt(total(sigma**2)) / (sqrt(M) * T**_quarter),
    },
)


# ---- RMSProp --------------------------------------------------------------------------------------------------------


def _rmsprop(values: dict[str, Any]) -> dict[str, float]:
    """The mean l1 norm Y solves ``Y^2 <= Q (C + k Y)`` with r = sqrt(1 - beta), k = r/(1 - sqrt(beta))."""
    T_, decay, e, eta = values["T"], values["beta"], values["eps"], values["step_size"]
    s, r = values["sigma"] / np.sqrt(values["M"]), np.sqrt(1 - values["beta"])
    k = (1 + np.sqrt(decay)) / r
    C = {"noise floor": float(np.sum((1 + r) * s)), "eps": float(np.sum(e))}

    def pieces(mean: float) -> dict[str, float]:
        logs = (2 * np.log1p((s + r * T_ * mean) / e) - T_ * np.log(decay)) / (1 - decay)
        noise = NOISE_COST * r * float(np.sum(s * logs))
        Q = {"bias": values["Delta"] / eta, "curvature": eta * float(np.sum(values["L"] * logs)) / 2, "noise": noise}
        scaled = {name: k * part / T_ for name, part in Q.items()}
        return stationary.split(scaled, {name: part / k for name, part in C.items()})

    return pieces(stationary.fixed_point(lambda y: sum(pieces(y).values())))


def _rmsprop_equation() -> sympy.Eq:
    r, s = sqrt(1 - beta), sigma / sqrt(M)
    ell = (2 * log(1 + (s + r * T * _S) / eps) - T * log(beta)) / (1 - beta)
    Q = (Delta / uniform_step_size + total((uniform_step_size * L / 2 + sqrt(2) * r * s) * ell)) / T
    C = total(eps + (1 + r) * s)
    return Eq(_S**2, Q * (C + r / (1 - sqrt(beta)) * _S), evaluate=False)


nonconvex_rmsprop = Bound(
    "nonconvex_rmsprop",
    "gradient_l1",
    "upper",
    forms={"solved": Solver(_rmsprop, (L, sigma, eps, uniform_step_size, T, M, Delta, beta), _rmsprop_equation())},
    conditions=[Gt(eps, 0), Lt(beta, 1), Eq(rho, 0)],
    requires=Requires(optimizers="rmsprop", preset="nonconvex", box=False),
    source=Source("defossez2022simple", "2003.02395", "adaptive methods without momentum", "in the spirit of"),
    title="RMSProp without bias correction or momentum, smooth, in the l1 norm",
    assumptions=[_NOISE, _NO_GRADIENT_BOUND, "1 - beta between T^(-1) and T^(-1/2) is the useful range"],
)

