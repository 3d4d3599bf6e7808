"""How bad can gradient descent with fixed diagonal step sizes be, exactly? Worst cases by semidefinite programs.

Over all convex f that are 1-smooth in the norm sum_j L_j x_j^2 and all starts with |w_1 - w*|_j <= D_j, the worst value
of a performance measure after T iterations is a semidefinite program of size T, not of size d (performance
estimation). Its value is not a bound but the truth: a theorem whose right side is smaller is false. AdaGrad is outside,
since its updates depend on the gradients in a nonlinear way; step sizes that are fixed beforehand, one for each
coordinate, are inside.

In z = L^(1/2) w the class is that of 1-smooth convex functions, which has an exact interpolation condition (f_i >= f_j
+ <g_j, z_i - z_j> + |g_i - g_j|^2 / 2; Taylor, Hendrickx and Glineur, arXiv 1502.05666). Coordinates that share s_j
L_j, s the step sizes, share one Gram matrix, so that the preconditioned method needs a single one for every d.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from .._support.extras import require
from .._support.names import no_such_name
from ..records import FloatArray, count, float_vector

SOLVER = "CLARABEL"
#: Largest gap of a certificate, as a share of its value. Only the number of digits hangs on it: the truth lies in
#: [value - gap, value] however large the gap is. Five digits tell any two constants of a theorem apart; the solver,
#: which is asked for 1e-10 and stalls before, leaves about 1e-9 at T = 1 and 1e-6 at T = 20.
LARGEST_GAP = 1e-5
MEASURES = ("last", "mean", "average")


class WorstCase(NamedTuple):
    """`value`, an upper end of the worst case, which lies in [value - gap, value]; and the solver that was run.

    The upper end is computed from the multipliers after they have been made feasible, with every residual counted
    against it: it is safe up to rounding. The lower end is the value of the primal solution, less twice what its
    violations of the constraints can be worth by the multipliers: safe to first order.
    """

    value: float
    gap: float
    solver: str


def worst_case(
    L: ArrayLike,
    D: ArrayLike,
    steps: int,
    step_size: str = "preconditioned",
    *,
    measure: str = "last",
    solver: str = SOLVER,
) -> WorstCase:
    """Exact worst case of gradient descent w+ = w - s * grad f(w) over an anisotropic class of convex functions.

    Parameters
    ----------
    L : float or array ``(d,)``
        Smoothness: f convex with Hessian at most diag(L).
    D : float or array ``(d,)``
        |w_1j - w*_j| <= D_j for some minimizer w*: the largest distance of the start, not the width of a box.
    steps : int
        T, the number of updates (the number of points for `measure` "mean" and "average"). Above about 40 it is slow.
    step_size : "preconditioned" or "uniform"
        1/L_j in coordinate j, or 1/max(L) in all.
    measure : "last", "mean" or "average"
        f(w_{T+1}) - f*; the mean of f(w_t) - f* over t = 1..T; or f at the mean of w_1..w_T, less f*.
    solver : str
        "CLARABEL", by name, since others return a "worst case" below the true one.

    Returns
    -------
    WorstCase
        value, gap, solver.

    Raises
    ------
    ValueError
        On a wrong shape, a number out of range, or another solver, step size or measure.
    ArithmeticError
        If the solver stops early or leaves a gap above `LARGEST_GAP` of the value: then nothing is certified.
    MissingExtra
        If the extra `certify` is not installed.

    Notes ----- Preconditioned step sizes have the worst case sum_j L_j D_j^2 / (4 T + 2) for the last point (derived
    here from Drori and Teboulle's 1-smooth value, arXiv 1206.3209, by the change of variables above; checked to 7
    digits).

    Examples
    --------
    One iteration on a class of two coordinates: (1 * 1 + 0.1 * 4) / 6.

    >>> result = worst_case([1.0, 0.1], [1.0, 2.0], 1)
    >>> round(result.value, 4), result.gap <= 1e-5 * result.value, result.solver
    (0.2333, True, 'CLARABEL')
    """
    size = max(np.size(L), np.size(D))
    smoothness = float_vector(L, size, "L", low=0.0, strict=True)
    radius = float_vector(D, size, "D", low=0.0, strict=True)
    horizon = count(steps, "steps")
    if solver != SOLVER:
        raise ValueError(f"solver = {solver!r} is not accepted: only {SOLVER!r} was found accurate to its gap")
    if measure not in MEASURES:
        raise ValueError(f"measure = {measure!r}; expected one of {', '.join(MEASURES)}")
    relative_step_size = {"preconditioned": np.ones(size), "uniform": smoothness / smoothness.max()}.get(step_size)
    if relative_step_size is None:
        raise ValueError(f"step_size = {step_size!r}; expected 'preconditioned' (1/L_j) or 'uniform' (1/max L)")
    energy = smoothness * radius**2
    total = float(energy.sum())
    kinds, where = np.unique(relative_step_size, return_inverse=True)
    shares = np.bincount(where, weights=energy / total)
    upper, lower = _solve(_Program(kinds, shares, horizon, measure))
    value, gap = total * upper, total * (upper - lower)
    if gap > LARGEST_GAP * value:
        raise ArithmeticError(
            f"{SOLVER} left the gap {gap:.2g} at the value {value:.6g}, so nothing is certified; use fewer iterations"
        )
    return WorstCase(float(np.nextafter(value, np.inf)), max(float(gap), 0.0), SOLVER)


class _Program:
    """maximize weights . f subject to interpolation, in coordinates z = (L / total)^(1/2) (w - w*), with f* = 0.

    Block b has step size times L equal to kinds[b] and the Gram matrix G_b of (e, g_0, ..., g_{m-1}), where |e|^2 is at
    most shares[b] and sum(shares) = 1. Point i is z_i = e - kinds[b] sum_t path[i, t] g_t; the minimizer is point m,
    where z and g vanish. No G_b has a trace above traces[b]: with k = kinds[b] an iteration lowers f by at least
    k (1 - k/2) |g_t|^2 of each block, the last point still has |g|^2 / 2 to lose, and all of it is at most
    f_0 <= |e|^2 / 2 <= 1/2; the average point adds |g|^2 <= 2 f <= 2 f_0 <= 1, as every other point at most does.
    """

    def __init__(self, kinds: FloatArray, shares: NDArray[Any], horizon: int, measure: str) -> None:
        self.kinds, self.shares = kinds, shares
        m = horizon if measure == "mean" else horizon + 1
        self.size, self.path, self.weights = m, np.tri(m, m, -1), np.zeros(m)
        if measure == "mean":
            self.weights[:] = 1.0 / m
        else:
            self.weights[-1] = 1.0
        if measure == "average":
            self.path[-1] = self.path[:-1].mean(axis=0)
        self.traces = shares + np.minimum(m, 1.0 / (kinds * (2.0 - kinds)) + (measure == "average"))
        self.pairs = [(i, j) for i in range(m + 1) for j in range(m + 1) if i != j]
        self.values = np.zeros((len(self.pairs), m))
        for row, (i, j) in enumerate(self.pairs):
            if j < m:
                self.values[row, j] += 1.0
            if i < m:
                self.values[row, i] -= 1.0

    def forms(self, kind: float) -> sparse.csr_array:
        """Row (i, j), as a vector: the matrix of <g_j, z_i - z_j> + |g_i - g_j|^2 / 2 on (e, g_0, ..., g_{m-1})."""
        m = self.size
        z, g = np.zeros((m + 1, m + 1)), np.zeros((m + 1, m + 1))
        z[:m, 0], z[:m, 1:], g[:m, 1:] = 1.0, -kind * self.path, np.eye(m)
        rows = []
        for i, j in self.pairs:
            cross = np.outer(g[j], z[i] - z[j])
            rows.append(sparse.csr_array((0.5 * (cross + cross.T + np.outer(g[i] - g[j], g[i] - g[j]))).reshape(1, -1)))
        return sparse.csr_array(sparse.vstack(rows))


def _solve(program: _Program) -> tuple[float, float]:
    """Upper and lower end of the value of the program."""
    cp: Any = require("cvxpy", "certify")
    require("clarabel", "certify")
    m, blocks = program.size, len(program.kinds)
    forms = [program.forms(kind) for kind in program.kinds]
    f = cp.Variable(m)
    grams = [cp.Variable((m + 1, m + 1), PSD=True) for _ in range(blocks)]
    interpolation = program.values @ f + sum(a @ cp.vec(g, order="C") for a, g in zip(forms, grams, strict=True)) <= 0
    start = [g[0, 0] <= share for g, share in zip(grams, program.shares, strict=True)]
    problem = cp.Problem(cp.Maximize(program.weights @ f), [interpolation, *start])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "may be inaccurate": both ends are checked below
            problem.solve(solver=SOLVER, tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)
    except cp.error.SolverError as error:
        raise ArithmeticError(f"{SOLVER} found no solution ({error}), so nothing is certified") from None
    if problem.solver_stats is None or problem.solver_stats.solver_name != SOLVER or f.value is None:
        raise ArithmeticError(f"{SOLVER} stopped with status {problem.status}, so nothing is certified")
    multipliers = np.maximum(np.asarray(interpolation.dual_value), 0.0)
    prices = np.maximum([float(c.dual_value) for c in start], 0.0)
    upper, slacks = _upper_end(program, forms, multipliers, prices)
    # The value of the program is concave in its right side, with the multipliers as slopes: a solution that violates
    # constraints by so much lies above the true value by at most this.
    excess = float(multipliers @ np.maximum(interpolation.expr.value, 0.0))
    for gram, share, price, slack in zip(grams, program.shares, prices, slacks, strict=True):
        outside = max(0.0, -float(np.linalg.eigvalsh(gram.value)[0]))
        excess += price * max(0.0, float(gram.value[0, 0]) - share) + outside * max(0.0, float(np.trace(slack)))
    return upper, float(program.weights @ f.value) - 2.0 * float(excess)


def _upper_end(
    program: _Program, forms: list[Any], multipliers: FloatArray, prices: FloatArray
) -> tuple[float, list[FloatArray]]:
    """Weak duality with multipliers repaired to feasibility; what is left of a negative eigenvalue is paid for.

    For multipliers >= 0 with weights = values^T multipliers, weights . f <= sum_b prices_b shares_b - sum_b <S_b, G_b>
    with S_b = prices_b E_00 + sum_ij multipliers_ij form_ij, and -<S_b, G_b> is at most the trace of G_b times the
    largest -eigenvalue of S_b. Returns the bound and the matrices S_b.
    """
    m = program.size
    residual = program.weights - program.values.T @ multipliers
    repaired = multipliers.copy()
    for k in range(m):  # the pair with the minimizer moves f_k alone
        pair = (m, k) if residual[k] > 0.0 else (k, m)
        repaired[program.pairs.index(pair)] += abs(residual[k])
    slacks = [(form.T @ repaired).reshape(m + 1, m + 1) for form in forms]
    for slack, price in zip(slacks, prices, strict=True):
        slack[0, 0] += price
    deficits = np.array([max(0.0, -float(np.linalg.eigvalsh(slack)[0])) for slack in slacks])
    rounding = 1e-14 * (m + 1) * max(1.0, float(repaired.sum()))
    return float(prices @ program.shares + program.traces @ deficits) + rounding, slacks


if not TYPE_CHECKING:

    def __getattr__(name: str) -> NoReturn:
        raise no_such_name(__name__, name)
