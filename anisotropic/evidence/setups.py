"""On which instance is a bound shown to hold? One certified setup for each bound of the catalogue.

``setups.for_bound(id)()`` simulates, ``setups.for_bound(id).verify()`` judges. Tests, the documentation and the command
line use the same ones. The grids that check the catalogue more widely are here too, under their names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from .. import batching, bounds, noises, optimizers, problems, schedules
from .._support.names import nearest
from ..bounds.comparison import power_law
from ..records import Objective, Optimizer
from .cells import (
    BOX,
    DENSE,
    NONCONVEX,
    SPARSE,
    Setup as Setup,
    adagrad_cell,
    convex_grid as convex_grid,
    cosine_cell,
    exact_bound as exact_bound,
    exact_grid as exact_grid,
    nonconvex_grid as nonconvex_grid,
    sgd_cell,
    tuned,
)
from .matrix_setups import MATRIX_SETUPS


def _convex_sgd() -> Setup:
    """Nearly an equality: dense curvature, little noise (slack 1.01)."""
    return sgd_cell("convex_sgd", power_law(100, DENSE), power_law(100, SPARSE), 100, 64)


def _convex_diag_sgd() -> Setup:
    return sgd_cell("convex_diag_sgd", power_law(100, SPARSE), power_law(100, SPARSE), 1000, 1)


def _convex_sgd_proj() -> Setup:
    """The minimizer over the box is a corner, where the gradient is not zero."""
    curvature, sigma, steps, batch = power_law(10, SPARSE), power_law(10, SPARSE), 200, 4
    step_size = tuned("convex_sgd_proj", L=curvature, sigma=sigma, R=1.0, T=steps, M=batch)
    f = problems.quadratic(curvature, center=1.5, box=BOX)
    return Setup(bounds.convex_sgd_proj, f, optimizers.sgd(step_size), noises.gaussian(sigma), 0.0, steps, batch, 1024)


def _nonsmooth(name: str) -> Setup:
    """Absolute values: gradients do not shrink, so that a larger batch buys nothing beyond a point.

    Were every coordinate to arrive, SGD's bound would be an equality; the flattest ones do not.
    """
    slope, steps, batch = power_law(20, SPARSE), 1000, 16
    sigma = 2 * slope
    f = problems.absolute(slope, center=0.5, box=BOX)
    if name == "convex_adagrad_nonsmooth":
        optimizer = optimizers.adagrad(2.0 / np.sqrt(2))
    else:
        optimizer = optimizers.sgd(tuned(name, R=0.5, G=np.sqrt(slope**2 + sigma**2 / batch), T=steps))
    return Setup(bounds[name], f, optimizer, noises.gaussian(sigma), 0.0, steps, batch)  # type: ignore[index]


def _last_iterate(name: str) -> Setup:
    """Linear decay without a box; a late cool-down in a box that excludes the minimum; absolute values."""
    if name == "convex_sgd_last_nonsmooth":
        slope, steps, batch = power_law(5, 1.0), 200, 16
        sigma, f = slope, problems.absolute(slope, center=0.5, box=BOX)
        schedule = schedules.linear(1.0, steps)
        size = tuned(name, schedule=schedule, R=0.5, G=np.sqrt(slope**2 + sigma**2 / batch))
        method = optimizers.sgd(schedules.linear(size, steps))
        return Setup(bounds[name], f, method, noises.gaussian(sigma), 0.0, steps, batch)  # type: ignore[index]
    curvature, sigma, steps, batch = power_law(10, SPARSE), power_law(10, SPARSE), 200, 4
    active = name == "convex_sgd_last_proj"
    f = problems.quadratic(curvature, center=1.5 if active else 0.9, box=BOX if active else None)
    make = partial(schedules.wsd, share=0.3, warmup=10) if active else schedules.linear
    known = {"L": curvature, "sigma": sigma, "R": 1.0 if active else 0.9, "M": batch}
    method = optimizers.sgd(make(tuned(name, schedule=make(1.0, steps), **known), steps))
    return Setup(bounds[name], f, method, noises.gaussian(sigma), 0.0, steps, batch, 1024)  # type: ignore[index]


def _pl_sgd() -> Setup:
    f = problems.quadratic(np.linspace(0.5, 1.0, 10))
    return Setup(bounds.pl_sgd, f, optimizers.sgd(0.2), noises.gaussian(0.5), 1.0, 300, 4, 1024)


def _convex_adagrad() -> Setup:
    return adagrad_cell("convex_adagrad", power_law(100, SPARSE), power_law(100, SPARSE), 1000, 1)


def _convex_adagrad_norm() -> Setup:
    return adagrad_cell("convex_adagrad_norm", power_law(100, DENSE), power_law(100, DENSE), 1000, 1)


def _convex_adagrad_active() -> Setup:
    curvature, sigma = power_law(10, SPARSE), power_law(10, SPARSE)
    f = problems.quadratic(curvature, center=1.5, box=BOX)
    optimizer = optimizers.adagrad(2.0 / np.sqrt(2))
    return Setup(bounds.convex_adagrad_active, f, optimizer, noises.gaussian(sigma), 0.0, 200, 4, 1024)


def _convex_adagrad_hp() -> Setup:
    """Paths, not means: at most one in twenty may end above the bound."""
    cell = adagrad_cell("convex_adagrad_hp", power_law(10, DENSE), power_law(10, DENSE), 300, 1, replicas=2048)
    return cell.with_(constants={"delta": 0.05})


def _nonconvex(name: str) -> Setup:
    replicas = 2 if name == "nonconvex_adagrad_det" else 64
    return cosine_cell(name, 10, SPARSE, 1000, 64, replicas=replicas)


def _nonconvex_adagrad_gen() -> Setup:
    """Hyperbolic cosines from 3: at the start the curvature is 200 times that at the minimizer."""
    f, sigma = problems.cosh(np.ones(10), 2.0), 0.5
    optimizer = optimizers.adagrad(0.3, eps=1e-3, preset="nonconvex")
    return Setup(bounds.nonconvex_adagrad_gen, f, optimizer, noises.gaussian(sigma), 3.0, 1000, 64, 64)


def _unconstrained(name: str) -> Setup:
    """Gradients without noise, iterates without a box, a start on the straight part of pseudo-Huber functions."""
    c = power_law(10, 1.0)
    f = problems.quadratic(c) if name == "pl_adagrad" else problems.pseudo_huber(c, 0.5)
    if name == "convex_adagrad_norm_free":
        optimizer = optimizers.adagrad_norm(1.0, eps=0.1)
    else:
        optimizer = optimizers.adagrad(1.0, eps=0.1, preset="nonconvex" if name == "pl_adagrad" else "convex")
    return Setup(bounds[name], f, optimizer, noises.none(), 3.0, 1000, replicas=2)  # type: ignore[index]


def _unconstrained_logistic(name: str) -> Setup:
    """Logistic regression on 200 random rows, minibatches of 8, AdaGrad-Norm from the origin without a box."""
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(200, 5)) / np.sqrt(5)
    labels = np.sign(rows @ generator.normal(size=5) + 0.5 * generator.normal(size=200))
    f, steps, batch = problems.logistic_regression(rows, labels, l2=0.01), 2000, 8
    if name == "convex_adagrad_norm_free_variance":
        assert f.sample_sigma is not None
        eps = float(np.sqrt(np.sum(f.sample_sigma**2) * steps / batch))
        optimizer, known = optimizers.adagrad_norm(0.5, eps=eps, preset="nonconvex"), {}
    else:
        bound = 2 * float(np.max(np.linalg.norm(rows, axis=1)))  # of the l2 norm of the error of any batch
        optimizer = optimizers.adagrad_norm(0.03, eps=1.001 * bound, preset="nonconvex")
        known = {"delta": 0.1, "noise_bound": np.full(5, bound / np.sqrt(5))}
    return Setup(
        bounds[name], f, optimizer, noises.minibatch(), 0.0, steps, batch, 128, records=1, constants=known  # type: ignore[index]
    )


def _free_separable(name: str) -> Setup:
    """Pseudo-Huber functions of unequal curvature without a box, started on their straight parts."""
    c, steps = np.array([1.0, 0.5, 0.25]), 10_000
    if name == "convex_adagrad_free_variance":
        f, sigma = problems.pseudo_huber(c, 0.5), 0.2
        optimizer = optimizers.adagrad(0.1, eps=sigma / 2 * np.sqrt(steps), preset="nonconvex")
        return Setup(bounds[name], f, optimizer, noises.gaussian(sigma), 2.0, steps, 4, 64, records=1)  # type: ignore[index]
    f, sigma = problems.pseudo_huber(c / 50, 1.0), 0.02
    optimizer = optimizers.adagrad(0.03, eps=sigma, preset="nonconvex")
    return Setup(
        bounds[name], f, optimizer, noises.rademacher(sigma), 2.0, steps, 4, 128, records=1, constants={"delta": 0.1}  # type: ignore[index]
    )


def _strong_growth(name: str) -> Setup:
    """Batches that the exact test keeps large enough, on sums of cosines."""
    c = power_law(10, 1.0)
    if name == "adagrad_norm_strong_growth":
        rule, known = batching.norm_test(0.5, form="exact"), {"delta": 0.5}
        optimizer = optimizers.adagrad_norm(0.1, eps=10.0, preset="nonconvex")
    else:
        rule, known = batching.coordinate_norm_test(0.5, 1e-12, form="exact"), {}
        optimizer = optimizers.adagrad(0.1, eps=10.0, preset="nonconvex")
    f, noise = problems.cosine(c, 1.0), noises.gaussian(c / 2)
    return Setup(bounds[name], f, optimizer, noise, 0.3, 1000, rule, 256, constants=known)  # type: ignore[index]


def _sgd_separation_lower() -> Setup:
    """Gradient descent with the largest step size, on the quadratic that it cannot solve in 1,000 iterations."""
    from ..bounds.separation import separation_instance

    known = separation_instance(1000, 1000)
    f = problems.quadratic(known["L"])
    return Setup(bounds.sgd_separation_lower, f, optimizers.sgd(2.0), noises.none(), 1.0, 1000, replicas=2)


def _adagrad_drift_lower() -> Setup:
    """Started at the minimizer: what is measured is the work of the noise alone."""
    from ..bounds.drift import drift_instance

    known = drift_instance(1000)
    f = problems.huber(known["L"], known["gradient_bound"] / known["L"])
    noise = noises.two_point(known["sigma"], known["jump_probability"])
    optimizer = optimizers.adagrad(known["step_size"])
    return Setup(bounds.adagrad_drift_lower, f, optimizer, noise, 0.0, 1000, replicas=1024, records=1)


def _nonconvex_adagrad_lower() -> Setup:
    """A hundred iterations of rare jumps, then 9,900 of signs; the gradient stays where the jumps have left it."""
    from ..bounds.drift import two_phase_instance

    known = two_phase_instance(10_000)
    f = problems.huber(known["L"], known["gradient_bound"] / known["L"])
    noise = noises.two_phase(known["sigma"], known["jump_probability"], known["first_phase"])
    optimizer = optimizers.adagrad(known["step_size"], eps=known["eps"], preset="nonconvex")
    return Setup(bounds.nonconvex_adagrad_lower, f, optimizer, noise, 0.0, 10_000, replicas=256, records=1)


def _adagrad_lower() -> Setup:
    """Starts on both sides of the step size: some coordinates overshoot, others crawl."""
    f = problems.quadratic(power_law(20, 1.0))
    start = np.geomspace(0.01, 3.0, 20)
    return Setup(bounds.adagrad_lower, f, optimizers.adagrad(0.1), noises.none(), start, 1000, replicas=2, records=1)


def _adagrad_every_step_lower() -> Setup:
    """Near the best step size for one far coordinate and 99 that stand at the minimizer, nearly."""
    from ..bounds.lower import overshoot_instance

    known = overshoot_instance(100, 1000)
    f, optimizer = problems.quadratic(known["L"]), optimizers.adagrad(0.15)
    return Setup(
        bounds.adagrad_every_step_lower, f, optimizer, noises.none(), known["R"], 1000, replicas=2, records=1
    )


def _sgd_every_step_lower() -> Setup:
    """Noise in one coordinate, distance in 99 others, and a step size twice as long as the best one."""
    from ..bounds.lower import quick_or_quiet_instance

    known = quick_or_quiet_instance(100, 1000)
    f, step_size = problems.quadratic(known["L"]), 0.5 / known["L"][0]
    noise = noises.gaussian(known["sigma"])
    method = optimizers.sgd(step_size)
    return Setup(bounds.sgd_every_step_lower, f, method, noise, known["R"], 1000, replicas=1024, records=1)


def _sgd_every_schedule_lower() -> Setup:
    """The step sizes of the filter of the first of four coordinates, which are too short for the others."""
    h, level, steps, batch = np.array([0.5, 0.4, 0.3, 0.2]), 0.4, 200, 4
    offset = 1 + level**2 / batch / h[0] ** 2
    f, method = problems.quadratic(h), optimizers.sgd(schedules.inverse_time(1 / (h[0] * offset), offset))
    noise = noises.gaussian(level)
    return Setup(bounds.sgd_every_schedule_lower, f, method, noise, 1.0, steps, batch, replicas=4096, records=5)


#: Rates of others on the last iterate: objective, start, method and horizon; where a rate is an equality, the instance
#: that shows it.
_STATED: dict[str, Callable[[], tuple[Objective, Any, Optimizer, int]]] = {
    "drori_teboulle_gd": lambda: (_worst_huber(), 1.0, optimizers.sgd(1.0), 100),
    "nesterov_gd": lambda: (_worst_huber(), 1.0, optimizers.sgd(1.5), 100),
    "nesterov_gd_short": lambda: (_worst_huber(), 1.0, optimizers.sgd(1.0), 100),
    "deklerk_gd": lambda: (*_valley(), optimizers.sgd(2 / 1.1), 30),
    "ghadimi_heavy_ball": lambda: (*_valley(), optimizers.heavy_ball(0.5, momentum=np.sqrt(0.95 * 0.5)), 100),
    "abbaszadehpeivasti_gd_pl": lambda: (*_valley(), optimizers.sgd(1.9), 100),
}


def _worst_huber() -> Objective:
    """The worst function for 100 updates with step size 1/L."""
    return problems.huber(1.0, 1 / 201)


def _valley() -> tuple[Objective, Any]:
    return problems.quadratic(np.array([1.0, 0.1])), np.array([1.0, 10.0])


def _stated(name: str) -> Setup:
    f, start, method, steps = _STATED[name]()
    return Setup(bounds[name], f, method, noises.none(), start, steps, replicas=2)  # type: ignore[index]


_SETUPS: dict[str, Callable[[], Setup]] = {
    "convex_sgd": _convex_sgd,
    "convex_sgd_proj": _convex_sgd_proj,
    "convex_diag_sgd": _convex_diag_sgd,
    "convex_sgd_nonsmooth": partial(_nonsmooth, "convex_sgd_nonsmooth"),
    **{
        name: partial(_last_iterate, name)
        for name in ("convex_sgd_last", "convex_sgd_last_proj", "convex_sgd_last_nonsmooth")
    },
    "pl_sgd": _pl_sgd,
    "convex_adagrad": _convex_adagrad,
    "convex_adagrad_active": _convex_adagrad_active,
    "convex_adagrad_norm": _convex_adagrad_norm,
    "convex_adagrad_nonsmooth": partial(_nonsmooth, "convex_adagrad_nonsmooth"),
    "convex_adagrad_hp": _convex_adagrad_hp,
    **{name: partial(_nonconvex, name) for name in NONCONVEX},
    "nonconvex_signsgd_gaussian": partial(_nonconvex, "nonconvex_signsgd_gaussian"),
    "nonconvex_adagrad_det": partial(_nonconvex, "nonconvex_adagrad_det"),
    "nonconvex_adagrad_gen": _nonconvex_adagrad_gen,
    **{
        name: partial(_unconstrained, name)
        for name in ("convex_adagrad_free_separable", "convex_adagrad_norm_free", "pl_adagrad")
    },
    **{
        name: partial(_unconstrained_logistic, name)
        for name in ("convex_adagrad_norm_free_variance", "convex_adagrad_norm_free_hp")
    },
    **{
        name: partial(_free_separable, name) for name in ("convex_adagrad_free_variance", "convex_adagrad_free_hp")
    },
    **{name: partial(_stated, name) for name in _STATED},
    "sgd_separation_lower": _sgd_separation_lower,
    "adagrad_lower": _adagrad_lower,
    "adagrad_every_step_lower": _adagrad_every_step_lower,
    "sgd_every_step_lower": _sgd_every_step_lower,
    "sgd_every_schedule_lower": _sgd_every_schedule_lower,
    "adagrad_drift_lower": _adagrad_drift_lower,
    "nonconvex_adagrad_lower": _nonconvex_adagrad_lower,
    "adagrad_norm_strong_growth": partial(_strong_growth, "adagrad_norm_strong_growth"),
    "adagrad_strong_growth": partial(_strong_growth, "adagrad_strong_growth"),
    **MATRIX_SETUPS,
}


def for_bound(name: str) -> Setup:
    """The setup on which the bound called `name` is checked.

    Raises
    ------
    KeyError
        For a name without a setup, with the nearest one.

    Examples
    --------
    >>> setup = for_bound("convex_adagrad")
    >>> setup.objective.name, setup.objective.dim, setup.steps, setup.batch_size
    ('quadratic', 100, 1000, 1)
    """
    if name not in _SETUPS:
        raise KeyError(f"no setup for a bound called {name!r}{nearest(name, _SETUPS, cutoff=0.4)}")
    return replace(_SETUPS[name](), label=name)


def names() -> tuple[str, ...]:
    """Ids of the bounds that have a setup."""
    return tuple(_SETUPS)
