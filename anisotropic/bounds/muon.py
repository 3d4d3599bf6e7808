"""What is known for Muon without convexity? A bound on the mean nuclear norm of the gradient, for any momentum.

Statement and proof: docs/theory/nonconvex_muon.md. A Newton-Schulz iteration enters by two certified numbers,
`alignment` and `gain`, which are 1 for the exact polar factor; momentum enters by the weights of past gradients in a
direction.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sympy import Eq, sqrt

from .forms import Form
from .matrices import left_noise, trace
from .symbols import Delta, L_op, M, T, alignment, decay, evaluate, gain, momentum, nesterov, scalar, uniform_step_size
from .theorem import Bound, Requires, Solver, Source, StepRule

_bias = Delta / (alignment * uniform_step_size * T)
_curvature = uniform_step_size * L_op * gain**2 / (2 * alignment)
_turn = (alignment + gain) * gain * uniform_step_size * L_op / alignment
_drift = _turn * momentum / (1 - momentum)
_level = trace(left_noise) / sqrt(M)
_weight = sqrt((1 - momentum) / (1 + momentum)) + 2 * sqrt(2 * momentum / ((1 + momentum) * T))


def _weights(momentum_: float, nesterov_: float, steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """sum_s w_ts^2, w_tt and sum_s w_ts (t - s) for t = 1..T, with w the normalized weights of gradients."""
    t = np.arange(1.0, steps + 1)
    if momentum_ == 0.0:
        return np.ones(steps), np.ones(steps), np.zeros(steps)
    decayed = momentum_**t
    past = 1.0 - decayed  # sum of (1 - beta) beta^(t - s)
    squares = (1.0 - momentum_) * (1.0 - decayed**2) / (1.0 + momentum_)
    lag = momentum_ * past / (1.0 - momentum_) - t * decayed
    own = np.full(steps, 1.0 - momentum_)
    if nesterov_:
        squares = momentum_**2 * squares + 2.0 * momentum_ * own * own + own**2
        lag, own, past = momentum_ * lag, (1.0 + momentum_) * own, 1.0 - momentum_ * decayed
    return squares / past**2, own / past, lag / past


def _sums(values: dict[str, Any]) -> dict[str, float]:
    """The bound before its sums over the weights are estimated; for momentum with and without Nesterov."""
    squares, own, lag = _weights(values["momentum"], values["nesterov"], max(1, round(values["T"])))
    past = np.sqrt(np.maximum(squares - own**2, 0.0))
    alpha, phi = values["alignment"], values["gain"]
    level = float(evaluate(_level, values))
    return {
        "bias": float(evaluate(_bias, values)),
        "curvature": float(evaluate(_curvature, values)),
        "drift": float(evaluate(_turn, values)) * float(lag.mean()),
        "noise": level * float(np.mean(phi * np.sqrt(squares) + alpha * past)) / alpha,
    }


_c, _d, _o = scalar("c"), scalar("lag"), scalar("w")
_equation = Eq(
    scalar("S"),
    _bias + _curvature + _turn * _d + _level * (gain * sqrt(_c) + alignment * sqrt(_c - _o**2)) / alignment,
    evaluate=False,
)
_needs = (Delta, L_op, left_noise, uniform_step_size, T, M, momentum, nesterov, alignment, gain)

nonconvex_muon = Bound(
    "nonconvex_muon",
    "mean_gradient_nuclear",
    "upper",
    forms={
        "simple": Form(
            {
                "bias": _bias,
                "curvature": _curvature,
                "drift": _drift,
                "noise": _level * (gain + alignment * momentum) * _weight / alignment,
            },
            (Eq(nesterov, 0),),
        ),
        "sums": Solver(_sums, _needs, _equation),
    },
    conditions=[Eq(decay, 0)],
    requires=Requires(optimizers="muon", box=False),
    source=Source("kovalev2025muon", "2503.12645", "orthogonalized gradients as a trust region", "in the spirit of"),
    title="Muon with a constant step, smooth in the spectral norm; any momentum, any certified Newton-Schulz iteration",
    assumptions=[
        "noise of mean zero given the past, E N N' <= Sigma^2 for one sample",
        "<X, O(X)> >= alignment |X|_* and |O(X)|_op <= gain for the direction O(X); both are 1 for the polar factor",
    ],
    step_rule=StepRule(_bias + _curvature + _drift),
)
