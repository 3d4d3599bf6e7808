"""Local methods against closed forms on quadratics and a NumPy twin, and what their test across workers sees."""

import numpy as np
import pytest
from twin import normals

import anisotropic as an
from anisotropic.batching import norm_test
from anisotropic.bounds import batch_facts as facts

H3, SIGMA = np.array([1.0, 0.5, 0.2]), np.array([1.0, 2.0, 0.5])


def local(objective=None, method=None, **options):
    options = {"noise": an.noises.gaussian(SIGMA), "start": 0.0, "rounds": 40, "local_steps": 2, "workers": 4} | options
    return an.simulate_local(objective or an.problems.quadratic(H3), method or an.optimizers.sgd(0.5), **options)


@pytest.mark.parametrize("name", ["sgd", "adagrad"])
def test_a_run_is_what_its_definition_says(name):
    """Against NumPy, with the same normals: workers are replicas r M + m, steps go on through the rounds.

    Normals are good to 2e-7 (test_random), which 15 steps of at most 0.3 make 1e-6 in w at most; a gap of w of some 0.1
    moves by 2e-5 of itself.
    """
    method = an.optimizers.sgd(0.3) if name == "sgd" else an.optimizers.adagrad(0.3, eps=0.1, preset="nonconvex")
    rounds, steps, workers, replicas = 3, 5, 2, 3
    run = local(method=method, start=1.0, rounds=rounds, local_steps=steps, workers=workers, replicas=replicas,
                records=rounds, batch_size=4)  # fmt: skip
    for r in range(replicas):
        w, v = np.ones(3), np.full(3, 0.01)
        for t in range(rounds):
            ends, states = [], []
            for m in range(workers):
                x, u = w.copy(), v.copy()
                for h in range(steps):
                    z = normals(0, r * workers + m + 1, t * steps + h + 1, 3)[r * workers + m]
                    g = H3 * x + SIGMA / 2 * z
                    u = u + g**2
                    x = x - 0.3 * g / (np.sqrt(u) if name == "adagrad" else 1.0)
                ends.append(x)
                states.append(u)
            w, v = np.mean(ends, axis=0), np.mean(states, axis=0)
            assert run.gap[r, t] == pytest.approx(0.5 * np.sum(H3 * w**2), rel=2e-5)
            if name == "adagrad":
                assert run.accumulator[r, t] == pytest.approx(v.sum(), rel=2e-5)
    assert (run.samples[:, -1] == rounds * steps * workers * 4).all()


@pytest.mark.parametrize("steps", [1, 8])
def test_the_floor_does_not_depend_on_the_local_steps(steps):
    """Check A13: |z| < 4 against step sigma^2 / (b M h (2 - step h)), and 5 % between 1 and 8 local steps."""
    run = local(local_steps=steps, rounds=480 // steps, replicas=4000, batch_size=2, records=1)
    floor = 0.5 * np.sum(H3 * facts.local_sgd_floor(H3, SIGMA, step_size=0.5, batch_size=2, workers=4))
    gap = run.gap[:, -1]
    assert abs(gap.mean() - floor) < 4 * gap.std() / np.sqrt(gap.size)
    assert gap.mean() == pytest.approx(floor, rel=0.05)


def test_noise_relative_to_the_gradient_contracts_at_the_predicted_rate():
    """Check A14 at M = 4, H = 8: 1 %."""
    run = local(an.problems.quadratic(0.5), an.optimizers.sgd(0.9), noise=an.noises.affine(0.0, 0.09), start=1.0,
                rounds=1, local_steps=8, replicas=100_000)  # fmt: skip
    predicted = facts.local_norm_test_contraction(0.5, step_size=0.9, eta=0.3, workers=4, local_steps=8)
    assert run.gap[:, 0].mean() / 0.25 == pytest.approx(float(predicted[0]), rel=0.01)


def test_both_tests_let_the_batch_grow_and_the_gap_fall_below_the_floor():
    for test, rule in (("workers", norm_test(0.5, "unbiased", start=4)), ("samples", norm_test(0.5, start=4))):
        run = local(start=1.0, batch_size=rule, test=test, rounds=200, replicas=32)
        floor = 0.5 * np.sum(H3 * facts.local_sgd_floor(H3, SIGMA, step_size=0.5, batch_size=4, workers=4))
        assert run.gap[:, -1].mean() < 1e-3 * floor
        assert (np.diff(run.batch_size, axis=1) >= 0).all() and np.median(run.batch_size[:, -1]) > 1e4
        assert run.facts.rule["test"] == test and run.facts.optimizer == "local sgd"


def test_the_spread_of_workers_at_one_point_estimates_the_trace():
    """The batch wanted after one round, S/(eta^2 |gbar|^2): far above the noise its mean is the oracle's."""
    big, eta = np.array([30.0, 40.0]), 0.01
    run = local(an.problems.quadratic([1.0, 1.0]), an.optimizers.sgd(1e-9), noise=an.noises.gaussian([1.0, 2.0]),
                start=big, rounds=2, records=2, workers=8, replicas=4000,
                batch_size=norm_test(eta, start=4))  # fmt: skip
    wanted = run.batch_size[:, -1]
    oracle = 5 / (eta**2 * 2500)
    assert oracle == 20
    assert abs(wanted.mean() - oracle - 0.5) < 4 * wanted.std() / np.sqrt(4000) + 0.2, "rounded up by about one half"


def test_rows_and_heterogeneous_data():
    X, y = an.datasets.load("digits")
    f = an.problems.logistic_regression(X[:200], y[:200], l2=0.1)
    run = an.simulate_local(f, an.optimizers.sgd(0.5), noise=an.noises.minibatch(replace=True), start=0.0, rounds=30,
                            local_steps=4, workers=3, batch_size=8, replicas=2)  # fmt: skip
    assert (run.gap[:, -1] < 0.7 * run.initial_gap).all()
    offsets = np.array([[3.0, 0.0, 0.0], [-3.0, 0.0, 0.0], [0.0] * 3, [0.0] * 3])
    silent = an.noises.gaussian(0.0)  # shares the kernel of the Gaussian runs
    near, far = (local(noise=silent, offsets=o, start=1.0, rounds=100, replicas=1) for o in (None, offsets))
    assert far.gap[0, -1] == pytest.approx(near.gap[0, -1], abs=1e-12), "on a quadratic constant offsets cancel"


def test_divergence_is_a_status():
    run = local(method=an.optimizers.sgd(1e9), start=1.0, rounds=200, replicas=2)
    assert (run.status == "diverged").all() and np.isnan(run.gap[:, -1]).all()


@pytest.mark.parametrize(("options", "message"), [
    ({"workers": 1, "batch_size": norm_test(0.5)}, "the test across workers compares gradients of workers; with one"),
    ({"batch_size": norm_test(0.5, "exact")}, "plug-in or unbiased form, without a backup"),
    ({"test": "both"}, "test = 'both'; expected one of 'workers', 'samples'"),
    ({"method": an.optimizers.sgd(an.schedules.inverse_sqrt(1.0))}, "local methods have a constant one"),
    ({"offsets": np.ones((4, 3))}, "must average to zero"),
    ({"offsets": np.ones((2, 3))}, r"offsets has shape \(2, 3\); expected finite numbers of shape \(4, 3\)"),
    ({"rounds": 0}, "rounds = 0; expected a whole number of at least 1"),
])  # fmt: skip
def test_unusable_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        local(**options)
