"""Is every bound, term and constant refuted once it is multiplied by less than what its worst known instance needs?

`docs/mutation.json` holds what a long search found (``make search``); here each instance is simulated again on random
numbers that the search did not see. Where the verdict rests on an interval, its level is 0.001.
"""

from functools import cache
from pathlib import Path

import pytest

from anisotropic import bounds
from anisotropic.evidence.families import affordable
from anisotropic.evidence.mutations import read_mutation_table
from anisotropic.evidence.search import FINAL_REPLICAS
from anisotropic.evidence.verdicts import ROUNDING

ROWS = read_mutation_table(Path(__file__).parents[1] / "docs" / "mutation.json")
TABLE = {(n.bound, n.term, n.cause): n for n in ROWS}
#: Terms that need less than this are not tried: what is left of them is within the noise of a simulation.
LEAST = 0.05
WHOLE = [name for name, *parts in TABLE if parts == ["", ""]]
TERMS = [key for key, need in TABLE.items() if key[1] and need.factor > LEAST]
CAUSES = [key for key, need in TABLE.items() if key[2] and need.factor > LEAST]
FRESH = 4711


@cache
def simulated(*key):
    """The setup of the worst instance, and its run; terms of a bound often share one."""
    instance = TABLE[key].instance
    shared = next(other for other, need in TABLE.items() if need.instance == instance)
    if shared != key:
        return simulated(*shared)
    setup = instance.setup()
    return setup, setup(replicas=affordable(setup, FINAL_REPLICAS), seed=FRESH)


def status(key, factor=1.0, constants=(), **factors):
    setup, run = simulated(*key)
    return setup.verify(setup.bound.scaled(factor, **factors), run, form=TABLE[key].form, **dict(constants)).status


def test_every_bound_was_searched():
    assert set(WHOLE) == set(bounds)


@pytest.mark.parametrize("name", WHOLE)
def test_every_term_was_searched(name):
    key = (name, "", "")
    setup, run = simulated(*key)
    terms = [check.name for check in setup.verify(run=run, form=TABLE[key].form).terms]
    assert len(terms) < 2 or set(terms) <= {term for bound, term, _ in TABLE if bound == name}


def test_no_instance_found_refutes_a_bound():
    assert max(need.factor for need in TABLE.values()) <= 1 + ROUNDING


@pytest.mark.parametrize(
    ("name", "least"), [("nonconvex_signsgd", 0.96), ("nonconvex_signsgd_gaussian", 0.988), ("convex_sgd_proj", 0.90)]
)
def test_noise_terms_that_theory_says_are_needed(name, least):
    """A slope as large as the noise; one of 0.752 sigma under a Gaussian error; slow return to an active corner."""
    assert TABLE[name, "noise", ""].factor >= least


@pytest.mark.parametrize("name", WHOLE)
def test_bound_below_its_factor_is_refuted(name):
    key = (name, "", "")
    planted = 0.9 * TABLE[key].factor
    assert status(key) != "violated"
    assert status(key, 1 / planted if bounds[name].kind == "lower" else planted) == "violated"


@pytest.mark.parametrize("key", TERMS, ids="/".join)
def test_term_below_its_factor_is_refuted(key):
    assert status(key) != "violated"
    assert status(key, **{key[1]: 0.9 * TABLE[key].factor}) == "violated"


@pytest.mark.parametrize("key", CAUSES, ids="/".join)
def test_constant_below_its_factor_is_refuted(key):
    """The theorem is given a constant that is too small, everywhere that it stands."""
    setup, run = simulated(*key)
    value = run.constants()[key[2]]
    assert status(key) != "violated"
    assert status(key, constants={key[2]: 0.9 * TABLE[key].factor * value}) == "violated"
