"""The steps behind AdaGrad under strong growth (docs/theory/adagrad_norm_strong_growth.md and its neighbours)."""

import itertools

import numpy as np
import pytest
import sympy as sp

import anisotropic as an
from anisotropic import bounds
from anisotropic.bounds import batch_facts as facts

CELLS = list(itertools.product((0.25, 0.9), (0.3, 1.0), (0.1, 1.0)))


def test_the_accumulator_moves_as_the_proof_says():
    b, g2 = sp.symbols("b g2", positive=True)
    after = sp.sqrt(b**2 + g2)
    assert sp.simplify(1 / b - 1 / after - g2 / (b * after * (b + after))) == 0
    assert sp.simplify(g2 / (b + after) ** 2 - (after - b) / (after + b)) == 0
    slack = sp.simplify(g2 / b - 2 * (after - b) - (after - b) ** 2 / b)
    assert slack == 0, "g^2/b exceeds 2 (b+ - b) by (b+ - b)^2/b"


def test_the_cross_term_costs_a_quarter_of_the_descent():
    """alpha^2 r L G g/v_k <= (alpha/4) G^2/b_{k-1} + alpha^3 r^2 L^2 g^2/v_k^(3/2), since b_{k-1} <= sqrt(v_k)."""
    rng = np.random.default_rng(0)
    alpha, r, L, G, g, before = 10 ** rng.uniform(-2, 2, (6, 20_000))
    v = before**2 + g**2
    left = alpha**2 * r * L * G * g / v
    right = alpha / 4 * G**2 / before + alpha**3 * r**2 * L**2 * g**2 / v**1.5
    assert (left <= right * (1 + 1e-12)).all() and (left / right).max() > 0.5


def test_gradients_change_by_less_than_the_weighted_step():
    """|dG_i|^2 <= L_i sum_j L_j dx_j^2 where -diag(L) <= H <= diag(L), with equality for a rank-one H."""
    rng, nearest = np.random.default_rng(1), 0.0
    for _ in range(300):
        d = int(rng.integers(1, 6))
        L, q = 10 ** rng.uniform(-2, 2, d), np.linalg.qr(rng.normal(size=(d, d)))[0]
        H = np.sqrt(L)[:, None] * (q @ np.diag(rng.uniform(-1, 1, d)) @ q.T) * np.sqrt(L)
        x = rng.normal(size=d)
        ratio = (H @ x) ** 2 / (L * (L @ x**2))
        assert ratio.max() <= 1 + 1e-12
        nearest = max(nearest, ratio.max())
    assert nearest > 0.5


def test_the_weighted_logarithms_are_largest_where_gibbs_says():
    rng = np.random.default_rng(2)
    for _ in range(200):
        w, start, y = 10 ** rng.uniform(-2, 2, (3, 5))
        y = np.maximum(y, 1) * start
        W, s, Y = w.sum(), start.sum(), y.sum()
        cap = W * (np.sum(w / W * np.log(w / W * s / start)) + np.log(Y / s))
        assert np.sum(w * np.log(y / start)) <= cap + 1e-9
        at = Y * w / W
        assert np.sum(w * np.log(at / start)) == pytest.approx(cap)


def strong_growth_paths(H, start, step_size, eps, rho, norm, T=3000, paths=200, seed=0):
    """AdaGrad(-Norm) with Gaussian noise of relative variance rho, isotropic or by coordinate: NumPy only."""
    rng, d = np.random.default_rng(seed), len(start)
    w, v = np.tile(start, (paths, 1)), np.full((paths, 1 if norm else d), eps**2)
    squares, l1 = np.zeros((paths, d)), 0.0
    for _ in range(T):
        G = w @ H
        squares += G**2
        l1 = l1 + np.abs(G).sum(axis=1)
        spread = np.linalg.norm(G, axis=1, keepdims=True) / np.sqrt(d) if norm else np.abs(G)
        g = G + np.sqrt(rho) * spread * rng.normal(size=(paths, d))
        v += np.sum(g**2, axis=1, keepdims=True) if norm else g**2
        w -= step_size * g / np.sqrt(v)
    return np.sqrt(v), squares, l1 / T


@pytest.mark.parametrize(("eta", "step_size", "eps"), CELLS)
def test_adagrad_norm_keeps_to_its_constants(eta, step_size, eps):
    """Check A3, on the quadratic of 20 coordinates with curvature from 1 to 0.1."""
    h = np.geomspace(1.0, 0.1, 20)
    T = 3000 if (eta, step_size, eps) == CELLS[0] else 600
    roots, squares, _ = strong_growth_paths(np.diag(h), np.ones(20), step_size, eps, eta**2, norm=True, T=T)
    gap, total = 0.5 * h.sum(), squares.sum(axis=1)
    found = bounds.strong_growth_constants(h, gap, eps, step_size, eta**2, first_gradient=float(h @ h))
    assert 0.002 * found.B < roots.mean() < found.B
    assert np.sqrt(total).mean() < np.sqrt(found.A * found.B)
    claim = bounds.adagrad_norm_strong_growth(L=h, Delta=gap, eps=eps, step_size=step_size, rho=eta**2, delta=0.05, T=T)
    assert np.quantile(total / T, 0.95) < found.A * found.B / (0.05**2 * T) <= claim


@pytest.mark.parametrize(("eta", "step_size", "eps"), CELLS)
def test_adagrad_keeps_to_its_constants(eta, step_size, eps):
    rng = np.random.default_rng(3)
    q = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    H = q @ np.diag(np.geomspace(1.0, 0.05, 6)) @ q.T
    L, start = np.abs(H).sum(axis=1), np.ones(6)
    T = 400
    _, _, mean = strong_growth_paths(H, start, step_size, eps, eta**2, norm=False, T=T)
    gap = 0.5 * start @ H @ start
    claim = bounds.adagrad_strong_growth(L=L, Delta=gap, eps=eps, step_size=step_size, rho=eta**2, T=T)
    assert 1e-6 * claim < mean.mean() < claim


def test_the_parts_sum_to_a_b_over_delta_squared_t():
    given = dict(L=[1.0, 0.2], Delta=2.0, eps=0.5, step_size=0.7, rho=0.3)
    found = bounds.strong_growth_constants(**given)
    b = bounds.adagrad_norm_strong_growth
    assert b(**given, delta=0.1, T=100) == pytest.approx(found.A * found.B)
    solved = 0.5 + 1.3 / 2 * found.C1 + 1.3 * found.C2 * np.log(found.B / 0.5)
    assert solved == pytest.approx(found.B)
    assert b.rate()["T"] == -1 and bounds.adagrad_strong_growth.rate()["T"] == -0.5


def test_a_run_with_the_exact_test_is_judged_and_others_are_not():
    h = np.geomspace(1.0, 0.1, 5)
    f = an.problems.quadratic(h)
    method = an.optimizers.adagrad_norm(1.0, eps=0.1, preset="nonconvex")
    common = dict(noise=an.noises.gaussian(0.3), start=1.0, steps=40, replicas=600)
    rule = an.batching.norm_test(0.9, "exact", start=1)
    run = an.simulate(f, method, batch_size=rule, **common)
    verdict = an.verify(bounds.adagrad_norm_strong_growth, run, delta=0.05)
    assert verdict.status == "not contradicted"
    assert run.constants()["rho"] == pytest.approx(0.81)
    wrong = an.verify(bounds.adagrad_norm_strong_growth.scaled(1e-12), run, delta=0.05)
    assert wrong.status == "violated"
    capped = an.simulate(f, method, batch_size=an.batching.norm_test(0.9, "exact", start=1, max_batch=8), **common)
    told = an.verify(bounds.adagrad_norm_strong_growth, capped, delta=0.05)
    assert told.status == "not applicable" and "the batch rule did not hold in every iteration" in told.reason


# ---- facts ----------------------------------------------------------------------------------------------------------


def test_adagrad_norm_at_a_fixed_batch_follows_its_asymptotics():
    """600 paths of 4,000 steps; the squared gradient over the last 400, within 15 % (five standard errors)."""
    h, sigma, rng = np.array([1.0, 0.5]), np.array([0.6, 0.8]), np.random.default_rng(4)
    w, v, squares = np.full((600, 2), 0.5), np.full((600, 1), 0.01), []
    for t in range(4000):
        g = w * h + sigma / 2 * rng.normal(size=w.shape)
        v += np.sum(g**2, axis=1, keepdims=True)
        if t >= 3600:
            squares.append(np.mean((w * h) ** 2, axis=0).sum())
        w -= 0.5 * g / np.sqrt(v)
    expected = facts.fixed_batch(h, sigma, step_size=0.5, batch_size=4, steps=3800)
    assert np.mean(squares) == pytest.approx(expected.gradient_l2_squared, rel=0.15)
    at_end = facts.fixed_batch(h, sigma, step_size=0.5, batch_size=4, steps=4000)
    assert v.mean() == pytest.approx(at_end.accumulator, rel=0.1)


@pytest.mark.parametrize("step_size", [0.05, 0.5, 1.5])
def test_stationary_variance_of_sgd(step_size):
    """Check A12: 4,000 paths; |z| < 4 for three coordinates."""
    h, sigma, rng = np.array([1.0, 0.7, 0.5]), np.array([1.0, 2.0, 0.5]), np.random.default_rng(5)
    predicted = facts.stationary_variance(h, sigma, step_size=step_size, batch_size=4)
    w = np.zeros((4000, 3))
    for _ in range(int(40 / step_size)):
        w = w - step_size * (h * w + sigma / 2 * rng.choice([-1.0, 1.0], size=w.shape))
    square = w**2
    z = (square.mean(axis=0) - predicted) / (square.std(axis=0) / np.sqrt(4000))
    assert np.abs(z).max() < 4


def test_plug_in_facts_agree_with_each_other():
    for eta in (0.25, 0.5, 0.9):
        b = facts.plug_in_fixed_point(eta, 2.0, 0.01)
        assert 2.0 / b == pytest.approx(facts.plug_in_rho(eta) * 0.01), "the variance left is rho |G|^2"
        g2 = 0.01 + 2.0 / b
        assert 2.0 / b == pytest.approx(eta**2 * g2), "and the plug-in test is an equality there"
    assert facts.plug_in_fixed_point(1.0, 2.0, 0.01) == 0 and np.isinf(facts.plug_in_rho(1.2))


def test_effective_rank_is_what_the_inner_product_sees_of_noise():
    """E of g'Sg/|g|^4 at the floor against 1/r, 5,000 draws, within 10 % at rank 40 and above."""
    rng = np.random.default_rng(6)
    sigma = np.geomspace(1.0, 0.5, 60)
    g = sigma * rng.normal(size=(5000, 60))
    ratio = np.mean((g**2 @ sigma**2) / np.sum(g**2, axis=1) ** 2)
    assert ratio == pytest.approx(1 / facts.effective_rank(sigma), rel=0.1)
    assert facts.inner_product_blind(0.9, 5.84, rank=100, backup=10)
    assert not facts.inner_product_blind(0.9, 5.84, rank=5, backup=10)


def test_halving_after_phases_of_fixed_length_stalls():
    h, phases = np.array([1.0, 0.7, 0.5]), 60
    rates = 0.2 * 0.5 ** np.arange(phases)
    left = facts.remaining_bias(h, rates, [5] * phases)
    assert np.sum(left**2) == pytest.approx(0.192, abs=5e-4)
    growing = facts.remaining_bias(h, rates[:20], [int(10 / r) for r in rates[:20]])
    assert np.abs(growing).max() < 1e-40


def test_unstable_steps_and_uneven_lists_are_refused():
    with pytest.raises(ValueError, match="step size x curvature = 2; SGD has a stationary law below 2 only"):
        facts.stationary_variance(2.0, 1.0, step_size=1.0)
    with pytest.raises(ValueError, match="2 step sizes and 1 lengths; expected one length for each step size"):
        facts.remaining_bias(1.0, [0.1, 0.2], [3])
