"""Is a false theorem caught, a true one left alone, and a theorem that does not apply refused with all reasons?"""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from anisotropic import bounds
from anisotropic.bounds.symbols import M, R, T, delta, sigma, total, uniform_step_size
from anisotropic.bounds.theorem import Bound, Requires
from anisotropic.evidence.verdicts import measured_range, verify
from anisotropic.records import Facts, Run

FACTS = Facts(optimizer="sgd", objective="fake", noise="gaussian", law="gaussian", dim=1, properties=("convex",))


def fake(values, steps=None, *, measure="gap", known=None, **facts):
    """A run that shows `values`, (replicas, records), of one statistic."""
    values = np.asarray(values, dtype=np.float64)
    values = values[:, None] if values.ndim == 1 else values
    steps = np.arange(1, values.shape[1] + 1) if steps is None else np.asarray(steps)
    lost = ~np.isfinite(values).all(axis=1)
    return Run(
        steps=steps, start=np.zeros(1), statistics={measure: values}, status=np.where(lost, "diverged", "ok"),
        initial_gap=1.0, known=known or {}, facts=replace(FACTS, **facts),
    )


def claim(value, kind="upper", **options):
    return Bound("claim", "gap", kind, {"bound": value}, **options)


def gaps(seed, size, mean=1.0):
    return mean * np.random.default_rng(seed).exponential(size=size)


# ---- the three answers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value", "status"),
    [
        ("upper", 2.0, "not contradicted"), ("upper", 0.5, "violated"), ("upper", 1.0, "inconclusive"),
        ("lower", 0.5, "not contradicted"), ("lower", 2.0, "violated"), ("lower", 1.0, "inconclusive"),
        ("equality", 1.0, "not contradicted"), ("equality", 0.9, "violated"), ("equality", 1.1, "violated"),
    ],
)
def test_answers_for_a_gap_of_mean_one(kind, value, status):
    assert verify(claim(value, kind), fake(gaps(0, 5000))).status == status


def test_limits_slack_and_power_are_those_of_the_record_with_the_smallest_slack():
    values = gaps(1, (400, 1)) * np.array([[1.0, 0.8, 0.1]])
    verdict = verify(Bound("claim", "gap", "upper", {"bias": 2 / T}), fake(values, [1, 2, 4]), level=0.03)
    assert verdict.record == 1 and verdict.steps == 2
    assert verdict.slacks == pytest.approx(np.array([2.0, 1.0, 0.5]) / values.mean(axis=0), rel=1e-12)
    assert verdict.slack == min(verdict.slacks) == pytest.approx(1.0 / verdict.estimate)
    assert verdict.power == pytest.approx(1.0 / verdict.interval[0])
    student = stats.ttest_1samp(values[:, 1], 0).confidence_interval(1 - 0.03 / 3)
    assert verdict.interval[0] == pytest.approx(student.low, rel=1e-12)


def test_power_is_the_factor_beyond_which_the_error_is_seen():
    run = fake(gaps(2, 300))
    power = verify(claim(3.0), run).power
    assert verify(claim(3.0 / (power * 1.001)), run).status == "violated"
    assert verify(claim(3.0 / (power * 0.999)), run).status != "violated"


def test_power_of_a_lower_bound_is_mirrored():
    run = fake(gaps(2, 300))
    power = verify(claim(0.2, "lower"), run).power
    assert verify(claim(0.2 * power * 1.001, "lower"), run).status == "violated"
    assert verify(claim(0.2 * power * 0.999, "lower"), run).status != "violated"


# ---- false alarms ---------------------------------------------------------------------------------------------------

LAWS = {
    "gaussian": lambda rng, n: 1 + 0.3 * rng.standard_normal(n),
    "exponential": lambda rng, n: rng.exponential(size=n),
    "chi-square": lambda rng, n: rng.standard_normal(n) ** 2,
    "heavy": lambda rng, n: 2 * rng.pareto(3.0, n),
}


def test_records_at_which_a_lower_bound_claims_nothing_do_not_tell():
    """Slack 1 of "0 >= 0" and slack infinity of "0.5 >= 0" say nothing; the telling record is the one with a claim."""
    rising = Bound("rising", "gap", "lower", {"growth": T - 2})
    run = fake(np.tile([0.0, 0.5, 4.0, 5.0], (2, 1)), law="none")
    verdict = verify(rising, run)
    assert verdict.status == "not contradicted" and verdict.horizons == (3, 4)
    assert (verdict.steps, verdict.bound, verdict.slack, verdict.power) == (4, 2.0, 2.5, 2.5)
    low = fake(np.tile([0.0, 0.5, 4.0, 1.0], (2, 1)), law="none")
    assert verify(rising, low).status == "violated" and verify(rising, low).steps == 4


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_lower_bound_that_claims_nothing_anywhere_does_not_apply(value):
    verdict = verify(claim(value, "lower"), fake(gaps(3, 50)))
    assert verdict.status == "not applicable"
    assert verdict.reason == (
        "the bound (form simple) is not above zero at any T looked at, and the quantity is never below zero, so it "
        "claims nothing that could be compared"
    )


def test_a_lower_bound_below_zero_claims_something_of_a_statistic_that_may_be_negative():
    run = fake(np.full((2, 2), -2.0), measure="own", law="none")
    assert verify(Bound("claim", "own", "lower", {"bound": -1.0}), run).status == "violated"
    assert verify(Bound("claim", "own", "lower", {"bound": -3.0}), run).status == "not contradicted"


@pytest.mark.parametrize("kind", ["upper", "lower"])
@pytest.mark.parametrize("law", LAWS)
def test_false_alarms_at_level_five_percent(law, kind):
    """A claim equal to the mean is true for both kinds; each test has the level to itself, on one side of two."""
    rng, trials, truth = np.random.default_rng(3), 600, claim(1.0, kind)
    alarms = sum(verify(truth, fake(LAWS[law](rng, 128)), level=0.1).status == "violated" for _ in range(trials))
    heavier_than_any_correction = law == "heavy" and kind == "lower"
    rate = 0.08 if heavier_than_any_correction else 0.05
    assert alarms <= stats.binom.ppf(1 - 1e-4, trials, rate)
    if heavier_than_any_correction:
        assert alarms > trials * 0.05


def test_false_alarms_over_many_records_together():
    rng, trials = np.random.default_rng(4), 300
    alarms = 0
    for _ in range(trials):
        path = 1 + 0.3 * np.cumsum(rng.standard_normal((64, 20)), axis=1)
        alarms += verify(claim(1.0), fake(path), level=0.05).status == "violated"
    assert alarms <= stats.binom.ppf(1 - 1e-4, trials, 0.05)


def test_equality_does_not_cry_wolf_on_skewed_gaps():
    rng, trials = np.random.default_rng(5), 200
    alarms = sum(
        verify(claim(1.0, "equality"), fake(rng.standard_normal((4000, 1)) ** 2), level=0.05).status == "violated"
        for _ in range(trials)
    )
    assert alarms <= stats.binom.ppf(1 - 1e-4, trials, 0.05)


def test_equality_needs_replicas_and_looks_at_five_records():
    few = verify(claim(1.0, "equality"), fake(gaps(6, 300)))
    assert few.status == "inconclusive" and "at least 4,000 replicas" in few.reason
    many = verify(claim(1.0, "equality"), fake(gaps(6, (4000, 40))))
    assert len(many.slacks) == 5


# ---- hypotheses first -----------------------------------------------------------------------------------------------


def test_every_unmet_hypothesis_is_listed_with_its_value():
    run = fake(gaps(7, 50), measure="mean_gap", known={"step_size": 3.0, "L": 1.0, "M": 1}, optimizer="adam")
    verdict = verify(bounds.convex_sgd, run)
    assert verdict.status == "not applicable"
    assert any("'adam'" in c for c in verdict.conditions)
    assert "noise level unknown" in verdict.conditions
    assert "distance of the start from a minimizer unknown" in verdict.conditions
    assert any("3 against 1" in c for c in verdict.conditions)
    assert len(verdict.conditions) == 4


def test_unknown_smoothness_is_named():
    run = fake(gaps(7, 50), measure="mean_gap", known={"step_size": 0.1, "sigma": 1.0, "R": 1.0, "M": 1})
    assert verify(bounds.convex_sgd, run).summary == "not applicable: smoothness unknown"


def test_a_violated_condition_comes_before_the_inequality():
    known = {"step_size": 3.0, "L": 1.0, "M": 1, "sigma": 1.0, "R": 0.001}
    verdict = verify(bounds.convex_sgd, fake(gaps(7, 50) + 1e6, measure="mean_gap", known=known))
    assert verdict.status == "not applicable"


def test_unknown_minimum_and_unrecorded_statistic():
    run = fake(np.full((4, 1), np.nan))
    object.__setattr__(run, "status", np.full(4, "ok"))
    assert "the minimum of the objective is unknown" in verify(claim(1.0), run).reason
    other = Bound("claim", "sparsity", "upper", {"bound": 1.0})
    assert "no statistic 'sparsity'; it has gap; record it with measures=" in verify(other, run).reason


def test_requirements_of_a_bound_of_ones_own():
    needy = claim(1.0, requires=Requires(box=True))
    assert "not confined to a box" in verify(needy, fake(gaps(8, 50))).reason


@pytest.mark.parametrize("kind", ["upper", "equality"])
def test_a_diverged_replica_is_a_violation(kind):
    values = np.vstack([gaps(9, (4999, 3), 0.01), [[0.01, np.nan, np.nan]]])
    verdict = verify(claim(1.0 if kind == "upper" else 0.01, kind), fake(values))
    assert verdict.status == "violated" and verdict.record > 0
    assert verdict.reason == "1 of 5000 replicas diverged, with every hypothesis met"
    assert verdict.estimate == np.inf


def test_a_diverged_replica_does_not_contradict_a_lower_bound():
    values = np.vstack([gaps(9, (99, 2)), [[1.0, np.nan]]])
    assert verify(claim(0.1, "lower"), fake(values)).status == "not contradicted"


# ---- terms ----------------------------------------------------------------------------------------------------------

TWO_TERMS = Bound(
    "two", "mean_gap", "upper",
    {"bias": total(R**2) / (2 * uniform_step_size * T), "noise": uniform_step_size * total(sigma**2) / (2 * M)},
    conditions=bounds.convex_sgd.conditions,
)
KNOWN = {"L": 1.0, "sigma": 1.0, "R": 1.0, "step_size": 0.5, "M": 1}


def test_only_terms_whose_deletion_would_be_refuted_are_tested():
    steps = np.array([1, 10, 100, 1000])
    level = (1.0 / steps + 0.25) * 0.9
    values = gaps(10, (2000, 1)) * level
    both = verify(TWO_TERMS, fake(values, steps, measure="mean_gap", known=KNOWN))
    assert [(t.name, t.exercised) for t in both.terms] == [("bias", True), ("noise", True)]
    assert both.summary == "not contradicted"
    assert sum(t.share for t in both.terms) == pytest.approx(1.0)

    decaying = fake(gaps(10, (2000, 1)) * 0.9 / steps, steps, measure="mean_gap", known=KNOWN)
    assert verify(TWO_TERMS, decaying).summary == "not contradicted; not tested: noise term"
    dropped = Bound("two", "mean_gap", "upper", {"bias": TWO_TERMS.additive["bias"]}, conditions=TWO_TERMS.conditions)
    assert verify(dropped, decaying).status == "not contradicted"


def test_deleting_the_cause_of_a_term_in_a_form_that_is_solved_for():
    known = {"L": np.ones(4), "sigma": np.full(4, 5.0), "D": np.full(4, 2.0), "step_size": np.sqrt(2), "eps": 0.0,
             "M": 1}  # fmt: skip
    steps = np.array([10, 1000])
    b = bounds.convex_adagrad
    silent = [b(form="tight", **known | {"sigma": 0.0, "T": t, "d": 4}) for t in steps]
    value = [b(form="tight", **known | {"T": t}) for t in steps]
    between = np.array([0.5 * silent[0], np.sqrt(silent[1] * value[1])])
    run = fake(between * np.ones((3, 1)), steps, measure="mean_gap", known=known, optimizer="adagrad", box=True,
               law="none", properties=["convex", "interior minimizer"], settings={"preset": "convex"})
    object.__setattr__(run, "start", np.zeros(4))
    verdict = verify(b, run, form="tight")
    assert {t.name: t.exercised for t in verdict.terms} == {"bias": False, "noise": True, "eps": False}
    assert verdict.summary == "not contradicted; not tested: bias and eps terms"


def test_tightest_form_is_the_smallest_that_the_constants_allow():
    further = {"tight": {"a": 2 / T}, "needs sigma": {"a": total(sigma) / T}}
    b = Bound("forms", "gap", "upper", {"a": 3 / T}, forms=further)
    run = fake(np.full((3, 1), 0.5), law="none")
    assert verify(b, run).form == "tight"
    assert verify(b, run, sigma=1.0).form == "needs sigma"


# ---- probability statements -----------------------------------------------------------------------------------------

PATHWISE = Bound("pathwise", "gap", "upper", {"bound": 3.0 * delta / 0.05}, probability=True)


@pytest.mark.parametrize(("mean", "status"), [(0.8, "not contradicted"), (1.0, "inconclusive"), (1.3, "violated")])
def test_pathwise_bound_counts_replicas_above_it(mean, status):
    """P(gap > 3) = exp(-3/mean): 0.024, 0.0498 and 0.0995 against delta = 0.05."""
    verdict = verify(PATHWISE, fake(gaps(11, 4000, mean)), level=0.01, delta=0.05)
    assert verdict.status == status and verdict.interval_kind == "Clopper-Pearson"
    assert verdict.estimate == pytest.approx(mean * np.log(20), rel=0.1)
    assert "0.95 quantile of gap after 1 iteration:" in str(verdict)


def test_pathwise_verdict_is_the_clopper_pearson_test():
    for seed in range(30):
        values = gaps(100 + seed, 500, 1.25)
        limits = stats.binomtest(int(np.sum(values > 3.0)), 500).proportion_ci(0.95, method="exact")
        verdict = verify(PATHWISE, fake(values), level=0.05, delta=0.05)
        assert (verdict.status == "violated") == (limits.low > 0.05)
        assert (verdict.status == "not contradicted") == (limits.high < 0.05)


def test_too_few_replicas_for_a_quantile_are_inconclusive():
    verdict = verify(PATHWISE, fake(gaps(12, 50, 0.1)), delta=0.05)
    assert verdict.status == "inconclusive" and verdict.interval[1] == np.inf


def test_missing_delta_is_asked_for():
    assert verify(PATHWISE, fake(gaps(12, 50))).reason == "delta unknown"


# ---- finite-sample intervals ----------------------------------------------------------------------------------------

BOXED = {"L": 1.0, "D": 2.0}


def boxed(values, **options):
    return fake(values, known=BOXED, box=True, properties=["convex", "interior minimizer"], **options)


def test_auto_takes_the_finite_sample_limit_where_it_decides():
    values = np.random.default_rng(13).random(500)
    far, near = verify(claim(1.5), boxed(values)), verify(claim(0.6), boxed(values))
    assert far.status == near.status == "not contradicted"
    assert (far.interval_kind, near.interval_kind) == ("bounded above, t below", "t")
    assert verify(claim(0.1), boxed(values)).interval_kind == "bounded below, t above"
    assert verify(claim(0.6), boxed(values), interval="bounded").status == "inconclusive"
    assert far.interval[0] == near.interval[0]


def test_finite_sample_limits_are_not_fooled_by_a_rare_event():
    values = np.zeros(100)
    assert verify(claim(0.01), boxed(values), interval="t").status == "not contradicted"
    assert verify(claim(0.01), boxed(values), interval="bounded").status == "inconclusive"


def test_range_follows_from_smoothness_and_box():
    known = {"L": np.array([1.0, 0.25]), "D": 2.0}
    run = fake(np.zeros((3, 1)), known=known, box=True, properties=["interior minimizer"])
    object.__setattr__(run, "start", np.zeros(2))
    assert measured_range("gap", run) == (0.0, 2.5)
    assert measured_range("gradient_l1", run) == (0.0, 2.5)
    assert measured_range("gradient_l2", run) == (0.0, pytest.approx(np.sqrt(5.0)))
    assert measured_range("gradient_l2_squared", run) == (0.0, 5.0)
    assert measured_range("batch_size", run) is None
    assert measured_range("gap", fake(np.zeros((3, 1)), known=known)) is None


def test_a_gap_beyond_what_the_box_allows_unmasks_false_constants():
    verdict = verify(claim(5.0), boxed(np.full(10, 3.0)))
    assert verdict.status == "not applicable" and "where smoothness and box allow 2" in verdict.reason


def test_bounded_interval_without_a_range_is_refused():
    with pytest.raises(ValueError, match='no range of gap is known .* pass interval="t"'):
        verify(claim(1.0), fake(gaps(14, 10)), interval="bounded")


# ---- exactness, wrong input, print ----------------------------------------------------------------------------------


def test_without_noise_the_value_is_exact_up_to_rounding():
    verdict = verify(claim(0.1 + 0.2), fake([0.3], law="none"))
    assert verdict.status == "not contradicted" and verdict.interval_kind == "exact"
    assert verify(claim(0.3 * (1 - 1e-8)), fake([0.3], law="none")).status == "violated"
    assert verify(claim(0.3, "equality"), fake([0.1 + 0.2], law="none")).status == "not contradicted"


def test_one_noisy_replica_is_inconclusive():
    assert verify(claim(1.0), fake([0.3])).status == "inconclusive"


def test_wrong_arguments_are_answered_with_a_sentence():
    run = fake(gaps(15, 10))
    with pytest.raises(ValueError, match="interval = 'normal'; expected one of 'auto', 't', 'bounded'"):
        verify(claim(1.0), run, interval="normal")
    with pytest.raises(ValueError, match="claim has no form 'tight'; it has simple"):
        verify(claim(1.0), run, form="tight")
    with pytest.raises(ValueError, match="level = 0; expected a probability"):
        verify(claim(1.0), run, level=0)
    with pytest.raises(TypeError, match="unknown constant 'sgima'"):
        verify(bounds.convex_sgd, run, sgima=1.0)


def test_report_fits_a_terminal_and_json_is_strict():
    steps = np.array([10, 100_000])
    run = fake(gaps(16, (256, 1)) * np.array([1e-3, 1e-12]), steps, measure="mean_gap", known=KNOWN)
    refused = verify(bounds.convex_adagrad, run)
    for verdict in (verify(TWO_TERMS, run), refused, verify(claim(1.0, "equality"), fake(gaps(1, 9)))):
        assert max(map(len, str(verdict).splitlines())) <= 80
        text = json.dumps(verdict.to_dict(), allow_nan=False)
        assert json.loads(text)["summary"] == verdict.summary
    assert str(refused).count("\n  - ") == len(refused.conditions) > 2
    assert "mean_gap after 10 iterations" in str(verify(TWO_TERMS, run))
