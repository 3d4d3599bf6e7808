"""Random numbers: published known answers, an independent twin, distributions at stated false-alarm rates."""

import numpy as np
import pytest
import twin
from numba import njit
from scipy import stats

from anisotropic.compiled import elementary, random
from anisotropic.simulation import layout

KEY = random.key_words(12345678901234567890)


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [  # Random123 known-answer vectors for philox4x32-10
        ((0, 0, 0, 0), (0, 0), "6627e8d5e169c58dbc57ac4c9b00dbd8"),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, "408f276d41c83b0ea20bc7c66d5451fd"),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            "d16cfe0994fdcceb5001e42024126ea1",
        ),
    ],
)
def test_philox_reproduces_the_published_answers(counter, key, answer):
    u64 = np.uint64
    high, low = random.philox(*(u64(v) for v in counter), *(u64(v) for v in key))
    words = twin.philox([np.array([v]) for v in counter], key)
    assert [int(high) >> 32, int(high) % 2**32, int(low) >> 32, int(low) % 2**32] == [int(w[0]) for w in words]
    assert f"{int(high):016x}{int(low):016x}".startswith(answer)


def block(key, replica, group, dim, tile, groups):
    z = np.empty((4, dim * tile * groups))
    random.fill_normals(*key, replica, group, *layout.lanes_of_normals(dim, tile, groups), *z)
    return z


def test_normals_equal_the_twin_with_library_functions():
    dim, tile, groups, replica, group = 7, 3, 2, 5, 11
    z = block(KEY, replica, group, dim, tile, groups).reshape(4, groups, tile, dim)
    for q in range(groups):
        for place in range(4):
            step = 4 * (group + q) + place + 1
            expected = twin.normals(12345678901234567890, replica + tile, step, dim)[replica:]
            np.testing.assert_allclose(z[place, q], expected, atol=2e-7, rtol=0)


def test_normals_are_normal():
    """Kolmogorov-Smirnov on 400,000 values and chi-square on 100 bins; false-alarm rate 1e-3 each, seed fixed."""
    z = np.concatenate([block(KEY, r, 0, 100, 1, 10).ravel() for r in range(100)])
    assert stats.kstest(z, "norm").pvalue > 1e-3
    counts = np.histogram(stats.norm.cdf(z), bins=100, range=(0, 1))[0]
    assert stats.chisquare(counts).pvalue > 1e-3


def test_neighbours_are_uncorrelated():
    """Steps, coordinates, replicas, and their squares: 12 correlations, each below 4.5 standard errors (rate 1e-4)."""
    n = 200_000
    a, b = block(KEY, 0, 0, n, 1, 1), block(KEY, 1, 0, n, 1, 1)
    pairs = [(a[i], a[j]) for i in range(4) for j in range(i)] + [(a[0][1:], a[0][:-1]), (a[0], b[0])]
    pairs += [(x**2, y**2) for x, y in pairs[:4]]
    for x, y in pairs:
        assert abs(np.corrcoef(x, y)[0, 1]) < 4.5 / np.sqrt(n)


@njit
def binomials(n, p, size, first):
    out = np.empty(size)
    for i in range(size):
        out[i] = random.binomial(n, p, random.Stream(np.uint64(1), np.uint64(2), 3, i), 0, first)
    return out


@pytest.mark.parametrize(("n", "p"), [(1, 0.5), (5, 0.3), (40, 0.5), (60, 0.9), (1000, 0.02), (1000, 0.5)])
def test_binomial_law(n, p):
    """Chi-square of 100,000 draws against the exact probabilities; false-alarm rate 1e-4 each."""
    x = binomials(n, p, 100_000, 0)
    low, high = stats.binom.ppf([1e-3, 1 - 1e-3], n, p)
    edges = np.unique(np.linspace(low, high, 30).astype(int))
    cut = np.concatenate([[-1], edges, [n]])
    expected = np.diff(stats.binom.cdf(np.unique(cut), n, p)) * x.size
    observed = np.histogram(x, bins=np.unique(cut) + 0.5)[0]
    keep = expected > 5
    assert observed[~keep].sum() <= expected[~keep].sum() + 30
    rest = (observed[~keep].sum() + 1e-9, expected[~keep].sum() + 1e-9)
    o, e = np.append(observed[keep], rest[0]), np.append(expected[keep], rest[1])
    assert stats.chisquare(o, e * o.sum() / e.sum()).pvalue > 1e-4


@pytest.mark.parametrize(("n", "p"), [(10**6, 0.01), (10**9, 0.3), (10**12, 0.5)])
def test_large_binomials_have_the_right_moments(n, p):
    """Mean and variance of 50,000 draws within 4.5 standard errors."""
    x = (binomials(n, p, 50_000, 0) - n * p) / np.sqrt(n * p * (1 - p))
    assert abs(x.mean()) < 4.5 / np.sqrt(x.size)
    assert abs(x.var() - 1) < 4.5 * np.sqrt(2 / x.size)


def test_two_binomials_of_one_step_are_independent():
    x, y = binomials(40, 0.5, 100_000, 0), binomials(40, 0.5, 100_000, 1 << 20)
    assert abs(np.corrcoef(x, y)[0, 1]) < 4.5 / np.sqrt(x.size)


@njit
def chi_squares(df, size):
    return np.array([random.chi_square(df, random.Stream(np.uint64(1), np.uint64(2), 3, i), 0) for i in range(size)])


@njit
def student(df, size):
    return np.array([random.student_t(df, random.Stream(np.uint64(1), np.uint64(2), 3, i), 0, 0) for i in range(size)])


@pytest.mark.parametrize("df", [1.0, 2.0, 5.0, 1e4, 1e9])
def test_chi_square_law(df):
    """Kolmogorov-Smirnov on 20,000 draws, false-alarm rate 1e-4."""
    x = chi_squares(df, 20_000)
    law = stats.norm(df, np.sqrt(2 * df)) if df > 1e6 else stats.chi2(df)
    assert stats.kstest(x, law.cdf).pvalue > 1e-4


@pytest.mark.parametrize("df", [2.5, 4.0, 30.0])
def test_student_t_law(df):
    assert stats.kstest(student(df, 20_000), stats.t(df).cdf).pvalue > 1e-4


@njit
def row_table(total, batch, replace, size):
    rows, order, table = np.empty(batch, np.int64), np.arange(total), np.zeros((size, batch), np.int64)
    for i in range(size):
        random.draw_rows(rows, order, total, batch, replace, random.Stream(np.uint64(1), np.uint64(2), 3, i))
        table[i] = rows
    return table


@pytest.mark.parametrize("replace", [True, False])
def test_rows_are_uniform(replace):
    """Chi-square of 40,000 row numbers over 20 rows, and pairs; false-alarm rate 1e-4."""
    table = row_table(20, 4, replace, 10_000)
    assert stats.chisquare(np.bincount(table.ravel(), minlength=20)).pvalue > 1e-4
    pairs = np.bincount(table[:, 0] * 20 + table[:, 3], minlength=400).reshape(20, 20)
    if replace:
        assert stats.chisquare(pairs.ravel()).pvalue > 1e-4
    else:
        assert all(len(set(row)) == 4 for row in table) and not np.trace(pairs)
        assert stats.chisquare(pairs[~np.eye(20, dtype=bool)]).pvalue > 1e-4


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, True])
def test_seed_out_of_range_is_a_sentence(seed):
    with pytest.raises(ValueError, match="expected a whole number from 0"):
        random.key_words(seed)


mpmath = pytest.importorskip("mpmath")


@pytest.mark.parametrize(
    ("function", "reference", "low", "high", "ulps"),
    [
        (elementary.exp, mpmath.exp, -700, 709, 3),
        (elementary.exp, mpmath.exp, -1, 1, 3),
        (elementary.log1p_unit, mpmath.log1p, 0, 1, 4),
        (elementary.sin, mpmath.sin, -2, 2, 3),
        (elementary.log1p_exp, lambda x: mpmath.log1p(mpmath.exp(x)), -40, 40, 6),
        (elementary.sigmoid, lambda x: 1 / (1 + mpmath.exp(-x)), -40, 40, 6),
    ],
)
def test_elementary_functions_in_ulps(function, reference, low, high, ulps):
    x = np.random.default_rng(0).uniform(low, high, 2000)
    exact = np.array([float(reference(mpmath.mpf(v))) for v in x])
    error = np.abs(np.array([function(v) for v in x]) - exact) / np.spacing(np.abs(exact))
    assert error.max() <= ulps


def test_exp_at_the_edges():
    got = [elementary.exp(v) for v in (710.0, -709.0, 0.0, -np.inf, np.inf)]
    assert got == [np.inf, 0.0, 1.0, 0.0, np.inf] and np.isnan(elementary.exp(np.nan))


def test_sin_far_out():
    x = np.random.default_rng(0).uniform(-1e5, 1e5, 2000)
    exact = np.array([float(mpmath.sin(mpmath.mpf(v))) for v in x])
    assert np.abs(np.array([elementary.sin(v) for v in x]) - exact).max() < 3e-16
