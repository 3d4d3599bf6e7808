"""Do the bounds hold where they should, at every setup and cell, and are planted falsehoods caught there?"""

import numpy as np
import pytest

from anisotropic import bounds, setups


@pytest.fixture(scope="module")
def grid():
    return {cell.label: cell for cell in setups.convex_grid()}


@pytest.fixture(scope="module")
def runs(grid):
    return {label: cell() for label, cell in grid.items()}


@pytest.mark.parametrize("name", [n for n in setups.names() if setups.for_bound(n).objective.box is not None])
def test_every_bound_in_a_box_holds_on_its_setup(name):
    setup = setups.for_bound(name)
    verdict = setup.verify()
    assert setup.bound is bounds[name] and verdict.theorem == name
    assert verdict.status == "not contradicted"
    assert 1 - 1e-9 <= verdict.slack < 30


def test_every_bound_has_a_setup():
    assert set(setups.names()) == set(bounds)


def test_no_cell_of_the_convex_grid_is_violated(grid, runs):
    assert len(grid) == 128
    verdicts = {label: cell.verify(run=runs[label]) for label, cell in grid.items()}
    undecided = {label: v for label, v in verdicts.items() if v.status != "not contradicted"}
    assert all(v.status == "inconclusive" and 1 - 1e-9 < v.slack < 1.01 for v in undecided.values())
    assert len(undecided) <= 2


@pytest.mark.parametrize(
    ("name", "form", "tightest", "loosest"),
    [
        ("convex_sgd", "simple", 1.01, 39),
        ("convex_diag_sgd", "simple", 1.01, 39),
        ("convex_adagrad", "quad", 8.2, 105),
        ("convex_adagrad", "tight", 5.9, 102),
        ("convex_adagrad_norm", "quad", 6.1, 132),
    ],
)
def test_slack_over_the_grid_is_that_of_an_independent_program(runs, name, form, tightest, loosest):
    """Ranges of bound / measured mean gap from another implementation with 60 to 200 replicas: to 5 per cent."""
    mine = [run for label, run in runs.items() if label.startswith(f"{name} ")]
    slacks = [bounds[name](form=form, **run.constants()) / run.mean_gap[:, -1].mean() for run in mine]
    assert len(slacks) == 32
    assert min(slacks) == pytest.approx(tightest, rel=0.05)
    assert max(slacks) == pytest.approx(loosest, rel=0.05)


@pytest.mark.parametrize(
    ("label", "mean_gap", "error"),
    [
        ("convex_sgd d=10 T=100 M=1 dense/dense", 0.405, 0.006),
        ("convex_sgd d=100 T=1000 M=64 sparse/sparse", 0.0181, 0.00007),
        ("convex_adagrad d=100 T=1000 M=1 sparse/sparse", 0.0271, 0.0009),
        ("convex_adagrad d=100 T=1000 M=64 dense/dense", 0.2685, 0.0003),
        ("convex_adagrad d=10 T=100 M=1 dense/dense", 0.530, 0.009),
        ("convex_adagrad_norm d=100 T=1000 M=64 sparse/sparse", 0.0348, 0.0002),
    ],
)
def test_mean_gaps_are_those_of_an_independent_program(runs, label, mean_gap, error):
    measured = runs[label].mean_gap[:, -1]
    own = 1.96 * measured.std(ddof=1) / np.sqrt(measured.size)
    assert abs(measured.mean() - mean_gap) <= 2 * np.hypot(own, error)


def test_halved_sgd_bound_is_caught(grid, runs):
    label = "convex_sgd d=100 T=100 M=64 dense/sparse"
    cell, run = grid[label], runs[label]
    assert cell.verify(run=run).slacks[-1] == pytest.approx(1.01, abs=0.005)
    assert cell.verify(bounds.convex_sgd.scaled(0.5), run).status == "violated"


def test_adagrad_bound_divided_by_twenty_is_caught(grid, runs):
    label = "convex_adagrad d=100 T=1000 M=1 sparse/sparse"
    cell, run = grid[label], runs[label]
    true = cell.verify(run=run, form="quad")
    assert true.status == "not contradicted" and true.slack == pytest.approx(8.2, rel=0.05)
    assert cell.verify(bounds.convex_adagrad.scaled(1 / 20), run, form="quad").status == "violated"
    assert cell.verify(bounds.convex_adagrad.scaled(1 / (1.01 * true.power)), run, form="quad").status == "violated"
    assert true.power < 9


@pytest.mark.parametrize(("batch", "tested"), [(1, {"bias"}), (64, {"bias", "noise"})])
def test_a_dropped_term_is_caught_exactly_where_the_verdict_says_so(grid, runs, batch, tested):
    label = f"convex_sgd d=100 T=1000 M={batch} dense/dense"
    cell, run = grid[label], runs[label]
    assert {t.name for t in cell.verify(run=run).terms if t.exercised} == tested
    for name in ("bias", "noise"):
        caught = cell.verify(bounds.convex_sgd.scaled(**{name: 0}), run).status == "violated"
        assert caught is (name in tested)


def test_simulation_equals_the_exact_gaps():
    """24 cells, three measures, five horizons, 4,000 replicas, Bonferroni: one false alarm in 1,000 such tests."""
    tested = 0
    for cell in setups.exact_grid():
        run = cell()
        for measure in ("gap", "mean_gap", "average_gap"):
            verdict = cell.verify(setups.exact_bound(measure), run, level=1e-3 / 72)
            assert verdict.status == "not contradicted", f"{cell.label}\n{verdict}"
            assert verdict.replicas == 4000 and len(verdict.slacks) == 5
            tested += 1
    assert tested == 72


def test_an_error_of_three_per_cent_in_an_equality_is_caught():
    cell = next(setups.exact_grid())
    run, exact = cell(), setups.exact_bound("mean_gap")
    assert cell.verify(exact.scaled(1.03), run).status == "violated"
    assert cell.verify(exact.scaled(0.97), run).status == "violated"


def test_cells_have_seeds_and_labels_of_their_own(grid):
    assert len({cell.seed for cell in grid.values()}) == len(grid)
    exact = list(setups.exact_grid())
    assert len({cell.label for cell in exact}) == len({cell.seed for cell in exact}) == 24


def test_unknown_bound_suggests_the_nearest():
    with pytest.raises(KeyError, match="no setup for a bound called 'convex_adagard'; did you mean 'convex_adagrad'"):
        setups.for_bound("convex_adagard")
