"""Are exponents found with honest intervals, and curves without an exponent refused?"""

import numpy as np
import pytest
from scipy import stats
from sympy import sqrt

from anisotropic.bounds.symbols import T
from anisotropic.bounds.theorem import Bound, Requires
from anisotropic.evidence.rates import NotAPowerLaw, fit_rate
from anisotropic.records import Facts, Run

HORIZONS = (100, 300, 1000, 3000, 10_000)


def run(values, steps, **facts):
    values = np.asarray(values, dtype=np.float64)
    return Run(
        steps=np.asarray(steps), start=np.zeros(1), statistics={"gap": values}, status=np.full(len(values), "ok"),
        initial_gap=1.0, facts=Facts(**{"optimizer": "sgd", "law": "gaussian"} | facts),
    )


def horizons(curve, rng, replicas=100, times=HORIZONS, spread=0.5):
    """Independent runs, one per horizon, with exponential noise of relative size `spread`."""
    return [
        run(curve(t) * (1 - spread + spread * rng.exponential(size=(replicas, 1))), [t], seed=k)
        for k, t in enumerate(times)
    ]


@pytest.mark.parametrize("exponent", [-1.0, -0.5, -0.25])
def test_exact_power_law_is_found_exactly(exponent):
    fit = fit_rate(horizons(lambda t: 7 * t**exponent, np.random.default_rng(0), spread=0.0), "gap")
    assert fit.slope == pytest.approx(exponent, abs=1e-12)
    assert fit.exponents == pytest.approx(np.full(4, exponent), abs=1e-12)
    assert fit.drift == pytest.approx(0, abs=1e-11) and not fit.single_run


def test_interval_covers_the_slope_of_independent_runs():
    rng, trials = np.random.default_rng(1), 600
    missed = 0
    for _ in range(trials):
        low, high = fit_rate(horizons(lambda t: t**-0.5, rng, spread=0.1), "gap", level=0.05).interval
        missed += not low <= -0.5 <= high
    assert missed <= stats.binom.ppf(1 - 1e-4, trials, 0.055)
    assert missed >= stats.binom.ppf(1e-4, trials, 0.03)


def test_interval_covers_the_slope_of_one_run_whose_records_are_correlated():
    rng, trials, steps = np.random.default_rng(2), 400, np.unique(np.geomspace(100, 10_000, 40).astype(int))
    missed = 0
    for _ in range(trials):
        wiggle = np.cumsum(rng.standard_normal((200, steps.size)) * 0.1, axis=1)
        one = run(steps**-0.5 * (1 + wiggle + 0.3 * rng.standard_normal((200, 1))), steps, optimizer="adagrad")
        try:
            low, high = fit_rate(one, "gap", level=0.05).interval
        except NotAPowerLaw:
            missed += 1
            continue
        missed += not low <= -0.5 <= high
    assert stats.binom.ppf(1e-4, trials, 0.03) <= missed <= stats.binom.ppf(1 - 1e-4, trials, 0.06)


def test_common_random_numbers_narrow_the_interval():
    rng = np.random.default_rng(3)
    shared = 0.5 + 0.5 * rng.exponential(size=(100, 1))
    paired = [run(shared * t**-0.5, [t], seed=0) for t in HORIZONS]
    apart = horizons(lambda t: t**-0.5, rng)
    def width(runs):
        low, high = fit_rate(runs, "gap").interval
        return high - low

    assert width(paired) < 1e-6 < width(apart)


@pytest.mark.parametrize(
    ("curve", "says"),
    [
        (lambda t: 30 / t + 1 / t**0.5, r"not a power law: the local exponent goes from -0\.8\d* to -0\.6"),
        (lambda t: 10 / t**0.5 + 1, "not a power law"),
        (lambda t: 1.0 + 0 * t, "is a plateau"),
        (lambda t: t**-0.01, "is a plateau"),
        (lambda t: np.exp(-t / 3000), "not a power law"),
    ],
)
def test_windows_without_an_exponent_are_refused(curve, says):
    runs = horizons(curve, np.random.default_rng(4), replicas=4000, spread=0.2)
    with pytest.raises(NotAPowerLaw, match=says) as caught:
        fit_rate(runs, "gap")
    assert np.isnan(caught.value.fit.slope) and caught.value.fit.exponents.size == 4


def test_true_power_laws_are_hardly_ever_refused():
    rng, trials = np.random.default_rng(5), 300
    refused = 0
    for _ in range(trials):
        try:
            fit_rate(horizons(lambda t: t**-0.5, rng), "gap", level=0.05)
        except NotAPowerLaw:
            refused += 1
    assert refused <= stats.binom.ppf(1 - 1e-4, trials, 0.055)


def test_window_selects_horizons():
    times = (1, 3, 10, 10**10, 10**11, 10**12)
    runs = horizons(lambda t: 3000 / t + 3 / t**0.5, np.random.default_rng(6), spread=0.0, times=times)
    assert fit_rate(runs, "gap", window=(1, 10)).slope == pytest.approx(-1, abs=0.01)
    assert fit_rate(runs, "gap", window=(1e10, 1e12)).slope == pytest.approx(-0.5, abs=0.01)


def test_single_run_only_for_any_time_methods_and_says_so():
    steps = np.unique(np.geomspace(1, 10_000, 80).astype(int))
    values = np.ones((5, 1)) / steps**0.5
    with pytest.raises(ValueError, match="one run of 'sgd', whose step size is fixed for one horizon"):
        fit_rate(run(values, steps), "gap")
    for facts in ({"optimizer": "adagrad"}, {"schedule": "inverse_sqrt"}, {"law": "none"}):
        fit = fit_rate(run(values, steps, **facts), "gap")
        assert fit.single_run and "one run of an any-time method" in str(fit)
        assert fit.slope == pytest.approx(-0.5, abs=1e-12) and fit.steps.size == 12
    with pytest.raises(ValueError, match="fixed for one horizon"):
        fit_rate(run(values, steps, optimizer="adagrad", schedule="step found by search"), "gap")
    assert fit_rate(run(values, steps), "gap", any_time=True).slope == pytest.approx(-0.5, abs=1e-12)


def test_report_fits_a_terminal():
    fit = fit_rate(horizons(lambda t: t**-0.5, np.random.default_rng(7)), "gap")
    assert max(map(len, str(fit).splitlines())) <= 80 and "5 horizons" in str(fit)


def test_wrong_input_is_answered_with_a_sentence():
    rng = np.random.default_rng(8)
    runs = horizons(lambda t: 1 / t, rng)
    with pytest.raises(ValueError, match="2 runs end at T = 100; fit_rate takes one run per horizon"):
        fit_rate([runs[0], *runs], "gap")
    with pytest.raises(ValueError, match="2 horizons in the window .* at least 3"):
        fit_rate(runs[:2], "gap")
    with pytest.raises(ValueError, match="gap is not finite in 1 of 100 replicas at T = 100"):
        broken = runs[0]["gap"].copy()
        broken[3] = np.nan
        fit_rate([run(broken, [100]), *runs[1:]], "gap")
    with pytest.raises(ValueError, match="mean of gap at T = 100 is -1; a rate needs positive values"):
        fit_rate([run(-np.ones((5, 1)), [100]), *runs[1:]], "gap")
    with pytest.raises(ValueError, match="share seed 1 but have 7 and 100 replicas"):
        fit_rate([run(np.ones((7, 1)), [200], seed=1), *runs], "gap")
    with pytest.raises(KeyError, match="no statistic 'gapp'"):
        fit_rate(runs, "gapp")


# ---- the exponent of the theorem beside the fitted one ---------------------------------------------------------------


def test_the_bounds_exponent_over_the_same_horizons():
    runs = horizons(lambda t: 2 * t**-0.7, np.random.default_rng(7), spread=0.1)
    bound = Bound("claim", "gap", terms={"a": 5 / sqrt(T) + 0 * T}, horizon=True)
    fit = fit_rate(runs, "gap", bound=bound)
    assert fit.claimed == pytest.approx(-0.5, abs=1e-12) and fit.bound == "claim"
    assert "claim ~ T^-0.500 over the same horizons" in str(fit) and "claim" not in str(fit_rate(runs, "gap"))


def test_a_bound_of_another_measure_or_one_that_does_not_apply_is_refused():
    runs = horizons(lambda t: 2 * t**-0.7, np.random.default_rng(7), spread=0.1)
    with pytest.raises(ValueError, match="claim bounds 'mean_gap', and the rate is that of 'gap'"):
        fit_rate(runs, "gap", bound=Bound("claim", "mean_gap", terms={"a": 1 / T}))
    with pytest.raises(ValueError, match="claim does not apply at T = 100: the optimizer is 'sgd'"):
        fit_rate(runs, "gap", bound=Bound("claim", "gap", terms={"a": 1 / T}, requires=Requires("adam")))
