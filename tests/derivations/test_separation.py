"""The steps of the lower bound for constant-step gradient descent (docs/theory/sgd_separation_lower.md)."""

import numpy as np
import pytest
import sympy as sp

from anisotropic import bounds
from anisotropic.bounds.separation import hardest_product

c = sp.Symbol("c", positive=True)


def test_the_hardest_product_solves_its_equation_and_is_a_maximum():
    value = (1 - sp.exp(-c)) ** 2 / c
    slope = sp.factor(sp.diff(value, c))
    assert sp.simplify(slope - (1 - sp.exp(-c)) * sp.exp(-c) * (2 * c + 1 - sp.exp(c)) / c**2) == 0
    at = hardest_product()
    assert np.exp(at) == pytest.approx(1 + 2 * at, rel=1e-13)
    constant = float(value.subs(c, at)) / 4
    assert constant == pytest.approx(0.1018, abs=5e-5)


def test_the_mean_decay_falls_with_the_step():
    u = np.linspace(1e-6, 1, 2001)
    for T in (1, 2, 7, 100):
        mean = np.mean((1 - u[:, None]) ** np.arange(T), axis=1)
        assert np.all(np.diff(mean) <= 1e-15)
        assert mean == pytest.approx((1 - (1 - u) ** T) / (T * u), rel=1e-9)


@pytest.mark.parametrize(("d", "T"), [(5, 50), (100, 1000), (1000, 1000)])
def test_the_instance_gives_the_closed_form(d, T):
    c_ = bounds.separation_instance(d, T, L=3.0, R=0.5)
    value = bounds.sgd_separation_lower(**c_)
    assert value >= 0.1018 * (d - 1) * 3.0 * 0.5**2 / T * 0.9995
    assert value <= 0.1018 * (d - 1) * 3.0 * 0.5**2 / T * (1 + 2 / T) * 1.001


def test_the_lower_bound_holds_for_every_step_and_is_met_at_the_largest():
    rng = np.random.default_rng(0)
    closest = np.inf
    for _ in range(40):
        h, R, T = 10 ** rng.uniform(-4, 0, 5), rng.uniform(0.1, 2, 5), int(rng.integers(2, 60))
        claim = bounds.sgd_separation_lower(L=h, R=R, T=T)
        for step_size in np.append(np.geomspace(1e-3, 2, 40), 2.0) / h.max():
            path = R * (1 - step_size * h) ** np.arange(T)[:, None]
            average = 0.5 * np.sum(h * path.mean(axis=0) ** 2)
            assert average >= claim * (1 - 1e-12)
            closest = min(closest, average / claim)
    assert closest < 1.3
    with pytest.raises(ValueError, match=r"step_size <= 2/max_j\(L_j\) does not hold: 3 against 2"):
        bounds.sgd_separation_lower(L=1.0, R=1.0, T=10, step_size=3.0)


def test_the_separation_is_proven_with_numbers():
    """At d = T = 1000 even AdaGrad's loosest form lies below the lower bound; the sharp one does at d = 100."""
    large, medium = bounds.separation_instance(1000, 1000), bounds.separation_instance(100, 1000)
    assert bounds.convex_adagrad(**large) == pytest.approx(2.604e-2, rel=1e-3)
    assert bounds.sgd_separation_lower(**large) == pytest.approx(1.018e-1, rel=1e-3)
    assert bounds.convex_adagrad(form="sharp", **medium) < bounds.sgd_separation_lower(**medium)
    assert bounds.convex_adagrad(**medium) > bounds.sgd_separation_lower(**medium)


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="d = 1, T = 10; expected at least two"):
        bounds.separation_instance(1, 10)
