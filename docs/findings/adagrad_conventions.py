"""How far apart are the two libraries' AdaGrad, at equal arguments, after ten noiseless iterations?

Ten coordinates with curvatures from 1 to 0.001, step size 0.5, start 1, the default epsilon and accumulator of each.
The value is the gap in optax's convention over the gap in PyTorch's.
"""

import numpy as np

import anisotropic as an


def finding():
    f, gaps = an.problems.quadratic(np.geomspace(1.0, 1e-3, 10)), {}
    for preset in ("torch", "optax"):
        run = an.simulate(f, an.optimizers.adagrad(0.5, preset=preset), noise=an.noises.none(), start=1.0, steps=10,
                          replicas=2)  # fmt: skip
        gaps[preset] = float(run.gap[0, -1])
    ratio = gaps["optax"] / gaps["torch"]
    return an.intervals.Interval(ratio, ratio, ratio, "exact", 0.0)


if __name__ == "__main__":
    print(finding())
