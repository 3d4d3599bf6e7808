"""Is logistic regression what its formula says, is its minimum certified, and are its constants valid?"""

import os

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from rounding import EPS, sums_apart
from scipy import optimize, sparse, special

from anisotropic import datasets, smoothness
from anisotropic.problems import logistic_minimum, quadratic
from anisotropic.problems.logistic import DenseRows, SparseRows, logistic_regression, noise_level

PROMISED = 1e-12  # `minimum` is certified to this
ULPS = 6  # of the softplus and of the sigmoid, see test_random

HOME = os.environ.get(datasets.HOME_VARIABLE)
needs_data = pytest.mark.skipif(HOME is None, reason=f"{datasets.HOME_VARIABLE} names no folder of LIBSVM files")


def problem(seed, n=60, d=7, density=1.0, ones=False):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) if not ones else np.full((n, d), 0.5)
    X = X * (rng.random((n, d)) < density)
    y = np.where(X @ rng.standard_normal(d) + rng.standard_normal(n) > X.mean(), 1.0, -1.0)
    return X, y


LAYOUTS = {
    "dense": (problem(0), np.asarray, DenseRows, None),
    "full CSR": (problem(0), sparse.csr_matrix, DenseRows, None),
    "sparse": (problem(1, d=40, density=0.1), sparse.csr_array, SparseRows, False),
    "sparse array": (problem(1, d=40, density=0.1), np.asarray, SparseRows, False),
    "sparse COO": (problem(1, d=40, density=0.1), sparse.coo_array, SparseRows, False),
    "equal entries": (problem(2, d=40, density=0.1, ones=True), sparse.csr_array, SparseRows, True),
}


def value_and_gradient(X, y, l2, w):
    """The definition, in extended precision."""
    z = (y[:, None] * np.asarray(X)).astype(np.longdouble)
    w = np.asarray(w, dtype=np.longdouble)
    margins = z @ w
    p = 1 / (1 + np.exp(margins))
    return np.mean(np.logaddexp(0, -margins)) + l2 * (w @ w) / 2, l2 * w - z.T @ p / len(y)


def rounding(X, y, l2, w):
    """How far value and gradient in float64 may be off, sums in any order.

    A margin z_i . w is off by d EPS |z_i| . |w|; slope and curvature of the loss, at most p and p (1 - p), pass it on.
    The elementary functions add ULPS, the sums over n rows n, and the ridge d roundings.
    """
    z, size = np.abs(X), np.abs(w)
    n, d = z.shape
    p = special.expit(-y * (X @ w))
    loss = np.logaddexp(0, -y * (X @ w)).mean()
    margin = d * (z @ size)
    value = np.mean(p * margin) + (n + ULPS) * loss + d * l2 * (w @ w)
    gradient = z.T @ (p * (1 - p) * margin + (n + ULPS) * p) / n + 2 * l2 * size
    return EPS * value, EPS * gradient


def box_gap(gradient, w, lo, hi):
    """At least f(w) - min f over the box, by convexity."""
    return float(np.sum(np.maximum(gradient * (w - lo), gradient * (w - hi))))


@pytest.fixture(scope="module", params=LAYOUTS)
def layout(request):
    (X, y), container, kind, equal = LAYOUTS[request.param]
    f = logistic_regression(container(X), y, l2=0.03)
    assert isinstance(f.params, kind)
    assert equal in (None, getattr(f.params, "equal", None))
    return X, y, f


def test_value_and_gradients_are_the_formula(layout):
    X, y, f = layout
    rng = np.random.default_rng(5)
    out = np.empty(f.dim)
    for size in (0.0, 1.0, 300.0):
        w = size * rng.standard_normal(f.dim)
        value, gradient = value_and_gradient(X, y, 0.03, w)
        off, each_off = rounding(X, y, 0.03, w)
        assert abs(f.value(w, f.params) - float(value)) <= off
        f.gradient(w, f.params, out)
        assert (np.abs(out - gradient.astype(float)) <= each_off).all()
        for rows in (np.array([3]), np.array([0, 5, 5, 59]), np.arange(60)):
            f.sample_gradient(w, f.params, rows, out)
            _, part = value_and_gradient(X[rows], y[rows], 0.03, w)
            assert (np.abs(out - part.astype(float)) <= rounding(X[rows], y[rows], 0.03, w)[1]).all()


def test_smoothness_is_gershgorins_and_valid_everywhere(layout):
    X, y, f = layout
    bound = X.T @ X / (4 * len(y)) + 0.03 * np.eye(f.dim)
    expected, n = np.abs(X.T @ X).sum(axis=1) / (4 * len(y)) + 0.03, len(y)
    off = (n + f.dim) * EPS * (np.abs(X).T @ np.abs(X)).sum(axis=1) / (4 * n) + 4 * EPS * expected
    assert (np.abs(f.smoothness - expected) <= off).all()
    assert smoothness.is_valid(f.smoothness, bound)
    for scale in (0.1, 3.0):
        p = special.expit(X @ (scale * np.random.default_rng(0).standard_normal(f.dim)))
        assert smoothness.is_valid(f.smoothness, (X.T * (p * (1 - p) / len(y))) @ X + 0.03 * np.eye(f.dim))


def test_facts_of_the_record(layout):
    X, y, f = layout
    assert f.name == "logistic regression"
    assert f.samples == 60
    assert f.properties == {"convex", "finite sum", "interior minimizer"}
    assert f.pl_constant == 0.03
    assert f.gradient_bound is None
    assert f.value(np.zeros(f.dim), f.params) == pytest.approx(np.log(2), rel=(60 + ULPS) * EPS)
    # Strong convexity: f(w) - f* <= |grad|^2 / (2 l2), in extended precision.
    value, gradient = value_and_gradient(X, y, 0.03, f.minimizer)
    assert float(gradient @ gradient) / 0.06 <= PROMISED
    assert abs(float(value) - f.minimum) <= rounding(X, y, 0.03, f.minimizer)[0]


def test_noise_level_is_the_spread_of_row_gradients(layout):
    X, y, f = layout
    w = np.random.default_rng(6).standard_normal(f.dim)
    rows = [value_and_gradient(X[i : i + 1], y[i : i + 1], 0.03, w)[1].astype(float) for i in range(60)]
    off = sums_apart(rows) / 60 + np.max([rounding(X[[i]], y[[i]], 0.03, w)[1] for i in range(60)], axis=0)
    # An error of e in every row, its mean included, moves a standard deviation by at most 2 e.
    assert (np.abs(noise_level(f, w) - np.std(rows, axis=0)) <= 2 * off).all()
    assert noise_level(f, 0.0).shape == (f.dim,)


def test_noise_level_needs_rows():
    with pytest.raises(ValueError, match="quadratic is not a finite sum"):
        noise_level(quadratic([1.0, 2.0]), 0.0)
    f = logistic_regression(np.eye(2), [1, -1], l2=1.0)
    with pytest.raises(ValueError, match=r"at has shape \(3,\); expected a number or shape \(2,\)"):
        noise_level(f, np.zeros(3))


@pytest.mark.parametrize("name", ["breast_cancer", "digits"])
@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_minimum_agrees_with_scikit_learn(name, scale):
    from sklearn.linear_model import LogisticRegression

    X, y = datasets.load(name)
    l2 = scale / len(y)
    f = logistic_regression(X, y, l2=l2)
    model = LogisticRegression(C=1 / scale, fit_intercept=False, solver="newton-cholesky", tol=1e-10, max_iter=1000)
    theirs = model.fit(X.toarray(), y).coef_[0]
    value, gradient = value_and_gradient(X.toarray(), y, l2, theirs)
    # By strong convexity theirs is |grad| / l2 at most from the minimizer, ours the root of 2 gap / l2, and their point
    # is above the minimum by at most its own certificate.
    length = float(np.sqrt(gradient @ gradient))
    assert np.linalg.norm(f.minimizer - theirs) <= length / l2 + np.sqrt(2 * PROMISED / l2)
    assert length / l2 < 1e-3 * np.linalg.norm(theirs), "or nothing was compared"
    assert -PROMISED <= float(value) - f.minimum <= length**2 / (2 * l2) + PROMISED


@pytest.mark.parametrize("l2", [0.0, 0.01])
@pytest.mark.parametrize("width", [0.05, 0.5, 20.0])
def test_minimum_over_a_box_agrees_with_scipy(l2, width):
    X, y = problem(3, n=80, d=9)
    lo, hi = np.linspace(-1, 0.1, 9) * width, np.linspace(0.2, 1, 9) * width
    f = logistic_regression(X, y, l2=l2, box=(lo, hi))
    w = f.minimizer
    assert np.all((w >= lo) & (w <= hi))
    value, gradient = value_and_gradient(X, y, l2, w)
    assert box_gap(gradient, w, lo, hi) <= PROMISED
    assert abs(float(value) - f.minimum) <= rounding(X, y, l2, w)[0]

    def loss(v):
        value, gradient = value_and_gradient(X, y, l2, v)
        return float(value), gradient.astype(float)

    options = {"ftol": 1e-15, "gtol": 1e-10, "maxiter": 10_000}
    theirs = optimize.minimize(loss, (lo + hi) / 2, jac=True, bounds=optimize.Bounds(lo, hi), options=options)
    reached = box_gap(loss(theirs.x)[1], theirs.x, lo, hi)  # how far their solver came, by its own certificate
    assert reached < 1e-4 and -PROMISED <= theirs.fun - f.minimum <= reached + PROMISED
    assert ("interior minimizer" in f.properties) == bool(np.all((w > lo) & (w < hi)))


def test_one_feature_has_the_log_odds():
    f = logistic_regression(np.full((10, 1), 2.0), [1] * 9 + [-1])
    # A gap below 1e-13 at f'' = 0.36 is a distance below 8e-7; the Newton step after it squares that, times about 1.
    assert f.minimizer[0] == pytest.approx(np.log(9) / 2, rel=1e-12)
    assert f.minimum == pytest.approx(-(0.9 * np.log(0.9) + 0.1 * np.log(0.1)), abs=PROMISED)
    assert f.pl_constant is None
    clipped = logistic_regression(np.full((10, 1), 2.0), [1] * 9 + [-1], box=(-1.0, 0.5))
    assert clipped.minimizer[0] == 0.5
    assert clipped.minimum == pytest.approx(0.9 * np.log1p(np.exp(-1)) + 0.1 * np.log1p(np.exp(1)), rel=16 * EPS)
    assert clipped.properties == {"convex", "finite sum"}


def test_without_regularization_a_minimizer_is_proved_even_at_deficient_rank():
    X, y = problem(4, n=200, d=5)
    f = logistic_regression(X, y)
    theirs = optimize.minimize(lambda w: float(value_and_gradient(X, y, 0.0, w)[0]), np.zeros(5), tol=1e-12)
    _, gradient = value_and_gradient(X, y, 0.0, theirs.x)
    p = special.expit(X @ f.minimizer)
    flattest = np.linalg.eigvalsh((X.T * (p * (1 - p) / 200)) @ X)[0]
    # Their gap is |grad|^2 / (2 curvature) with the curvature between the two points, at least half of the one here.
    reached = float(gradient @ gradient) / flattest
    assert reached < 1e-6 and -PROMISED <= theirs.fun - f.minimum <= reached + PROMISED
    twice = np.hstack([X, X[:, :2], np.zeros((200, 1))])
    doubled = logistic_regression(twice, y)
    assert doubled.minimum == pytest.approx(f.minimum, abs=PROMISED)
    _, gradient = value_and_gradient(twice, y, 0.0, doubled.minimizer)
    steepest = np.linalg.eigvalsh(twice.T @ twice / 800)[-1]
    assert float(gradient @ gradient) <= 2 * steepest * PROMISED
    assert logistic_regression(np.zeros((3, 2)), [1, -1, 1]).minimum == pytest.approx(np.log(2), rel=4 * EPS)


def test_separable_data_have_no_minimizer_and_say_so():
    X = np.array([[1.0, 0.2], [2.0, -1.0], [-1.0, 0.3], [-0.5, -0.1]])
    f = logistic_regression(X, [1, 1, -1, -1])
    assert f.name == "logistic regression (separable data: infimum 0, no minimizer)"
    assert f.minimizer is None
    assert f.minimum == 0.0
    assert "interior minimizer" not in f.properties
    with_box = logistic_regression(X, [1, 1, -1, -1], box=(-3, 3))
    assert with_box.minimum > 0.0
    assert with_box.minimizer is not None


def test_partly_separable_data_have_the_infimum_of_the_rest():
    # Two rows own a feature that no other row has, and are of one class: that feature runs to infinity. The others are
    # a coin with 3 heads in 4, whose infimum is its entropy.
    X = np.array([[1.0, 0.0]] * 8 + [[1.0, 1.0]] * 2)
    f = logistic_regression(X, [1] * 6 + [-1] * 2 + [-1] * 2)
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert f.name == "logistic regression (partly separable data: no minimizer)"
    assert f.minimizer is None
    assert f.minimum == pytest.approx(0.8 * entropy, abs=PROMISED)
    far = np.array([np.log(3.0), -40.0])
    assert f.value(far, f.params) == pytest.approx(f.minimum, abs=PROMISED)


@given(seed=st.integers(0, 10**6), size=st.floats(0.01, 1.5))
@settings(max_examples=40, deadline=None)
def test_the_self_concordant_certificate_is_an_upper_bound(seed, size):
    X, y = problem(seed, n=100, d=3)
    rows = y[:, None] * X
    solution = logistic_minimum.minimize(rows, 0.0, None)
    if solution.minimizer is None:
        assert solution.note
        return
    w = solution.minimizer + size * np.random.default_rng(seed).standard_normal(3)
    gap = float(value_and_gradient(X, y, 0.0, w)[0] - value_and_gradient(X, y, 0.0, solution.minimizer)[0])
    claimed = logistic_minimum._self_concordant_gap(rows, np.eye(3), logistic_minimum._point(rows, 0.0, w))
    assert gap <= claimed * (1 + 1e-9)


def test_what_cannot_be_certified_is_none_with_a_reason(monkeypatch):
    X, y = problem(4, n=200, d=5)
    X[:, 4] = X[:, 3] + 1e-5 * X[:, 4]  # rank 4 or 5?
    f = logistic_regression(X, y)
    assert f.minimum is None
    assert f.minimizer is None
    assert "minimum not certified: the rank of X is in doubt; use l2 > 0 or a box" in f.name
    assert logistic_regression(X, y, l2=1e-3).minimum is not None
    monkeypatch.setattr(logistic_minimum, "_search", lambda *_: None)
    assert "not certified: known to" in logistic_regression(X, y, l2=1e-3).name
    X, y = problem(4, n=200, d=5)
    assert "not certified: known to" in logistic_regression(X, y).name


@pytest.mark.parametrize("bounds", [None, (-0.3, 0.4)])
def test_many_features_go_by_conjugate_gradients(monkeypatch, bounds):
    X, y = problem(7, n=50, d=120, density=0.1)
    direct = logistic_regression(X, y, l2=1e-3, box=bounds)
    monkeypatch.setattr(logistic_minimum, "DIRECT_LIMIT", 10)
    iterative = logistic_regression(X, y, l2=1e-3, box=bounds)
    assert iterative.minimum == pytest.approx(direct.minimum, abs=PROMISED)
    apart = np.linalg.norm(iterative.minimizer - direct.minimizer)
    assert apart <= 2 * np.sqrt(2 * PROMISED / 1e-3), "strong convexity: each is this close, halved, to the minimizer"
    assert "rank of X is in doubt" in logistic_regression(X, y).name


def test_gradient_bound_holds_and_is_attained_far_out():
    X, y = problem(8, n=50, d=4)
    f = logistic_regression(X, y)
    g, largest = np.empty(4), np.zeros(4)
    for w in 3.0 * np.random.default_rng(0).standard_normal((200, 4)):
        f.gradient(w, f.params, g)
        largest = np.maximum(largest, np.abs(g))
    assert np.all(largest <= f.gradient_bound)
    one = logistic_regression(np.array([[1.0], [3.0]]), [1, -1])
    one.gradient(np.array([50.0]), one.params, g[:1])
    assert g[0] == pytest.approx(one.gradient_bound[0], rel=1e-12)
    boxed = logistic_regression(X, y, l2=0.5, box=(-1, 2))
    np.testing.assert_allclose(boxed.gradient_bound, f.gradient_bound + 1.0)


@pytest.mark.parametrize(
    ("X", "y", "extra", "message"),
    [
        (np.ones(3), [1, 1, 1], {}, r"X has shape \(3,\); expected rows and columns"),
        (np.ones((0, 3)), [], {}, r"X has shape \(0, 3\); expected"),
        ([[1.0, np.nan]], [1], {}, "X contains NaN or infinity"),
        (sparse.csr_array([[np.inf, 0.0]]), [1], {}, "X contains NaN or infinity"),
        (np.eye(2), [1], {}, r"y has shape \(1,\); expected one label for each of the 2 rows"),
        (np.eye(2), [0, 1], {}, "y contains 0; expected labels -1 and \\+1"),
        (np.eye(2), [1, -1], {"l2": -0.1}, "l2 = -0.1; expected a finite number of at least 0"),
        (np.eye(2), [1, -1], {"box": (1.0, 0.0)}, r"box\[0\] = \(1, 0\); expected lo < hi"),
    ],
)
def test_wrong_input_is_a_sentence(X, y, extra, message):
    with pytest.raises(ValueError, match=message):
        logistic_regression(X, y, **extra)


def test_the_data_given_are_not_changed():
    X = sparse.csr_array(np.array([[0.0, 1.0, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 2.0, 0, 0, 0, 0, 0]]))
    X.data[1] = 0.0
    before = X.copy()
    logistic_regression(X, [1, -1], l2=1.0)
    np.testing.assert_array_equal(X.data, before.data)
    np.testing.assert_array_equal(X.indices, before.indices)


@needs_data
def test_constants_of_one_hot_data(monkeypatch):
    monkeypatch.setenv(datasets.HOME_VARIABLE, HOME)
    X, y = datasets.load("mushrooms")
    f = logistic_regression(X, y, l2=1e-4)
    assert f.params.equal
    assert f.params.columns.dtype == np.uint16
    # 21 ones a row: |L|_1 = 21^2 / 4, the optimum, and the diagonal is too small by the factor 21.
    L = f.smoothness - 1e-4
    assert L.sum() == pytest.approx(21**2 / 4, rel=1e-12)
    gram = (X.T @ X).toarray() / (4 * len(y))
    assert gram.trace() == pytest.approx(21 / 4, rel=1e-12)
    assert smoothness.optimal_diagonal(gram).dual_value == pytest.approx(21**2 / 4, rel=1e-12)
    assert smoothness.is_valid(L, gram)
    assert not smoothness.is_valid(np.diag(gram), gram)
    assert np.all(L[X.sum(axis=0) == 0] == 0.0)
    np.testing.assert_allclose(L, smoothness.row_gershgorin(X), rtol=1e-12)
    assert logistic_regression(X, y).minimum == 0.0  # separable


@needs_data
def test_a9a(monkeypatch):
    monkeypatch.setenv(datasets.HOME_VARIABLE, HOME)
    X, y = datasets.load("a9a")
    n = len(y)
    f = logistic_regression(X, y, l2=1 / n)
    ones = np.diff(X.indptr)
    assert f.smoothness.sum() - f.dim / n == pytest.approx(np.mean(ones**2) / 4, rel=n * EPS)
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1.0, fit_intercept=False, solver="newton-cholesky", tol=1e-10, max_iter=100)
    theirs = model.fit(X, y).coef_[0]
    margins = y * (X @ theirs)
    value = np.logaddexp(0.0, -margins).mean() + theirs @ theirs / (2 * n)
    gradient = theirs / n - X.T @ (y * special.expit(-margins)) / n
    reached = gradient @ gradient * n / 2
    assert reached < 1e-8 and -PROMISED <= value - f.minimum <= reached + PROMISED
    # Features that occur in one class only run to infinity without the ridge.
    g = logistic_regression(X, y)
    assert g.minimizer is None
    assert g.minimum < f.minimum
