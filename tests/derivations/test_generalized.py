"""The steps of AdaGrad under (L0, L1)-smoothness (docs/theory/nonconvex_adagrad_gen.md)."""

import numpy as np
import pytest
import sympy as sp
from rounding import EPS

from anisotropic import bounds
from anisotropic.bounds.generalized import best_share, best_theta, kappa

c, r, L1, s, a, v, theta = sp.symbols("c r L1 s a v theta", positive=True)


def test_kappa_is_the_double_integral_of_the_exponential():
    inner = sp.integrate(sp.exp(L1 * r), (r, 0, c))
    twice = sp.integrate(inner.subs(c, r), (r, 0, c))
    assert sp.simplify(twice - (sp.exp(L1 * c) - 1 - L1 * c) / L1**2) == 0
    for value in (0.0, 1e-8, 9.99e-4, 1.001e-3, 0.317, 1.0, 1.2):
        digits = sp.Float(value, 50)
        exact = 1.0 if value == 0 else float(2 * (sp.exp(digits) - 1 - digits) / digits**2)
        # expm1 to 4 ulps of c, less c, over c^2 / 2: off by 8 EPS / c; below 1e-3 a series is used.
        assert kappa(value) == pytest.approx(exact, rel=max(8 * EPS / max(value, 1e-3), 4 * EPS))


def test_descent_inequality_on_cosh_quartic_and_exponential():
    """f(w+u) <= f + f' u + kappa(c)/2 (L0 + L1 |f'|) u^2 for |u| <= c/L1."""
    rng = np.random.default_rng(0)
    w, level = rng.uniform(-3, 3, 20_000), rng.uniform(0.2, 2, 20_000)
    u = rng.uniform(-1, 1, 20_000) * rng.uniform(0, 1.2, 20_000) / level
    size = np.array([kappa(x) for x in np.abs(level * u)])
    cases = {
        "cosh": (np.cosh(level * w) / level**2, np.sinh(level * w) / level, np.cosh(level * (w + u)) / level**2, 1.0),
        "exponential": (np.exp(level * w), level * np.exp(level * w), np.exp(level * (w + u)), 0.0),
        "quartic": (w**4 / 4, w**3, (w + u) ** 4 / 4, 4 / level**2),
    }
    for value, slope, after, L0 in cases.values():
        above = value + slope * u + size / 2 * (L0 + level * np.abs(slope)) * u**2
        assert np.all(after <= above + 1e-9 * np.abs(after))


def test_extra_lemma_by_cases():
    """|a| E p <= theta s E p + sqrt(1 + theta^-2) a^2/sqrt(b): where |a| > theta s, a^2 + s^2 <= a^2 (1 + theta^-2)."""
    assert sp.simplify(a**2 + (a / theta) ** 2 - a**2 * (1 + theta**-2)) == 0
    x = sp.Symbol("x", positive=True)
    assert sp.simplify(sp.diff(x / (v + x), x, 2) + 2 * v / (v + x) ** 3) == 0, "concave, so E p <= (a^2 + s^2)/b"
    rng = np.random.default_rng(1)
    a_, s_, v_ = 10 ** rng.uniform(-3, 3, (3, 50_000))
    p = rng.uniform(1e-4, 1 - 1e-4, 50_000)
    gs = a_ + s_ * np.array([np.sqrt((1 - p) / p), -np.sqrt(p / (1 - p))])
    share = np.sum(np.array([p, 1 - p]) * gs**2 / (v_ + gs**2), axis=0)
    for th in (0.25, 1.0, 4.0):
        right = th * s_ * share + np.sqrt(1 + th**-2) * a_**2 / np.sqrt(v_ + a_**2 + s_**2)
        assert np.all(a_ * share <= right * (1 + 1e-12))


def test_the_step_cap_is_where_the_last_share_reaches_one():
    cap = float(sp.nsolve(kappa_symbol() * c / 2 - 1, c, 1.2))
    assert cap == pytest.approx(1.2564, abs=1e-4)
    known = {"L0": 1.0, "L1": 2.0, "sigma": 0.0, "Delta": 1.0, "T": 100, "M": 1, "eps": 0.1}
    assert bounds.nonconvex_adagrad_gen(form="solved", step_size=0.98 * cap / 2, **known) > 0
    with pytest.raises(ValueError, match="does not hold"):
        bounds.nonconvex_adagrad_gen(form="solved", step_size=1.01 * cap / 2, **known)
    with pytest.raises(ValueError, match="step_size . max L1_j = 1.13.* is too large for this form; it holds"):
        bounds.nonconvex_adagrad_gen(form="readable", step_size=0.9 * cap / 2, **known)


def kappa_symbol():
    return 2 * (sp.exp(c) - 1 - c) / c**2


def test_readable_corollary():
    """At step * max L1 <= 0.317: mu <= 1/4, so Q <= (4/3) Delta/eta + sum (2.13 s + (2/3) kappa eta L0) l."""
    k = kappa(0.317)
    assert k * 0.317 * np.sqrt(2) / 2 <= 0.25
    assert (np.sqrt(2) + k * 0.317 / 2) * 4 / 3 <= 2.13


def test_without_L1_it_is_the_smooth_theorem():
    c_ = {"sigma": [0.5, 1.0], "Delta": 2.0, "T": 500, "M": 3, "eps": 0.01, "step_size": 0.3}
    smooth = bounds.nonconvex_adagrad(form="solved", L=[1.0, 3.0], **c_)
    general = bounds.nonconvex_adagrad_gen(form="solved", L0=[1.0, 3.0], L1=0.0, **c_)
    assert general == pytest.approx(smooth, rel=1e-6)


KNOWN = {"L0": 1.0, "L1": np.array([2.0, 0.5]), "sigma": np.array([0.5, 0.1]), "Delta": 1.0, "T": 100, "M": 4}


def test_theta_is_the_minimum_of_a_quotient_that_falls_then_rises():
    mu = sp.Symbol("mu", positive=True)
    left = 1 - mu * sp.sqrt(1 + theta**-2)
    assert sp.simplify(sp.diff(left, theta) - mu / (theta**2 * sp.sqrt(theta**2 + 1))) == 0, "positive and falling"
    rng, grid = np.random.default_rng(3), np.geomspace(1e-3, 1e4, 200_001)
    for _ in range(50):
        constant, slope, share = rng.uniform(size=3)
        fit = grid[1 - share * np.sqrt(1 + grid**-2) > 0]

        def value(th, constant=constant, slope=slope, share=share):
            return (constant + slope * th) / (1 - share * np.sqrt(1 + th**-2))

        assert value(best_theta(constant, slope, share)) <= value(fit).min() * (1 + 1e-12)


def test_solved_form_is_the_best_theta_of_the_statement():
    """With G the value times sqrt(T): G^2 <= Q (C + G) for every theta, with equality for the best of them."""
    step_size, eps = 0.3, 0.1
    s_, k = KNOWN["sigma"] / 2, kappa(0.6)
    G = 10 * bounds.nonconvex_adagrad_gen(form="solved", step_size=step_size, eps=eps, **KNOWN)
    logs = 2 * np.log(1 + (10 * s_ + G) / eps)
    C = np.sum(np.sqrt(eps**2 + s_**2)) + 10 * np.sum(s_)
    th = np.geomspace(0.2, 100, 20_001)[:, None]
    Q = 1 / step_size + np.sum((np.sqrt(2) * s_ + k * step_size / 2 * (1 + th * KNOWN["L1"] * s_)) * logs, axis=1)
    Q = Q / (1 - k * 0.6 / 2 * np.sqrt(1 + th[:, 0] ** -2))
    ratio = (Q * (C + G) / G**2)[Q > 0]
    assert ratio.min() == pytest.approx(1, abs=1e-6) and ratio.min() > 1 - 1e-10


def test_the_best_share_is_the_minimum():
    rng = np.random.default_rng(4)
    for _ in range(50):
        constant, shares, costs = rng.uniform(0.1, 5), rng.uniform(0.01, 0.9, 4), 10 ** rng.uniform(-2, 1, 4)

        def value(mu, constant=constant, shares=shares, costs=costs):
            th = ((mu / shares[:, None]) ** 2 - 1) ** -0.5
            return (constant + np.sum(costs[:, None] * th, axis=0)) / (1 - mu)

        grid = shares.max() + (1 - shares.max()) * np.linspace(1e-6, 1 - 1e-6, 200_001)
        found = value(np.array([best_share(constant, costs, shares)]))[0]
        assert found <= value(grid).min() * (1 + 1e-12)


def test_a_theta_for_each_coordinate():
    """With G the value times sqrt(T): G^2 = Q (C + G) for the weights of the page, and no uniform theta does better."""
    step_size, eps = 0.3, 0.1
    s_, k = KNOWN["sigma"] / 2, kappa(0.6)
    value = bounds.nonconvex_adagrad_gen(form="weighted", step_size=step_size, eps=eps, **KNOWN)
    assert value < bounds.nonconvex_adagrad_gen(form="solved", step_size=step_size, eps=eps, **KNOWN)
    G = 10 * value
    logs = 2 * np.log(1 + (10 * s_ + G) / eps)
    C = np.sum(np.sqrt(eps**2 + s_**2)) + 10 * np.sum(s_)
    mu = np.linspace(k * 0.3 * 2 / 2, 1, 20_001)[1:-1, None]
    th = ((2 * mu / (k * step_size * KNOWN["L1"])) ** 2 - 1) ** -0.5
    Q = 1 / step_size + np.sum((np.sqrt(2) * s_ + k * step_size / 2 * (1 + th * KNOWN["L1"] * s_)) * logs, axis=1)
    ratio = Q / (1 - mu[:, 0]) * (C + G) / G**2
    assert ratio.min() == pytest.approx(1, abs=1e-6) and ratio.min() > 1 - 1e-10
    same = KNOWN | {"L1": 1.3, "sigma": np.array([0.5, 0.1])}
    one = bounds.nonconvex_adagrad_gen(form="solved", step_size=step_size, eps=eps, **same)
    assert bounds.nonconvex_adagrad_gen(form="weighted", step_size=step_size, eps=eps, **same) == pytest.approx(one)


def test_solved_form_falls_then_rises_in_the_step():
    steps = np.geomspace(1e-4, 0.62, 300)
    values = [bounds.nonconvex_adagrad_gen(form="solved", step_size=x, eps=0.1, **KNOWN) for x in steps]
    assert np.count_nonzero(np.diff(np.sign(np.diff(values)))) == 1
    assert all(
        solved <= bounds.nonconvex_adagrad_gen(form="readable", step_size=x, eps=0.1, **KNOWN)
        for x, solved in zip(steps, values, strict=True)
        if x < 0.48
    )


def test_the_theorem_holds_exactly(exact):
    rng, worst = np.random.default_rng(2), {"readable": 0.0, "solved": 0.0, "weighted": 0.0}
    for _ in range(120):
        level, start, T = rng.uniform(0.3, 2, 2), rng.uniform(-2, 2, 2), int(rng.integers(1, 8))
        sigma, e = rng.uniform(0, 2, 2) * rng.integers(0, 2), 10 ** rng.uniform(-2, 0)
        step_size = rng.uniform(0.02, 0.55) / level.max()

        def value(w, level=level):
            return np.sum((np.cosh(level * w) - 1) / level**2, axis=1)

        def gradient(w, level=level):
            return np.sinh(level * w) / level

        method, share = exact.adagrad(step_size, e, inside=True), rng.uniform(0.05, 0.95)
        got = exact.walk(value, gradient, method, start, T, sigma, share)
        known = {"L0": 1.0, "L1": level, "sigma": sigma, "T": T, "M": 1, "eps": e, "Delta": value(start[None])[0]}
        for form in worst:
            ratio = got.l1 / bounds.nonconvex_adagrad_gen(form=form, step_size=step_size, **known)
            worst[form] = max(worst[form], ratio)
    assert all(0.02 < ratio <= 1 for ratio in worst.values()), worst
