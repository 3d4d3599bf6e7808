"""Three theorems from papers, each written in a few lines: a step size for the horizon, a schedule, a momentum."""

from typing import NamedTuple

import numpy as np
import pytest
from sympy import Eq, Le, Lt, sqrt

import anisotropic as an
from anisotropic.bounds import symbols as s

KINKED, SMOOTH = an.problems.absolute(1 / np.arange(1.0, 5)), an.problems.quadratic(1 / np.arange(1.0, 11) ** 2)
R_OVER_G = 2.0 / np.linalg.norm(KINKED.gradient_bound)  # from the start (1, 1, 1, 1)


# ---- a step size for the horizon
textbook = an.Bound(
    "textbook", "mean_gap", "upper", s.R_norm * s.G_norm / sqrt(s.T), horizon=True,
    conditions=[Eq(s.uniform_step_size, s.R_norm / (s.G_norm * sqrt(s.T)))],
    requires=an.Requires(optimizers="sgd", properties="convex"))


def subgradient_run(N):
    method = an.optimizers.sgd(R_OVER_G / np.sqrt(N))
    return an.simulate(KINKED, method, noise=an.noises.none(), start=1.0, steps=N, replicas=2)


# ---- a schedule
class Decay(NamedTuple):
    N: float


@an.leaf
def linear_decay(t, value, state, params):
    return (params.N + 1 - t) / (params.N + 1) ** 1.5


last_iterate = an.Bound(
    "last_iterate", "gap", "upper", s.R_norm * s.G_norm / sqrt(s.T + 1), horizon=True,
    requires=an.Requires(optimizers="sgd", properties="convex", noises="none", schedule="linear_decay"))


def decaying_run(N):
    schedule = an.Schedule("linear_decay", linear_decay, Decay(float(N)), step_size=R_OVER_G)
    return an.simulate(KINKED, an.optimizers.sgd(schedule), noise=an.noises.none(), start=1.0, steps=N, replicas=2)


# ---- a momentum
m = s.scalar("momentum")
heavy_ball = an.Bound(
    "heavy_ball", "average_gap", "upper",
    {"curvature": m * s.L_max * s.R_norm**2 / (2 * s.T * (1 - m)),
     "step": (1 - m) * s.R_norm**2 / (2 * s.T * s.uniform_step_size)},
    conditions=[Lt(m, 1), Le(s.uniform_step_size, (1 - m) / s.L_max)],
    requires=an.Requires(optimizers="heavy_ball", properties="convex", noises="none", box=False))


def heavy_ball_run(momentum, N=1000):
    method = an.optimizers.heavy_ball(1 - momentum, momentum)
    return an.simulate(SMOOTH, method, noise=an.noises.none(), start=1.0, steps=N, replicas=2)


# ---- what is tested
HORIZONS = (30, 100, 300, 1000)


@pytest.mark.parametrize(("bound", "make"), [(textbook, subgradient_run), (last_iterate, decaying_run)])
def test_theorems_for_the_horizon_over_several_horizons(bound, make):
    runs = [make(n) for n in HORIZONS]
    verdict = an.verify(bound, runs)
    assert verdict.status == "not contradicted" and verdict.horizons == HORIZONS and verdict.slack >= 1
    assert an.verify(bound.scaled(0.9 / verdict.slack), runs).status == "violated"
    ax = an.plotting.empirical_vs_theory(runs, bound)
    assert len(ax.lines) == 2 and ax.lines[1].get_xdata().tolist() == list(HORIZONS)


def test_the_exponent_of_the_theorem_stands_beside_the_fitted_one():
    fit = an.fit_rate([subgradient_run(n) for n in HORIZONS], "mean_gap", bound=textbook)
    assert fit.claimed == pytest.approx(-0.5, abs=1e-12) and fit.slope == pytest.approx(-0.5, abs=0.1)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_the_momentum_of_the_run_is_that_of_the_theorem(momentum):
    verdict = an.verify(heavy_ball, heavy_ball_run(momentum))
    assert verdict.status == "not contradicted" and verdict.slack > 1, verdict
    known = {"L": 1.0, "R": 1.0, "T": 100, "step_size": 0.1}
    assert heavy_ball(momentum=0.5, **known) == pytest.approx(0.5 / (200 * 0.5) + 0.5 / (200 * 0.1))
    too_long = an.optimizers.heavy_ball(1.0, 0.5)
    run = an.simulate(an.problems.quadratic(1.0), too_long, noise=an.noises.none(), start=1.0, steps=9, replicas=2)
    assert "step_size <= " in an.verify(heavy_ball, run).reason


def test_each_theorem_prints():
    for bound in (textbook, last_iterate, heavy_ball):
        assert max(map(len, str(bound).splitlines())) < 80
    assert r"\left\|R\right\|_{2}" in textbook.latex() and r"\mathrm{momentum}" in heavy_ball.latex()
