"""Objectives with one fault each: name -> (objective, rule that it breaks, words of the sentence)."""

import math
from typing import NamedTuple

import numpy as np

import anisotropic as an

Q = an.problems.quadratic
CONVEX = {"convex", "interior minimizer"}


class Curvature(NamedTuple):
    h: np.ndarray


H = Curvature(np.array([2.0, 1.0, 0.5]))


@an.leaf
def value(w, params):
    total = 0.0
    for j in range(w.size):
        total += 0.5 * params.h[j] * w[j] * w[j]
    return total


@an.leaf
def gradient(w, params, out):
    for j in range(w.size):
        out[j] = params.h[j] * w[j]


def objective(value=value, gradient=gradient, params=H, dim=3, **known):
    return an.Objective("mine", dim, value, gradient, params, **known)


@an.leaf
def uphill(w, params, out):
    for j in range(w.size):
        out[j] = -params.h[j] * w[j]


@an.leaf
def doubled(w, params, out):
    for j in range(w.size):
        out[j] = 2.0 * params.h[j] * w[j]


@an.leaf
def wrong_in_one(w, params, out):
    for j in range(w.size):
        out[j] = params.h[j] * w[j] * (1.01 if j == 2 else 1.0)


@an.leaf
def accumulates(w, params, out):
    for j in range(w.size):
        out[j] += params.h[j] * w[j]


@an.leaf
def first_only(w, params, out):
    out[0] = params.h[0] * w[0]


@an.leaf
def returns_it(w, params, out):
    return params.h * w


@an.leaf
def moves_w(w, params):
    for j in range(w.size):
        w[j] -= 1.0
    return np.sum(w)


@an.leaf
def gradient_moves_w(w, params, out):
    for j in range(w.size):
        out[j] = params.h[j] * w[j]
        w[j] = 0.0


@an.leaf
def no_value(w, params):
    w.sum()


@an.leaf
def many_values(w, params):
    return params.h * w


@an.leaf
def complex_value(w, params):
    return np.sum(w) * 1j


@an.leaf
def entropy(w, params):
    return np.sum(w * np.log(w))


@an.leaf
def entropy_gradient(w, params, out):
    for j in range(w.size):
        out[j] = math.log(w[j]) + 1.0


@an.leaf
def mean_value(w, params):
    total = 0.0
    for j in range(w.size):
        total += 0.5 * w[j] * w[j]
    return total / w.size


@an.leaf
def mean_gradient(w, params, out):
    for j in range(w.size):
        out[j] = w[j] / w.size


@an.leaf
def chain_value(w, params):
    total = 0.0
    for j in range(w.size):
        total += (w[j + 1] - w[j]) ** 2
    return total


@an.leaf
def chain_gradient(w, params, out):
    for j in range(w.size + 1):
        out[j] = 0.0


@an.leaf
def pair_value(w, params):
    return 0.5 * (w[0] + w[1]) ** 2


@an.leaf
def pair_gradient(w, params, out):
    out[0] = out[1] = w[0] + w[1]


@an.leaf
def saddle_value(w, params):
    return math.cos(w[0]) + 0.5 * w[1] * w[1]


@an.leaf
def saddle_gradient(w, params, out):
    out[0], out[1] = -math.sin(w[0]), w[1]


@an.leaf
def huber_gradient(w, params, out):
    """The outer branch forgets the slope h: right within 0.1 of zero only."""
    for j in range(w.size):
        out[j] = params.h[j] * w[j] if abs(w[j]) < 0.1 else 0.1 * np.sign(w[j])


@an.leaf
def huber_value(w, params):
    total = 0.0
    for j in range(w.size):
        x = abs(w[j])
        total += params.h[j] * (0.5 * x * x if x < 0.1 else 0.1 * (x - 0.05))
    return total


class Rows(NamedTuple):
    rows: np.ndarray


@an.leaf
def rows_value(w, params):
    return 0.5 * np.sum((params.rows @ w) ** 2) / params.rows.shape[0]


@an.leaf
def rows_gradient(w, params, out):
    out[:] = (params.rows @ w) @ params.rows / params.rows.shape[0]


@an.leaf
def row_gradient(w, params, rows, out):
    out[:] = 0.0
    for i in rows:
        out += (params.rows[i] @ w) * params.rows[i] / rows.size


@an.leaf
def row_sum(w, params, rows, out):
    out[:] = 0.0
    for i in rows:
        out += (params.rows[i] @ w) * params.rows[i]


@an.leaf
def row_past_the_end(w, params, rows, out):
    out[:] = 0.0
    for i in rows:
        out += (params.rows[i + 1] @ w) * params.rows[i] / rows.size


A = Rows(np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0], [1.0, -1.0]]))
SUM = dict(samples=4, params=A, dim=2, properties={"finite sum"})
COSH = an.problems.cosh([1.0, 1.0], 2.0)
RIDGES = an.problems.coupled([[1.0, 1.0], [1.0, -1.0]], "quadratic", 1.0)


def stated(of, **known):
    """A problem of the package under constants of one's own."""
    return an.Objective("mine", of.dim, of.value, of.gradient, of.params, **known)


OBJECTIVES = {
    "the sign of the gradient": (objective(gradient=uphill), "gradient", ["differences of the value give"]),
    "a factor in the gradient": (objective(gradient=doubled), "gradient", ["value and gradient belong to different"]),
    "one per cent in one coordinate": (objective(gradient=wrong_in_one), "gradient", ["gradient[2] ="]),
    "out += ...": (objective(gradient=accumulates), "gradient", ["every entry of `out`"]),
    "one entry of three": (objective(gradient=first_only), "gradient", ["gradient[1] is not written"]),
    "a gradient that is returned": (objective(gradient=returns_it), "gradient", ["gradient[0] is not written"]),
    "value writes into w": (objective(moves_w), "side effects", ["it may write nowhere"]),
    "gradient writes into w": (objective(gradient=gradient_moves_w), "side effects", ["may write into out only"]),
    "no value": (objective(no_value), "result", ["value function 'no_value' returns nothing"]),
    "an array for a value": (objective(many_values), "result", ["it must return one float"]),
    "a complex value": (objective(complex_value), "result", ["complex"]),
    "NaN inside the box": (
        objective(entropy, entropy_gradient, box=(-1, 1)), "finite", ["value = nan", "inside the box"]
    ),
    "w[j + 1]": (objective(chain_value, chain_gradient), "bounds", ["chain_value", "(w[j + 1] - w[j]) ** 2"]),
    "out[w.size]": (objective(gradient=chain_gradient), "bounds", ["chain_gradient", "out (3,)"]),
    "a mean under coordinatewise": (
        objective(mean_value, mean_gradient, coordinatewise=True), "coordinatewise", ["w.size", "plain sum"]
    ),
    "a pair under coordinatewise": (
        objective(pair_value, pair_gradient, dim=2, coordinatewise=True), "coordinatewise", ["coordinatewise=True, but"]
    ),
    "smoothness below the curvature": (objective(smoothness=[1.9, 1.0, 0.5]), "smoothness", ["too small", "times"]),
    "smoothness of single coordinates": (
        stated(RIDGES, smoothness=np.diag(RIDGES.params.rows.T @ RIDGES.params.rows) / 1.01), "smoothness", ["all dir"]
    ),
    "the diagonal of a coupled Hessian": (
        objective(pair_value, pair_gradient, dim=2, smoothness=1.0), "smoothness", ["not one coordinate at a time"]
    ),
    "smoothness zero": (objective(smoothness=[2.0, 1.0, 0.0]), "smoothness", ["smoothness[2] = 0"]),
    "a minimum too high": (objective(smoothness=H.h, minimum=0.3), "minimum", ["minimum = 0.3"]),
    "a minimum too low": (objective(minimizer=0.0, minimum=-1.0), "minimizer", ["minimum = -1", "correct one"]),
    "a minimizer beside it": (
        objective(minimizer=[0.9, 0.0, 0.0], minimum=0.81), "minimizer", ["gradient[0] = 1.8 there", "falls"]
    ),
    "an edge for an interior": (
        stated(Q(1.0, center=2.0, box=(-1, 1)), minimizer=1.0, minimum=0.5, box=(-1, 1), properties=CONVEX),
        "minimizer", ["lies on the edge of the box"],
    ),
    "not convex": (objective(saddle_value, saddle_gradient, dim=2, properties={"convex"}), "convex", ["falls"]),
    "not separable": (
        objective(pair_value, pair_gradient, dim=2, properties={"separable"}), "separable", ["only other coordinates"]
    ),
    "a gradient bound too small": (objective(box=(-1, 1), gradient_bound=0.1), "gradient_bound", ["gradient_bound["]),
    "a PL constant too large": (objective(minimizer=0.0, minimum=0.0, pl_constant=1.9), "pl_constant", ["too large"]),
    "L1 too small": (stated(COSH, generalized_smoothness=(1.0, 0.1)), "generalized_smoothness", ["L0 + L1"]),
    "the outer branch of Huber": (objective(huber_value, huber_gradient), "gradient", ["differences of the value"]),
    "rows that are not divided": (
        objective(rows_value, rows_gradient, sample_gradient=row_sum, **SUM), "rows", ["would be biased"]
    ),
    "a row past the end": (
        objective(rows_value, rows_gradient, sample_gradient=row_past_the_end, **SUM), "bounds", ["rows[i + 1]"]
    ),
    "sample_sigma too small": (
        objective(rows_value, rows_gradient, sample_gradient=row_gradient, sample_sigma=1e-3, **SUM),
        "sample_sigma", ["standard deviation"],
    ),
}
