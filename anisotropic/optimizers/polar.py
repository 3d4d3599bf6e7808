"""How does Muon move? By the polar factor of averaged gradients, exact or by Newton-Schulz steps."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..compiled.leaf import leaf
from ..compiled.matrices import iterate_polynomials, polar_rows
from ..compiled.newton_schulz import coefficients_of
from ..compiled.views import matrix, part
from ..records import FloatArray, Optimizer, float_parameter
from .matrix import Shape
from .vector import StepSize, probability


class Muon(NamedTuple):
    """Shape, decay of the average, whether the direction looks ahead, rows of coefficients, and weight decay."""

    shape: Shape
    momentum: float
    nesterov: bool
    coefficients: FloatArray
    decay: float


@leaf
def _average(gradient, state, params):
    """Momentum into row 0, the direction, with at most as many rows as columns, into row 1."""
    m, n = params.shape
    beta = params.momentum
    for i in range(m):
        for j in range(n):
            at = i * n + j
            state[0, at] = beta * state[0, at] + (1.0 - beta) * gradient[at]
            u = (1.0 - beta) * gradient[at] + beta * state[0, at] if params.nesterov else state[0, at]
            state[1, at if m <= n else j * m + i] = u


@leaf
def _move(w, direction, step_size, params):
    """W <- (1 - step decay) W - step O, where O has been transposed if it has more rows than columns."""
    m, n = params.shape
    for i in range(m):
        for j in range(n):
            at = i * n + j
            o = direction[at if m <= n else j * m + i]
            w[at] = (1.0 - step_size[at] * params.decay) * w[at] - step_size[at] * o


@leaf
def muon_update(w, gradient, state, step_size, t, params):
    """M <- beta M + (1 - beta) G, W <- (1 - step decay) W - step polar(M), by Jacobi rotations."""
    _average(gradient, state, params)
    few, many = min(params.shape[0], params.shape[1]), max(params.shape[0], params.shape[1])
    d = w.size
    polar_rows(
        matrix(state, d, few, many), matrix(state, 2 * d, few, few), part(state, 3 * d, few),
        matrix(state, 4 * d, few, many),
    )  # fmt: skip
    _move(w, part(state, 4 * d, d), step_size, params)


@leaf
def newton_schulz_update(w, gradient, state, step_size, t, params):
    """The same with a Newton-Schulz iteration in place of the polar factor."""
    _average(gradient, state, params)
    few, many = min(params.shape[0], params.shape[1]), max(params.shape[0], params.shape[1])
    d = w.size
    iterate_polynomials(
        matrix(state, d, few, many), params.coefficients, matrix(state, 2 * d, few, few),
        matrix(state, 3 * d, few, few), matrix(state, 4 * d, few, many),
    )  # fmt: skip
    _move(w, part(state, d, d), step_size, params)


def muon(
    step_size: StepSize, *, momentum: float = 0.0, nesterov: bool = False, newton_schulz: Any = None, decay: float = 0.0
) -> Optimizer:
    """Muon, M <- momentum M + (1 - momentum) G, W <- (1 - step decay) W - step polar(M).

    Parameters
    ----------
    step_size : float, array ``(d,)`` or schedule
    momentum : float
        From 0 to below 1. M_0 = 0; the scale of M does not matter, so that a sum, an average and a bias-corrected
        average are the same method.
    nesterov : bool
        Takes the direction (1 - momentum) G + momentum M.
    newton_schulz : None, name or rows (a, b, c)
        None: the exact polar factor U V'. A name of "jordan" (PyTorch, Keller Jordan; 5 iterations), "quintic" (dion),
        "classical", "cubic"; or one row of coefficients an iteration: X <- a X + b (X X') X + c (X X')^2 X from
        X = M / |M|_F, without an epsilon: M = 0 does not move.
    decay : float
        Decoupled weight decay. The iterates stay in a ball of radius 1 / decay times the norm of the direction.

    Notes
    -----
    Public codes multiply the step by a factor s of the shape and the decay by the learning rate lr alone, so that here
    ``step_size = lr s`` and ``decay = weight_decay / s``:

    ============================== ============================================= ==================================
    code                           s                                             also
    ============================== ============================================= ==================================
    torch.optim.Muon 2.13          sqrt(max(1, m/n)), or 0.2 sqrt(max(m, n))     bfloat16; \\|M\\| at least 1e-7
    optax.contrib.muon             sqrt(max(1, n/m)), JAX stores (in, out)       \\|M\\| + 1e-8, bias-corrected Nesterov
    microsoft/dion                 sqrt(m/n), or 0.2 sqrt(max(m, n))             "quintic", \\|M\\| + eps, a sum
    ============================== ============================================= ==================================

    References
    ----------
    K. Jordan et al., Muon, 2024; the trust-region view is in Kovalev, arXiv 2503.12645.

    Examples
    --------
    >>> import anisotropic as an
    >>> f = an.problems.kronecker(np.eye(2))
    >>> run = an.simulate(f, an.optimizers.muon(0.5), noise=an.noises.none(), start=[1.0, 0, 0, 0.25], steps=1)
    >>> float(run.gap[0, 0])
    0.15625
    """
    beta = probability(momentum, "momentum")
    exact = newton_schulz is None
    rows = np.zeros((0, 3)) if exact else coefficients_of(newton_schulz)
    name = "exact" if exact else newton_schulz if isinstance(newton_schulz, str) else rows.tolist()
    number = float_parameter(decay, "decay", strict=False)
    settings = {"momentum": beta, "nesterov": bool(nesterov), "newton_schulz": name, "decay": number}
    state: dict[str, Any] = dict.fromkeys(("momentum", "work", "square", "other", "result"), 0.0)
    return Optimizer(
        "muon", muon_update if exact else newton_schulz_update,
        Muon((0, 0), beta, bool(nesterov), np.ascontiguousarray(rows), number), step_size=step_size, state=state,
        settings=settings,
    )  # fmt: skip
