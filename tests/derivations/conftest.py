"""Exact expectations: every path of a two-point noise is walked, so that a bound is compared without statistics."""

from typing import NamedTuple

import numpy as np
import pytest


class Exact(NamedTuple):
    """Means over all paths: of the gap at w_1..w_T, of the gap at w_2..w_{T+1}, at the end, and of gradient norms."""

    mean_gap: float
    mean_gap_after: float
    gap: float
    l1: float
    l2: float
    l2_squared: float
    path_gaps: np.ndarray
    weights: np.ndarray


def _two_point(p):
    """Mean 0 and variance 1: (high with probability p, low otherwise)."""
    return np.sqrt((1 - p) / p), -np.sqrt(p / (1 - p))


def walk(value, gradient, update, start, T, noise, p=0.5, box=None, rho=0.0):
    """All 2^T paths at once. `noise` is the (d,) standard deviation of the gradient noise, one coin for a step.

    `update(w, g, t, state)` returns the new w and the new state; arrays are (paths, d). With `rho` the noise variance
    is noise^2 + rho gradient^2.
    """
    paths = 2**T
    high, low = _two_point(p)
    bits = (np.arange(paths)[:, None] >> np.arange(T)) & 1
    weights = np.prod(np.where(bits == 1, p, 1 - p), axis=1)
    w = np.repeat(np.atleast_2d(np.asarray(start, float)), paths, axis=0)
    state, sums, gaps = None, np.zeros((4, paths)), [value(w)]
    for t in range(T):
        a = gradient(w)
        sums += np.stack([gaps[-1], np.abs(a).sum(1), np.sqrt((a**2).sum(1)), (a**2).sum(1)])
        coin = np.where(bits[:, t] == 1, high, low)[:, None]
        w, state = update(w, a + np.sqrt(noise**2 + rho * a**2) * coin, t, state)
        if box is not None:
            w = np.clip(w, *box)
        gaps.append(value(w))
    means = (sums * weights).sum(1) / T
    after = float(np.sum(weights * np.mean(gaps[1:], axis=0)))
    end = float(np.sum(weights * gaps[-1]))
    return Exact(means[0], after, end, means[1], means[2], means[3], np.mean(gaps[:-1], axis=0), weights)


def sgd(step_size):
    return lambda w, g, t, state: (w - step_size * g, state)


def sign_sgd(step_size):
    return lambda w, g, t, state: (w - step_size * np.sign(g), state)


def adagrad(step_size, eps=0.0, norm=False, inside=False, beta=None):
    """AdaGrad with eps outside the root, or with v_0 = eps^2 (`inside`); AdaGrad-Norm; RMSProp with `beta`."""

    def update(w, g, t, state):
        v = np.zeros_like(g) + (eps**2 if inside else 0.0) if state is None else state
        square = np.sum(g**2, axis=1, keepdims=True) if norm else g**2
        v = v + square if beta is None else beta * v + (1 - beta) * square
        root = np.sqrt(v) + (0.0 if inside else eps)
        return w - step_size * np.divide(g, root, out=np.zeros_like(g), where=root > 0), v

    return update


@pytest.fixture(scope="session")
def exact():
    """The walker and the update rules."""

    class Tools:
        pass

    for tool in (walk, sgd, sign_sgd, adagrad):
        setattr(Tools, tool.__name__, staticmethod(tool))
    return Tools


def _quadratic(h, shift):
    return lambda w: 0.5 * np.sum(h * (w - shift) ** 2, axis=1), lambda w: h * (w - shift)


def _huber(c, shift, width):
    def value(w):
        x = np.abs(w - shift)
        return np.sum(np.where(x < width, c * x**2 / 2, c * width * (x - width / 2)), axis=1)

    return value, lambda w: c * np.clip(w - shift, -width, width)


def _ridge(A, shift):
    """A quadratic that is not diagonal; its L is the Gershgorin sum."""
    H = A.T @ A
    return lambda w: 0.5 * np.einsum("pi,ij,pj->p", w - shift, H, w - shift), lambda w: (w - shift) @ H


@pytest.fixture(scope="session")
def convex_instances():
    """Convex functions of two variables with minimizer `shift` in [-1, 1]^2 and valid L."""

    def make(rng):
        shift, kind = rng.uniform(-1, 1, 2), rng.integers(3)
        if kind == 0:
            h = rng.uniform(0.01, 4, 2) ** 2
            return *_quadratic(h, shift), h, shift
        if kind == 1:
            c = rng.uniform(0.1, 4, 2)
            return *_huber(c, shift, rng.uniform(0.01, 1, 2)), c, shift
        A = rng.normal(size=(2, 2))
        return *_ridge(A, shift), np.abs(A.T @ A).sum(1), shift

    return make


@pytest.fixture(scope="session")
def cosine_instances():
    """Sums of c (1 - cos(omega w)), smooth with L = c omega^2 and with minimum 0."""

    def make(rng):
        c, omega = rng.uniform(0.1, 3, 2), rng.uniform(0.3, 3, 2)
        return (
            lambda w: np.sum(c * (1 - np.cos(omega * w)), axis=1),
            lambda w: c * omega * np.sin(omega * w),
            c * omega**2,
        )

    return make
