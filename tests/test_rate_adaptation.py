"""Schedules that watch the loss: against a plain Python twin, and the rates of convergence of check A15."""

import math

import numpy as np
import pytest

import anisotropic as an
from anisotropic.bounds import batch_facts as facts
from anisotropic.schedules import Plateau, RestartedSearch, halve_on_plateau_factor, restarted_search_factor

H = np.array([1.0, 0.7, 0.5])


def call(factor, params, losses, slots):
    state = np.zeros(slots)
    return [factor(t, loss, state, params) for t, loss in enumerate(losses, 1)]


def test_a_phase_that_did_not_improve_halves_and_doubles_its_length():
    losses = [4.0] * 2 + [3.0] * 2 + [3.0] * 2 + [2.0] * 4 + [1.9] * 4
    found = call(halve_on_plateau_factor, Plateau(1.0, 0.5), losses, 4)
    assert found == [1.0] * 5 + [0.5] * 9
    losses += [1.9] * 4
    assert call(halve_on_plateau_factor, Plateau(1.0, 0.5), losses, 4)[-1] == 0.25


def test_a_search_goes_on_with_the_candidate_under_which_the_loss_fell_most():
    losses = [1.0, 0.9, 0.8, 0.4, 0.3, 0.29] + [0.28] * 4
    found = call(restarted_search_factor, RestartedSearch(4.0, 3, 2, 100), losses, 8)
    assert found == [0.25, 0.25, 1.0, 1.0, 4.0, 4.0, 1.0, 1.0, 1.0, 1.0]
    assert math.log(0.3 / 0.8) < min(math.log(0.8), math.log(0.28 / 0.3)), "why the middle one wins"


def test_a_search_starts_again_without_progress():
    found = call(restarted_search_factor, RestartedSearch(4.0, 2, 1, 3), [1.0] * 8, 8)
    assert found == [0.5, 2.0, 0.5, 0.5, 0.5, 0.25, 1.0, 0.25]


def slope_and_error(run, since):
    """Exponent of the mean gap from step `since` on, with the standard error that leaving out each replica gives."""
    times, gaps = np.log(run.steps[run.steps >= since]), run.gap[:, run.steps >= since]

    def slope(rows):
        return np.polyfit(times, np.log(rows.mean(axis=0)), 1)[0]

    left_out = np.array([slope(np.delete(gaps, r, axis=0)) for r in range(len(gaps))])
    return slope(gaps), np.sqrt((len(gaps) - 1) * left_out.var())


def test_halving_converges_and_a_constant_rate_does_not():
    """Check A15 on 48 replicas of 1e5 steps: exponents -1 and 0 over the last 1.5 decades, and the floor.

    Three comparisons at 4 standard errors, with 47 degrees of freedom at least: a false alarm in under 1 of 1,000
    seeds. The errors are below 0.06, so that exponents 1/4 apart are told from each other.
    """
    f = an.problems.quadratic(H)
    common = dict(noise=an.noises.gaussian(1.0), start=1.0, steps=100_000, batch_size=4, replicas=48, records=40)
    halved = an.simulate(f, an.optimizers.sgd(an.schedules.halve_on_plateau(0.2)), **common)
    constant = an.simulate(f, an.optimizers.sgd(0.2), **common)
    for run, expected in ((halved, -1.0), (constant, 0.0)):
        slope, error = slope_and_error(run, 3000)
        assert error < 0.06 and abs(slope - expected) < 4 * error
    floor = 0.5 * np.sum(H * facts.stationary_variance(H, 1.0, step_size=0.2, batch_size=4))
    tail = constant.gap[:, constant.steps >= 3000]  # records lie hundreds of steps apart, memory fades in ten
    assert abs(tail.mean() - floor) < 4 * tail.std(ddof=1) / np.sqrt(tail.size)
    assert halved.gap[:, -1].mean() < 0.01 * floor, "the floor of a step a hundred times smaller"


@pytest.mark.parametrize(("make", "message"), [
    (lambda: an.schedules.halve_on_plateau(0.1, patience=0.0), "patience = 0; expected a finite number above 0"),
    (lambda: an.schedules.restarted_search(0.1, ratio=1.0), "ratio = 1; expected a finite number above 1"),
    (lambda: an.schedules.restarted_search(0.1, candidates=1), "candidates = 1; expected a whole number of at least 2"),
])  # fmt: skip
def test_unusable_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
