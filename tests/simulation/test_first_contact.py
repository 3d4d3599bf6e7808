"""What does a newcomer's slip answer? A sentence that says what was given, what was expected and what to write."""

from typing import NamedTuple

import numpy as np
import pytest
from faults import noises, objectives, updates

import anisotropic as an
from anisotropic.records import vocabulary

F, SGD = an.problems.quadratic([1.0, 0.5]), an.optimizers.sgd(0.1)


def simulate(objective=F, optimizer=SGD, **changes):
    setting = dict(noise=an.noises.gaussian(0.1), start=0.0, steps=3, batch_size=2, replicas=2) | changes
    return an.simulate(objective, optimizer, **setting)


class Growth(NamedTuple):
    factor: float


def grow(batch, gradient, variance, projected_variance, population, t, history, rule):
    return batch * rule.factor


def rule(**fields):
    return an.BatchRule("geometric", grow, Growth(1.5), **fields)


@an.leaf
def five_arguments(w, gradient, state, step_size, t):
    w -= step_size * gradient


@an.leaf
def two_arguments(w, params):
    return 0.0


SLIPS = {
    # in place of a noun
    "a name": (lambda: simulate(optimizer="adagrad"), TypeError, r"expected an Optimizer.*an.optimizers.adagrad\("),
    "a misspelt name": (lambda: simulate(optimizer="adagard"), TypeError, "did you mean 'adagrad'"),
    "a factory": (lambda: simulate(optimizer=an.optimizers.adagrad), TypeError, "adagrad is a factory; call it first"),
    "a factory of problems": (lambda: simulate(an.problems.quadratic), TypeError, "quadratic is a factory; call it"),
    "a factory of noises": (lambda: simulate(noise=an.noises.gaussian), TypeError, "gaussian is a factory; call it"),
    "a factory of rules": (lambda: simulate(batch_size=an.batching.norm_test), TypeError, "norm_test is a function"),
    "a factory for a method of horizons": (
        lambda: an.steps_to_target(F, an.optimizers.sgd, target=0.1, max_steps=9, noise=an.noises.none(), start=0.0),
        TypeError, "sgd is a factory; call it first",
    ),
    "swapped": (lambda: simulate(SGD, F), TypeError, r"are swapped; write simulate\(objective, optimizer"),
    "a number for a noise": (lambda: simulate(noise=0.1), TypeError, r"expected a Noise, such as an.noises.gaussian\("),
    "no noise": (lambda: simulate(noise=None), TypeError, "noise = None; expected a Noise"),
    "a list of measures": (lambda: simulate(measures=["gap"]), TypeError, "expected a mapping of names to compiled"),
    # numbers
    "no seed": (lambda: simulate(seed=None), ValueError, "seed = None; expected a whole number from 0 to 2"),
    "a seed in words": (lambda: simulate(seed="a"), ValueError, "seed = 'a'; expected a whole number"),
    "two seeds": (lambda: simulate(seed=np.array([1, 2])), ValueError, "expected a whole number from 0"),
    "a generator": (lambda: simulate(seed=np.random.default_rng(0)), ValueError, "expected a whole number from 0"),
    "a huge batch": (lambda: simulate(batch_size=10**20), ValueError, "batch_size = 10+; expected at most"),
    "a quarter of a sample": (lambda: simulate(batch_size=0.25), ValueError, "batch_size = 0.25; expected a whole"),
    "a matrix": (lambda: an.problems.quadratic(np.eye(2)), ValueError, r"expected the eigenvalues.*rotation="),
    "a covariance": (lambda: an.noises.gaussian(np.eye(2)), ValueError, r"sigma has shape \(2, 2\); expected"),
    "complex numbers": (lambda: an.problems.quadratic([1 + 1j]), ValueError, "is complex.*pass curvature.real"),
    "a complex start": (lambda: simulate(start=np.array([0.1j, 0.0])), ValueError, "start is complex"),
    "masked": (lambda: an.problems.quadratic(np.ma.array([1.0, 0.5], mask=[0, 1])), ValueError, "has masked entries"),
    "text": (lambda: an.optimizers.sgd("0.1"), ValueError, "step_size = '0.1'; expected a number"),
    "no number": (lambda: an.problems.quadratic(None), ValueError, "curvature = None; expected a number"),
    "a function for a step size": (lambda: an.optimizers.sgd(abs), TypeError, "expected a positive number.*a schedule"),
    "complex constants": (lambda: an.bounds.convex_sgd(L=1 + 1j, sigma=1, R=1, T=9, M=1), ValueError, "L is complex"),
    # parameters and functions
    "a dict for params": (
        lambda: an.Optimizer("mine", updates.descent, {"beta": 0.9}, step_size=0.1), TypeError,
        r"is a dict; compiled code needs a NamedTuple: write `class Params\(NamedTuple\): beta: float`",
    ),
    "a tuple for params": (lambda: an.Noise("mine", noises.sound, (1.0,)), TypeError, "expected a NamedTuple"),
    "a list in params": (
        lambda: objectives.objective(params=objectives.Curvature([1.0, 2.0, 3.0])), TypeError,
        r"params.h of the objective is a list; .* np.array\(h, dtype=float\)",
    ),
    "text in params": (
        lambda: objectives.objective(params=objectives.Curvature(np.array(["a"]))), TypeError, "expected real numbers"
    ),
    "one argument too few": (
        lambda: an.Optimizer("mine", five_arguments, step_size=0.1), TypeError,
        r"takes 5 arguments .*; it is called with 6: \(w, gradient, state, step_size, t, params\)",
    ),
    "value for gradient": (lambda: objectives.objective(gradient=two_arguments), TypeError, "called with 3: .w, para"),
    "a rule of two arguments": (lambda: an.BatchRule("mine", two_arguments), TypeError, "called with 8: .batch"),
    "a lambda": (lambda: an.Noise("mine", lambda *a: None), TypeError, "write @an.leaf above a function at the top"),
    "a list of states": (
        lambda: an.Optimizer("mine", updates.descent, step_size=0.1, state=["m"]), TypeError, "expected a mapping of"
    ),
    # words
    "a property": (lambda: objectives.objective(properties={"Convex"}), ValueError, "did you mean 'convex'"),
    "a law": (lambda: an.Noise("mine", noises.sound, law="gausian"), ValueError, "did you mean 'gaussian'"),
    "a form": (lambda: an.batching.norm_test(0.5, "plugin"), ValueError, "form = 'plugin'; .* did you mean 'plug_in'"),
    "a preset": (lambda: an.optimizers.adagrad(0.1, preset="tourch"), ValueError, "did you mean 'torch'"),
    # fields of records
    "a start of -3": (lambda: rule(start=-3), ValueError, "start = -3; expected a whole number of at least 1"),
    "a start of 1": (lambda: rule(start=1), ValueError, "the variance of a batch of one is not defined"),
    "a cap below the start": (lambda: rule(start=8, max_batch=4), ValueError, "max_batch = 4 is below the start 8"),
    "an interval of 0": (lambda: rule(interval=0), ValueError, "interval = 0; expected a whole number"),
    "half a slot": (lambda: rule(slots=0.5), ValueError, "slots = 0.5; expected a whole number of at least 0"),
    "an unbiased oracle": (lambda: rule(exact=True, form="unbiased"), ValueError, "contradict each other"),
    "a decision that is none": (lambda: an.BatchRule("mine", 3), TypeError, "expected a function that returns"),
    "slots of a schedule": (
        lambda: an.Schedule("mine", updates.six_slots, slots=-1), ValueError, "slots = -1; expected a whole number"
    ),
    "a minimizer outside of the box": (
        lambda: objectives.objective(box=(-1, 1), minimizer=2.0), ValueError, r"minimizer\[0\] = 2 lies outside the box"
    ),
    "rows without a function": (lambda: objectives.objective(samples=4), ValueError, "belong together"),
    "a negative PL constant": (lambda: objectives.objective(pl_constant=-1.0), ValueError, "pl_constant = -1; exp"),
    "a minimum of NaN": (lambda: objectives.objective(minimum=np.nan), ValueError, "minimum = nan; expected a finite"),
    "sigma below zero": (lambda: an.Noise("mine", noises.sound, sigma=-1.0), ValueError, r"sigma\[0\] = -1; expected"),
    "a cap of half a sample": (lambda: an.Noise("mine", noises.sound, max_batch=0.5), ValueError, "max_batch = 0.5"),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_answers_with_a_sentence(slip):
    act, kind, words = SLIPS[slip]
    with pytest.raises(kind, match=words):
        act()


def test_an_exact_rule_may_start_from_one_sample_and_has_one_name():
    for made in (rule(start=1, exact=True), rule(start=1, form="exact")):
        assert made.exact and made.form == "exact" and made.start == 1
    assert not rule().exact and rule().form == "plug_in"


def test_a_growing_batch_starts_where_it_is_told():
    run = simulate(F, an.optimizers.adagrad(1.0), batch_size=rule(start=2), steps=4)
    assert run.batch_size[0].tolist() == [2.0, 3.0, 5.0, 8.0]  # 2 * 1.5 = 3, 4.5 -> 5, 7.5 -> 8


def test_tensors_are_numbers():
    torch = pytest.importorskip("torch")
    for options in ({}, {"requires_grad": True}, {"dtype": torch.bfloat16}):
        values = torch.tensor([1.0, 0.5], **options)
        assert an.problems.quadratic(values).smoothness.tolist() == [1.0, 0.5]
        assert an.noises.gaussian(values).sigma.tolist() == [1.0, 0.5]
        method = an.optimizers.sgd(torch.tensor([0.1, 0.2], dtype=torch.float64))
        assert method.step_size.tolist() == [0.1, 0.2] and "0.1..0.2" in repr(method)
        assert simulate(start=0.5 * values).start.tolist() == [0.5, 0.25]
    with pytest.raises(TypeError, match="params.h of the objective is a Tensor"):
        objectives.objective(params=objectives.Curvature(torch.ones(3)))


def test_the_vocabulary_has_the_words_of_the_package():
    from anisotropic.optimizers.vector import PRESETS

    made = {n for n in vars(an.optimizers) if getattr(getattr(an.optimizers, n), "__annotations__", {}).get("return") ==
            "Optimizer"}  # fmt: skip
    assert made >= set(vocabulary.OPTIMIZERS) and tuple(PRESETS) == vocabulary.PRESETS
    laws = {an.noises.gaussian(1.0).law, an.noises.rademacher(1.0).law, an.noises.student_t(1.0, 3.0).law,
            an.noises.minibatch().law, an.noises.none().law}  # fmt: skip
    assert laws == set(vocabulary.LAWS)


def test_one_word_is_a_property_as_well_as_a_set_of_them():
    assert objectives.objective(properties="convex").properties == {"convex"}
