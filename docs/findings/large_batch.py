"""Does AdaGrad keep its advantage at a large batch, where smoothness and noise fall like j^-2?

The value is the number of iterations that tuned SGD needs to a mean gap of 0.02 at batch 4096, over AdaGrad's.
"""

import numpy as np

import anisotropic as an

h = np.arange(1.0, 51) ** -2
METHODS = {
    "sgd": an.Method(an.optimizers.sgd, 2.0 ** np.arange(-4, 3)),
    "adagrad": an.Method(an.optimizers.adagrad, 2.0 ** np.arange(-4, 4)),
}


def race(smoothness, batch, **budget):
    f = an.problems.quadratic(smoothness, center=0.9, box=(-1, 1))
    return an.race(f, METHODS, noise=an.noises.gaussian(smoothness), start=0.0, batch_size=batch, replicas=64, seed=0,
                   reference="adagrad", level=0.05, **budget)  # fmt: skip


def finding():
    return race(h, 4096, steps=5_000, target=0.02).steps_ratio("sgd")


if __name__ == "__main__":
    print(finding())
