"""R_med of a known diagonal: values, guards, noise floor."""

import math
import warnings

import numpy as np
import pytest

from anisotropic.geometry import noise_floor, quantile_ratio, r_med


def test_value_counts_and_degenerate_interval():
    result = r_med([[2.0, -4.0], [1.0, 0.0], [3.0, -12.0]])
    assert (result.value, result.maximum, result.median) == (12 / 2.5, 12.0, 2.5)
    assert (result.zeros, result.negative) == (1, 2)
    assert result.interval == (result.value, result.value)
    assert result.mean == pytest.approx(22 / 6)


@pytest.mark.parametrize("factor", [1e-30, 1.0, 1e12])
def test_invariant_under_scaling_and_order(factor):
    h = np.random.default_rng(0).lognormal(size=101)
    assert r_med(factor * h[::-1]).value == pytest.approx(r_med(h).value, rel=1e-14)


def test_zero_median_gives_nan_and_a_count_without_a_warning():
    flat = np.array([1e-20, -1e-20, 3e-21, 1.0, 0.5])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = r_med(flat)
    assert math.isnan(result.value) and all(math.isnan(end) for end in result.interval)
    assert (result.zeros, result.negative) == (3, 0)


def test_absolute_floor_marks_a_layer_of_rounding_errors():
    assert math.isnan(r_med(np.array([1e-20, 2e-20, 3e-20]), zero_below=1e-17).value)
    assert r_med(np.array([1e-20, 2e-20, 3e-20])).value == pytest.approx(1.5)


def test_bad_diagonals():
    with pytest.raises(ValueError, match="the diagonal is empty"):
        r_med([])
    with pytest.raises(ValueError, match=r"1 of the 3 diagonal entries are not finite \(the first is entry 1\)"):
        r_med([1.0, math.nan, 2.0])
    with pytest.raises(ValueError, match="level = 1.5"):
        quantile_ratio([1.0], 1.5)
    with pytest.raises(ValueError, match="size = 0"):
        noise_floor(0)


def test_noise_floor_against_half_normals():
    """The formula is the mean-Gumbel quantile; 200 maxima of 10,000 have a mean with standard error 0.4 %."""
    z = np.abs(np.random.default_rng(0).standard_normal((200, 10_000)))
    measured = np.mean(z.max(axis=1) / np.median(z, axis=1))
    assert abs(noise_floor(10_000) / measured - 1) < 0.03


def test_noise_is_called_noise():
    rng = np.random.default_rng(0)
    error = np.full(400, 0.1)
    with pytest.warns(UserWarning, match=r"no better than noise.*estimate_r_med"):
        r_med(error * rng.standard_normal(400), standard_error=error)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        r_med(1.0 + error * rng.standard_normal(400), standard_error=error)


def test_quantile_ratio_does_not_see_one_outlier():
    h = np.append(np.ones(999), 1e6)
    assert quantile_ratio(h, 0.99) == 1.0 and r_med(h).value == 1e6


def test_unknown_names_suggest_the_nearest():
    import anisotropic.geometry

    with pytest.raises(AttributeError, match="has no name 'rmed'; did you mean 'r_med'"):
        _ = anisotropic.geometry.rmed
