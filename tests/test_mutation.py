"""Is every bound, and every term, refuted once it is multiplied by less than what its worst known instance needs?

`docs/mutation.json` holds what a long search found (``make search``); here each instance is simulated again on random
numbers that the search did not see. Where the verdict rests on an interval, its level is 0.001.
"""

from functools import cache
from pathlib import Path

import pytest

from anisotropic import bounds
from anisotropic.evidence.search import FINAL_REPLICAS, read_mutation_table
from anisotropic.evidence.verdicts import ROUNDING

TABLE = {(n.bound, n.term): n for n in read_mutation_table(Path(__file__).parents[1] / "docs" / "mutation.json")}
#: Terms that need less than this are not tried: what is left of them is within the noise of a simulation.
LEAST = 0.05
WHOLE = [bound for bound, term in TABLE if not term]
NEEDED = [key for key, need in TABLE.items() if key[1] and need.factor > LEAST]
FRESH = 4711


@cache
def simulated(bound, term):
    """The setup of the worst instance, and its run; terms of a bound often share one."""
    instance = TABLE[bound, term].instance
    shared = next(other for other, need in TABLE.items() if need.instance == instance)
    if shared != (bound, term):
        return simulated(*shared)
    setup = instance.setup()
    return setup, setup(replicas=FINAL_REPLICAS if setup.noise.law != "none" else 2, seed=FRESH)


def status(key, factor=1.0, **factors):
    setup, run = simulated(*key)
    return setup.verify(setup.bound.scaled(factor, **factors), run, form=TABLE[key].form).status


def test_every_bound_was_searched():
    assert set(WHOLE) == set(bounds)


@pytest.mark.parametrize("name", WHOLE)
def test_every_term_was_searched(name):
    setup, run = simulated(name, "")
    terms = [check.name for check in setup.verify(run=run, form=TABLE[name, ""].form).terms]
    assert len(terms) < 2 or set(terms) <= {term for bound, term in TABLE if bound == name}


def test_no_instance_found_refutes_a_bound():
    assert max(need.factor for need in TABLE.values()) <= 1 + ROUNDING


@pytest.mark.parametrize("name", WHOLE)
def test_bound_below_its_factor_is_refuted(name):
    planted = 0.9 * TABLE[name, ""].factor
    assert status((name, "")) != "violated"
    assert status((name, ""), 1 / planted if bounds[name].kind == "lower" else planted) == "violated"


@pytest.mark.parametrize("key", NEEDED, ids="/".join)
def test_term_below_its_factor_is_refuted(key):
    assert status(key) != "violated"
    assert status(key, **{key[1]: 0.9 * TABLE[key].factor}) == "violated"
