"""Schedules: their factors against formulas written again here, vectors and schedulers, horizons that are kept."""

from dataclasses import replace

import numpy as np
import pytest

import anisotropic as an
from anisotropic.records import factors, watches_loss

T = 40
T_S = np.arange(1, T + 1)
EXPECTED = {
    "constant": (an.schedules.constant(2.0), np.ones(T)),
    "linear": (an.schedules.linear(2.0, T), 1 - (T_S - 1) / T),
    "cosine": (an.schedules.cosine(2.0, T), np.cos(np.pi * (T_S - 1) / (2 * T)) ** 2),
    "polynomial": (an.schedules.polynomial(2.0, T, power=1.5), (1 - (T_S - 1) / T) ** 1.5),
    "inverse_sqrt": (an.schedules.inverse_sqrt(2.0), T_S**-0.5),
    "inverse_time": (an.schedules.inverse_time(2.0, 5.0), 5 / (4 + T_S)),
    "vector": (an.schedules.from_vector(T_S / 7), T_S / 7),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_factors_are_those_of_the_formula(name):
    schedule, expected = EXPECTED[name]
    assert schedule.name == name and not watches_loss(schedule)
    assert factors(schedule, T) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize(("share", "warmup", "full"), [(0.2, 0, 32), (0.2, 8, 25), (1.0, 0, 0), (0.0, 4, 37)])
def test_wsd_rises_stays_and_falls(share, warmup, full):
    found = factors(an.schedules.wsd(1.0, T, share=share, warmup=warmup), T)
    cooldown = round(share * T)
    assert np.sum(found == 1.0) == full
    assert found[T - cooldown :] == pytest.approx(np.arange(cooldown, 0, -1) / (cooldown + 1))
    assert found[:warmup] == pytest.approx(np.arange(1, warmup + 1) / max(warmup, 1))


@pytest.mark.parametrize("name", ["cosine", "vector"])
def test_the_kernel_takes_these_step_sizes(name):
    """Without noise, x -> (1 - step) x on x^2/2."""
    schedule, expected = EXPECTED[name]
    size = 0.01 * expected * (1.0 if name == "vector" else 2.0)
    method = an.optimizers.sgd(replace(schedule, step_size=0.01 * schedule.step_size))
    f = an.problems.quadratic(1.0)
    run = an.simulate(f, method, noise=an.noises.none(), start=1.0, steps=T, replicas=2)
    assert run.gap[0] == pytest.approx(0.5 * np.cumprod(1 - size)[run.steps - 1] ** 2, rel=1e-12)


def test_a_schedule_may_be_stopped_early_but_not_run_on():
    f, method = an.problems.quadratic(1.0), an.optimizers.sgd(an.schedules.cosine(0.5, 10))
    setting = {"noise": an.noises.none(), "start": 1.0, "replicas": 1}
    assert an.simulate(f, method, steps=4, **setting).constants()["schedule"].size == 4
    with pytest.raises(ValueError, match="'cosine' is made for 10 iterations, and 11 are asked for"):
        an.simulate(f, method, steps=11, **setting)
    one = an.optimizers.sgd(an.schedules.from_vector([0.5]))
    assert an.simulate(f, one, steps=1, **setting).gap[0, 0] == 0.125
    assert not an.check(an.schedules.from_vector([0.5]))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: an.schedules.wsd(0.1, 10, share=1.2), "share = 1.2; expected a share of all iterations, 0 to 1"),
        (lambda: an.schedules.linear(0.1, 0), "steps = 0; expected a whole number of at least 1"),
        (lambda: an.schedules.polynomial(0.1, 5, power=-1), "power = -1; expected a finite number of at least 0"),
        (lambda: an.schedules.from_vector([0.1, -0.2]), r"values\[1\] = -0.2; expected a finite step size"),
        (lambda: an.schedules.from_vector([[0.1]]), r"values has shape \(1, 1\); expected a vector of step sizes"),
        (lambda: an.schedules.from_vector([]), r"values has shape \(0,\); expected a vector"),
        (lambda: an.schedules.from_vector([0.1], steps=3), "steps = 3 is for a scheduler"),
        (lambda: an.schedules.from_vector("cosine"), "values = 'cosine'; expected a vector"),
        (lambda: factors(an.schedules.halve_on_plateau(0.1), 5), "'halve_on_plateau' depend on the loss"),
    ],
)
def test_bad_schedules_are_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def test_a_pytorch_scheduler_is_read_and_left_where_it_stands():
    torch = pytest.importorskip("torch")
    rates = torch.optim.lr_scheduler
    weights = torch.nn.Parameter(torch.zeros(3))
    optimizer = torch.optim.AdamW([weights], lr=0.1)
    scheduler = rates.SequentialLR(
        optimizer, [rates.LinearLR(optimizer, 0.25, total_iters=3), rates.CosineAnnealingLR(optimizer, 7)], [3]
    )
    before = scheduler.get_last_lr()
    found = an.schedules.from_vector(scheduler, steps=10)
    assert scheduler.get_last_lr() == before
    seen = []
    for _ in range(10):
        seen.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    assert factors(found, 10).tolist() == seen and max(seen) == pytest.approx(0.1)
    with pytest.raises(ValueError, match="how many iterations of SequentialLR"):
        an.schedules.from_vector(scheduler)
    with pytest.raises(ValueError, match="ReduceLROnPlateau follows the loss"):
        an.schedules.from_vector(rates.ReduceLROnPlateau(optimizer), steps=3)
