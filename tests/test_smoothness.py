"""Are the diagonals valid in all directions, and is the optimal one as small as it can be?"""


import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from rounding import EPS, sums_apart
from scipy import linalg, sparse

from anisotropic import smoothness

#: The gap at which `optimal_diagonal` stops by default. Random programs of up to 12 coordinates end at 2e-8 or closer,
#: on every BLAS kernel tried.
GAP = 1e-6


def random_psd(seed, d, rank=None, scale=None):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((rank or 2 * d, d)) * (np.ones(d) if scale is None else scale)
    return X.T @ X / len(X)


def smallest_slack(L, A):
    """Smallest eigenvalue of I - L^(-1/2) A L^(-1/2), by SciPy's symmetric-definite pencil."""
    return 1.0 - linalg.eigh(A, np.diag(L), eigvals_only=True)[-1]


def sdp_value(A, c):
    """The primal program by an interior-point solver: cvxpy with CLARABEL, an independent twin."""
    import cvxpy as cp

    L = cp.Variable(len(A))
    problem = cp.Problem(cp.Minimize(c @ L), [cp.diag(L) - A >> 0])
    problem.solve(solver=cp.CLARABEL)
    return float(problem.value)


@given(seed=st.integers(0, 10**6), d=st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_gershgorin_is_valid_in_both_directions(seed, d):
    A = np.random.default_rng(seed).standard_normal((d, d))
    A = A + A.T
    L = smoothness.gershgorin(A)
    np.testing.assert_allclose(L, [sum(abs(v) for v in row) for row in A])
    assert np.linalg.eigvalsh(np.diag(L) - A)[0] >= -1e-12 * L.max()
    assert np.linalg.eigvalsh(np.diag(L) + A)[0] >= -1e-12 * L.max()
    assert smoothness.is_valid(L, A)


def test_the_diagonal_alone_is_valid_only_for_a_diagonal_matrix():
    assert smoothness.is_valid([1.0, 0.0], np.diag([1.0, 0.0]))
    assert not smoothness.is_valid([1.0, 0.0], [[1.0, 1e-8], [1e-8, 1e-16]])
    assert not smoothness.is_valid(np.ones(2), [[1.0, 0.1], [0.1, 1.0]])
    assert smoothness.is_valid(0.0, np.zeros((3, 3)))
    assert not smoothness.is_valid([1.0, 1.0], -2.0 * np.eye(2))  # two-sided
    assert smoothness.is_valid([2.0, 2.0], -2.0 * np.eye(2))


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_row_sums_of_data(container):
    rng = np.random.default_rng(3)
    X = rng.standard_normal((40, 7)) * (rng.random((40, 7)) < 0.6)
    gram = X.T @ X / (4 * 40)
    from_rows, from_data = smoothness.row_gershgorin(container(X)), smoothness.data_gershgorin(container(X))
    expected = [0.25 * np.mean([abs(x[j]) * np.abs(x).sum() for x in X]) for j in range(7)]
    np.testing.assert_allclose(from_rows, expected, rtol=47 * EPS)  # sums of 40 and of 7 positive numbers
    off = sums_apart(np.abs(X)[:, :, None] * np.abs(X)[:, None, :]).sum(axis=0) / 160 + 7 * EPS * from_data
    assert (np.abs(from_data - np.abs(gram).sum(axis=1)) <= off).all()
    assert np.all(from_data < from_rows)
    positive = np.abs(X)
    from_positive = smoothness.data_gershgorin(container(positive))
    np.testing.assert_allclose(from_positive, smoothness.gershgorin(positive.T @ positive / 160), rtol=47 * EPS)
    np.testing.assert_allclose(smoothness.row_gershgorin(container(X), curvature=1.0), 4 * from_rows, rtol=47 * EPS)


def test_data_wider_than_one_block_of_columns():
    X = sparse.random_array((30, 1203), density=0.02, rng=5, data_sampler=np.random.default_rng(5).standard_normal)
    np.testing.assert_allclose(
        smoothness.data_gershgorin(X.tocsr()), smoothness.gershgorin(X.T @ X) / 120, rtol=1e-12, atol=1e-18
    )


@given(seed=st.integers(0, 10**6), d=st.integers(1, 12), rank=st.integers(1, 12), spread=st.floats(0, 6))
@settings(max_examples=40, deadline=None)
def test_optimal_diagonal_closes_the_gap(seed, d, rank, spread):
    scale = 10.0 ** -(spread * np.random.default_rng(seed).random(d))
    A = random_psd(seed, d, rank, scale)
    c = 1.0 / scale
    L, certificate, dual = smoothness.optimal_diagonal(A, weights=c)
    assert dual <= c @ L * (1 + 1e-12)
    assert c @ L <= dual * (1 + GAP)
    assert certificate >= 0.0
    assert smallest_slack(L, A) >= -1e-12
    assert dual <= c @ smoothness.gershgorin(A) * (1 + 1e-12)
    assert dual <= (c.sum() * np.linalg.eigvalsh(A)[-1]) * (1 + 1e-12)
    assert np.all(np.diag(A) * (1 - 1e-12) <= L)


@pytest.mark.parametrize("seed", range(3))
def test_optimal_diagonal_equals_an_interior_point_solver(seed):
    A = random_psd(seed, 8)
    c = np.random.default_rng(seed).uniform(0.2, 2.0, 8)
    result = smoothness.optimal_diagonal(A, c)
    value = sdp_value(A, c)
    # Their value, to their own accuracy (1e-8 in each residual), lies between our two ends, which are close.
    assert result.dual_value * (1 - 1e-6) <= value <= c @ result.L * (1 + 1e-6)
    assert c @ result.L <= result.dual_value * (1 + GAP)


@given(seed=st.integers(0, 10**6), d=st.integers(1, 10))
@settings(max_examples=30, deadline=None)
def test_gershgorin_is_optimal_where_signs_can_be_flipped(seed, d):
    rng = np.random.default_rng(seed)
    A = np.abs(random_psd(seed, d))
    A += (0.1 - min(0.0, np.linalg.eigvalsh(A)[0])) * np.eye(d)
    signs = rng.choice([-1.0, 1.0], d)
    A = signs[:, None] * A * signs
    c = rng.uniform(0.1, 3.0, d)
    result = smoothness.optimal_diagonal(A, c)
    assert c @ result.L == pytest.approx(np.sum(np.abs(A) * np.sqrt(np.outer(c, c))), rel=1e-12)
    assert result.dual_value == pytest.approx(c @ result.L, rel=1e-12)
    if d <= 4:
        best = max(u @ A @ u for u in (np.sqrt(c) * s for s in np.array(np.meshgrid(*[[-1, 1]] * d)).reshape(d, -1).T))
        assert result.dual_value == pytest.approx(best, rel=1e-12)  # attained by a vector of signs


def test_the_dual_lies_between_the_best_signs_and_pi_halves_of_them():
    # max over sign vectors <= program <= (pi/2) max (Nesterov 1998).
    for seed in range(20):
        A = random_psd(seed, 9, rank=4)
        signs = np.array(np.meshgrid(*[[-1, 1]] * 9)).reshape(9, -1).T
        best = np.einsum("ij,jk,ik->i", signs, A, signs).max()
        result = smoothness.optimal_diagonal(A)
        assert best <= result.L.sum() * (1 + 1e-12) and result.L.sum() <= result.dual_value * (1 + GAP)
        assert result.dual_value <= np.pi / 2 * best


def test_sparse_equals_dense_and_zero_rows_stay_zero():
    S = sparse.random_array((60, 40), density=0.08, rng=1, data_sampler=np.random.default_rng(1).standard_normal)
    S = S @ sparse.diags_array(np.arange(40) % 5 > 0, dtype=float)
    A = (S.T @ S).tocsr()
    assert (A.diagonal() == 0).sum() == 8
    from_sparse, from_dense = smoothness.optimal_diagonal(A), smoothness.optimal_diagonal(A.toarray())
    for one, other in ((from_sparse, from_dense), (from_dense, from_sparse)):  # the optimum is between the ends
        assert one.dual_value <= other.L.sum() * (1 + 1e-12) and one.L.sum() <= one.dual_value * (1 + GAP)
    np.testing.assert_array_equal(from_sparse.L[A.diagonal() == 0], 0.0)
    assert smoothness.is_valid(from_sparse.L, A)
    assert not smoothness.is_valid(from_sparse.L * (1 - 1e-5), A)
    zero = smoothness.optimal_diagonal(np.zeros((2, 2)))
    assert zero.L.tolist() == [0.0, 0.0]
    assert zero.dual_value == 0.0


def test_large_sparse_matrices_are_never_made_dense(monkeypatch):
    monkeypatch.setattr(smoothness, "DENSE_LIMIT", 10)
    S = sparse.random_array((50, 60), density=0.1, rng=2, data_sampler=np.random.default_rng(2).standard_normal)
    A = (S.T @ S).tocsr()
    dense = A.toarray()
    monkeypatch.setattr(smoothness, "_dense", lambda _: pytest.fail("made dense"))
    result = smoothness.optimal_diagonal(A)
    assert result.L.sum() <= result.dual_value * (1 + GAP)
    active = result.L > 0
    assert smallest_slack(result.L[active], dense[np.ix_(active, active)]) >= -1e-12
    assert smoothness.is_valid(result.L, A)
    assert not smoothness.is_valid(result.L * (1 - 1e-5), A)  # then below the dual value, beyond every tolerance
    with pytest.raises(ValueError, match="not positive semidefinite"):
        smoothness.optimal_diagonal(A - 0.1 * sparse.eye_array(60))


def test_rotation_spoils_the_diagonal():
    # h = j^-2, d = 50: no rotation gives the trace; a random one costs many times the trace, at least trace and at most
    # d times the largest eigenvalue (which is 1 here).
    h = np.arange(1.0, 51) ** -2
    plain = smoothness.optimal_diagonal(np.diag(h))
    np.testing.assert_allclose(plain.L, h)
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((50, 50)))[0]
    rotated = smoothness.optimal_diagonal((Q * h) @ Q.T)
    assert 10 * h.sum() < rotated.dual_value < 50


def test_a_thousand_coordinates():
    A = random_psd(0, 1000, rank=40)
    result = smoothness.optimal_diagonal(A, tolerance=1e-4)
    assert result.L.sum() <= result.dual_value * (1 + 1e-4)
    assert result.certificate >= 0.0
    assert smoothness.is_valid(result.L, A)


@pytest.mark.parametrize("function", [smoothness.gershgorin, smoothness.optimal_diagonal])
@pytest.mark.parametrize(
    ("A", "message"),
    [
        (np.ones((2, 3)), r"A has shape \(2, 3\); expected a square matrix"),
        ([[1.0, 2.0], [0.0, 1.0]], "A is not symmetric: A and its transpose differ by 2"),
        ([[1.0, np.nan], [np.nan, 1.0]], "A contains NaN or infinity"),
    ],
)
def test_matrices_that_are_refused(function, A, message):
    with pytest.raises(ValueError, match=message):
        function(A)


def test_optimal_diagonal_refuses_what_it_cannot_certify():
    with pytest.raises(ValueError, match="not positive semidefinite.*use gershgorin"):
        smoothness.optimal_diagonal([[1.0, 2.0], [2.0, 1.0]])
    with pytest.raises(ValueError, match="not positive semidefinite"):
        smoothness.optimal_diagonal([[0.0, 1.0], [1.0, 0.0]])
    with pytest.raises(ValueError, match=r"weights\[1\] = 0; expected .*numbers above 0"):
        smoothness.optimal_diagonal(np.eye(2), weights=[1.0, 0.0])
    with pytest.raises(ValueError, match=r"X has shape \(3,\); expected rows and columns"):
        smoothness.row_gershgorin(np.ones(3))
