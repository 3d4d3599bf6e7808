"""Every objective against its formula: gradients, smoothness in all directions, (L0, L1), bounds and minima."""

from typing import NamedTuple

import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar

import anisotropic as an

P = an.problems
CENTRE = np.array([0.4, -0.3, 0.1])
C = np.array([2.0, 0.7, 0.05])
A = np.array([0.8, 1.5, 3.0])
REACH = 4.0  # the formulas are compared on |w - centre| <= REACH


class Case(NamedTuple):
    """A factory at the constants above, the same function of x = w - centre in NumPy, and where a constant is attained.

    `steepest` is an x where |f_j| attains the gradient bound without a box (NaN: only in the limit); `sharpest` an x
    where |f_jj| - L1 |f_j| attains L0, which is L where L1 = 0.
    """

    make: object
    phi: object
    convex: bool
    sharpest: object
    steepest: object = None
    smooth: bool = True


CASES = {
    "quadratic": Case(lambda **k: P.quadratic(C, **k), lambda x: C * x**2 / 2, True, 0.0),
    "pseudo_huber": Case(
        lambda **k: P.pseudo_huber(C, A, **k), lambda x: C * A**2 * (np.sqrt(1 + (x / A) ** 2) - 1), True, 0.0, np.nan
    ),
    "huber": Case(
        lambda **k: P.huber(C, A, **k),
        lambda x: np.where(abs(x) <= A, C * x**2 / 2, C * A * (abs(x) - A / 2)), True, 0.0, A + 0.1,
    ),
    "log_cosh": Case(lambda **k: P.log_cosh(C, A, **k), lambda x: C / A**2 * np.log(np.cosh(A * x)), True, 0.0, np.nan),
    "softplus": Case(
        lambda **k: P.softplus(C, **k), lambda x: C * (np.log1p(np.exp(x)) + np.log1p(np.exp(-x))), True, 0.0, np.nan
    ),
    "cosine": Case(
        lambda **k: P.cosine(C, A, **k), lambda x: C * (1 - np.cos(A * x)), False, 0.0, np.pi / (2 * A)
    ),
    "quadratic_cosine": Case(
        lambda **k: P.quadratic_cosine(C, C, A, **k), lambda x: C * x**2 / 2 + C * (1 - np.cos(A * x)), False, 0.0
    ),
    "welsch": Case(lambda **k: P.welsch(C, **k), lambda x: C * (1 - np.exp(-(x**2) / 2)), False, 0.0, 1.0),
    "geman_mcclure": Case(
        lambda **k: P.geman_mcclure(C, **k), lambda x: C * x**2 / (1 + x**2), False, 0.0, 1 / np.sqrt(3)
    ),
    "cosh": Case(
        lambda **k: P.cosh(C, A, **k), lambda x: C / A**2 * (np.cosh(A * x) - 1), True, 0.0, smooth=False
    ),
    "exponential": Case(
        lambda **k: P.exponential(C, A, **k), lambda x: C * np.exp(A * x), True, -1.0, smooth=False
    ),
    "power": Case(
        lambda **k: P.power(C, [4.0, 3.0, 2.5], L1=A, **k),
        lambda x: C * abs(x) ** np.array([4.0, 3.0, 2.5]) / [4.0, 3.0, 2.5], True, np.array([2.0, 1.0, 0.5]) / A,
        smooth=False,
    ),
    "double_well": Case(
        lambda **k: P.double_well(3, L1=0.8, **k), lambda x: (x**2 - 1) ** 2 / 4 + 0 * C, False,
        (1 + np.sqrt(1 + 0.8**2 / 3)) / 0.8, smooth=False,
    ),
    "absolute": Case(lambda **k: P.absolute(C, **k), lambda x: C * abs(x), True, None, 1.0, smooth=False),
}  # fmt: skip
SMOOTH = [name for name, case in CASES.items() if case.smooth]
MATRIX = np.array([[1.0, 2.0, 0.0], [-1.0, 0.5, 1.0]])
ROTATION = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0]


def joined():
    """Objectives whose coordinates are not separate, with the same function in NumPy."""
    turned = ROTATION.T @ np.diag(C) @ ROTATION
    yield P.quadratic(C, center=CENTRE, rotation=ROTATION), lambda w: (w - CENTRE) @ turned @ (w - CENTRE) / 2
    yield P.coupled(MATRIX, "quadratic", [0.5, 2.0]), lambda w: [0.5, 2.0] @ (MATRIX @ w) ** 2 / 2
    yield P.coupled(MATRIX, "cosine", [0.5, 2.0]), lambda w: [0.5, 2.0] @ (1 - np.cos(MATRIX @ w))


def gradient(f, w):
    out = np.full(f.dim, np.nan)
    f.gradient(np.ascontiguousarray(w, dtype=float), f.params, out)
    return out


def curvature(f, w, h=1e-5):
    """Hessian by central differences of the gradient, symmetrised."""
    columns = [(gradient(f, w + h * e) - gradient(f, w - h * e)) / (2 * h) for e in np.eye(f.dim)]
    return (np.array(columns) + np.array(columns).T) / 2


def points(n, seed=0, reach=REACH):
    return CENTRE + np.random.default_rng(seed).uniform(-reach, reach, (n, 3))


@pytest.mark.parametrize("name", CASES)
def test_value_and_gradient_follow_the_formula(name):
    """Value to 1e-12 relative (1e-13 of the scale near zeros), gradient to the 1e-9 of a complex-free difference."""
    case = CASES[name]
    f = case.make(center=CENTRE)
    for w in points(40):
        x, h = w - CENTRE, 1e-6
        np.testing.assert_allclose(f.value(w, f.params), case.phi(x).sum(), rtol=1e-12, atol=1e-13)
        slope = (case.phi(x + h) - case.phi(x - h)) / (2 * h)
        np.testing.assert_allclose(gradient(f, w), slope, rtol=1e-7, atol=1e-8 * max(1.0, abs(slope).max()))


def test_coupled_objectives_follow_their_formulas():
    for f, phi in joined():
        for w in points(20):
            np.testing.assert_allclose(f.value(w, f.params), phi(w), rtol=1e-12, atol=1e-13)
            slope = [(phi(w + e) - phi(w - e)) / 2e-6 for e in 1e-6 * np.eye(3)]
            np.testing.assert_allclose(gradient(f, w), slope, rtol=1e-7, atol=1e-7)


def smooth_objectives():
    return [CASES[name].make(center=CENTRE) for name in SMOOTH] + [f for f, _ in joined()]


def test_smoothness_holds_in_all_directions():
    """|grad f(x) - grad f(y)| in the norm of 1/L is at most |x - y| in that of L, exactly and at every distance."""
    rng = np.random.default_rng(1)
    for f in smooth_objectives():
        L = f.smoothness
        for w in points(200, seed=2):
            v = w + 10.0 ** rng.uniform(-3, 1) * rng.normal(size=3)
            change = np.sqrt(((gradient(f, w) - gradient(f, v)) ** 2 / L).sum())
            assert change <= np.sqrt((L * (w - v) ** 2).sum()) * (1 + 1e-9), f.name


def test_hessians_lie_between_minus_and_plus_the_diagonal():
    """Eigenvalues of diag(L) -+ H at random points; differences err by less than 1e-5 of the largest L."""
    for f in smooth_objectives():
        diagonal, slack = np.diag(f.smoothness), 1e-5 * f.smoothness.max()
        for w in points(30, seed=3):
            H = curvature(f, w)
            lowest = min(np.linalg.eigvalsh(diagonal - H).min(), np.linalg.eigvalsh(diagonal + H).min())
            assert lowest > -slack, f.name


@pytest.mark.parametrize("name", SMOOTH)
def test_smoothness_is_attained(name):
    f = CASES[name].make(center=CENTRE)
    H = curvature(f, CENTRE + CASES[name].sharpest)
    np.testing.assert_allclose(H, np.diag(f.smoothness), rtol=1e-6, atol=1e-8)


def test_smoothness_of_coupled_rows_is_attained_where_signs_agree():
    """With A >= 0 the Hessian at 0 maps (1, ..., 1) to L, so diag(L) - H is singular: none is smaller there."""
    for phi in ("quadratic", "cosine"):
        f = P.coupled(abs(MATRIX), phi, [0.5, 2.0])
        np.testing.assert_allclose(curvature(f, np.zeros(3)) @ np.ones(3), f.smoothness, rtol=1e-8)
    turned = P.quadratic([3.0, 1.0], rotation=np.array([[1.0, 1.0], [1.0, -1.0]]) / np.sqrt(2))
    np.testing.assert_allclose(turned.smoothness, [3.0, 3.0], rtol=1e-14)  # [[2, 1], [1, 2]]


def test_one_entry_of_the_hessian_is_not_enough():
    """The diagonal of a rotated Hessian is smaller than the certified L, and not valid in all directions."""
    f = P.quadratic(C, rotation=ROTATION)
    H = ROTATION.T @ np.diag(C) @ ROTATION
    assert np.linalg.eigvalsh(np.diag(np.diag(H)) - H).min() < -0.1
    assert np.linalg.eigvalsh(np.diag(f.smoothness) - H).min() > -1e-12 and (f.smoothness > np.diag(H)).all()


@pytest.mark.parametrize("name", [n for n in CASES if n != "absolute"])
def test_generalized_smoothness_holds_and_is_attained(name):
    """|f_jj| <= L0_j + L1_j |f_j| on 2,001 points a coordinate, with equality where it is claimed."""
    case = CASES[name]
    f = case.make(center=CENTRE)
    L0, L1 = f.generalized_smoothness
    assert (L1 > 0).all() != case.smooth and (case.smooth is (f.smoothness is not None))

    def excess(x, h=1e-5):
        """|f_jj| - L1 |f_j| - L0, relative to the sizes that cancel in it."""
        up, down, at = (gradient(f, CENTRE + x + s) for s in (h, -h, 0.0))
        bent = abs(up - down) / (2 * h)
        return (bent - L1 * abs(at) - L0) / (bent + L0)

    assert max(excess(np.full(3, x)).max() for x in np.linspace(-REACH, REACH, 2001)) < 1e-6
    assert abs(excess(np.broadcast_to(case.sharpest, 3))).max() < 1e-6


@pytest.mark.parametrize(
    ("rate", "expected"), [(0.5, 17.02), (1.0, 5.079), (2.0, 2.282), (2.5, 2.053), (3.0, 2.0), (9.0, 2.0)]
)
def test_double_well_constants(rate, expected):
    """L0 = max over x of |3 x^2 - 1| - L1 |x^3 - x|, on a grid of 400,001 points."""
    L0, L1 = P.double_well(1, L1=rate).generalized_smoothness
    x = np.linspace(0, 20, 400_001)
    largest = (abs(3 * x**2 - 1) - rate * abs(x**3 - x)).max()
    assert L1[0] == rate and largest <= L0[0] * (1 + 1e-12) and L0[0] == pytest.approx(largest, rel=1e-6)
    assert L0[0] == pytest.approx(expected, rel=3e-4)


@pytest.mark.parametrize("name", [n for n, case in CASES.items() if case.steepest is not None])
def test_gradient_bound_without_a_box(name):
    f, steepest = CASES[name].make(center=CENTRE), CASES[name].steepest
    largest = np.max([abs(gradient(f, np.full(3, x))) for x in np.linspace(-30, 30, 2001)], axis=0)
    assert (largest <= f.gradient_bound * (1 + 1e-12)).all()
    at = CENTRE + (1e4 if np.isnan(steepest).any() else steepest)  # 1e4: within 1e-6 of the limit
    np.testing.assert_allclose(abs(gradient(f, at)), f.gradient_bound, rtol=1e-6)


BOXES = {
    "around the centre": (CENTRE - [1.0, 2.0, 0.5], CENTRE + [2.0, 1.5, 3.0]),
    "beside the centre": (CENTRE + [0.2, -2.0, 0.3], CENTRE + [1.8, -0.4, 2.5]),
}


@pytest.mark.parametrize("where", BOXES)
@pytest.mark.parametrize("name", CASES)
def test_gradient_bound_and_minimum_over_a_box(name, where):
    """Against a grid and bounded minimization a coordinate; for convex functions the gradient bound is attained."""
    case, (lo, hi) = CASES[name], BOXES[where]
    f = case.make(center=CENTRE, box=(lo, hi))
    grid = np.linspace(lo, hi, 801)
    steepest = np.max([abs(gradient(f, w)) for w in grid], axis=0)
    if f.gradient_bound is not None:
        assert (steepest <= f.gradient_bound * (1 + 1e-12)).all()
    if case.convex:
        np.testing.assert_allclose(steepest, f.gradient_bound, rtol=1e-12)
    least = 0.0
    for j in range(3):
        def alone(x, j=j):
            return case.phi(np.full(3, x))[j]

        values = [alone(x) for x in grid[:, j] - CENTRE[j]]
        k = int(np.argmin(values))
        ends = grid[max(k - 1, 0), j] - CENTRE[j], grid[min(k + 1, 800), j] - CENTRE[j]
        least += min(values[k], minimize_scalar(alone, bounds=ends, method="bounded", options={"xatol": 1e-10}).fun)
    if f.minimum is None:
        assert not case.convex and where == "beside the centre" and f.minimizer is None
    else:
        assert f.minimum == pytest.approx(least, rel=1e-9, abs=1e-9)
        assert (lo <= f.minimizer).all() and (f.minimizer <= hi).all()
        assert f.value(f.minimizer, f.params) == pytest.approx(f.minimum, rel=1e-14, abs=1e-15)
    if "interior minimizer" in f.properties:
        assert abs(gradient(f, f.minimizer)).max() < 1e-12 * max(1.0, steepest.max())
    elif f.minimizer is not None and name != "absolute":
        assert abs(gradient(f, f.minimizer)).max() > 1e-3  # the box is active there


@pytest.mark.parametrize("name", CASES)
def test_properties_and_minima_without_a_box(name):
    case = CASES[name]
    f = case.make(center=CENTRE)
    attained = {"interior minimizer"} if name != "exponential" else set()
    assert f.properties == {"separable"} | ({"convex"} if case.convex else set()) | attained
    assert f.dim == 3 and f.box is None and f.samples is None
    lowest = min(f.value(w, f.params) for w in points(2000, seed=4))
    if name == "exponential":  # the infimum 0 is not attained
        assert f.minimizer is None and f.minimum == 0.0 < lowest
        return
    assert f.minimum == f.value(f.minimizer, f.params) <= lowest
    assert f.minimum == pytest.approx({"softplus": 2 * np.log(2) * C.sum()}.get(name, 0.0), rel=1e-14, abs=1e-15)
    np.testing.assert_allclose(f.minimizer, CENTRE + (1.0 if name == "double_well" else 0.0))


def test_minima_of_coupled_objectives():
    for f, phi in joined():
        for w in points(5, seed=6):
            found = minimize(phi, w, method="L-BFGS-B", bounds=[(-5, 5)] * 3).fun
            assert f.minimum <= found + 1e-9
        assert f.value(f.minimizer, f.params) == f.minimum == 0.0 and "separable" not in f.properties
        assert ("convex" in f.properties) == ("cosine" not in f.name)


@pytest.mark.parametrize(
    "make", [lambda **k: P.quadratic(C, rotation=ROTATION, **k), lambda **k: P.coupled(MATRIX, "cosine", 1.0, **k)]
)
def test_coupled_objectives_know_no_minimum_over_a_box_without_their_centre(make):
    inside, outside = make(box=(-1, 1)), make(box=(0.5, 1))
    assert inside.minimum == 0.0 and "interior minimizer" in inside.properties
    assert outside.minimum is outside.minimizer is None and "interior minimizer" not in outside.properties


def test_gradient_bound_of_coupled_cosines():
    """sum_i c_i |a_ij|, attained at a w where each sin(a_i . w) has modulus 1."""
    f = P.coupled(np.eye(3) * A, "cosine", C)
    np.testing.assert_allclose(abs(gradient(f, np.pi / (2 * A))), f.gradient_bound, rtol=1e-12)
    g = P.coupled(MATRIX, "cosine", [0.5, 2.0])
    np.testing.assert_allclose(g.gradient_bound, [2.5, 2.0, 2.0])
    assert max(abs(gradient(g, w) / g.gradient_bound).max() for w in points(500)) <= 1.0


def test_polyak_lojasiewicz_constant_of_quadratics():
    """|grad f|^2 >= 2 mu (f - f*), with equality along the flattest direction; none where a curvature is 0."""
    for f in (P.quadratic(C, center=CENTRE), P.quadratic(C, center=CENTRE, rotation=ROTATION)):
        assert f.pl_constant == 0.05
        for w in points(50):
            assert (gradient(f, w) ** 2).sum() >= 2 * 0.05 * f.value(w, f.params) * (1 - 1e-12)
    flat = P.quadratic(C).gradient, np.array([0.0, 0.0, 2.0])
    assert (gradient(P.quadratic(C), flat[1]) ** 2).sum() == pytest.approx(2 * 0.05 * 0.05 * 2.0**2 / 2)
    assert P.quadratic([1.0, 0.0]).pl_constant is None


def test_values_stay_exact_near_the_minimum():
    """No cancellation: at x = 1e-9 the value is L x^2 / 2 = 1e-18, far below the rounding of 1."""
    x = 1e-9
    for make in (P.pseudo_huber, P.huber, P.cosine, P.cosh, P.log_cosh):
        f, accuracy = make(2.0, 1.0), 1e-6 if make is P.log_cosh else 1e-12
        assert f.value(np.array([x]), f.params) == pytest.approx(x * x, rel=accuracy, abs=0.0), f.name


def test_a_half_open_box_leaves_unbounded_constants_unknown():
    f = P.quadratic([1.0, 2.0], box=(-np.inf, 1.0))
    assert f.gradient_bound is None and f.minimum == 0.0
    g = P.exponential(1.0, 2.0, box=(-np.inf, 1.0))
    assert g.minimizer is None and g.minimum == 0.0 and g.gradient_bound[0] == pytest.approx(2 * np.exp(2.0))
    h = P.exponential(1.0, 2.0, box=(0.0, np.inf))
    assert h.minimum == 1.0 and h.gradient_bound is None


def test_numbers_broadcast_to_the_longest():
    f = P.pseudo_huber(2.0, [1.0, 3.0], center=0.5, box=([-1.0, -2.0], 4.0))
    assert f.dim == 2 and f.smoothness.tolist() == [2.0, 2.0] and f.minimizer.tolist() == [0.5, 0.5]
    assert [side.tolist() for side in f.box] == [[-1.0, -2.0], [4.0, 4.0]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: P.quadratic([1.0, -1.0]), r"curvature\[1\] = -1; expected numbers of at least 0"),
        (lambda: P.quadratic([1.0, np.nan]), r"curvature\[1\] = nan; expected"),
        (lambda: P.quadratic(np.inf), r"curvature\[0\] = inf; expected finite numbers of at least 0"),
        (lambda: P.quadratic("steep"), "curvature = 'steep'; expected a number or an array"),
        (lambda: P.quadratic([1.0, 2.0], center=[0.0] * 3), r"curvature has shape \(2,\); expected a number or"),
        (lambda: P.quadratic(1.0, center=np.nan), r"center\[0\] = nan; expected finite numbers"),
        (lambda: P.quadratic(1.0, box=(1.0, -1.0)), r"box\[0\] = \(1, -1\); expected lo < hi"),
        (lambda: P.quadratic(1.0, box=(0.0, np.nan)), r"box hi\[0\] = nan; expected no NaN"),
        (lambda: P.quadratic(1.0, box=2.0), r"box = 2.0; expected a pair \(lo, hi\)"),
        (lambda: P.quadratic(1.0, box=(0, 1, 2)), r"box = \(0, 1, 2\); expected a pair"),
        (lambda: P.quadratic(1.0, rotation=3.0), r"rotation has shape \(\); expected \(1, 1\)"),
        (lambda: P.quadratic([1.0] * 3, rotation=np.eye(2)), r"rotation has shape \(2, 2\); expected \(3, 3\)"),
        (lambda: P.quadratic(1.0, rotation=np.ones((2, 2))), "rotation is not orthogonal: Q'Q - I has an entry 2;"),
        (lambda: P.quadratic(1.0, rotation=np.full((2, 2), np.nan)), "rotation is not orthogonal"),
        (lambda: P.huber([1.0, 0.0], 1.0), r"c\[1\] = 0; expected numbers above 0"),
        (lambda: P.huber([1.0, 2.0], [1.0, 2.0, 3.0]), r"c has shape \(2,\); expected a number or shape \(3,\)"),
        (lambda: P.log_cosh(1.0, -2.0), r"a\[0\] = -2; expected numbers above 0"),
        (lambda: P.cosine(1.0, np.nan), r"omega\[0\] = nan; expected"),
        (lambda: P.quadratic_cosine(-1.0, 1.0, 1.0), r"h\[0\] = -1; expected numbers of at least 0"),
        (lambda: P.power(1.0, 2.0), r"p = 2; expected p > 2 \(for p = 2 use quadratic\)"),
        (lambda: P.power(1.0, 4.0, L1=0.0), r"L1\[0\] = 0; expected numbers above 0"),
        (lambda: P.double_well(0), "d = 0; expected a whole number of at least 1"),
        (lambda: P.double_well("two"), "d = 'two'; expected a whole number"),
        (lambda: P.double_well(2, L1=-1.0), "L1 = -1; expected a finite number above 0"),
        (lambda: P.coupled([1.0, 2.0], "cosine", 1.0), r"A has shape \(2,\); expected a finite matrix"),
        (lambda: P.coupled([[1.0, np.nan]], "cosine", 1.0), "expected a finite matrix"),
        (lambda: P.coupled([[1.0]], "cubic", 1.0), "phi = 'cubic'; expected 'quadratic' or 'cosine'"),
        (lambda: P.coupled([[1.0]], "cosine", [1.0, 2.0]), r"c has shape \(2,\); expected a number or shape \(1,\)"),
    ],
)  # fmt: skip
def test_wrong_constants_are_a_sentence(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_an_unknown_objective_suggests_the_nearest():
    with pytest.raises(AttributeError, match="no name 'quadratik'; did you mean 'quadratic'"):
        _ = P.quadratik
    with pytest.raises(AttributeError, match="no name 'rosenbrock'; it has absolute, cosh"):
        _ = P.rosenbrock
