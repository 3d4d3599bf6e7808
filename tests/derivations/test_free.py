"""The steps of the bounds under noise without a box (docs/theory/convex_adagrad_norm_free_variance.md, ..._hp.md)."""

import numpy as np
import pytest
import sympy as sp

from anisotropic import bounds
from anisotropic.bounds.free import DRIFT, price

a, s, r, c, R, k, ell, eta, x = sp.symbols("a s r c R k l eta x", positive=True)


# ---- lemma N2 -------------------------------------------------------------------------------------------------------


def test_the_last_step_of_lemma_n2():
    root = sp.sqrt(a**2 + s**2)
    assert sp.simplify(2 * root**2 - 2 * root * a - 2 * root * s**2 / (root + a)) == 0
    assert sp.simplify(2 * root * s**2 / (root + a) - 2 * s**2 + 2 * s**2 * a / (root + a)) == 0, "at most 2 s^2"


def two_point(rng, d):
    """Two values of a noise vector with mean zero, and their probabilities."""
    rare = 10 ** rng.uniform(-3, -0.3)
    direction = rng.normal(size=d) * 10 ** rng.uniform(-2, 2)
    return np.stack([direction * (1 - rare), -direction * rare]), np.array([rare, 1 - rare])


def test_lemma_n2_on_random_points():
    rng, closest = np.random.default_rng(0), 0.0
    for _ in range(20_000):
        d = int(rng.integers(1, 4))
        noise, weight = two_point(rng, d)
        gradient, point, v = rng.normal(size=d) * 10 ** rng.uniform(-2, 2), rng.normal(size=d), 10 ** rng.uniform(-4, 4)
        s2 = weight @ np.sum(noise**2, axis=1)
        g = gradient + noise
        u, b = v + np.sum(g**2, axis=1), v + gradient @ gradient + s2
        lost = abs(weight @ (g @ point / np.sqrt(u)) - gradient @ point / np.sqrt(b))
        p = weight @ (np.sum(g**2, axis=1) / u)
        claim = np.sqrt(2 * s2) * np.linalg.norm(point) * np.sqrt(p) / np.sqrt(b)
        assert lost <= claim * (1 + 1e-9)
        closest = max(closest, lost / claim)
    assert closest > 0.5


# ---- variance only --------------------------------------------------------------------------------------------------


def test_the_distance_solves_its_quadratic_and_is_concave_in_the_logarithm():
    A = c * sp.sqrt(ell) + sp.sqrt(c**2 * ell + R**2 + eta**2 * ell)
    assert sp.simplify(A**2 - R**2 - eta**2 * ell - 2 * c * sp.sqrt(ell) * A) == 0
    mixed = sp.sqrt(k * ell**2 + R**2 * ell)
    assert sp.simplify(sp.diff(mixed, ell, 2) + R**4 / (4 * (k * ell**2 + R**2 * ell) ** sp.Rational(3, 2))) == 0


def huber_pair(rng):
    """A sum of two Huber functions, or one in a rotated direction: value, gradient, L, per-coordinate or not."""
    L, m = 10 ** rng.uniform(-1, 1, 2), 10 ** rng.uniform(-1, 1, 2)
    def value(w):
        size = np.abs(w)
        return np.sum(np.where(size <= m / L, L * size**2 / 2, m * (size - m / L / 2)), axis=1)

    return value, lambda w: np.clip(L * w, -m, m), L


@pytest.mark.parametrize("norm", [True, False])
def test_variance_only_against_exact_expectations(exact, norm):
    """E of the root of the mean gap over all paths of skewed noise, T up to 10."""
    rng, closest = np.random.default_rng(1), 0.0
    for _ in range(120):
        value, gradient, L = huber_pair(rng)
        T, step_size, eps = int(rng.integers(1, 11)), 10 ** rng.uniform(-2, 1), 10 ** rng.uniform(-2, 1)
        start, sigma = rng.normal(size=2), 10 ** rng.uniform(-2, 1) * rng.choice([0, 1, 1], 2)
        update = exact.adagrad(step_size, eps, norm=norm, inside=True)
        paths = exact.walk(value, gradient, update, start, T, sigma, p=10 ** rng.uniform(-2, -0.1))
        measured = paths.weights @ np.sqrt(paths.path_gaps)
        known = {"L": L, "sigma": sigma, "R": np.abs(start), "step_size": step_size, "eps": eps, "T": T, "M": 1}
        bound = bounds.convex_adagrad_norm_free_variance if norm else bounds.convex_adagrad_free_variance
        for form in bound.forms:
            claim = bound(form, **known)
            assert measured <= claim
            closest = max(closest, measured / claim)
    assert closest > 0.25


def slow_variance(L, s, R, step_size, eps, T):
    """One coordinate, by plain iteration from far above."""
    Y = 1e12
    for _ in range(3000):
        logs = 2 * np.log(1 + (s * T**0.5 + (2 * L) ** 0.5 * Y) / eps)
        nu = (T * s**2 / (eps**2 + s**2)) ** 0.5
        A = 2**0.5 * step_size * nu * logs**0.5
        A += (2 * step_size**2 * nu**2 * logs + R**2 + step_size**2 * logs) ** 0.5
        h = A**2 / (2 * step_size)
        Y = h * (2 * L) ** 0.5 / 2 + (h**2 * L / 2 + h * ((eps**2 + s**2) ** 0.5 + s * T**0.5)) ** 0.5
    return Y / T**0.5


def test_the_solved_form_is_that_of_a_plain_iteration():
    rng = np.random.default_rng(2)
    for _ in range(20):
        L, s_, R_, step_size, eps = 10 ** rng.uniform(-2, 1, 5)
        T = int(10 ** rng.uniform(0, 5))
        known = {"L": L, "sigma": 3 * s_, "R": R_, "step_size": step_size, "eps": eps, "T": T, "M": 9}
        expected = slow_variance(L, s_, R_, step_size, eps, T)
        assert bounds.convex_adagrad_norm_free_variance(**known) == pytest.approx(expected, rel=1e-9)
        assert bounds.convex_adagrad_free_variance(**known) == pytest.approx(expected, rel=1e-9)


def test_forms_of_several_coordinates():
    """Split is d times one coordinate; joint grows like d^(3/4) at most, where noise decides."""
    one = {"L": 0.01, "sigma": 1.0, "R": 1.0, "step_size": 0.3, "eps": 1e4, "T": 10**8, "M": 1}
    many = one | {"d": 64}
    single = bounds.convex_adagrad_free_variance("split", **one)
    assert bounds.convex_adagrad_free_variance("split", **many) == pytest.approx(64 * single, rel=1e-9)
    assert bounds.convex_adagrad_free_variance("joint", **many) < 64**0.8 * single


def test_a_floor_of_the_size_of_the_noise_leaves_no_logarithm_of_T():
    """sqrt(T) times the squared bound tends to a constant at eps = s sqrt(T), and grows without end at eps = s."""
    def scaled(T, eps):
        known = {"L": 1.0, "sigma": 1.0, "R": 1.0, "step_size": 0.3, "eps": eps, "T": T, "M": 1}
        return np.sqrt(T) * bounds.convex_adagrad_norm_free_variance(**known) ** 2

    large = [scaled(T, np.sqrt(T)) for T in (1e4, 1e8, 1e12, 1e16)]
    logs = 2 * np.log(2)
    A = np.sqrt(2 * logs) * 0.3 + np.sqrt(3 * 0.09 * logs + 1)
    assert large == sorted(large, reverse=True)
    assert large[-1] == pytest.approx(A**2 / 0.3, rel=1e-3)
    assert scaled(1e8, 1.0) > 1e3 * scaled(1e4, 1.0)


def test_the_drift_is_really_there():
    """Under variance only and a small eps the lower bound's instance goes a tenth of the distance that is allowed."""
    known = bounds.drift_instance(1000)
    upper = bounds.convex_adagrad_norm_free_variance(
        L=known["L"], sigma=1.0, R=0.0, step_size=1.0, eps=1e-3, T=1000, M=1
    )
    assert upper**2 > bounds.adagrad_drift_lower(**known)


# ---- bounded noise --------------------------------------------------------------------------------------------------


def test_the_price_of_one_iteration():
    """sqrt(6) sin + cos/2 is at most 5/2, by Cauchy and Schwarz; the supremum is attained."""
    angle = sp.Symbol("angle", real=True)
    assert float(sp.sqrt(6 + sp.Rational(1, 4))) == DRIFT
    best = sp.atan(2 * sp.sqrt(6))
    assert sp.simplify((sp.sqrt(6) * sp.sin(angle) + sp.cos(angle) / 2).subs(angle, best) - sp.Rational(5, 2)) == 0


def test_theta_and_mu_balance():
    theta = np.array([0.005, 0.1, 0.2, 0.28])
    mu = price(theta)
    left, right = DRIFT * theta + np.exp(theta) - 1 - theta, np.exp(-theta) * (1 - np.exp(-mu))
    assert left == pytest.approx(right, rel=1e-12)
    y = np.linspace(-0.9, 0.28, 1000)[1:]
    growth = (np.exp(y) - 1 - y) / y**2
    assert np.all(np.diff(growth) > 0), "(e^y - 1 - y)/y^2 rises, so that e^y <= 1 + y + y^2 phi(theta) for y <= theta"


def test_one_iteration_of_the_supermartingale():
    """E exp(theta (Delta Z/eta + q) - mu p) <= 1 on random points, with noise as large as the root of v allows."""
    rng, closest = np.random.default_rng(3), 0.0
    for _ in range(20_000):
        d, step_size = int(rng.integers(1, 3)), 10 ** rng.uniform(-2, 2)
        noise, weight = two_point(rng, d)
        largest = np.max(np.linalg.norm(noise, axis=1))
        v = (largest * 10 ** rng.uniform(0, 1)) ** 2
        point = rng.normal(size=d) * 10 ** rng.uniform(-2, 2)
        gradient = point * 10 ** rng.uniform(-4, 2) * rng.choice([0, 1, 1])
        s2 = weight @ np.sum(noise**2, axis=1)
        g = gradient + noise
        u, b = v + np.sum(g**2, axis=1), v + gradient @ gradient + s2
        Z = np.sqrt(point @ point + step_size**2)
        after = np.sqrt(np.sum((point - step_size * g / np.sqrt(u)[:, None]) ** 2, axis=1) + step_size**2)
        p, q = np.sum(g**2, axis=1) / u, gradient @ point / (np.sqrt(b) * Z)
        theta = rng.uniform(0.005, 0.28)
        mean = weight @ np.exp(theta * ((after - Z) / step_size + q) - price(np.array(theta)) * p)
        assert mean <= 1 + 1e-12
        drift = weight @ after - Z + step_size * q
        assert drift <= DRIFT * step_size * (weight @ p) * (1 + 1e-9)
        closest = max(closest, drift / (DRIFT * step_size * (weight @ p)))
    assert closest > 0.15


def test_the_sum_of_q_times_z():
    """q_i Z_i with Z_i <= D - eta Q_i sums to at most D^2/(2 eta) + D/2 while eta Q <= D and q <= 1."""
    rng, closest = np.random.default_rng(4), 0.0
    for _ in range(2000):
        D, step_size = 10 ** rng.uniform(0, 2), 10 ** rng.uniform(-2, 0)
        q = rng.uniform(0, 1, 20_000) * rng.choice([1.0, 0.1])
        before = np.concatenate([[0.0], np.cumsum(q)[:-1]])
        keep = step_size * (before + q) <= D
        total = np.sum((q * (D - step_size * before))[keep])
        assert total <= D**2 / (2 * step_size) + D / 2
        closest = max(closest, total / (D**2 / (2 * step_size) + D / 2))
    assert closest > 0.95


def test_the_distance_along_paths_of_rare_jumps():
    """No more paths than delta leave; jumps as large as eps, with the slope that lets the push win for a while."""
    rng, T, paths, step_size, theta = np.random.default_rng(5), 2000, 4000, 1.0, 0.15
    for rare in (0.5, 0.01, 0.001):
        jump, slope = 1.0, 0.5 * rare
        w, v, Q = np.zeros(paths), np.full(paths, jump**2), np.zeros(paths)
        worst = np.zeros(paths)
        start = step_size
        for _ in range(T):
            gradient = np.clip(5 * w, -slope, slope)
            b = v + gradient**2 + jump**2 * rare * (1 - rare)
            Q += gradient * w / (np.sqrt(b) * np.sqrt(w**2 + step_size**2))
            hit = rng.random(paths) < rare
            g = gradient + np.where(hit, jump * (1 - rare), -jump * rare)
            v += g**2
            w -= step_size * g / np.sqrt(v)
            over = np.sqrt(w**2 + step_size**2) + step_size * Q - start
            worst = np.maximum(worst, theta * over / step_size - price(np.array(theta)) * np.log(v / jump**2))
        for delta in (0.5, 0.1, 0.01):
            share = np.mean(worst >= np.log(1 / delta))
            assert share <= delta + 4 * np.sqrt(delta / paths)
        assert worst.max() > 0


def test_bounded_noise_against_all_paths(exact):
    """The share of paths above the bound is at most delta; for short runs it is none."""
    rng = np.random.default_rng(6)
    for norm in (True, False):
        for _ in range(40):
            value, gradient, L = huber_pair(rng)
            T, step_size, rare = int(rng.integers(1, 11)), 10 ** rng.uniform(-2, 1), 10 ** rng.uniform(-2, -0.3)
            start, sigma = rng.normal(size=2), 10 ** rng.uniform(-2, 1, 2)
            size = sigma * np.sqrt((1 - rare) / rare)
            eps = np.sqrt(np.sum(size**2)) if norm else size
            update = exact.adagrad(step_size, eps, norm=norm, inside=True)
            paths = exact.walk(value, gradient, update, start, T, sigma, p=rare)
            known = {"L": L, "sigma": sigma, "R": np.abs(start), "step_size": step_size, "eps": eps, "T": T, "M": 1}
            bound = bounds.convex_adagrad_norm_free_hp if norm else bounds.convex_adagrad_free_hp
            claim = bound(**known, noise_bound=size, delta=0.1)
            assert paths.weights @ (paths.path_gaps > claim) <= 0.1


def test_bounded_noise_falls_like_the_root_of_T_up_to_logarithms():
    known = {"L": 0.1, "sigma": 0.1, "R": 1.0, "step_size": 0.02, "eps": 0.1, "M": 1, "noise_bound": 0.1, "delta": 0.1}
    values = [bounds.convex_adagrad_norm_free_hp(T=T, **known) for T in (1e6, 1e8, 1e10, 1e12)]
    rates = np.diff(np.log10(values)) / 2
    assert np.all(rates < -0.4) and rates[-1] == pytest.approx(-0.5, abs=0.06)
    sure = [bounds.convex_adagrad_norm_free_hp(T=1e8, **known | {"delta": d}) for d in (1e-1, 1e-3, 1e-6)]
    assert sure == sorted(sure) and sure[-1] < 5 * sure[0], "only logarithms of 1/delta"


def test_what_the_floor_has_to_cover():
    known = {"L": 1.0, "sigma": 1.0, "R": 1.0, "step_size": 1.0, "T": 100, "M": 1, "delta": 0.1}
    with pytest.raises(ValueError, match=r"noise_bound_j <= eps_j does not hold: 2 against 1"):
        bounds.convex_adagrad_free_hp(**known, noise_bound=2.0, eps=1.0)
    with pytest.raises(ValueError, match=r"does not hold: 1.41421 against 1"):
        bounds.convex_adagrad_norm_free_hp(**known, noise_bound=[1.0, 1.0], eps=1.0)
    with pytest.raises(ValueError, match=r"needs noise_bound"):
        bounds.convex_adagrad_free_hp(**known, eps=1.0)
