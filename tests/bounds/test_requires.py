"""Hypotheses are checked on the facts of a run; each one that is not met is a sentence."""

import copy
import pickle
from dataclasses import replace

import pytest

from anisotropic.bounds import Bound, Requires
from anisotropic.bounds.symbols import T
from anisotropic.records import Facts

FACTS = Facts(
    dim=3,
    properties=("convex", "interior minimizer"),
    box=True,
    optimizer="adagrad",
    settings={"preset": "convex", "eps": 0.0},
    noise="gaussian",
    law="gaussian",
)
INTERIOR = {"convex", "interior minimizer"}
WANTED = Requires("adagrad", preset="convex", properties=INTERIOR, box=True, laws="gaussian", noises="gaussian")


def test_a_run_that_fits_leaves_nothing_to_say():
    assert WANTED.unmet(FACTS) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"optimizer": "adam"}, "the optimizer is 'adam'; the theorem is about adagrad"),
        ({"settings": {"preset": "torch"}}, "preset is 'torch'; the theorem needs 'convex'"),
        ({"properties": ["interior minimizer"]}, "not known to have the property 'convex'"),
        ({"properties": ["convex"]}, "not known to have the property 'interior minimizer'"),
        ({"box": False}, "not confined to a box"),
        ({"schedule": "inverse_sqrt"}, "the schedule is 'inverse_sqrt'; the theorem needs 'constant'"),
        ({"batch": "norm_test"}, "the batch is 'norm_test'; the theorem needs 'constant'"),
        ({"law": "heavy"}, "the law of the noise is 'heavy'; the theorem needs gaussian"),
        ({"noise": "affine"}, "the noise is 'affine'; the theorem needs gaussian"),
    ],
)
def test_each_unmet_hypothesis_is_one_sentence(change, sentence):
    told = WANTED.unmet(replace(FACTS, **change))
    assert len(told) == 1 and sentence in told[0]


def test_without_a_box_a_minimizer_is_interior():
    free = Requires("adagrad", properties={"convex", "interior minimizer"}, box=False)
    assert free.unmet(replace(FACTS, box=False, properties=("convex",))) == []
    assert "clipped to a box; the theorem is about unconstrained" in free.unmet(FACTS)[0]


def test_another_optimizer_is_not_also_asked_for_its_preset():
    assert len(WANTED.unmet(replace(FACTS, optimizer="sgd", settings={}))) == 1


def test_an_empty_requirement_asks_for_a_constant_step_and_batch_only():
    assert Requires().unmet(Facts(optimizer="anything")) == []
    assert Requires(schedule=None, batch=None).unmet(Facts(schedule="x", batch="y")) == []


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: Requires(properties="konvex"), ValueError, "property = 'konvex'; .* did you mean 'convex'"),
        (lambda: Requires(properties={"convex", "Separable"}), ValueError, "did you mean 'separable'"),
        (lambda: Requires(laws="gausian"), ValueError, "law = 'gausian'; .* did you mean 'gaussian'"),
        (lambda: Requires(preset="convx"), ValueError, "preset = 'convx'; .* did you mean 'convex'"),
        (lambda: Requires(optimizer="sgd"), TypeError, "no hypothesis 'optimizer'; did you mean 'optimizers'"),
        (lambda: Bound("b", "gap", "upper", 1 / T, requires={"optimizers": "sgd"}), TypeError, "expected an.Requires"),
    ],
)
def test_words_that_mean_nothing_are_refused_with_the_nearest(make, kind, words):
    with pytest.raises(kind, match=words):
        make()


def test_a_slip_in_the_name_of_an_optimizer_is_told_where_it_matters():
    """These names are open to one's own: a slip is letters that changed places, or nearly all of a known name."""
    told = Requires("sdg").unmet(Facts(optimizer="sgd"))
    assert told == ["the optimizer is 'sgd'; the theorem is about sdg; did you mean 'sgd'?"]
    assert "did you mean" not in Requires("power_adagrad").unmet(Facts(optimizer="adagrad"))[0]


def test_requirements_survive_pickle_and_copies():
    for twin in (pickle.loads(pickle.dumps(WANTED)), copy.deepcopy(WANTED), replace(WANTED, box=None)):
        assert replace(twin, box=True) == WANTED
