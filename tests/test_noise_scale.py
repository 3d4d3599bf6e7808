"""Are the estimates unbiased, and do the intervals miss the truth as rarely as they say?"""

import numpy as np
import pytest

import anisotropic as an
from anisotropic.noise_scale import gradient_noise_scale, noise_moments, two_batch_noise_scale

D = 100
MEAN = np.linspace(0.0, 0.2, D)
SIGMA = np.sqrt(np.arange(1.0, D + 1) ** -1.0) * 4
TRACE, NORM = float(np.sum(SIGMA**2)), float(np.sum(MEAN**2))


def draw(rng, workers, batch, steps=None, law="normal"):
    shape = (workers, D) if steps is None else (steps, workers, D)
    if law == "normal":
        noise = rng.standard_normal(shape)
    else:  # the mean of a batch of centred exponential samples
        noise = (rng.gamma(batch, size=shape) - batch) / np.sqrt(batch)
    return MEAN + noise * SIGMA / np.sqrt(batch)


def test_value_and_interval_are_the_whole_result():
    value, interval = an.gradient_noise_scale(draw(np.random.default_rng(0), 8, 64), 64)
    assert interval[0] < value < interval[1]


@pytest.mark.parametrize("workers", [2, 8])
@pytest.mark.parametrize("batch", [8, 64, 256])
def test_numerator_and_denominator_are_unbiased(workers, batch):
    # 12 means of 2000 draws at |z| < 4.5: a false alarm in fewer than 1 of 10,000 seeds.
    rng = np.random.default_rng(workers * batch)
    estimates = np.array([noise_moments(draw(rng, workers, batch), batch) for _ in range(2000)])
    z = (estimates.mean(axis=0) - [TRACE, NORM]) / (estimates.std(axis=0, ddof=1) / np.sqrt(2000))
    assert np.all(np.abs(z) < 4.5), z
    if workers == 8:
        assert estimates[:, 0].mean() == pytest.approx(TRACE, rel=0.01)
        # The naive ratio divides by |m|^2, whose mean is |G|^2 + tr / (J b): too small by 1 / (1 + B_simple / (J b)).
        g = draw(rng, workers, batch, steps=2000)
        naive = estimates[:, 0].mean() / np.mean(np.sum(g.mean(axis=1) ** 2, axis=1)) / (TRACE / NORM)
        assert naive == pytest.approx(1 / (1 + TRACE / NORM / (workers * batch)), rel=0.05)


def test_equals_the_two_batch_estimator_with_workers_as_small_batches():
    g = draw(np.random.default_rng(1), 6, 32, steps=5)
    small, big = np.mean(np.sum(g**2, axis=2), axis=1), np.sum(g.mean(axis=1) ** 2, axis=1)
    two = two_batch_noise_scale(small, big, 32, 192)
    assert gradient_noise_scale(g, 32).value == pytest.approx(two.value, rel=1e-9)
    trace, norm = noise_moments(g, 32)
    assert trace == pytest.approx(np.mean((small - big) / (1 / 32 - 1 / 192)), rel=1e-10)
    assert norm == pytest.approx(np.mean((192 * big - 32 * small) / 160), rel=1e-9)


def test_steps_are_averaged_before_dividing():
    g = draw(np.random.default_rng(2), 4, 16, steps=7)
    parts = np.array([noise_moments(step, 16) for step in g])
    assert gradient_noise_scale(g, 16).value == pytest.approx(parts[:, 0].mean() / parts[:, 1].mean(), rel=1e-12)


def misses(draws, truth):
    return np.mean([not lower <= truth <= upper for _, (lower, upper) in draws])


@pytest.mark.parametrize("law", ["normal", "exponential"])
@pytest.mark.parametrize(
    ("workers", "batch", "steps"), [(8, 64, None), (32, 16, None), (8, 8, None), (4, 64, 10), (2, 64, 12)]
)
def test_intervals_miss_no_more_often_than_they_say(law, workers, batch, steps):
    # Level 0.05, 800 intervals: at a true rate of 0.05 more than 0.08 is seen in fewer than 1 of 5,000 seeds.
    rng = np.random.default_rng(workers + batch)
    found = [gradient_noise_scale(draw(rng, workers, batch, steps, law), batch) for _ in range(800)]
    assert misses(found, TRACE / NORM) <= 0.08
    if batch == 64:
        assert np.isfinite([upper for _, (_, upper) in found]).mean() > 0.5


def test_two_batch_intervals_miss_no_more_often_than_they_say():
    rng = np.random.default_rng(3)
    found = []
    for _ in range(800):
        g = draw(rng, 4, 64, steps=20)
        found.append(two_batch_noise_scale(np.sum(g[:, 0] ** 2, axis=1), np.sum(g.mean(axis=1) ** 2, axis=1), 64, 256))
    assert misses(found, TRACE / NORM) <= 0.08
    wide = [two_batch_noise_scale([5.0, 6.0, 4.0], [3.0, 3.5, 3.2], 1, 4, level=v).interval for v in (0.01, 0.05, 0.3)]
    assert wide[0][0] <= wide[1][0] < wide[2][0]


def test_an_interval_has_no_upper_end_where_there_is_no_gradient():
    # With G = 0 the truth is infinite: at most about 5 % of the intervals may end.
    rng = np.random.default_rng(4)
    found = [gradient_noise_scale(rng.standard_normal((16, 30)), 1) for _ in range(800)]
    assert np.mean([np.isfinite(upper) for _, (_, upper) in found]) <= 0.08
    assert np.mean([value == np.inf for value, _ in found]) > 0.3
    assert np.mean([lower > 0.0 for _, (lower, _) in found]) > 0.9  # yet it is known to be large


def test_one_scale_per_coordinate():
    rng = np.random.default_rng(5)
    mean, sigma = np.array([1.0, 0.5, 0.0]), np.array([1.0, 3.0, 2.0])
    g = mean + rng.standard_normal((50, 20, 3)) * sigma / 4
    value, (lower, upper) = gradient_noise_scale(g, 16, per_coordinate=True)
    assert value.shape == lower.shape == upper.shape == (3,)
    assert np.all((lower[:2] < [1.0, 36.0]) & (upper[:2] > [1.0, 36.0]))
    assert upper[2] == np.inf
    parts = noise_moments(g, 16, per_coordinate=True)
    whole = noise_moments(g, 16)
    assert parts.trace.sum() == pytest.approx(whole.trace)
    assert parts.gradient_norm_squared.sum() == pytest.approx(whole.gradient_norm_squared)
    np.testing.assert_allclose(parts.trace, sigma**2, rtol=0.2)
    single = gradient_noise_scale(g[:, :, :1], 16, per_coordinate=True)
    assert single.value.shape == (1,)
    assert single.value[0] == pytest.approx(gradient_noise_scale(g[:, :, :1], 16).value)


def test_the_jackknife_is_the_plain_one():
    g = draw(np.random.default_rng(6), 5, 8)
    left = np.array([noise_moments(np.delete(g, j, axis=0), 8) for j in range(5)])
    covariance = 4 / 5 * (left - left.mean(axis=0)).T @ (left - left.mean(axis=0))
    S, G = noise_moments(g, 8)
    from scipy.stats import t

    lower, upper = gradient_noise_scale(g, 8).interval
    for end in (lower, upper):
        if 0 < end < np.inf:
            width = t.ppf(0.975, 4) * np.sqrt(covariance[0, 0] - 2 * end * covariance[0, 1] + end**2 * covariance[1, 1])
            assert abs(S - end * G) == pytest.approx(width, rel=1e-8)
    assert lower > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1.0, 2.0]], 4), "gradients of 1 worker have no spread; expected at least 2"),
        (([1.0, 2.0], 4), r"gradients has shape \(2,\); expected \(workers, d\)"),
        (([[1.0], [np.nan]], 4), "gradients contain NaN or infinity"),
        (([[1.0], [2.0]], 0), "batch_size = 0; expected a whole number of at least 1"),
    ],
)
def test_wrong_gradients_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        gradient_noise_scale(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, 2.0], [1.0], 1, 2), r"squared norms have shapes \(2,\) and \(1,\)"),
        (([-1.0], [1.0], 1, 2), "squared norms contain a negative number"),
        (([1.0], [1.0], 4, 4), "small = 4 and big = 4; expected the second batch to be larger"),
    ],
)
def test_wrong_norms_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        two_batch_noise_scale(*arguments)


def test_a_level_is_a_probability():
    with pytest.raises(ValueError, match="level = 0; expected a probability above 0 and below 1"):
        gradient_noise_scale(np.eye(3), 2, level=0.0)
