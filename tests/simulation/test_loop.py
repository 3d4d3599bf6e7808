"""The loop in all its layouts, short vectors joined and long ones in blocks: against slow twins, and its bits."""

import os
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest
import twin

import anisotropic as an
from anisotropic.records.iterations import reads
from anisotropic.simulation import layout

H = 1 / np.arange(1.0, 6) ** 2
CENTRE = np.array([0.9, -0.5, 0.2, 0.0, 0.7])
STATISTICS = ("gap", "mean_gap", "average_gap", "gradient_l1", "gradient_l2", "gradient_l2_squared", "accumulator")


class AdaGrad(twin.AdaGrad):
    """Keeps the sum of its accumulator after every step."""

    sums: list

    def __call__(self, w, g):
        self.sums = getattr(self, "sums", [])
        moved = super().__call__(w, g)
        self.sums.append(self.v.sum(axis=1))
        return moved


class Adam:
    """Bias-corrected first over root of second moment, from the definition."""

    def __init__(self, step_size):
        self.step_size, self.m, self.v, self.t = step_size, 0.0, 0.0, 0

    def __call__(self, w, g):
        self.t += 1
        self.m, self.v = 0.9 * self.m + 0.1 * g, 0.999 * self.v + 0.001 * g * g
        return w - self.step_size * (self.m / (1 - 0.9**self.t)) / (np.sqrt(self.v / (1 - 0.999**self.t)) + 1e-8)


class Scheduled:
    """SGD whose step size at step t is step_size * factor(t, f(w_t))."""

    def __init__(self, step_size, factor, value):
        self.step_size, self.factor, self.value, self.t = step_size, factor, value, 0

    def __call__(self, w, g):
        self.t += 1
        return w - self.step_size * self.factor(self.t, self.value(w))[:, None] * g


def value_of(dim):
    h, centre = np.resize(H, dim), np.resize(CENTRE, dim)
    return lambda w: 0.5 * ((w - centre) ** 2 * h).sum(axis=1)


def both(optimizer, update, dim, *, steps=70, records=None, replicas=3, seed=7, **options):
    """The run and its twin: 70 iterations cross two borders between spans of 32, and every one is recorded."""
    h, centre = np.resize(H, dim), np.resize(CENTRE, dim)
    f = an.problems.quadratic(h, center=centre, box=(-1.0, 1.0))
    run = an.simulate(
        f, optimizer, noise=an.noises.gaussian(np.sqrt(h)), start=0.1, steps=steps, batch_size=3, replicas=replicas,
        seed=seed, records=records or steps, **options,
    )  # fmt: skip
    slow = twin.simulate(
        value_of(dim), lambda w: h * (w - centre), update, sigma=np.sqrt(h), start=np.full(dim, 0.1), steps=steps,
        batch_size=3, replicas=replicas, seed=seed, box=(-1.0, 1.0),
    )  # fmt: skip
    return run, slow


def agree(run, slow):
    for name, expected in slow.items():
        np.testing.assert_allclose(run[name], expected[:, run.steps - 1], rtol=2e-5, atol=1e-7, err_msg=name)


def shape_of(dim, optimizer, **options):
    """Lanes of the layout that a run with Gaussian noise gets."""
    f = an.problems.quadratic(np.ones(dim))
    record = layout.record_steps(5, 5)
    return layout.make_layout(f, optimizer, an.noises.gaussian(1.0), np.zeros(dim), record, 1, 0, **options).lanes


def test_which_layouts_the_tests_below_go_through():
    sgd, norm = an.optimizers.sgd(1.0), an.optimizers.adagrad_norm(1.0)
    shapes = {d: shape_of(d, sgd) for d in (1, 10, 100, 320, 321, 640, 1000)}
    assert [shapes[d].tile for d in shapes] == [32, 32, 2, 1, 1, 1, 1]
    assert [shapes[d].width for d in shapes] == [32, 320, 200, 320, 192, 320, 256]
    assert [shapes[d].span for d in shapes] == [32, 4, 8, 4, 32, 32, 32]
    assert [shape_of(d, norm).width for d in (1000, 4096, 4100)] == [1000, 4096, 1024]
    assert shape_of(4100, norm).span == 1


@pytest.mark.parametrize("dim", [1, 33, 64, 320, 321, 640, 1000])
def test_adagrad_equals_the_twin_in_every_layout(dim):
    update = AdaGrad(0.5, start=0.01)
    run, slow = both(an.optimizers.adagrad(0.5, eps=0.1, preset="nonconvex"), update, dim)
    agree(run, slow)
    np.testing.assert_allclose(run.accumulator, np.transpose(update.sums)[:, run.steps - 1], rtol=2e-6)


@pytest.mark.parametrize("dim", [33, 1000, 4100])
def test_an_optimizer_that_couples_coordinates_equals_the_twin_in_every_layout(dim):
    update = AdaGrad(0.5, start=0.01, norm=True)
    run, slow = both(an.optimizers.adagrad_norm(0.5, eps=0.1, preset="nonconvex"), update, dim)
    agree(run, slow)
    np.testing.assert_allclose(run.accumulator, np.transpose(update.sums)[:, run.steps - 1], rtol=2e-6)


@pytest.mark.parametrize("dim", [10, 400])
def test_two_rows_of_state_equal_the_twin(dim):
    agree(*both(an.optimizers.adam(0.02), Adam(0.02), dim))


class Divisor(NamedTuple):
    number: float


@an.leaf
def counting(t, value, state, params):
    """1 / (1 + steps taken / number), counted in the slot."""
    state[0] += 1.0
    return 1.0 / (1.0 + (state[0] - 1.0) / params.number)


@an.leaf
def by_value(t, value, state, params):
    return 1.0 / (1.0 + params.number * value)


@pytest.mark.parametrize("dim", [33, 400])
def test_schedules_advance_once_an_iteration_and_see_the_whole_value(dim):
    """One that never looks at the value runs in blocks; one that does sees all coordinates."""
    blind = an.optimizers.sgd(an.Schedule("counting", counting, Divisor(3.0), step_size=0.4))
    seeing = an.optimizers.sgd(an.Schedule("by value", by_value, Divisor(3.0), step_size=0.4))
    if dim == 400:
        assert (shape_of(dim, blind).width, shape_of(dim, seeing).width) == (256, 400)
    value = value_of(dim)
    agree(*both(blind, Scheduled(0.4, lambda t, f: 1 / (1 + (t - 1) / 3.0) + 0 * f, value), dim))
    agree(*both(seeing, Scheduled(0.4, lambda t, f: 1 / (1 + 3.0 * f), value), dim))


@pytest.mark.parametrize(
    ("schedule", "asks"),
    [
        (an.schedules.inverse_sqrt(1.0), False),
        (an.schedules.inverse_time(1.0, 2.0), False),
        (an.schedules.halve_on_plateau(1.0), True),
        (an.schedules.restarted_search(1.0), True),
    ],
)
def test_whether_a_schedule_reads_the_value(schedule, asks):
    assert reads(schedule.factor, "value") == asks


@an.leaf
def furthest(w, gradient, params):
    largest = 0.0
    for j in range(w.size):
        largest = max(largest, abs(w[j] - params.centre[j]))
    return largest


def test_a_measure_sees_the_whole_iterate():
    """Noiseless SGD with step size 1/2 on x^2/2 from 1, 2, ..., 400: the largest is 400 2^-t at iteration t."""
    run = an.simulate(
        an.problems.quadratic(np.ones(400)), an.optimizers.sgd(0.5), noise=an.noises.none(),
        start=np.arange(1.0, 401.0), steps=40, replicas=2, measures={"furthest": furthest},
    )  # fmt: skip
    t = run.steps
    np.testing.assert_allclose(run["furthest"][1], 400 * 0.5**t, rtol=1e-14)
    np.testing.assert_allclose(run["mean_furthest"][1], 400 * (2 - 2.0 ** (1 - t)) / t, rtol=1e-14)


LAYOUTS = [
    (dim, optimizer)
    for dim in (1, 10, 100, 400, 4100)
    for optimizer in (an.optimizers.adagrad(1.0), an.optimizers.adagrad_norm(1.0))
]


@pytest.mark.parametrize(("dim", "optimizer"), LAYOUTS, ids=[f"{o.name} {d}" for d, o in LAYOUTS])
def test_same_bits_for_threads_replicas_and_records(dim, optimizer):
    f, noise = an.problems.quadratic(np.resize(H, dim), center=0.9, box=(-1, 1)), an.noises.gaussian(1.0)

    def bits(replicas, threads, records=100, means=True):
        return an.simulate(
            f, optimizer, noise=noise, start=0.0, steps=45, replicas=replicas, threads=threads, records=records,
            running_means=means,
        )  # fmt: skip

    many = bits(40, 1)
    for other in (bits(40, 3), bits(7, 2), bits(40, 2, records=6), bits(40, 1, means=False)):
        k = np.searchsorted(many.steps, other.steps)
        for name in STATISTICS:
            expected = many[name][: other.replicas, k]
            if np.isnan(other[name]).all():
                assert name in ("mean_gap", "gradient_l1", "gradient_l2", "gradient_l2_squared")
            else:
                np.testing.assert_array_equal(other[name], expected, err_msg=name)


@pytest.mark.parametrize("dim", [5, 70, 330, 1000])
def test_a_coordinate_has_the_same_noise_in_every_dimension(dim):
    """Only the first coordinate is curved, so the gap is its own, whatever stands beside it."""

    def first(d):
        f = an.problems.quadratic(np.eye(1, d)[0])
        return an.simulate(f, an.optimizers.sgd(0.3), noise=an.noises.gaussian(1.0), start=0.0, steps=50, replicas=4)

    np.testing.assert_allclose(first(dim).gap, first(1).gap, rtol=1e-12)


@pytest.mark.parametrize(("dim", "where"), [(5, 3), (400, 3), (400, 390)])
def test_one_coordinate_that_explodes_fails_the_replica_from_the_same_record_on(dim, where):
    start = np.zeros(dim)
    start[where] = 3.0
    runs = [
        an.simulate(
            an.problems.power(np.ones(w.size), 4.0), an.optimizers.sgd(1.0), noise=an.noises.none(), start=w, steps=90,
            replicas=3, records=90, running_means=means,
        )  # fmt: skip
        for w, means in ((start, True), (start, False), (np.array([3.0]), True))
    ]
    failed = [np.isnan(run.gap) for run in runs]
    assert all(set(run.status) == {"diverged"} for run in runs)
    np.testing.assert_array_equal(failed[0], failed[2])
    np.testing.assert_array_equal(failed[1], failed[2])
    np.testing.assert_array_equal(np.isnan(runs[0].average_gap), failed[2])
    assert failed[2][0].any() and not failed[2][0].all()


@pytest.mark.parametrize("dim", [10, 400])
def test_a_replica_that_fails_leaves_the_others_alone(dim):
    """x^4 with step size 0.1 and heavy noise: some replicas explode, and these alone are NaN at the end."""
    f = an.problems.power(np.ones(dim), 4.0)

    def run(replicas):
        noise = an.noises.gaussian(np.where(np.arange(dim) == dim - 1, 16.0, 0.0))
        return an.simulate(f, an.optimizers.sgd(0.1), noise=noise, start=0.0, steps=60, replicas=replicas, threads=1)

    many = run(40)
    failed = many.status == "diverged"
    assert 0 < failed.sum() < 40
    np.testing.assert_array_equal(np.isnan(many.gap[:, -1]), failed)
    np.testing.assert_array_equal(run(9).gap, many.gap[:9])


@an.leaf
def remembering(batch, gradient, variance, projected_variance, population, t, history, params):
    """Two more than what the history holds, which then holds 5."""
    wanted = 2.0 + history[0, 0]
    history[0, 0] = 5.0
    return wanted


def test_the_history_of_a_rule_starts_at_zero_in_every_replica():
    rule = an.BatchRule("remembering", remembering, start=2, exact=True, slots=1, form="exact")
    f, noise = an.problems.quadratic([1.0, 0.5]), an.noises.gaussian(1.0)
    method = an.optimizers.sgd(0.1)
    run = an.simulate(f, method, noise=noise, start=1.0, steps=3, batch_size=rule, replicas=4, threads=1)
    assert run.batch_size.tolist() == [[2.0, 7.0, 7.0]] * 4


def test_without_a_compiler_blocks_and_tiles_give_the_same_numbers():
    """NUMBA_DISABLE_JIT=1 runs the same Python source; agreement to rounding."""
    code = (
        "import numpy as np, anisotropic as an\n"
        "for d, method in ((330, an.optimizers.adagrad(0.5)), (3, an.optimizers.adagrad_norm(0.5))):\n"
        "    f = an.problems.quadratic(np.linspace(0.1, 1, d), center=0.5, box=(-1, 1))\n"
        "    r = an.simulate(f, method, noise=an.noises.gaussian(0.7), start=0.0, steps=5, replicas=2)\n"
        "    print(np.concatenate([r.gap, r.mean_gap, r.average_gap, r.accumulator]).ravel().tolist())\n"
    )
    results = []
    for disabled in ("0", "1"):
        env = os.environ | {"NUMBA_DISABLE_JIT": disabled, "PYTHONWARNINGS": "ignore"}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        results.append([np.array(eval(line)) for line in done.stdout.splitlines()])
    for compiled, interpreted in zip(*results, strict=True):
        np.testing.assert_allclose(compiled, interpreted, rtol=1e-9)


def test_running_means_on_rows_say_their_cost_before_they_start(monkeypatch):
    from anisotropic.simulation import compatibility

    monkeypatch.setattr(compatibility, "DEAR_ROWS", 100 * 20 * 2)
    f = an.problems.logistic_regression(np.ones((100, 1)), np.where(np.arange(100) < 70, 1, -1))
    common = dict(noise=an.noises.minibatch(), start=0.0, steps=20, batch_size=4, replicas=2)
    sentence = r"evaluate all 100 rows at each of 20 iterations, 25 times the rows of the batches \(4\); cheaper: "
    with pytest.warns(UserWarning, match=sentence + "running_means=False, and for tune and race measure='average_gap'"):
        an.simulate(f, an.optimizers.sgd(0.1), **common)
    with pytest.warns(UserWarning, match=sentence):
        an.tune(f, an.optimizers.sgd, [0.1], measure="mean_gap", **common)
    an.tune(f, an.optimizers.sgd, [0.1], measure="average_gap", **common)  # warnings are errors here
    an.simulate(f, an.optimizers.sgd(0.1), **common | {"batch_size": 25})
