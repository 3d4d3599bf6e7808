"""The steps of the lower bounds from drift (docs/theory/adagrad_drift_lower.md, nonconvex_adagrad_lower.md)."""

import numpy as np
import pytest
import sympy as sp

from anisotropic import bounds

x, v, A, c, r = sp.symbols("x v A c r", positive=True)


def huber(L, m):
    """Value and gradient of a Huber function of one variable, for arrays ``(paths, 1)``."""
    def value(w):
        size = np.abs(w[:, 0])
        return np.where(size <= m / L, L * size**2 / 2, m * (size - m / L / 2))

    return value, lambda w: np.clip(L * w, -m, m)


# ---- steps of the proofs --------------------------------------------------------------------------------------------


def test_the_limit_of_the_constant():
    """Twice the mean of sqrt(x) e^-x over [0, 1], and that no other rate of jumps does better by much."""
    assert float(2 * sp.Integral(sp.sqrt(x) * sp.exp(-x), (x, 0, 1)).evalf()) == pytest.approx(0.7579, abs=5e-5)
    rates = np.linspace(0.3, 3, 28)
    best = [float(2 * sp.sqrt(k) * sp.Integral(sp.sqrt(x) * sp.exp(-k * x), (x, 0, 1)).evalf()) for k in rates]
    assert max(best) < 0.7592
    assert sp.sqrt(x).subs(x, sp.Rational(1, 2)) * sp.exp(-sp.Rational(1, 2)) == sp.Max(
        *(sp.sqrt(y) * sp.exp(-y) for y in (sp.Rational(1, 2), sp.Rational(1, 4), 1))
    )


def test_the_normalised_gradient_has_a_slope_below_one_over_the_root():
    h = x / sp.sqrt(v + x**2)
    assert sp.simplify(sp.diff(h, x) - v / (v + x**2) ** sp.Rational(3, 2)) == 0
    assert sp.simplify(1 / sp.sqrt(v + x**2) - sp.diff(h, x) - x**2 / (v + x**2) ** sp.Rational(3, 2)) == 0
    assert sp.simplify(sp.diff(h**2, x) - 2 * x * v / (v + x**2) ** 2) == 0, "h^2 rises with x"
    assert sp.simplify(sp.diff(h**2, v) + x**2 / (v + x**2) ** 2) == 0, "and falls with v"


def test_the_shift_of_the_maximal_inequality():
    """P(max M >= r) <= (A + c^2)/(r + c)^2 is least at c = A/r, where it is A/(A + r^2)."""
    claim = (A + c**2) / (r + c) ** 2
    assert sp.simplify(claim.subs(c, A / r) - A / (A + r**2)) == 0
    assert sp.simplify(sp.diff(claim, c).subs(c, A / r)) == 0


def test_random_walks_stay_below_the_maximal_inequality():
    """All 2^14 paths of a sign walk; the inequality is met within a factor three."""
    signs = 1 - 2 * ((np.arange(2**14)[:, None] >> np.arange(14)) & 1)
    highest, closest = np.cumsum(signs, axis=1).max(axis=1), 0.0
    for level in range(1, 14):
        share = np.mean(highest >= level)
        assert share <= 14 / (14 + level**2)
        closest = max(closest, share / (14 / (14 + level**2)))
    assert closest > 0.6


# ---- whole theorems -------------------------------------------------------------------------------------------------


def drift_constants(rng, T):
    sigma, rare, theta = 10 ** rng.uniform(-1, 1), 10 ** rng.uniform(-2, -0.4), rng.uniform(0.1, 1.05)
    push, eta = sigma * np.sqrt(rare / (1 - rare)), 10 ** rng.uniform(-1, 1)
    slope = theta * push
    return {
        "L": 10 ** rng.uniform(-0.1, 2) * slope / eta, "gradient_bound": slope, "sigma": sigma,
        "jump_probability": rare, "T": T,
        "R": rng.choice([0.0, 10 ** rng.uniform(-3, 0)]) * eta, "step_size": eta,
        "eps": rng.choice([0.0, 1.0]) * push * 10 ** rng.uniform(-2, 1), "M": 1,
    }  # fmt: skip


def test_drift_against_exact_expectations(exact):
    """400 instances, every path of the noise, starts on either side of the minimizer."""
    rng, ratios = np.random.default_rng(0), []
    for _ in range(400):
        T = int(rng.integers(1, 11))
        k = drift_constants(rng, T)
        value, gradient = huber(k["L"], k["gradient_bound"])
        start = k["R"] * rng.choice([-1, 1])
        update = exact.adagrad(k["step_size"], k["eps"])
        mean = exact.walk(value, gradient, update, start, T, np.array([k["sigma"]]), p=k["jump_probability"]).mean_gap
        claim = bounds.adagrad_drift_lower(**k)
        assert claim <= mean * (1 + 1e-12)
        if claim > 0:
            ratios.append(claim / mean)
    assert np.mean(np.array(ratios) > 0.5) > 0.3
    assert len(ratios) > 300


def test_a_batch_needs_every_sample_quiet():
    """With M samples a batch is quiet with probability (1-p)^M, and then shows what one sample shows."""
    k = bounds.drift_instance(200) | {"jump_probability": 0.004}
    unseen = (1 - 0.004) ** 5
    one = k | {"jump_probability": 1 - unseen, "sigma": _same_push(0.004, 1 - unseen)}
    assert bounds.adagrad_drift_lower(**k | {"M": 5}) == pytest.approx(bounds.adagrad_drift_lower(**one), rel=1e-12)


def _same_push(rare, other):
    return np.sqrt(rare / (1 - rare)) / np.sqrt(other / (1 - other))


def test_coordinates_add_up():
    one, many = bounds.drift_instance(1000), bounds.drift_instance(1000, d=7)
    assert bounds.adagrad_drift_lower(**many) == pytest.approx(7 * bounds.adagrad_drift_lower(**one), rel=1e-12)
    mixed = many | {"step_size": np.array([1.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0])}
    twice = many | {"step_size": 2.0}
    whole = 6 * bounds.adagrad_drift_lower(**one) + bounds.adagrad_drift_lower(**twice) / 7
    assert bounds.adagrad_drift_lower(**mixed) == pytest.approx(whole, rel=1e-12)


def test_the_drift_does_not_fall_with_the_number_of_updates():
    values = [bounds.adagrad_drift_lower(**bounds.drift_instance(T)) for T in (100, 1000, 10**4, 10**5, 10**6)]
    assert values == sorted(values) and values[0] > 0.35 and 0.69 < values[-1] < 0.7579
    for T, value in zip((100, 1000), values, strict=False):
        assert value == pytest.approx(slow_drift(bounds.drift_instance(T)), rel=1e-12)
    whole = {"sigma": 3.0, "step_size": 0.1, "M": 9}
    assert bounds.adagrad_drift_lower(**bounds.drift_instance(1000, **whole)) == pytest.approx(
        0.1 * 3 / 3 * values[1], rel=1e-3
    )


def slow_drift(k):
    """The page's formula at R = eps = 0 and M = 1, term by term."""
    slope, L, eta = float(k["gradient_bound"][0]), float(k["L"][0]), k["step_size"]
    rare, T = k["jump_probability"], k["T"]
    push = float(k["sigma"][0]) * (rare / (1 - rare)) ** 0.5
    kappa, place, total = push / (push - slope), eta, 0.0
    for t in range(2, T + 1):
        total += (1 - rare) ** (t - 1) * slope * (place - slope / (2 * L))
        place += eta / (kappa**2 + t - 1) ** 0.5
    return total / T


@pytest.mark.parametrize("T", [10**5, 10**6, 10**7])
def test_the_constant_of_theorem_b(T):
    """c_T >= (1 - T^(-1/4)) (0.757 - 1.27 T^(-1/4) ...) >= 0.6 from T = 10^5 on, with L only 15 times slope/step."""
    known = bounds.drift_instance(T)
    assert bounds.adagrad_drift_lower(**known | {"L": 0.75 * known["L"]}) >= 0.6
    root = T**0.25
    assert root >= 12 * np.sqrt(0.0273 / 0.6) * np.sqrt(1 + 25 / 9 * np.log(T)), "law 2 keeps its half of the paths"


def two_phase_walk(k, start):
    """Exact mean of |f'(w_t)| over all paths: a skewed coin in the first phase, a fair one after it."""
    T, n, s = k["T"], int(k["first_phase"]), k["sigma"]
    bits = (np.arange(2**T)[:, None] >> np.arange(T)) & 1
    w, acc, total, weight = np.full(2**T, start), np.full(2**T, k["eps"] ** 2), np.zeros(2**T), np.ones(2**T)
    for t in range(T):
        rare = k["jump_probability"] if t < n else 0.5
        high, low = s * np.sqrt((1 - rare) / rare), -s * np.sqrt(rare / (1 - rare))
        a = np.clip(k["L"] * w, -k["gradient_bound"], k["gradient_bound"])
        total += np.abs(a)
        g = a + np.where(bits[:, t] == 1, high, low)
        weight *= np.where(bits[:, t] == 1, rare, 1 - rare)
        acc += g**2
        w = w - k["step_size"] * g / np.sqrt(acc)
    return float(np.sum(weight * total) / T)


def test_two_phases_against_exact_expectations():
    rng, ratios = np.random.default_rng(1), []
    for _ in range(300):
        T = int(rng.integers(1, 13))
        k = drift_constants(rng, T)
        k |= {"first_phase": int(rng.integers(1, 9)), "eps": k["sigma"] * 10 ** rng.uniform(-3, 0)}
        mean = two_phase_walk(k, k["R"] * rng.choice([-1, 1]))
        claim = bounds.nonconvex_adagrad_lower(**k)
        assert claim <= mean * (1 + 1e-12)
        if claim > 0:
            ratios.append(claim / mean)
    assert np.mean(np.array(ratios) > 0.5) > 0.3
    assert len(ratios) > 200


def test_the_second_phase_alone_against_exact_expectations():
    """Short first phases and long second ones, so that the maximal inequality and the way back decide."""
    rng, kept = np.random.default_rng(2), []
    for _ in range(40):
        k = drift_constants(rng, 14) | {"first_phase": 4, "jump_probability": 0.02, "R": 0.0, "sigma": 1.0}
        push = np.sqrt(0.02 / 0.98)
        k |= {"gradient_bound": 0.4 * push, "L": 50 * push / k["step_size"], "eps": 0.01}
        k["T"] = int(rng.integers(5, 15))
        claim = bounds.nonconvex_adagrad_lower(**k)
        assert claim <= two_phase_walk(k, 0.0)
        first = bounds.nonconvex_adagrad_lower(**k | {"T": 5}) * 5
        kept.append(claim * k["T"] / first)
    assert max(kept) > 1.5, "the second phase adds to the claim"


def test_the_last_term_of_the_nonconvex_bound_is_needed():
    """T^(1/4) times the claim does not fall, for any step size, and the upper bound lies above it."""
    for step_size in (1e-3, 1.0, 1e3):
        values = []
        for T in (10**3, 10**4, 10**5, 10**6):
            k = bounds.two_phase_instance(T, step_size=step_size)
            value = bounds.nonconvex_adagrad_lower(**k)
            values.append(value * T**0.25)
            upper = {n: k[n] for n in ("L", "sigma", "step_size", "eps", "T", "M")}
            assert value < bounds.nonconvex_adagrad(**upper, Delta=0.0)
        assert values == sorted(values)
        assert values[0] > 0.12 and values[1] > 0.24 and 0.31 < values[3] < 0.4289
        k = bounds.two_phase_instance(1000, step_size=step_size)
        assert bounds.nonconvex_adagrad_lower(**k) == pytest.approx(slow_two_phases(k), rel=1e-12)


def slow_two_phases(k):
    """The page's formula at R = 0, iterate by iterate."""
    m, L, s, eta = float(k["gradient_bound"][0]), float(k["L"][0]), float(k["sigma"][0]), k["step_size"]
    n, rare = k["first_phase"], k["jump_probability"]
    push, e = s * (rare / (1 - rare)) ** 0.5, float(np.atleast_1d(k["eps"])[0])
    place, acc, quiet, total = 0.0, e**2, 1.0, 0.0
    for t in range(1, n + 1):
        g = push if t == 1 else push - m
        acc += g**2
        place, quiet = place + eta * g / acc**0.5, quiet * (1 - rare)
        total += m * quiet
    back = spread = 0.0
    for t in range(n + 2, k["T"] + 1):
        i = t - n - 1
        back += eta * m / (acc + i * (s - m) ** 2) ** 0.5
        spread += eta**2 * (s + m) ** 2 / (acc + (i - 1) * (s - m) ** 2 + (s + m) ** 2)
        room = max(place - m / L - back, 0.0)
        total += m * quiet * room**2 / (room**2 + spread)
    return total / k["T"]


def test_bad_sizes_and_several_samples_are_refused():
    with pytest.raises(ValueError, match="T = 10, d = 1, M = 1; expected at least 16 updates"):
        bounds.drift_instance(10)
    with pytest.raises(ValueError, match="T = 5, d = 1; expected at least 16 updates"):
        bounds.two_phase_instance(5)
    with pytest.raises(ValueError, match="M = 1 does not hold: 2 against 1"):
        bounds.nonconvex_adagrad_lower(**bounds.two_phase_instance(100) | {"M": 2})
    with pytest.raises(ValueError, match="jump_probability < 1 does not hold"):
        bounds.adagrad_drift_lower(**bounds.drift_instance(100) | {"jump_probability": 1.5})
