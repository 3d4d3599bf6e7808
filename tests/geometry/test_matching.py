"""Pairs of trajectories at equal loss, and the pairs that are refused."""

import numpy as np
import pytest

from anisotropic import optimizers
from anisotropic.geometry import Trajectory, initial_weights, linear_target, match_by_loss, train_linear_network


def trajectory(loss, values):
    return Trajectory(np.arange(len(loss)) * 10, np.array(loss), np.array(values, dtype=float))


def test_first_record_at_or_below_the_level():
    a = trajectory([3.0, 1.99, 2.01, 1.0], [[8, 9], [4, 3], [5, 5], [2, 2]])
    b = trajectory([2.0, 1.5, 1.0], [[1, 1], [9, 9], [4, 1]])
    first, second = match_by_loss(a, b, [2.0, 1.0])
    assert first.loss == (1.99, 2.0) and first.steps == (10, 0) and second.steps == (30, 20)
    assert np.exp(first.log_ratio) == pytest.approx([4, 3]) and np.exp(second.log_ratio) == pytest.approx([0.5, 2])


def test_pairs_over_two_percent_apart_are_refused():
    a, b = ([3.0, 2.0], [1.0, 1.0]), ([3.0, 1.95], [1.0, 1.0])
    with pytest.raises(ValueError, match=r"at level 2 the losses are 2 and 1.95, 2.5% apart; expected at most 2.0%"):
        match_by_loss(a, b, [2.0])
    assert match_by_loss(a, b, [3.0, 2.0], strict=False)[-1].level == 3.0
    assert len(match_by_loss(a, b, [2.0], tolerance=0.03)) == 1


def test_interpolation_is_linear_in_the_logarithm():
    a, b = ([4.0, 2.0], [1.0, 16.0]), ([4.0, 2.5], [2.0, 2.0])
    (match,) = match_by_loss(a, b, [3.0], interpolate=True)
    assert match.loss == (3.0, 3.0) and match.r_med_a == pytest.approx([4.0]) and match.r_med_b == pytest.approx([2.0])


def test_levels_never_reached():
    a, b = ([3.0, 2.0], [1.0, 1.0]), ([3.0, 1.0], [1.0, 1.0])
    with pytest.raises(ValueError, match="level 1.5 is never reached by a; train longer"):
        match_by_loss(a, b, [1.5])
    assert match_by_loss(a, b, [1.5], strict=False) == []


def test_smoothing_ignores_a_lucky_batch():
    a = trajectory([3.0, 1.0, 3.0, 2.0, 2.0, 2.0], [1, 2, 3, 4, 5, 6])
    (raw,) = match_by_loss(a, a, [2.1])
    (smooth,) = match_by_loss(a, a, [2.1], smooth=3)
    assert raw.steps == (10, 10) and smooth.steps == (20, 20)


def test_linear_runs_can_be_matched_directly():
    A, weights = linear_target(32, seed=0), initial_weights([32, 32, 1], [32**-3, 32**-1.5], seed=0)
    methods = optimizers.sgd(0.01), optimizers.sign_sgd(1e-4)
    sgd, signs = (train_linear_network(weights, A, method, levels=[0.5, 0.2]) for method in methods)
    for match in match_by_loss(sgd, signs, [0.5, 0.2]):
        assert match.log_ratio.shape == (2,) and np.all(match.log_ratio > 1)


def test_bad_curves():
    with pytest.raises(ValueError, match=r"a has \(2,\) losses and \(3,\) values of R_med"):
        match_by_loss(([1.0, 2.0], [1.0, 2.0, 3.0]), ([1.0], [1.0]), [1.0])
    with pytest.raises(ValueError, match="a has 2 layers and b has 1"):
        match_by_loss(([1.0], [[1.0, 2.0]]), ([1.0], [1.0]), [1.0])
    with pytest.raises(ValueError, match="tolerance = 0"):
        match_by_loss(([1.0], [1.0]), ([1.0], [1.0]), [1.0], tolerance=0.0)
