"""Do the bounds without a box, other than the nonconvex ones, hold on their setups?"""

import pytest

from anisotropic import bounds, setups

FREE = [n for n in setups.names() if not n.startswith("nonconvex") and setups.for_bound(n).objective.box is None]


@pytest.fixture(scope="module", params=FREE)
def setup_and_run(request):
    setup = setups.for_bound(request.param)
    return setup, setup()


def test_it_holds(setup_and_run):
    setup, run = setup_and_run
    verdict = setup.verify(run=run)
    assert verdict.theorem == setup.label and verdict.status == "not contradicted"
    assert 1 - 1e-9 <= verdict.slack < (500 if setup.label.endswith("free_hp") else 100)


def test_an_error_beyond_the_power_is_caught(setup_and_run):
    setup, run = setup_and_run
    power = setup.verify(run=run).power
    factor = 1.01 * power if setup.bound.kind == "lower" else 0.99 / power
    assert setup.verify(setup.bound.scaled(factor), run).status == "violated"


def test_they_are_there():
    assert {"pl_sgd", "sgd_separation_lower"} <= set(FREE) <= set(bounds)
