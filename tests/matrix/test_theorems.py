"""Do the theorems on matrices hold, and are their forms what they should be? Exact expectations and other formulas."""

from itertools import product

import numpy as np
import pytest
from matrix_twin import function, inverse_root, polar, walk

import anisotropic as an
from anisotropic import bounds
from anisotropic.bounds.asgo import smallest
from anisotropic.bounds.muon import _weights
from anisotropic.compiled.newton_schulz import certified

O = an.optimizers


def psd(rng, m, decades=2.0):
    Q = np.linalg.qr(rng.standard_normal((m, m)))[0]
    return (Q * 10 ** (-decades * rng.random(m))) @ Q.T


def pseudo_huber(A, width, center):
    """Value and gradient of sum phi(singular values of A^(1/2) (W - C)), with NumPy."""
    root = function(A, np.sqrt)

    def value(W):
        s = np.linalg.svd(root @ (W - center), compute_uv=False)
        return float(np.sum(s**2 / (1 + np.sqrt(1 + (s / width) ** 2))))

    def gradient(W):
        U, s, Vt = np.linalg.svd(root @ (W - center), full_matrices=False)
        return root @ ((U * (s / np.sqrt(1 + (s / width) ** 2))) @ Vt)

    return value, gradient


def expected(optimizer, gradient, measure, start, pattern, T, p):
    """E of the mean of a measure over W_1..W_T, exactly: all paths of a two-point noise along one pattern."""
    high, low = np.sqrt((1 - p) / p), -np.sqrt(p / (1 - p))
    total = 0.0
    for signs in product((1, 0), repeat=T if np.any(pattern) else 0):
        errors = [(high if s else low) * pattern for s in signs] or [pattern] * T
        path = walk(optimizer, [lambda W, N=N: gradient(W) + N for N in errors], start)
        weight = np.prod([p if s else 1 - p for s in signs])
        total += weight * np.mean([measure(W) for W in path[:-1]])
    return total


def instance(seed):
    rng = np.random.default_rng(seed)
    m, n, T = (int(k) for k in (*rng.integers(1, 4, 2), rng.integers(1, 5)))
    A = psd(rng, m)
    center = rng.standard_normal((m, n))
    center *= rng.random() / np.linalg.norm(center, 2)
    start = -polar(center) if rng.random() < 0.5 else rng.standard_normal((m, n)) * 0.3
    start /= max(1.0, np.linalg.norm(start, 2))
    pattern = rng.standard_normal((m, n)) * rng.choice([0, 1]) * 10 ** rng.uniform(-2, 0.5)
    return rng, A, 10 ** rng.uniform(-1, 2), center, start, pattern, T, rng.uniform(0.1, 0.9)


@pytest.mark.parametrize("seed", range(30))
def test_asgo_and_left_sgd_against_exact_expectations(seed):
    rng, A, width, center, start, pattern, T, p = instance(seed)
    value, gradient = pseudo_huber(A, width, center)
    known = {"left_smoothness": A, "left_noise": function(pattern @ pattern.T, np.sqrt), "T": T, "M": 1}
    D_op = 1.0 + np.linalg.norm(center, 2)
    step, eps = D_op * 10 ** rng.uniform(-1, 0.3), float(rng.choice([0.0, 1e-2]))
    measured = expected(O.asgo(step, ball=1.0, eps=eps), gradient, value, start, pattern, T, p)
    claims = [bounds.convex_asgo(form, D_op=D_op, step_size=step, eps=eps, **known) for form in ("simple", "sharp")]
    assert measured <= claims[1] * (1 + 1e-9) and claims[1] <= claims[0] * (1 + 1e-9)

    P = psd(rng, len(A))
    step = rng.random() / np.linalg.eigvals(P @ A).real.max()
    measured = expected(O.left_sgd(step, P), gradient, value, start, pattern, T, p)
    away = start - center
    claim = bounds.convex_left_sgd(left_distance=away @ away.T, preconditioner=P, step_size=step, **known)
    assert measured <= claim * (1 + 1e-9)


@pytest.mark.parametrize("newton_schulz", [None, "jordan", "quintic"])
@pytest.mark.parametrize("seed", range(10))
def test_muon_against_exact_expectations(newton_schulz, seed):
    rng, A, width, center, start, pattern, T, p = instance(100 + seed)
    value, gradient = pseudo_huber(A, width, center)
    momentum, nesterov = float(rng.choice([0, 0.5, 0.9])), bool(rng.integers(2))
    step = 10 ** rng.uniform(-2, 0.3)
    method = O.muon(step, momentum=momentum, nesterov=nesterov, newton_schulz=newton_schulz)
    measured = expected(method, gradient, lambda W: np.linalg.norm(gradient(W), "nuc"), start, pattern, T, p)
    alpha, phi = certified(newton_schulz, min(start.shape))
    eigenvalues = np.sort(np.linalg.eigvalsh(A))[::-1]
    known = {
        "L_op": float(eigenvalues[: min(start.shape)].sum()), "Delta": value(start), "T": T, "M": 1,
        "left_noise": function(pattern @ pattern.T, np.sqrt), "step_size": step, "momentum": momentum,
        "nesterov": float(nesterov), "alignment": alpha, "gain": phi,
    }  # fmt: skip
    sums = bounds.nonconvex_muon("sums", **known)
    assert measured <= sums * (1 + 1e-9)
    if not nesterov:
        assert sums <= bounds.nonconvex_muon("simple", **known) * (1 + 1e-9)


def test_identity_of_muon_without_noise():
    """On tr(W' A W) / 2 with gradients of full rank descent is an equation: the bound is off by the gap left."""
    rng = np.random.default_rng(0)
    A, start, step, T = psd(rng, 4, 1.0), rng.standard_normal((4, 6)), 0.01, 30
    path = walk(O.muon(step), [lambda W: A @ W] * T, start)
    values = [0.5 * np.sum(W * (A @ W)) for W in path]
    mean = np.mean([np.linalg.norm(A @ W, "nuc") for W in path[:-1]])
    assert mean == pytest.approx((values[0] - values[-1]) / (step * T) + step * np.trace(A) / 2, rel=1e-12)
    claim = bounds.nonconvex_muon(L_op=np.trace(A), Delta=values[0], T=T, M=1, left_noise=np.zeros((4, 4)),
                                  step_size=step, momentum=0.0)  # fmt: skip
    assert claim - mean == pytest.approx(values[-1] / (step * T), rel=1e-10)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9, 0.95])
@pytest.mark.parametrize("nesterov", [False, True])
def test_weights_of_past_gradients(momentum, nesterov):
    T = 25
    squares, own, lag = _weights(momentum, nesterov, T)
    for t in range(1, T + 1):
        s = np.arange(1, t + 1)
        w = (1 - momentum) * momentum ** (t - s.astype(float))
        w = momentum * w + (1 - momentum) * (s == t) if nesterov else w
        w = w / w.sum()
        assert (squares[t - 1], own[t - 1]) == pytest.approx(((w**2).sum(), w[-1]), rel=1e-12)
        assert lag[t - 1] == pytest.approx((w * (t - s)).sum(), rel=1e-10, abs=1e-14)


@pytest.mark.parametrize("seed", range(10))
def test_the_sharp_form_is_that_of_vectors_where_matrices_commute(seed):
    rng = np.random.default_rng(seed)
    Q, L, sigma = np.linalg.qr(rng.standard_normal((4, 4)))[0], rng.random(4), rng.random(4)
    known = {"D_op": 1.7, "T": 50, "M": 3, "step_size": 0.8}
    found = bounds.convex_asgo("sharp", left_smoothness=(Q * L) @ Q.T, left_noise=(Q * sigma) @ Q.T, **known)
    known = {"D" if k == "D_op" else k: v for k, v in known.items()}
    assert found == pytest.approx(bounds.convex_adagrad("sharp", L=L, sigma=sigma, **known), rel=1e-10)


@pytest.mark.parametrize("seed", range(10))
def test_the_sharp_form_is_close_to_its_dual(seed):
    """Every B >= 0 gives K tr (B + N)^(1/2) - tr(L^(-1) B) / 2 as a lower bound; the best B belongs to the best L'."""
    rng = np.random.default_rng(seed)
    L, N, K = psd(rng, 4), psd(rng, 4) * 10 ** rng.uniform(-2, 2), 1.3
    value = sum(smallest(K, L, N))
    best = -np.inf
    B = K**2 * L @ L
    for _ in range(3000):
        Q = B + N
        slope = 0.5 * K * inverse_root(Q) - 0.5 * np.linalg.inv(L)
        best = max(best, K * np.trace(function(Q, np.sqrt)) - 0.5 * np.trace(np.linalg.solve(L, B)))
        B = function(B + np.linalg.norm(L, 2) ** 2 * 0.3 * slope, lambda x: x)
    simple = 0.5 * K**2 * np.trace(L) + K * np.trace(function(N, np.sqrt))
    assert best <= value * (1 + 1e-9) and value <= simple * (1 + 1e-12)
    assert smallest(K, L, np.zeros((4, 4))) == (pytest.approx(0.5 * K**2 * np.trace(L)), 0.0)


def test_tuned_steps_and_critical_batch_sizes():
    L, S = np.diag([1.0, 0.5, 0.1]), np.diag([0.3, 0.2, 0.1])
    b, known = bounds.convex_asgo, {"left_smoothness": L, "left_noise": S, "D_op": 2.0}
    assert b.tuned_step_size(D_op=2.0) == pytest.approx(2 / 2**0.5)
    assert b(T=100, M=4, **known) == pytest.approx(4 * 1.6 / 100 + 2**0.5 * 2 * 0.6 / 20)
    assert b.critical_batch_size(gap=0.01, **known) == pytest.approx(2 * 0.6**2 / (1.6 * 0.01))
    assert b.critical_batch_size(T=100, **known) == pytest.approx(2 * 100 * 0.6**2 / (2 * 1.6) ** 2)
    X = np.diag([1.0, 2.0, 3.0])
    left, sgd = bounds.convex_left_sgd, bounds.convex_sgd
    known = {"left_smoothness": L, "left_noise": S, "left_distance": X, "preconditioner": np.eye(3)}
    vector = {"L": np.diag(L), "sigma": np.diag(S), "R": np.sqrt(np.diag(X))}
    assert left(T=100, M=4, **known) == pytest.approx(sgd(T=100, M=4, **vector))
    assert left.critical_batch_size(gap=0.01, **known) == pytest.approx(sgd.critical_batch_size(gap=0.01, **vector))
    inverse = {"left_smoothness": L, "left_noise": 0 * S, "left_distance": X, "preconditioner": np.linalg.inv(L)}
    assert left(T=1, M=1, step_size=1.0, **inverse) == pytest.approx(0.5 * np.trace(L @ X))  # the gap itself
    muon, known = bounds.nonconvex_muon, {"L_op": 2.0, "Delta": 3.0, "left_noise": S, "momentum": 0.0}
    assert muon.tuned_step_size(L_op=2.0, Delta=3.0, T=50, momentum=0.0) == pytest.approx((2 * 3 / (2 * 50)) ** 0.5)
    assert muon(T=50, M=9, **known) == pytest.approx((2 * 3 * 2 / 50) ** 0.5 + 0.6 / 3)
    assert muon.critical_batch_size(T=50, **known) == pytest.approx(50 * 0.6**2 / (2 * 3 * 2))


def test_one_row_and_one_entry_are_the_vector_theorems():
    known = {"Delta": 1.0, "T": 30, "M": 4, "step_size": 0.1}
    muon = bounds.nonconvex_muon(L_op=2.0, left_noise=[[0.5]], momentum=0.0, **known)
    assert muon == pytest.approx(bounds.nonconvex_signsgd(L=2.0, sigma=0.5, **known))
    known = {"T": 30, "M": 4, "step_size": 0.1}
    asgo = bounds.convex_asgo("sharp", left_smoothness=[[2.0]], left_noise=[[0.5]], D_op=1.5, **known)
    assert asgo == pytest.approx(bounds.convex_adagrad("sharp", L=2.0, sigma=0.5, D=1.5, **known))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"optimizer": O.asgo(0.3)}, "ball of the spectral norm around a minimizer unknown"),
        ({"optimizer": O.asgo(0.3, ball=(np.full((2, 2), 9.0), 20.0))}, ""),
        ({"optimizer": O.asgo(0.3, side="right", ball=9.0)}, "the optimizer is 'asgo_right'"),
        ({"optimizer": O.asgo(0.3, eps=0.1, preset="nonconvex")}, "preset is 'nonconvex'"),
        ({"noise": an.noises.affine(0.1, 0.5), "optimizer": O.asgo(0.3, ball=9.0)}, "left covariance of the noise"),
        ({"center": 7.0, "optimizer": O.asgo(0.3, ball=9.0)}, "ball of the spectral norm around a minimizer unknown"),
    ],
)
def test_hypotheses_of_asgo_come_before_its_number(change, reason):
    f = an.problems.kronecker(np.diag([1.0, 0.5]), center=change.get("center", 0.0))
    noise = change.get("noise", an.noises.gaussian(0.1))
    run = an.simulate(f, change["optimizer"], noise=noise, start=[1.0, 0, 0, 2.0], steps=5, replicas=4)
    verdict = an.verify(bounds.convex_asgo, run)
    assert (verdict.status == "not applicable") == bool(reason) and reason in verdict.reason


def test_hypotheses_of_muon_come_before_its_number():
    f, measures = an.problems.kronecker(np.diag([1.0, 0.5])), {"gradient_nuclear": an.matrices.gradient_nuclear}

    def verdict(method, **options):
        run = an.simulate(f, method, noise=an.noises.none(), start=1.0, steps=20, replicas=2, **options)
        return an.verify(bounds.nonconvex_muon, run)

    assert verdict(O.muon(0.1), measures=measures).status == "not contradicted"
    assert "no statistic 'mean_gradient_nuclear'" in verdict(O.muon(0.1)).reason
    assert "decay = 0 does not hold" in verdict(O.muon(0.1, decay=0.1), measures=measures).reason
    wild = O.muon(0.1, newton_schulz=[(3.0, -9.0, 0.5)])
    assert certified([(3.0, -9.0, 0.5)], 2).alpha == 0.0
    assert "certified alignment of the Newton-Schulz coefficients unknown" in verdict(wild, measures=measures).reason
