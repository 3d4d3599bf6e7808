"""Do the nonconvex bounds hold at their setups and over their grid, with the slacks that another program found?"""

import numpy as np
import pytest

from anisotropic import bounds, setups


@pytest.fixture(scope="module")
def verdicts():
    return {cell.label: cell.verify() for cell in setups.nonconvex_grid()}


@pytest.mark.parametrize("name", [name for name in setups.names() if name.startswith("nonconvex")])
def test_every_nonconvex_bound_holds_on_its_setup(name):
    verdict = setups.for_bound(name).verify()
    assert verdict.theorem == name and verdict.status == "not contradicted"
    assert 1 < verdict.slack < 60
    assert verdict.replicas > 2 or verdict.interval_kind == "exact"


def test_no_cell_of_the_nonconvex_grid_is_violated(verdicts):
    assert len(verdicts) == 144
    undecided = {label: v for label, v in verdicts.items() if v.status != "not contradicted"}
    assert all(v.status == "inconclusive" and label.startswith("nonconvex_sgd ") for label, v in undecided.items())
    assert all(v.slack > 1 for v in undecided.values()) and len(undecided) <= 8


@pytest.mark.parametrize(
    ("name", "tightest", "loosest"), [("nonconvex_sgd", 1.0, 1.7), ("nonconvex_signsgd", 1.1, 6.0)]
)
def test_slacks_lie_in_the_band_of_an_independent_program(verdicts, name, tightest, loosest):
    """Another implementation, from another start, found these smallest and largest ratios."""
    slacks = [v.slacks[-1] for label, v in verdicts.items() if label.startswith(f"{name} ")]
    assert len(slacks) == 24
    assert min(slacks) == pytest.approx(tightest, rel=0.1)
    assert max(slacks) == pytest.approx(loosest, rel=0.1)


def test_planted_falsehoods_are_caught():
    cell = setups.for_bound("nonconvex_signsgd")
    run = cell()
    assert cell.verify(run=run).status == "not contradicted"
    assert cell.verify(bounds.nonconvex_signsgd.scaled(0.8), run).status == "violated"
    assert cell.verify(bounds.nonconvex_signsgd.scaled(noise=0), run).status == "violated"


def test_objective_outside_the_hypotheses_is_refused():
    cell = setups.for_bound("nonconvex_adagrad")
    run = cell()
    assert "preset is 'nonconvex'" in cell.verify(bounds.convex_adagrad, run).summary
    assert cell.verify(bounds.nonconvex_sgd, run).status == "not applicable"
    assert np.all(run.status == "ok")
