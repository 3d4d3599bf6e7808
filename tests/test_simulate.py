"""The simulator against its slow twin, against torch, against exact moments; and its promises about bits."""

import copy
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import twin
from numba import njit
from rounding import EPS

import anisotropic as an

H = 1 / np.arange(1.0, 6) ** 2
CENTRE = np.array([0.9, -0.5, 0.2, 0.0, 0.7])


def both(optimizer, update, *, dim=5, box=(-1.0, 1.0), steps=60, batch_size=3, replicas=4, seed=7):
    h, centre = np.resize(H, dim), np.resize(CENTRE, dim)
    f = an.problems.quadratic(h, center=centre, box=box)
    run = an.simulate(
        f, optimizer, noise=an.noises.gaussian(np.sqrt(h)), start=0.1, steps=steps, batch_size=batch_size,
        replicas=replicas, seed=seed, records=steps,
    )  # fmt: skip
    slow = twin.simulate(
        lambda w: 0.5 * ((w - centre) ** 2 * h).sum(axis=1), lambda w: h * (w - centre), update, sigma=np.sqrt(h),
        start=np.full(dim, 0.1), steps=steps, batch_size=batch_size, replicas=replicas, seed=seed, box=box,
    )  # fmt: skip
    return run, slow


@pytest.mark.parametrize(
    ("optimizer", "update"),
    [
        (an.optimizers.sgd(0.4), twin.SGD(0.4)),
        (an.optimizers.adagrad(0.5), twin.AdaGrad(0.5)),
        (an.optimizers.adagrad(0.5, eps=0.1, preset="nonconvex"), twin.AdaGrad(0.5, start=0.01)),
        (an.optimizers.adagrad(0.5, preset="torch"), twin.AdaGrad(0.5, outside=1e-10)),
        (an.optimizers.adagrad(0.5, preset="optax"), twin.AdaGrad(0.5, start=0.1, inside=1e-7)),
        (an.optimizers.adagrad_norm(0.5, eps=0.1, preset="nonconvex"), twin.AdaGrad(0.5, start=0.01, norm=True)),
    ],
    ids=["sgd", "adagrad", "adagrad nonconvex", "adagrad torch", "adagrad optax", "adagrad-norm"],
)
@pytest.mark.parametrize("dim", [5, 70])
def test_every_statistic_equals_the_twin(optimizer, update, dim):
    """Up to the normals, which are good to 2e-7 (test_random), hence to some 1e-5 in a sum over 60 steps."""
    run, slow = both(optimizer, copy.deepcopy(update), dim=dim)
    for name, expected in slow.items():
        np.testing.assert_allclose(run[name], expected[:, run.steps - 1], rtol=2e-5, atol=1e-7, err_msg=name)


def test_same_bits_for_threads_chunks_and_a_prefix_of_replicas():
    f, noise = an.problems.quadratic(H, center=0.9, box=(-1, 1)), an.noises.gaussian(1.0)
    for optimizer in (an.optimizers.adagrad(1.0), an.optimizers.adagrad_norm(1.0)):
        runs = [
            an.simulate(f, optimizer, noise=noise, start=0.0, steps=50, replicas=r, threads=t, progress=p)
            for r, t, p in ((100, 1, None), (100, 2, None), (100, 2, lambda done, total: None), (37, 2, None))
        ]
        for other in runs[1:]:
            for name in ("gap", "mean_gap", "average_gap", "gradient_l1", "accumulator"):
                np.testing.assert_array_equal(other[name], runs[0][name][: other.replicas])


def test_a_seed_gives_every_optimizer_the_same_noise_and_other_seeds_others():
    f = an.problems.quadratic(1.0)

    def first(seed, optimizer):
        run = an.simulate(f, optimizer, noise=an.noises.gaussian(1.0), start=0.0, steps=1, replicas=8, seed=seed)
        return np.sqrt(2 * run.gap[:, 0])

    sgd, heavy_ball = an.optimizers.sgd(1.0), an.optimizers.heavy_ball(1.0, 0.9)
    np.testing.assert_allclose(first(3, sgd), first(3, heavy_ball), rtol=1e-12)
    assert not np.allclose(first(3, sgd), first(4, sgd))


def test_record_steps_are_increasing_from_one_to_the_last():
    run = an.simulate(
        an.problems.quadratic(1.0), an.optimizers.sgd(0.1), noise=an.noises.none(), start=1.0, steps=1000, records=20
    )
    assert run.steps[0] == 1 and run.steps[-1] == 1000 and (np.diff(run.steps) > 0).all() and 15 <= run.steps.size <= 21
    assert (run.samples == run.steps).all() and run.initial_gap == 0.5


def test_divergence_is_a_status_and_nan_from_its_first_record_on():
    f = an.problems.power(1.0, 4.0)
    run = an.simulate(f, an.optimizers.sgd(1.0), noise=an.noises.none(), start=3.0, steps=200, replicas=3)
    assert set(run.status) == {"diverged"} and np.isfinite(run.gap[:, 0]).all() and np.isnan(run.gap[:, -1]).all()
    first = np.argmax(np.isnan(run.gap[0]))
    assert np.isnan(run.mean_gap[0, first:]).all() and np.isfinite(run.mean_gap[0, :first]).all()
    ok = an.simulate(f, an.optimizers.sgd(0.01), noise=an.noises.none(), start=3.0, steps=200, replicas=3)
    assert set(ok.status) == {"ok"}


@an.leaf
def furthest(w, gradient, params):
    largest = 0.0
    for j in range(w.size):
        largest = max(largest, abs(w[j] - params.centre[j]))
    return largest


@an.leaf
def steepest(w, gradient, params):
    return np.max(np.abs(gradient))


def test_own_measures_at_the_iterate_and_as_running_means():
    """Noiseless SGD with step 1/2 on x^2/2 from 1: after t steps x = 2^-t; mean over w_1..w_t = (2 - 2^(1-t)) / t."""
    run = an.simulate(
        an.problems.quadratic([1.0, 1.0]), an.optimizers.sgd(0.5), noise=an.noises.none(), start=1.0, steps=8,
        replicas=2, measures={"furthest": furthest, "steepest": steepest},
    )  # fmt: skip
    t = run.steps
    for name in ("furthest", "steepest"):
        np.testing.assert_allclose(run[name][1], 0.5**t, rtol=1e-14)
        np.testing.assert_allclose(run[f"mean_{name}"][1], (2 - 2.0 ** (1 - t)) / t, rtol=1e-14)


def test_without_running_means_the_records_stay_and_the_means_are_nan():
    f = an.problems.quadratic(H)
    runs = [
        an.simulate(f, an.optimizers.adagrad(0.5), noise=an.noises.gaussian(1.0), start=1.0, steps=40, running_means=m)
        for m in (True, False)
    ]
    for name in ("gap", "average_gap", "last_gradient_l2_squared", "accumulator"):
        np.testing.assert_array_equal(runs[0][name], runs[1][name])
    assert np.isnan(runs[1].mean_gap).all() and np.isnan(runs[1].gradient_l1).all()


def test_a_schedule_multiplies_the_step():
    """inverse_time(1/2, 2) gives steps 1/2, 1/3, 1/4 on x^2/2: 1 -> 1/2 -> 1/3 -> 1/4."""
    method = an.optimizers.sgd(an.schedules.inverse_time(0.5, 2.0))
    run = an.simulate(an.problems.quadratic(1.0), method, noise=an.noises.none(), start=1.0, steps=3, records=3)
    np.testing.assert_allclose(run.gap[0], 0.5 / np.array([2.0, 3.0, 4.0]) ** 2, rtol=1e-14)
    assert run.facts.schedule == "inverse_time" and "step_size" not in run.constants()


@pytest.mark.parametrize("kind", ["sgd", "momentum", "adagrad", "adam", "amsgrad"])
def test_parity_with_torch_over_1000_noiseless_steps(kind):
    torch = pytest.importorskip("torch")
    h = np.geomspace(1, 1e-3, 10)
    ours = {
        "sgd": an.optimizers.sgd(0.5),
        "momentum": an.optimizers.heavy_ball(0.1, 0.9),
        "adagrad": an.optimizers.adagrad(0.5, preset="torch"),
        "adam": an.optimizers.adam(0.05),
        "amsgrad": an.optimizers.amsgrad(0.05),
    }[kind]
    w = torch.full((10,), 1.0, dtype=torch.float64, requires_grad=True)
    theirs = {
        "sgd": lambda: torch.optim.SGD([w], lr=0.5),
        "momentum": lambda: torch.optim.SGD([w], lr=0.1, momentum=0.9),
        "adagrad": lambda: torch.optim.Adagrad([w], lr=0.5),
        "adam": lambda: torch.optim.Adam([w], lr=0.05),
        "amsgrad": lambda: torch.optim.Adam([w], lr=0.05, amsgrad=True),
    }[kind]()
    run = an.simulate(
        an.problems.quadratic(h), ours, noise=an.noises.gaussian(0.0), start=1.0, steps=1000, replicas=1, records=1000
    )
    t_h, gaps = torch.tensor(h), []
    for _ in range(1000):
        theirs.zero_grad()
        loss = 0.5 * (t_h * w * w).sum()
        loss.backward()
        theirs.step()
        gaps.append(float(0.5 * (t_h * w.detach() ** 2).sum()))
    expected = np.array(gaps)[run.steps - 1]
    # 1,000 steps, each of some 8 operations on w, whose entries are 1 at most and weigh h in the gap's slope.
    assert np.abs(run.gap[0] - expected).max() < 1000 * 8 * EPS * h.sum()


def exact_cells():
    """Signs of minibatches are dear, so they get fewer coordinates and steps, and replicas for the same accuracy."""
    for step_size in (0.1, 0.8, 1.9):
        for batch_size in (1, 16):
            for noise, d, replicas, horizons in (("gaussian", 20, 4000, (10, 300)), ("rademacher", 5, 9000, (10, 100))):
                for steps in horizons:
                    yield step_size, batch_size, noise, d, replicas, steps


def test_monte_carlo_equals_the_exact_moments_of_sgd():
    """24 cells x 3 moments, own seed each: all within the Bonferroni limit of false-alarm rate 1e-3."""
    from scipy import stats

    limit, seen = stats.norm.isf(0.5e-3 / 72), []
    for i, (step_size, batch_size, noise, d, replicas, steps) in enumerate(exact_cells()):
        h = 1 / np.arange(1.0, d + 1)
        f, sigma = an.problems.quadratic(h, center=0.3), 0.5 * np.sqrt(h)
        run = an.simulate(
            f, an.optimizers.sgd(step_size), noise=getattr(an.noises, noise)(sigma), start=-0.5, steps=steps,
            batch_size=batch_size, replicas=replicas, seed=1000 + i, records=1,
        )  # fmt: skip
        exact = an.exact.sgd_quadratic(
            h, sigma, step_size=step_size, start=-0.5, minimizer=0.3, steps=steps, batch_size=batch_size
        )
        for name, value in (("gap", exact.last), ("mean_gap", exact.mean), ("average_gap", exact.average)):
            x = run[name][:, -1]
            seen.append((x.mean() - float(value)) / (x.std(ddof=1) / np.sqrt(x.size)))
    assert len(seen) == 72 and np.abs(seen).max() < limit
    assert np.std(seen) > 0.5  # a comparison with itself would give zeros


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps = 0; expected a whole number of at least 1"),
        ({"steps": 2.5}, "steps = 2.5; expected a whole number"),
        ({"batch_size": 0}, "batch_size = 0; expected"),
        ({"replicas": -1}, "replicas = -1; expected"),
        ({"start": 2.0}, r"start\[0\] = 2 lies outside the box \[-1, 1\]"),
        ({"start": [0.0, np.nan, 0.0]}, r"start\[1\] = nan; expected finite numbers"),
        ({"start": [0.0, np.inf, 0.0]}, r"start\[1\] = inf; expected finite numbers"),
        ({"start": [0.0, 1.0]}, r"start has shape \(2,\); expected a number or shape \(3,\)"),
        ({"noise": an.noises.student_t(1.0, 3.0), "batch_size": 20_000}, "batch_size = 20000 is above 10000"),
        ({"noise": an.noises.minibatch()}, "minibatch noise needs a finite sum"),
        ({"noise": an.noises.gaussian([1.0, 1.0])}, r"sigma has shape \(2,\); expected a number or shape \(3,\)"),
        ({"seed": -1}, "seed = -1; expected a whole number from 0"),
        ({"measures": {"gap": furthest}}, "measure 'gap' is a statistic that every run records"),
    ],
)
def test_wrong_input_is_a_sentence(change, message):
    arguments = {"noise": an.noises.none(), "start": 0.0, "steps": 3} | change
    with pytest.raises(ValueError, match=message):
        an.simulate(an.problems.quadratic([1.0, 1.0, 1.0], box=(-1, 1)), an.optimizers.sgd(0.1), **arguments)


def test_a_closure_is_refused_by_name():
    power = 3.0

    @njit
    def value(w, params):
        return power * w[0]

    with pytest.raises(TypeError, match="value function 'value' closes over 'power'"):
        an.Objective("mine", 1, value, value)
    with pytest.raises(TypeError, match="is not compiled; write @an.leaf above a function at the top level"):
        an.Objective("mine", 1, lambda w, p: 0.0, value)


def test_a_second_use_compiles_nothing():
    from anisotropic.simulation import loop

    f, noise = an.problems.quadratic(H), an.noises.gaussian(1.0)
    an.simulate(f, an.optimizers.adagrad(0.5), noise=noise, start=1.0, steps=5)
    before = len(loop.trajectories.signatures)
    g, method = an.problems.quadratic(2 * H), an.optimizers.adagrad(0.7, eps=0.1)
    an.simulate(g, method, noise=an.noises.gaussian(3.0), start=0, steps=9)
    assert len(loop.trajectories.signatures) == before


def test_without_a_compiler_the_numbers_are_the_same():
    """NUMBA_DISABLE_JIT=1 runs the same Python source; agreement to rounding over 8 steps."""
    code = (
        "import json\n"
        "import anisotropic as an\n"
        "f = an.problems.quadratic([1.0, 0.3], center=0.5, box=(-1, 1))\n"
        "noise = an.noises.gaussian(0.7)\n"
        "r = an.simulate(f, an.optimizers.adagrad(0.5), noise=noise, start=0.0, steps=8, replicas=2)\n"
        "found = r.gap.tolist()\n"
    )
    env = os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONWARNINGS": "ignore"}
    call = [sys.executable, "-c", code + "print(json.dumps(found))"]
    done = subprocess.run(call, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    compiled = {}
    exec(code, compiled)
    np.testing.assert_allclose(json.loads(done.stdout), compiled["found"], rtol=1e-9)


def test_save_and_load_give_the_run_back(tmp_path):
    f = an.problems.quadratic(H, center=0.9, box=(-1, 1))
    method = an.optimizers.adagrad(0.5, eps=[0.1] * 5)
    run = an.simulate(f, method, noise=an.noises.gaussian(1.0), start=0.0, steps=20, replicas=3)
    back = an.load(run.save(tmp_path / "run"))
    for name, column in run.statistics.items():
        np.testing.assert_array_equal(back[name], column)
    assert back.facts == run.facts and set(back.constants()) == set(run.constants())
    for name, value in run.constants().items():
        np.testing.assert_array_equal(back.constants()[name], value)
    assert repr(back) == repr(run) and list(tmp_path.iterdir()) == [tmp_path / "run.npz"]


def test_tune_finds_the_exact_minimizer_and_flags_an_edge():
    """Noiseless SGD on x^2/2: the gap after two steps is (1 - step)^4 / 2, least at step 1."""
    arguments = {"noise": an.noises.none(), "start": 1.0, "steps": 2, "measure": "gap", "replicas": 2}
    f = an.problems.quadratic(1.0)
    tuning = an.tune(f, an.optimizers.sgd, [0.25, 0.5, 1.0, 1.5], **arguments)
    assert tuning.best == 1.0 and not tuning.at_edge
    np.testing.assert_allclose(tuning.values, 0.5 * (1 - tuning.grid) ** 4, atol=1e-15)
    assert an.tune(f, an.optimizers.sgd, [0.25, 0.5], **arguments).at_edge
    with pytest.raises(ValueError, match="expected increasing positive numbers"):
        an.tune(f, an.optimizers.sgd, [0.5, 0.25], **arguments)
