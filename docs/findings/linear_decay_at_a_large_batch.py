"""Does linear decay end lower than a late cool-down at batch 256? Exact gaps on a quadratic, step sizes up to 1/L.

Curvature 1/j and noise of that variance in 100 coordinates, 400 iterations; the value is the last gap of WSD (20 %
cool-down) over that of linear decay, each at its best step size.
"""

import numpy as np
from scipy.optimize import minimize_scalar

import anisotropic as an

STEPS, BATCH = 400, 256
H = 1 / np.arange(1.0, 101)
LEFT = np.arange(STEPS, 0, -1)


def last_gap(schedule):
    return an.exact.linear_method("sgd", H, np.sqrt(H), schedule=schedule, start=1.0, batch_size=BATCH).gap[-1]


def best(shape):
    """The smallest last gap over step sizes up to 1/L."""
    on = {"bounds": (-7, 0), "method": "bounded", "options": {"xatol": 0.01}}
    return min(minimize_scalar(lambda x: last_gap(np.exp(x) * shape), **on).fun, last_gap(shape))


def finding():
    value = best(np.minimum(1.0, LEFT / 81)) / best(LEFT / STEPS)
    return an.intervals.Interval(value, value, value, "exact", 0.0)


if __name__ == "__main__":
    print(finding())
