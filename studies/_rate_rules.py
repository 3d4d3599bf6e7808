"""How is a rule for the rate written that the package does not have? As a schedule, or as an optimizer of one's own.

Phases that end in a halving, with or without a look at an evaluated loss, fit a `Schedule`; the search of the public
code of arXiv 2406.14340 moves the iterate back after its trials, which only an `Optimizer` may do.
"""

import math
from typing import NamedTuple

import numpy as np

import anisotropic as an

CURVATURE, BATCH = np.array([1.0, 0.7, 0.5]), 4
CONSTANT = 3.52  # half the sum of h^-2: the variance of one sample's loss at the minimizer


@an.leaf
def evaluation_error(value, samples, t, purpose):
    """Error of a loss from `samples` samples; the loss itself makes it differ between replicas."""
    place = np.int64(math.frexp(value)[0] * 2.0**53)
    u, v = an.random.uniform_pair(an.random.Stream(np.uint64(purpose), np.uint64(samples), place, t), 0, 0, 0)
    normal = math.sqrt(-2.0 * math.log(u)) * math.cos(2.0 * math.pi * v)
    return normal * math.sqrt((4.0 * value + CONSTANT) / samples)


class Halving(NamedTuple):
    """Length of a phase, in units of 1/step size or in iterations; samples of an evaluation, or 0: always."""

    patience: float
    length: int
    samples: int
    step_size: float


@an.leaf
def halving_factor(t, value, state, params):
    """state = (factor, iterations in the phase, last estimate)."""
    if state[0] == 0.0:
        state[0], state[2] = 1.0, math.inf
    state[1] += 1.0
    if state[1] >= (params.length if params.length else params.patience / (params.step_size * state[0])):
        estimate = value + (evaluation_error(value, params.samples, t, 1) if params.samples else 0.0)
        if params.samples == 0 or estimate >= state[2]:
            state[0] = max(0.5 * state[0], 1e-300)  # zero would start anew
        state[1], state[2] = 0.0, estimate
    return state[0]


def halving(patience=10.0, length=0, samples=0):
    return lambda step_size: an.Schedule(
        "halving", halving_factor, Halving(patience, length, samples, step_size), step_size=step_size, slots=3
    )


class UndoneSearch(NamedTuple):
    """Curvature, samples of an evaluation, candidates, their ratio, iterations of a trial, and without progress."""

    curvature: np.ndarray
    samples: int
    candidates: int = 5
    ratio: float = 4.0
    trial: int = 50
    tolerance: int = 400


@an.leaf
def undone_search_update(w, gradient, state, step_size, t, params):
    """SGD with the source's search: trials start from one point, which comes back. The rate stands in `state[0, 0]`.

    state rows: (rate); snapshot; (best score, best rate, lowest loss); (candidate + 1 or 0, iterations of the
    trial, idle ones).
    """
    rate, snapshot, best, place, h = state[0], state[1], state[2], state[3], params.curvature
    value = 0.5 * np.sum(h * w * w)
    starting = rate[0] == 0.0
    if starting:
        rate[0], best[2] = step_size[0], math.inf
    if place[0] > 0.0 and place[1] >= params.trial:
        score = value + evaluation_error(value, params.samples, t, 2)
        if score < best[0]:
            best[0], best[1] = score, candidate(rate[0], place[0], params)
        gradient -= h * (w - snapshot)  # the same noise, seen from the snapshot
        w[:] = snapshot
        place[0], place[1] = place[0] + 1.0, 0.0
        if place[0] > params.candidates or candidate(rate[0], place[0], params) * h.max() > 1.9:
            rate[0], place[0], place[2] = best[1], 0.0, 1.0
    elif place[0] == 0.0:
        loss = value + evaluation_error(value, BATCH, t, 3)
        if loss < best[2]:
            best[2], place[2] = loss, 0.0
        if place[2] >= params.tolerance or starting:
            snapshot[:] = w
            best[0], best[1], place[0], place[1] = math.inf, rate[0], 1.0, 0.0
        else:
            place[2] += 1.0
    now = rate[0]
    if place[0] > 0.0:
        now, place[1] = candidate(rate[0], place[0], params), place[1] + 1.0
    w -= now * gradient


@an.leaf
def candidate(rate, number, params):
    return rate * params.ratio ** (number - 1.0 - 0.5 * (params.candidates - 1))


def undone_search(samples):
    state = {"accumulator": 0.0, "snapshot": 0.0, "best": 0.0, "place": 0.0}
    return lambda step_size: an.Optimizer(
        "sgd with search", undone_search_update, UndoneSearch(CURVATURE, samples), step_size=step_size, state=state
    )
