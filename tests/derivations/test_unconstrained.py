"""The steps of the bounds without a box (docs/theory/convex_adagrad_norm_free.md and its neighbours)."""

import numpy as np
import pytest
import sympy as sp

from anisotropic import bounds

m, eta, L, eps, x, z = sp.symbols("m eta L eps x z", positive=True)
x2, g, s = sp.symbols("x2 g s", positive=True)


def test_one_step_of_the_squared_distance():
    """|x - eta g/s|^2 with <g, x> >= gap + g^2/(2 L) grows by at most eta g^2/s (eta/s - 1/L)."""
    inner = g**2 / (2 * L)
    growth = -2 * eta * inner / s + eta**2 * g**2 / s**2
    assert sp.simplify(growth - eta * g**2 / s * (eta / s - 1 / L)) == 0


def test_the_growth_is_a_finite_integral():
    """Over m = sqrt(v) + eps from eps to eta L, with dv = 2 (m - eps) dm."""
    integrand = 2 * (m - eps) * (eta**2 / m**2 - eta / (L * m))
    integral = sp.integrate(sp.expand(integrand), (m, eps, eta * L)).subs(L, x * eps / eta)
    closed = 2 * eta**2 * ((1 + 1 / x) * sp.log(x) - 2 * (1 - 1 / x))
    assert sp.simplify(sp.expand_log(sp.simplify(integral) - closed, force=True)) == 0
    assert closed.subs(x, 1) == 0
    falling = sp.diff(eta**2 / m**2 - eta / (L * m), m)
    assert sp.simplify(falling - eta / (L * m**2) * (1 - 2 * eta * L / m)) == 0, "negative for m < 2 eta L"


def test_the_sum_after_abel_is_a_quadratic_in_the_last_root():
    K, U = sp.symbols("K U", positive=True)
    parabola = K * U - U**2 / (2 * L)
    assert sp.simplify(K**2 * L / 2 - parabola - (U - K * L) ** 2 / (2 * L)) == 0


def test_pl_turns_squared_gradients_into_gaps():
    U1, U2 = sp.symbols("U1 U2", positive=True)
    assert sp.expand((U1 + U2) ** 2 - U1**2 - U2**2) == 2 * U1 * U2, "sum U_j^2 <= (sum U_j)^2"


def rotated(rng, d):
    q, _ = np.linalg.qr(rng.normal(size=(d, d)))
    H = q @ np.diag(10 ** rng.uniform(-3, 1, d)) @ q.T
    return H, np.abs(H).sum(axis=1)


def descend(H, start, step_size, eps_, T, norm=False, inside=False):
    w, v, gaps = start.copy(), np.full(start.size, eps_**2 if inside else 0.0), []
    for _ in range(T):
        gradient = H @ w
        gaps.append(0.5 * w @ gradient)
        v = v + (np.sum(gradient**2) if norm else gradient**2)
        w = w - step_size * gradient / (np.sqrt(v) + (0 if inside else eps_))
    return np.mean(gaps), w


def test_adagrad_norm_without_a_box_on_rotated_quadratics():
    rng, worst = np.random.default_rng(0), 0.0
    for _ in range(200):
        H, smooth = rotated(rng, 4)
        start, step_size, e = rng.normal(size=4), 10 ** rng.uniform(-1.5, 1.5), 10 ** rng.uniform(-6, 1)
        T = int(rng.integers(1, 200))
        mean, _ = descend(H, start, step_size, e, T, norm=True)
        claim = bounds.convex_adagrad_norm_free(L=smooth, R=np.abs(start), eps=e, step_size=step_size, T=T)
        worst = max(worst, mean / claim)
    assert 0.02 < worst <= 1


def test_the_distance_never_leaves_its_reach():
    rng, nearest = np.random.default_rng(1), 0.0
    for _ in range(300):
        h, step_size, e = 10 ** rng.uniform(-1, 2), 10 ** rng.uniform(-1, 1.5), 10 ** rng.uniform(-4, 0)
        w, v = 1.0, 0.0
        ratio = max(step_size * h / e, 1.0)
        reach = 1 + 2 * step_size**2 * ((1 + 1 / ratio) * np.log(ratio) - 2 * (1 - 1 / ratio))
        for _t in range(200):
            gradient = h * w
            v += gradient**2
            w -= step_size * gradient / (np.sqrt(v) + e)
            assert w**2 <= reach * (1 + 1e-12)
            nearest = max(nearest, w**2 / reach)
    assert nearest > 0.1


def test_separable_adagrad_without_a_box():
    rng, worst = np.random.default_rng(2), 0.0
    for _ in range(200):
        h, start = 10 ** rng.uniform(-3, 1, 3), rng.normal(size=3)
        step_size, e, T = 10 ** rng.uniform(-1.5, 1.5, 3), 10 ** rng.uniform(-6, 1, 3), int(rng.integers(1, 200))
        mean, _ = descend(np.diag(h), start, step_size, e, T)
        claim = bounds.convex_adagrad_free_separable(L=h, R=np.abs(start), eps=e, step_size=step_size, T=T)
        worst = max(worst, mean / claim)
    assert 0.02 < worst <= 1


def test_pl_adagrad_on_rotated_quadratics():
    rng, worst = np.random.default_rng(3), 0.0
    for _ in range(200):
        H, smooth = rotated(rng, 3)
        start, step_size, e = rng.normal(size=3), 10 ** rng.uniform(-1.5, 1), 10 ** rng.uniform(-4, 1)
        T = int(rng.integers(1, 200))
        mean, _ = descend(H, start, step_size, e, T, inside=True)
        mu = np.linalg.eigvalsh(H)[0]
        claim = bounds.pl_adagrad(L=smooth, mu=mu, Delta=0.5 * start @ H @ start, eps=e, step_size=step_size, T=T)
        worst = max(worst, mean / claim)
    assert 0.0005 < worst <= 1


def test_epsilon_zero_is_refused():
    with pytest.raises(ValueError, match="eps > 0 does not hold: 0 against 0"):
        bounds.convex_adagrad_norm_free(L=1.0, R=1.0, step_size=1.0, T=10)
    with pytest.raises(ValueError, match="eps_j > 0 does not hold"):
        bounds.pl_adagrad(L=1.0, mu=1.0, Delta=1.0, step_size=1.0, T=10)
