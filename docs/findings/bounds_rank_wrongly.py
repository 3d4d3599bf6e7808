"""Does the smaller of two upper bounds belong to the faster method?

Quadratics in 50 coordinates with smoothness j^-a, noise j^-b and start 0.9 j^-c, a, b, c in {0, 1, 2}; 500 iterations
at batch 4, tuned step sizes; a cell is decided where the 99 % interval of the ratio of gaps excludes 1. The value is
the share of decided cells in which the bounds of SGD and AdaGrad name the other method. The limits are the shares of
all 27 cells if every undecided one were ranked rightly, and if every one were ranked wrongly.
"""

import itertools

import numpy as np

import anisotropic as an

METHODS = {
    "sgd": an.Method(an.optimizers.sgd, 2.0 ** np.arange(-9, 7), an.bounds.convex_sgd),
    "adagrad": an.Method(an.optimizers.adagrad, 2.0 ** np.arange(-9, 4), an.bounds.convex_adagrad),
}


def finding():
    wrong, undecided = [], 0
    for a, b, c in itertools.product((0.0, 1.0, 2.0), repeat=3):
        L, sigma, start = (an.bounds.power_law(50, p) for p in (a, b, c))
        race = an.race(
            an.problems.quadratic(L, center=0.9, box=(-1, 1)), METHODS, noise=an.noises.gaussian(sigma),
            start=0.9 - 0.9 * start, batch_size=4, steps=500, replicas=16, seed=0, reference="adagrad", level=0.01,
        )  # fmt: skip
        measured = race.ratio("sgd")
        predicted = race.theorem["sgd"].claim / race.theorem["adagrad"].claim
        if measured.low <= 1 <= measured.high:
            undecided += 1
        else:
            wrong.append((measured.estimate > 1) != (predicted > 1))
    cells, missed = len(wrong) + undecided, sum(wrong)
    return an.intervals.Interval(missed / len(wrong), missed / cells, (missed + undecided) / cells, "count", 0.01)


if __name__ == "__main__":
    print(finding())
