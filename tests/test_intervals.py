"""Do the intervals cover what they promise, and is it said where they only promise it for many replicas?"""

import numpy as np
import pytest
from rounding import EPS
from scipy import stats
from scipy.optimize import brentq

from anisotropic import intervals as iv

NOMINAL = 0.05


def exponential(rng, size):
    return rng.exponential(size=size)


def chi_square(rng, size):
    return rng.standard_normal(size) ** 2


def gaussian(rng, size):
    return 1 + rng.standard_normal(size)


def heavy(rng, size):
    return 2 * rng.pareto(3.0, size)


LAWS = [gaussian, exponential, chi_square, heavy]


def most_plausible(rate, trials):
    """Largest count that a false-alarm rate of `rate` explains; exceeded once in 10,000 such tests."""
    return stats.binom.ppf(1 - 1e-4, trials, rate)


def misses(law, sign, replicas, level, trials=4000):
    x = sign * law(np.random.default_rng(5), (replicas, trials))
    limits = iv.t_limits(x, level)
    return int(np.sum(limits.low > sign)), int(np.sum(limits.high < sign))


@pytest.mark.parametrize("law", LAWS)
def test_lower_limit_of_a_gap_never_exceeds_its_nominal_rate(law):
    for replicas in (64, 256):
        assert misses(law, 1, replicas, NOMINAL)[0] <= most_plausible(NOMINAL / 2, 4000)


@pytest.mark.parametrize("law", [gaussian, exponential, chi_square])
def test_both_limits_together_keep_the_level(law):
    for sign in (1, -1):
        assert sum(misses(law, sign, 256, NOMINAL)) <= most_plausible(NOMINAL, 4000)


def test_upper_limit_of_a_heavy_tailed_gap_exceeds_the_rate_and_how_far():
    _, above = misses(heavy, 1, 256, NOMINAL)
    assert most_plausible(NOMINAL / 2, 4000) < above <= most_plausible(0.05, 4000)


def test_skewness_correction_is_worth_its_lines():
    x = chi_square(np.random.default_rng(6), (256, 20_000))
    level = 1e-3
    student = x.mean(0) + stats.t.ppf(1 - level / 2, 255) * x.std(0, ddof=1) / 16 < 1
    corrected = iv.t_limits(x, level).high < 1
    assert student.sum() > 3 * 20_000 * level / 2
    assert corrected.sum() <= most_plausible(1.5 * level / 2, 20_000)


def test_symmetric_sample_gives_students_limits():
    x = [1.0, 3.0, 5.0, 7.0, 9.0]
    found = iv.mean_interval(x, 0.01)
    expected = stats.ttest_1samp(x, 0).confidence_interval(0.99)
    assert (found.low, found.high) == pytest.approx(tuple(expected), rel=1e-12)
    assert found.kind == "t"


@pytest.mark.parametrize("sign", [1, -1])
def test_skewed_sample_gives_halls_cubic_solved_by_hand(sign):
    x = sign * exponential(np.random.default_rng(1), 40)
    z, n, skewness = stats.t.ppf(0.995, 39), 40, np.mean((x - x.mean()) ** 3) / np.std(x, ddof=1) ** 3

    def cubic(t):
        a = skewness / (3 * np.sqrt(n))
        return t + a * t**2 + a**2 * t**3 / 3 + a / 2

    error = np.std(x, ddof=1) / np.sqrt(n)
    below, above = brentq(lambda t: cubic(t) - z, -50, 50), -brentq(lambda t: cubic(t) + z, -50, 50)
    found = iv.mean_interval(x, 0.01)
    assert found.low == pytest.approx(x.mean() - error * max(z, below), rel=1e-9)
    assert found.high == pytest.approx(x.mean() + error * max(z, above), rel=1e-9)


def test_constant_sample_has_no_width():
    found = iv.mean_interval(np.full(10, 0.1))
    assert found.estimate == pytest.approx(0.1, rel=10 * EPS)
    assert found.low <= found.estimate <= found.high and found.high - found.low <= 10 * EPS * 0.1


def test_limits_scale_with_the_unit():
    x = exponential(np.random.default_rng(2), 50)
    small, plain = iv.mean_interval(1e-200 * x), iv.mean_interval(x)
    assert (small.low, small.high) == pytest.approx((1e-200 * plain.low, 1e-200 * plain.high), rel=1e-12)


def test_bounded_interval_is_empirical_bernstein():
    x = np.array([0.0, 1.0, 1.0, 0.0, 1.0] * 200)
    found = iv.mean_interval(x, 0.02, support=(0.0, 1.0))
    logarithm, variance = np.log(2 / 0.01), 0.24 * 1000 / 999
    width = np.sqrt(2 * variance * logarithm / 1000) + 7 * logarithm / (3 * 999)
    assert (found.low, found.high) == pytest.approx((0.6 - width, 0.6 + width), rel=1e-12)
    assert found.kind == "bounded"


def test_bounded_interval_holds_where_the_asymptotic_one_fails():
    trials, replicas, p = 2000, 50, 0.01
    x = (np.random.default_rng(3).random((replicas, trials)) < p).astype(float)
    asymptotic = iv.t_limits(x, NOMINAL)
    bounded = iv.bounded_limits(x, NOMINAL, (0.0, 1.0))
    assert np.mean(asymptotic.high < p) > 0.5
    assert np.sum((bounded.low > p) | (bounded.high < p)) <= most_plausible(NOMINAL, trials)


def test_bounded_limits_stay_in_the_range_and_contain_the_asymptotic_ones():
    x = np.random.default_rng(4).random((100, 50))
    inner, outer = iv.t_limits(x, 0.01), iv.bounded_limits(x, 0.01, (0.0, 1.0))
    assert np.all(outer.low <= inner.low) and np.all(inner.high <= outer.high)
    assert outer.low.min() >= 0 and outer.high.max() <= 1


def test_values_outside_the_promised_range_are_refused():
    with pytest.raises(ValueError, match=r"a value of 3 lies outside the range \[0, 2\]"):
        iv.mean_interval([1.0, 3.0], support=(0.0, 2.0))


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (3, 10), (10, 10), (17, 400)])
def test_proportion_interval_is_scipys_exact_one(successes, trials):
    expected = stats.binomtest(successes, trials).proportion_ci(0.99, method="exact")
    found = iv.proportion_interval(successes, trials, 0.01)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize("probability", [0.5, 0.9, 0.99])
def test_quantile_limits_are_clopper_pearson_read_backwards(probability):
    x = np.arange(300.0)
    found = iv.quantile_interval(x, probability, 0.01)
    for b in np.arange(-0.5, 300, 1.0):
        above = iv.proportion_interval(int(np.sum(x > b)), 300, 0.01)
        assert (found.low > b) == (above.low > 1 - probability)
        assert (found.high < b) == (above.high < 1 - probability)


def test_quantile_limit_that_the_sample_cannot_give_is_infinite():
    found = iv.quantile_interval(np.arange(20.0), 0.99, 0.05)
    assert found.high == np.inf and found.low < 19


def test_quantile_interval_covers():
    x = exponential(np.random.default_rng(8), (400, 2000))
    limits, truth = iv.quantile_limits(x, 0.9, NOMINAL), np.log(10)
    assert np.sum((limits.low > truth) | (limits.high < truth)) <= most_plausible(NOMINAL, 2000)


@pytest.mark.parametrize("paired", [True, False])
def test_ratio_interval_holds_the_ratios_that_a_t_test_accepts(paired):
    rng = np.random.default_rng(9)
    x = 3 + rng.random(30)
    y = 2 + 0.5 * (x - 3) + 0.3 * rng.random(30)
    found = iv.ratio_interval(x, y, 0.05, paired=paired)
    for r, inside in [(found.low * 0.9999, False), (found.low * 1.0001, True), (found.high * 1.0001, False)]:
        z = x - r * y
        spread = np.std(z, ddof=1) if paired else np.hypot(np.std(x, ddof=1), r * np.std(y, ddof=1))
        assert bool(abs(z.mean()) <= stats.t.ppf(0.975, 29) * spread / np.sqrt(30)) is inside


def test_ratio_interval_covers_the_ratio_of_skewed_gaps():
    rng = np.random.default_rng(10)
    trials, missed = 1500, 0
    for _ in range(trials):
        common = rng.exponential(size=64)
        found = iv.ratio_interval(common + 0.3 * rng.exponential(size=64), common, NOMINAL)
        missed += not found.low <= 1.3 <= found.high
    assert missed <= most_plausible(0.06, trials)


def test_ratio_to_a_mean_that_may_be_zero_is_unbounded():
    found = iv.ratio_interval([1.0, 2.0, 3.0], [-1.0, 2.0, 0.5])
    assert (found.low, found.high) == (-np.inf, np.inf)


def test_difference_interval_paired_and_not():
    rng = np.random.default_rng(11)
    x, y = 1 + rng.standard_normal(50), rng.standard_normal(50)
    welch = stats.ttest_ind(x, y, equal_var=False).confidence_interval(0.9)
    unpaired = iv.difference_interval(x, y, 0.1, paired=False)
    assert (unpaired.low, unpaired.high) == pytest.approx((welch.low, welch.high), rel=1e-9)
    assert iv.difference_interval(x, y, 0.1) == iv.mean_interval(x - y, 0.1)


def test_wrong_input_is_answered_with_a_sentence():
    with pytest.raises(ValueError, match=r"x\[1\] = nan \(1 of 3 not finite\)"):
        iv.mean_interval([1.0, np.nan, 2.0])
    with pytest.raises(ValueError, match="expected one number per replica, at least 2 replicas"):
        iv.mean_interval([1.0])
    with pytest.raises(ValueError, match="level = 5; expected a probability"):
        iv.mean_interval([1.0, 2.0], level=5)
    with pytest.raises(ValueError, match="12 successes in 10 trials"):
        iv.proportion_interval(12, 10)
    with pytest.raises(ValueError, match="x has 2 values and y has 3"):
        iv.ratio_interval([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="probability = 1.5"):
        iv.quantile_interval([1.0, 2.0], 1.5)
