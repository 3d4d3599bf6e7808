"""Update rules, schedules, batch rules and measures with one fault each: name -> (noun, rule that it breaks, words)."""

from typing import NamedTuple

import numpy as np

import anisotropic as an


class Weights(NamedTuple):
    weight: np.ndarray


class Number(NamedTuple):
    number: float


def optimizer(update, params=None, **options):
    more = {} if params is None else {"params": params}
    return an.Optimizer("mine", update, **more, **{"step_size": 0.1} | options)


@an.leaf
def two_slots(w, gradient, state, step_size, t, params):
    for j in range(w.size):
        state[0, j] = 0.9 * state[0, j] + gradient[j]
        state[1, j] += gradient[j] ** 2
        w[j] -= step_size[j] * state[0, j] / (1e-8 + state[1, j] ** 0.5)


@an.leaf
def rebinds(w, gradient, state, step_size, t, params):
    w = w - step_size * gradient


@an.leaf
def reads_past_the_end(w, gradient, state, step_size, t, params):
    for j in range(w.size):
        w[j] -= step_size[j] * (gradient[j] + gradient[j + 1])


@an.leaf
def writes_past_the_end(w, gradient, state, step_size, t, params):
    for j in range(w.size + 1):
        w[j] -= 0.1


@an.leaf
def clipped(w, gradient, state, step_size, t, params):
    square = 0.0
    for j in range(w.size):
        square += gradient[j] ** 2
    for j in range(w.size):
        w[j] -= step_size[j] * gradient[j] / max(1.0, np.sqrt(square))


@an.leaf
def averaged(w, gradient, state, step_size, t, params):
    for j in range(w.size):
        w[j] -= step_size[j] * gradient[j] / w.size


@an.leaf
def zero_over_zero(w, gradient, state, step_size, t, params):
    for j in range(w.size):
        w[j] -= step_size[j] * gradient[j] * state[0, j] / state[0, j]
        state[0, j] += abs(gradient[j])


@an.leaf
def shrinks_its_step_size(w, gradient, state, step_size, t, params):
    for j in range(w.size):
        w[j] -= step_size[j] * gradient[j]
        step_size[j] *= 0.5


@an.leaf
def writes_its_params(w, gradient, state, step_size, t, params):
    for j in range(w.size):
        params.weight[j] += 1.0
        w[j] -= step_size[j] * gradient[j] / params.weight[j]


@an.leaf
def refuses(w, gradient, state, step_size, t, params):
    if t > 2:
        raise ValueError("enough")
    w -= step_size * gradient


@an.leaf
def last_entry(x, j):
    return x[j + 2]


@an.leaf
def asks_a_helper(w, gradient, state, step_size, t, params):
    for j in range(w.size):
        w[j] -= step_size[j] * last_entry(gradient, j)


@an.leaf
def weighted(w, gradient, state, step_size, t, params):
    for j in range(w.size):
        w[j] -= step_size[j] * gradient[j] * params.weight[j]


@an.leaf
def descent(w, gradient, state, step_size, t, params):
    for j in range(w.size):
        w[j] -= step_size[j] * gradient[j]


def ramp(dim):
    return np.arange(2.0)


OPTIMIZERS = {
    "two slots used, one declared": (
        optimizer(two_slots, state={"m": 0.0}), "bounds", ["index 1 is out of bounds", "state[1, j]", "declared: 'm'"]
    ),
    "no slot declared": (optimizer(two_slots), "bounds", ["index 0 is out of bounds", "declared: none"]),
    "w = w - ...": (optimizer(rebinds), "moves", ["w is still", "only gives a new array that name"]),
    "gradient[j + 1]": (optimizer(reads_past_the_end), "bounds", ["reads_past_the_end", "gradient[j + 1]"]),
    "w[w.size]": (optimizer(writes_past_the_end), "bounds", ["writes_past_the_end", "out of bounds"]),
    "a norm under coordinatewise": (optimizer(clipped, coordinatewise=True), "coordinatewise", ["leave coord"]),
    "w.size under coordinatewise": (optimizer(averaged, coordinatewise=True), "coordinatewise", ["joined"]),
    "0/0": (optimizer(zero_over_zero, state={"v": 0.0}), "finite", ["nan after 1 updates", "starts at 0"]),
    "step_size is not its own": (optimizer(shrinks_its_step_size), "side effects", ["state and w only"]),
    "params are not its own": (optimizer(writes_its_params, Weights(np.ones(3))), "side effects", ["its_params"]),
    "raises": (optimizer(refuses), "raises", ["raises ValueError: enough", "must not raise"]),
    "a helper reads too far": (optimizer(asks_a_helper), "bounds", ["return x[j + 2]"]),
    "whole numbers are not spread": (
        optimizer(weighted, Weights(np.array([1, 2, 3])), coordinatewise=True), "coordinatewise", ["out of bounds"]
    ),
    "an initial state of two entries": (
        optimizer(descent, state={"m": ramp}), "state", ["state 'm' has shape (2,)", "since d = 1"]
    ),
    "an initial state that raises": (
        optimizer(descent, state={"m": lambda d: 1 / 0}), "state", ["d = 1 raises ZeroDivisionError"]
    ),
}


@an.leaf
def six_slots(t, value, state, params):
    state[5] += 1.0
    return 1.0 / (1.0 + state[5])


@an.leaf
def divides_by_the_slot(t, value, state, params):
    return state[0] / state[0]


@an.leaf
def falls_below_zero(t, value, state, params):
    return 1.0 - 0.5 * t


@an.leaf
def forgets_to_return(t, value, state, params):
    state[0] += value


@an.leaf
def divides_by_its_params(t, value, state, params):
    params.weight[0] *= 0.5
    return params.weight[0]


SCHEDULES = {
    "six slots used, one declared": (an.Schedule("mine", six_slots), "bounds", ["slots = 1", "state[5] += 1.0"]),
    "0/0": (an.Schedule("mine", divides_by_the_slot), "finite", ["the factor at t = 1", "is nan"]),
    "negative": (an.Schedule("mine", falls_below_zero), "finite", ["the factor at t = 3", "is -0.5"]),
    "no result": (an.Schedule("mine", forgets_to_return), "result", ["returns nothing; it must return one float"]),
    "params are not its own": (
        an.Schedule("mine", divides_by_its_params, Weights(np.ones(1))), "side effects", ["state only"]
    ),
}


def too_much_history(batch, gradient, variance, projected_variance, population, t, history, rule):
    history[t, 0] = 1.0
    return batch + 1


def ratio_at_rest(batch, gradient, variance, projected_variance, population, t, history, rule):
    return variance.sum() / (gradient @ gradient)


def doubles_the_gradient(batch, gradient, variance, projected_variance, population, t, history, rule):
    for j in range(gradient.size):
        gradient[j] *= 2.0
    return batch


def backwards(batch, gradient, variance, projected_variance, population, t, history, rule):
    return batch - 10.0


def undecided(batch, gradient, variance, projected_variance, population, t, history, rule):
    return None


BATCH_RULES = {
    "history without slots": (an.BatchRule("mine", too_much_history), "bounds", ["history has slots = 0 rows"]),
    "history past its slots": (an.BatchRule("mine", too_much_history, slots=2), "bounds", ["history has slots = 2"]),
    "0/0 at rest": (an.BatchRule("mine", ratio_at_rest), "finite", ["the wanted batch is nan", "|gradient|^2 = 0"]),
    "the gradient is not its own": (an.BatchRule("mine", doubles_the_gradient), "side effects", ["history only"]),
    "negative": (an.BatchRule("mine", backwards), "finite", ["the wanted batch is -8"]),
    "no result": (an.BatchRule("mine", undecided), "result", ["returns nothing"]),
}


@an.leaf
def scaled_norm(w, gradient, params):
    w /= 2.0
    return np.sum(w)


@an.leaf
def relative(w, gradient, params):
    return np.sum(w - w) / np.sum(w - w)


@an.leaf
def third(w, gradient, params):
    return gradient[2]


@an.leaf
def every_slope(w, gradient, params):
    return gradient * 2.0


MEASURES = {
    "w is not its own": (scaled_norm, "side effects", ["it may write nowhere"]),
    "0/0": (relative, "finite", ["it is NaN at w"]),
    "a third coordinate of two": (third, "bounds", ["gradient[2]"]),
    "an array": (every_slope, "result", ["it must return one float"]),
}
