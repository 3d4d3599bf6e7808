"""Is a true theorem ever called violated? Each way in which that happened, and what is said in its place."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from sympy import Eq, Ge, Gt, Le, sqrt

import anisotropic as an
from anisotropic import bounds
from anisotropic.bounds import Form, StepRule, symbols as s
from anisotropic.bounds.symbols import G, R, T, scalar, sigma, total, uniform_eps, uniform_step_size as eta
from anisotropic.bounds.theorem import Bound, Requires
from anisotropic.records import Facts, Run

QUIET = an.noises.none()
HORIZONS = (30, 100, 1000)


def absolute(d=1):
    return an.problems.absolute(np.ones(d))


def run_of(f, optimizer, steps, *, noise=QUIET, start=1.0, replicas=2, **options):
    return an.simulate(f, optimizer, noise=noise, start=start, steps=steps, replicas=replicas, threads=1, **options)


def fake(values, steps=None, *, measure="gap", known=None, d=1, initial=1.0, **facts):
    values = np.asarray(values, dtype=np.float64)
    values = values[:, None] if values.ndim == 1 else values
    steps = np.arange(1, values.shape[1] + 1) if steps is None else np.asarray(steps)
    given = Facts(optimizer="sgd", noise="gaussian", law="gaussian", dim=d, properties=("convex",))
    return Run(steps=steps, start=np.zeros(d), statistics={measure: values}, status=np.full(values.shape[0], "ok"),
               initial_gap=initial, known=known or {}, facts=replace(given, **facts))  # fmt: skip


# ---- step sizes chosen for the horizon ------------------------------------------------------------------------------

TEXTBOOK = {"terms": s.R_norm * s.G_norm / sqrt(T), "requires": Requires(optimizers="sgd", properties="convex")}


def textbook(**options):
    return Bound("textbook", "mean_gap", **TEXTBOOK, **options)


def textbook_run(steps):
    return run_of(absolute(), an.optimizers.sgd(steps**-0.5), steps)


def test_a_bound_for_the_horizon_is_judged_at_the_last_iteration():
    verdict = an.verify(textbook(horizon=True), textbook_run(1000))
    assert verdict.status == "not contradicted" and verdict.steps == 1000 and len(verdict.slacks) == 1
    assert an.verify(textbook(horizon=False), textbook_run(1000)).status == "violated", "at early T it does not hold"


def test_without_a_declaration_early_iterations_alone_do_not_contradict_a_bound_that_names_no_step_size():
    verdict = an.verify(textbook(), textbook_run(1000))
    assert verdict.status == "inconclusive" and "horizon=True" in verdict.reason and verdict.steps < 1000
    assert an.verify(textbook().scaled(0.3), textbook_run(1000)).status == "violated", "false at T = N too"
    any_time = Bound("any", "mean_gap", terms={"a": total(R**2) / (2 * eta * T)}, requires=Requires("sgd"))
    wrong = an.verify(any_time.scaled(0.01), run_of(absolute(), an.optimizers.sgd(0.01), 1000, start=0.05))
    assert wrong.status == "violated", "a bound that names its step size claims every T"


def test_a_condition_on_the_step_size_that_holds_at_the_horizon_alone_picks_the_record():
    b = Bound("textbook", "mean_gap", **TEXTBOOK, conditions=[Eq(eta, s.R_norm / (s.G_norm * sqrt(T)))])
    verdict = an.verify(b, textbook_run(1000))
    assert verdict.status == "not contradicted" and verdict.horizons == (1000,)
    late = Bound("late", "mean_gap", terms={"a": total(R) / sqrt(T)}, conditions=[Ge(T, 100)])
    assert min(an.verify(late, textbook_run(1000)).horizons) >= 100
    never = an.verify(late, textbook_run(30))
    assert never.status == "not applicable" and "T >= 100 does not hold: 30 against 100" in never.reason


def test_several_horizons_in_one_call():
    runs = [textbook_run(n) for n in HORIZONS]
    verdict = an.verify(textbook(horizon=True), runs)
    assert verdict.status == "not contradicted" and verdict.horizons == HORIZONS and len(verdict.slacks) == 3
    assert an.verify(textbook(horizon=True).scaled(0.1), runs).status == "violated"
    alone = [an.verify(textbook(horizon=True), run) for run in runs]
    assert verdict.slack == pytest.approx(min(v.slack for v in alone))
    assert "T = 30, 100, 1,000" in str(verdict)


def test_several_runs_may_differ_in_the_horizon_and_what_is_tuned_to_it_only():
    runs = [textbook_run(n) for n in HORIZONS]
    other = run_of(absolute(), an.optimizers.sgd(0.1), 500, noise=an.noises.gaussian(1.0))
    with pytest.raises(ValueError, match="differ in more than T: noise is 'none' and 'gaussian'"):
        an.verify(textbook(horizon=True), [*runs, other])
    with pytest.raises(ValueError, match="R is .* and"):
        an.verify(textbook(horizon=True), [*runs, run_of(absolute(), an.optimizers.sgd(0.1), 500, start=2.0)])
    with pytest.raises(ValueError, match="two runs end at T = 30"):
        an.verify(textbook(horizon=True), [runs[0], runs[0]])
    with pytest.raises(ValueError, match="no run"):
        an.verify(textbook(horizon=True), [])
    with pytest.raises(TypeError, match="expected a Run or a list of them, got str"):
        an.verify(textbook(), "run")
    with pytest.raises(TypeError, match="'convex_sgd' is not a Bound; write an.bounds"):
        an.verify("convex_sgd", runs[0])


def test_the_level_is_shared_among_horizons():
    rng, alarms, trials = np.random.default_rng(0), 0, 300
    claim = Bound("claim", "gap", terms={"a": 1 + 0 * T}, horizon=True)
    for _ in range(trials):
        runs = [fake(1 + 0.3 * rng.standard_normal(64), [n]) for n in range(10, 20)]
        alarms += an.verify(claim, runs, level=0.1).status == "violated"
    from scipy.stats import binom

    assert alarms <= binom.ppf(1 - 1e-4, trials, 0.05)


class Decay(NamedTuple):
    N: float


@an.leaf
def linear_decay(t, value, state, params):
    return (params.N + 1 - t) / (params.N + 1) ** 1.5


def test_the_last_iterate_under_linearly_decaying_step_sizes():
    """Zamani and Glineur: last gap <= ||G|| ||R||/sqrt(N + 1) at step sizes ||R||/||G|| (N + 1 - t)/(N + 1)^1.5."""
    b = Bound("last_iterate", "gap", terms=s.R_norm * s.G_norm / sqrt(T + 1), horizon=True,
              requires=Requires(optimizers="sgd", properties="convex", noises="none", schedule="linear_decay"))
    runs = []
    for n in HORIZONS:
        schedule = an.Schedule("linear_decay", linear_decay, Decay(float(n)), step_size=1.0)
        runs.append(run_of(absolute(10), an.optimizers.sgd(schedule), n, start=np.linspace(0.3, 1, 10)))
    verdict = an.verify(b, runs)
    assert verdict.status == "not contradicted" and verdict.slack > 1


# ---- one number for all coordinates, by name -------------------------------------------------------------------------


def test_a_scalar_is_never_given_the_common_value_of_the_coordinates():
    """||w_1 - w*|| = sqrt(d) where every R_j = 1; sigma likewise."""
    f = absolute(16)
    run = run_of(f, an.optimizers.sgd(0.01), 100)
    mine = Bound("mine", "mean_gap", terms=scalar("R") ** 2 / (2 * eta * T) + eta * scalar("G") ** 2 / 2)
    verdict = an.verify(mine, run)
    assert verdict.status == "not applicable"
    assert any("R is one number per coordinate" in c and "symbols.R_norm" in c for c in verdict.conditions)
    assert an.verify(mine, run, R=4.0, G=4.0).status == "not contradicted", "a number that the reader passes is meant"
    named = Bound("mine", "mean_gap", terms=s.R_norm**2 / (2 * eta * T) + eta * s.G_norm**2 / 2)
    assert an.verify(named, run).status == "not contradicted"
    with pytest.raises(ValueError, match=r"R is one number per coordinate .* symbols\.R_norm"):
        mine(R=[1.0, 1.0], G=1.0, step_size=0.1, T=1)
    assert mine(R=1.0, G=1.0, step_size=1.0, T=1) == 1.0


def test_norms_maxima_and_sums_have_names():
    c = {"R": [3.0, 4.0], "sigma": [1.0, 2.0], "L": [5.0, 7.0]}
    b = Bound("x", "gap", terms={"a": s.R_norm / T, "b": s.sigma_norm**2 / T, "c": s.L_max / T, "d": s.L_sum / T})
    assert b.terms(T=1, **c) == pytest.approx({"a": 5.0, "b": 5.0, "c": 7.0, "d": 12.0})
    assert r"\left\|R\right\|_{2}" in b.latex() and "sum_j(R_j^2)" in str(b)


def test_on_one_coordinate_a_scalar_is_the_coordinate():
    mine = Bound("mine", "mean_gap", terms=scalar("R") ** 2 / (2 * eta * T) + eta * scalar("G") ** 2 / 2)
    assert an.verify(mine, run_of(absolute(), an.optimizers.sgd(0.01), 100)).status == "not contradicted"


# ---- the run's step size is the one that counts ----------------------------------------------------------------------


def test_a_tuned_step_size_does_not_replace_a_schedule():
    terms = {"bias": total(R**2) / (2 * eta * T), "gradient": eta * total(G**2) / 2}
    b = Bound("tuned", "mean_gap", terms=terms, requires=Requires(optimizers="sgd", schedule=None),
              step_rule=StepRule(sum(terms.values())))
    run = run_of(absolute(), an.optimizers.sgd(an.schedules.inverse_sqrt(1e-4)), 1000)
    verdict = an.verify(b, run)
    assert verdict.status == "not applicable"
    assert "the step size follows the schedule 'inverse_sqrt'" in verdict.reason
    assert an.verify(b, run_of(absolute(), an.optimizers.sgd(1e-4), 1000)).status == "not contradicted"


def test_a_condition_on_an_unknown_step_size_is_not_skipped():
    b = Bound("cap", "mean_gap", terms={"a": 1e-9 / T}, conditions=[Le(eta, 1e-6)], requires=Requires(schedule=None))
    run = run_of(absolute(), an.optimizers.sgd(an.schedules.inverse_sqrt(1e-4)), 100)
    assert an.verify(b, run).status == "not applicable"
    uneven = run_of(an.problems.quadratic([1.0, 0.1]), an.optimizers.sgd([0.5, 0.1]), 100)
    verdict = an.verify(bounds.sgd_separation_lower, uneven)
    assert verdict.status == "not applicable" and "step_size differs between coordinates" in verdict.reason


def test_constants_with_a_default_count_as_unknown_where_the_run_does_not_know_them():
    b = Bound("mine", "gap", terms={"a": 1 / (1 + s.rho)}, requires=Requires())
    assert "relative noise unknown" in an.verify(b, fake(np.ones(9) * 5)).reason
    e = Bound("mine", "gap", terms={"a": 1 + uniform_eps})
    assert "epsilon unknown" in an.verify(e, fake(np.ones(9) * 5, optimizer="mine")).reason


# ---- numbers that cannot be judged -----------------------------------------------------------------------------------


def test_a_gap_below_zero_is_not_measured():
    f = an.Objective("shifted", 1, *(getattr(an.problems.quadratic(1.0), n) for n in ("value", "gradient", "params")),
                     smoothness=[1.0], minimum=0.2, minimizer=[0.0], properties={"convex", "interior minimizer"})
    run = run_of(f, an.optimizers.sgd(0.5), 20, check=False)  # the contract would refuse this minimum
    for b in (Bound("low", "gap", "lower", {"a": 1e-3 / T}), Bound("up", "gap", "upper", {"a": 1e-9 / T})):
        verdict = an.verify(b, run)
        assert verdict.status == "not applicable" and "below zero" in verdict.reason and "-0.2" in verdict.reason


def test_rounding_below_zero_and_at_the_resolution_of_doubles_is_forgiven():
    assert an.verify(Bound("b", "gap", terms={"a": 1 / T}), fake([-1e-17, 1e-18], law="none")).terms
    f = an.problems.quadratic(1.0, center=0.3)
    run = run_of(f, an.optimizers.sgd(0.5), 2000, start=1.0)
    assert an.verify(bounds.pl_sgd, run).status == "not contradicted", "the bound is 1e-1200, the gap stalls at 1e-34"


@pytest.mark.parametrize(
    ("term", "word"),
    [(sqrt(1 - T), "NaN"), ((T - 50) / T, "negative"), (1 / uniform_eps, "infinite"), (1 / (uniform_eps * T), "infin")],
)
def test_a_bound_that_is_no_usable_number_does_not_apply(term, word):
    verdict = an.verify(Bound("odd", "gap", terms={"a": term}), fake(np.full((4, 100), 5.0)), eps=0.0)
    assert verdict.status == "not applicable" and word in verdict.reason and "T = " in verdict.reason


def test_a_single_form_may_have_a_condition_of_its_own():
    needs = [Gt(uniform_eps, 0)]
    b = Bound("two", "gap", terms={"a": 10 / T}, forms={"late": Form({"a": 0.01 / (uniform_eps * T)}, needs)})
    run = fake(np.full((4, 3), 2.0))
    assert an.verify(b, run, eps=0.0).form == "simple" and an.verify(b, run, eps=1.0).form == "late"
    verdict = an.verify(b, run, form="late", eps=0.0)
    assert verdict.status == "not applicable" and "eps > 0 does not hold" in verdict.reason
    assert b.tightest(T=1, eps=0.0).form == "simple"
    with pytest.raises(ValueError, match="eps > 0 does not hold"):
        b(form="late", T=1, eps=0.0)
    assert "(form late)" in str(b) and b.scaled(2.0).conditions_of("late") == tuple(needs)


def test_a_form_is_judged_by_the_constants_that_it_needs_itself():
    b = Bound("two", "gap", terms={"a": total(sigma) * 1e9 / T}, forms={"plain": {"a": 10 / T}})
    assert an.verify(b, fake(np.full((4, 3), 2.0))).form == "plain"
    assert an.verify(b, fake(np.full((4, 3), 2.0)), form="plain").status == "not contradicted"
    assert an.verify(b, fake(np.full((4, 3), 2.0)), form="simple").reason == "noise level unknown"


# ---- what is printed ------------------------------------------------------------------------------------------------


def test_a_violated_verdict_prints_by_how_much():
    verdict = an.verify(Bound("b", "gap", terms={"a": 0.319}), fake(np.full((3, 1), 0.5), law="none"))
    assert verdict.status == "violated" and verdict.excess == pytest.approx(0.5 / 0.319)
    assert "exceeded by a factor of at least 1.57" in " ".join(str(verdict).split())
    assert "would be seen" not in str(verdict)
    lower = an.verify(Bound("b", "gap", "lower", {"a": 1.0}), fake(np.full((3, 1), 0.5), law="none"))
    assert lower.excess == 2.0 and "undercut by a factor of at least 2" in " ".join(str(lower).split())
    zero = an.verify(Bound("b", "gap", terms={"a": 0 * T}), fake(np.full((3, 1), 0.5), law="none"))
    assert "exceeded by at least 0.5" in " ".join(str(zero).split())


def test_a_near_equality_prints_enough_digits():
    verdict = an.verify(Bound("b", "gap", terms={"a": 0.3 * (1 - 1e-8)}), fake(np.full((3, 1), 0.3), law="none"))
    told = " ".join(str(verdict).split())
    assert verdict.status == "violated" and "0.3 in" in told and "claim <= 0.299999997" in told
    assert "1.00000001" in told and "factor of at least 1 " not in told
    fine = " ".join(str(an.verify(Bound("b", "gap", terms={"a": 0.3 * (1 + 1e-7)}), fake([0.3], law="none"))).split())
    assert "claim <= 0.30000003" in fine and "slack 1.0000001" in fine


# ---- hypotheses of single theorems ----------------------------------------------------------------------------------


def test_sgd_separation_lower_asks_for_a_minimizer_inside_the_box():
    """Centre at 50 in the flat coordinate of the box [-1, 1]: the gap falls faster than the unconstrained one."""
    f = an.problems.quadratic([1.0, 0.001], center=[0.0, 50.0], box=(-1, 1))
    run = run_of(f, an.optimizers.sgd(1.9), 1000, start=[-1.0, -1.0])
    assert an.verify(bounds.sgd_separation_lower, run).status == "not applicable"
    inside = an.problems.quadratic([1.0, 0.001], center=[0.0, 1.0], box=(-1, 1))
    run = run_of(inside, an.optimizers.sgd(1.9), 1000, start=[-1.0, -1.0])
    assert an.verify(bounds.sgd_separation_lower, run).status == "not contradicted"


def test_high_probability_holds_at_each_iteration_and_says_so():
    assert "at each T" in str(bounds.convex_adagrad_hp)




@an.leaf
def ascend(w, gradient, state, step_size, t, params):
    for j in range(w.size):
        w[j] += step_size[j] * gradient[j]


def test_an_update_rule_of_ones_own_does_not_become_another_by_its_name():
    run = run_of(an.problems.quadratic(1.0), an.Optimizer("sgd", ascend, step_size=0.5), 10)
    verdict = an.verify(bounds.convex_sgd, run)
    assert verdict.status == "not applicable" and "'sgd (your own)'" in verdict.reason
    mine = Bound("mine", "gap", terms={"a": 1e9 / T}, requires=Requires("ascent"))
    made = an.Optimizer("ascent", ascend, step_size=0.1)
    assert an.verify(mine, run_of(an.problems.quadratic(1.0), made, 10)).slack > 1


# ---- batch rules that did not keep their promise ---------------------------------------------------------------------


def under_rule(rule, *, optimizer=None, sigma=5.0, curvature=(1.0, 0.5), steps=600, replicas=16, **options):
    optimizer = optimizer or an.optimizers.adagrad(0.5, eps=0.5, preset="nonconvex")
    noise = an.noises.gaussian(np.full(len(curvature), sigma))
    return run_of(an.problems.quadratic(curvature), optimizer, steps, noise=noise, batch_size=rule, replicas=replicas,
                  **options)  # fmt: skip


@pytest.mark.parametrize(("floor", "kept"), [(1e-12, True), (1e-2, False), (1.0, False), (100.0, False)])
def test_a_floor_that_acted_is_seen(floor, kept):
    """With floor 1e5 the bound was 0.0021 and 0.347 was measured: "violated", though the hypothesis had failed."""
    run = under_rule(an.batching.coordinate_norm_test(0.5, floor, form="exact"), steps=10)
    assert run.facts.batch_test_always_holds == kept
    verdict = an.verify(bounds.adagrad_strong_growth, run)
    assert (verdict.status != "not applicable") == kept and verdict.status != "violated"


def test_the_floor_of_the_audit_is_no_violation():
    rule = an.batching.coordinate_norm_test(0.5, 1e5, form="exact")
    made = an.optimizers.adagrad(5.0, eps=20.0, preset="nonconvex")
    run = under_rule(rule, optimizer=made, sigma=20.0, curvature=(1.0,), steps=20_000, start=0.2)
    verdict = an.verify(bounds.adagrad_strong_growth, run)
    assert verdict.status == "not applicable" and "neither a cap nor a floor" in verdict.reason


def test_a_cap_met_between_two_records_is_seen():
    """What a run knows must not depend on where it was recorded."""
    made, disagree, broken = an.optimizers.adagrad_norm(6.0, eps=0.2, preset="nonconvex"), 0, 0
    for k in range(25):
        options = {"optimizer": made, "sigma": 1.0, "curvature": (1.0,), "replicas": 1, "start": 1 + 0.1 * k, "seed": k}
        capped = an.batching.norm_test(0.9, form="exact", max_batch=30_000, shrink=True)
        free = an.batching.norm_test(0.9, form="exact", shrink=True)
        few, more = (under_rule(capped, steps=12, records=n, **options).facts.batch_test_always_holds for n in (1, 12))
        met = any(under_rule(free, steps=t, records=1, **options).batch_size[0, -1] > 30_000 for t in range(1, 13))
        disagree += (few != more) + (few == met)
        broken += met
    assert disagree == 0 and 0 < broken < 25


def test_a_test_that_is_not_asked_at_every_iteration_is_not_trusted():
    assert not under_rule(an.batching.norm_test(0.5, form="exact", interval=2), steps=10).facts.batch_test_always_holds
    assert not under_rule(an.batching.norm_test(0.5), steps=10).facts.batch_test_always_holds


def test_the_inner_product_test_is_admitted_with_its_own_relative_noise():
    made = an.optimizers.adagrad_norm(0.5, eps=0.5, preset="nonconvex")
    for rule, rho in (
        (an.batching.inner_product_test(0.9, 1.0, form="exact"), 1.81),
        (an.batching.norm_test(0.5, form="exact"), 0.25),
        (an.batching.noise_scale(4.0, form="exact"), 0.25),
        (an.batching.coordinate_norm_test(0.5, 1e-12, form="exact"), 1.01 * 0.25),
    ):
        run = under_rule(rule, optimizer=made, sigma=1.0, steps=10)
        assert run.facts.batch_test_always_holds and run.constants()["rho"] == pytest.approx(rho)
        verdict = an.verify(bounds.adagrad_norm_strong_growth, run, delta=0.1)
        assert verdict.status in ("not contradicted", "inconclusive"), verdict


@pytest.mark.parametrize(("correct", "replace", "kept"), [(1, 0, True), (0, 0, True), (1, 1, False)])
def test_rows_drawn_without_replacement_need_fewer_and_that_is_counted(correct, replace, kept):
    """The correction for a finite population belongs to draws without replacement only."""
    rng = np.random.default_rng(0)
    f = an.problems.logistic_regression(rng.normal(size=(40, 3)), np.sign(rng.normal(size=40)), l2=0.1)
    rule = an.batching.norm_test(0.5, form="exact", finite_population=bool(correct))
    run = run_of(f, an.optimizers.adagrad_norm(0.5, eps=0.5, preset="nonconvex"), 30, start=3.0, batch_size=rule,
                 noise=an.noises.minibatch(replace=bool(replace)), replicas=4)  # fmt: skip
    assert run.facts.batch_test_always_holds == kept
