"""The batch rules against explicit sampling, and what they do to AdaGrad-Norm in the long run."""

import math
import warnings
from collections import Counter
from typing import NamedTuple

import numpy as np
import pytest

import anisotropic as an
from anisotropic.batching import coordinate_norm_test, inner_product_test, noise_scale, norm_test, rules
from anisotropic.batching.resize import Sampling, by_law, compiled, row_moments
from anisotropic.batching.rules import bounded
from anisotropic.compiled.leaf import leaf
from anisotropic.compiled.random import Stream, key_words

DIM = 20
SIGMA = DIM**-0.5  # the trace of the noise covariance is 1
CURVATURE = np.geomspace(1.0, 0.1, DIM)
HISTORY = np.zeros((0, 1))


def run(rule, steps=3000, dim=DIM, replicas=16, seed=1, **options):
    """AdaGrad-Norm, nu_0 = 0.01, step 1, on a quadratic with isotropic noise of trace 1."""
    f = an.problems.quadratic(np.geomspace(1.0, 0.1, dim))
    method = an.optimizers.adagrad_norm(1.0, eps=0.1, preset="nonconvex")
    options = {"noise": an.noises.gaussian(np.full(dim, dim**-0.5)), "start": 1.0} | options
    return an.simulate(f, method, steps=steps, batch_size=rule, replicas=replicas, seed=seed, **options)


def slope(run, name, first):
    inside = run.steps >= first
    return np.polyfit(np.log(run.steps[inside]), np.log(run[name].mean(axis=0)[inside]), 1)[0]


def ask(rule, batch, gradient, variance, projected_variance=0.0, population=0, t=1, history=HISTORY):
    gradient, variance = np.atleast_1d(np.asarray(gradient, float)), np.atleast_1d(np.asarray(variance, float))
    return rule.decide(batch, gradient, variance, projected_variance, population, t, history, rule.params)


# ---- the formulas ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def batch():
    """Gradients of eight samples in three coordinates, with what the rules see of them."""
    samples = np.random.default_rng(0).normal([1.0, 0.3, -0.2], [1.0, 2.0, 0.5], (8, 3))
    mean = samples.mean(axis=0)
    return samples, mean, samples.var(axis=0, ddof=1), np.var(samples @ mean, ddof=1)


def test_each_rule_is_its_formula(batch):
    samples, g, V, projected_variance = batch
    b, square = len(samples), g @ g
    assert ask(norm_test(0.5), b, g, V) == pytest.approx(V.sum() / (0.25 * square))
    assert ask(noise_scale(3.0, form="plug_in"), b, g, V) == pytest.approx(3 * V.sum() / square)
    assert ask(noise_scale(3.0), b, g, V) == pytest.approx(3 * V.sum() / (square - V.sum() / b))
    floored = np.max(V / (0.25 * (g**2 + 0.01)))
    assert ask(coordinate_norm_test(0.5, 0.01), b, g, V) == pytest.approx(floored)
    residual = samples - np.outer(samples @ g / square, g)
    beside = residual.var(axis=0, ddof=1).sum()
    for theta, nu in ((0.1, 5.0), (5.0, 0.1)):
        wanted = max(projected_variance / (theta**2 * square**2), beside / (nu**2 * square))
        assert ask(inner_product_test(theta, nu), b, g, V, projected_variance) == pytest.approx(wanted)
    alone = ask(inner_product_test(0.3, np.inf), b, g, V, projected_variance)
    assert alone == pytest.approx(projected_variance / (0.09 * square**2))


def test_unbiased_forms_correct_the_square_and_double_where_nothing_is_left():
    assert ask(norm_test(0.5, "unbiased"), 10, [1.0], [4.0]) == pytest.approx(4 / (0.25 * (1 - 0.4)))
    assert ask(norm_test(0.5, "unbiased"), 10, [0.1], [4.0]) == 20.0
    assert ask(coordinate_norm_test(0.5, 0.1, "unbiased"), 10, [0.1], [4.0]) == pytest.approx(4 / (0.25 * 0.1))


def test_finite_populations_never_ask_for_more_than_there_is():
    n, b, V, g = 100, 10, 4.0, 0.5
    corrected = norm_test(0.5, finite_population=True)
    wanted = ask(corrected, b, [g], [V], population=n)
    assert V / wanted * (n - wanted) / (n - 1) == pytest.approx(0.25 * g**2), "the variance without replacement"
    assert ask(corrected, b, [1e-9], [V], population=n) == pytest.approx(n)
    assert ask(corrected, b, [0.0], [V], population=n) == n
    assert ask(norm_test(0.5), b, [g], [V], population=n) == pytest.approx(V / (0.25 * g**2))


def test_the_backup_takes_the_average_of_the_last_gradients_where_it_is_short():
    rule = inner_product_test(0.9, 5.84, backup=2)
    history = np.zeros((2, 1))
    assert ask(rule, 8, [1.0], [4.0], 4.0, t=1, history=history) == pytest.approx(4 / 0.81)
    average = 0.05
    wanted = ask(rule, 8, [-0.9], [4.0], 4.0 * 0.81, t=2, history=history)
    assert wanted == pytest.approx(4.0 * average**2 / (0.81 * average**4), rel=1e-6)
    assert ask(rule, 8, [-0.9], [4.0], 4.0 * 0.81, t=3, history=history) == pytest.approx(4 * 0.81 / (0.81 * 0.9**4))


def test_an_infinite_wish_reaches_the_cap_and_nothing_shrinks_unless_asked():
    assert bounded(8, 1e300, False, 10**18) == 10**18
    assert bounded(8, np.inf, False, 10**18) == 10**18
    assert bounded(8, 3.2, False, 10**18) == 8
    assert bounded(8, 8.2, False, 10**18) == 9
    assert bounded(8, 3.2, True, 10**18) == 4
    assert bounded(8, 0.1, True, 10**18) == 2
    assert bounded(8, np.nan, False, 10**18) == 8


# ---- what a batch shows of itself: check A7 -------------------------------------------------------------------------


@leaf
def watch(batch, gradient, variance, projected_variance, population, t, history, params):
    """Hands out what a rule is shown: total variance, variance of projections, squared norm."""
    history[0, 0] = history[0, 1] = 0.0
    for j in range(gradient.size):
        history[0, 0] += variance[j]
        history[0, 1] += gradient[j] * gradient[j]
    history[0, 2] = projected_variance
    return float(batch)


@pytest.mark.parametrize("b", [2, 5, 50])
def test_moments_of_a_batch_agree_with_explicit_sampling(b):
    """Twelve comparisons; |z| < 4 has a false-alarm rate below 1e-3 for all of them together."""
    draws, d = 8000, 6
    G, sigma = np.linspace(0.5, -0.3, d), np.geomspace(1.0, 0.2, d)
    rng = np.random.default_rng(b)
    sampling, watcher = Sampling(sigma, 0.0, 0, 1, 10**9, False, False), compiled(watch)
    shown, empty = np.zeros((draws, 3)), np.zeros(0, np.int64)
    key, variance, history = key_words(5), np.empty(d), np.zeros((1, 3))
    means = G + sigma / np.sqrt(b) * rng.normal(size=(draws, d))
    for i in range(draws):
        by_law(watcher, watch, b, G, G, means[i], empty, variance, G, history, Stream(*key, i, 1), 0, 0, sampling)
        shown[i] = history[0]
    samples = G + sigma * rng.normal(size=(draws, b, d))
    mean = samples.mean(axis=1)
    explicit = np.stack([
        samples.var(axis=1, ddof=1).sum(axis=1), (mean**2).sum(axis=1),
        np.einsum("nbd,nd->nb", samples, mean).var(axis=1, ddof=1),
    ], axis=1)  # fmt: skip
    for transform in (np.asarray, np.log):
        a, e = transform(shown), transform(explicit)
        z = (a.mean(axis=0) - e.mean(axis=0)) / np.sqrt(a.var(axis=0) / draws + e.var(axis=0) / draws)
        assert np.abs(z).max() < 4
    assert np.log(explicit).var(axis=0) == pytest.approx(np.log(shown).var(axis=0), rel=0.1)
    assert rules.norm_decide(b, means[0], variance, 0.0, 0, 1, HISTORY, rules.NormTest(0.5, False, False)) > 0


def test_rows_show_their_own_variances():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 4)), np.where(rng.random(30) < 0.5, 1.0, -1.0)
    f = an.problems.logistic_regression(X, y, l2=0.1)
    w, chosen = rng.normal(size=4), rng.permutation(30)[:12]
    margins = X[chosen] @ w * y[chosen]
    gradients = -(y[chosen] / (1 + np.exp(margins)))[:, None] * X[chosen] + 0.1 * w
    mean, variance, row = gradients.mean(axis=0), np.empty(4), np.empty(4)
    projected_variance = row_moments(f.sample_gradient, w, f.params, chosen.astype(np.int64), mean, variance, row, 11.0)
    assert variance == pytest.approx(gradients.var(axis=0, ddof=1), rel=1e-12)
    assert projected_variance == pytest.approx(np.var(gradients @ mean, ddof=1), rel=1e-12)


# ---- plug-in bias: checks A4, A5, A6 --------------------------------------------------------------------------------


@pytest.mark.parametrize("eta", [0.25, 0.5, 0.7, 0.9])
def test_the_plug_in_test_stops_growing_where_the_theory_says(eta):
    """The batch at which half of 400 draws pass, on a grid of 4 % in 2,000 dimensions."""
    d, trace, square = 2000, 1.0, 1e-3
    rng, decide = np.random.default_rng(1), compiled(rules.norm_decide)
    G, variance = np.full(d, np.sqrt(square / d)), np.full(d, trace / d)
    predicted = (1 / eta**2 - 1) * trace / square
    params = norm_test(eta).params
    for factor, passing in ((0.88, False), (1.12, True)):
        b = predicted * factor
        g = G + np.sqrt(trace / d / b) * rng.normal(size=(400, d))
        rate = np.mean([decide(b, one, variance, 0.0, 0, 1, HISTORY, params) <= b for one in g])
        assert (rate > 0.5) == passing, f"pass rate {rate} at {factor} of the predicted batch"


def test_the_norm_test_bounds_the_accumulator_and_a_fixed_batch_does_not():
    """Checks A1 and A2: slopes over K in [1e3, 3e4], bands of the theory's exponents."""
    tested, fixed = run(norm_test(0.9, start=8), steps=30_000), run(1, steps=30_000, replicas=32)
    assert abs(slope(tested, "accumulator", 1000)) <= 0.04
    assert slope(tested, "gradient_l2_squared", 1000) == pytest.approx(-1, abs=0.02)
    assert slope(fixed, "accumulator", 1000) >= 0.9
    assert slope(fixed, "last_gradient_l2_squared", 1000) == pytest.approx(-0.5, abs=0.06)
    exact = fixed.accumulator[:, -1].mean()
    assert exact == pytest.approx(30_000, rel=0.15), "nu_K grows like the trace times K / b"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        blind = run(norm_test(1.2, start=8), dim=500, replicas=4, start=500**-0.5)
    assert np.median(blind.batch_size[:, -1]) < 16, "check A5"
    assert np.median(run(norm_test(0.9, start=8), dim=500, replicas=4, start=500**-0.5).batch_size[:, -1]) > 1e6
    oracle = run(norm_test(0.5, "exact", start=1, max_batch=10**9, interval=5, shrink=True), steps=200)
    assert oracle.batch_size.max() > 1e5 and (oracle.samples <= 200 * 10**9).all()
    assert (np.diff(run(norm_test(0.5, start=8), steps=200).batch_size, axis=1) >= 0).all()
    rare = norm_test(0.5, start=8, interval=50)
    before, after = (run(rule, steps=steps, records=1, replicas=4) for rule, steps in ((rare, 50), (rare, 51)))
    assert (before.samples == 50 * 8).all()
    assert (after.samples == 50 * 8 + after.batch_size).all() and (after.batch_size > 8).all()


def test_the_inner_product_test_goes_blind_above_its_effective_rank():
    """Check A6, and the warning that names the rank."""
    usual = inner_product_test(0.9, 5.84, start=8)
    with pytest.warns(UserWarning, match=r"blind at the noise floor: the noise has effective rank 100.0, above 1.23"):
        blind = run(usual, dim=100)
    assert (blind.batch_size == 8).all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.median(run(usual, dim=2).batch_size[:, -1]) > 1e6
        assert np.median(run(inner_product_test(0.5, 1.0, start=8), dim=20).batch_size[:, -1]) > 1e6
    scalar = an.noises.gaussian(0.1)
    with pytest.warns(UserWarning, match="effective rank 100.0"):
        run(usual, steps=1, dim=100, noise=scalar)


def test_a_coordinate_test_with_the_oracle_keeps_every_coordinate_within_eta():
    f, sigma = an.problems.quadratic([1.0, 0.5]), np.array([1.0, 2.0])
    rule = coordinate_norm_test(0.5, 1e-12, "exact", start=1)
    result = an.simulate(f, an.optimizers.adagrad(1.0, eps=0.1, preset="nonconvex"), noise=an.noises.gaussian(sigma),
                         start=[2.0, 1.0], steps=1, records=1, batch_size=rule, replicas=2)  # fmt: skip
    assert (result.batch_size == max((1 / (0.5 * 2)) ** 2, (2 / (0.5 * 0.5)) ** 2)).all(), "before the first draw"


class Watch(NamedTuple):
    """Curvatures of the quadratic whose true gradient is followed, and the value that its average must reach."""

    curvature: np.ndarray
    target: float


@leaf
def watched_adagrad_norm(w, gradient, state, step_size, t, params):
    """AdaGrad-Norm; row 1 is an average of |G|^2 over about ten steps, row 2 counts the steps before it is there."""
    true = total = 0.0
    for j in range(w.size):
        true += (params.curvature[j] * w[j]) ** 2
        total += gradient[j] * gradient[j]
    state[1, 0] = true if t == 1 else 0.9 * state[1, 0] + 0.1 * true
    if state[1, 0] > params.target and state[2, 0] == t - 1:
        state[2, 0] = t
    state[0, 0] += total
    for j in range(w.size):
        w[j] -= step_size[j] * gradient[j] / math.sqrt(state[0, 0])


def work(rule, steps, target):
    """Medians of the steps before a ten-step average of |G|^2 is at most `target`, and of the samples by then."""
    f = an.problems.quadratic(CURVATURE)
    start = {"total": lambda d: np.full(d, 0.01), "average": 0.0, "accumulator": 0.0}
    method = an.Optimizer("watched", watched_adagrad_norm, Watch(CURVATURE, target), step_size=1.0, state=start)
    found = an.simulate(f, method, noise=an.noises.gaussian(SIGMA), start=1.0, steps=steps, batch_size=rule, replicas=9,
                        seed=3, records=2000, running_means=False)  # fmt: skip
    passed = found.accumulator[:, -1]
    assert (passed < steps).all()
    at = np.searchsorted(found.steps, passed)
    return np.median(passed), np.median(found.samples[np.arange(9), at])


def test_the_norm_test_needs_less_work_than_a_fixed_batch():
    """Check A18: |G|^2 averaged over ten steps comes to 1e-4 in over 100 times fewer steps than with batch 16."""
    steps, samples = work(16, 200_000, 1e-4)
    fewer_steps, fewer_samples = work(norm_test(0.9, start=8), 3000, 1e-4)
    assert steps > 100 * fewer_steps and samples > 1.5 * fewer_samples


# ---- rows -----------------------------------------------------------------------------------------------------------


def test_digits_grow_to_all_rows_and_stop_there():
    """Check A17 in small: the batch reaches all rows, and never asks for more."""
    X, y = an.datasets.load("digits")
    X, n = X[:300], 300
    f = an.problems.logistic_regression(X, y[:n], l2=1e-2)
    common = dict(noise=an.noises.minibatch(replace=False), start=0.0, replicas=3, running_means=False)
    method = an.optimizers.adagrad(0.5, eps=1e-8)
    rule = norm_test(0.5, start=8, finite_population=True)
    result = an.simulate(f, method, steps=400, batch_size=rule, **common)
    assert (result.status == "ok").all()
    assert (result.batch_size <= n).all() and (result.batch_size[:, -1] == n).all()
    oracle = an.simulate(f, method, steps=10, batch_size=norm_test(0.5, "exact", start=2), **common)
    assert (np.diff(oracle.batch_size, axis=1) >= 0).all()
    with pytest.raises(ValueError, match="the batch rule starts at 301, above the 300 that minibatch noise"):
        an.simulate(f, method, steps=1, batch_size=norm_test(0.5, start=301),
                    **common | {"noise": an.noises.minibatch(replace=True)})  # fmt: skip
    with pytest.raises(ValueError, match="batch_size = 301 exceeds the 300 rows; without replacement"):
        an.simulate(f, method, steps=1, batch_size=301, **common)


# ---- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("make", "message"), [
    (lambda: norm_test(0.0), "eta = 0; expected a finite number above 0"),
    (lambda: norm_test(-1.0), "eta = -1; expected a finite number above 0"),
    (lambda: norm_test(0.5, "oracle"), "form = 'oracle'; expected one of 'plug_in', 'exact', 'unbiased'"),
    (lambda: norm_test(0.5, max_batch=4, start=8), "max_batch = 4 is below the start 8"),
    (lambda: norm_test(0.5, start=1), "start = 1: the variance of a batch of one is not defined"),
    (lambda: inner_product_test(0.0, 1.0), "theta = 0; expected a finite number above 0"),
    (lambda: inner_product_test(0.5, 0.0), "nu = 0; expected a finite number above 0"),
    (lambda: coordinate_norm_test(0.5, 0.0), "floor = 0; expected a finite number above 0"),
    (lambda: noise_scale(0.0), "c = 0; expected a finite number above 0"),
])  # fmt: skip
def test_unusable_rules_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_plug_in_test_that_cannot_see_noise_warns():
    with pytest.warns(UserWarning, match="eta = 1 >= 1 cannot see noise"):
        norm_test(1.0)
    norm_test(1.5, "exact"), norm_test(1.5, "unbiased")


def test_noise_without_sample_variances_needs_the_exact_form():
    with pytest.raises(ValueError, match="needs sample variances, which are drawn for gaussian, affine and minibatch"):
        run(norm_test(0.5), steps=1, noise=an.noises.rademacher(0.1))


def test_a_step_that_diverges_is_a_status_not_an_answer():
    f = an.problems.quadratic(np.geomspace(1.0, 0.1, DIM))
    grown = an.simulate(f, an.optimizers.sgd(1e3), noise=an.noises.gaussian(np.full(DIM, SIGMA)), start=1.0, steps=400,
                        batch_size=norm_test(0.5), replicas=2)  # fmt: skip
    assert Counter(grown.status.tolist()) == {"diverged": 2}
    assert np.isnan(grown.batch_size[:, -1]).all()


class Counted(NamedTuple):
    """Centers of the rows, and how often all rows were looked at."""

    centers: np.ndarray
    passes: np.ndarray


@leaf
def counted_value(w, params):
    return 0.5 * np.mean((params.centers - w[0]) ** 2)


@leaf
def counted_gradient(w, params, out):
    params.passes[0] += 1
    out[0] = w[0] - np.mean(params.centers)


@leaf
def counted_sample(w, params, rows, out):
    total = 0.0
    for i in rows:
        total += w[0] - params.centers[i]
    out[0] = total / rows.size


@pytest.mark.parametrize("form", ["exact", "plug_in", "unbiased"])
def test_only_the_exact_form_looks_at_all_rows(form):
    """At the start and at the end for the records; at every iteration only where the rule is an oracle."""
    params = Counted(np.linspace(-1.0, 1.0, 50), np.zeros(1))
    f = an.Objective("counted", 1, counted_value, counted_gradient, params, smoothness=np.ones(1), minimum=0.0,
                     samples=50, sample_gradient=counted_sample)  # fmt: skip
    rule = norm_test(0.5, start=4, max_batch=8, form=form)
    an.simulate(f, an.optimizers.sgd(0.1), noise=an.noises.minibatch(), start=3.0, steps=40, batch_size=rule,
                replicas=1, records=1, running_means=False, check=False, threads=1)  # fmt: skip
    assert params.passes[0] == (41 if form == "exact" else 2)
