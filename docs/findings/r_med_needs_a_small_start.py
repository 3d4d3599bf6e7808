"""At equal loss, is R_med larger under SGD with momentum than under Adam, from an ordinary start?

Two-layer linear networks of width 64, first layer, at a tenth of the initial loss; 12 starts. The value is the
geometric mean of the ratio R_med(heavy ball) / R_med(Adam) from a start of size d^(-1/2), with a t interval.
"""

import numpy as np

import anisotropic as an

g, WIDTH = an.geometry, 64
OPTIMIZERS = (an.optimizers.heavy_ball(0.002, 0.9), an.optimizers.adam(0.1 * WIDTH**-1.5, beta2=0.95, eps=1e-12))


def ratio(scales, starts=12):
    logs = []
    for seed in range(starts):
        target = g.linear_target(WIDTH, 1, seed=seed)
        start = g.initial_weights([WIDTH, WIDTH, 1], scales, seed=seed)
        sgd, adam = (g.train_linear_network(start, target, o, levels=[0.1], max_steps=4000).r_med[0, 0]
                     for o in OPTIMIZERS)  # fmt: skip
        logs.append(np.log(sgd / adam))
    found = an.intervals.mean_interval(np.array(logs), 0.05)
    return an.intervals.Interval(*np.exp(found[:3]), found.kind, found.level)


def finding():
    return ratio([WIDTH**-0.5] * 2)


if __name__ == "__main__":
    print(finding())
