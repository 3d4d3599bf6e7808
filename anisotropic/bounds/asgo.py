"""What is known for ASGO and for its yardstick on convex functions of a matrix? Bounds on the mean gap.

Statements and proofs: docs/theory/convex_asgo.md and convex_left_sgd.md. They are those of AdaGrad and SGD with
eigenvalues in place of coordinates: tr L for a sum over L_j, tr Sigma for one over sigma_j, and the spectral norm for
the box.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sympy import Eq, Le, sqrt

from .matrices import (
    MatrixConstant,
    inverse_square_trace,
    inverse_trace,
    largest_product,
    least_above,
    left_distance,
    left_noise,
    left_smoothness,
    preconditioner,
    root,
    rows,
    square_trace,
    trace,
)
from .symbols import D_op, M, T, evaluate, rho, scalar, uniform_eps, uniform_step_size
from .theorem import Bound, Requires, Solver, Source, StepRule

K = D_op**2 / (2 * uniform_step_size) + uniform_step_size
_affine = 1 + rho / M
_INTERIOR = frozenset({"convex", "interior minimizer"})
_NOISE = "noise of mean zero given the past, E N N' <= Sigma^2 + rho grad f grad f' for one sample"
ITERATIONS = 100  # of the search for the best L'; each of its points is a valid bound
ENOUGH = 1e-6  # relative decrease below which the search ends


def _value(K_: float, L: np.ndarray, N: np.ndarray) -> tuple[float, float]:
    """The two parts of K^2 tr L / 2 + tr(L^(-1) N) / 2; what N has where L vanishes makes it infinite."""
    values, vectors = np.linalg.eigh(L)
    turned = np.einsum("ij,ik,kj->j", vectors, N, vectors)
    live = values > 1e-14 * max(values[-1], 0.0)
    lost = bool((turned[~live] > 1e-12 * max(float(np.trace(N)), 0.0)).any())
    return 0.5 * K_**2 * float(values.sum()), np.inf if lost else 0.5 * float(np.sum(turned[live] / values[live]))


def _commuting(K_: float, L: np.ndarray, N: np.ndarray) -> np.ndarray:
    """L^(1/2) max(I, L^(-1/2) N^(1/2) L^(-1/2) / K) L^(1/2): the best choice where L and N commute."""
    values, vectors = np.linalg.eigh(L)
    values = np.maximum(values, 1e-12 * values[-1])
    half, back = (vectors * np.sqrt(values)) @ vectors.T, (vectors / np.sqrt(values)) @ vectors.T
    relative, turn = np.linalg.eigh(back @ (root(N) / K_) @ back)
    return half @ (turn * np.maximum(relative, 1.0)) @ turn.T @ half


def smallest(K_: float, L: np.ndarray, N: np.ndarray) -> tuple[float, float]:
    """The parts of the least K^2 tr L' / 2 + tr(L'^(-1) N) / 2 over L' >= L that was found; any L' >= L is valid.

    Exact where L and N commute; else projected gradient descent from there.
    """
    if not np.any(N):
        return 0.5 * K_**2 * float(np.trace(L)), 0.0
    starts = [L + root(N) / K_, *([_commuting(K_, L, N), L] if np.any(L) else [])]
    best = min(starts, key=lambda P: sum(_value(K_, P, N)))
    value, size = sum(_value(K_, best, N)), float(np.trace(best)) / len(L) / K_**2
    commute = np.abs(L @ N - N @ L).max() <= 1e-12 * np.abs(L).max() * np.abs(N).max()
    for _ in range(0 if commute else ITERATIONS):
        inverse = np.linalg.pinv(best, hermitian=True)
        step = best - L - size * 0.5 * (K_**2 * np.eye(len(L)) - inverse @ N @ inverse)
        eigenvalues, vectors = np.linalg.eigh(0.5 * (step + step.T))
        trial = L + (vectors * np.maximum(eigenvalues, 0.0)) @ vectors.T
        found = sum(_value(K_, trial, N))
        if found < value:
            gain = 1.0 - found / value
            best, value, size = trial, found, 1.5 * size
            if gain < ENOUGH:
                break
        else:
            size *= 0.5
            if size * K_**2 < ENOUGH * float(np.trace(best)):
                break
    return _value(K_, best, N)


def _sharp(values: dict[str, Any]) -> dict[str, float]:
    """The sharp form: a smoothness L' above (1 + rho/M) L is chosen for the noise."""
    price, T_, M_ = float(evaluate(K, values)), values["T"], values["M"]
    sigma = values["left_noise"]
    bias, noise = smallest(price, (1 + values["rho"] / M_) * values["left_smoothness"], T_ / M_ * sigma @ sigma)
    return {"bias": bias / T_, "noise": noise / T_, "eps": float(evaluate(_eps, values))}


_eps = rows(left_smoothness) * uniform_eps * D_op**2 / (2 * uniform_step_size * T)
_raised = MatrixConstant("raised", positive=True)
_equation = Eq(
    scalar("S"),
    least_above(K**2 * trace(_raised) / (2 * T) + inverse_square_trace(_raised, left_noise) / (2 * M)) + _eps,
    evaluate=False,
)
convex_asgo = Bound(
    "convex_asgo",
    "mean_gap",
    "upper",
    {
        "bias": _affine * K**2 * trace(left_smoothness) / (2 * T),
        "noise": K * trace(left_noise) / sqrt(M * T),
        "eps": _eps,
    },
    forms={
        "sharp": Solver(
            _sharp, (left_smoothness, left_noise, D_op, uniform_step_size, uniform_eps, T, M, rho), _equation
        )
    },
    requires=Requires(optimizers="asgo", preset="convex", properties=_INTERIOR, box=False),
    source=Source("an2025asgo", "2503.20762", "one-sided Shampoo, matrix smoothness and noise", "in the spirit of"),
    title="ASGO in a ball of the spectral norm, convex, gradient zero at the minimizer",
    assumptions=[
        _NOISE, "D_op bounds |W_t - W*|_op: the radius of the ball and the distance of the minimizer from its center",
    ],
    step_rule=StepRule(K),
)  # fmt: skip

_left_terms = {
    "bias": inverse_trace(preconditioner, left_distance) / (2 * uniform_step_size * T),
    "noise": uniform_step_size * square_trace(preconditioner, left_noise) / (2 * M),
}
_left_cap = 1 / (_affine * largest_product(preconditioner, left_smoothness))
convex_left_sgd = Bound(
    "convex_left_sgd",
    "mean_gap",
    "upper",
    _left_terms,
    conditions=[Le(uniform_step_size, _left_cap)],
    requires=Requires(optimizers="left_sgd", properties=_INTERIOR, box=False),
    source=Source("an2025asgo", "2503.20762", "what a fixed left matrix would reach; ours", "derived here"),
    title="SGD with a fixed matrix on the left, convex (the yardstick for ASGO)",
    assumptions=[_NOISE],
    step_rule=StepRule(sum(_left_terms.values()), cap=_left_cap),
)
