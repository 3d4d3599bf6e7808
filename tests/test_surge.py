"""Do the formulas for the best step agree with simulation, with each other, and with an independent normal integral?"""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import multivariate_normal

from anisotropic import surge

BATCHES = np.logspace(0, 4.5, 24)


def case(name, d=50):
    """Hessian and gradient of four one-step problems with rms mean / sigma = 0.02."""
    rng = np.random.default_rng(0)
    eigenvalues = np.logspace(0, -2, d)
    Q = np.linalg.qr(rng.standard_normal((d, d)))[0]
    if name == "aligned":
        H = np.diag(eigenvalues)
    elif name == "ones":
        H = np.diag(eigenvalues) + 0.2
    else:
        H = (Q * eigenvalues) @ Q.T
    mean = rng.standard_normal(d)
    if name == "steep":
        mean = (Q / np.sqrt(eigenvalues)) @ Q.T @ rng.standard_normal(d)
        mean = H @ mean
    if name == "ones":
        mean = np.abs(mean)
    return mean * 0.02 / np.sqrt(np.mean(mean**2)), np.ones(d), H


CASES = {name: case(name) for name in ("aligned", "rotated", "steep", "ones")}


def simulated(mean, sigma, H, draws=4000, factor=None):
    """Best step and gain from the mean of slope and curvature over simulated gradients, and standard errors of both."""
    rng = np.random.default_rng(1)
    out = []
    for B in BATCHES:
        noise = rng.standard_normal((draws, len(mean)))
        s = np.sign(mean + (noise * sigma if factor is None else noise @ factor.T) / np.sqrt(B))
        out.append((s @ mean, np.einsum("ri,ij,rj->r", s, H, s)))
    slope, curvature = (np.array([x[k] for x in out]) for k in (0, 1))
    return slope, curvature


def r_squared(measured, predicted):
    return 1 - np.sum((measured - predicted) ** 2) / np.sum((measured - measured.mean()) ** 2)


@pytest.mark.parametrize("name", CASES)
def test_the_exact_form_agrees_with_simulation(name):
    mean, sigma, H = CASES[name]
    slope, curvature = simulated(mean, sigma, H)
    measured = slope.mean(axis=1) / curvature.mean(axis=1)
    predicted = surge.optimal_step_size(BATCHES, mean, sigma, H)
    assert r_squared(measured, predicted) >= 0.99
    gain = slope.mean(axis=1) ** 2 / (2 * curvature.mean(axis=1))
    assert r_squared(gain, surge.best_gain(BATCHES, mean, sigma, H)) >= 0.99
    # Slope - curvature * step has mean 0 at the best step: 24 z-values, |z| < 5 fails by chance once in 70,000 seeds.
    residual = slope - curvature * predicted[:, None]
    z = residual.mean(axis=1) / (residual.std(axis=1, ddof=1) / np.sqrt(residual.shape[1]))
    assert np.all(np.abs(z) < 5)
    small = 0.1 * np.median(np.pi * sigma**2 / (2 * mean**2)) >= BATCHES
    assert small.sum() >= 12
    assert r_squared(measured[small], surge.optimal_step_size(BATCHES[small], mean, sigma, H, "small_batch")) >= 0.97


def test_no_surge_on_an_axis_aligned_hessian_and_a_clear_one_with_a_common_pull():
    mean, sigma, H = CASES["aligned"]
    assert surge.noise_batch_size(mean, sigma, H) == np.inf
    assert np.all(np.diff(surge.optimal_step_size(BATCHES, mean, sigma, H)) > 0)
    mean, sigma, H = CASES["ones"]
    steps = surge.optimal_step_size(np.logspace(0, 6, 60), mean, sigma, H)
    assert 0 < np.argmax(steps) < 59
    assert steps[-1] < 0.5 * steps.max()
    # Coordinates that pull against each other: B_noise < 0, and no peak either.
    alternating = H - 0.2 + 0.2 * np.outer((-1) ** np.arange(50), (-1) ** np.arange(50))
    against = np.abs(mean) * np.where(np.arange(50) % 2, 1.0, 0.9)
    off = alternating - np.diag(np.diag(alternating))
    assert np.sign(surge.noise_batch_size(against, sigma, alternating)) == np.sign(against @ off @ against)
    assert surge.noise_batch_size([1.0, 1.0], 1.0, [[1.0, -0.5], [-0.5, 1.0]]) == pytest.approx(-np.pi)
    assert np.all(np.diff(surge.optimal_step_size(BATCHES, [0.02, 0.02], 1.0, [[1.0, -0.5], [-0.5, 1.0]])) > 0)


def test_the_small_batch_form_is_the_two_parameter_law():
    mean, sigma, H = CASES["ones"]
    peak = surge.noise_batch_size(mean, sigma, H)
    off = H - np.diag(np.diag(H))
    assert peak == pytest.approx(np.pi * np.trace(H) / (2 * (mean / sigma) @ off @ (mean / sigma)), rel=1e-12)
    highest = np.sqrt(peak / (2 * np.pi)) * np.sum(mean**2 / sigma) / np.trace(H)
    law = highest / (0.5 * (np.sqrt(peak / BATCHES) + np.sqrt(BATCHES / peak)))
    np.testing.assert_allclose(surge.optimal_step_size(BATCHES, mean, sigma, H, "small_batch"), law, rtol=1e-12)
    gain_max = peak / np.pi * np.sum(mean**2 / sigma) ** 2 / np.trace(H)
    np.testing.assert_allclose(
        surge.best_gain(BATCHES, mean, sigma, H, "small_batch"), gain_max / (1 + peak / BATCHES), rtol=1e-12
    )


@pytest.mark.parametrize("name", ["rotated", "ones"])
def test_limits_of_the_exact_form(name):
    mean, sigma, H = CASES[name]
    tiny, huge = 1e-6, 1e12
    exact = surge.optimal_step_size([tiny, huge], mean, sigma, H)
    assert exact[0] == pytest.approx(surge.optimal_step_size(tiny, mean, sigma, H, "small_batch"), rel=1e-8)
    assert exact[1] == pytest.approx(surge.optimal_step_size(huge, mean, sigma, H, "large_batch"), rel=1e-8)
    sign = np.sign(mean)
    assert exact[1] == pytest.approx(np.abs(mean).sum() / (sign @ H @ sign), rel=1e-8)


@given(
    r=st.floats(-0.98, 0.98),
    first=st.floats(-3, 3),
    second=st.floats(-3, 3),
    batch=st.floats(0.1, 10),
)
@settings(max_examples=60, deadline=None)
def test_second_moments_of_signs_equal_an_independent_integral(r, first, second, batch):
    _, S = surge.sign_moments(batch, [first, second], [[1.0, 2 * r], [2 * r, 4.0]])
    a = np.sqrt(batch) * np.array([first, second / 2])
    both = multivariate_normal([0, 0], [[1, r], [r, 1]]).cdf(a)
    from scipy.special import ndtr

    assert S[0, 1] == pytest.approx(4 * both - 2 * ndtr(a[0]) - 2 * ndtr(a[1]) + 1, abs=2e-6)
    if first == second == 0:
        assert S[0, 1] == pytest.approx(2 / np.pi * np.arcsin(r), abs=1e-12)


def correlated(d=12):
    rng = np.random.default_rng(2)
    factor = np.linalg.cholesky(np.diag(rng.uniform(0.5, 2.0, d)) + np.outer(*2 * [rng.uniform(0.2, 1.0, d)]))
    mean = 0.05 * rng.standard_normal(d) + 0.05
    return mean, factor, np.diag(np.logspace(0, -1, d)) + 0.1


def test_correlated_noise_agrees_with_simulation():
    mean, factor, H = correlated()
    slope, curvature = simulated(mean, None, H, factor=factor)
    predicted = surge.optimal_step_size(BATCHES, mean, factor @ factor.T, H)
    residual = slope - curvature * predicted[:, None]
    z = residual.mean(axis=1) / (residual.std(axis=1, ddof=1) / np.sqrt(residual.shape[1]))
    assert np.all(np.abs(z) < 5)
    independent = surge.optimal_step_size(BATCHES, mean, np.sqrt(np.diag(factor @ factor.T)), H)
    residual = slope - curvature * independent[:, None]
    wrong = residual.mean(axis=1) / (residual.std(axis=1, ddof=1) / np.sqrt(residual.shape[1]))
    assert np.abs(wrong).max() > 5  # the simulation does tell the two formulas apart


def test_small_batch_form_with_correlated_noise_is_the_first_order():
    mean, factor, H = correlated()
    covariance = factor @ factor.T
    for B, tolerance in ((1e-3, 1e-4), (1e-5, 1e-6)):
        _, S = surge.sign_moments(B, mean, covariance)
        _, S0 = surge.sign_moments(1e-14, mean, covariance)
        change = np.sum(H * (S - S0)) / B
        constant, linear = surge._linear_terms(surge._model(mean, covariance, H))
        assert np.sum(H * S0) == pytest.approx(constant, rel=1e-10)
        assert change == pytest.approx(linear, rel=tolerance * 100)
        assert surge.optimal_step_size(B, mean, covariance, H, "small_batch") == pytest.approx(
            surge.optimal_step_size(B, mean, covariance, H), rel=tolerance
        )
    diagonal = np.diag([4.0, 1.0])
    assert surge.noise_batch_size([1, 1], diagonal, [[1, 0.5], [0.5, 1]]) == pytest.approx(
        surge.noise_batch_size([1, 1], [2, 1], [[1, 0.5], [0.5, 1]])
    )


def test_a_peak_that_rests_on_independent_noise_is_called_so():
    """Against simulation: with noise correlated like H the best step is larger than at the independent peak."""
    mean, sigma, H = CASES["ones"]
    grid = np.logspace(0, 6, 400)
    with pytest.warns(UserWarning, match="takes noise as independent.*it lies at 4.73e.03, .* falls to 0.69") as caught:
        found = surge.surge_peak(mean, sigma, H)
    assert "instead of 0.28. Pass the covariance" in str(caught[0].message)
    steps = surge.optimal_step_size(grid, mean, sigma, H)
    assert found.batch_size == pytest.approx(grid[np.argmax(steps)], rel=0.04)
    assert found.step_size == pytest.approx(steps.max(), rel=1e-4)
    assert found.limit == pytest.approx(surge.optimal_step_size(1.0, mean, sigma, H, "large_batch"), rel=1e-6)
    scale = np.sqrt(np.diag(H))
    covariance = H / np.outer(scale, scale)
    correlated = surge.surge_peak(mean, covariance, H)
    assert correlated.batch_size > 10 * found.batch_size
    slope, curvature = simulated(mean, None, H, factor=np.linalg.cholesky(covariance))
    measured = slope.mean(axis=1) / curvature.mean(axis=1)
    assert np.interp(found.batch_size, BATCHES, measured) < 0.8 * correlated.step_size
    assert measured.max() == pytest.approx(correlated.step_size, rel=0.05)


def test_no_peak_and_meant_independence_give_no_warning():
    mean, sigma, H = CASES["aligned"]
    assert surge.surge_peak(mean, sigma, H).batch_size == np.inf
    mean, sigma, H = CASES["ones"]
    assert surge.surge_peak(mean, np.diag(sigma**2), H).batch_size < 400
    indefinite = H - 0.1 * np.eye(50)
    with pytest.warns(UserWarning, match="was not tried, since the Hessian is not positive definite"):
        surge.surge_peak(mean, sigma, indefinite)


def test_the_law_of_sgd_agrees_with_simulation():
    mean, sigma, H = CASES["rotated"]
    rng = np.random.default_rng(3)
    measured = []
    for B in BATCHES:
        g = mean + rng.standard_normal((4000, 50)) * sigma / np.sqrt(B)
        measured.append(np.mean(g @ mean) / np.mean(np.einsum("ri,ij,rj->r", g, H, g)))
    predicted = surge.sgd_optimal_step_size(BATCHES, mean, sigma, H)
    assert r_squared(np.array(measured), predicted) >= 0.999
    assert np.all(np.diff(predicted) > 0)
    noise = surge.sgd_noise_batch_size(mean, sigma, H)
    assert noise == pytest.approx(np.trace(H) / (mean @ H @ mean), rel=1e-12)
    assert surge.sgd_optimal_step_size(noise, mean, sigma, H) == pytest.approx(
        0.5 * surge.sgd_optimal_step_size(1e15, mean, sigma, H), rel=1e-9
    )
    full = np.diag(sigma**2) + 0.3
    assert surge.sgd_noise_batch_size(mean, full, H) == pytest.approx(np.trace(H @ full) / (mean @ H @ mean), rel=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"form": "medium"}, "form = 'medium'; expected one of exact, small_batch, large_batch"),
        ({"B": 0}, "B = 0; expected batch sizes above 0"),
        ({"hessian": np.ones((2, 3))}, r"hessian has shape \(2, 3\); expected a finite matrix"),
        ({"hessian": [[1.0, 0.2], [0.0, 1.0]]}, "hessian is not symmetric"),
        ({"mean": np.ones(3)}, r"mean has shape \(3,\); expected a number or shape \(2,\)"),
        ({"sigma": [1.0, 0.0]}, r"sigma\[1\] = 0; expected .*numbers above 0"),
        ({"sigma": np.ones((2, 3))}, r"sigma has shape \(2, 3\); expected \(d,\) or a symmetric covariance"),
        ({"sigma": np.ones((2, 2))}, "sigma is not a positive definite covariance"),
        ({"hessian": -np.eye(2)}, "expected curvature along the signs is -2 at B = 4, so that no step size is best"),
        ({"mean": [1.0, 0.0], "form": "large_batch"}, r"mean\[1\] = 0, whose sign never settles"),
    ],
)
def test_wrong_input_is_a_sentence(change, message):
    with pytest.raises(ValueError, match=message):
        surge.optimal_step_size(**({"B": 4, "mean": [1.0, 2.0], "sigma": 1.0, "hessian": np.eye(2)} | change))


def test_sgd_needs_curvature_along_the_gradient():
    with pytest.raises(ValueError, match="the curvature along the gradient is 0; no step size is best"):
        surge.sgd_optimal_step_size(1, [1.0, 0.0], 1.0, [0.0, 1.0])
