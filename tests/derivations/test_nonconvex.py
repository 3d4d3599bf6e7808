"""The steps of the nonconvex proofs (docs/theory/nonconvex_*.md), one test a step."""

import numpy as np
import pytest
import sympy as sp
from scipy.special import ndtr

from anisotropic import bounds
from anisotropic.bounds.fixed_point import NOISE_COST, fixed_point, root
from anisotropic.bounds.nonconvex import GAUSSIAN_LOSS

a, g, s, v, x, y = sp.symbols("a g s v x y", positive=True)
A, B, C, G, Q, lam, eta, L, eps = sp.symbols("A B C G Q lam eta L eps", positive=True)


# ---- SGD and signSGD ------------------------------------------------------------------------------------------------


def test_sgd_relaxed_tuning():
    """For eta <= 1/L the denominator 1 - eta L/2 is at least 1/2; what is left to minimize is 2 D/(eta T) + eta V/M."""
    D, T, V, M = sp.symbols("D T V M", positive=True)
    relaxed = 2 * D / (eta * T) + eta * V / M
    best = sp.sqrt(2 * D * M / (T * V))
    assert sp.simplify(sp.diff(relaxed, eta).subs(eta, best)) == 0
    assert sp.simplify(relaxed.subs(eta, best) - 2 * sp.sqrt(2 * D * V / (M * T))) == 0


def test_signsgd_cantelli_costs_at_most_half_a_standard_deviation():
    loss = a * s**2 / (s**2 + a**2)
    assert sp.simplify(s / 2 - loss - s * (s - a) ** 2 / (2 * (s**2 + a**2))) == 0


def test_signsgd_gaussian_loss_is_below_the_rounded_constant():
    grid = np.linspace(0, 6, 600_001)
    largest = np.max(2 * grid * ndtr(-grid))
    assert largest < float(GAUSSIAN_LOSS) < 1.0003 * largest


# ---- lemma N1 -------------------------------------------------------------------------------------------------------


def test_n1_the_difference_of_the_roots():
    u, b = v + g**2, v + a**2 + s**2
    assert sp.simplify(1 / sp.sqrt(b) - 1 / sp.sqrt(u) - (u - b) / (sp.sqrt(u * b) * (sp.sqrt(u) + sp.sqrt(b)))) == 0
    assert sp.expand(u - b - (g**2 - a**2 - s**2)) == 0


def test_n1_the_deviation_is_at_most_noise_and_its_level():
    r = sp.sqrt(a**2 + s**2)
    right_side = (g - a) ** 2 - (g - r) ** 2
    assert sp.simplify(right_side - (r - a) * (2 * g - a - r)) == 0, "g >= r >= a: not negative"
    left_side = s**2 + (g + a) ** 2 - (r - g) ** 2
    assert sp.simplify(left_side - 2 * g * (a + r)) == 0, "the gradient estimate is -g here"


def test_n1_the_share_of_the_step_is_at_least_that_of_the_gradient():
    """E p >= a^2/b by Cauchy-Schwarz, since a = E[(g/sqrt u) sqrt u] and E u <= b; here on random two-point laws."""
    rng = np.random.default_rng(11)
    a_, s_, v_ = 10 ** rng.uniform(-3, 3, (3, 20_000))
    p = rng.uniform(1e-4, 1 - 1e-4, 20_000)
    gs = a_ + s_ * np.array([np.sqrt((1 - p) / p), -np.sqrt(p / (1 - p))])
    weights, u = np.array([p, 1 - p]), v_ + gs**2
    share, mean = np.sum(weights * gs**2 / u, axis=0), np.sum(weights * u, axis=0)
    assert np.all(share * mean >= a_**2 * (1 - 1e-9)) and np.allclose(mean, v_ + a_**2 + s_**2, rtol=1e-6)


def test_n1_no_split_of_the_gain_is_better():
    """Giving up a share lam of the gain lowers the constant to sqrt 2 - lam only, and Q rises in lam."""
    t_ = sp.Symbol("t", positive=True)
    gain = sp.sqrt(2) * t_ - lam * t_**2
    assert sp.simplify(sp.diff(gain, t_).subs(t_, 1 / (sp.sqrt(2) * lam))) == 0
    assert sp.simplify(gain.subs(t_, 1) - (sp.sqrt(2) - lam)) == 0
    rising = sp.diff((A + (sp.sqrt(2) - lam) * B) / (1 - lam), lam) * (1 - lam) ** 2
    assert sp.simplify(rising - (A + (sp.sqrt(2) - 1) * B)) == 0


def needed_constant(a_, s_, v_, gs, weights):
    """The smallest c with E[a g/sqrt(v+g^2)] >= a^2/sqrt(b) - c s E[g^2/(v+g^2)]."""
    gain = np.sum(weights * a_ * gs / np.sqrt(v_ + gs**2), axis=0)
    p = np.sum(weights * gs**2 / (v_ + gs**2), axis=0)
    return (a_**2 / np.sqrt(v_ + a_**2 + s_**2) - gain) / (s_ * p)


def test_n1_on_many_two_point_and_three_point_laws():
    rng = np.random.default_rng(0)
    size = 400_000
    a_, v_ = 10 ** rng.uniform(-3, 3, (2, size))
    s_ = a_ * 10 ** rng.uniform(-3, 3, size)
    p = 10 ** rng.uniform(-5, 0, size) * 0.999
    p = np.where(rng.random(size) < 0.5, p, 1 - p)
    stretch = rng.random(size) ** 0.1
    gs = a_ + s_ * stretch * np.array([np.sqrt((1 - p) / p), -np.sqrt(p / (1 - p))])
    worst = np.max(needed_constant(a_, s_, v_, gs, np.array([p, 1 - p])))
    gs = a_ + s_ * stretch * np.array([1 / np.sqrt(p), -1 / np.sqrt(p), 0 * p])
    worst = max(worst, np.max(needed_constant(a_, s_, v_, gs, np.array([p / 2, p / 2, 1 - p]))))
    assert 1.0 < worst <= NOISE_COST


def test_n1_for_vectors():
    rng = np.random.default_rng(1)
    for _ in range(2000):
        d = 3
        a_, v_, p = rng.normal(size=d) * 10 ** rng.uniform(-2, 2), 10 ** rng.uniform(-4, 4), rng.uniform(0.001, 0.999)
        direction = rng.normal(size=d) * 10 ** rng.uniform(-2, 2)
        gs = np.array([a_ + direction * np.sqrt((1 - p) / p), a_ - direction * np.sqrt(p / (1 - p))])
        weights, square = np.array([p, 1 - p]), np.sum(gs**2, axis=1)
        gain = np.sum(weights * (gs @ a_) / np.sqrt(v_ + square))
        share = np.sum(weights * square / (v_ + square))
        norm2, s2 = np.sum(a_**2), np.sum(direction**2)
        assert gain >= norm2 / np.sqrt(v_ + norm2 + s2) - NOISE_COST * np.sqrt(s2) * share - 1e-12


# ---- AdaGrad --------------------------------------------------------------------------------------------------------


def test_log_lemma():
    ratio = sp.Symbol("ratio", positive=True)
    slack = -sp.log(ratio) - (1 - ratio)
    assert slack.subs(ratio, 1) == 0 and sp.diff(slack, ratio).equals((ratio - 1) / ratio), "smallest, 0, at ratio = 1"


def test_G_solves_the_quadratic_and_the_map_is_concave():
    G_ = Q / 2 + sp.sqrt(Q**2 / 4 + Q * C)
    assert sp.simplify(sp.expand(G_**2 - Q * (C + G_))) == 0
    assert sp.simplify(sp.diff(G_, Q, 2) + C**2 / (4 * (Q**2 / 4 + Q * C) ** sp.Rational(3, 2))) == 0
    assert root(3.0, 2.0) ** 2 == pytest.approx(3.0 * (2.0 + root(3.0, 2.0)))


def test_the_fixed_point_is_the_largest():
    found = fixed_point(lambda z: 1 + 5 * np.log1p(100 * z))
    beyond = np.geomspace(found * 1.000001, 1e12, 500)
    assert np.all(1 + 5 * np.log1p(100 * beyond) < beyond)
    assert 1 + 5 * np.log1p(100 * found) == pytest.approx(found, rel=1e-12)
    with pytest.raises(ValueError, match="fixed point exceeds"):
        fixed_point(lambda z: 2 * z + 1)


def test_reach_of_the_gradient_along_a_path(cosine_instances):
    """|grad_j f(w_t)| <= sqrt(2 L_j Delta) + eta T sqrt(L_j |L|_1) for the closed logarithm."""
    rng = np.random.default_rng(3)
    for _ in range(200):
        value, gradient, smooth = cosine_instances(rng)
        w = rng.uniform(-5, 5, (1, 2))
        delta, step_size, T = value(w)[0], 10 ** rng.uniform(-2, 1), 20
        sign = rng.choice([-1, 1], (T, 2))
        limit = np.sqrt(2 * smooth * delta) + step_size * T * np.sqrt(smooth * smooth.sum())
        for t in range(T):
            assert np.all(np.abs(gradient(w)) <= limit + 1e-12)
            w = w + step_size * sign[t]


# ---- AdaGrad without noise ------------------------------------------------------------------------------------------


def test_deterministic_what_descent_pays_is_an_integral_of_an_increasing_price():
    """k(v) = theta/sqrt(v) + [(1 - theta)/sqrt(v) - peak/(2 v)]; the bracket rises up to sqrt(v) = peak/(1 - theta)."""
    z, peak, theta, U = sp.symbols("z peak theta U", positive=True)
    bracket = (1 - theta) / sp.sqrt(z) - peak / (2 * z)
    assert sp.simplify(sp.diff(bracket, z) - (peak - (1 - theta) * sp.sqrt(z)) / (2 * z**2)) == 0
    integral = sp.integrate(bracket, (z, eps**2, U**2))
    best = sp.expand_log((theta * (U - eps) + integral).subs(theta, 1 - peak / U), force=True)
    assert sp.simplify(best - sp.expand_log((1 + peak / U) * (U - eps) - peak * sp.log(U / eps), force=True)) == 0
    before = sp.Symbol("before", positive=True)
    after, u = sp.sqrt(before + g**2), sp.sqrt(before)
    assert sp.simplify(g**2 / after - (after - u) - u * (after - u) / after) == 0, "g^2/after >= after - u"


def test_deterministic_the_price_of_a_final_root_on_random_gradients():
    rng = np.random.default_rng(10)
    for _ in range(500):
        e, peak, size = 10 ** rng.uniform(-2, 1), 10 ** rng.uniform(-2, 1), int(rng.integers(1, 30))
        squares = 10 ** rng.uniform(-4, 3, size)
        v_ = e**2 + np.cumsum(squares)
        paid, U = np.sum(squares / np.sqrt(v_)) - peak / 2 * np.sum(squares / v_), np.sqrt(v_[-1])
        assert paid >= (1 + min(peak / U, 1)) * (U - e) - peak * np.log(U / e) - 1e-9 * max(1, abs(paid))


def test_deterministic_readable_form_from_the_integral():
    z, peak = sp.symbols("z peak", positive=True)
    integral = sp.integrate(peak / z - 1 / sp.sqrt(z), (z, eps**2, peak**2)) / 2
    assert sp.simplify(sp.expand_log(integral - (peak * sp.log(peak / eps) - (peak - eps)), force=True)) == 0
    falling = sp.diff((peak - sp.sqrt(z)) / z, z)
    assert sp.simplify(falling - (sp.sqrt(z) / 2 - peak) / z**2) == 0, "negative while sqrt(z) < 2 peak"


def test_deterministic_tight_form_is_above_every_feasible_point_and_below_the_readable_form():
    rng = np.random.default_rng(4)
    closest = np.inf
    for _ in range(30):
        smooth, e = rng.uniform(0.1, 3, 3), 10 ** rng.uniform(-3, 0.5, 3)
        step_size, delta, T = 10 ** rng.uniform(-1, 0.5), 10 ** rng.uniform(-2, 1), 9.0
        peak, room = step_size * smooth, delta / step_size
        c = {"L": smooth, "eps": e, "step_size": step_size, "Delta": delta, "T": T}
        claim = bounds.nonconvex_adagrad_det(form="tight", **c) * 3
        assert claim / 3 <= bounds.nonconvex_adagrad_det(**c) * (1 + 1e-12)
        U = np.maximum(e, np.maximum(e, peak) * 10 ** rng.uniform(-0.5, 3, (40_000, 3)))
        paid = np.sum((1 + np.minimum(peak / U, 1)) * (U - e) - peak * np.log(U / e), axis=1)
        feasible = U[paid <= room].sum(axis=1)
        assert np.all(feasible <= claim * (1 + 1e-12))
        closest = min(closest, claim / feasible.max(initial=1e-9))
    assert closest < 1.1


# ---- RMSProp --------------------------------------------------------------------------------------------------------


def test_rmsprop_is_the_lemma_for_scaled_gradients():
    beta, r = sp.symbols("beta r", positive=True)
    assert sp.simplify(g / sp.sqrt(beta * v + r**2 * g**2) - (r * g) / sp.sqrt(beta * v + (r * g) ** 2) / r) == 0
    shrink = sp.sqrt(1 - beta)
    assert sp.simplify(shrink / (1 - sp.sqrt(beta)) - (1 + sp.sqrt(beta)) / shrink).subs(beta, sp.Rational(1, 4)) == 0
    assert sp.simplify((1 - sp.sqrt(beta)) * (1 + sp.sqrt(beta)) - (1 - beta)) == 0


def test_rmsprop_sum_of_shares():
    rng = np.random.default_rng(5)
    beta, e, T = 0.9, 0.1, 60
    second, shares = e**2, 0.0
    for gradient in rng.standard_t(2, T):
        second = beta * second + (1 - beta) * gradient**2
        shares += (1 - beta) * gradient**2 / second
    assert shares <= T * np.log(1 / beta) + np.log(second / e**2)


# ---- whole theorems against exact expectations ----------------------------------------------------------------------


def cases(rng, make, count):
    for _ in range(count):
        value, gradient, smooth = make(rng)
        start = rng.uniform(-4, 4, 2)
        sigma = rng.uniform(0, 2, 2) * rng.integers(0, 2)
        T = int(rng.integers(1, 9))
        known = {"L": smooth, "sigma": sigma, "T": T, "M": 1.0, "Delta": value(start[None])[0]}
        yield value, gradient, start, known, {"T": T, "noise": sigma, "p": rng.uniform(0.05, 0.95)}


def test_nonconvex_sgd_and_sign_hold_exactly(exact, cosine_instances):
    rng, worst = np.random.default_rng(6), {}
    for value, gradient, start, known, walk_ in cases(rng, cosine_instances, 150):
        step_size = rng.uniform(0.05, 1.95) / known["L"].max()
        got = exact.walk(value, gradient, exact.sgd(step_size), start, **walk_)
        ratio = {"nonconvex_sgd": got.l2_squared / bounds.nonconvex_sgd(step_size=step_size, **known)}
        steps = rng.uniform(0.05, 1, 2) / known["L"]
        got = exact.walk(value, gradient, exact.sgd(steps), start, **walk_)
        ratio["nonconvex_diag_sgd"] = got.l1 / bounds.nonconvex_diag_sgd(step_size=steps, **known)
        step_size = 10 ** rng.uniform(-2, 0)
        got = exact.walk(value, gradient, exact.sign_sgd(step_size), start, **walk_)
        ratio["nonconvex_signsgd"] = got.l1 / bounds.nonconvex_signsgd(step_size=step_size, **known)
        worst = {k: max(r, worst.get(k, 0)) for k, r in ratio.items()}
    assert all(0.4 < r <= 1 for r in worst.values()), worst


def test_nonconvex_sgd_with_affine_noise_holds_exactly(exact, cosine_instances):
    rng, worst = np.random.default_rng(7), 0.0
    for value, gradient, start, known, walk_ in cases(rng, cosine_instances, 60):
        step_size = rng.uniform(0.05, 1.95) / (3 * known["L"].max())
        got = exact.walk(value, gradient, exact.sgd(step_size), start, rho=2.0, **walk_)
        worst = max(worst, got.l2_squared / bounds.nonconvex_sgd(step_size=step_size, rho=2.0, **known))
    assert 0.4 < worst <= 1


def test_adaptive_methods_hold_exactly(exact, cosine_instances):
    rng, worst = np.random.default_rng(8), {}
    for value, gradient, start, known, walk_ in cases(rng, cosine_instances, 120):
        step_size, e, beta = 10 ** rng.uniform(-1.5, 0.5), 10 ** rng.uniform(-2, 0.5), rng.uniform(0.3, 0.95)
        known |= {"step_size": step_size, "eps": e}
        ratio = {}
        got = exact.walk(value, gradient, exact.adagrad(step_size, e, inside=True), start, **walk_)
        far = step_size * known["T"] * np.sqrt(known["L"] * known["L"].sum())
        reach = np.sqrt(2 * known["L"] * known["Delta"]) + far
        for form in bounds.nonconvex_adagrad.forms:
            c = known | {"G": np.sqrt(reach**2 + known["sigma"] ** 2)}
            ratio[form] = got.l1 / bounds.nonconvex_adagrad(form=form, **c)
        if not np.any(known["sigma"]):
            for form in bounds.nonconvex_adagrad_det.forms:
                ratio["det " + form] = got.l1 / bounds.nonconvex_adagrad_det(form=form, **known)
        got = exact.walk(value, gradient, exact.adagrad(step_size, e, norm=True, inside=True), start, **walk_)
        ratio["norm"] = got.l2 / bounds.nonconvex_adagrad_norm(**known)
        got = exact.walk(value, gradient, exact.adagrad(step_size, e, inside=True, beta=beta), start, **walk_)
        ratio["rmsprop"] = got.l1 / bounds.nonconvex_rmsprop(beta=beta, **known)
        worst = {k: max(ratio.get(k, 0), worst.get(k, 0)) for k in {*ratio, *worst}}
    assert len(worst) == 7 and all(0.02 < r <= 1 for r in worst.values()), worst


def test_gaussian_sign_bound_by_quadrature(cosine_instances):
    """One step of signSGD: E a sign(a + s Z) = a (2 Phi(a/s) - 1) >= |a| - 0.34 s."""
    size, level = np.geomspace(1e-3, 1e2, 400), 1.3
    assert np.all(size * (2 * ndtr(size / level) - 1) >= size - float(GAUSSIAN_LOSS) * level - 1e-15)
