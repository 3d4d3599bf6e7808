"""Is a race the protocol written out by hand: tuned on one seed, reported on another, paired, with edges flagged?"""

import dataclasses

import numpy as np
import pytest

import anisotropic as an
from anisotropic.evidence.entries import Entry

H = 1 / np.arange(1.0, 9) ** 2
F = an.problems.quadratic(H, center=0.9, box=(-1, 1))
COMMON = dict(noise=an.noises.gaussian(np.sqrt(H)), start=0.0, batch_size=4, seed=6)
GRIDS = {"sgd": [0.25, 0.5, 1.0], "adagrad": [0.25, 0.5, 1.0, 2.0]}
METHODS = {m: an.Method(getattr(an.optimizers, m), g, an.bounds[f"convex_{m}"]) for m, g in GRIDS.items()}


@pytest.fixture(scope="module")
def found():
    return an.race(F, METHODS, samples=400, replicas=40, records=3, level=0.01, **COMMON)


def test_a_tuned_entry_is_tune_and_simulate_by_hand(found):
    for name, method in METHODS.items():
        tuning = an.tune(F, method.make, method.grid, steps=100, replicas=10, **COMMON | {"seed": 7})
        run = an.simulate(F, method.make(tuning.best), steps=100, replicas=40, **COMMON)
        entry = found.tuned[name]
        assert (entry.step_size, entry.at_edge, entry.tried) == (tuning.best, tuning.at_edge, len(method.grid))
        np.testing.assert_array_equal(entry.values, run.mean_gap[:, -1])


def test_a_theorem_entry_has_the_step_size_of_the_theorem_and_its_verdict(found):
    step_size = an.bounds.convex_sgd.tuned_step_size(L=H, sigma=np.sqrt(H), R=0.9, T=100, M=4)
    entry = found.theorem["sgd"]
    assert entry.step_size == pytest.approx(step_size, rel=1e-12) and entry.verdict.theorem == "convex_sgd"
    run = an.simulate(F, an.optimizers.sgd(entry.step_size), steps=100, replicas=40, records=3, **COMMON)
    assert entry.verdict == an.verify(an.bounds.convex_sgd, run)
    assert found.theorem["adagrad"].claim == an.verify(an.bounds.convex_adagrad, found.theorem["adagrad"].run).bound


def test_ratios_are_paired_by_replica(found):
    ours, theirs = found.tuned["adagrad"].values, found.tuned["sgd"].values
    assert found.ratio("adagrad") == an.intervals.ratio_interval(ours, theirs, 0.01)
    assert found.ratio("sgd", "adagrad").estimate == pytest.approx(1 / found.ratio("adagrad").estimate, rel=1e-12)


def test_a_stored_race_comes_back(found):
    back = an.Race.from_arrays(found.arrays())
    assert str(back) == str(found) and back.ratio("adagrad") == found.ratio("adagrad")
    assert back.theorem["adagrad"].verdict == found.theorem["adagrad"].verdict


def test_a_race_of_sgd_and_adagrad_asks_for_the_control(found):
    assert any("AdaGrad-Norm, the control, is not in this race" in note for note in found.notes())
    norm = {"adagrad_norm": an.Method(an.optimizers.adagrad_norm, [1.0, 2.0])}
    assert not any("control" in n for n in an.race(F, METHODS | norm, steps=3, replicas=2, **COMMON).notes())


def test_iterations_to_a_target_and_their_ratio():
    """Noiseless SGD with step sizes 1/2 and 1/4 on x^2/2 divides the gap by 4 and 16/9: 3 and 7 to 1/100."""
    f = an.problems.quadratic(1.0)
    methods = {"fast": an.Method(an.optimizers.sgd, [0.5]), "slow": an.Method(an.optimizers.sgd, [0.25])}
    found = an.race(f, methods, noise=an.noises.none(), start=1.0, batch_size=1, steps=50, target=0.01, measure="gap",
                    replicas=3, reference="fast")  # fmt: skip
    assert [found.tuned[m].reach.steps for m in methods] == [3.0, 7.0]
    ratio = found.steps_ratio("slow")
    assert (ratio.estimate, ratio.low, ratio.high) == (7 / 3, 7 / 3, 7 / 3)
    with pytest.raises(ValueError, match="was run to a target; compare iterations with steps_ratio"):
        found.ratio("slow")
    with pytest.raises(ValueError, match="this race has no target"):
        dataclasses.replace(found, entries=(Entry("fast", "tuned", 0.5, np.ones(3)),)).steps_ratio("fast")


def test_the_step_size_of_a_theorem_follows_the_horizon_in_a_race_to_a_target():
    methods = {"sgd": an.Method(an.optimizers.sgd, bound=an.bounds.convex_sgd)}
    f, noise = an.problems.quadratic(1.0), an.noises.gaussian(3.0)
    found = an.race(f, methods, noise=noise, start=1.0, batch_size=1, steps=4096, target=0.5, replicas=16)
    entry = found.theorem["sgd"]
    known = dict(L=1.0, sigma=3.0, R=1.0, M=1)
    assert entry.step_size == an.bounds.convex_sgd.tuned_step_size(T=int(entry.reach.steps), **known)
    assert entry.step_size > an.bounds.convex_sgd.tuned_step_size(T=4096, **known)


def test_a_target_that_nobody_reaches_is_said():
    methods = {"sgd": an.Method(an.optimizers.sgd, [1e-6, 2e-6])}
    found = an.race(an.problems.quadratic(1.0), methods, noise=an.noises.none(), start=1.0, batch_size=1, steps=5,
                    target=0.01, measure="gap", replicas=2)  # fmt: skip
    assert np.isnan(found.tuned["sgd"].reach.steps)
    assert "No tuned step size of sgd reached the target in 5 iterations" in str(found)


def test_a_grid_on_which_everything_diverges_is_an_entry_that_says_so():
    methods = {"sgd": an.Method(an.optimizers.sgd, [1e200, 1e250]), "adagrad": an.Method(an.optimizers.adagrad, [0.5])}
    f = an.problems.quadratic([1.0, 0.5])
    found = an.race(f, methods, noise=an.noises.none(), start=1.0, batch_size=1, steps=400, replicas=3)
    lost = found.tuned["sgd"]
    assert np.isnan(lost.values).all() and np.isnan(lost.step_size) and lost.diverged == lost.tried == 2
    assert np.isnan(found.ratio("sgd", "adagrad").estimate)
    assert "Every step size on the grid of sgd diverged" in str(found) and "diverged" in str(found)
    assert str(an.Race.from_arrays(found.arrays())) == str(found)


def test_a_grid_of_one_entry_tunes_nothing(found):
    alone = an.race(F, {"sgd": an.Method(an.optimizers.sgd, [0.5])}, steps=5, replicas=2, **COMMON)
    assert alone.edges() == ["sgd"] and "has one step size, so nothing was tuned" in str(alone)


def test_misranking_needs_a_decided_measurement_and_unequal_bounds():
    def made(values, claims):
        entries = tuple(Entry(m, "theorem", 1.0, v, claim=c) for m, v, c in zip("ab", values, claims, strict=True))
        return an.Race(entries, "b", "gap", 1, 1, 4, None, 0.05)

    small, large = np.array([1.0, 1.1, 0.9, 1.0]), np.array([2.0, 2.1, 1.9, 2.0])
    assert made((small, large), (3.0, 2.0)).misranked("a") is True
    assert made((small, large), (2.0, 3.0)).misranked("a") is False
    assert made((small, small[::-1]), (2.0, 3.0)).misranked("a") is None
    assert made((small, large), (2.0, 2.0)).misranked("a") is None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"steps": 5, "samples": 20}, "give either samples .* or steps"),
        ({}, "give either samples"),
        ({"samples": 3}, "samples = 3 is less than one batch of 4; raise samples"),
        ({"steps": 5, "reference": "adam"}, "reference = 'adam' is not among the methods sgd, adagrad"),
        ({"steps": 5, "methods": {}}, r"methods = \{\}; expected a mapping such as"),
        ({"steps": 5, "methods": {"sgd": an.Method(an.optimizers.sgd)}}, "neither a grid nor a bound"),
        ({"steps": 5, "level": 2.0}, "level = 2.0; expected a probability"),
        ({"steps": 5, "target": -1.0}, "target = -1; expected a finite number above 0"),
        ({"steps": 5, "methods": {"sgd": an.Method(an.optimizers.sgd, [1.0, 0.5])}}, "expected increasing positive"),
    ],
)
def test_wrong_arguments_are_answered_with_a_sentence(change, sentence):
    arguments = {"methods": METHODS, "replicas": 4, **COMMON} | change
    with pytest.raises(ValueError, match=sentence):
        an.race(F, arguments.pop("methods"), **arguments)
    with pytest.raises(TypeError, match=r"expected an.Method\(factory, grid\)"):
        an.race(F, {"sgd": an.optimizers.sgd}, steps=3, **COMMON)


def test_unknown_entries_suggest_the_nearest(found):
    with pytest.raises(ValueError, match="no tuned entry of 'adagard'; .*did you mean 'adagrad'"):
        found.ratio("adagard")
    with pytest.raises(ValueError, match="kind = 'best'; expected 'tuned' or 'theorem'"):
        found.of("best")
