"""Does the interval of an estimated R_med keep its promise? Coverage on matrices whose R_med is known."""

import math

import numpy as np
import pytest
from scipy import stats

from anisotropic.geometry import estimate_r_med, median_interval, quantile_ratio_interval
from anisotropic.geometry.order_statistics import population_quantile


def matrix(kind, n, rng):
    """Flat, heavy-tailed, or low rank plus noise; off-diagonal rows up to six times the median diagonal entry."""
    noise = rng.standard_normal((n, n))
    noise = (noise + noise.T) / np.sqrt(2)
    if kind == "low rank":
        U = rng.standard_normal((n, rng.integers(1, 8)))
        return U @ U.T / U.shape[1] + 0.1 * rng.random() * noise
    if kind == "flat":
        h = rng.choice([-1.0, 1.0], n) if rng.random() < 0.5 else np.ones(n)
    else:
        h = rng.standard_t(2, n) if rng.random() < 0.5 else rng.lognormal(sigma=1.5, size=n)
    H = noise * rng.uniform(0, 6) / np.sqrt(n) * np.median(np.abs(h))
    np.fill_diagonal(H, h)
    return H


def true_r_med(H):
    h = np.abs(np.diag(H))
    return h.max() / np.median(h)


@pytest.mark.parametrize("kind", ["flat", "heavy tails", "low rank"])
def test_interval_covers(kind):
    """24 matrices a kind at level 0.05: 5 or more misses have probability below 1 % at exactly 95 % coverage."""
    covered = 0
    for seed in range(24):
        H = matrix(kind, 300, np.random.default_rng(seed))
        low, high = estimate_r_med(lambda v, H=H: H @ v, 300, entries=60, probes=48, exact=16, seed=seed).interval
        covered += low <= true_r_med(H) <= high
    assert covered >= 20


def test_reports_what_was_evaluated():
    H = matrix("heavy tails", 500, np.random.default_rng(1))
    found = estimate_r_med(lambda v: H @ v, 500, entries=100, probes=64, exact=32, seed=3)
    assert (found.size, found.sampled, found.evaluated, found.method) == (500, 100, 132, "subset")
    assert found.interval[0] <= found.value <= found.interval[1]
    assert found.maximum <= np.abs(np.diag(H)).max()
    again = estimate_r_med(lambda v: H @ v, 500, entries=100, probes=64, exact=32, seed=3)
    assert found == again


def test_small_layers_are_exact():
    H = matrix("heavy tails", 120, np.random.default_rng(2))
    found = estimate_r_med(lambda v: H @ v, 120)
    assert found.value == pytest.approx(true_r_med(H)) and found.method == "exact"
    assert found.interval == (found.value, found.value)


def test_stopping_rule_reaches_its_width():
    H = matrix("heavy tails", 800, np.random.default_rng(5))
    wide = estimate_r_med(lambda v: H @ v, 800, entries=50, probes=32, exact=4)
    narrow = estimate_r_med(lambda v: H @ v, 800, entries=50, probes=32, exact=4, width=1.4)
    assert wide.interval[1] / wide.interval[0] > 1.4 >= narrow.interval[1] / narrow.interval[0]
    assert narrow.evaluated > wide.evaluated and narrow.interval[0] <= true_r_med(H) <= narrow.interval[1]


def test_few_probes_leave_no_upper_end():
    H = matrix("flat", 400, np.random.default_rng(6))
    assert estimate_r_med(lambda v: H @ v, 400, entries=50, probes=4, exact=4).interval[1] == math.inf


def test_mostly_flat_layer_gives_nan():
    h = np.zeros(1000)
    h[::10] = 1.0
    found = estimate_r_med(lambda v: h * v, 1000, entries=100)
    assert math.isnan(found.value) and math.isnan(found.interval[0]) and found.zeros > 80


@pytest.mark.parametrize(("k", "ranks"), [(100, (40, 61)), (200, (86, 115)), (400, (180, 221))])
def test_ranks_of_the_median_interval(k, ranks):
    """Ranks from the binomial quantiles, as scipy has them: lower ppf(0.025), upper ppf(0.975) + 1."""
    law = stats.binom(k, 0.5)
    assert ranks == (law.ppf(0.025), law.ppf(0.975) + 1)
    assert median_interval(np.arange(1.0, k + 1)) == ranks


@pytest.mark.parametrize(("quantile", "population"), [(0.5, 1000), (0.5, 121), (0.9, 300), (0.5, None)])
def test_population_quantile_covers(quantile, population):
    """2,000 samples of 100: at least 94 % covered (fails with probability 2 % at exactly 95 %)."""
    rng, covered = np.random.default_rng(0), 0
    values = rng.lognormal(size=population or 10)
    for _ in range(2000):
        sample = rng.lognormal(size=100) if population is None else rng.choice(values, 100, replace=False)
        if population is None:
            truth = 1.0
        elif quantile == 0.5:
            truth = np.median(values)
        else:
            truth = np.sort(values)[math.ceil(quantile * population) - 1]
        low, high = population_quantile(sample, quantile, population=population)
        covered += low <= truth <= high
    assert covered >= 1880


def test_whole_population_leaves_no_doubt():
    x = np.random.default_rng(0).lognormal(size=51)
    assert median_interval(x, population=51) == (np.median(x), np.median(x))
    assert population_quantile(x, 0.9, population=51) == (np.sort(x)[45], np.sort(x)[45])


def test_ratio_of_quantiles_needs_enough_entries_for_an_upper_end():
    x = np.random.default_rng(0).lognormal(size=50)
    assert quantile_ratio_interval(x, 0.99)[1] == math.inf
    low, high = quantile_ratio_interval(np.random.default_rng(0).lognormal(size=2000), 0.95)
    assert low < math.exp(stats.norm.ppf(0.95)) < high < 2 * low


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": 1.0}, "level = 1; expected a number between 0 and 1"),
        ({"width": 1.0}, "width = 1; expected a factor above 1"),
        ({"probes": 1}, "probes = 1"),
        ({"exact": -1}, "exact = -1"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        estimate_r_med(lambda v: v, 100, **options)


def test_bad_samples():
    with pytest.raises(ValueError, match="population = 2; expected at least the 3 values"):
        median_interval([1.0, 2.0, 3.0], population=2)
    with pytest.raises(ValueError, match="quantile = 1"):
        population_quantile([1.0], 1.0)
    with pytest.raises(ValueError, match="level = 0"):
        population_quantile([1.0], 0.5, level=0.0)
