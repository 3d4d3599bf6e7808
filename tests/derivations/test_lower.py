"""The steps of the lower bounds on diagonal quadratics (docs/theory/adagrad_lower.md and its neighbours)."""

import numpy as np
import pytest
import sympy as sp

from anisotropic import bounds, noises, optimizers, problems, simulate, verify
from anisotropic.bounds.lower import TIGHT, least_over_step_sizes
from anisotropic.evidence import exact as closed_forms

a, eta, R, u = sp.symbols("a eta R u", positive=True)


# ---- AdaGrad without noise ------------------------------------------------------------------------------------------


def adagrad_gaps(h, distance, step_size, T):
    """Mean gap of AdaGrad with eps = 0 on a diagonal quadratic, by a plain loop."""
    w, acc, total = np.array(distance, float), np.zeros(np.size(distance)), 0.0
    for _ in range(T):
        total += 0.5 * np.sum(h * w**2)
        g = h * w
        acc += g**2
        w = w - step_size * np.divide(g, np.sqrt(acc), out=np.zeros_like(g), where=acc > 0)
    return total / T


def test_per_instance_against_a_plain_loop():
    rng, ratios = np.random.default_rng(0), []
    for _ in range(400):
        d, T = int(rng.integers(1, 4)), int(np.exp(rng.uniform(0, 6)))
        h, distance = np.exp(rng.uniform(-3, 3, d)), np.exp(rng.uniform(-3, 2, d)) * rng.choice([0, 1, 1, 1], d)
        step_size = np.exp(rng.uniform(-3, 2, d))
        claim = bounds.adagrad_lower(L=h, R=distance, step_size=step_size, T=T)
        mean = adagrad_gaps(h, distance * rng.choice([-1, 1], d), step_size, T)
        assert claim <= mean * (1 + 1e-12)
        if T <= 2:
            assert claim == pytest.approx(mean, rel=1e-12), "the first two iterates are exact"
        ratios.append(claim / mean if mean else 1.0)
    assert np.median(ratios) > 0.7


def test_terms_say_which_side_of_the_step_size_a_start_is_on():
    terms = bounds.adagrad_lower.terms(L=[1.0, 1.0], R=[0.1, 5.0], step_size=0.5, T=10)
    assert terms["start"] == pytest.approx((0.01 + 25) / 20)
    assert terms["overshoot"] == pytest.approx(0.16 / 20)
    assert terms["approach"] > 4.5**2 / 20
    assert sum(bounds.adagrad_lower.terms(L=1.0, R=0.0, step_size=0.5, T=10).values()) == 0


def test_the_sum_of_inverse_roots_and_the_integral():
    k = np.arange(1, 10_000)
    assert np.all(np.cumsum(k**-0.5) <= 2 * np.sqrt(k) - 1 + 1e-12)
    whole = sp.integrate(sp.expand((R - 2 * eta * sp.sqrt(u)) ** 2), (u, 0, R**2 / (4 * eta**2)))
    assert sp.simplify(whole - R**4 / (24 * eta**2)) == 0
    part = sp.integrate(sp.expand((R - 2 * eta * sp.sqrt(u)) ** 2), (u, 0, a))
    at_corner = sp.simplify(part.subs(eta, R / (2 * sp.sqrt(a))))
    assert sp.simplify(at_corner - a * R**2 / 6) == 0


def test_the_closed_form_of_theorem_d():
    """R^4/(24 eta^2) + (d-1) eta^2 is least, R^2 sqrt((d-1)/6), by the inequality of the means."""
    n = sp.Symbol("n", positive=True)
    cost = R**4 / (24 * eta**2) + n * eta**2
    best = (R**4 / (24 * n)) ** sp.Rational(1, 4)
    assert sp.simplify(cost.subs(eta, best) - R**2 * sp.sqrt(n / 6)) == 0
    assert sp.simplify(sp.diff(cost, eta).subs(eta, best)) == 0


@pytest.mark.parametrize("d", [8, 20, 100, 1000])
def test_sgd_beats_adagrad_with_every_step_size(d):
    """Theorem D in numbers: proved factor over SGD's upper bound, and nothing measured lies below the lower bound."""
    T = 2000
    c = bounds.overshoot_instance(d, T)
    claim = bounds.adagrad_every_step_lower(**c)
    upper = bounds.convex_sgd(**c, step_size=1.0)
    assert claim / upper > np.sqrt((d - 1) / 6) * (1 - 1e-6)
    if d == 1000:
        assert claim / upper > 12.9
    both = np.array([c["R"][0], c["R"][1] * np.sqrt(d - 1)])
    assert both[0] == 1.0
    measured = [
        adagrad_gaps(np.array([1.0, d - 1.0]), c["R"][:2], step_size, T) for step_size in np.geomspace(0.03, 1, 60)
    ]
    assert claim <= min(measured) and claim > 0.8 * min(measured)


def test_every_step_size_is_enclosed():
    """Between the least value over a fine grid of per-instance bounds, less the tightness, and that value."""
    rng = np.random.default_rng(1)
    for _ in range(12):
        d, T = int(rng.integers(1, 5)), int(np.exp(rng.uniform(0, 6)))
        h, distance = np.exp(rng.uniform(-3, 3, d)), np.exp(rng.uniform(-4, 2, d)) * rng.choice([0, 1, 1], d)
        claim = bounds.adagrad_every_step_lower(L=h, R=distance, T=T)
        grid = np.append(np.geomspace(1e-3, 20, 400), distance[distance > 0])
        values = [bounds.adagrad_lower(L=h, R=distance, step_size=e, T=T) for e in grid]
        assert claim <= min(values)
        assert claim >= min(values) * (1 - 0.05 - TIGHT), "what a grid of 400 step sizes may miss"


def test_both_ends_of_the_price_are_needed():
    """convex_adagrad's K^2/2 = D^4/(8 eta^2) + D^2/2 + eta^2/2 against the lower bound, from either end."""
    for step_size, start, most in ((1e-2, 1.0, 6.3), (30.0, 1e-9, 1.01)):
        T = 10**6
        upper = bounds.convex_adagrad("sharp", L=1.0, sigma=0.0, D=1.0, step_size=step_size, T=T, M=1)
        lower = bounds.adagrad_lower(L=1.0, R=start, step_size=step_size, T=T)
        assert 1 <= upper / lower < most


# ---- SGD under noise ------------------------------------------------------------------------------------------------


def test_the_parts_of_the_exact_mean_gap():
    """q = 1 - a: the noise rises with a, since a^2 q^(2i) summed over i < t is (a/(2-a)) (1 - q^(2t)) up to a = 1."""
    for t in (1, 2, 3, 7):
        direct = a**2 * sum((1 - a) ** (2 * i) for i in range(t))
        assert sp.simplify(direct - a / (2 - a) * (1 - (1 - a) ** (2 * t))) == 0
        slope = sp.lambdify(a, sp.diff(direct, a))
        assert np.all(slope(np.linspace(1e-4, 4, 4000)) > 0)
    assert sp.simplify(sp.diff(a / (2 - a), a) - 2 / (2 - a) ** 2) == 0


def random_quadratic(rng):
    d, T = int(rng.integers(1, 4)), int(np.exp(rng.uniform(0, 7)))
    h, distance = np.exp(rng.uniform(-3, 2, d)), np.exp(rng.uniform(-2, 2, d)) * rng.choice([0, 1, 1], d)
    return h, distance, np.exp(rng.uniform(-2, 2, d)) * rng.choice([0, 1, 1], d), T


def test_every_step_size_of_sgd_against_the_exact_mean_gap():
    rng, tight = np.random.default_rng(2), []
    for _ in range(30):
        h, distance, sigma, T = random_quadratic(rng)
        claim = bounds.sgd_every_step_lower(L=h, R=distance, sigma=sigma, T=T, M=2)
        grid = np.append(np.geomspace(1e-3 / T, 4, 500) / h.max(), 1 / h)
        values = [
            closed_forms.sgd_quadratic(h, sigma, step_size=e, start=distance, steps=T, batch_size=2).mean for e in grid
        ]
        assert claim <= min(values) * (1 + 1e-12)
        if np.any(distance):
            tight.append(claim / min(values))
        else:
            assert claim == 0, "a step size near zero stays at the minimizer"
    assert np.median(tight) > 1 - 0.01 - TIGHT and len(tight) > 20


def test_every_step_size_of_sgd_against_all_paths(exact):
    rng = np.random.default_rng(3)
    for _ in range(60):
        h, distance, sigma = np.exp(rng.uniform(-2, 2, 2)), rng.uniform(0, 2, 2), rng.uniform(0, 2, 2)
        T, step_size = int(rng.integers(1, 9)), np.exp(rng.uniform(-3, 1))
        value, gradient = lambda w: 0.5 * np.sum(h * w**2, axis=1), lambda w: h * w  # noqa: B023
        mean = exact.walk(value, gradient, exact.sgd(step_size), distance, T, sigma, p=rng.uniform(0.1, 0.9)).mean_gap
        assert bounds.sgd_every_step_lower(L=h, R=distance, sigma=sigma, T=T, M=1) <= mean * (1 + 1e-12)


def test_an_enclosure_never_exceeds_the_least_value():
    """Functions with a known least value, between two and twelve decades of step sizes."""
    for power in (0.5, 1.0, 3.0):
        for place in (1e-3, 1.0, 50.0):
            least, best = least_over_step_sizes(
                lambda x: (x / place) ** power + (place / x) ** power,  # noqa: B023
                lambda x, y: (x / place) ** power + (place / y) ** power,  # noqa: B023
                1e-6, 1e6,
            )  # fmt: skip
            assert 2 * (1 - TIGHT) <= least <= 2
            assert best == pytest.approx(place, rel=0.2)


def test_the_closed_form_of_theorem_e():
    """u/4 + (1 - e^(-4u))/(4u) >= 0.4947 for every u, by intervals: the first part rises and the second falls."""
    u = np.geomspace(1e-3, 10, 400_001)
    falls = -np.expm1(-4 * u) / (4 * u)
    assert np.all(np.diff(falls) < 0)
    assert min(np.min(u[:-1] / 4 + falls[1:]), falls[0], u[-1] / 4) > 0.4947
    x = sp.Symbol("x", positive=True)
    assert sp.simplify(sp.diff((1 - sp.exp(-x)) / x, x) * x**2 * sp.exp(x) - (1 + x - sp.exp(x))) == 0


@pytest.mark.parametrize(("d", "T"), [(31, 10**4), (100, 10**4), (1000, 10**4), (1000, 10**6)])
@pytest.mark.parametrize("M", [1, 64])
def test_adagrad_beats_sgd_with_every_step_size_under_noise(d, T, M):
    """Theorem E in numbers: 0.186 sqrt(d-1) at every batch size, at least 5 at d = 1000."""
    c = bounds.quick_or_quiet_instance(d, T, M=M)
    lower, upper = bounds.sgd_every_step_lower(**c), bounds.convex_adagrad("sharp", **c)
    assert lower * np.sqrt(T * M / (d - 1)) == pytest.approx(0.527, abs=5e-4)
    assert lower / upper > 0.18 * np.sqrt(d - 1)
    assert lower > upper and (d < 1000 or lower / upper > 5)


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="d = 1, T = 10; expected at least two coordinates"):
        bounds.overshoot_instance(1, 10)
    with pytest.raises(ValueError, match="d = 3, T = 1; expected at least two coordinates and two updates"):
        bounds.quick_or_quiet_instance(3, 1)
    with pytest.raises(ValueError, match=r"eps = 0 does not hold: 0.1 against 0"):
        bounds.adagrad_lower(L=1.0, R=1.0, step_size=1.0, T=10, eps=0.1)


def test_a_step_size_for_each_coordinate_is_not_judged():
    """It can beat both bounds; the verdict must say that the theorems are about one step size."""
    f = problems.quadratic([1.0, 1e-3])
    run = simulate(f, optimizers.sgd([1.0, 1e3]), noise=noises.none(), start=1.0, steps=50, replicas=1)
    assert run.mean_gap[0, -1] < bounds.sgd_every_step_lower(L=[1.0, 1e-3], sigma=0.0, R=1.0, T=50, M=1)
    verdict = verify(bounds.sgd_every_step_lower, run)
    assert verdict.status == "not applicable" and "step_size differs between coordinates" in verdict.reason
    run = simulate(f, optimizers.adagrad([1.0, 1e-3]), noise=noises.none(), start=[1.0, 1e-3], steps=50, replicas=1)
    verdict = verify(bounds.adagrad_every_step_lower, run)
    assert verdict.status == "not applicable" and "step_size differs between coordinates" in verdict.reason
