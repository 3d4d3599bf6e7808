"""Sums over coordinates behave like sums: linear, differentiable, evaluated by NumPy, printed like the papers."""

import pickle

import numpy as np
import pytest
import sympy

from anisotropic.bounds import symbols as s


def test_a_sum_is_linear_and_scalars_move_out():
    assert s.total(2 * s.L * s.T + s.sigma / s.M) == 2 * s.T * s.total(s.L) + s.total(s.sigma) / s.M
    assert s.total(sympy.Integer(3)) == 3 * s.d
    assert s.total(s.total(s.L) * s.D) == s.total(s.L) * s.total(s.D)
    assert s.largest(2 * s.L / s.T) == 2 * s.largest(s.L) / s.T
    assert s.largest(s.total(s.L)) == s.total(s.L)


def test_a_sum_differentiates_inside_and_by_coordinate():
    x = s.total(s.L * s.step_size**2 + s.uniform_step_size**3 * s.D)
    assert sympy.diff(x, s.uniform_step_size) == 3 * s.uniform_step_size**2 * s.total(s.D)
    assert sympy.diff(x, s.step_size) == 2 * s.L * s.step_size
    with pytest.raises(ValueError, match="maximum over coordinates has no derivative"):
        sympy.diff(s.largest(s.L), s.L)


def test_a_sum_becomes_a_numpy_reduction():
    rng = np.random.default_rng(0)
    values = {"L": rng.random(7), "D": rng.random(7), "T": 3.0}
    got = s.evaluate(s.total(s.L * s.D**2) * s.largest(s.L) / s.T, values)
    assert got == pytest.approx(np.sum(values["L"] * values["D"] ** 2) * values["L"].max() / 3, rel=1e-14)


def test_signs_are_known():
    assert s.total(s.L * s.sigma).is_positive and s.total(s.eps).is_nonnegative and s.largest(s.L).is_positive
    assert sympy.sqrt(s.total(s.sigma**2) ** 2) == s.total(s.sigma**2)


@pytest.mark.parametrize(
    ("expression", "latex", "text"),
    [
        (s.total(s.L * s.D**2), r"\sum_{j} L_{j} D_{j}^{2}", "sum_j(D_j^2*L_j)"),
        (s.total(s.sigma) ** 2 * s.M, r"M \left(\sum_{j} \sigma_{j}\right)^{2}", "M*sum_j(sigma_j)^2"),
        (s.largest(s.L) * s.T, r"T \max_{j} L_{j}", "T*max_j(L_j)"),
        (s.T * s.total(s.eps / s.step_size), r"T \sum_{j} \frac{\epsilon_{j}}{\eta_{j}}", "T*sum_j(eps_j/step_size_j)"),
        (s.total(s.L + s.L * s.step_size**2), r"\sum_{j} L_{j} + \sum_{j} L_{j} \eta_{j}^{2}", None),
        (s.total(s.L) * s.total(s.D), r"\left(\sum_{j} D_{j}\right) \sum_{j} L_{j}", None),
        (s.total(s.G_star**2), r"\sum_{j} \left(G^{\star}_{j}\right)^{2}", "sum_j(G_star_j^2)"),
    ],
)
def test_printing(expression, latex, text):
    assert s.latex(expression) == latex
    if text is not None:
        assert s.text(expression) == text


def test_symbols_survive_a_pickle():
    x = s.total(s.L * s.step_size) / s.T
    copy = pickle.loads(pickle.dumps(x))
    assert copy == x and copy.diff(s.step_size) == x.diff(s.step_size)


def test_the_two_kinds_of_step_share_one_constant():
    assert s.step_size != s.uniform_step_size
    assert s.names([s.step_size, s.uniform_step_size, s.total(s.eps)]) == {"step_size", "eps"}


def test_summand_undoes_total():
    assert s.summand(s.total(s.L * s.D) / s.T + s.total(s.sigma)) == s.L * s.D / s.T + s.sigma


def test_a_constant_must_be_a_keyword():
    with pytest.raises(ValueError, match="passed as a keyword, which 'a b' cannot be"):
        s.coordinate("a b")
