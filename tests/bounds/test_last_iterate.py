"""Bounds that take a schedule: how one is given, what is refused, curves, tuned step sizes, critical batch sizes."""

import numpy as np
import pytest

import anisotropic as an
from anisotropic.bounds import symbols as s, tails

SMOOTH = {"L": [1.0, 0.5], "sigma": [1.0, 0.3], "R": [1.0, 2.0], "M": 4}
LAST, PROJECTED, NONSMOOTH = (
    an.bounds[name] for name in ("convex_sgd_last", "convex_sgd_last_proj", "convex_sgd_last_nonsmooth")
)


def by_hand(schedule, step_size, L, sigma, R, M, box):
    """The vector form of the statement, iteration by iteration."""
    L, sigma, R, h = (np.broadcast_to(np.asarray(x, float), (2,)) for x in (L, sigma, R, step_size))
    tail, squares = 0.0, 0.0
    for theta in reversed(schedule):
        before = 0.5 * (tail + np.sqrt(tail**2 + 4 * theta))
        price = (1 / (1 - theta * h * L) if box else 1 + theta * h * L) * h * sigma**2 / M
        squares += (before - tail) ** 2 * price.sum()
        tail = before
    return 0.5 * (np.sum(R**2 / h) / tail**2 + squares)


@pytest.mark.parametrize("step_size", [1.0, [0.3, 1.2]])
@pytest.mark.parametrize("bound", [LAST, PROJECTED])
def test_the_value_is_that_of_the_statement(bound, step_size):
    schedule = np.array([0.3, 0.8, 0.5, 0.5, 0.1])
    value = by_hand(schedule, step_size, **SMOOTH, box=bound is PROJECTED)
    assert bound(schedule=schedule, step_size=step_size, **SMOOTH) == pytest.approx(value, rel=1e-12)


def test_a_schedule_may_be_a_vector_a_record_or_left_out():
    vector = 0.4 * np.arange(8, 0, -1) / 8
    value = LAST(schedule=vector, **SMOOTH)
    assert LAST(schedule=list(vector), T=8, **SMOOTH) == value
    assert LAST(schedule=an.schedules.linear(0.4, 8), **SMOOTH) == pytest.approx(value, rel=1e-14)
    assert LAST(schedule=an.schedules.linear(1.0, 8), step_size=0.4, **SMOOTH) == pytest.approx(value, rel=1e-14)
    each = LAST(schedule=an.schedules.linear([0.4, 0.2], 8), **SMOOTH)
    assert LAST(schedule=np.arange(8, 0, -1) / 8, step_size=[0.4, 0.2], **SMOOTH) == pytest.approx(each, rel=1e-14)
    constant = LAST(schedule=np.full(8, 0.4), **SMOOTH)
    assert LAST(T=8, step_size=0.4, **SMOOTH) == pytest.approx(constant, rel=1e-14)
    assert LAST(schedule=an.schedules.inverse_sqrt(0.4), T=3, **SMOOTH) == pytest.approx(
        LAST(schedule=0.4 / np.sqrt([1, 2, 3]), **SMOOTH), rel=1e-14
    )


def test_a_schedule_is_never_taken_for_coordinates():
    two = LAST(schedule=[0.3, 0.2], L=1.0, sigma=1.0, R=1.0, M=1, d=2)
    one = LAST(schedule=[0.3, 0.2], L=1.0, sigma=1.0, R=1.0, M=1)
    assert two == pytest.approx(2 * one, rel=1e-12)
    assert LAST(schedule=[0.3, 0.2], **SMOOTH) == LAST(schedule=[0.3, 0.2], d=2, **SMOOTH)


def test_iterations_that_take_no_step_change_nothing():
    """Warm-up from zero, and learning rates that end at zero, as schedulers of deep learning have them."""
    vector = [0.5, 0.4, 0.2]
    for bound in (LAST, PROJECTED):
        assert bound(schedule=[0.0, 0.5, 0.4, 0.0, 0.2, 0.0, 0.0], **SMOOTH) == bound(schedule=vector, **SMOOTH)
    flat = NONSMOOTH(schedule=vector, R=1.0, G=1.0)
    for form in NONSMOOTH.forms:
        padded = NONSMOOTH(form, schedule=[0.0, *vector, 0.0], R=1.0, G=1.0)
        assert padded == pytest.approx(NONSMOOTH(form, schedule=vector, R=1.0, G=1.0), rel=1e-12)
    assert flat <= 1.0
    assert LAST(schedule=[0.0, 0.0], **SMOOTH) == np.inf
    assert NONSMOOTH(schedule=[0.0, 0.0], R=2.0, G=3.0) == 6.0  # f(w_1) - f* <= R G


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"schedule": [0.5, 0.5, 1.5, 0.5]}, r"does not hold: 1.5 against 1 at iteration 3"),
        ({"schedule": [0.5, 0.5], "T": 3}, r"schedule has 2 entries and T = 3; expected one step size per iteration"),
        ({"schedule": an.schedules.cosine(0.1, 9), "T": 5}, "is made for 9 iterations, and T = 5; make it for as many"),
        ({"schedule": an.schedules.inverse_sqrt(0.1)}, r"'inverse_sqrt' never ends; say for how many iterations, T"),
        ({"schedule": an.schedules.halve_on_plateau(0.1), "T": 5}, r"'halve_on_plateau' depend on the loss"),
        ({"schedule": an.schedules.restarted_search(0.1), "T": 5}, r"'restarted_search' depend on the loss"),
        ({"schedule": [0.5, -0.1]}, r"schedule\[1\] = -0.1; expected a finite step size of at least 0"),
        ({"schedule": [0.5, np.nan]}, r"schedule\[1\] = nan; expected a finite step size"),
        ({"schedule": 0.5}, r"schedule has shape \(\); expected a vector with the step size of each iteration"),
        ({"schedule": "cosine"}, r"schedule = 'cosine'; expected a vector"),
        ({"schedule": [0.5], "rho": 4.0}, r"rho < M does not hold: 4 against 4"),
    ],
)
def test_what_a_bound_cannot_use_is_refused_with_a_sentence(given, sentence):
    with pytest.raises(ValueError, match=sentence):
        LAST(**given, **SMOOTH)


def test_a_step_size_at_the_cap_of_the_projected_bound_is_refused():
    with pytest.raises(ValueError, match="1 against 1 at iteration 2"):
        PROJECTED(schedule=[0.5, 1.0], **SMOOTH)
    assert LAST(schedule=[0.5, 1.0], **SMOOTH) > 0


@pytest.mark.parametrize("bound", [LAST, PROJECTED])
def test_the_tuned_step_size_is_a_minimum_below_the_cap(bound):
    rng = np.random.default_rng(0)
    for _ in range(20):
        shape, M = np.exp(rng.normal(size=int(rng.integers(1, 40)))), 10 ** rng.uniform(0, 4)
        known = SMOOTH | {"M": M}
        size = bound.tuned_step_size(schedule=shape, **known)
        value = bound(schedule=shape, step_size=size, **known)
        assert value <= bound(schedule=shape, step_size=0.97 * size, **known)
        try:
            assert value <= bound(schedule=shape, step_size=1.03 * size, **known)
        except ValueError as error:
            assert "does not hold" in str(error)


def test_the_tuned_step_size_without_smoothness_is_that_of_the_closed_form():
    shape = np.array([1.0, 0.9, 0.3, 0.2])
    found = tails.lipschitz(shape)
    known = {"R": [3.0, 4.0], "G": [0.6, 0.8]}
    size = NONSMOOTH.tuned_step_size(schedule=shape, **known)
    assert size == pytest.approx(5 / np.sqrt(found.A * found.B), rel=1e-13)
    best = NONSMOOTH(schedule=shape, step_size=size, **known)
    assert best == pytest.approx(5 * np.sqrt(found.B / found.A), rel=1e-13)
    assert NONSMOOTH(T=4, **known) == pytest.approx(5 * np.sqrt(tails.kappa_nonsmooth(np.ones(4)) / 5), rel=1e-13)


def test_critical_batch_size_and_rates():
    shape = an.schedules.linear(1.0, 50)
    sigma2 = 1.09
    assert LAST.critical_batch_size(gap=0.01, schedule=shape, L=[1.0, 0.5], sigma=[1.0, 0.3], R=1.0) == pytest.approx(
        4 * sigma2 / 0.01, rel=1e-12
    )
    later = an.schedules.wsd(1.0, 1000, share=0.2)
    known = {"L": 1.0, "sigma": 1.0, "R": 1.0, "gap": 0.1}
    ratio = LAST.critical_batch_size(schedule=later, **known) / LAST.critical_batch_size(schedule=shape, **known)
    assert ratio == pytest.approx(tails.smooth(np.minimum(1, np.arange(1000, 0, -1) / 201)).B, rel=1e-12)
    assert LAST.rate() == {"T": -0.5, "M": -0.5, "d": 1.0} and LAST.rate(noise=False)["T"] == -1.0
    with pytest.raises(ValueError, match="leave it out"):
        LAST.critical_batch_size(schedule=shape, step_size=0.1, **known)


def test_curve_is_the_bound_at_every_prefix():
    schedule = an.schedules.wsd(0.8, 30, share=0.5, warmup=3)
    curve = LAST.curve(schedule, **SMOOTH)
    vector = 0.8 * np.minimum(np.arange(1, 31) / 3, np.minimum(1, np.arange(30, 0, -1) / 16))
    assert curve.shape == (30,)
    assert curve[[0, 11, 29]] == pytest.approx([LAST(schedule=vector[:t], **SMOOTH) for t in (1, 12, 30)], rel=1e-12)
    assert LAST.curve(schedule, at=[12, 30], **SMOOTH) == pytest.approx(curve[[11, 29]], rel=1e-14)
    assert (np.diff(curve[15:]) < 0).all()
    with pytest.raises(ValueError, match="convex_sgd takes no schedule"):
        an.bounds.convex_sgd.curve([0.1], **SMOOTH)
    with pytest.raises(ValueError, match="at = 31; expected at most 30"):
        LAST.curve(schedule, at=31, **SMOOTH)


def test_optimal_is_linear_decay_without_smoothness_and_within_the_cap_with_it():
    best = an.schedules.optimal(NONSMOOTH, T=9, R=2.0, G=3.0)
    assert NONSMOOTH(schedule=best, R=2.0, G=3.0) == pytest.approx(6 / np.sqrt(10), rel=1e-13)
    loud, quiet = (an.schedules.optimal(LAST, T=200, **SMOOTH | {"M": M}) for M in (1, 10**5))
    for found, M in ((loud, 1), (quiet, 10**5)):
        assert LAST(schedule=found, **SMOOTH | {"M": M}) > 0
    first = np.array(quiet.params.values)
    assert first.max() == pytest.approx(1.0, rel=1e-9) and np.sum(first > 0.99) > 100
    assert np.array(loud.params.values).max() < 0.9
    with pytest.raises(ValueError, match="no best schedule is known for convex_sgd"):
        an.schedules.optimal(an.bounds.convex_sgd, T=9, **SMOOTH)
    with pytest.raises(ValueError, match="no schedule is best where R = 0"):
        an.schedules.optimal(LAST, T=9, **SMOOTH | {"R": 0.0})


def test_a_bound_of_ones_own_may_sum_over_iterations():
    classical = (s.total(s.R**2) + s.total(s.G**2) * s.along(s.schedule**2)) / (2 * s.along(s.schedule))
    mine = an.bounds.Bound("mine", "weighted", "upper", classical)
    assert mine(schedule=[0.5, 0.25], R=1.0, G=2.0) == pytest.approx((1 + 4 * 0.3125) / 1.5)
    assert r"\sum_{t} \theta_{t}^{2}" in mine.latex()
    with pytest.raises(ValueError, match=r"depends on the iteration: schedule_t; add it up with along"):
        an.bounds.Bound("mine", "weighted", "upper", s.schedule)


# ---- runs -----------------------------------------------------------------------------------------------------------


def simulated(step_size, **changes):
    f = an.problems.quadratic([1.0, 0.5], center=0.0)
    setup = {"noise": an.noises.gaussian(0.5), "start": 1.0, "steps": 20, "replicas": 128, "batch_size": 4}
    return an.simulate(f, an.optimizers.sgd(step_size), **setup | changes)


def test_a_run_stores_the_step_sizes_that_it_took(tmp_path):
    run = simulated(an.schedules.linear(0.5, 20))
    assert run.constants()["schedule"] == pytest.approx(0.5 * np.arange(20, 0, -1) / 20)
    assert "step_size" not in run.constants()
    each = simulated(an.schedules.linear([0.5, 0.25], 20)).constants()
    assert each["schedule"] == pytest.approx(np.arange(20, 0, -1) / 20) and each["step_size"].tolist() == [0.5, 0.25]
    constant = simulated(an.schedules.constant(0.5))
    assert constant.constants()["step_size"] == 0.5 and constant.facts.schedule == "constant"
    assert np.array_equal(constant.gap, simulated(0.5).gap)
    again = an.load(run.save(tmp_path / "run.npz"))
    assert an.verify(LAST, again).slacks == an.verify(LAST, run).slacks


@pytest.mark.parametrize("step_size", [0.5, [0.5, 0.25]])
def test_every_prefix_of_a_run_is_judged_by_its_own_step_sizes(step_size):
    for size in (step_size, an.schedules.linear(step_size, 20)):
        run = simulated(size)
        verdict = an.verify(LAST, run)
        assert verdict.status == "not contradicted" and len(verdict.slacks) == run.steps.size
        known = run.constants()
        schedule, base = known.get("schedule", np.ones(20)), known.get("step_size", 1.0)
        known |= {"step_size": base}
        for t, slack in zip(verdict.horizons, verdict.slacks, strict=True):
            value = LAST(**known | {"schedule": schedule[:t], "T": t})
            assert slack == pytest.approx(value / run.gap[:, list(run.steps).index(t)].mean(), rel=1e-12)


def test_step_sizes_that_follow_the_loss_are_refused_by_name():
    verdict = an.verify(LAST, simulated(an.schedules.halve_on_plateau(0.5)))
    assert verdict.status == "not applicable" and "'halve_on_plateau' depend on the loss" in verdict.reason
    mine = an.bounds.Bound("mine", "gap", "upper", s.along(s.schedule), requires=an.Requires(schedule=None))
    refused = an.verify(mine, simulated(an.schedules.halve_on_plateau(0.5)))
    assert refused.status == "not applicable" and "no vector holds them" in refused.reason
    assert an.verify(mine, simulated(an.schedules.linear(0.5, 20))).status == "not contradicted"


def test_a_theorem_about_a_constant_step_size_never_sees_the_base_of_a_schedule():
    run = simulated(an.schedules.linear([0.5, 0.25], 20))
    anything = an.Requires(optimizers="sgd", schedule=None)
    mine = an.bounds.Bound("mine", "gap", "upper", s.total(s.step_size), requires=anything)
    assert an.verify(mine, run).status == "not applicable"


def test_a_step_size_above_the_cap_makes_a_theorem_not_applicable_and_says_where():
    verdict = an.verify(LAST, simulated(an.schedules.from_vector([0.5] * 10 + [1.5] + [0.5] * 9)))
    assert verdict.status == "not applicable" and "1.5 against 1 at iteration 11" in verdict.reason


def test_a_planted_error_is_caught():
    setup = an.setups.for_bound("convex_sgd_last_nonsmooth")
    run = setup()
    verdict = setup.verify(run=run)
    assert verdict.status == "not contradicted"
    assert setup.verify(LAST.scaled(0.5), run).status == "not applicable"
    assert setup.verify(setup.bound.scaled(0.9 / verdict.power), run).status == "violated"
