"""What do workers gain that average their iterates only now and then? Local SGD and local AdaGrad, with batch rules.

Each round every worker starts from the common point, takes `local_steps` steps with gradients of its own, and iterates
and optimizer states are averaged. The batch is decided when the workers meet, from one of two pictures of the noise:
"samples" asks the rule of every worker about its last local batch and takes the mean of the answers; "workers" needs no
single gradients: the spread of the workers' first gradients, all taken at the common point, estimates the variance.

References
----------
Lau, Li, Xu, Liu, Kolar, arXiv 2406.13936 (adaptive batches for local gradient methods).
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from .._support.progress import working
from ..batching.resize import compiled
from ..batching.rules import bounded
from ..compiled.disk import ready
from ..compiled.random import Stream, chi_square, draw_rows, fill_normals
from ..records import (
    BatchRule,
    FloatArray,
    Noise,
    Objective,
    Optimizer,
    Run,
    Schedule,
    count,
    float_vector,
    seed_number,
)
from .assemble import assemble, facts_of
from .chunks import in_chunks
from .compatibility import batch_number, check_nouns, check_rule, check_setup, largest_batch
from .contract import require
from .layout import make_layout, record_steps
from .loop import columns, norms

TESTS = ("workers", "samples")


class Meeting(NamedTuple):
    """How workers meet: their number, steps between two meetings, whether the rule asks about samples, offsets."""

    workers: int
    local_steps: int
    by_samples: bool
    offsets: FloatArray


@njit(nogil=True, error_model="numpy", no_cfunc_wrapper=True)
def local_trajectories(
    value, gradient, sample_gradient, apply, update, decide, params, lanes, setting, key, record, meeting, first, last,
    out, signal,
):  # fmt: skip
    """Simulate the replicas first..last-1; columns are those of `loop.columns`, and one record is one round.

    `layout` says what params, lanes and setting hold: here every replica is alone in its lanes. A sample_gradient of
    None means no finite sum, a decide of None a constant batch.
    """
    d, sampling, workers = lanes.dim, params.sampling, meeting.workers
    initial = lanes.state.reshape((lanes.state.size // d, d))
    z, w, true, history = np.empty((4, d)), np.empty(d), np.empty(d), np.zeros((0, 1))
    common, gathered = np.empty(initial.shape), np.empty(initial.shape)
    x, mean, state, variance = np.empty(d), np.empty(d), np.empty(initial.shape), np.empty(d)
    g, seen, running = np.empty((workers, d)), np.empty((workers, d)), np.empty(d)
    rows, order = np.empty(setting.room, np.int64), np.arange(setting.population)
    coordinate, zero = lanes.coordinate[:d], lanes.replica[:d]
    for r in range(first, last):
        w[:], common[:], running[:] = lanes.start, initial, 0.0
        sums, samples, batch, used, k = np.zeros(4), 0.0, setting.first_batch, setting.first_batch, 0
        for t in range(1, record[-1] + 2):
            if signal[0] != 0:
                return
            gradient(w, params.objective, true)
            f = value(w, params.objective)
            l1, square = norms(true)
            if t - 1 == record[k]:
                if not (np.isfinite(f) and np.isfinite(square)):
                    break
                o = out[r, k]
                o[0], o[1], o[2], o[3] = f, square, value(running / (t - 1), params.objective), np.nan
                if setting.accumulator >= 0:
                    o[3] = common[setting.accumulator].sum()
                o[4], o[5] = used, samples
                o[6:] = sums / (t - 1)
                k += 1
                if k == record.size:
                    break
            sums += np.array([f, l1, np.sqrt(square), square])
            running += w
            mean[:], gathered[:], wanted = 0.0, 0.0, 0.0
            used = batch
            for m in range(workers):
                x[:], state[:] = w, common
                for h in range(meeting.local_steps):
                    s = (t - 1) * meeting.local_steps + h + 1
                    stream = Stream(key[0], key[1], r * workers + m, s)
                    if sample_gradient is not None:
                        draw_rows(rows, order, setting.population, batch, setting.replace, stream)
                        sample_gradient(x, params.objective, rows[:batch], g[m])
                    else:
                        gradient(x, params.objective, g[m])
                    for j in range(d):
                        g[m, j] += meeting.offsets[m, j]
                    if sample_gradient is None:
                        if h == 0 or (s - 1) % 4 == 0:
                            fill_normals(key[0], key[1], r * workers + m, (s - 1) // 4, coordinate, zero, zero,
                                         z[0], z[1], z[2], z[3])  # fmt: skip
                        apply(g[m], z[(s - 1) % 4], batch, stream, params.noise)
                    if h == 0:
                        seen[m] = g[m]
                    if decide is not None and meeting.by_samples and h == meeting.local_steps - 1:
                        projected_variance, freedom = 0.0, batch - 1.0
                        for j in range(d):
                            one = sampling.sigma[j] ** 2 + sampling.rho * true[j] ** 2
                            projected_variance += g[m, j] ** 2 * one
                            variance[j] = one * chi_square(freedom, stream, j) / freedom
                        projected_variance *= chi_square(freedom, stream, d) / freedom
                        asked = decide(batch, g[m], variance, projected_variance, 0, t, history, params.rule)
                        wanted += asked / workers
                    update(x, g[m], state, lanes.step_size, s, params.optimizer)
                    for j in range(d):
                        x[j] = max(min(x[j], lanes.hi[j]), lanes.lo[j])
                mean += x / workers
                gathered += state / workers
            signal[1] += 1
            samples += float(batch) * workers * meeting.local_steps
            w[:], common[:] = mean, gathered
            if decide is not None and t % sampling.interval == 0 and (batch < sampling.max_batch or sampling.shrink):
                if not meeting.by_samples:
                    wanted = across(decide, seen, batch, variance, mean, history, t, params.rule)
                batch = bounded(batch, wanted, sampling.shrink, sampling.max_batch)


@njit(nogil=True, error_model="numpy")
def across(decide, seen, batch, variance, mean, history, t, pr):
    """The batch a rule wants from the workers' gradients at one point: S = b/(M-1) sum |g_m - gbar|^2."""
    workers, d = seen.shape
    for j in range(d):
        mean[j] = seen[:, j].mean()
        variance[j] = 0.0
        for m in range(workers):
            variance[j] += (seen[m, j] - mean[j]) ** 2 / (workers - 1)  # of the mean of one worker's batch
    projected_variance, square = 0.0, (mean * mean).sum()
    for m in range(workers):
        inner = (seen[m] * mean).sum() - square
        projected_variance += inner * inner / (workers - 1)
    return batch * decide(workers, mean, variance, projected_variance, 0, t, history, pr)


def simulate_local(
    objective: Objective,
    optimizer: Optimizer,
    *,
    noise: Noise,
    start: ArrayLike,
    rounds: int,
    local_steps: int,
    workers: int,
    batch_size: int | BatchRule = 1,
    test: str = "workers",
    offsets: ArrayLike | None = None,
    replicas: int = 64,
    seed: int = 0,
    records: int = 100,
    threads: int | None = None,
    check: bool = True,
) -> Run:
    r"""Simulate workers that take `local_steps` steps each and then average iterates and optimizer states.

    Parameters
    ----------
    objective, optimizer, noise, start, replicas, seed, records, threads, check
        As for `simulate`; every worker has noise of its own. The optimizer has a constant step size.
    rounds : int
        Number of averagings; `steps` of the run counts rounds, and its statistics are those of the common point.
    batch_size : int or BatchRule
        Of one worker in one local step. A rule is asked when the workers meet.
    test : {"workers", "samples"}
        Whether the rule sees the spread of the workers' first gradients or the samples of each worker's last batch. In
        the unbiased form \|gbar\|^2 - S / (b M) takes the place of \|gbar\|^2, and where it is not positive the batch
        grows by twice the number of workers.
    offsets : array ``(workers, d)``, optional
        Added to the gradient of each worker: heterogeneous data. Their mean over workers must vanish.

    Returns
    -------
    Run
        `samples` counts those of all workers. Its optimizer is called "local ...", so that no bound for one machine
        claims to speak about it.

    Raises
    ------
    ValueError
        On one worker under the test across workers, an exact rule, or offsets that do not average to zero.

    References
    ----------
    Stich, arXiv 1805.09767 (local SGD); Lau et al., arXiv 2406.13936.

    Examples
    --------
    Without noise, two local steps of size 1/2 on x^2 / 2 divide the distance by four.

    >>> import anisotropic as an
    >>> f, method = an.problems.quadratic(1.0), an.optimizers.sgd(0.5)
    >>> run = an.simulate_local(f, method, noise=an.noises.none(), start=1.0, rounds=1, local_steps=2, workers=3)
    >>> float(run.gap[0, 0]), float(run.samples[0, 0])
    (0.03125, 6.0)
    """
    check_nouns(objective, optimizer, noise)
    rounds, local_steps = count(rounds, "rounds"), count(local_steps, "local_steps")
    workers, replicas, seed = count(workers, "workers"), count(replicas, "replicas"), seed_number(seed)
    rule = batch_size if isinstance(batch_size, BatchRule) else None
    first_batch = rule.start if rule else batch_number(batch_size)
    w1 = float_vector(start, objective.dim, "start")
    check_setup(objective, noise, w1, first_batch)
    cap = largest_batch(rule, objective, noise) if rule else first_batch
    _check(rule, test, workers, optimizer, noise, rounds * local_steps)
    if rule is not None:
        check_rule(rule, objective, noise, cap)
    if check:
        require(objective, optimizer, noise, rule=rule, start=w1)
    shift = _offsets(offsets, workers, objective.dim)
    record = record_steps(rounds, count(records, "records"))
    layout = make_layout(objective, optimizer, noise, w1, record, batch_size, seed, alone=True)
    meeting = Meeting(workers, local_steps, test == "samples", shift)
    functions = (
        objective.value, objective.gradient, objective.sample_gradient if noise.law == "rows" else None, noise.apply,
        optimizer.update, compiled(rule.decide) if rule else None,
    )  # fmt: skip
    out = np.full((replicas, record.size, len(columns())), np.nan)

    given = (*layout[1:], meeting)
    compiled_kernel = ready(local_trajectories, functions, (*given, 0, 0, out, np.zeros(2, np.int64)))

    def kernel(first: int, last: int, signal: np.ndarray) -> None:
        compiled_kernel(*given, first, last, out, signal)

    with working(f"local {optimizer.name} on {objective.name}", replicas * rounds) as tell:
        in_chunks(kernel, replicas, rounds, threads=threads, tell=tell)
    facts = facts_of(objective, optimizer, noise, rule or first_batch, seed)
    facts = replace(
        facts, optimizer=f"local {optimizer.name}", rule={**facts.rule, "test": test} if rule else {},
        local_steps=local_steps, workers=workers,
    )  # fmt: skip
    return assemble(out, record, w1, objective, optimizer, noise, rule or first_batch, [], facts)


def _check(rule: BatchRule | None, test: str, workers: int, optimizer: Optimizer, noise: Noise, steps: int) -> None:
    if test not in TESTS:
        raise ValueError(f"test = {test!r}; expected one of {', '.join(map(repr, TESTS))}")
    if isinstance(optimizer.step_size, Schedule):
        raise ValueError(f"the step size of {optimizer.name} follows a schedule; local methods have a constant one")
    if rule is None:
        return
    if rule.exact or rule.slots:
        raise ValueError("local methods ask a rule in its plug-in or unbiased form, without a backup")
    if test == "workers" and workers < 2:
        raise ValueError("the test across workers compares gradients of workers; with one, use test='samples'")
    if test == "samples" and noise.law == "rows":
        raise ValueError("the test on samples is drawn for gaussian and affine noise; for rows use test='workers'")


def _offsets(offsets: ArrayLike | None, workers: int, dim: int) -> FloatArray:
    if offsets is None:
        return np.zeros((workers, dim))
    shift = np.array(offsets, dtype=np.float64)
    if shift.shape != (workers, dim) or not np.isfinite(shift).all():
        raise ValueError(f"offsets has shape {shift.shape}; expected finite numbers of shape ({workers}, {dim})")
    if np.abs(shift.mean(axis=0)).max() > 1e-9 * max(np.abs(shift).max(), 1e-300):
        raise ValueError("the offsets of the workers must average to zero, or they change the objective")
    return shift
