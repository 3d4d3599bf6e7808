"""Diagonals from products only: exactness, unbiasedness, variance."""

import numpy as np
import pytest

from anisotropic.geometry import exact_entries, hutchinson_diagonal, xdiag


def symmetric(n, seed):
    H = np.random.default_rng(seed).standard_normal((n, n))
    return H + H.T


def test_exact_entries_in_any_order():
    H = symmetric(20, 0)
    assert exact_entries(lambda v: H @ v, 20) == pytest.approx(np.diag(H))
    assert exact_entries(lambda v: H @ v, 20, [7, 3, 7]) == pytest.approx(np.diag(H)[[7, 3, 7]])


def test_hutchinson_variance_and_standard_error():
    """Mean over entries of the empirical variance of 200 estimates, and of the reported one, within 5 % of theory."""
    n, m, H = 200, 16, symmetric(200, 1)
    theory = (np.sum(H**2, axis=1) - np.diag(H) ** 2) / m
    found = [hutchinson_diagonal(lambda v: H @ v, n, m, seed=s) for s in range(200)]
    error = np.array([f.estimate for f in found]) - np.diag(H)
    assert 0.95 < np.mean(error**2 / theory) < 1.05
    assert 0.95 < np.mean([f.standard_error**2 / theory for f in found]) < 1.05


def test_xdiag_is_unbiased():
    """30 entries, 2,000 estimates each: the largest |z| stays below 4.2 (false alarms 0.1 %)."""
    H = symmetric(30, 2)
    found = np.array([xdiag(lambda v: H @ v, 30, 8, seed=s).estimate for s in range(2000)])
    z = (found.mean(axis=0) - np.diag(H)) / (found.std(axis=0) / np.sqrt(2000))
    assert np.abs(z).max() < 4.2


def test_xdiag_wins_where_the_spectrum_decays():
    n = 200
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((n, n)))[0]
    H = (Q * np.exp(-np.arange(n) / 5)) @ Q.T
    x, h = xdiag(lambda v: H @ v, n, 64), hutchinson_diagonal(lambda v: H @ v, n, 64)
    error = [np.linalg.norm(e.estimate - np.diag(H)) for e in (x, h)]
    assert error[0] < 0.05 * error[1]
    assert 0.3 < np.linalg.norm(x.standard_error) / error[0] < 3


def test_xdiag_is_exact_when_the_sketch_holds_everything():
    U = np.random.default_rng(3).standard_normal((50, 3))
    found = xdiag(lambda v: U @ (U.T @ v), 50, 12)
    assert found.estimate == pytest.approx(np.sum(U**2, axis=1)) and not found.standard_error.any()
    H = symmetric(4, 4)
    assert xdiag(lambda v: H @ v, 4, 20).estimate == pytest.approx(np.diag(H))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hutchinson_diagonal(lambda v: v, 3, 1), "probes = 1"),
        (lambda: hutchinson_diagonal(lambda v: v[:2], 3, 4), r"hvp returned shape \(2,\) for a vector of shape \(3,\)"),
        (lambda: hutchinson_diagonal(lambda v: v * np.nan, 3, 4), "3 entries that are not finite"),
        (lambda: exact_entries(lambda v: v.astype(np.float16), 3), "hvp returned float16; expected float64"),
        (lambda: exact_entries(lambda v: v, 3, [3]), "index runs from 3 to 3; expected 0 to 2"),
        (lambda: xdiag(lambda v: v, 9, 7), "probes = 7; expected an even number"),
    ],
)
def test_bad_products(call, message):
    with pytest.raises(ValueError, match=message):
        call()
