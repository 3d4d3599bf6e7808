"""Does AdaGrad's advantage survive a rotation of the coordinates?

Curvature falls like j^-2 along axes turned by a random rotation; 24 coordinates, no noise, 400 iterations, tuned step
sizes. The value is SGD's mean gap over AdaGrad's on the turned quadratic, over the same ratio on the unturned one.
"""

import numpy as np
from scipy.stats import ortho_group

import anisotropic as an

H = an.bounds.power_law(24, 2.0)
METHODS = {m: an.Method(getattr(an.optimizers, m), 2.0 ** np.arange(-8, 4)) for m in ("sgd", "adagrad")}


def ratio(rotation):
    f = an.problems.quadratic(H, rotation=rotation)
    start = rotation.T @ np.full(24, 0.9)
    race = an.race(f, METHODS, noise=an.noises.none(), start=start, batch_size=1, steps=400, replicas=2, seed=0,
                   reference="adagrad")  # fmt: skip
    return float(race.tuned["sgd"].values[0] / race.tuned["adagrad"].values[0])


def finding():
    value = ratio(ortho_group.rvs(24, random_state=0)) / ratio(np.eye(24))
    return an.intervals.Interval(value, value, value, "exact", 0.0)


if __name__ == "__main__":
    print(finding())
