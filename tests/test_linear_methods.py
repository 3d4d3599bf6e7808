"""Methods with memory on quadratics: against Monte Carlo, SymPy, equivalences, and the engine for constant steps."""

import numpy as np
import pytest
import sympy as sp
from scipy.optimize import minimize_scalar

import anisotropic as an
from anisotropic.evidence.linear_methods import METHODS

exact = an.exact


def monte_carlo(method, h, etas, s2, start, centre, beta, decay, rate, n, rng):
    """(w - centre)^2 after each update, with the mean and its standard error, by coin flips."""
    w, m, z = np.full(n, start), np.zeros(n), np.full(n, start)
    found = []
    for t, eta in enumerate(etas, 1):
        xi = np.sqrt(s2) * (2.0 * rng.integers(0, 2, n) - 1.0)
        if method == "schedule_free":
            z = z - eta * (h * ((1 - beta) * z + beta * w - centre) + xi)
            w = (t * w + z) / (t + 1)
        else:
            g = h * (w - centre) + xi + (rate * w if decay == "l2" else 0.0)
            m = g if method == "sgd" else beta * m + (1 - beta if method == "ema" else 1.0) * g
            w = w * (1 - eta * rate * (decay == "decoupled")) - eta * (g + beta * m if method == "nesterov" else m)
        square = (w - centre) ** 2
        found.append((square.mean(), square.std(ddof=1) / np.sqrt(n), w.mean(), w.std(ddof=1) / np.sqrt(n)))
    return np.array(found)


def test_moments_against_monte_carlo():
    """5 methods, 3 settings, 3 horizons, mean and second moment: 90 comparisons at 4.6 errors, false alarm 4e-4."""
    rng = np.random.default_rng(0)
    worst = []
    for method in METHODS:
        for _ in range(3):
            h, beta = rng.uniform(0.2, 1.5), rng.choice([0.3, 0.9])
            rate, decay = (0.0, "l2") if method == "schedule_free" else (0.3, rng.choice(["l2", "decoupled"]))
            etas = rng.uniform(0.05, 0.6) * np.linspace(1, 0.05, 40)
            told = exact.linear_method(method, h, np.sqrt(0.7), schedule=etas, start=1.3, minimizer=0.4, momentum=beta,
                                       weight_decay=rate, decay=decay)  # fmt: skip
            seen = monte_carlo(method, h, etas, 0.7, 1.3, 0.4, beta, decay, rate, 40_000, rng)
            for t in (1, 20, 39):
                worst += [(seen[t, 0] - told.second[t, 0]) / seen[t, 1], (seen[t, 2] - told.mean[t, 0]) / seen[t, 3]]
    assert len(worst) == 90 and max(np.abs(worst)) < 4.6
    assert 0.7 < np.sqrt(np.mean(np.square(worst))) < 1.3


def test_constant_steps_agree_with_the_powers_of_a_matrix():
    h, sigma, start = np.array([1.0, 0.3, 0.0]), np.array([0.5, 0.2, 1.0]), np.array([1.0, -2.0, 3.0])
    common = {"start": start, "batch_size": 3}
    known = exact.heavy_ball_quadratic(h, sigma, step_size=0.4, momentum=0.8, steps=[1, 7, 50], **common)
    told = exact.linear_method("heavy_ball", h, sigma, schedule=np.full(50, 0.4), momentum=0.8, **common)
    assert told.gap[[0, 6, 49]] == pytest.approx(known.last, rel=1e-11)
    loud = exact.sgd_multiplicative(h, sigma, 0.5, step_size=0.4, steps=20, **common)
    told = exact.linear_method("sgd", h, sigma, schedule=np.full(20, 0.4), rho=0.5, **common)
    assert told.gap[-1] == pytest.approx(loud.last, rel=1e-12)


def test_methods_that_are_the_same_in_other_words():
    etas = 0.3 * np.linspace(1, 0.1, 30)
    common = {"start": 2.0, "minimizer": 0.5}
    sgd = exact.linear_method("sgd", 0.8, 0.4, schedule=etas, **common)
    for method in ("heavy_ball", "ema", "nesterov"):
        other = exact.linear_method(method, 0.8, 0.4, schedule=etas, **common)
        assert other.second == pytest.approx(sgd.second, rel=1e-13)
    slow = exact.linear_method("ema", 0.8, 0.4, schedule=etas, momentum=0.9, **common)
    fast = exact.linear_method("heavy_ball", 0.8, 0.4, schedule=0.1 * etas, momentum=0.9, **common)
    assert slow.second == pytest.approx(fast.second, rel=1e-12)
    mean = exact.linear_method("schedule_free", 0.8, 0.4, schedule=np.full(30, 0.3), **common)
    average = exact.sgd_quadratic(0.8, 0.4, step_size=0.3, steps=list(range(2, 32)), **common).average
    assert mean.gap == pytest.approx(average, rel=1e-11)  # x after t updates is the mean of z_1..z_{t+1}


def test_primal_averaging_is_heavy_ball_with_growing_momentum():
    """x_{t+1} = x_t - eta g/(t + 1) + (t - 1)/(t + 1) (x_t - x_{t-1}), without noise."""
    h, eta, T = 0.8, 0.5, 40
    told = exact.linear_method("schedule_free", h, 0.0, schedule=np.full(T, eta), start=1.0, momentum=1 - 1e-15)
    x, before, found = 1.0, 1.0, []
    for t in range(1, T + 1):
        x, before = x - eta / (t + 1) * h * x + (t - 1) / (t + 1) * (x - before), x
        found.append(x)
    assert told.mean[:, 0] == pytest.approx(found, rel=1e-10)


def fixed_point(A, b):
    P = sp.Matrix(2, 2, sp.symbols("p q q r"))
    equations = list(A * P * A.T + b * b.T - P)
    return sp.solve(equations, sp.symbols("p q r"), dict=True)[0][sp.Symbol("p")]


H, E, B, U = sp.symbols("h eta beta u", positive=True)
MAPS = {
    ("heavy_ball", "l2"): (sp.Matrix([[1 - E * H, -E * B], [H, B]]), sp.Matrix([-E, 1])),
    ("ema", "l2"): (sp.Matrix([[1 - E * (1 - B) * H, -E * B], [(1 - B) * H, B]]), sp.Matrix([-E * (1 - B), 1 - B])),
    ("nesterov", "l2"): (sp.Matrix([[1 - E * (1 + B) * H, -E * B**2], [H, B]]), sp.Matrix([-E * (1 + B), 1])),
    ("heavy_ball", "decoupled"): (sp.Matrix([[1 - U - E * H, -E * B], [H, B]]), sp.Matrix([-E, 1])),
}


@pytest.mark.parametrize("key", MAPS, ids="/".join)
def test_stationary_laws_are_the_fixed_points(key):
    method, decay = key
    variance = fixed_point(*MAPS[key])
    rng = np.random.default_rng(1)
    for _ in range(5):
        h, eta, beta, rate = rng.uniform(0.2, 1.5), rng.uniform(0.05, 0.5), rng.uniform(0, 0.9), rng.uniform(0, 0.5)
        shown = variance.subs({H: h + (rate if decay == "l2" else 0), E: eta, B: beta, U: eta * rate})
        law = exact.stationary_law(method, h, 2.0, step_size=eta, minimizer=0.7, momentum=beta, weight_decay=rate,
                                   decay=decay, batch_size=2)  # fmt: skip
        assert law.variance[0] == pytest.approx(2.0 * float(shown), rel=1e-12)
        told = exact.linear_method(method, h, 2.0, schedule=np.full(3000, eta), start=0.0, minimizer=0.7, momentum=beta,
                                   weight_decay=rate, decay=decay, batch_size=2)  # fmt: skip
        assert told.mean[-1] == pytest.approx(law.mean, rel=1e-10)
        assert told.second[-1] - (law.mean - 0.7) ** 2 == pytest.approx(law.variance, rel=1e-9)


def test_decoupled_decay_is_weaker_beside_momentum():
    common = {"step_size": 0.1, "minimizer": 1.0, "momentum": 0.9, "weight_decay": 0.5}
    assert exact.stationary_law("heavy_ball", 1.0, 0.0, decay="l2", **common).mean[0] == pytest.approx(1 / 1.5)
    assert exact.stationary_law("heavy_ball", 1.0, 0.0, decay="decoupled", **common).mean[0] == pytest.approx(1 / 1.05)


@pytest.mark.parametrize(("method", "edge"), [("heavy_ball", 3.8), ("ema", 38.0), ("nesterov", 3.8 / 2.8)])
def test_beyond_the_edge_there_is_no_limit(method, edge):
    laws = [exact.stationary_law(method, 1.0, 1.0, step_size=edge * x, momentum=0.9).variance[0] for x in (0.99, 1.01)]
    assert np.isfinite(laws[0]) and np.isinf(laws[1])
    far = [
        exact.linear_method(method, 1.0, 1.0, schedule=np.full(4000, edge * x), start=1.0, momentum=0.9).gap[-1]
        for x in (0.99, 1.01)
    ]
    assert far[0] == pytest.approx(0.5 * laws[0], rel=1e-6) and far[1] > 1e6


def test_no_schedule_beats_the_filter():
    h, sigma, R, T = 0.7, 1.2, 1.5, 20
    c = 1 + sigma**2 / (h * R) ** 2
    floor = an.bounds.sgd_every_schedule_lower(L=h, sigma=sigma, R=R, T=T, M=1)
    filtered = an.schedules.inverse_time(1 / (h * c), c)
    schedule = 1 / (h * (c + np.arange(T)))
    assert an.records.factors(filtered, T) / (h * c) == pytest.approx(schedule, rel=1e-14)
    assert exact.linear_method("sgd", h, sigma, schedule=schedule, start=R).gap[-1] == pytest.approx(floor, rel=1e-12)
    rng = np.random.default_rng(2)
    for _ in range(2000):
        other = schedule * np.exp(rng.normal(0, rng.choice([0.1, 0.5, 2.0]), T))
        assert exact.linear_method("sgd", h, sigma, schedule=other, start=R).gap[-1] >= floor


def test_within_the_cap_the_best_schedule_changes_with_the_batch_size():
    """Curvature 1/j and noise of that variance in 100 coordinates, 400 iterations; the best step size up to 1/L.

    Measured and predicted: linear decay wins at M = 1, a late cool-down at M = 256.
    """
    T, h = 400, 1 / np.arange(1.0, 101)
    left = np.arange(T, 0, -1)
    shapes = {"constant": np.ones(T), "linear": left / T, "wsd": np.minimum(1.0, left / 81)}

    def best(shape, M, value):
        on = {"bounds": (-7, 0), "method": "bounded", "options": {"xatol": 0.01}}
        at = minimize_scalar(lambda x: value(np.exp(x) * shape, M), **on)
        return min(at.fun, value(shape, M))

    def measured(schedule, M):
        return exact.linear_method("sgd", h, np.sqrt(h), schedule=schedule, start=1.0, batch_size=M).gap[-1]

    def predicted(schedule, M):
        return an.bounds.convex_sgd_last(L=h, sigma=np.sqrt(h), R=1.0, M=M, schedule=schedule)

    found = {(name, M): best(shape, M, measured) for name, shape in shapes.items() for M in (1, 256)}
    assert found["linear", 1] == pytest.approx(0.162, rel=0.02) and found["wsd", 1] == pytest.approx(0.199, rel=0.02)
    assert found["constant", 1] == pytest.approx(0.269, rel=0.02)
    assert found["linear", 256] == pytest.approx(0.00268, rel=0.02)
    assert found["wsd", 256] == pytest.approx(0.00171, rel=0.02)
    claims = {(name, M): best(shapes[name], M, predicted) for name in ("linear", "wsd") for M in (1, 256)}
    assert claims["linear", 1] == pytest.approx(1.158, rel=0.02) and claims["wsd", 1] == pytest.approx(1.245, rel=0.02)
    assert claims["wsd", 256] == pytest.approx(0.0959, rel=0.02)
    assert claims["linear", 256] == pytest.approx(0.1367, rel=0.02)


def test_schedules_of_the_package_are_taken():
    told = exact.linear_method("sgd", 1.0, 1.0, schedule=an.schedules.linear(0.5, 4), start=1.0)
    vector = exact.linear_method("sgd", 1.0, 1.0, schedule=[0.5, 0.375, 0.25, 0.125], start=1.0)
    assert np.array_equal(told.gap, vector.gap)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"method": "heavyball"}, "method = 'heavyball'; expected one of sgd, heavy_ball.*did you mean 'heavy_ball'"),
        ({"decay": "L1"}, "decay = 'L1'; expected one of l2, decoupled"),
        ({"method": "schedule_free", "weight_decay": 0.1}, "weight decay has two places in schedule-free SGD"),
        ({"momentum": 1.0}, "momentum = 1; expected a number of at least 0 and below 1"),
        ({"schedule": an.schedules.inverse_sqrt(0.1)}, "'inverse_sqrt' never ends"),
        ({"schedule": 0.1}, r"schedule has shape \(\); expected a vector of finite step sizes"),
        ({"start": [1.0, 2.0, 3.0], "curvature": [1.0, 2.0]}, "curvature has shape"),
    ],
)
def test_bad_input_is_refused(change, sentence):
    given = {"method": "sgd", "curvature": 1.0, "sigma": 1.0, "schedule": [0.1], "start": 1.0} | change
    with pytest.raises(ValueError, match=sentence):
        exact.linear_method(given.pop("method"), given.pop("curvature"), given.pop("sigma"), **given)


def test_laws_without_a_closed_form_are_refused():
    with pytest.raises(ValueError, match="no closed form for 'nesterov' with decay 'decoupled'"):
        exact.stationary_law("nesterov", 1.0, 1.0, step_size=0.1, decay="decoupled")
