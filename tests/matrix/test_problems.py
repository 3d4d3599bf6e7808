"""Are the constants of matrix problems and noises what they claim, and is bad input answered with a sentence?"""

from typing import NamedTuple

import numpy as np
import pytest

import anisotropic as an
from anisotropic.records import effective_rank

O, P = an.optimizers, an.problems


def psd(rng, m):
    Q = np.linalg.qr(rng.standard_normal((m, m)))[0]
    return (Q * 10 ** (-2 * rng.random(m))) @ Q.T


def objectives():
    rng = np.random.default_rng(0)
    for m, n in ((1, 1), (2, 4), (4, 3)):
        A, B, C = psd(rng, m), psd(rng, n), rng.standard_normal((m, n))
        yield P.kronecker(A, center=C)
        yield P.kronecker(A, B, center=C)
        yield P.spectral_pseudo_huber(A, 0.7, c=2.0, center=C)


@pytest.mark.parametrize("f", list(objectives()), ids=lambda f: f"{f.name} {f.shape}")
def test_constants_hold(f):
    assert not an.check(f, seed=3)
    rng = np.random.default_rng(1)
    m, n = f.shape
    ratios, spectral = [], []
    for _ in range(50):
        w, d = f.minimizer + 10 ** rng.uniform(-2, 1) * rng.standard_normal(f.dim), rng.standard_normal(f.dim)
        d = np.linalg.svd(d.reshape(m, n), full_matrices=False)
        d = (d[0] @ d[2]).ravel()
        h, g0, g1 = 1e-4, np.empty(f.dim), np.empty(f.dim)
        f.gradient(w - h * d, f.params, g0)
        f.gradient(w + h * d, f.params, g1)
        curvature, D = float((g1 - g0) @ d) / (2 * h), d.reshape(m, n)
        ratios.append(curvature / np.trace(D.T @ f.left_smoothness @ D))
        spectral.append(np.linalg.norm((g1 - g0).reshape(m, n), "nuc") / (2 * h))
    assert max(ratios) <= 1 + 1e-7 and max(spectral) <= f.spectral_smoothness * (1 + 1e-7)


def test_the_constants_of_a_kronecker_quadratic_are_attained():
    rng = np.random.default_rng(2)
    A, B = psd(rng, 3), psd(rng, 5)
    f = P.kronecker(A, B)
    (a, U), (b, V) = np.linalg.eigh(A), np.linalg.eigh(B)
    X = U[:, ::-1] @ V[:, ::-1][:, :3].T
    assert np.sum(X * (A @ X @ B)) == pytest.approx(f.spectral_smoothness, rel=1e-12)
    for v in np.eye(3):  # the least L: equality in every direction x v_max'
        D = np.outer(v, V[:, -1])
        assert np.sum(D * (A @ D @ B)) == pytest.approx(np.trace(D.T @ f.left_smoothness @ D), rel=1e-12)
    assert f.pl_constant == pytest.approx(a[0] * b[0]) and effective_rank(A) == pytest.approx(a.sum() / a[-1])


@pytest.mark.parametrize("law", ["left_gaussian", "rank_one", "gaussian", "two_point"])
def test_left_covariance_by_moments(law):
    """tr(S^-1 N N') over 20,000 draws of one sample and of a batch: its mean is m, to five standard errors."""
    rng = np.random.default_rng(3)
    m, n, batch = 3, 4, 4
    S = psd(rng, m)
    noise = {
        "left_gaussian": lambda: an.noises.left_gaussian(S, n),
        "rank_one": lambda: an.noises.rank_one(S, rng.random(n)),
        "gaussian": lambda: an.noises.gaussian(np.full(m * n, 0.3)),
        "two_point": lambda: an.noises.two_point(np.full(m * n, 0.3), 0.2),
    }[law]()  # fmt: skip
    assert not an.check(noise)
    f = an.Objective("flat", m * n, flat_value, flat_gradient, shape=(m, n), minimizer=np.zeros(m * n), minimum=0.0)
    run = an.simulate(f, O.sgd(1.0), noise=noise, start=0.0, steps=1, batch_size=batch, replicas=20_000,
                      measures={f"m{i}{k}": entry for (i, k), entry in MOMENTS.items()})  # fmt: skip
    left = run.constants()["left_noise"]
    for (i, k), _ in MOMENTS.items():
        values = run[f"m{i}{k}"][:, -1]
        assert abs(values.mean() - (left @ left)[i, k] / batch) < 5 * values.std() / np.sqrt(values.size) + 1e-12


@an.leaf
def flat_value(w, params):
    return 0.0


@an.leaf
def flat_gradient(w, params, out):
    for j in range(w.size):
        out[j] = 0.0


@an.leaf
def moment00(w, gradient, params, shape):
    total = 0.0
    for j in range(shape[1]):
        total += w[j] * w[j]
    return total


@an.leaf
def moment01(w, gradient, params, shape):
    total = 0.0
    for j in range(shape[1]):
        total += w[j] * w[shape[1] + j]
    return total


MOMENTS = {(0, 0): moment00, (0, 1): moment01}


def test_measures_and_prefixes_and_threads():
    rng = np.random.default_rng(4)
    f = P.kronecker(psd(rng, 3), center=rng.standard_normal((3, 5)))
    start = rng.standard_normal(15)
    measures = {"gradient_nuclear": an.matrices.gradient_nuclear, "distance": an.matrices.spectral_distance}
    run = an.simulate(f, O.sgd(1e-12), noise=an.noises.none(), start=start, steps=2, replicas=2, measures=measures)
    W = start.reshape(3, 5) - f.minimizer.reshape(3, 5)
    assert run.gradient_nuclear[0, 0] == pytest.approx(np.linalg.norm(f.params.left @ W, "nuc"), rel=1e-10)
    assert run.distance[0, 0] == pytest.approx(np.linalg.norm(W, 2), rel=1e-10)
    for method in (O.asgo(0.3), O.muon(0.1, momentum=0.9), O.row_adagrad(0.3)):
        options = {"noise": an.noises.left_gaussian(np.eye(3), 5), "start": start, "steps": 40}
        runs = [an.simulate(f, method, replicas=k, threads=t, **options) for k, t in ((7, 1), (7, 2), (3, 2))]
        assert np.array_equal(runs[0].gap, runs[1].gap) and np.array_equal(runs[0].gap[:3], runs[2].gap)


def test_vectors_keep_working_on_an_objective_with_a_shape():
    """A Kronecker quadratic as a vector is the rotated quadratic: the same path under AdaGrad, the same exact gaps."""
    A, start = np.diag([1.0, 0.25]), np.array([1.0, -1.0, 2.0, 0.5])
    f, g = P.kronecker(A), P.quadratic([1.0, 1.0, 0.25, 0.25])
    options = {"noise": an.noises.gaussian(0.1), "start": start, "steps": 30, "replicas": 4}
    for method in (O.adagrad(0.3), O.sgd(0.5)):
        pair = [an.simulate(h, method, **options).gap for h in (f, g)]
        assert np.abs(pair[0] - pair[1]).max() < 1e-14


# ---- a method of one's own (shown in docs/howto/matrices.md) ---------------------------------------------------------
class Cubic(NamedTuple):
    """The shape, which a simulation enters, and the number of iterations."""

    shape: tuple
    iterations: int


@an.leaf
def cubic_update(w, gradient, state, step_size, t, params):
    """W <- W - step X, with X <- 1.5 X - 0.5 X X' X from G / |G|_F."""
    m, n = params.shape
    X, Y, size = state[0].reshape(m, n), state[1].reshape(m, n), np.sqrt(np.sum(gradient * gradient))
    for j in range(w.size):
        state[0, j] = gradient[j] / size
    for _ in range(params.iterations):
        A = np.zeros((m, m))
        an.matrices.add_gram(X, A)
        an.matrices.multiply(A, X, Y)
        for j in range(w.size):
            state[0, j] = 1.5 * state[0, j] - 0.5 * state[1, j]
    for j in range(w.size):
        w[j] -= step_size[j] * state[0, j]


mine = an.Optimizer("cubic", cubic_update, Cubic((0, 0), 8), step_size=0.1, state={"X": 0.0, "Y": 0.0})
# ---- end of the method -----------------------------------------------------------------------------------------------


def test_a_method_of_ones_own_sees_the_shape():
    assert not an.check(mine)
    rng = np.random.default_rng(5)
    f, start = P.kronecker(psd(rng, 3), center=np.zeros((3, 4))), rng.standard_normal(12)
    options = {"noise": an.noises.none(), "start": start, "steps": 10, "replicas": 2}
    twin = O.muon(0.1, newton_schulz=[(1.5, -0.5, 0.0)] * 8)
    own, ours = (an.simulate(f, method, **options).gap for method in (mine, twin))
    assert np.abs(own - ours).max() < 1e-13


def test_a_left_smoothness_that_is_too_small_is_found():
    f = P.kronecker(np.diag([1.0, 0.5]), center=np.zeros((2, 3)))
    draft = an.Objective("mine", 6, f.value, f.gradient, f.params, shape=(2, 3), left_smoothness=np.diag([1.0, 0.4]))
    assert [finding.rule for finding in an.check(draft)] == ["left_smoothness"]
    sound = an.Objective("mine", 6, f.value, f.gradient, f.params, shape=(2, 3), left_smoothness=np.diag([1.0, 0.5]))
    assert not an.check(sound)


def simulate(f=None, method=None, start=1.0, noise=None):
    f = f or P.kronecker(np.eye(2))
    return an.simulate(f, method or O.asgo(0.1), noise=noise or an.noises.none(), start=start, steps=2, replicas=2)


INDEFINITE = np.array([[1.0, 2.0], [2.0, 1.0]])
BOXED = an.Objective("boxed", 4, flat_value, flat_gradient, shape=(2, 2), box=(-1, 1))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: an.Objective("f", 6, flat_value, flat_gradient, shape=(2, 4)), r"shape = \(2, 4\) has 8 entries, but"),
        (lambda: an.Objective("f", 6, flat_value, flat_gradient, shape=6), r"expected a pair \(m, n\)"),
        (lambda: an.Objective("f", 6, flat_value, flat_gradient, left_smoothness=np.eye(2)), "has no shape; give"),
        (lambda: an.Objective("f", 4, flat_value, flat_gradient, shape=(2, 2), left_smoothness=[1.0, 2.0]),
         "it is no constant per coordinate"),
        (lambda: an.Objective("f", 4, flat_value, flat_gradient, shape=(2, 2), left_smoothness=INDEFINITE),
         "left_smoothness has the eigenvalue -1"),
        (lambda: an.Objective("f", 4, flat_value, flat_gradient, shape=(2, 2), left_smoothness=np.eye(3)),
         r"expected \(2, 2\), one row per row"),
        (lambda: P.kronecker(INDEFINITE), "A has the eigenvalue -1"),
        (lambda: P.kronecker(np.eye(2), INDEFINITE), "B has the eigenvalue -1"),
        (lambda: P.kronecker(np.eye(2), np.eye(3), center=np.zeros((2, 2))), r"center has shape \(2, 2\); expected"),
        (lambda: P.kronecker([[1.0, 2.0], [0.0, 1.0]]), "A is not symmetric"),
        (lambda: P.kronecker(np.ones((2, 3))), r"A has shape \(2, 3\); expected a square matrix"),
        (lambda: an.noises.left_gaussian(INDEFINITE, 2), "left_noise has the eigenvalue -1"),
        (lambda: an.noises.rank_one(np.eye(2), [0.0, 0.0]), "direction is zero"),
        (lambda: O.asgo(0.1, side="both"), "side = 'both'; expected one of"),
        (lambda: O.asgo(0.1, eps=0.0, preset="nonconvex"), "eps = 0; expected a finite number above 0"),
        (lambda: O.asgo(0.1, eps=1.0, preset="nonconvex", ball=1.0), "preset 'nonconvex' takes no ball"),
        (lambda: O.asgo(0.1, ball=-1.0), "radius of the ball = -1"),
        (lambda: O.asgo(0.1, ball=([1.0, 2.0], 1.0)), r"center of the ball has shape \(2,\)"),
        (lambda: O.shampoo(0.1, eps=0.0), "eps = 0; expected a finite number above 0"),
        (lambda: O.muon(0.1, newton_schulz="jordon"), "did you mean 'jordan'"),
        (lambda: O.muon(0.1, newton_schulz=[(1.0, 2.0)]), r"rows \(a, b, c\)"),
        (lambda: O.muon(0.1, momentum=1.0), "momentum = 1; expected a number from 0 to below 1"),
        (lambda: O.muon(0.1, decay=-0.1), "decay = -0.1"),
        (lambda: O.left_sgd(0.1, np.diag([1.0, 0.0])), "expected a positive definite matrix"),
        (lambda: simulate(P.quadratic([1.0, 1.0])), "works on matrices, and the objective has no shape"),
        (lambda: simulate(BOXED), "asgo has a ball of its own"),
        (lambda: simulate(method=O.asgo(0.1, ball=0.5)), "the start lies 2 from the ball's center"),
        (lambda: simulate(method=O.asgo(0.1, ball=(np.zeros((2, 3)), 9.0))), r"the ball's center has shape \(2, 3\)"),
        (lambda: simulate(noise=an.noises.left_gaussian(np.eye(3), 2)), r"left_noise has shape \(3, 3\), and the"),
        (lambda: simulate(P.quadratic(np.ones(4)), O.sgd(0.1), noise=an.noises.left_gaussian(np.eye(2), 2)),
         "noise is made of matrices, and quadratic has no shape"),
        (lambda: simulate(P.kronecker(np.eye(9)), O.full_adagrad(0.1)), "full-matrix AdaGrad keeps a 81 x 81 matrix"),
        (lambda: an.bounds.convex_asgo(left_smoothness=INDEFINITE, left_noise=np.eye(2), D_op=1, T=1, M=1),
         "left_smoothness has the eigenvalue -1"),
        (lambda: an.bounds.convex_asgo(left_smoothness=1.0, left_noise=np.eye(2), D_op=1, T=1, M=1),
         "it is no constant per coordinate"),
    ],
)  # fmt: skip
def test_bad_input_is_answered_with_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
