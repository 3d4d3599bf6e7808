"""The steps of the bounds without a box (docs/theory/convex_adagrad_norm_free.md and its neighbours)."""

import numpy as np
import pytest
import sympy as sp

from anisotropic import bounds

m, eta, L, eps, x, z = sp.symbols("m eta L eps x z", positive=True)
x2, g, s = sp.symbols("x2 g s", positive=True)


def test_one_step_of_the_squared_distance():
    """|x - eta g/s|^2 with <g, x> >= g^2/L grows by at most eta g^2/s (eta/s - 2/L)."""
    growth = -2 * eta * g**2 / L / s + eta**2 * g**2 / s**2
    assert sp.simplify(growth - eta * g**2 / s * (eta / s - 2 / L)) == 0


def test_the_growth_is_a_finite_integral():
    """Over m = sqrt(v) + eps from eps to eta L/2, with dv = 2 (m - eps) dm."""
    integrand = 2 * (m - eps) * (eta**2 / m**2 - 2 * eta / (L * m))
    integral = sp.integrate(sp.expand(integrand), (m, eps, eta * L / 2)).subs(L, 2 * x * eps / eta)
    closed = 2 * eta**2 * ((1 + 1 / x) * sp.log(x) - 2 * (1 - 1 / x))
    assert sp.simplify(sp.expand_log(sp.simplify(integral) - closed, force=True)) == 0
    assert closed.subs(x, 1) == 0
    falling = sp.diff(eta**2 / m**2 - 2 * eta / (L * m), m)
    assert sp.simplify(falling - 2 * eta / (L * m**2) * (1 - eta * L / m)) == 0, "negative for m < eta L"


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
        ratio = max(step_size * h / (2 * e), 1.0)
        reach = 1 + 2 * step_size**2 * ((1 + 1 / ratio) * np.log(ratio) - 2 * (1 - 1 / ratio))
        for _t in range(200):
            gradient = h * w
            v += gradient**2
            w -= step_size * gradient / (np.sqrt(v) + e)
            assert w**2 <= reach * (1 + 1e-12)
            nearest = max(nearest, w**2 / reach)
    assert nearest > 0.3


def test_separable_adagrad_without_a_box():
    rng, worst = np.random.default_rng(2), 0.0
    for _ in range(200):
        h, start = 10 ** rng.uniform(-3, 1, 3), rng.normal(size=3)
        step_size, e, T = 10 ** rng.uniform(-1.5, 1.5, 3), 10 ** rng.uniform(-6, 1, 3), int(rng.integers(1, 200))
        mean, _ = descend(np.diag(h), start, step_size, e, T)
        claim = bounds.convex_adagrad_free_separable(L=h, R=np.abs(start), eps=e, step_size=step_size, T=T)
        worst = max(worst, mean / claim)
    assert 0.02 < worst <= 1


def test_the_largest_overshoot():
    """eta L x/(L x + eps) - x is largest where L x + eps = sqrt(eta L eps); eta x/sqrt(a^2 + x^2) - x likewise."""
    a, r = sp.symbols("a r", positive=True)  # r = sqrt(eta), and L = 1: a change of units
    jump = r**2 * x / (x + eps) - x
    at = r * sp.sqrt(eps) - eps
    assert sp.simplify(sp.diff(jump, x).subs(x, at)) == 0
    assert sp.simplify(jump.subs(x, at) - (r - sp.sqrt(eps)) ** 2) == 0
    b, c = sp.symbols("b c", positive=True)  # a = b^3, eta = c^3
    astroid = c**3 * x / sp.sqrt(b**6 + x**2) - x
    top = b**2 * sp.sqrt(c**2 - b**2)
    assert sp.simplify(sp.diff(astroid, x).subs(x, top).subs({b: 1, c: 2})) == 0
    assert sp.simplify(sp.simplify((astroid.subs(x, top)) ** 2 - (c**2 - b**2) ** 3).subs({b: 1, c: 3})) == 0
    assert sp.limit(astroid.subs({b: a}).subs(c, 2 * a), x, sp.oo) == -sp.oo


def regret_of_first(R, step_size, a, u, X):
    """Step 4 of the page, with L = 1."""
    return (a * R**2 + (u - a) * X**2) / (2 * step_size) + step_size * a / 2 + step_size * (u - a) - u**2 / 2


def test_phi_is_the_maximum_over_the_last_root():
    R, a, u, X = sp.symbols("R a u X", positive=True)
    k, c = X**2 / (2 * eta) + eta, (R**2 + eta**2) / (2 * eta)
    whole = sp.expand(regret_of_first(R, eta, a, u, X))
    assert sp.simplify(whole - (a * c - a**2 / 2 + (k - a) ** 2 / 2 - (u - k) ** 2 / 2)) == 0
    k = k.subs(X, R - eta)
    assert sp.simplify(c - k - (R - eta)) == 0, "the derivative of Phi below k"
    assert sp.simplify(k - R - (R - eta) * (R - 3 * eta) / (2 * eta)) == 0
    q, p = sp.symbols("q p", positive=True)
    phi = (a * c - a**2 / 2 + (q**2 * eta / 2 + eta - a) ** 2 / 2).subs(R, (1 + q) * eta)
    assert sp.simplify(sp.expand(phi - eta**2 * (1 + q**2 / 2) ** 2 / 2 - a * q * eta)) == 0
    room = sp.Rational(9, 8) - sp.Rational(1, 2) - q**2 / 2 - q**4 / 8 - (1 - q**2) / 2
    assert sp.simplify(room - (1 - q**4) / 8) == 0, "positive, so Phi is at most 9/8"


def test_phi_never_exceeds_the_form():
    b, a = bounds.convex_adagrad_free_separable, np.linspace(0, 1, 4001)
    for R in np.linspace(0.01, 8, 400):
        first = a * R
        X = np.maximum(abs(R - 1), np.maximum(1 - first ** (2 / 3), 0) ** 1.5)
        phi = first * (R**2 + 1) / 2 - first**2 / 2 + np.maximum(X**2 / 2 + 1 - first, 0) ** 2 / 2
        assert phi.max() <= b(form="first", L=1.0, R=R, step_size=1.0, T=1) * (1 + 1e-12)


def psi(e, T=100_000):
    """Half the sum of squares of AdaGrad's path on x^2/2 from 1."""
    position, v, total = 1.0, 0.0, 0.0
    for _ in range(T):
        v, total = v + position**2, total + position**2 / 2
        position -= e * position / np.sqrt(v)
    return total


@pytest.mark.parametrize(
    ("e", "reached", "proved", "before"),
    [
        (0.2, 1.816, 2.420, 3.645), (0.3, 1.107, 1.324, 1.934), (0.4485, 0.7443, 0.8391, 1.222),
        (0.6, 0.5997, 0.6333, 1.027), (2**-0.5, 0.5478, 0.5625, 1.0),
    ],
)  # fmt: skip
def test_the_best_constant_lies_between_the_quadratic_and_the_form(e, reached, proved, before):
    b, c = bounds.convex_adagrad_free_separable, {"L": 1.0, "R": 1.0, "T": 1, "step_size": e}
    assert b(form="first", **c) == pytest.approx(proved, abs=6e-4)
    assert b(form="sharp", **c) == pytest.approx(before, abs=6e-4)
    assert psi(e, 1000) <= psi(e) <= b(form="first", **c)
    assert psi(e) == pytest.approx(reached, abs=2e-3)


def slope(rng):
    """The derivative of a random 1-smooth convex function with minimizer 0: piecewise linear with slopes in [0, 1]."""
    knots = np.sort(rng.uniform(-3, 3, 7))
    kinks = np.sort(np.append(knots, 0.0))
    steep = rng.uniform(0, 1, kinks.size + 1) * rng.integers(0, 2, kinks.size + 1) ** rng.integers(0, 2)
    grid = np.concatenate([[-50.0], kinks, [50.0]])
    rise = np.concatenate([[0.0], np.cumsum(steep * np.diff(grid))])
    values = rise - np.interp(0.0, grid, rise)
    area = np.concatenate([[0.0], np.cumsum((values[1:] + values[:-1]) / 2 * np.diff(grid))])
    area -= area[np.flatnonzero(grid == 0.0)[0]]

    def at(w):
        i = min(max(int(np.searchsorted(grid, w, side="right")) - 1, 0), grid.size - 2)
        inside = values[i] + steep[i] * (w - grid[i])
        return inside, area[i] + (values[i] + inside) / 2 * (w - grid[i])

    return at


def test_first_on_random_convex_functions_of_one_variable():
    """epsilon = 0; slopes may be zero on one side, so that the path overshoots from tiny gradients."""
    rng, worst = np.random.default_rng(5), 0.0
    for _ in range(4000):
        at, start, step_size = slope(rng), rng.uniform(-2, 2), 10 ** rng.uniform(-1, 0.5)
        position, v, total = start, 0.0, 0.0
        for _t in range(60):
            gradient, value = at(position)
            v, total = v + gradient**2, total + value
            position -= step_size * gradient / np.sqrt(v) if v > 0 else 0.0
        claim = bounds.convex_adagrad_free_separable(form="first", L=1.0, R=abs(start), step_size=step_size, T=1)
        worst = max(worst, total / claim)
    assert 0.4 < worst <= 1


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
