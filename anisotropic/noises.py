"""How does a minibatch gradient err? Laws with a known standard deviation of one sample, drawn at O(1) cost in M.

Every law adds to the true gradient the mean of M independent samples of variance sigma_j^2, so that the variance of the
minibatch gradient is sigma_j^2 / M exactly. Binomials above M = 1e9 use the rounded normal limit.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import numpy as np
from numpy.typing import ArrayLike

from ._support.names import no_such_name
from .compiled import random
from .compiled.leaf import leaf
from .records import FloatArray, Noise, count, float_parameter, float_vector, length, positive_semidefinite

SECOND = 1 << 20  # first draw of a second binomial of the same coordinate and step


class Scale(NamedTuple):
    """Standard deviation of one sample, per coordinate."""

    sigma: FloatArray


class Freedom(NamedTuple):
    """Standard deviation of one sample and degrees of freedom."""

    sigma: FloatArray
    df: float


class Probability(NamedTuple):
    """Standard deviation of one sample and a probability."""

    sigma: FloatArray
    p: float


class Jumps(NamedTuple):
    """Standard deviation of one sample and the probability of its rare value."""

    sigma: FloatArray
    jump_probability: float


class LeftNoise(NamedTuple):
    """The root of the left covariance of one sample, divided by the root of the number of columns."""

    factor: FloatArray


class RankOne(NamedTuple):
    """The root of the left covariance of one sample, and the unit vector of the rows."""

    factor: FloatArray
    direction: FloatArray


class Phases(NamedTuple):
    """Standard deviation of one sample, probability of its rare value, and the number of iterations that have one."""

    sigma: FloatArray
    jump_probability: float
    first_phase: float


class Relative(NamedTuple):
    """Standard deviation of one sample at gradient zero, and the relative part of its variance."""

    sigma: FloatArray
    rho: float


def _sigma(sigma: ArrayLike) -> FloatArray:
    return float_vector(sigma, length(sigma), "sigma", low=0.0)


def _fraction(p: float) -> float:
    number = float_parameter(p, "p")
    if number > 1.0:
        raise ValueError(f"p = {number:g}; expected a probability above 0 and at most 1")
    return number


def _inner_fraction(p: float) -> float:
    number = _fraction(p)
    if number == 1.0:
        raise ValueError("p = 1 leaves no noise; expected a probability strictly between 0 and 1")
    return number


def _farthest(p: float) -> float:
    """The larger of the two values of a two-point noise, per unit of sigma."""
    return math.sqrt(max(p, 1.0 - p) / min(p, 1.0 - p))


@leaf
def add_gaussian(gradient, normals, batch_size, stream, params):
    """Add sigma / sqrt(M) times a normal."""
    scale = 1.0 / math.sqrt(batch_size)
    for j in range(gradient.size):
        gradient[j] += scale * params.sigma[j] * normals[j]


@leaf
def add_rademacher(gradient, normals, batch_size, stream, params):
    """Add the mean of M signs: one binomial."""
    for j in range(gradient.size):
        k = random.binomial(batch_size, 0.5, stream, j)
        gradient[j] += params.sigma[j] * (2.0 * k - batch_size) / batch_size


@leaf
def add_student_t(gradient, normals, batch_size, stream, params):
    """Add the mean of M Student-t samples, scaled to variance sigma^2."""
    scale = math.sqrt((params.df - 2.0) / params.df) / batch_size
    for j in range(gradient.size):
        total = 0.0
        for i in range(batch_size):
            total += random.student_t(params.df, stream, j, i)
        gradient[j] += scale * params.sigma[j] * total


@leaf
def add_sparse(gradient, normals, batch_size, stream, params):
    """Add the mean of M samples that are +-sigma/sqrt(p) with probability p: two binomials."""
    p = params.p
    for j in range(gradient.size):
        hits = random.binomial(batch_size, p, stream, j)
        plus = random.binomial(hits, 0.5, stream, j, SECOND)
        gradient[j] += params.sigma[j] / math.sqrt(p) * (2.0 * plus - hits) / batch_size


@leaf
def add_two_point(gradient, normals, batch_size, stream, params):
    """Add the mean of M samples sigma sqrt((1-p)/p) with probability p, else -sigma sqrt(p/(1-p)): one binomial."""
    p = params.jump_probability
    for j in range(gradient.size):
        excess = random.binomial(batch_size, p, stream, j) / batch_size - p
        gradient[j] += params.sigma[j] * excess / math.sqrt(p * (1.0 - p))


@leaf
def add_two_phase(gradient, normals, batch_size, stream, params):
    """Add what `add_two_point` adds in the iterations of the first phase, and the mean of M signs after them."""
    p = params.jump_probability if stream.step <= params.first_phase else 0.5
    for j in range(gradient.size):
        excess = random.binomial(batch_size, p, stream, j) / batch_size - p
        gradient[j] += params.sigma[j] * excess / math.sqrt(p * (1.0 - p))


@leaf
def add_affine(gradient, normals, batch_size, stream, params):
    """Add a normal of variance (sigma^2 + rho g^2) / M."""
    for j in range(gradient.size):
        g = gradient[j]
        gradient[j] += math.sqrt((params.sigma[j] * params.sigma[j] + params.rho * g * g) / batch_size) * normals[j]


@leaf
def drop_out(gradient, normals, batch_size, stream, params):
    """Multiply by the mean of M Bernoulli(p) / p: one binomial."""
    for j in range(gradient.size):
        gradient[j] *= random.binomial(batch_size, params.p, stream, j) / (batch_size * params.p)


@leaf
def add_left(gradient, normals, batch_size, stream, params):
    """Add Sigma Z / sqrt(n M) for a matrix Z of normals."""
    m = params.factor.shape[0]
    n = gradient.size // m
    scale = 1.0 / math.sqrt(batch_size)
    for i in range(m):
        for k in range(m):
            a = scale * params.factor[i, k]
            for j in range(n):
                gradient[i * n + j] += a * normals[k * n + j]


@leaf
def add_rank_one(gradient, normals, batch_size, stream, params):
    """Add Sigma z v' / sqrt(M) for a vector z of normals."""
    m, n = params.factor.shape[0], params.direction.shape[1]
    scale = 1.0 / math.sqrt(batch_size)
    for i in range(m):
        total = 0.0
        for k in range(m):
            total += params.factor[i, k] * normals[k]
        for j in range(n):
            gradient[i * n + j] += scale * total * params.direction[0, j]


@leaf
def add_nothing(gradient, normals, batch_size, stream, params):
    """Leave the true gradient."""


def gaussian(sigma: ArrayLike) -> Noise:
    """Independent normal noise, standard deviation `sigma` (number or ``(d,)``) for one sample.

    Examples
    --------
    >>> import anisotropic as an
    >>> an.noises.gaussian([1.0, 0.5]).sigma.tolist()
    [1.0, 0.5]
    """
    s = _sigma(sigma)
    return Noise("gaussian", add_gaussian, Scale(s), sigma=s, law="gaussian", coordinatewise=True)


def left_gaussian(left_noise: ArrayLike, columns: int) -> Noise:
    """Normal noise for gradients that are m x n matrices: Sigma Z / sqrt(n), Z of independent standard normals.

    Its left covariance E N N' is Sigma^2 for one sample.

    Parameters
    ----------
    left_noise : array ``(m, m)``
        Sigma: symmetric, positive semidefinite.
    columns : int
        n.

    Examples
    --------
    >>> import anisotropic as an
    >>> an.noises.left_gaussian([[2.0, 0.0], [0.0, 1.0]], 4).sigma.tolist()
    [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5]
    """
    root, n = positive_semidefinite(left_noise, "left_noise"), count(columns, "columns")
    sigma = np.repeat(np.sqrt((root**2).sum(axis=1) / n), n)
    params = LeftNoise(root / math.sqrt(n))
    return Noise("left_gaussian", add_left, params, sigma=sigma, law="gaussian", left_noise=root)


def rank_one(left_noise: ArrayLike, direction: ArrayLike) -> Noise:
    """Normal noise of rank one, Sigma z v' / \\|v\\|: the left covariance Sigma^2 in a single direction of the rows.

    Parameters
    ----------
    left_noise : array ``(m, m)``
        Sigma: symmetric, positive semidefinite.
    direction : array ``(n,)``
        v, not zero.

    Examples
    --------
    >>> import anisotropic as an
    >>> an.noises.rank_one([[2.0]], [3.0, 4.0]).sigma.tolist()
    [1.2, 1.6]
    """
    root = positive_semidefinite(left_noise, "left_noise")
    v = float_vector(direction, length(direction), "direction")
    if not np.any(v):
        raise ValueError("direction is zero; expected a vector (n,) with an entry that is not")
    unit = v / np.linalg.norm(v)
    sigma = np.outer(np.sqrt((root**2).sum(axis=1)), np.abs(unit)).ravel()
    params = RankOne(root, np.ascontiguousarray(unit[None, :]))
    return Noise("rank_one", add_rank_one, params, sigma=sigma, law="gaussian", left_noise=root)


def rademacher(sigma: ArrayLike) -> Noise:
    """+-sigma with probability 1/2 each: the bounded law of that variance; the mean of M costs one binomial."""
    s = _sigma(sigma)
    return Noise("rademacher", add_rademacher, Scale(s), sigma=s, law="bounded", bound=s)


def student_t(sigma: ArrayLike, df: float) -> Noise:
    """Student-t noise with `df` > 2 degrees of freedom, scaled to standard deviation `sigma`; M at most 10,000."""
    s, df = _sigma(sigma), float_parameter(df, "df", low=2.0)
    return Noise("student_t", add_student_t, Freedom(s, df), sigma=s, law="heavy", max_batch=10_000)


def sparse(sigma: ArrayLike, p: float) -> Noise:
    """Zero with probability 1 - p, else +-sigma / sqrt(p)."""
    s = _sigma(sigma)
    params = Probability(s, _fraction(p))
    return Noise("sparse", add_sparse, params, sigma=s, law="bounded", bound=s / math.sqrt(params.p))


def two_point(sigma: ArrayLike, p: float) -> Noise:
    """Skewed: sigma sqrt((1-p)/p) with probability p, else -sigma sqrt(p/(1-p)); 0 < p < 1.

    With p of the order of 1/T it is a law of rare jumps: for about T iterations nothing is seen but the small value.
    """
    s, p = _sigma(sigma), _inner_fraction(p)
    return Noise("two_point", add_two_point, Jumps(s, p), sigma=s, law="bounded", bound=_farthest(p) * s)


def two_phase(sigma: ArrayLike, p: float, first_phase: int) -> Noise:
    """`two_point` noise in iterations 1 to `first_phase`, `rademacher` noise after them; sigma is the same in both.

    A law that changes with the iteration: it pushes AdaGrad away while its steps are long, then shortens them.

    Examples
    --------
    >>> import anisotropic as an
    >>> noise = an.noises.two_phase(1.0, p=0.01, first_phase=100)
    >>> noise.law, noise.params.first_phase
    ('bounded', 100.0)
    """
    s, p = _sigma(sigma), _inner_fraction(p)
    phases = Phases(s, p, float(count(first_phase, "first_phase")))
    return Noise("two_phase", add_two_phase, phases, sigma=s, law="bounded", bound=_farthest(p) * s)


def affine(sigma: ArrayLike, rho: float) -> Noise:
    """Normal noise whose variance for one sample is sigma_j^2 + rho (f_j)^2."""
    s, rho = _sigma(sigma), float_parameter(rho, "rho", strict=False)
    return Noise("affine", add_affine, Relative(s, rho), sigma=s, rho=rho, law="gaussian", coordinatewise=True)


def dropout(p: float) -> Noise:
    """Each sample keeps a coordinate of the gradient with probability p, divided by p: sigma = 0, rho = 1/p - 1."""
    p = _fraction(p)
    return Noise("dropout", drop_out, Probability(np.zeros(1), p), sigma=np.zeros(1), rho=1.0 / p - 1.0, law="bounded")


def none() -> Noise:
    """No noise: the true gradient."""
    return Noise("none", add_nothing, sigma=np.zeros(1), law="none", bound=np.zeros(1), coordinatewise=True)


def minibatch(replace: bool = True) -> Noise:
    """Gradients of rows drawn from a finite sum, with or without replacement within a batch."""
    return Noise("minibatch", add_nothing, law="rows", replace=bool(replace))


if not TYPE_CHECKING:

    def __getattr__(name: str) -> NoReturn:
        raise no_such_name(__name__, name)
