"""Does the search find what is known to be there, on random numbers of its own, and repeat it from a file?"""

import json
from functools import partial
from typing import ClassVar

import numpy as np
import pytest

from anisotropic import bounds, noises, optimizers, problems
from anisotropic.bounds.symbols import Delta, G_norm, L, L_max, R, R_norm, T, largest, total, uniform_step_size
from anisotropic.bounds.theorem import Bound, Requires, Solver
from anisotropic.evidence import families, mutations
from anisotropic.evidence.mutations import mutation_table, read_mutation_table
from anisotropic.evidence.scores import WHOLE, Need, scores
from anisotropic.evidence.search import FINAL_REPLICAS, Search, measured, search_worst_case
from anisotropic.evidence.setups import Setup
from anisotropic.evidence.verdicts import verify

DESCENT = Bound(
    "descent", "mean_gap", "upper", {"bias": total(R**2) / (2 * uniform_step_size * T)},
    conditions=[uniform_step_size <= 1 / largest(L)],
    requires=Requires(optimizers="sgd", properties="convex", noises="none"),
)


def valley(bound, at):
    """Noiseless gradient descent on x^2/2 with step s: measured / bound is (1 - (1 - s)^(2 T)) / (2 - s)."""
    method = optimizers.sgd(at["step_size"])
    return Setup(bound, problems.quadratic(1.0), method, noises.none(), 1.0, round(at["steps"]),
                 replicas=1, records=4)  # fmt: skip


VALLEY = families.Family("valley", lambda bound: {"step_size": (0.05, 2.0), "steps": (1.0, 30.0)}, valley)


@pytest.fixture(scope="module")
def halved(tmp_path_factory):
    path = tmp_path_factory.mktemp("search") / "worst.json"
    return search_worst_case(bounds.convex_sgd.scaled(0.5), budget=48, seed=5, path=path), path


def test_known_worst_case_of_a_family_is_found():
    """Of all steps in (0, 1] the worst is 1, where the bound is an equality; larger ones violate the condition."""
    instance, ratio, interval = search_worst_case(DESCENT, VALLEY, budget=150, seed=1)
    step_size = instance.point["step_size"]
    assert 0.98 < step_size <= 1.0
    assert interval.low < ratio < interval.high, "without noise, up to what double precision resolves"
    assert interval.high - interval.low < 1e-11
    assert ratio == pytest.approx((1 - (1 - step_size) ** (2 * instance.steps)) / (2 - step_size), rel=1e-12)


def test_false_bound_is_refuted_beyond_doubt(halved):
    (instance, ratio, interval), _ = halved
    assert ratio >= interval.low > 1
    run = instance(replicas=512, seed=99)
    assert verify(instance.bound, run).status == "violated"
    assert verify(bounds.convex_sgd, run).status != "violated"


def test_true_bound_is_not_refuted():
    _, ratio, interval = search_worst_case(bounds.convex_sgd, budget=48, seed=5)
    assert 0.5 < ratio <= 1.001 and interval.low <= 1


def test_ratio_comes_from_random_numbers_that_the_search_did_not_see(halved):
    (instance, ratio, _), _ = halved
    run = instance(replicas=FINAL_REPLICAS, seed=5 + 2)
    assert ratio == pytest.approx(run.mean_gap[:, -1].mean() / instance.bound(**run.constants()), rel=1e-12)


def test_instance_is_repeated_from_its_file(halved):
    (instance, _, _), path = halved
    again = families.load_instance(path, instance.bound)
    assert again == instance
    assert np.array_equal(again(replicas=8, seed=3).gap, instance(replicas=8, seed=3).gap)
    assert families.load_instance(path).bound is bounds.convex_sgd


def test_same_seed_same_search():
    first, again, other = (search_worst_case(DESCENT, VALLEY, budget=24, seed=k).instance for k in (7, 7, 8))
    assert first.point == again.point != other.point


def test_file_of_another_family_is_refused(tmp_path):
    path = search_worst_case(DESCENT, VALLEY, budget=10).instance.save(tmp_path / "x.json")
    with pytest.raises(ValueError, match="family 'valley' is not one of huber, matrix; pass your own by family="):
        families.load_instance(path, DESCENT)
    assert families.load_instance(path, DESCENT, VALLEY).family is VALLEY


def test_family_outside_the_hypotheses_is_refused():
    steep = families.Family("steep", lambda bound: {"step_size": (1.5, 2.0), "steps": (1.0, 9.0)}, valley)
    said = r"none of \d+ instances of family 'steep' satisfies the hypotheses of descent \(the last one: .*1\.\d+ aga"
    with pytest.raises(ValueError, match=said):
        search_worst_case(DESCENT, steep, budget=30)


def test_optimizer_that_the_family_does_not_know_is_refused():
    needy = Bound("needy", "gap", "upper", {"bias": 1 / T}, requires=Requires(optimizers="heavy_ball"))
    with pytest.raises(ValueError, match="family 'huber' has no optimizer 'heavy_ball'; pass make_optimizer="):
        search_worst_case(needy, budget=5)


@pytest.mark.parametrize("name", list(bounds))
def test_points_of_the_family_lie_inside_the_assumptions_often_enough(name):
    """Without simulating: the objective, noise and optimizer of random points are what the bound asks for."""
    bound, generator = bounds[name], np.random.default_rng(0)
    family = families.family_of(bound)
    axes = family.axes(bound)
    low, high = np.array(list(axes.values())).T
    for x in low + (high - low) * generator.random((5, low.size)):
        setup = family.build(bound, dict(zip(axes, x, strict=True)))
        assert setup.optimizer.name in bound.requires.optimizers
        assert bound.requires.properties <= setup.objective.properties | {"interior minimizer"}
        assert bound.requires.box is None or (setup.objective.box is not None) == bound.requires.box


# ---- what the family holds -------------------------------------------------------------------------------------------


def points(name, **places):
    """The setup of the middle of the box, with some axes elsewhere."""
    axes = families.HUBER.axes(bounds[name])
    assert set(places) <= set(axes)
    return families.HUBER.build(bounds[name], {k: sum(side) / 2 for k, side in axes.items()} | places)


def test_family_has_noise_laws_horizons_and_corners():
    assert {points("convex_sgd", law=k + 0.5).noise.name for k in range(4)} == {"two_point", "two_phase", "affine"}
    assert points("convex_sgd", law=1.5).noise.params.jump_probability == 0.5
    rare = points("convex_adagrad", law=0.5, skew=0.02, log10_rare=-4.0).noise.params.jump_probability
    assert rare == pytest.approx(2e-6) and rare < 1 / points("convex_adagrad", dim=1.0, log2_steps=16.61).steps
    often = points("convex_adagrad", law=0.5, skew=0.98, log10_rare=-4.0).noise.params.jump_probability
    assert 1 - often == pytest.approx(2e-6)
    phases = points("nonconvex_adagrad", law=2.5, dim=1.0, log2_steps=10.0, first_phase=0.5).noise.params
    assert phases.first_phase == 32
    assert points("convex_sgd", law=3.5, log10_rho=0.0).noise.rho == 1.0
    assert "law" not in families.HUBER.axes(bounds.nonconvex_signsgd_gaussian)
    assert families.HUBER.axes(bounds.convex_diag_sgd)["law"][1] > 3  # a bound with rho has affine noise,
    assert families.HUBER.axes(bounds.nonconvex_signsgd)["law"][1] < 3  # one for rho = 0 has not
    corner = points("convex_sgd_proj", box=1.0, centre=2.0, start=1.0)
    assert corner.objective.box[1][0] == 1.0 and np.all(corner.objective.minimizer == 1.0)
    assert points("convex_sgd_proj", box=0.0).objective.box is None


@pytest.mark.parametrize("dim", [1.0, 6.5])
def test_long_trajectories_have_fewer_replicas(dim):
    setup = points("nonconvex_signsgd", dim=dim, log2_steps=16.61)
    updates = setup.steps * setup.objective.dim
    assert 0.99e5 < updates <= 1e5
    assert families.affordable(setup, 10**4) * updates <= families.FULL * 10**4
    assert families.affordable(setup, 16) == families.FEWEST
    assert families.affordable(points("nonconvex_signsgd", log2_steps=9.0), 100) == 100
    assert families.affordable(setup.with_(noise=noises.none()), 100) == 2


@pytest.mark.parametrize(
    ("name", "least"), [("nonconvex_signsgd", 0.96), ("nonconvex_signsgd_gaussian", 0.988), ("convex_sgd_proj", 0.90)]
)
def test_instances_known_from_theory_come_near_the_noise_terms(name, least):
    """No search: random walk on a slope, the costliest slope under a Gaussian error, heavy traffic at a corner."""
    bound, need = bounds[name], Need("noise")
    anchors = [families.Instance(bound, families.HUBER, at, round(2 ** at["log2_steps"]))
               for at in families.HUBER.anchors(bound)[:3]]  # fmt: skip
    assert max(measured(x, FINAL_REPLICAS, 3, 1e-3)[need].value for x in anchors) >= least


def test_points_written_before_an_axis_was_there_are_placed():
    axes = families.HUBER.axes(bounds.convex_adagrad)
    old = {k: side[0] for k, side in axes.items() if k not in families.HUBER.neutral or k == "centre"}
    search = Search(bounds.convex_adagrad, families.HUBER, 0, [old, {"dim": 1.0}])
    placed = search.point(search.known[-1])
    assert len(search.known) == len(families.HUBER.anchors(bounds.convex_adagrad)) + 1
    assert {k: placed[k] for k in old} == old and placed["log10_rare"] == 0.0
    same = [families.HUBER.build(bounds.convex_adagrad, at)(replicas=4, seed=1).gap for at in (old, placed)]
    assert np.array_equal(*same)


# ---- scaled constants ------------------------------------------------------------------------------------------------


def test_a_constant_is_scaled_everywhere_in_the_bound():
    """R^2 / (2 s T): the bound with c R is c^2 times as large, so that c is the root of measured / bound."""
    found = scores(DESCENT, valley(DESCENT, {"step_size": 0.7, "steps": 20})(replicas=2), {}, 1e-3)
    assert found[Need(cause="R")].value == pytest.approx(np.sqrt(found[WHOLE].value), abs=2e-5)
    assert set(found) == {WHOLE, Need(cause="R")}  # L stands in a condition alone


def test_a_constant_in_two_terms_is_scaled_in_both():
    """L a + L^2 b = m has the root (sqrt(a^2 + 4 b m) - a) / (2 b)."""
    both = Bound("both", "gap", "upper", {"one": 3 * L_max, "two": 5 * L_max**2},
                 requires=Requires(optimizers="sgd", noises="none"))  # fmt: skip
    found = scores(both, valley(both, {"step_size": 0.5, "steps": 3})(replicas=2, records=1), {}, 1e-3)
    gap = 0.5 * 0.25**3
    assert found[WHOLE].value == pytest.approx(gap / 8)
    assert found[Need(cause="L")].value == pytest.approx((np.sqrt(9 + 20 * gap) - 3) / 10, abs=2e-5)


def test_a_form_without_a_solution_is_left_out():
    """A form that is solved for may have no solution: at early records it is skipped, everywhere it is no form."""
    def solve(first, values):
        if values["T"] < first:
            raise ValueError("no solution")
        return {"all": 0.25}

    def brittle(first):
        forms = {"plain": {"all": 10 / T}, "brittle": Solver(partial(solve, first), (T,))}
        return Bound("two", "gap", "upper", forms=forms, horizon=False, requires=DESCENT.requires)

    run = valley(DESCENT, {"step_size": 0.5, "steps": 20})(replicas=2, records=8)
    late = scores(brittle(4), run, {}, 1e-3)[WHOLE]
    assert (late.form, late.steps) == ("brittle", int(min(t for t in run.steps if t >= 4)))
    assert scores(brittle(99), run, {}, 1e-3)[WHOLE].form == "plain"


# ---- a method of one's own -------------------------------------------------------------------------------------------

HALF = Bound("half", "mean_gap", "upper", Delta / 2, conditions=[uniform_step_size <= 0.1 / L_max],
             requires=Requires(optimizers="heavy_ball", noises="none", box=False))  # fmt: skip


def heavy_ball(known):
    return optimizers.heavy_ball(known["step_size"], 0.5)


def test_method_of_ones_own_is_searched_and_repeated_from_its_file(tmp_path):
    """Half the initial gap is wrong by a factor of 2 after one update, and by less later."""
    path = tmp_path / "worst.json"
    found = search_worst_case(HALF, make_optimizer=heavy_ball, budget=30, path=path)
    assert found.refuted and found.ratio == pytest.approx(2.0, rel=1e-9) and found.instance.steps == 1
    with pytest.raises(ValueError, match="family 'huber with its own method' is not one of huber, matrix; pass"):
        families.load_instance(path, HALF)
    again = families.load_instance(path, HALF, families.own_method(heavy_ball))
    assert again().facts.optimizer == "heavy_ball"


def test_method_gets_the_constants_of_the_instance_and_a_horizon_is_judged_at_its_end():
    """Subgradients with the step R / (G sqrt N): the bound holds for T = N, and is broken by early iterations."""
    claim = Bound("claim", "mean_gap", "upper", R_norm * G_norm / T**0.5, horizon=True,
                  requires=Requires(optimizers="sgd", properties="convex"))  # fmt: skip
    seen = []

    def tuned(known):
        seen.append(known)
        return optimizers.sgd(np.linalg.norm(known["R"]) / (np.linalg.norm(known["G"]) * np.sqrt(known["T"])))

    found = search_worst_case(claim, make_optimizer=tuned, budget=60, seed=3)
    assert not found.refuted and 0.3 < found.ratio < 1
    assert {"L", "sigma", "R", "G", "T", "M", "step_size"} <= set(seen[-1])


def test_wrong_makers_are_answered_with_a_sentence():
    with pytest.raises(TypeError, match="make_optimizer returned 3; expected an Optimizer such as"):
        search_worst_case(HALF, make_optimizer=lambda known: 3, budget=5)
    with pytest.raises(TypeError, match="make_optimizer = 3; expected a function of a dict of constants"):
        search_worst_case(HALF, make_optimizer=3, budget=5)
    with pytest.raises(TypeError, match="give either a family or make_optimizer"):
        search_worst_case(HALF, VALLEY, make_optimizer=heavy_ball)
    with pytest.raises(ValueError, match="the optimizer is 'sgd'; the theorem is about heavy_ball"):
        search_worst_case(HALF, make_optimizer=lambda known: optimizers.sgd(0.1), budget=5)


# ---- the table -------------------------------------------------------------------------------------------------------


def test_mutation_table_is_refuted_below_its_factors(tmp_path):
    path = tmp_path / "table.json"
    table = mutation_table(["convex_sgd"], budget=16, path=path)
    assert [(row.term, row.cause) for row in table[:3]] == [("", ""), ("bias", ""), ("noise", "")]
    assert {row.cause for row in table[3:]} == {"sigma", "R"}
    for row in table:
        run = row.instance(replicas=families.affordable(row.instance.setup(), FINAL_REPLICAS), seed=2)
        factor = {row.term: 0.999 * row.factor} if row.term else {}
        planted = bounds.convex_sgd.scaled(1.0 if row.term or row.cause else 0.999 * row.factor, **factor)
        smaller = {row.cause: 0.999 * row.factor * run.constants()[row.cause]} if row.cause else {}
        assert 0 < row.factor <= 1.001
        assert verify(planted, run, form=row.form, **smaller).status == "violated"
    assert read_mutation_table(path) == table


class Needs:
    """Stands in for the search of one bound, counts its calls and may be interrupted."""

    calls: ClassVar[list] = []

    def __init__(self, stop=None):
        self.stop = stop

    def __call__(self, bound, budget, seed, level, known=()):
        if bound.name == self.stop:
            raise KeyboardInterrupt
        self.calls.append((bound.name, len(list(known))))
        instance = families.Instance(bound, families.HUBER, families.HUBER.anchors(bound)[0], 1)
        return [mutations.TermNeed(bound.name, "simple", "", 0.5, level, instance, "", budget, seed)]


def test_an_interrupted_table_goes_on_where_it_stopped(tmp_path, monkeypatch):
    path, names = tmp_path / "table.json", ["convex_sgd", "pl_sgd", "convex_diag_sgd"]
    Needs.calls.clear()
    monkeypatch.setattr(mutations, "needs", Needs(stop="pl_sgd"))
    with pytest.raises(KeyboardInterrupt):
        mutation_table(names, budget=7, path=path)
    assert [row.bound for row in read_mutation_table(path)] == ["convex_sgd"] and Needs.calls == [("convex_sgd", 0)]
    monkeypatch.setattr(mutations, "needs", Needs())
    table = mutation_table(names, budget=7, path=path)
    assert Needs.calls == [("convex_sgd", 0), ("pl_sgd", 0), ("convex_diag_sgd", 0)]
    assert [row.bound for row in table] == [n for n in bounds if n in names]  # in the order of the catalogue
    assert mutation_table(names, budget=7, path=path) == table and len(Needs.calls) == 3
    mutation_table(names, budget=7, seed=1, path=path)  # once more: from the instances that are there
    assert Needs.calls[3:] == [("convex_sgd", 1), ("pl_sgd", 1), ("convex_diag_sgd", 1)]


def test_rows_of_a_bound_that_is_gone_leave_the_table(tmp_path, monkeypatch):
    monkeypatch.setattr(mutations, "needs", Needs())
    path = tmp_path / "table.json"
    mutation_table(["pl_sgd"], budget=7, path=path)
    ghost = json.loads(path.read_text())[0] | {"bound": "gone", "instance": None}
    path.write_text(json.dumps([ghost, *json.loads(path.read_text())]))
    mutation_table(["convex_sgd"], budget=7, path=path)
    assert {row.bound for row in read_mutation_table(path)} == {"pl_sgd", "convex_sgd"}


def test_no_row_falls_when_a_bound_is_searched_again():
    bound = bounds.convex_sgd
    first = mutations.needs(bound, 40, 0, 1e-3)
    again = mutations.needs(bound, 6, 1, 1e-3, [row.instance for row in first])
    fresh = {(row.term, row.cause): row.factor for row in again}
    for row in first:  # on other random numbers, so up to the width of an interval
        assert fresh[row.term, row.cause] >= row.factor - 0.01
