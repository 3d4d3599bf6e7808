"""How does the best step size depend on the batch size? It rises like the root of the batch, then may fall: the surge.

Adam-like methods are modeled by w+ = w - eps sign(g_B) with g_B = mean + noise of variance sigma^2 / B, on a quadratic
with gradient `mean` and Hessian `hessian` at w. The expected change -eps mean . s + (eps^2 / 2) sum_ij H_ij S_ij, with
s = E sign(g_B) and S = E sign(g_B) sign(g_B)^T, is least at eps = mean . s / sum_ij H_ij S_ij. As B grows s_i s_j grows
as well, and where coordinates pull the same way through H the denominator overtakes: the best step size falls again.

On an axis-aligned H the sum is the trace whatever B is, so that there is no surge at all. Where the noise of one
coordinate is correlated with that of others, their signs agree at small B already, and the surge is smaller or absent:
taking such noise as independent gives a spurious peak (`surge_peak` compares). The model is that of Li et
al. (arXiv 2405.14578); formulas are derived in docs/theory/surge.md. SGD has the law of arXiv 1812.06162 beside it.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import erf

from ._support.names import no_such_name
from .records import FloatArray, float_vector

FORMS = ("exact", "small_batch", "large_batch")


class _Model(NamedTuple):
    mean: FloatArray
    hessian: FloatArray
    ratio: FloatArray  # mean / sigma
    correlation: FloatArray | None


def _model(mean: ArrayLike, sigma: ArrayLike, hessian: ArrayLike) -> _Model:
    H = np.atleast_1d(np.asarray(hessian, dtype=np.float64))
    if H.ndim == 1:
        H = np.diag(H)
    if H.ndim != 2 or H.shape[0] != H.shape[1] or not np.isfinite(H).all():
        raise ValueError(f"hessian has shape {H.shape}; expected a finite matrix (d, d), or its diagonal (d,)")
    if np.abs(H - H.T).max() > 1e-10 * np.abs(H).max():
        raise ValueError("hessian is not symmetric; pass (H + H.T) / 2")
    d = len(H)
    mu = float_vector(mean, d, "mean")
    noise = np.asarray(sigma, dtype=np.float64)
    if noise.ndim < 2:
        return _Model(mu, H, mu / float_vector(noise, d, "sigma", low=0.0, strict=True), None)
    if noise.shape != (d, d) or np.abs(noise - noise.T).max() > 1e-10 * np.abs(noise).max():
        raise ValueError(f"sigma has shape {noise.shape}; expected (d,) or a symmetric covariance ({d}, {d})")
    deviation = np.sqrt(float_vector(np.diag(noise), d, "variance", low=0.0, strict=True))
    correlation = noise / np.outer(deviation, deviation)
    smallest = float(np.linalg.eigvalsh(correlation)[0])
    if smallest < 1e-12:
        raise ValueError(
            f"sigma is not a positive definite covariance: its correlations have the eigenvalue {smallest:g}"
        )
    return _Model(mu, H, mu / deviation, correlation)


def _batches(B: ArrayLike) -> FloatArray:
    batch = np.asarray(B, dtype=np.float64)
    if not np.all(batch > 0.0) or not np.isfinite(batch).all():
        raise ValueError(f"B = {B!r}; expected batch sizes above 0")
    return batch


@cache
def _nodes() -> tuple[FloatArray, FloatArray]:
    """Gauss-Legendre nodes and weights on [0, 1]."""
    x, w = np.polynomial.legendre.leggauss(64)
    return (x + 1.0) / 2.0, w / 2.0


def sign_moments(B: float, mean: ArrayLike, sigma: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """E sign(g) and E sign(g) sign(g)^T for Gaussian g with the given mean and variance sigma^2 / B.

    With a = sqrt(B) mean / sigma: E sign(g_i) = erf(a_i / sqrt 2), and by Plackett's identity the signs of two
    coordinates with correlation r have the covariance (2 / pi) times the integral over 0..arcsin r of
    exp(-(a_i^2 + a_j^2 - 2 a_i a_j sin t) / (2 cos^2 t)).

    Parameters
    ----------
    B : float
        Batch size.
    mean : float or array ``(d,)``
    sigma : float or array ``(d,)``, or covariance ``(d, d)``
        Of one sample's gradient.

    Returns
    -------
    array ``(d,)``, array ``(d, d)``

    Examples
    --------
    Without a mean the signs of correlated normals have the covariance (2 / pi) arcsin r, here arcsin(1/2) = pi / 6:

    >>> first, second = sign_moments(1, [0.0, 0.0], [[1.0, 0.5], [0.5, 1.0]])
    >>> first, second.round(12)
    (array([0., 0.]), array([[1.        , 0.33333333],
           [0.33333333, 1.        ]]))
    """
    d = max(np.size(mean), np.shape(sigma)[0] if np.ndim(sigma) else 1)
    return _moments(float(_batches(B)), _model(mean, sigma, np.eye(d)))


def _moments(B: float, model: _Model) -> tuple[FloatArray, FloatArray]:
    a = np.sqrt(B) * model.ratio
    s = erf(a / np.sqrt(2.0))
    second = np.outer(s, s)
    if model.correlation is not None:
        i, j = np.nonzero(np.triu(model.correlation, 1))
        top = np.arcsin(model.correlation[i, j])
        covariance = np.zeros(len(i))
        for node, weight in zip(*_nodes(), strict=True):
            t = node * top
            exponent = (a[i] ** 2 + a[j] ** 2 - 2.0 * a[i] * a[j] * np.sin(t)) / (2.0 * np.cos(t) ** 2)
            covariance += weight * np.exp(-exponent)
        second[i, j] += 2.0 / np.pi * top * covariance
        second[j, i] = second[i, j]
    second[np.diag_indices_from(second)] = 1.0
    return s, second


def _linear_terms(model: _Model) -> tuple[float, float]:
    """(a, b) with sum_ij H_ij E sign_i sign_j = a + b B to first order in B."""
    m, H = model.ratio, model.hessian
    off = H - np.diag(np.diag(H))
    if model.correlation is None:
        return float(np.trace(H)), float(2.0 / np.pi * (m @ off @ m))
    r = model.correlation - np.eye(len(m))
    pairs = (2.0 * np.outer(m, m) - r * (m[:, None] ** 2 + m**2)) / np.sqrt(1.0 - r**2)
    return float(np.trace(H) + 2.0 / np.pi * np.sum(off * np.arcsin(r))), float(np.sum(off * pairs) / np.pi)


def _terms(B: float, model: _Model, form: str) -> tuple[float, float]:
    """Slope and curvature of the expected change along the update."""
    if form == "exact":
        s, second = _moments(B, model)
        slope, curvature = float(model.mean @ s), float(np.sum(model.hessian * second))
    elif form == "small_batch":
        constant, linear = _linear_terms(model)
        slope, curvature = float(np.sqrt(2.0 * B / np.pi) * (model.mean @ model.ratio)), constant + linear * B
    else:
        if np.any(model.mean == 0.0):
            j = int(np.argmax(model.mean == 0.0))
            raise ValueError(f"mean[{j}] = 0, whose sign never settles; the large-batch form needs every mean non-zero")
        sign = np.sign(model.mean)
        slope, curvature = float(np.abs(model.mean).sum()), float(sign @ model.hessian @ sign)
    if not curvature > 0.0:
        raise ValueError(
            f"the expected curvature along the signs is {curvature:g} at B = {B:g}, so that no step size is best; "
            "the quadratic model needs it positive (a positive definite hessian has it in the exact form)"
        )
    return slope, curvature


def _map(B: ArrayLike, function: Any) -> Any:
    batch = _batches(B)
    values = np.array([function(float(b)) for b in batch.ravel()]).reshape(batch.shape)
    return float(values) if batch.ndim == 0 else values


def _check_form(form: str) -> None:
    if form not in FORMS:
        raise ValueError(f"form = {form!r}; expected one of {', '.join(FORMS)}")


def optimal_step_size(B: ArrayLike, mean: ArrayLike, sigma: ArrayLike, hessian: ArrayLike, form: str = "exact") -> Any:
    """Step of sign descent that decreases a quadratic most in expectation, for batches of size B.

    Exact: mean . s / sum_ij H_ij S_ij with s, S from `sign_moments`. Small batch, to first order in B: a root law
    eps_max / ((1/2) (sqrt(B_noise / B) + sqrt(B / B_noise))) with `noise_batch_size`, good while
    B << pi sigma^2 / (2 mean^2) in every coordinate. Large batch: sum |mean_i| / sum_ij sign_i sign_j H_ij.

    Parameters
    ----------
    B : float or array
        Batch size.
    mean : float or array ``(d,)``
        True gradient.
    sigma : float or array ``(d,)``, or covariance ``(d, d)``
        Standard deviation of one sample's gradient; a matrix for noise that is correlated across coordinates. Anything
        but a matrix says that the noise is independent across them; if it is not, the peak may be spurious.
    hessian : array ``(d, d)``, or its diagonal ``(d,)``
    form : "exact", "small_batch" or "large_batch"

    Returns
    -------
    float or array like `B`

    Raises
    ------
    ValueError
        On wrong shapes, a sigma of 0, a batch size of 0, an unknown form, a mean of 0 in the large-batch form, or an
        expected curvature that is not positive.

    References
    ----------
    arXiv 2405.14578 (the model; independent noise); formulas derived here, correlated noise included.

    Examples
    --------
    One coordinate: sign descent with curvature 2 and gradient 1 moves by erf(sqrt(B / 2)) / 2, whatever comes later.

    >>> optimal_step_size([1, 1e6], 1.0, 1.0, [2.0]).round(4)
    array([0.3413, 0.5   ])
    """
    _check_form(form)
    model = _model(mean, sigma, hessian)

    def at(b: float) -> float:
        slope, curvature = _terms(b, model, form)
        return slope / curvature

    return _map(B, at)


def best_gain(B: ArrayLike, mean: ArrayLike, sigma: ArrayLike, hessian: ArrayLike, form: str = "exact") -> Any:
    """Expected decrease at `optimal_step_size`: slope^2 / (2 curvature). In small batches gain_max / (1 + B_noise / B).

    Parameters, form and errors are those of `optimal_step_size`.

    Examples
    --------
    >>> best_gain(1e6, 1.0, 1.0, [2.0])
    0.25
    """
    _check_form(form)
    model = _model(mean, sigma, hessian)

    def at(b: float) -> float:
        slope, curvature = _terms(b, model, form)
        return slope**2 / (2.0 * curvature)

    return _map(B, at)


def noise_batch_size(mean: ArrayLike, sigma: ArrayLike, hessian: ArrayLike) -> float:
    """B_noise of sign descent, where the small-batch form of `optimal_step_size` peaks.

    For independent noise pi sum_i H_ii / (2 sum_{i != j} (mean_i mean_j / (sigma_i sigma_j)) H_ij). It is infinite for
    a diagonal Hessian (the best step size rises like sqrt(B) to its limit), and negative where the coordinates pull
    against each other: no peak either. Noise correlated along the Hessian moves it up (`surge_peak`).

    Examples
    --------
    >>> round(noise_batch_size([1.0, 1.0], 1.0, [[1.0, 0.5], [0.5, 1.0]]) / np.pi, 9)
    1.0
    >>> noise_batch_size([1.0, 1.0], 1.0, [1.0, 1.0])
    inf
    """
    constant, linear = _linear_terms(_model(mean, sigma, hessian))
    return constant / linear if linear != 0.0 else float("inf")


class Peak(NamedTuple):
    """Where the best step size of sign descent is largest.

    `batch_size` is infinite where it never falls; `limit` is its value at large batches.
    """

    batch_size: float
    step_size: float
    limit: float


def surge_peak(mean: ArrayLike, sigma: ArrayLike, hessian: ArrayLike) -> Peak:
    """The batch size beyond which the best step size falls, with a warning where it rests on independent noise.

    Noise is seldom independent across coordinates that the Hessian couples; for a likelihood at its optimum the
    covariance of one sample's gradient equals the Hessian. So where `sigma` is not a covariance and a peak comes out,
    the peak with noise correlated like the Hessian, H_ij / sqrt(H_ii H_jj), is said beside it.

    Parameters
    ----------
    mean, sigma, hessian
        As for `optimal_step_size`; a diagonal covariance ``np.diag(sigma**2)`` says that independence is meant.

    Warns
    -----
    UserWarning
        Where there is a peak under the assumption of independence.

    Examples
    --------
    >>> surge_peak([1.0, 1.0], 1.0, [2.0, 2.0])             # nothing couples the coordinates: 1 / 2 in the end
    Peak(batch_size=inf, step_size=0.5, limit=0.5)
    """
    model = _model(mean, sigma, hessian)
    found = _peak(model)
    if model.correlation is not None or not np.isfinite(found.batch_size):
        return found
    scale = np.sqrt(np.maximum(np.diag(model.hessian), 0.0))
    alike = "the covariance was not tried, since the Hessian is not positive definite"
    if np.linalg.eigvalsh(model.hessian)[0] > 0:
        correlation = (1 - 1e-6) * model.hessian / np.outer(scale, scale) + 1e-6 * np.eye(scale.size)
        other = _peak(model._replace(correlation=correlation))
        if np.isfinite(other.batch_size):
            falls = [f"{p.limit / p.step_size:.2g}" for p in (other, found)]
            alike = (
                f"with noise correlated like the Hessian it lies at {other.batch_size:.3g}, and the best step size "
                f"falls to {falls[0]} of it instead of {falls[1]}"
            )
        else:
            alike = "with noise correlated like the Hessian there is none"
    warnings.warn(
        f"the peak at a batch of {found.batch_size:.3g} takes noise as independent across coordinates; {alike}. Pass "
        "the covariance (d, d) of one sample's gradient as sigma",
        stacklevel=2,
    )
    return found


def _peak(model: _Model) -> Peak:
    """By a search in log B, up to where every sign with a mean has settled."""
    from scipy.optimize import minimize_scalar

    def step_size(log_batch: float) -> float:
        slope, curvature = _terms(float(np.exp(log_batch)), model, "exact")
        return slope / curvature

    settled = np.log(100.0 / np.min(model.ratio[model.ratio != 0.0] ** 2))
    grid = np.linspace(min(settled - 12.0, 0.0), settled, 160)
    values = np.array([step_size(b) for b in grid])
    limit, best = float(values[-1]), int(np.argmax(values))
    if values[best] <= limit * (1 + 1e-9) or best in (0, grid.size - 1):
        return Peak(float("inf"), limit, limit)
    top = minimize_scalar(lambda b: -step_size(b), bounds=(grid[best - 1], grid[best + 1]), method="bounded")
    return Peak(float(np.exp(top.x)), float(-top.fun), limit)


def sgd_noise_batch_size(mean: ArrayLike, sigma: ArrayLike, hessian: ArrayLike) -> float:
    """B_noise of SGD, tr(H Sigma) / (mean^T H mean): equal to the simple noise scale only for H a multiple of I.

    Parameters are those of `optimal_step_size`. Source: arXiv 1812.06162, derived again in docs/theory/surge.md.

    Examples
    --------
    >>> sgd_noise_batch_size([1.0, 1.0], 3.0, [2.0, 2.0])
    9.0
    """
    slope, curved, noise = _sgd(mean, sigma, hessian)
    return noise / curved


def sgd_optimal_step_size(B: ArrayLike, mean: ArrayLike, sigma: ArrayLike, hessian: ArrayLike) -> Any:
    """Step of SGD that decreases a quadratic most in expectation: eps_max / (1 + B_noise / B), for any law of noise.

    eps_max = |mean|^2 / (mean^T H mean), B_noise = `sgd_noise_batch_size`; it never falls as B grows.

    Parameters are those of `optimal_step_size`.

    Examples
    --------
    >>> sgd_optimal_step_size([9.0, 1e12], [1.0, 1.0], 3.0, [2.0, 2.0]).round(6)
    array([0.25, 0.5 ])
    """
    slope, curved, noise = _sgd(mean, sigma, hessian)
    return _map(B, lambda b: slope / (curved + noise / b))


def _sgd(mean: ArrayLike, sigma: ArrayLike, hessian: ArrayLike) -> tuple[float, float, float]:
    """|mean|^2, mean^T H mean and tr(H Sigma)."""
    model = _model(mean, sigma, hessian)
    covariance = np.asarray(sigma, dtype=np.float64)
    if covariance.ndim < 2:
        covariance = np.diag(float_vector(covariance, len(model.mean), "sigma") ** 2)
    curved = float(model.mean @ model.hessian @ model.mean)
    if not curved > 0.0:
        raise ValueError(f"the curvature along the gradient is {curved:g}; no step size is best unless it is positive")
    return float(model.mean @ model.mean), curved, float(np.sum(model.hessian * covariance))


if not TYPE_CHECKING:

    def __getattr__(name: str) -> NoReturn:
        raise no_such_name(__name__, name)
