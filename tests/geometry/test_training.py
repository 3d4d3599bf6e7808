"""Where optimizers take linear networks: against a plain NumPy loop, and against the predictions, seed by seed."""

import numpy as np
import pytest
from scipy import stats

from anisotropic import optimizers, schedules
from anisotropic.geometry import (
    data_floor,
    deep_linear_diagonals,
    equal_growth,
    frozen_start,
    initial_weights,
    linear_target,
    predict_r_med_adam,
    predict_r_med_sgd,
    r_med,
    train_linear_network,
)


def start(d, alpha, seed, rank=1):
    """Hidden width d, W1 of scale d^(-2 alpha), W2 of scale d^-alpha."""
    return initial_weights([d, d, rank], [d ** (-2 * alpha), d**-alpha], seed=seed)


def dampened(rate, momentum=0.9):
    """Heavy ball whose effective step is `rate` for every momentum."""
    return optimizers.heavy_ball(rate * (1 - momentum), momentum)


def adam(d, factor=1.0):
    return optimizers.adam(factor * 0.1 * d**-1.5, beta2=0.95, eps=1e-12)


def numpy_twin(weights, A, S, rate, steps):
    weights = [w.copy() for w in weights]
    for _ in range(steps):
        gradients = []
        for l in range(len(weights)):
            above, below = np.eye(A.shape[0]), np.eye(A.shape[1])
            for w in weights[:l]:
                below = w @ below
            for w in reversed(weights[l + 1 :]):
                above = above @ w
            G = (above @ weights[l] @ below - A) @ S
            gradients.append(above.T @ G @ below.T)
        for w, g in zip(weights, gradients, strict=True):
            w -= rate * g
    return weights


@pytest.mark.parametrize("widths", [(4, 5, 3), (3, 6, 4, 2), (5, 2)])
def test_loop_equals_its_numpy_twin(widths):
    rng = np.random.default_rng(0)
    weights = initial_weights(widths, 0.5, seed=1)
    A, root = rng.standard_normal((widths[-1], widths[0])), rng.standard_normal((widths[0], widths[0]))
    S = root @ root.T / widths[0]
    run = train_linear_network(weights, A, optimizers.sgd(0.02), S=S, levels=[1e-9], max_steps=60)
    for found, expected in zip(run.final, numpy_twin(weights, A, S, 0.02, 60), strict=True):
        assert found == pytest.approx(expected, rel=1e-10, abs=1e-12)


def test_levels_are_first_crossings_and_diagonals_those_of_the_weights_there():
    A, weights = linear_target(16, seed=1), initial_weights([16, 12, 8, 1], 0.3, seed=0)
    run = train_linear_network(weights, A, optimizers.sgd(0.02), levels=[0.5, 0.1])
    before = train_linear_network(weights, A, optimizers.sgd(0.02), levels=[0.1], max_steps=int(run.steps[1]) - 1)
    assert run.status == "ok" and before.status == "not reached" and np.isnan(before.loss[0])
    assert np.all(run.loss <= run.levels) and np.all(run.loss > 0.9 * run.levels)
    assert run.r_med[1] == pytest.approx([r_med(h).value for h in deep_linear_diagonals(run.weights[1])])
    assert run.stable_rank[1, 2] == pytest.approx(1.0)
    assert run.final[0] == pytest.approx(run.weights[1][0])


def test_noise_has_its_variance_and_its_seed():
    """One layer, target 0: w_T is an AR(1) sum; its variance over 4,000 entries against the exact one, level 1e-4."""
    d, rate, sigma, steps = 4000, 0.1, 0.3, 50
    runs = [
        train_linear_network(
            [np.ones((1, d))], np.zeros((1, d)), optimizers.sgd(rate), gradient_noise=sigma, levels=[1e-9],
            max_steps=steps, seed=seed,
        ).final[0][0]
        for seed in (0, 0, 1)
    ]  # fmt: skip
    variance = rate**2 * sigma**2 * (1 - (1 - rate) ** (2 * steps)) / (1 - (1 - rate) ** 2)
    statistic = np.sum((runs[0] - (1 - rate) ** steps) ** 2) / variance
    assert stats.chi2(d).ppf(5e-5) < statistic < stats.chi2(d).isf(5e-5)
    assert np.array_equal(runs[0], runs[1]) and not np.allclose(runs[0], runs[2])


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9, 0.99])
def test_momentum_freezes_the_start(momentum):
    """R_1 = R_2 = max u^2 / median u^2, u the growing mode: within 1e-4 in each of 10 seeds, for each momentum."""
    for seed in range(10):
        A, weights = linear_target(64, seed=100 + seed), start(64, 1.5, seed)
        run = train_linear_network(weights, A, dampened(0.05, momentum), levels=[0.5])
        assert run.r_med[0] == pytest.approx(frozen_start(*weights, A).value, rel=1e-4)


def test_frozen_value_does_not_depend_on_the_step():
    A, weights = linear_target(128, seed=5), start(128, 1.5, 0)
    values = [
        train_linear_network(weights, A, dampened(rate), levels=[0.5]).r_med[0, 0] for rate in (0.01, 0.05, 0.2)
    ]
    assert values == pytest.approx([values[0]] * 3, rel=1e-3)


@pytest.mark.parametrize(("d", "seeds"), [(64, 40), (128, 20)])
@pytest.mark.parametrize(("alpha", "tolerance"), [(1.5, 0.05), (1.0, 0.1)])
def test_adam_follows_its_formula(d, seeds, alpha, tolerance):
    """The median over seeds against the formula, and each seed within 6 % of equal growth from its own start."""
    values, predictions = [], []
    for seed in range(seeds):
        A, weights = linear_target(d, seed=100 + seed), start(d, alpha, seed)
        values.append(train_linear_network(weights, A, adam(d), levels=[0.1]).r_med[0, 0])
        predictions.append(predict_r_med_adam(d, output_scale=d**-alpha, target=A, loss_fraction=0.1))
        assert values[-1] == pytest.approx(equal_growth(weights[1], A, 0.1).value, rel=0.06)
    assert np.median(values) == pytest.approx(np.median(predictions), rel=tolerance)


def test_sgd_and_adam_separate_in_every_seed():
    for seed in range(10):
        A, weights = linear_target(64, seed=100 + seed), start(64, 1.5, seed)
        sgd = train_linear_network(weights, A, dampened(0.05), levels=[0.1]).r_med[0, 0]
        assert sgd > 5 * train_linear_network(weights, A, adam(64), levels=[0.1]).r_med[0, 0]


@pytest.mark.parametrize(
    ("optimizer", "second"),
    [
        (optimizers.rmsprop(0.1 * 128**-1.5, 0.95, eps=1e-12), 1.1),
        (optimizers.adagrad(2 * 128**-1.5), 1.1),
        (optimizers.amsgrad(0.1 * 128**-1.5, beta2=0.95, eps=1e-12), 1.02),
        (optimizers.sign_sgd(0.1 * 128**-1.5), 1.001),
    ],
)
def test_other_sign_like_methods_grow_equally(optimizer, second):
    A, weights = linear_target(128, seed=100), start(128, 1.5, 0)
    run = train_linear_network(weights, A, optimizer, levels=[0.1])
    assert run.r_med[0, 0] == pytest.approx(equal_growth(weights[1], A, 0.1).value, rel=0.03)
    assert 1 <= run.r_med[0, 1] < second


@pytest.mark.parametrize(("rank", "tolerance"), [(8, 0.1), (2, 0.2)])
def test_rank_of_the_target_lowers_the_frozen_value(rank, tolerance):
    """Mean over 20 seeds against the chi-square ratio: standard errors 3 % and 7 %."""
    values = [
        train_linear_network(
            start(128, 1.5, seed, rank), linear_target(128, rank, seed=seed), dampened(0.05), levels=[0.3]
        ).r_med[0, 0]
        for seed in range(20)
    ]
    assert np.mean(values) == pytest.approx(predict_r_med_sgd(128, rank), rel=tolerance)


def test_no_separation_from_an_ordinary_start():
    d = 128
    weights = initial_weights([d, d, 1], d**-0.5, seed=0)
    assert train_linear_network(weights, linear_target(d, seed=0), adam(d), levels=[0.1]).r_med[0, 0] > 5


def test_anisotropic_inputs_leave_a_floor():
    d = 128
    s = np.random.default_rng(0).lognormal(size=d)
    A, weights = linear_target(d, seed=0), start(d, 1.5, 0)
    floor = data_floor(s)
    values = [train_linear_network(weights, A, o, S=s, levels=[0.1]).r_med[0, 0] for o in (adam(d), dampened(0.01))]
    assert 1 <= values[0] / floor <= 1.2 and values[1] / floor > 10


def test_gradient_noise_flattens_the_second_layer_under_sgd():
    A, weights = linear_target(128, seed=0), start(128, 1.5, 0)
    runs = [train_linear_network(weights, A, dampened(0.05), gradient_noise=s, levels=[0.5]) for s in (0.0, 0.1)]
    clean, noisy = (run.r_med[0] for run in runs)
    assert clean[1] == pytest.approx(clean[0], rel=1e-6) and noisy[1] < 3 < noisy[0]


def test_divergence_is_a_state():
    run = train_linear_network(start(16, 1.0, 0), linear_target(16), optimizers.sgd(1e3), levels=[0.5])
    assert run.status == "diverged" and np.isnan(run.r_med).all() and run.steps[0] == -1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": np.ones((2, 4))}, r"target has shape \(2, 4\); expected a finite \(1, 4\) matrix"),
        ({"levels": [0.1, 0.5]}, "expected decreasing numbers"),
        ({"levels": [2.0]}, "expected fractions of the initial loss"),
        ({"gradient_noise": -1.0}, "gradient_noise = -1"),
        ({"max_steps": 0}, "max_steps = 0"),
        ({"target": np.ones((1, 4)), "weights": [np.ones((1, 4))]}, "the initial loss is zero"),
        ({"optimizer": optimizers.sgd(schedules.inverse_sqrt(0.1))}, "the step size is a schedule"),
    ],
)
def test_bad_runs(change, message):
    arguments = {"weights": start(4, 1.0, 0), "target": linear_target(4), "optimizer": optimizers.sgd(0.1)} | change
    with pytest.raises(ValueError, match=message):
        train_linear_network(**arguments)


def test_bad_starts():
    with pytest.raises(ValueError, match="expected at least two numbers"):
        initial_weights([3], 1.0)
    with pytest.raises(ValueError, match="rank = 5; expected 1 to 4"):
        linear_target(4, 5)
