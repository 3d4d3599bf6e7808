"""The steps of the convex proofs (docs/theory/convex_*.md, pl_sgd.md), one test a step."""

import numpy as np
import pytest
import sympy as sp

from anisotropic import bounds

x, g, K, L, n, B, S, N, e, lam = sp.symbols("x g K L n B S N e Lambda", positive=True)
eta, s, D, P, C = sp.symbols("eta s D P C", positive=True)


# ---- equalities and inequalities of the proofs -----------------------------------------------------------------------


def test_cocoercivity_is_an_equality_for_a_quadratic_and_holds_for_hubers():
    y = sp.Symbol("y", real=True)
    f = L * y**2 / 2
    assert sp.simplify(sp.diff(f, y) * y - f - sp.diff(f, y) ** 2 / (2 * L)) == 0
    rng = np.random.default_rng(0)
    c, width, w = rng.uniform(0.1, 3, 10_000), rng.uniform(0.01, 2, 10_000), rng.normal(size=10_000) * 2
    value = np.where(np.abs(w) < width, c * w**2 / 2, c * width * (np.abs(w) - width / 2))
    slope = c * np.clip(w, -width, width)
    assert np.all(slope * w >= value + slope**2 / (2 * c) - 1e-12)


def test_sgd_the_squared_gradients_cancel_up_to_the_step_cap():
    rho = sp.Symbol("rho", nonnegative=True)
    coefficient = (1 + rho) * eta**2 - 2 * eta / (2 * L)
    assert sp.simplify(coefficient.subs(eta, 1 / ((1 + rho) * L))) == 0
    assert sp.simplify(coefficient - eta * ((1 + rho) * eta - 1 / L)) == 0, "hence negative for smaller steps"


def test_sgd_proj_the_quadratic_parts_sum_to_zero_and_young_is_exact():
    u, xi, h = sp.symbols("u xi h", positive=True)
    assert sp.simplify(-h * u**2 / (2 * eta * h) + L * u**2 / 2 + (1 / eta - L) * u**2 / 2) == 0
    young = xi**2 / (2 * (1 / eta - L)) + (1 / eta - L) * u**2 / 2 - xi * u
    assert sp.simplify(young - ((1 / eta - L) * u - xi) ** 2 / (2 * (1 / eta - L))) == 0
    assert sp.simplify(xi**2 / (2 * (1 / eta - L)) - eta * xi**2 / (2 * (1 - eta * L))) == 0


def test_regret_lemma_one_step_is_an_equality():
    moved = x - eta * g / s
    assert sp.simplify(g * x - s / (2 * eta) * (x**2 - moved**2) - eta * g**2 / (2 * s)) == 0


def test_regret_lemma_abel_summation():
    xs, ss = sp.symbols("x1:5", positive=True), sp.symbols("s1:5", positive=True)
    direct = sum(ss[t] * (xs[t] ** 2 - (xs[t + 1] ** 2 if t < 3 else 0)) for t in range(4))
    by_parts = ss[0] * xs[0] ** 2 + sum((ss[t] - ss[t - 1]) * xs[t] ** 2 for t in range(1, 4))
    assert sp.expand(direct - by_parts) == 0


def test_regret_lemma_each_summand_is_below_twice_the_growth_of_the_root():
    v = sp.Symbol("v", nonnegative=True)
    gap = 2 * (sp.sqrt(v + g**2) - sp.sqrt(v)) - g**2 / sp.sqrt(v + g**2)
    square = (sp.sqrt(v + g**2) - sp.sqrt(v)) ** 2 / sp.sqrt(v + g**2)
    assert sp.simplify(gap - square) == 0


def test_regret_lemma_against_adversarial_gradients():
    rng = np.random.default_rng(1)
    for _ in range(300):
        T, d = 30, 3
        lo, hi = -rng.random(d), rng.random(d)
        step_size, eps = rng.uniform(0.05, 3, d), rng.uniform(0, 1, d) * rng.integers(0, 2)
        w, star, v, regret = lo + rng.random(d) * (hi - lo), lo + rng.random(d) * (hi - lo), np.zeros(d), 0.0
        for _t in range(T):
            gradient = np.sign(w - star) * rng.exponential(1, d) if rng.random() < 0.7 else rng.normal(size=d) * 10
            regret += gradient @ (w - star)
            v += gradient**2
            w = np.clip(w - step_size * gradient / (np.sqrt(v) + eps), lo, hi)
        width = hi - lo
        price = width**2 / (2 * step_size) + step_size
        assert regret <= price @ np.sqrt(v) + np.sum(eps * width**2 / (2 * step_size)) + 1e-9


def test_the_quadratic_in_the_root_of_S():
    root = (sp.sqrt(lam) + sp.sqrt(lam + N)) ** 2
    assert sp.simplify(root - 2 * sp.sqrt(lam) * (sp.sqrt(lam) + sp.sqrt(lam + N)) - N) == 0
    slack = 4 * lam + 2 * N - root
    assert sp.simplify(slack - (sp.sqrt(lam + N) - sp.sqrt(lam)) ** 2) == 0


def test_sharp_form_the_best_B_and_its_value():
    gain = K * sp.sqrt(B + n) - B / (2 * L)
    best = K**2 * L**2 - n
    assert sp.simplify(sp.diff(gain, B).subs(B, best)) == 0
    assert sp.diff(gain, B, 2).subs({K: 1, B: 1, n: 1}) < 0, "concave in B"
    value = sp.simplify(gain.subs(B, best))
    assert sp.simplify(value - (K * sp.sqrt(n) + (K * L - sp.sqrt(n)) ** 2 / (2 * L))) == 0
    plain = K**2 * L / 2 + K * sp.sqrt(n)
    assert sp.simplify(plain - value - (sp.sqrt(n) * (2 * K * L - sp.sqrt(n)) / (2 * L))) == 0
    assert sp.diff(gain, B).subs(B, 0).subs({K: 1, L: 1, n: 4}) < 0, "for sqrt(n) > K L the best B is 0"


def test_sharp_form_meets_the_older_constraint_so_it_is_never_looser_than_tight():
    """At the best B, sum B/L <= 2 S: K^2 L - n/L against K^2 L + n/L, coordinate by coordinate."""
    value = K * sp.sqrt(n) + (K * L - sp.sqrt(n)) ** 2 / (2 * L)
    assert sp.simplify(2 * value - (K**2 * L - n / L) - 2 * n / L) == 0


def test_affine_noise_only_enlarges_L():
    A = sp.Symbol("A", positive=True)
    scaled = (K * sp.sqrt(A * B + n) - B / (2 * L)).subs(B, B / A)
    assert sp.simplify(scaled - (K * sp.sqrt(B + n) - B / (2 * A * L))) == 0


def test_adagrad_norm_root_and_its_shares():
    T_noise = sp.Symbol("V", positive=True)
    C_ = K**2 * (2 * L * e + T_noise)
    P_ = 2 * L * K**2
    root = P_ / 2 + sp.sqrt(P_**2 / 4 + C_)
    assert sp.simplify(sp.expand(root**2 - P_ * root - C_)) == 0, "(S - e)^2 = K^2 (2 L S + V) with S = e + root"
    assert sp.simplify(root - (P_ + P_ * e / root + K**2 * T_noise / root)) == 0, "bias + eps + noise shares"


def test_adagrad_norm_additive_form():
    a, b = sp.symbols("a b", positive=True)
    assert sp.expand((a / 2 + b) ** 2 - (a**2 / 4 + a * b)) == b**2, "sqrt(P^2/4 + P e) <= P/2 + e"


def test_high_probability_lipschitz_constant():
    rng = np.random.default_rng(2)
    K_, s_, z = rng.uniform(0.1, 2, 4), rng.uniform(0.1, 2, 4), rng.normal(size=(4, 50))

    def total(flat):
        return np.sum(K_ * s_ * np.sqrt(np.sum(flat.reshape(4, 50) ** 2, axis=1)))

    steps = 1e-6 * np.eye(200)
    slope = np.array([(total(z.ravel() + h) - total(z.ravel() - h)) / 2e-6 for h in steps])
    assert np.sqrt(np.sum(slope**2)) == pytest.approx(np.sqrt(np.sum(K_**2 * s_**2)), rel=1e-6)


def test_pl_recursion_has_the_stated_solution():
    q, a, d0 = sp.symbols("q a Delta_0", positive=True)
    t = sp.Symbol("t", integer=True, positive=True)
    solution = q**t * d0 + (1 - q**t) * a / (1 - q)
    assert sp.simplify(solution.subs(t, t + 1) - (q * solution + a)) == 0
    mu, var = sp.symbols("mu V", positive=True)
    q_ = 1 - eta * mu * (2 - eta * L)
    assert sp.simplify((eta**2 * var / 2) / (1 - q_) - eta * var / (2 * mu * (2 - eta * L))) == 0


# ---- whole theorems against exact expectations -----------------------------------------------------------------------


def setting(rng, make):
    """A random instance in the box [-1, 1]^2 with the constants of the theorems."""
    value, gradient, smooth, shift = make(rng)
    sigma = rng.uniform(0, 3, 2) * rng.integers(0, 2)
    start = rng.uniform(-1, 1, 2)
    T, p, rho = int(rng.integers(1, 8)), rng.uniform(0.05, 0.95), rng.choice([0.0, 2.0])
    known = {"L": smooth, "sigma": sigma, "R": np.abs(start - shift), "D": 2.0, "T": T, "M": 1.0, "rho": rho}
    return value, gradient, start, known, {"T": T, "noise": sigma, "p": p, "rho": rho, "box": (-1, 1)}


def worst_ratio(name, rng, make, update_for, count=250, form=None, measure="mean_gap", **fixed):
    b, worst = bounds[name], 0.0
    for _ in range(count):
        value, gradient, start, known, walk_ = setting(rng, make)
        known, walk_ = known | fixed, walk_ | {k: v for k, v in fixed.items() if k == "rho"}
        step_size = b.tuned_step_size(**known) * (np.exp(rng.uniform(-2, 0)) if rng.random() < 0.5 else 1.0)
        step_size = step_size if np.all(np.asarray(step_size) > 1e-200) else np.asarray(step_size) + 1e-12
        got = update_for(value, gradient, start, step_size, walk_)
        claim = b(form=form or b.forms[-1], step_size=step_size, **known)
        worst = max(worst, getattr(got, measure) / claim if claim > 0 else 0.0)
    return worst


def test_convex_sgd_holds_exactly(exact, convex_instances):
    def run(value, gradient, start, step_size, w):
        return exact.walk(value, gradient, exact.sgd(step_size), start, **w)

    rng = np.random.default_rng(3)
    assert 0.5 < worst_ratio("convex_sgd", rng, convex_instances, run) <= 1 + 1e-9
    assert 0.5 < worst_ratio("convex_diag_sgd", rng, convex_instances, run) <= 1 + 1e-9
    worst = worst_ratio("convex_sgd_proj", rng, convex_instances, run, measure="mean_gap_after", rho=0.0)
    assert 0.1 < worst <= 1 + 1e-9


@pytest.mark.parametrize("form", ["simple", "quad", "tight", "sharp"])
def test_convex_adagrad_holds_exactly_in_every_form(exact, convex_instances, form):
    def run(value, gradient, start, step_size, w):
        return exact.walk(value, gradient, exact.adagrad(step_size), start, **w)

    worst = worst_ratio("convex_adagrad", np.random.default_rng(4), convex_instances, run, count=120, form=form)
    assert 0.02 < worst <= 1


@pytest.mark.parametrize("form", ["simple", "quad", "sharp"])
def test_convex_adagrad_norm_holds_exactly_in_every_form(exact, convex_instances, form):
    def run(value, gradient, start, step_size, w):
        return exact.walk(value, gradient, exact.adagrad(step_size, norm=True), start, **w)

    worst = worst_ratio("convex_adagrad_norm", np.random.default_rng(5), convex_instances, run, count=120, form=form)
    assert 0.02 < worst <= 1


@pytest.mark.parametrize("form", ["simple", "quad", "sharp"])
def test_active_constraints_hold_exactly(exact, form):
    """The minimum of the quadratic lies outside the box, so that the gradient at the minimizer is not zero."""
    rng, worst = np.random.default_rng(6), {"convex_adagrad_active": 0.0, "convex_sgd_proj": 0.0}
    for _ in range(100):
        h, centre = rng.uniform(0.1, 3, 2), rng.uniform(-2, 2, 2)
        star = np.clip(centre, -1, 1)
        sigma, start, T = rng.uniform(0, 2, 2), rng.uniform(-1, 1, 2), int(rng.integers(1, 7))
        lowest = 0.5 * np.sum(h * (star - centre) ** 2)

        def value(w, h=h, centre=centre, lowest=lowest):
            return 0.5 * np.sum(h * (w - centre) ** 2, axis=1) - lowest

        def gradient(w, h=h, centre=centre):
            return h * (w - centre)

        known = {"L": h, "sigma": sigma, "D": 2.0, "R": np.abs(start - star), "T": T, "M": 1.0}
        walk_ = {"T": T, "noise": sigma, "p": rng.uniform(0.1, 0.9), "box": (-1, 1)}
        got = exact.walk(value, gradient, exact.adagrad(np.sqrt(2)), start, **walk_)
        claim = bounds.convex_adagrad_active(form=form, G_star=h * np.abs(star - centre), **known)
        worst["convex_adagrad_active"] = max(worst["convex_adagrad_active"], got.mean_gap / claim)
        step_size = bounds.convex_sgd_proj.tuned_step_size(**known)
        got = exact.walk(value, gradient, exact.sgd(step_size), start, **walk_)
        ratio = got.mean_gap_after / bounds.convex_sgd_proj(step_size=step_size, **known)
        worst["convex_sgd_proj"] = max(worst["convex_sgd_proj"], ratio)
    assert all(0.02 < ratio <= 1 for ratio in worst.values()), worst


def test_nonsmooth_holds_exactly(exact):
    rng, worst = np.random.default_rng(7), 0.0
    for _ in range(100):
        c, shift = rng.uniform(0.1, 3, 2), rng.uniform(-1, 1, 2)
        sigma, start, T = rng.uniform(0, 2, 2), rng.uniform(-1, 1, 2), int(rng.integers(1, 8))

        def value(w, c=c, shift=shift):
            return np.sum(c * np.abs(w - shift), axis=1)

        def gradient(w, c=c, shift=shift):
            return c * np.sign(w - shift)

        known = {"D": 2.0, "R": np.abs(start - shift), "G": np.sqrt(c**2 + sigma**2), "T": T}
        walk_ = {"T": T, "noise": sigma, "p": rng.uniform(0.1, 0.9), "box": (-1, 1)}
        got = exact.walk(value, gradient, exact.adagrad(np.sqrt(2)), start, **walk_)
        worst = max(worst, got.mean_gap / bounds.convex_adagrad_nonsmooth(**known))
        step_size = bounds.convex_sgd_nonsmooth.tuned_step_size(**known)
        got = exact.walk(value, gradient, exact.sgd(step_size), start, **walk_)
        worst = max(worst, got.mean_gap / bounds.convex_sgd_nonsmooth(**known))
    assert 0.1 < worst <= 1


def test_pl_sgd_holds_exactly_for_the_function_with_two_curvatures(exact):
    rng, worst = np.random.default_rng(8), 0.0
    for _ in range(100):
        h = rng.uniform(0.2, 3, 2)
        sigma, start, T = rng.uniform(0, 2, 2), rng.uniform(-2, 2, 2), int(rng.integers(1, 8))
        step_size = rng.uniform(0.05, 1.9) / h.max()
        known = {"L": h, "mu": h.min(), "sigma": sigma, "M": 1.0, "T": T, "Delta": 0.5 * np.sum(h * start**2)}
        if bounds.pl_sgd.violations(step_size=step_size, **known):
            continue
        got = exact.walk(
            lambda w, h=h: 0.5 * np.sum(h * w**2, axis=1), lambda w, h=h: h * w, exact.sgd(step_size), start, T, sigma
        )
        worst = max(worst, got.gap / bounds.pl_sgd(step_size=step_size, **known))
    assert 0.3 < worst <= 1 + 1e-9


def test_high_probability_bound_on_gaussian_paths():
    """1,500 Gaussian paths at delta = 0.1: the share above the bound must not exceed 0.1."""
    rng = np.random.default_rng(9)
    h, sigma, T, paths = np.array([1.0, 0.2]), np.array([1.0, 0.5]), 50, 1500
    w, v, total = np.zeros((paths, 2)), np.zeros((paths, 2)), np.zeros(paths)
    for _ in range(T):
        total += 0.5 * np.sum(h * (w - 0.5) ** 2, axis=1)
        noisy = h * (w - 0.5) + sigma * rng.normal(size=(paths, 2))
        v += noisy**2
        w = np.clip(w - np.sqrt(2) * noisy / np.sqrt(v), -1, 1)
    c = {"L": h, "sigma": sigma, "D": 2.0, "T": T, "M": 1, "delta": 0.1}
    claim = bounds.convex_adagrad_hp(form="sharp", **c)
    assert np.mean(total / T > claim) <= 0.1 and claim < bounds.convex_adagrad_hp(form="quad", **c)
