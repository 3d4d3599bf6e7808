"""Predicted R_med against order statistics drawn at random, and closed cases."""

import numpy as np
import pytest

from anisotropic.geometry import equal_growth, frozen_start, predict_r_med_adam, predict_r_med_sgd


def simulated(width, rank, draws=4000):
    a = np.random.default_rng(0).chisquare(rank, (draws, width))
    ratio = a.max(axis=1) / np.median(a, axis=1)
    return ratio.mean(), ratio.std() / np.sqrt(draws)


@pytest.mark.parametrize(("width", "rank"), [(64, 1), (128, 1), (512, 1), (128, 2), (128, 8), (128, 64)])
def test_mean_form_equals_the_mean_of_order_statistics(width, rank):
    """E[max] E[1/median] neglects their small correlation: within 4 standard errors and 1.5 %."""
    mean, error = simulated(width, rank)
    assert abs(predict_r_med_sgd(width, rank, form="mean") - mean) < 4 * error + 0.015 * mean


@pytest.mark.parametrize(("width", "rank"), [(128, 1), (1024, 1), (128, 2), (128, 8), (128, 64)])
def test_quantile_form_is_within_four_percent(width, rank):
    assert predict_r_med_sgd(width, rank) == pytest.approx(simulated(width, rank)[0], rel=0.04)


def test_gumbel_form_agrees_at_large_width_and_grows_like_the_logarithm():
    assert predict_r_med_sgd(10**6, form="gumbel") == pytest.approx(predict_r_med_sgd(10**6), rel=2e-3)
    growth = predict_r_med_sgd(10**60, form="gumbel") - predict_r_med_sgd(10**50, form="gumbel")
    assert growth / (10 * np.log(10)) == pytest.approx(2 / 0.45494, rel=0.01)


def test_growth_with_width_by_monte_carlo():
    """Least-squares slope of the mean of max z^2 / median z^2 on ln h over h = 32, ..., 1024."""
    rng, widths = np.random.default_rng(0), 2 ** np.arange(5, 11)
    means = []
    for width in widths:
        z = rng.standard_normal((2000, width)) ** 2
        means.append(np.mean(z.max(axis=1) / np.median(z, axis=1)))
    slope = np.polyfit(np.log(widths), means, 1)[0]
    assert 3.3 < slope < 4.4


def test_frozen_start_is_the_growing_mode():
    rng = np.random.default_rng(3)
    W1, W2, A = rng.standard_normal((9, 5)), rng.standard_normal((1, 9)), rng.standard_normal((1, 5))
    u = W2[0] + W1 @ A[0] / np.linalg.norm(A)
    assert frozen_start(W1, W2, A).value == pytest.approx(np.max(u**2) / np.median(u**2))


def test_adam_prediction_is_equal_growth_at_typical_order_statistics():
    """Mean over 400 drawn starts of the seed-by-seed form (standard error 1 %), against the formula."""
    rng, scale, A = np.random.default_rng(4), 0.01, np.full((1, 256), 256**-0.5)
    values = [equal_growth(scale * rng.standard_normal((1, 256)), A).value for _ in range(400)]
    assert predict_r_med_adam(256, output_scale=scale, target=A) == pytest.approx(np.mean(values), rel=0.03)


def test_adam_prediction_tends_to_one_only_for_a_small_start():
    small = predict_r_med_adam(512, output_scale=512**-1.5, target=512**-0.5)
    ordinary = predict_r_med_adam(512, output_scale=512**-0.5, target=512**-0.5)
    assert 1 < small < 1.06 and ordinary > 5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: predict_r_med_sgd(1), "width = 1; expected at least 2"),
        (lambda: predict_r_med_sgd(8, 0), "rank = 0"),
        (lambda: predict_r_med_sgd(8, 2, form="gumbel"), "expansion for rank 1, not 2"),
        (lambda: predict_r_med_sgd(8, form="median"), "form = 'median'"),
        (lambda: predict_r_med_adam(8, output_scale=-1.0, target=1.0), "output_scale = -1"),
        (lambda: predict_r_med_adam(8, output_scale=1.0, target=0.0), "target is empty, zero or not finite"),
        (lambda: predict_r_med_adam(8, output_scale=1.0, target=np.ones((2, 3))), "target has 2 outputs"),
        (lambda: predict_r_med_adam(8, output_scale=1.0, target=1.0, loss_fraction=1.0), "loss_fraction = 1"),
        (lambda: equal_growth(np.ones((2, 3)), np.ones(4)), "W2 has 2 outputs"),
        (lambda: frozen_start(np.ones((3, 2)), np.ones((1, 3)), np.ones((1, 3))), r"target has shape \(1, 3\)"),
        (lambda: frozen_start(np.ones((3, 2)), np.ones((1, 3)), np.zeros((1, 2))), "the target is zero"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
