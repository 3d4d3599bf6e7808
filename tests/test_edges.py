"""What happens at the edges: one coordinate, one step, a flat coordinate, a ratio of 1e12, a million coordinates."""

import numpy as np
import pytest
from rounding import EPS
from scipy import sparse

import anisotropic as an
from anisotropic.datasets.rows import rows_and_labels

SILENT = an.noises.gaussian(0.0)


def simulate(h, *, start=1.0, steps=30, sigma=0.0, replicas=2, step_size=0.25, **options):
    f = an.problems.quadratic(h, box=(-2, 2))
    method, noise = an.optimizers.adagrad(step_size), an.noises.gaussian(sigma) if sigma else SILENT
    return an.simulate(f, method, noise=noise, start=start, steps=steps, replicas=replicas, **options)


def test_one_coordinate_one_step_one_sample_one_replica():
    """x^2 / 2 from 1: the first step of AdaGrad has length 1/4, so the gap falls from 1/2 to 9/32."""
    run = simulate(1.0, steps=1, replicas=1)
    assert run.gap.tolist() == [[0.28125]] and run.mean_gap.tolist() == run.average_gap.tolist() == [[0.5]]
    assert run.steps.tolist() == [1] and run.samples.tolist() == [[1.0]] and run.accumulator.tolist() == [[1.0]]
    assert run.gradient_l1.tolist() == run.gradient_l2.tolist() == run.gradient_l2_squared.tolist() == [[1.0]]


def test_one_replica_is_not_a_verdict():
    run = simulate(1.0, sigma=1.0, replicas=1)
    assert an.verify(an.bounds.convex_adagrad, run).status == "inconclusive"


def test_a_flat_coordinate_stays_and_counts_for_nothing():
    alone, with_flat = simulate([1.0]), simulate([1.0, 0.0])
    # Not to the bit: sums over one and over two coordinates are compiled apart. 30 steps of some 8 operations.
    np.testing.assert_allclose(with_flat.gap, alone.gap, rtol=240 * EPS)
    np.testing.assert_allclose(with_flat.gradient_l1, alone.gradient_l1, rtol=240 * EPS)
    verdict = an.verify(an.bounds.convex_adagrad, with_flat)
    assert verdict.status == "not contradicted" and np.isfinite(verdict.bound)


def test_a_ratio_of_curvatures_of_1e12():
    """AdaGrad does not see the scale of a coordinate: the flat one contributes 1e-12 of the steep one's gap."""
    steep, both = simulate([1.0]), simulate([1.0, 1e-12])
    np.testing.assert_allclose(both.gap, steep.gap * (1 + 1e-12), rtol=1e-13)
    np.testing.assert_allclose(both.gap[:, -1] / steep.gap[:, -1] - 1, 1e-12, rtol=1e-2)


def test_a_million_coordinates_are_a_million_times_one():
    one, many = (simulate(np.ones(d), steps=3, replicas=1) for d in (1, 1_000_000))
    for name in ("gap", "mean_gap", "average_gap", "gradient_l1", "gradient_l2_squared", "accumulator"):
        np.testing.assert_allclose(many[name], 1e6 * one[name], rtol=1e6 * EPS)  # a sum of a million equal terms


def test_start_at_the_minimizer_is_a_gap_of_zero():
    run = simulate([1.0, 0.5], start=0.0)
    assert not run.gap.any() and not run.gradient_l2.any() and run.initial_gap == 0.0
    assert an.verify(an.bounds.convex_adagrad, run).status == "not contradicted"


def test_the_largest_seed_and_the_largest_batch():
    run = simulate([1.0], sigma=1.0, seed=2**64 - 1, batch_size=10**15)
    assert np.isfinite(run.gap).all() and run.samples[0, -1] == 30 * 1e15
    np.testing.assert_allclose(run.gap, simulate([1.0]).gap, atol=1e-6)  # noise of standard deviation 3e-8 a step


def test_more_records_than_steps():
    assert simulate([1.0], steps=3, records=100).steps.tolist() == [1, 2, 3]
    assert simulate([1.0], steps=300, records=1).steps.tolist() == [300]


@pytest.mark.parametrize("start", [-2.0, 2.0])
def test_the_corners_of_the_box_belong_to_it(start):
    assert simulate([1.0], start=start).initial_gap == 2.0


@pytest.mark.parametrize("form", ["csr", "csc"])
def test_a_sparse_matrix_that_points_outside_of_itself_is_refused(form):
    """Compiled code followed such indices: the process ended in a segmentation fault."""
    made = {"csr": sparse.csr_array, "csc": sparse.csc_array}[form]
    X = made((np.ones(2), np.array([0, 7]), np.array([0, 1, 2])), shape=(2, 2))
    y = np.array([1.0, -1.0])
    for use in (
        lambda: an.problems.logistic_regression(X, y, l2=0.1),
        lambda: an.smoothness.gershgorin(X),
        lambda: an.smoothness.row_gershgorin(X),
        lambda: rows_and_labels(X, y),
    ):
        with pytest.raises(ValueError, match="damaged sparse matrix"):
            use()
