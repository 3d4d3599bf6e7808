"""Closed-form diagonals of linear networks against finite differences of their loss."""

import numpy as np
import pytest
from rounding import EPS

from anisotropic.geometry import data_floor, deep_linear_diagonals, linear_network_diagonals, r_med


def quadratic_loss(weights, A, S):
    product = weights[0]
    for w in weights[1:]:
        product = w @ product
    return 0.5 * np.trace((product - A) @ S @ (product - A).T)


def difference_diagonal(weights, layer, A, S, step=1e-3):
    """Central second differences, and their rounding: exact otherwise, since the loss is quadratic in one entry.

    A loss is off by its EPS times the number of terms, at most 5 in each of 6 products; three of them by 4 of those.
    """
    out, largest = np.empty_like(weights[layer]), 0.0
    for index in np.ndindex(out.shape):
        values = []
        for move in (-step, 0.0, step):
            moved = [w.copy() for w in weights]
            moved[layer][index] += move
            values.append(quadratic_loss(moved, A, S))
        out[index] = (values[0] - 2 * values[1] + values[2]) / step**2
        largest = max(largest, *values)
    return out, 4 * 30 * EPS * largest / step**2


@pytest.mark.parametrize("widths", [(4, 5, 3), (3, 4, 2, 5), (2, 3)])
def test_closed_form_equals_second_differences(widths):
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal((n, m)) for m, n in zip(widths[:-1], widths[1:], strict=True)]
    root = rng.standard_normal((widths[0], widths[0]))
    S, A = root @ root.T, rng.standard_normal((widths[-1], widths[0]))
    for layer, diagonal in enumerate(deep_linear_diagonals(weights, S)):
        expected, off = difference_diagonal(weights, layer, A, S)
        assert (np.abs(diagonal - expected) <= off).all() and off < 1e-3 * diagonal.max()


def test_two_layers_shapes_and_formula():
    rng = np.random.default_rng(1)
    W1, W2, s = rng.standard_normal((5, 4)), rng.standard_normal((3, 5)), np.array([1.0, 2.0, 3.0, 4.0])
    first, second = linear_network_diagonals(W1, W2, s)
    assert first.shape == (5, 4) and second.shape == (3, 5)
    assert first == pytest.approx(np.outer(np.sum(W2**2, axis=0), s))
    assert second == pytest.approx(np.tile(np.diag(W1 @ np.diag(s) @ W1.T), (3, 1)))


def test_uniform_weights_leave_the_data_floor():
    s = np.random.default_rng(2).lognormal(size=31)
    first, _ = linear_network_diagonals(np.ones((7, 31)), np.ones((1, 7)), s)
    assert r_med(first).value == pytest.approx(data_floor(s))


@pytest.mark.parametrize(
    ("weights", "S", "message"),
    [
        ([], None, "no weight matrices"),
        ([np.ones(3)], None, r"W1 has shape \(3,\); expected a matrix"),
        ([np.ones((2, 3)), np.ones((1, 4))], None, r"W2 has shape \(1, 4\) but W1 has 2 outputs"),
        ([np.full((2, 3), np.nan)], None, "W1 has 6 entries that are not finite"),
        ([np.ones((2, 3))], np.ones(4), r"S has shape \(4,\); expected \(3,\)"),
        ([np.ones((2, 3))], np.arange(9.0).reshape(3, 3), "S is not symmetric"),
        ([np.ones((2, 3))], [1.0, -1.0, 1.0], "S has a negative eigenvalue"),
    ],
)
def test_bad_networks(weights, S, message):
    with pytest.raises(ValueError, match=message):
        deep_linear_diagonals(weights, S)


def test_bad_second_moments():
    with pytest.raises(ValueError, match="empty, negative or non-finite"):
        data_floor([1.0, -1.0])
