"""How are rows of data raced? Logistic regression on compiled kernels, rows drawn with replacement.

No box: the iterates go where they go, as in practice. Step sizes are searched around what theory names: 1 over the
largest eigenvalue of the Hessian for SGD, the largest weight of the minimizer for AdaGrad.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy import linalg, sparse
from scipy.special import expit

from .. import noises, optimizers, schedules
from ..evidence.race import Method
from ..problems import logistic_regression
from ..problems.logistic import DenseRows
from ..records import FloatArray, Objective, Optimizer
from ..simulation.run import simulate

MEASURES = ("gap", "average_gap")
DENSE_LIMIT = 2000


class Rows(NamedTuple):
    """An objective over rows, the rows y_i x_i, the ridge, and the largest eigenvalue that its Hessian may have."""

    objective: Objective
    signed: Any
    l2: float
    top: float


def problem(X: Any, y: FloatArray, l2: float | None) -> Rows:
    """Logistic regression with a ridge of 1/n by default.

    Raises
    ------
    ValueError
        On a negative ridge, or where the data have no minimizer without one.
    """
    ridge = 1.0 / X.shape[0] if l2 is None else l2
    f = logistic_regression(X, y, l2=ridge)
    if f.minimizer is None:
        why = f.name.partition("(")[2].rstrip(")") or "no minimizer was found"
        raise ValueError(
            f"with l2 = {ridge:g} there is nothing to converge to ({why}); pass a ridge such as l2 = 1/n = "
            f"{1.0 / X.shape[0]:.3g}, or leave l2 out"
        )
    top = largest_eigenvalue(X, ridge)
    if isinstance(f.params, DenseRows):
        return Rows(f, f.params.rows, float(ridge), top)  # these are y_i x_i already
    return Rows(f, sparse.csr_array(sparse.csr_array(X).multiply(y[:, None])), float(ridge), top)


def largest_eigenvalue(X: Any, l2: float) -> float:
    """Of X^T X / (4n) + l2 I, the largest that the Hessian of the logistic loss has anywhere (at w = 0).

    >>> round(largest_eigenvalue(np.array([[2.0, 0.0], [0.0, 1.0]]), 0.0), 12)
    0.5
    """
    n, d = X.shape
    if d <= DENSE_LIMIT:
        A = X.T @ X
        A = A.toarray() if sparse.issparse(A) else A
        return float(linalg.eigvalsh(A, subset_by_index=[d - 1, d - 1])[0]) / (4 * n) + l2
    from scipy.sparse.linalg import LinearOperator, eigsh

    operator = LinearOperator((d, d), lambda v: X.T @ (X @ v))
    start = np.random.default_rng(0).standard_normal(d)
    return float(eigsh(operator, k=1, v0=start, tol=1e-6, return_eigenvectors=False)[0]) / (4 * n) + l2


#: Factories (step size, iterations) -> Optimizer of the methods that are known by name.
MAKERS: dict[str, Callable[[float, int], Optimizer]] = {
    "sgd": lambda step_size, steps: optimizers.sgd(step_size),
    "sgd decaying": lambda step_size, steps: optimizers.sgd(schedules.linear(step_size, steps)),
    "adagrad": lambda step_size, steps: optimizers.adagrad(step_size),
    "adagrad_norm": lambda step_size, steps: optimizers.adagrad_norm(step_size),
    "adam": lambda step_size, steps: optimizers.adam(step_size),
}


def centre(rows: Rows, own: Mapping[str, Method], samples: int, method: str, batch_size: int) -> float:
    """The step size around which the search begins."""
    if method in own:
        return float(np.exp(np.log(np.asarray(own[method].grid, dtype=np.float64)).mean()))
    w = rows.objective.minimizer
    assert w is not None
    largest, length = float(np.abs(w).max()), float(np.linalg.norm(w))
    names = {"adagrad": largest, "adagrad_norm": length, "adam": largest / np.sqrt(samples / batch_size)}
    found = names.get(method, 1.0 / rows.top)
    return found if found > 0.0 else 1.0 / rows.top


def run(
    rows: Rows, own: Mapping[str, Method], samples: int, threads: int | None,
    method: str, batch_size: int, step_size: float, replicas: int, seed: int,
) -> dict[str, FloatArray]:  # fmt: skip
    """Gaps of the last and the average iterate after the budget of samples, from w = 0."""
    steps = samples // batch_size
    optimizer = own[method].make(step_size) if method in own else MAKERS[method](step_size, steps)
    return gaps(rows, optimizer, 0.0, steps, batch_size, replicas, seed, threads)


def gaps(
    rows: Rows, optimizer: Optimizer, start: Any, steps: int, batch_size: int, replicas: int, seed: int,
    threads: int | None,
) -> dict[str, FloatArray]:  # fmt: skip
    """Gaps after so many iterations; NaN for replicas that diverged."""
    found = simulate(
        rows.objective, optimizer, noise=noises.minibatch(), start=start, steps=steps, batch_size=batch_size,
        replicas=replicas, seed=seed, records=1, running_means=False, threads=threads,
    )  # fmt: skip
    return {m: found[m][:, -1] for m in MEASURES}


def runs(rows: Rows, own: Mapping[str, Method], samples: int, threads: int | None) -> Any:
    """`run` for a contest."""
    return partial(run, rows, own, samples, threads)


class Path(NamedTuple):
    """Where one run goes: its last iterate, and the farthest that each coordinate was from the minimizer's."""

    last: FloatArray
    farthest: FloatArray


def follow(rows: Rows, method: str, step_size: float, steps: int, batch_size: int, seed: int) -> Path:
    """One run of SGD or AdaGrad in plain NumPy, which keeps what a compiled run does not: iterates."""
    Z, n = rows.signed, rows.signed.shape[0]
    minimizer = rows.objective.minimizer
    assert minimizer is not None
    generator = np.random.default_rng(seed)
    w, squares = np.zeros(Z.shape[1]), np.zeros(Z.shape[1])
    farthest = np.abs(minimizer)
    for _ in range(steps):
        batch = Z[generator.integers(n, size=batch_size)]
        gradient = rows.l2 * w - batch.T @ expit(-(batch @ w)) / batch_size
        if method == "adagrad":
            squares += gradient**2
            root = np.sqrt(squares)
            gradient = np.divide(gradient, root, out=np.zeros_like(gradient), where=root > 0.0)
        w = w - step_size * gradient
        farthest = np.maximum(farthest, np.abs(w - minimizer))
    return Path(w, farthest)


def group_gradients(rows: Rows, w: FloatArray, groups: int, seed: int) -> tuple[FloatArray, int]:
    """Mean gradients ``(groups, d)`` of random groups of rows, and the rows in each."""
    Z, n = rows.signed, rows.signed.shape[0]
    size = n // groups
    order = np.random.default_rng(seed).permutation(n)[: size * groups]
    weights = -expit(-(Z @ w))
    member = sparse.csr_array(
        (weights[order] / size, order, np.arange(0, size * groups + 1, size)), shape=(groups, n)
    )  # a row of it takes the mean over one group
    means = member @ Z
    return np.asarray(means.toarray() if sparse.issparse(means) else means) + rows.l2 * w, size


def noise_over_rows(rows: Rows, w: FloatArray) -> float:
    """tr(Sigma) / |G|^2 with the rows as the whole population: mean squared length over that of the mean, less 1.

    >>> half = Rows(None, np.array([[1.0], [3.0]]), 0.0, 0.0)  # at w = 0 the rows pull with 1/2 and 3/2
    >>> round(noise_over_rows(half, np.zeros(1)), 12)
    0.25
    """
    Z = rows.signed
    weights = -expit(-(Z @ w))
    pull = rows.l2 * w
    mean = Z.T @ weights / weights.size + pull
    lengths = np.asarray((Z.multiply(Z) if sparse.issparse(Z) else Z * Z).sum(axis=1)).ravel()
    along = Z @ pull
    total = np.mean(weights**2 * lengths + 2.0 * weights * along) + pull @ pull
    square = float(mean @ mean)
    return float(total) / square - 1.0 if square > 0.0 else np.inf
