"""The convex catalogue against closed forms written out by hand, and what SymPy derives from it."""

import numpy as np
import pytest
import sympy
from scipy.optimize import minimize

from anisotropic import bounds
from anisotropic.bounds import symbols as s

RNG = np.random.default_rng(7)
D_ = 6
C = {
    "L": RNG.uniform(0.1, 3, D_),
    "sigma": RNG.uniform(0, 2, D_),
    "R": RNG.uniform(0.1, 1, D_),
    "D": RNG.uniform(1, 2, D_),
    "G": RNG.uniform(0.1, 2, D_),
    "eps": RNG.uniform(0, 0.5, D_),
    "T": 200.0,
    "M": 8.0,
    "rho": 1.5,
}
L, SIGMA, R, D, G, EPS, T, M, RHO = (C[k] for k in ("L", "sigma", "R", "D", "G", "eps", "T", "M", "rho"))
A = 1 + RHO / M


def norm(x):
    return np.sqrt(np.sum(x**2))


def without(*names, **more):
    return {k: v for k, v in C.items() if k not in names} | more


def test_convex_sgd_at_a_given_and_at_the_tuned_step_size():
    got = bounds.convex_sgd(step_size=0.1, **C)
    assert got == pytest.approx(norm(R) ** 2 / (2 * 0.1 * T) + 0.1 * norm(SIGMA) ** 2 / (2 * M), rel=1e-12)
    for batch in (0.01, 8.0, 1e9):
        best = min(1 / ((1 + RHO / batch) * L.max()), norm(R) * np.sqrt(batch) / (norm(SIGMA) * np.sqrt(T)))
        assert bounds.convex_sgd.tuned_step_size(**without(M=batch)) == pytest.approx(best, rel=1e-12)
        relaxed = (1 + RHO / batch) * L.max() * norm(R) ** 2 / (2 * T) + norm(R) * norm(SIGMA) / np.sqrt(batch * T)
        assert bounds.convex_sgd(**without(M=batch)) <= relaxed * (1 + 1e-12)
        tuned = bounds.convex_sgd.tuned
        assert sum(float(s.evaluate(t, without(M=batch))) for t in tuned.values()) == pytest.approx(relaxed, rel=1e-12)


def test_the_tuned_step_is_a_minimum():
    for name in ("convex_sgd", "convex_diag_sgd", "convex_sgd_nonsmooth", "convex_adagrad_norm", "convex_adagrad"):
        b, c = bounds[name], without("rho", "eps")
        best = np.asarray(b.tuned_step_size(**c))
        value = b(**c)
        for factor in (0.5, 0.9, 1 - 1e-4):
            assert b(step_size=best * factor, **c) > value * (1 - 1e-12)
        if not (b.step_rule.cap is not None and b.violations(step_size=best * 1.001, **c)):
            assert b(step_size=best * 1.001, **c) > value * (1 - 1e-12)


def test_convex_sgd_proj():
    step_size = 0.3 / L.max()
    c = without("rho")
    by_hand = norm(R) ** 2 / (2 * step_size * T) + step_size / (2 * M) * np.sum(SIGMA**2 / (1 - step_size * L))
    assert bounds.convex_sgd_proj(step_size=step_size, **c) == pytest.approx(by_hand, rel=1e-12)
    textbook = L.max() * norm(R) ** 2 / T + np.sqrt(2) * norm(R) * norm(SIGMA) / np.sqrt(M * T)
    assert bounds.convex_sgd_proj(**c) <= textbook
    assert bounds.convex_sgd_proj(**c) >= bounds.convex_sgd(**c)
    assert bounds.convex_sgd_proj.measure == "mean_gap_after"


def test_convex_diag_sgd():
    best = np.minimum(1 / (A * L), R * np.sqrt(M) / (np.maximum(SIGMA, 1e-300) * np.sqrt(T)))
    assert bounds.convex_diag_sgd.tuned_step_size(**C) == pytest.approx(best, rel=1e-12)
    by_hand = np.sum(R**2 / (2 * best * T) + best * SIGMA**2 / (2 * M))
    assert bounds.convex_diag_sgd(**C) == pytest.approx(by_hand, rel=1e-12)
    relaxed = A * np.sum(L * R**2) / (2 * T) + np.sum(R * SIGMA) / np.sqrt(M * T)
    assert bounds.convex_diag_sgd(**C) <= relaxed
    assert bounds.convex_diag_sgd(**C) <= bounds.convex_sgd(**C)


def test_convex_adagrad_at_the_tuned_step_and_with_one_scalar_step():
    smooth = A * np.sum(L * D**2)
    rest = np.sqrt(2 * T / M) * np.sum(D * SIGMA) + np.sum(EPS * D) / np.sqrt(2)
    assert bounds.convex_adagrad(**C) == pytest.approx((4 * smooth + 2 * rest) / T, rel=1e-12)
    quad = (np.sqrt(smooth) + np.sqrt(smooth + rest)) ** 2 / T
    assert bounds.convex_adagrad(form="quad", **C) == pytest.approx(quad, rel=1e-12)
    width = D.max()
    scalar = bounds.convex_adagrad(step_size=width / np.sqrt(2), **without("eps"))
    cube = 4 * A * L.sum() * width**2 / T + 2 * np.sqrt(2) * width * SIGMA.sum() / np.sqrt(M * T)
    assert scalar <= cube
    K = (D**2 / width + width) / np.sqrt(2)
    assert scalar == pytest.approx(2 * A * np.sum(L * K**2) / T + 2 * np.sum(K * SIGMA) / np.sqrt(M * T), rel=1e-12)


def test_the_price_of_learning_a_step_is_smallest_at_d_over_root_two():
    from anisotropic.bounds.convex import K

    best = bounds.convex_adagrad.tuned_step_size(D=D)
    assert best == pytest.approx(D / np.sqrt(2), rel=1e-14)
    assert sympy.simplify(K.subs(s.step_size, s.D / sympy.sqrt(2)) - sympy.sqrt(2) * s.D) == 0
    assert sympy.diff(K, s.step_size, 2).is_positive


def water_level_by_force(c, S):
    """max of sum K sqrt(B + n) over B >= 0 with sum B/L = 2 S, by a general-purpose optimiser."""
    K, n = np.sqrt(2) * c["D"], c["T"] * c["sigma"] ** 2 / c["M"]
    result = minimize(
        lambda B: -np.sum(K * np.sqrt(np.maximum(B, 0) + n)),
        np.full(n.size, 2 * S / np.sum(1 / c["L"])),
        jac=lambda B: -K / (2 * np.sqrt(np.maximum(B, 0) + n + 1e-30)),
        bounds=[(0, None)] * n.size,
        constraints={"type": "eq", "fun": lambda B: np.sum(B / c["L"]) - 2 * S, "jac": lambda B: 1 / c["L"]},
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-13},
    )
    return -result.fun


@pytest.mark.parametrize("seed", range(4))
def test_the_tight_form_is_the_fixed_point_of_an_independent_maximisation(seed):
    rng = np.random.default_rng(seed)
    c = {k: rng.uniform(0.2, 2, 4) for k in ("L", "sigma", "D")} | {"T": 50.0, "M": rng.choice([1.0, 30.0])}
    S = bounds.convex_adagrad(form="tight", **c) * c["T"]
    assert water_level_by_force(c, S) == pytest.approx(S, rel=1e-6)
    assert water_level_by_force(c, 1.05 * S) < 1.05 * S
    low, middle, high = (bounds.convex_adagrad(form=f, **c) for f in ("tight", "quad", "simple"))
    assert low <= middle <= high


def test_the_tight_form_at_its_edges():
    b, c = bounds.convex_adagrad, without("rho", "eps")
    quiet = c | {"sigma": 0.0}
    assert b(form="tight", **quiet) == pytest.approx(4 * np.sum(L * D**2) / T, rel=1e-12)
    flat = c | {"L": 0.0}
    assert b(form="tight", **flat) == pytest.approx(np.sqrt(2) * np.sum(D * SIGMA) / np.sqrt(M * T), rel=1e-12)
    half_flat = c | {"L": np.where(np.arange(D_) < 3, L, 0.0)}
    assert b(form="tight", **half_flat) <= b(form="quad", **half_flat)
    assert b(form="tight", **(c | {"L": 0.0, "sigma": 0.0})) == 0.0


def test_convex_adagrad_active_adds_a_term_that_no_batch_helps():
    c = without("rho", "eps", G_star=np.full(D_, 0.3))
    extra = bounds.convex_adagrad_active(**c) - bounds.convex_adagrad(**c)
    assert extra == pytest.approx(2 * np.sqrt(2) * 0.3 * D.sum() / np.sqrt(T), rel=1e-12)
    assert bounds.convex_adagrad_active.rate(noise=False) == {"T": -0.5, "M": 0.0, "d": 1.0}


def test_convex_adagrad_norm():
    c, e = without("eps"), 0.2
    w, n = norm(D), norm(SIGMA)
    simple = 4 * A * L.max() * w**2 / T + np.sqrt(2) * w * n / np.sqrt(M * T) + np.sqrt(2) * e * w / T
    assert bounds.convex_adagrad_norm(eps=e, **c) == pytest.approx(simple, rel=1e-12)
    K2, off = 2 * w**2, e * w / np.sqrt(2)
    S = bounds.convex_adagrad_norm(form="quad", eps=e, **c) * T
    assert (S - off) ** 2 == pytest.approx(K2 * (2 * A * L.max() * S + T * n**2 / M), rel=1e-12)
    assert simple >= S / T
    assert bounds.convex_adagrad_norm.tuned_step_size(D=D) == pytest.approx(w / np.sqrt(2), rel=1e-12)


def test_nonsmooth():
    c = without("eps")
    assert bounds.convex_adagrad_nonsmooth(**c) == pytest.approx(np.sqrt(2) * np.sum(D * G) / np.sqrt(T), rel=1e-12)
    assert bounds.convex_sgd_nonsmooth(**c) == pytest.approx(norm(R) * norm(G) / np.sqrt(T), rel=1e-12)


def test_convex_adagrad_hp():
    c = without("rho", "eps", delta=0.01)
    s_, log = SIGMA / np.sqrt(M), np.log(2 / 0.01)
    W = np.sum(D**2 * s_**2)
    rest = np.sqrt(2) * (np.sqrt(T) * np.sum(D * s_) + np.sqrt(2 * log * W)) + np.sqrt(2 * T * log * W)
    smooth = np.sum(L * D**2)
    by_hand = (np.sqrt(smooth) + np.sqrt(smooth + rest)) ** 2 / T
    assert bounds.convex_adagrad_hp(form="quad", **c) == pytest.approx(by_hand, rel=1e-12)
    assert bounds.convex_adagrad_hp.probability and not bounds.convex_adagrad.probability
    with pytest.raises(ValueError, match="delta = 1.5; expected a finite number above 0 and below 1"):
        bounds.convex_adagrad_hp(**(c | {"delta": 1.5}))


def test_pl_sgd_is_an_equality_for_a_one_dimensional_quadratic():
    h, step_size, n, x0, var = 1.7, 0.4, 30, 2.0, 0.09
    q = (1 - step_size * h) ** 2
    stationary = step_size * var / (h * (2 - step_size * h))
    exact = 0.5 * h * (q**n * (x0**2 - stationary) + stationary)
    got = bounds.pl_sgd(L=h, mu=h, sigma=0.3, M=1, T=n, step_size=step_size, Delta=0.5 * h * x0**2)
    assert got == pytest.approx(exact, rel=1e-12)


def test_critical_batch_sizes_are_the_closed_forms():
    c = without("rho", "eps", "M", "T")
    gap, smooth, noise = 0.05, np.sum(L * D**2), np.sum(D * SIGMA)
    w, n, r = norm(D), norm(SIGMA), norm(R)
    expected = {
        "convex_sgd": (2 * n**2 / (L.max() * gap), 4 * T * n**2 / (L.max() ** 2 * r**2)),
        "convex_adagrad": (2 * noise**2 / (smooth * gap), noise**2 * T / (2 * smooth**2)),
        "convex_adagrad_norm": (n**2 / (2 * L.max() * gap), 2 * T * n**2 / (16 * L.max() ** 2 * w**2)),
        "convex_diag_sgd": (
            2 * np.sum(R * SIGMA) ** 2 / (np.sum(L * R**2) * gap),
            4 * T * np.sum(R * SIGMA) ** 2 / np.sum(L * R**2) ** 2,
        ),
    }
    for name, (at_gap, at_T) in expected.items():
        b = bounds[name]
        assert b.critical_batch_size(gap=gap, **c) == pytest.approx(at_gap, rel=1e-12)
        assert b.critical_batch_size(T=T, **c) == pytest.approx(at_T, rel=1e-12)
        values = c | {"gap": gap, "T": T, "eps": 0.0 if "norm" in name else np.zeros(D_)}
        assert float(s.evaluate(b.critical_batch_size_formula("gap"), values)) == pytest.approx(at_gap, rel=1e-12)
        assert float(s.evaluate(b.critical_batch_size_formula("T"), values)) == pytest.approx(at_T, rel=1e-12)


def test_critical_batch_size_is_where_the_two_floors_cross():
    b, c, gap = bounds.convex_adagrad, without("M", "T"), 0.05
    critical = b.critical_batch_size(gap=gap, **c)

    def updates(batch):
        low, high = 1e-9, 1e15
        for _ in range(200):
            middle = np.sqrt(low * high)
            low, high = (middle, high) if b(T=middle, M=batch, **c) > gap else (low, middle)
        return high

    floor_in_updates, floor_in_samples = updates(1e15), updates(1e-6) * 1e-6
    assert critical == pytest.approx(floor_in_samples / floor_in_updates, rel=1e-3)


def test_bias_and_noise_are_equal_at_the_critical_batch_size_for_fixed_updates():
    b, c = bounds.convex_adagrad_active, without("M", "T", "rho", "eps", G_star=0.01)
    critical = b.critical_batch_size(T=50.0, **c)
    terms = b.terms(T=50.0, M=critical, **c)
    assert terms["noise"] == pytest.approx(terms["bias"] + terms["active"] + terms["eps"], rel=1e-9)


def test_critical_batch_size_without_noise_or_without_smoothness():
    c = {"L": 1.0, "sigma": 0.0, "R": 1.0}
    assert bounds.convex_sgd.critical_batch_size(gap=0.1, **c) == 0.0
    assert bounds.convex_sgd.critical_batch_size(gap=0.1, **(c | {"sigma": 1.0, "L": 0.0})) == np.inf


SMOOTH = ["convex_sgd", "convex_sgd_proj", "convex_diag_sgd", "convex_adagrad", "convex_adagrad_norm"]


@pytest.mark.parametrize("name", SMOOTH)
def test_rates(name):
    assert bounds[name].rate() == {"T": -0.5, "M": -0.5, "d": 1.0}
    assert bounds[name].rate(noise=False) == {"T": -1.0, "M": 0.0, "d": 1.0}
