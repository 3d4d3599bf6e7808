"""Does the search find what is known to be there, on random numbers of its own, and repeat it from a file?"""

import numpy as np
import pytest

from anisotropic import bounds, noises, optimizers, problems
from anisotropic.bounds.symbols import L, R, T, largest, total, uniform_step_size
from anisotropic.bounds.theorem import Bound, Requires
from anisotropic.evidence import families
from anisotropic.evidence.search import FINAL_REPLICAS, mutation_table, read_mutation_table, search_worst_case
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
    assert 0.98 < step_size <= 1.0 and interval.low == ratio == interval.high
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
    with pytest.raises(ValueError, match="family 'valley' is not one of huber; pass your own by family="):
        families.load_instance(path, DESCENT)
    assert families.load_instance(path, DESCENT, VALLEY).family is VALLEY


def test_family_outside_the_hypotheses_is_refused():
    steep = families.Family("steep", lambda bound: {"step_size": (1.5, 2.0), "steps": (1.0, 9.0)}, valley)
    with pytest.raises(ValueError, match=r"none of \d+ instances of family 'steep' satisfies the hypotheses"):
        search_worst_case(DESCENT, steep, budget=30)


def test_optimizer_that_the_family_does_not_know_is_refused():
    needy = Bound("needy", "gap", "upper", {"bias": 1 / T}, requires=Requires(optimizers="heavy_ball"))
    with pytest.raises(ValueError, match="family 'huber' has no optimizer 'heavy_ball'; pass a family of your own"):
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


def test_mutation_table_is_refuted_below_its_factors_and_resumes(tmp_path):
    path = tmp_path / "table.json"
    table = mutation_table(["convex_sgd"], budget=16, path=path)
    assert [row.term for row in table] == ["", "bias", "noise"]
    for row in table:
        run = row.instance(replicas=FINAL_REPLICAS, seed=2)
        factor = {row.term: 0.999 * row.factor} if row.term else {}
        planted = bounds.convex_sgd.scaled(1.0 if row.term else 0.999 * row.factor, **factor)
        assert 0 < row.factor <= 1.001
        assert verify(planted, run, form=row.form).status == "violated"
    assert read_mutation_table(path) == table
    assert mutation_table(["convex_sgd"], budget=10**9, path=path) == table
