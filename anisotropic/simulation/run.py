"""How is a run made? Checks, layout, chunks of replicas in threads, assembly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from .._support.progress import working
from ..compiled.disk import ready
from ..records import (
    BatchRule,
    Noise,
    Objective,
    Optimizer,
    Run,
    Schedule,
    count,
    float_vector,
    refuse_longer,
    seed_number,
)
from . import loop
from .assemble import assemble, facts_of
from .chunks import in_chunks
from .compatibility import batch_number, check_nouns, check_rule, check_setup, largest_batch, warn_of_full_passes
from .contract import require
from .layout import Measure, make_layout, record_steps


def simulate(
    objective: Objective,
    optimizer: Optimizer,
    *,
    noise: Noise,
    start: ArrayLike,
    steps: int,
    batch_size: int | BatchRule = 1,
    replicas: int = 64,
    seed: int = 0,
    records: int = 100,
    measures: Mapping[str, Measure] | None = None,
    running_means: bool = True,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    check: bool = True,
) -> Run:
    """Simulate independent trajectories of `optimizer` on `objective` and record the statistics that theorems bound.

    Parameters
    ----------
    objective, optimizer, noise : records
    start : number or array ``(d,)``
        w_1, inside the box.
    steps : int
        Number of updates T.
    batch_size : int or BatchRule
        Samples M averaged in each gradient, or the rule that chooses them (`an.batching`).
    replicas : int
        Number of independent trajectories.
    seed : int
        0 <= seed < 2**64. The same seed gives every optimizer the same noise.
    records : int
        About how many log-spaced iterations are recorded.
    measures : mapping of str to njit function ``(w, gradient, params) -> float``, optional
        Statistics of your own, evaluated at the iterate with its true gradient; "m" is recorded as `m` (at w_{t+1}) and
        `mean_m` (mean over w_1..w_t).
    running_means : bool
        False evaluates value and gradient at the records only, for finite sums whose full gradient is dear: the
        statistics that average over all iterations are then NaN. A warning says so before a long run on rows starts.
    threads : int, optional
        Default: all cores. Results do not depend on it.
    progress : callable ``(done, replicas)``, optional
        Called about twenty times a second with the work done in units of whole replicas. Left out, a run of more than
        two seconds shows a line on a terminal, which is erased at its end.
    check : bool
        Whether objectives, optimizers, noises, batch rules and measures that the package did not make are probed first
        (`anisotropic.check`), each function once. It costs some milliseconds.

    Returns
    -------
    Run

    Raises
    ------
    ValueError, TypeError
        On wrong shapes, a start outside the box, NaN, counts below 1, a closure where a compiled function is needed.
    ContractViolation
        If a function of one's own does not do what a simulation relies on: a ValueError with a sentence for each fault.

    Examples
    --------
    Noiseless SGD with step size 1/2 halves the distance on x^2 / 2, so the gap falls by 4 in every iteration.

    >>> import anisotropic as an
    >>> f, method = an.problems.quadratic(1.0), an.optimizers.sgd(0.5)
    >>> run = an.simulate(f, method, noise=an.noises.none(), start=1.0, steps=3)
    >>> run.gap[0].tolist()
    [0.125, 0.03125, 0.0078125]
    """
    check_nouns(objective, optimizer, noise)
    steps, seed = count(steps, "steps"), seed_number(seed)
    rule = batch_size if isinstance(batch_size, BatchRule) else None
    first_batch = rule.start if rule else batch_number(batch_size)
    replicas, records = count(replicas, "replicas"), count(records, "records")
    w1 = float_vector(start, objective.dim, "start")
    check_setup(objective, noise, w1, first_batch)
    if isinstance(optimizer.step_size, Schedule):
        refuse_longer(optimizer.step_size, steps)
    cap = largest_batch(rule, objective, noise) if rule else first_batch
    if rule is not None:
        check_rule(rule, objective, noise, cap)
    if running_means:
        warn_of_full_passes(objective, noise, steps, first_batch, replicas)
    if not isinstance(measures or {}, Mapping):
        raise TypeError(f"measures = {measures!r}; expected a mapping of names to compiled functions")
    measures = dict(measures or {})
    reserved = {*loop.columns(), "gap", "mean_gap", "average_gap"}
    clash = sorted({n for m in measures for n in (m, f"mean_{m}")} & reserved)
    if clash:
        raise ValueError(f"measure {clash[0]!r} is a statistic that every run records; choose another name")
    if check:
        require(objective, optimizer, noise, rule=rule, measures=measures, start=w1, steps=steps)
    record = record_steps(steps, records)
    layout = make_layout(objective, optimizer, noise, w1, record, batch_size, seed, measures, means=running_means)
    out = np.full((replicas, record.size, len(loop.columns(list(measures)))), np.nan)

    given = layout[1:]
    compiled = ready(loop.trajectories, layout.functions, (*given, 0, 0, out, np.zeros(2, np.int64)))

    def kernel(first: int, last: int, signal: np.ndarray) -> None:
        compiled(*given, first, last, out, signal)

    with working(f"{optimizer.name} on {objective.name}", replicas * steps) as line:
        tell = line if progress is None else (lambda done: progress(done // steps, replicas))
        in_chunks(kernel, replicas, steps, tile=layout.lanes.tile, threads=threads, tell=tell)
    facts = facts_of(objective, optimizer, noise, batch_size, seed)
    if rule is not None:
        kept = not layout.params.sampling.broken[0]
        facts = replace(facts, batch_test_always_holds=rule.exact and rule.interval == 1 and kept)
    return assemble(out, record, w1, objective, optimizer, noise, batch_size, list(measures), facts)

