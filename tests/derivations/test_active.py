"""The steps of form `late` of AdaGrad with active constraints (docs/theory/convex_adagrad_active.md)."""

import numpy as np
import pytest
import sympy as sp

from anisotropic import bounds
from anisotropic.bounds.active import _parts, leftover

a, e, g, G, y, s, eta, D, k, theta, x = sp.symbols("a e g G y s eta D k theta x", positive=True)


def test_step_2_completing_the_square():
    """c = (G + e) y - s y^2/(2 eta) is G y plus at most eta e^2/(2 s)."""
    rest = sp.expand(eta * e**2 / (2 * s) - (e * y - s * y**2 / (2 * eta)))
    assert sp.simplify(rest - (eta * e - s * y) ** 2 / (2 * eta * s)) == 0


def test_step_4_splits_the_square():
    assert sp.expand((1 + a) * e**2 + (1 + 1 / a) * G**2 - (e + G) ** 2 - (a * e - G) ** 2 / a) == 0


def test_step_4_telescopes_and_k0_charges_the_rest_to_the_gap():
    """(1 + 1/a) G^2/(G sqrt(k)/2 + G sqrt(k-1)/2) telescopes; at k0 the coefficient of sum x is theta G."""
    term = (1 + 1 / a) * G**2 / (G * (sp.sqrt(k) + sp.sqrt(k - 1)) / 2)
    assert sp.simplify(sp.radsimp(term - (1 + 1 / a) * 2 * G * (sp.sqrt(k) - sp.sqrt(k - 1)))) == 0
    root = (1 + 1 / a) * D / (2 * theta * eta)
    late = (1 + 1 / a) * 2 * G / (2 * root) * D / (2 * eta)
    assert sp.simplify(late - theta * G) == 0
    early = (1 + 1 / a) * 2 * G * root * D**2 / (2 * eta)
    assert sp.simplify(early - G * D * (1 + 1 / a) * D / eta * root) == 0


def test_the_logarithm_is_an_integral():
    u, v, eps = sp.symbols("u v eps", positive=True)
    integral = 2 * (sp.log((u + eps) / eps) + eps / (u + eps) - 1)
    assert sp.simplify(sp.diff(integral, u) - 2 * u / (u + eps) ** 2) == 0 and integral.subs(u, 0) == 0
    assert np.all(np.diff([float(integral.subs({u: t, eps: 0.1})) for t in (0.1, 1, 10)]) > 0)


def test_the_maximum_over_b_is_the_leftover():
    rng = np.random.default_rng(0)
    for price, smooth, noise in rng.uniform(0.05, 3, (50, 3)):
        B = np.linspace(0, 100, 1_000_001)
        brute = np.max(price * (np.sqrt(B + noise**2) - noise) - B / (2 * smooth))
        assert leftover(price, smooth, noise) == pytest.approx(brute, abs=1e-6)


def sequence(rng, mode, T, v, x_):
    """The next error e with G* = 1: noise of several kinds, and adversaries that push the iterate outwards."""
    q, small = np.exp(rng.uniform(-7, 0)), np.exp(rng.uniform(-8, 0))
    for t in range(T):
        yield (
            rng.standard_normal() * 3 * small,
            -1 - small if rng.random() > q else (1 + small) / q,
            -1 + small * (1 if (t // int(1 / q + 1)) % 2 else -1) * 2.0 ** min(t * q * 0.3, 60),
            0.0,
            -1 - small if x_[0] < 0.9 else -1 + small,
            -1 - 1e-6 * 2.0 ** min(t, 60),
        )[mode]


def test_the_pathwise_inequality_on_random_and_adversarial_gradients():
    """Steps 1 to 4 on single paths: sum g x against the four parts, at several a and theta."""
    rng, worst = np.random.default_rng(1), 0.0
    for _ in range(2000):
        T, step_size, eps = int(np.exp(rng.uniform(0, 5))), np.exp(rng.uniform(-2, 2)), np.exp(rng.uniform(-12, 1))
        spread, share = 10 ** rng.uniform(-1.5, 1), rng.uniform(0.05, 0.9)
        place, v, M, z, left, drift = [rng.uniform(0, 1)], 0.0, 0.0, 0.0, 0.0, 0.0
        start = place[0]
        for error in sequence(rng, int(rng.integers(6)), T, v, place):
            gradient = 1.0 + error
            v, M, z = v + gradient**2, M + min(gradient**2, error**2), z + error**2
            left, drift = left + gradient * place[0], drift + place[0]
            place[0] = min(max(place[0] - step_size * gradient / (np.sqrt(v) + eps), 0.0), 1.0)
        rounds = 2 * np.log1p(np.sqrt(v) / eps)
        kept = (1 + 1 / spread) / step_size * np.sqrt(((1 + 1 / spread) / (2 * share * step_size)) ** 2 + 1)
        right = (
            eps / (2 * step_size)
            + (1 + spread) / (2 * step_size) * np.sqrt(M)
            + step_size * np.sqrt(M)
            + step_size * np.sqrt(z * rounds)
            + start
            + kept
            + share * drift
        )
        worst = max(worst, left / right)
    assert 0.1 < worst <= 1


def test_the_theorem_without_noise_on_corners():
    rng, worst = np.random.default_rng(2), 0.0
    for _ in range(150):
        h, T = 10 ** rng.uniform(-1, 1, 2), int(rng.integers(1, 200))
        center, step_size, eps = rng.uniform(1.0, 4.0, 2), 10 ** rng.uniform(-1, 0.5, 2), 10 ** rng.uniform(-4, 0)
        w, v, total = rng.uniform(-1, 1, 2), np.zeros(2), 0.0
        best = 0.5 * np.sum(h * (1 - center) ** 2)
        for _t in range(T):
            total += 0.5 * np.sum(h * (w - center) ** 2) - best
            gradient = h * (w - center)
            v += gradient**2
            w = np.clip(w - step_size * gradient / (np.sqrt(v) + eps), -1, 1)
        claim = bounds.convex_adagrad_active(form="late", L=h, sigma=0.0, D=2.0, step_size=step_size, eps=eps, T=T, M=1,
                                             G_star=h * (center - 1))  # fmt: skip
        worst = max(worst, total / T / claim)
    assert 0.02 < worst <= 1


C = {"L": np.array([2.0, 0.5]), "sigma": np.array([0.3, 0.1]), "D": 2.0, "eps": 1e-3, "M": 4, "G_star": [0.5, 0.0]}


def test_every_choice_of_the_free_numbers_is_above_the_one_that_is_taken():
    values = {k: np.broadcast_to(np.asarray(v, float), 2) if k not in ("M",) else float(v) for k, v in C.items()}
    values |= {"T": 1e5, "step_size": np.full(2, 1.4)}
    best = bounds.convex_adagrad_active(form="late", T=1e5, step_size=1.4, **C) * 1e5
    grid = [(share, spread) for share in np.linspace(0.01, 0.95, 60) for spread in np.geomspace(1e-3, 10, 60)]
    assert best <= min(sum(_parts(values, *pair).values()) for pair in grid) * (1 + 1e-6)


def test_without_noise_the_sum_of_gaps_grows_with_a_logarithm_only():
    quiet = C | {"sigma": 0.0, "step_size": 1.4}

    def growth(form):
        few, many = (bounds.convex_adagrad_active(form=form, T=t, **quiet) * t for t in (1e6, 1e12))
        return many / few

    assert growth("late") < 2 and growth("sharp") > 100


def test_without_an_active_constraint_it_is_the_sharp_form_of_the_plain_theorem():
    quiet = C | {"G_star": 0.0, "T": 300, "step_size": 1.4}
    plain = {k: v for k, v in quiet.items() if k != "G_star"}
    assert bounds.convex_adagrad_active(form="late", **quiet) == pytest.approx(
        bounds.convex_adagrad(form="sharp", **plain), rel=1e-12
    )


def test_the_form_alone_needs_an_epsilon():
    at_zero = C | {"eps": 0.0, "T": 100, "step_size": 1.4}
    with pytest.raises(ValueError, match="eps_j > 0 does not hold"):
        bounds.convex_adagrad_active(form="late", **at_zero)
    assert bounds.convex_adagrad_active.tightest(**at_zero).form == "sharp"
    assert bounds.convex_adagrad_active.tightest(**(C | {"M": 1e6, "T": 1e8, "step_size": 1.4})).form == "late"
