"""Which method wins on a problem, and by how much? Step sizes tuned on some seeds, results reported on others.

The protocol of every comparison, in one place. All methods get the same noise, the same batch size and the same number
of iterations, hence equal samples. A grid is searched on another seed than the one that is reported. A step size that a
theorem names is reported apart, never mixed with tuned ones, and the theorem is judged on its run. Ratios are paired by
replica.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .._support.progress import working
from ..bounds.theorem import Bound
from ..intervals import checked_level
from ..records import Noise, Objective, Optimizer, Run, count, float_parameter, float_vector
from ..simulation.assemble import certified_constants
from ..simulation.run import simulate
from ..simulation.steps_to_target import steps_to_target, tuned_steps_to_target
from ..simulation.tune import RUNNING_MEANS, EveryStepSizeDiverged, tune
from .entries import THEOREM, TUNED, Entry, Race
from .verdicts import verify

LEAST_TUNING_REPLICAS = 8


class Method(NamedTuple):
    """One contender: a factory, the step sizes to try, and a theorem that names a step size.

    Attributes
    ----------
    make : callable ``step_size -> Optimizer``
    grid : increasing step sizes, or None
        With a grid the method runs with the best step size on it.
    bound : Bound or None
        With a bound the method also runs with the step size of the theorem, and the bound is judged on that run.
    """

    make: Callable[[Any], Optimizer]
    grid: Sequence[float] | None = None
    bound: Bound | None = None


class _Setting(NamedTuple):
    """What is common to all methods of a race; `simulation` are the arguments of `simulate` beyond steps and seeds."""

    objective: Objective
    steps: int
    target: float | None
    measure: str
    level: float
    replicas: int
    tuning_replicas: int
    seed: int
    records: int
    constants: dict[str, Any]
    simulation: dict[str, Any]


def race(
    objective: Objective,
    methods: Mapping[str, Method],
    *,
    noise: Noise,
    start: ArrayLike,
    batch_size: int,
    samples: int | None = None,
    steps: int | None = None,
    target: float | None = None,
    replicas: int = 64,
    seed: int = 0,
    reference: str = "sgd",
    measure: str = "mean_gap",
    level: float = 0.05,
    records: int = 1,
    tuning_replicas: int | None = None,
    constants: Mapping[str, Any] | None = None,
    **simulation: Any,
) -> Race:
    """Compare methods on one problem at equal samples, with tuned step sizes and with those of theorems.

    Parameters
    ----------
    methods : mapping of names to Method
        AdaGrad-Norm belongs among them wherever SGD and AdaGrad are compared.
    batch_size : int
        The same for all.
    samples, steps : int
        Give one of them: the budget in samples (``samples // batch_size`` iterations) or in iterations.
    target : float, optional
        Count iterations until the mean of the measure is at most this, giving up at the end of the budget, in place
        of the measure after it. Step sizes are then tuned to reach it soonest, and no bound is judged.
    replicas, seed : int
        Of the reported runs. Grids are searched on ``seed ^ 1``.
    reference : str
        The method that ratios compare with.
    measure : str
        A statistic of a run, taken after the last iteration.
    level : float
        Of all intervals, each by itself.
    records : int
        About how many records a reported run keeps; a bound is judged at each.
    tuning_replicas : int, optional
        For each step size of a grid; by default a quarter of `replicas`, at least 8.
    constants : mapping, optional
        Constants for the theorems that the nouns do not certify.
    **simulation
        Passed to `simulate`: threads, measures, running_means, check.

    Returns
    -------
    Race

    Raises
    ------
    ValueError
        On no method, an unknown reference, both or none of samples and steps, a method with neither grid nor bound. A
        grid on which every step size diverges is an entry that says so, not an error.

    Examples
    --------
    Noiseless SGD on x^2 / 2 reaches the minimizer in one iteration at step size 1, and the best of this grid is 1.

    >>> import anisotropic as an
    >>> f = an.problems.quadratic(1.0)
    >>> found = an.race(f, {"sgd": an.Method(an.optimizers.sgd, [0.5, 1.0, 1.5])}, noise=an.noises.none(), start=1.0,
    ...                 batch_size=1, steps=2, measure="gap", replicas=2)
    >>> found.tuned["sgd"].step_size, found.tuned["sgd"].values.tolist(), found.edges()
    (1.0, [0.0, 0.0], [])
    """
    contenders = _checked(methods, reference)
    batch_size, replicas = count(batch_size, "batch_size"), count(replicas, "replicas")
    if (samples is None) == (steps is None):
        raise ValueError("give either samples (the budget in samples) or steps (the number of iterations), not both")
    iterations = count(steps, "steps") if samples is None else count(samples, "samples") // batch_size
    if iterations < 1:
        raise ValueError(f"samples = {samples} is less than one batch of {batch_size}; raise samples")
    few = max(LEAST_TUNING_REPLICAS, replicas // 4) if tuning_replicas is None else tuning_replicas
    w1 = float_vector(start, objective.dim, "start")
    setting = _Setting(
        objective, iterations, None if target is None else float_parameter(target, "target"), measure,
        checked_level(level), replicas, count(few, "tuning_replicas"), seed, count(records, "records"),
        dict(constants or {}), dict(noise=noise, start=w1, batch_size=batch_size, **simulation),
    )  # fmt: skip
    with working(f"race of {len(contenders)} methods", _updates(contenders, setting)):
        entries = [_tuned(name, m, m.grid, setting) for name, m in contenders.items() if m.grid is not None]
        entries += [_by_theorem(name, m, m.bound, setting) for name, m in contenders.items() if m.bound is not None]
    return Race(tuple(entries), reference, measure, iterations, batch_size, replicas, setting.target, setting.level)


def _checked(methods: Mapping[str, Method], reference: str) -> dict[str, Method]:
    if not isinstance(methods, Mapping) or not methods:
        raise ValueError(
            f"methods = {methods!r}; expected a mapping such as {{'sgd': an.Method(an.optimizers.sgd, grid)}}"
        )
    for name, method in methods.items():
        if not isinstance(method, Method) or not callable(method.make):
            raise TypeError(f"method {name!r} is {method!r}; expected an.Method(factory, grid) with factory(step_size)")
        if method.grid is None and method.bound is None:
            raise ValueError(f"method {name!r} has neither a grid nor a bound, hence no step size; give one of them")
    if reference not in methods:
        raise ValueError(f"reference = {reference!r} is not among the methods {', '.join(methods)}")
    grids = {name: None if m.grid is None else [float(size) for size in m.grid] for name, m in methods.items()}
    return {name: m._replace(grid=grids[name]) for name, m in methods.items()}


def _updates(contenders: Mapping[str, Method], s: _Setting) -> int | None:
    """How many updates the race takes, of all replicas together; unknown where it counts iterations to a target."""
    if s.target is not None:
        return None
    tried = sum(len(m.grid) for m in contenders.values() if m.grid is not None)
    reported = sum((m.grid is not None) + (m.bound is not None) for m in contenders.values())
    return s.steps * (tried * s.tuning_replicas + reported * s.replicas)


def _run(optimizer: Optimizer, s: _Setting) -> Run:
    return simulate(
        s.objective, optimizer, steps=s.steps, replicas=s.replicas, seed=s.seed, records=s.records,
        **{"running_means": s.measure in RUNNING_MEANS or s.records > 1, **s.simulation},
    )  # fmt: skip


def _tuned(name: str, method: Method, grid: Sequence[float], s: _Setting) -> Entry:
    """The best step size of the grid, found on another seed."""
    if s.target is not None:
        found = tuned_steps_to_target(
            s.objective, method.make, grid, target=s.target, max_steps=s.steps, measure=s.measure, level=s.level / 2,
            seed=s.seed, replicas=s.replicas, tuning_replicas=s.tuning_replicas, **s.simulation,
        )  # fmt: skip
        nothing = np.full(s.replicas, np.nan)
        return Entry(name, TUNED, found.best, nothing, found.reach, found.at_edge, len(grid), found.diverged)
    try:
        tuning = tune(
            s.objective, method.make, grid, steps=s.steps, seed=s.seed ^ 1, replicas=s.tuning_replicas,
            measure=s.measure, **{k: v for k, v in s.simulation.items() if k != "running_means"},
        )  # fmt: skip
    except EveryStepSizeDiverged:
        return Entry(name, TUNED, np.nan, np.full(s.replicas, np.nan), tried=len(grid), diverged=len(grid))
    run = _run(method.make(tuning.best), s)
    lost = int(np.isinf(tuning.values).sum())
    return Entry(name, TUNED, tuning.best, run[s.measure][:, -1], None, tuning.at_edge, len(grid), lost, run=run)


def _by_theorem(name: str, method: Method, bound: Bound, s: _Setting) -> Entry:
    """The step size that the theorem names, and the theorem judged on the run."""
    known = certified_constants(
        s.objective, method.make(1.0), s.simulation["noise"], s.simulation["start"], s.steps,
        s.simulation["batch_size"],
    )  # fmt: skip
    known = {k: v for k, v in known.items() if k != "step_size"} | s.constants

    def size(steps: int) -> Any:
        return bound.tuned_step_size(**known | {"T": steps})

    if s.target is not None:
        any_time = np.array_equal(size(s.steps), size(s.steps + 1))
        reach = steps_to_target(
            s.objective, method.make(size(1)) if any_time else lambda steps: method.make(size(steps)),
            target=s.target, max_steps=s.steps, measure=s.measure, level=s.level / 2, seed=s.seed,
            replicas=s.replicas, **s.simulation,
        )  # fmt: skip
        needed = size(int(reach.steps)) if np.isfinite(reach.steps) else np.nan
        return Entry(name, THEOREM, needed, np.full(s.replicas, np.nan), reach)
    run = _run(method.make(size(s.steps)), s)
    own = {k: v for k, v in s.constants.items() if k in bound.constants}
    claim = bound.tightest(**known | {"step_size": size(s.steps)}).value
    verdict = verify(bound, run, **own)
    return Entry(name, THEOREM, size(s.steps), run[s.measure][:, -1], claim=claim, verdict=verdict, run=run)
