"""Comparisons name the deciding term and the crossover, and never claim that a smaller upper bound is a win."""

import numpy as np
import pytest

from anisotropic import bounds

H = 1 / np.arange(1.0, 101) ** 2
C = {"L": H, "sigma": np.sqrt(H), "D": 2.0, "R": 0.9, "T": 1000, "M": 1}


def test_like_forms_of_adagrad_and_adagrad_norm_differ_by_the_two_ratios():
    ratio = bounds.smooth_ratio(H, 2.0)
    assert ratio == pytest.approx(H.sum() / 100, rel=1e-12)
    quiet = C | {"sigma": 0.0}
    for form in ("simple", "quad", "sharp"):
        found = bounds.compare(bounds.convex_adagrad, bounds.convex_adagrad_norm, form=form, **quiet)
        assert found.ratio == pytest.approx(ratio, rel=1e-9)
    flat = C | {"L": 0.0}
    found = bounds.compare(bounds.convex_adagrad, bounds.convex_adagrad_norm, form="sharp", **flat)
    assert found.ratio == pytest.approx(bounds.noise_ratio(np.sqrt(H), 2.0), rel=1e-9)
    assert bounds.noise_ratio(np.ones(9), 2.0) == pytest.approx(1.0) == bounds.smooth_ratio(np.ones(9), 2.0)


def test_dense_constants_on_a_cube_make_the_two_equal():
    c = {"L": 1.0, "sigma": 0.7, "D": 2.0, "T": 300, "M": 4, "d": 10}
    for form in ("sharp",):
        found = bounds.compare(bounds.convex_adagrad, bounds.convex_adagrad_norm, form=form, **c)
        assert found.ratio == pytest.approx(1.0, rel=1e-12)
        assert "are equal" in str(found) or found.values[0] != found.values[1]


def test_the_smooth_terms_of_sgd_and_adagrad_cross_where_the_ratio_says():
    """Without noise AdaGrad's sharp term is sum L D^2/T against SGD's max L |R|^2/(2 T)."""
    c = {"L": H, "sigma": 0.0, "D": 2.0, "R": 1.0, "T": 50, "M": 1}
    found = bounds.compare(bounds.convex_adagrad, bounds.convex_sgd, **c)
    assert found.ratio == pytest.approx(8 * bounds.smooth_ratio(H, 2.0) * 4 / 4, rel=1e-9)
    assert found.crossings == {"T": None, "M": None}


def test_the_crossover_is_where_the_values_meet():
    found = bounds.compare(bounds.convex_adagrad, bounds.convex_sgd, **C)
    assert found.deciding == "noise" and found.forms == ("sharp", "simple")
    at = C | {"M": found.crossings["M"]}
    assert bounds.compare(bounds.convex_adagrad, bounds.convex_sgd, **at).ratio == pytest.approx(1.0, rel=1e-6)
    text = " ".join(str(found).split())
    assert "does not show that its method is better" in text and "the noise term of convex_adagrad decides" in text


def test_an_upper_bound_below_a_lower_bound_is_said_to_be_a_proof():
    c = bounds.separation_instance(1000, 1000)
    found = bounds.compare(bounds.convex_adagrad, bounds.sgd_separation_lower, **c)
    assert found.ratio < 0.07 and "proven better" in found.caveat


def test_bounds_on_different_measures_are_not_compared():
    with pytest.raises(ValueError, match="convex_sgd is about mean_gap, nonconvex_sgd about gradient_l2_squared"):
        bounds.compare(bounds.convex_sgd, bounds.nonconvex_sgd, **C)
    with pytest.raises(ValueError, match="each bound has its own step size: pass step_sizes="):
        bounds.compare(bounds.convex_sgd, bounds.convex_adagrad, step_size=0.1, **C)
    with pytest.raises(ValueError, match="needs sigma"):
        bounds.compare(bounds.convex_sgd, bounds.convex_adagrad, L=1.0, R=1.0, D=1.0, T=1, M=1)


def test_steps_may_be_given_to_each():
    c = {"L": H, "sigma": 0.1, "eps": 0.1, "Delta": 1.0, "T": 100, "M": 1, "G": 1.0}
    found = bounds.compare(bounds.nonconvex_adagrad, bounds.nonconvex_signsgd, step_sizes=(0.3, None), **c)
    values = [bounds.nonconvex_adagrad(f, step_size=0.3, **c) for f in bounds.nonconvex_adagrad.forms]
    assert found.values[0] == min(values)


def test_dimension_exponents_of_power_laws():
    steep = bounds.dimension_exponent(bounds.convex_adagrad, 4000, {"L": 2.0}, sigma=0.0, D=1.0, T=10, M=1)
    assert abs(steep) < 1e-3, "zeta(2) converges"
    slow = bounds.dimension_exponent(bounds.convex_adagrad, 4000, {"L": 0.5}, sigma=0.0, D=1.0, T=10, M=1)
    assert slow == pytest.approx(0.5, abs=0.02), "d^(1 - alpha)"
    norm = bounds.dimension_exponent(bounds.convex_adagrad_norm, 4000, {"L": 2.0}, sigma=0.0, D=1.0, T=10, M=1)
    assert norm == pytest.approx(1.0, abs=1e-9), "AdaGrad-Norm does not see that L is sparse"
    with pytest.raises(ValueError, match="d = 0; expected at least one"):
        bounds.dimension_exponent(bounds.convex_adagrad, 0, {})
