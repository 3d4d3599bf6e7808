"""Can a user add each of the nouns with public names, in at most 15 lines, and use it everywhere? It is done here."""

import ast
from collections import namedtuple
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import anisotropic as an

# ---- an optimizer: AdaGrad with the power p in place of 1/2 ----------------------------------------------------------


class Power(NamedTuple):
    power: float


@an.leaf
def power_update(w, gradient, state, step_size, t, params):
    for j in range(w.size):
        state[0, j] += gradient[j] * gradient[j]
        if state[0, j] != 0.0:
            w[j] -= step_size[j] * gradient[j] / state[0, j] ** params.power


def power_adagrad(step_size, power):
    return an.Optimizer("power_adagrad", power_update, Power(power), step_size=step_size,
                        state={"accumulator": 0.0}, settings={"power": power})  # fmt: skip


# ---- an objective: sum_i c_i huber(q_i . w) with the rows q_i of a rotation ------------------------------------------

RotatedHuber = namedtuple("RotatedHuber", "rows c delta")


@an.leaf
def rotated_huber_value(w, params):
    x = np.abs(params.rows @ w)
    near = np.minimum(x, params.delta)
    return np.sum(params.c * near * (x - 0.5 * near))


@an.leaf
def rotated_huber_gradient(w, params, out):
    out[:] = (params.c * np.minimum(np.maximum(params.rows @ w, -params.delta), params.delta)) @ params.rows


def rotated_huber(q, c, delta, box):
    known = dict(smoothness=an.smoothness.gershgorin(q.T @ (c[:, None] * q)), gradient_bound=(c * delta) @ np.abs(q))
    known |= dict(minimizer=0.0, minimum=0.0, properties={"convex", "interior minimizer"}, box=box)
    params = RotatedHuber(q, c, delta)
    return an.Objective("rotated Huber", c.size, rotated_huber_value, rotated_huber_gradient, params, **known)


# ---- a noise law: the mean of M uniforms -----------------------------------------------------------------------------


class Spread(NamedTuple):
    sigma: np.ndarray


@an.leaf
def add_uniform(gradient, normals, batch_size, stream, params):
    for j in range(gradient.size):
        for i in range(batch_size):
            u, _ = an.random.uniform_pair(stream, j, i, an.random.DRAWS)
            gradient[j] += params.sigma[j] * np.sqrt(3.0) * (2.0 * u - 1.0) / batch_size


def uniform(sigma):
    return an.Noise("uniform", add_uniform, Spread(sigma), sigma=sigma, law="bounded", max_batch=1000)


# ---- a bound for that optimizer: steps eta / v^p in a box, 0 < p < 1 -------------------------------------------------


def power_bound(p):
    """Telescoped distances give D^2 v^p / (2 eta), the squared steps eta v^(1-p) / (2 (1-p)), with E v <= T G^2."""
    s = an.bounds.symbols
    second_moment = s.T * s.G**2
    terms = {
        "distance": s.total(s.D**2 * second_moment**p / (2 * s.step_size)) / s.T,
        "step_size": s.total(s.step_size * second_moment ** (1 - p) / (2 * (1 - p))) / s.T,
    }
    hypotheses = an.Requires(optimizers="power_adagrad", properties="convex", box=True)
    return an.Bound("power_adagrad", "mean_gap", "upper", terms, requires=hypotheses)


# ---- a statistic along the run ---------------------------------------------------------------------------------------


@an.leaf
def steepest(w, gradient, params):
    return np.max(np.abs(gradient))


# ---- a schedule: the bold driver, up by a little while the loss falls, down by a lot where it rises ------------------


class Driver(NamedTuple):
    grow: float
    shrink: float


@an.leaf
def bold_factor(t, value, state, params):
    """state = (factor, loss at the iteration before)."""
    state[0] = 1.0 if t == 1 else state[0] * (params.grow if value <= state[1] else params.shrink)
    state[1] = value
    return state[0]


def bold_driver(step_size, grow=1.1, shrink=0.5):
    return an.Schedule("bold driver", bold_factor, Driver(grow, shrink), step_size=step_size, slots=2)


# ---- a batch rule: every so many iterations the batch grows by a factor ----------------------------------------------


class Growth(NamedTuple):
    factor: float


def grow(batch, gradient, variance, projected_variance, population, t, history, params):
    return params.factor * batch


def geometric(factor, every=1, start=2, max_batch=None):
    return an.BatchRule("geometric", grow, Growth(factor), start=start, interval=every, max_batch=max_batch)


# ---- what is tested --------------------------------------------------------------------------------------------------

EXTENSIONS = {
    "optimizer": ["Power", "power_update", "power_adagrad"],
    "objective": ["RotatedHuber", "rotated_huber_value", "rotated_huber_gradient", "rotated_huber"],
    "noise": ["Spread", "add_uniform", "uniform"],
    "bound": ["power_bound"],
    "statistic": ["steepest"],
    "schedule": ["Driver", "bold_factor", "bold_driver"],
    "batch rule": ["Growth", "grow", "geometric"],
}
Q = np.linalg.qr(np.random.default_rng(3).normal(size=(4, 4)))[0]
C, DELTA, SIGMA, BOX = np.array([2.0, 1.0, 0.3, 0.1]), 0.4, np.array([0.5, 0.3, 0.2, 0.1]), (-1.0, 1.0)
P = an.problems
START = np.array([0.9, -0.8, 0.7, -0.6])
MEASURES = {"steepest": steepest}
SETTING = {"noise": uniform(SIGMA), "start": START, "batch_size": 2, "replicas": 200, "measures": MEASURES}


def simulate(power=0.75, q=Q, step_size=0.3, optimizer=None, objective=None, **changes):
    f = objective or rotated_huber(q, C, DELTA, BOX)
    return an.simulate(f, optimizer or power_adagrad(step_size, power), **SETTING | {"steps": 200} | changes)


@pytest.fixture(scope="module")
def run():
    return simulate()


def test_each_extension_takes_at_most_15_lines_and_public_names():
    tree = ast.parse(Path(__file__).read_text(encoding="utf-8"))
    lines, names = {}, {}
    for node in tree.body:
        target = getattr(node, "targets", [None])[0]
        name = getattr(node, "name", getattr(target, "id", None))
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
        lines[name] = node.end_lineno - first + 1
        attributes = [a for a in ast.walk(node) if isinstance(a, ast.Attribute)]
        names[name] = {a.attr for a in attributes if getattr(a.value, "id", "") == "an"}
    for what, parts in EXTENSIONS.items():
        assert 3 <= sum(lines[p] for p in parts) <= 15, what
        assert set().union(*(names[p] for p in parts)) <= set(an.__all__), what
    modules = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert not any(str(m).startswith("anisotropic") for m in modules)


def test_the_contract_accepts_each_extension():
    f = rotated_huber(Q, C, DELTA, BOX)
    for noun in (f, power_adagrad(0.3, 0.75), uniform(SIGMA), bold_driver(0.1), geometric(1.5), steepest):
        assert not an.check(noun, f)


@pytest.mark.parametrize(
    ("plant", "rule"),
    [
        (lambda f: an.Optimizer("mine", power_update, Power(0.5), step_size=0.1), "bounds"),
        (lambda f: replace(f, smoothness=0.4 * f.smoothness), "smoothness"),
        (lambda f: replace(f, minimizer=0.1), "minimizer"),
        (lambda f: replace(f, coordinatewise=True), "coordinatewise"),
        (lambda f: replace(uniform(SIGMA), sigma=0.25 * SIGMA), "variance"),
        (lambda f: replace(bold_driver(0.1), slots=1), "bounds"),
        (lambda f: geometric(-1.5), "finite"),
        (lambda f: replace(f, gradient_bound=0.9 * f.gradient_bound), "gradient_bound"),
    ],
)
def test_the_contract_finds_a_fault_planted_in_each(plant, rule):
    f = rotated_huber(Q, C, DELTA, BOX)
    assert rule in [found.rule for found in an.check(plant(f), f, points=32)]


def test_the_bold_driver_follows_its_formula():
    """On x^2 / 2 from 1 with step sizes of 1.5 to begin with: the loss falls until the step size passes 2."""
    method = an.optimizers.sgd(bold_driver(1.5))
    run = an.simulate(P.quadratic(1.0), method, noise=an.noises.none(), start=1.0, steps=12, replicas=2)
    w, factor, last, gaps = 1.0, 1.0, np.inf, []
    for t in range(12):
        value = w * w / 2
        factor *= 1.0 if t == 0 else 1.1 if value <= last else 0.5
        w, last = w - 1.5 * factor * w, value
        gaps.append(w * w / 2)
    np.testing.assert_allclose(run.gap, [np.array(gaps)[run.steps - 1]] * 2, rtol=1e-12)
    assert sorted(gaps, reverse=True) != gaps  # it did rise


def test_the_batch_grows_by_its_factor_and_stops_at_the_cap():
    setting = dict(noise=an.noises.gaussian(1.0), start=1.0, steps=6, replicas=3)
    rule = geometric(2, every=2, max_batch=6)
    run = an.simulate(P.quadratic([1.0, 0.5]), an.optimizers.sgd(0.1), batch_size=rule, **setting)
    batches = np.array([2, 2, 4, 4, 6, 6])
    assert (run.batch_size == batches[run.steps - 1]).all() and run.steps[-1] == 6
    assert (run.samples == batches.cumsum()[run.steps - 1]).all()


def test_the_optimizer_at_power_one_half_is_adagrad_and_the_objective_unrotated_is_huber():
    """Same seed, same noise: the built-in ones give the same run to rounding."""
    built_in = simulate(
        optimizer=an.optimizers.adagrad(0.3), objective=an.problems.huber(C, DELTA, box=BOX), replicas=5, steps=50
    )
    own = simulate(power=0.5, q=np.eye(4), replicas=5, steps=50)
    for name in ("gap", "mean_gap", "gradient_l1", "accumulator", "steepest", "mean_steepest"):
        np.testing.assert_allclose(own[name], built_in[name], rtol=1e-9, atol=1e-12)
    assert own.constants().keys() == built_in.constants().keys() - {"eps"}
    for name in ("L", "G", "sigma", "D", "R"):
        np.testing.assert_allclose(own.constants()[name], built_in.constants()[name], rtol=1e-12)


def test_the_objective_meets_its_certified_constants():
    f = rotated_huber(Q, C, DELTA, BOX)
    rng, a, b = np.random.default_rng(0), np.empty(4), np.empty(4)
    for _ in range(200):
        w, v = rng.uniform(-1, 1, (2, 4))
        f.gradient(w, f.params, a)
        f.gradient(v, f.params, b)
        assert ((a - b) ** 2 / f.smoothness).sum() <= (f.smoothness * (w - v) ** 2).sum() * (1 + 1e-12)
        assert (abs(a) <= f.gradient_bound).all()


def test_the_noise_has_the_variance_it_claims():
    """After one step of SGD on a flat function w = -g: 4 coordinates of 4,000 draws, z within 4.5 (rate 6e-5)."""
    run = simulate(
        optimizer=power_adagrad(1.0, 0.0), objective=rotated_huber(Q, 1e-9 * C, DELTA, None), start=0.0, steps=1,
        replicas=4000, measures={"steepest": steepest},
    )  # fmt: skip
    # f = (1/2) 1e-9 sum_i c_i (q_i . w)^2 near 0, so that the mean gap is 1e-9/2 sum_i c_i sum_j q_ij^2 Var(g_j)
    gap = run.gap[:, 0] / 1e-9
    expected = 0.5 * C @ Q**2 @ (SIGMA**2 / 2)
    assert abs(gap.mean() - expected) < 4.5 * gap.std(ddof=1) / np.sqrt(gap.size)


@pytest.mark.parametrize("power", [0.25, 0.5, 0.75])
def test_the_bound_holds_and_a_planted_falsehood_is_caught(power, run):
    at = run if power == 0.75 else simulate(power)
    bound = power_bound(power)
    verdict = an.verify(bound, at)
    assert verdict.status == "not contradicted" and 1 < verdict.slack < 100
    false = an.Bound("false", "mean_gap", "upper", bound.expression / (1.2 * verdict.power), requires=bound.requires)
    assert an.verify(false, at).status == "violated"


def test_the_bound_at_one_half_is_the_one_of_adagrad():
    """With eta = D / sqrt(2) both give sqrt(2) sum_j D_j G_j / sqrt(T)."""
    c = {"D": [2.0, 1.0], "G": [0.5, 3.0], "T": 100}
    eta = np.array(c["D"]) / np.sqrt(2)
    expected = np.sqrt(2) * (2.0 * 0.5 + 1.0 * 3.0) / 10
    assert power_bound(0.5)(**c, step_size=eta) == pytest.approx(expected, rel=1e-12)
    assert an.bounds.convex_adagrad_nonsmooth(**c, step_size=eta) == pytest.approx(expected, rel=1e-12)
    assert "sum" in power_bound(0.5).latex()
    terms = power_bound(0.75).terms(**c, step_size=1.0)
    assert sum(terms.values()) == pytest.approx(power_bound(0.75)(**c, step_size=1.0))


def test_the_bound_refuses_what_it_is_not_about(run):
    adagrad = simulate(optimizer=an.optimizers.adagrad(0.3), objective=an.problems.huber(C, DELTA, box=BOX))
    assert "the theorem is about power_adagrad" in an.verify(power_bound(0.5), adagrad).reason
    assert "the theorem is about adagrad" in an.verify(an.bounds.convex_adagrad, run).reason


def test_a_bound_may_speak_about_the_statistic(run):
    """Every slope is at most the largest gradient bound; the gradient bound alone is a loose form of it."""
    s = an.bounds.symbols
    claim = an.Bound("slope", "steepest", "upper", s.largest(s.G))
    verdict = an.verify(claim, run)
    assert verdict.status == "not contradicted" and verdict.measure == "steepest"
    assert (run.mean_steepest[:, 0] == run.mean_steepest[0, 0]).all()  # at w_1, before any noise
    out = np.empty(4)
    f = rotated_huber(Q, C, DELTA, BOX)
    f.gradient(START, f.params, out)
    assert run.mean_steepest[0, 0] == pytest.approx(abs(out).max(), rel=1e-12)


def test_tune_takes_the_optimizer_and_the_statistic():
    f = rotated_huber(Q, C, DELTA, BOX)
    for measure in ("mean_gap", "steepest", "mean_steepest"):
        tuning = an.tune(f, lambda s: power_adagrad(s, 0.75), [0.01, 0.1, 0.5], steps=100, measure=measure, **SETTING)
        again = simulate(step_size=tuning.best, steps=100, records=1)
        assert tuning.values.min() == pytest.approx(again[measure][:, -1].mean(), rel=1e-12)
        assert tuning.values[0] > tuning.values.min() and tuning.intervals.shape == (3, 2)


def cell(power, step_size, seed):
    run = simulate(power, step_size=step_size, seed=seed, steps=60, threads=1)
    return {"gap": run.mean_gap[:, -1], "verdict": an.verify(power_bound(power), run), "status": run.status}


def test_a_study_of_the_extension_is_paired_and_resumes(tmp_path):
    study = an.Study("powers", {"power": [0.5, 0.75], "step_size": [0.1, 0.3]}, cell, unpaired=("power", "step_size"))
    results = study.run(tmp_path, executor="serial")
    gaps = results.array("gap")
    assert gaps.shape == (2, 2, 200) and results.complete and len(list(tmp_path.iterdir())) >= 2
    results.quiet = True
    results.verdicts((str(c.point), c.arrays["verdict"]) for c in results.cells())
    assert not results.violated and len({study.seed(p) for p in results.points}) == 1
    correlation = np.corrcoef(gaps[0, 0], gaps[1, 0])[0, 1]
    assert correlation > 0.5  # common random numbers across methods
    assert results.save_figure(an.plotting.curves([0.1, 0.3], {"power": gaps[0].T}), "gaps").exists()


def test_plots_draw_the_run_beside_its_bound(run, tmp_path):
    ax = an.plotting.empirical_vs_theory([run], [power_bound(0.75), an.bounds.convex_adagrad])
    texts = [t.get_text() for t in ax.figure.findobj(lambda a: hasattr(a, "get_text"))]
    assert any("power_adagrad" in t for t in texts)
    assert any("convex_adagrad does not apply" in t.replace("\n", " ") for t in texts)
    assert all(p.stat().st_size > 1000 for p in an.plotting.save(ax.figure, tmp_path / "own"))


def test_a_saved_run_of_extensions_comes_back(run, tmp_path):
    back = an.load(run.save(tmp_path / "run"))
    np.testing.assert_array_equal(back.steepest, run.steepest)
    assert an.verify(power_bound(0.75), back).bound == an.verify(power_bound(0.75), run).bound
    assert back.facts.settings == {"power": 0.75}


# ---- functions on whole vectors, where several replicas share a pass over coordinates --------------------------------


class Scales(NamedTuple):
    scale: np.ndarray


@an.leaf
def scaled_update(w, gradient, state, step_size, t, params):
    state[0] += gradient
    w -= step_size * params.scale * state[0]


@pytest.mark.parametrize("f", ["rotated", "separable"])
def test_whole_vector_functions_see_one_replica_at_a_time(f):
    """Against NumPy, without noise; with noise, replicas are the same whichever others run."""
    c, scale, start = np.array([1.0, 0.5, 0.25]), np.array([0.3, 0.2, 0.1]), np.array([0.9, -0.4, 0.2])
    q = np.linalg.qr(np.arange(9.0).reshape(3, 3) ** 2 + np.eye(3))[0]
    objective = rotated_huber(q, c, 0.1, None) if f == "rotated" else an.problems.quadratic(c)
    method = an.Optimizer("scaled momentum", scaled_update, Scales(scale), step_size=0.5, state={"momentum": 0.0})
    common = dict(start=start, steps=7, records=7)
    w, m, gap = start.copy(), np.zeros(3), []
    for _ in range(7):
        m += (c * np.clip(q @ w, -0.1, 0.1)) @ q if f == "rotated" else c * w
        w -= 0.5 * scale * m
        x = np.abs(q @ w)
        gap.append(np.sum(c * np.minimum(x, 0.1) * (x - 0.5 * np.minimum(x, 0.1))) if f == "rotated" else c @ w**2 / 2)
    run = an.simulate(objective, method, noise=an.noises.gaussian(0.0), replicas=5, **common)  # compiled once for all
    np.testing.assert_allclose(run.gap, [np.array(gap)[run.steps - 1]] * 5, rtol=1e-12)
    many, few = (an.simulate(objective, method, noise=an.noises.gaussian(1.0), replicas=n, **common) for n in (40, 3))
    assert np.array_equal(many.gap[:3], few.gap) and len(np.unique(many.gap[:, -1])) == 40
