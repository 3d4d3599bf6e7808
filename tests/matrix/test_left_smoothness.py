"""Is the smallest left smoothness valid and as small as its dual says, and is it the known one where one is known?"""

import numpy as np
import pytest

import anisotropic as an


def psd(rng, m):
    Q = np.linalg.qr(rng.standard_normal((m, m)))[0]
    return (Q * 10 ** (-rng.random(m))) @ Q.T


def softmax_hessian(rng, m, classes, rows=40):
    X, W = rng.standard_normal((rows, m)), rng.standard_normal((m, classes))
    P = np.exp(X @ W)
    P /= P.sum(axis=1, keepdims=True)
    H = sum(np.kron(np.outer(x, x), np.diag(p) - np.outer(p, p)) for x, p in zip(X, P, strict=True)) / rows
    return H, X.T @ X / (2 * rows)


@pytest.mark.parametrize("kind", ["kronecker", "random", "low rank", "softmax"])
@pytest.mark.parametrize("shape", [(1, 3), (3, 2), (4, 5)])
def test_primal_is_dual(kind, shape):
    rng = np.random.default_rng(sum(shape))
    m, n = shape
    if kind == "kronecker":
        A, B = psd(rng, m), psd(rng, n)
        H = np.kron(A, B)
    elif kind == "softmax":
        H, known = softmax_hessian(rng, m, n)
    else:
        X = rng.standard_normal((m * n, m * n if kind == "random" else 2))
        H = X @ X.T
    found = an.smoothness.left(H, shape, tolerance=1e-4)
    wide = np.kron(found.L, np.eye(n))
    assert found.certificate >= 0.0 and np.linalg.eigvalsh(wide - H)[0] >= -1e-10 * np.abs(H).max()
    assert found.dual_value <= np.trace(found.L) <= found.dual_value * (1 + 1e-4)
    if kind == "kronecker":
        assert np.abs(found.L - np.linalg.eigvalsh(B)[-1] * A).max() < 1e-3 * np.abs(A).max()
    if kind == "softmax":
        assert np.trace(found.L) <= np.trace(known) * (1 + 1e-4)


def test_products_with_directions_serve_as_well():
    rng = np.random.default_rng(1)
    A, B = psd(rng, 3), psd(rng, 2)
    found = an.smoothness.left(lambda X: A @ X @ B, (3, 2))
    assert np.trace(found.L) == pytest.approx(np.linalg.eigvalsh(B)[-1] * np.trace(A), rel=1e-5)
    assert np.trace(an.smoothness.left(np.zeros((6, 6)), (3, 2)).L) == 0.0


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: an.smoothness.left(np.eye(5), (2, 3)), r"H has shape \(5, 5\); expected \(6, 6\)"),
        (lambda: an.smoothness.left(np.diag([1.0, -1.0]), (1, 2)), "has the eigenvalue -1: an upper bound"),
        (lambda: an.smoothness.left(np.array([[1.0, 1.0], [0.0, 1.0]]), (1, 2)), "H is not symmetric"),
        (lambda: an.smoothness.left(np.diag([1.0, np.nan]), (1, 2)), "NaN or infinity"),
        (lambda: an.smoothness.left(np.eye(6), 6), r"expected a pair \(m, n\)"),
        (lambda: an.smoothness.left(lambda X: X.T, (2, 3)), r"hvp returns shape \(3, 2\)"),
        (lambda: an.smoothness.left(lambda X: X, (50, 50)), "at most 2048"),
    ],
)
def test_bad_input_is_answered_with_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
