"""Does AdaGrad-Norm with batches from an exact norm test reach stationarity like 1/K?

The value is the exponent of the mean squared gradient in K over the last decade, by runs, with a t interval.
"""

import numpy as np

import anisotropic as an


def finding():
    rule = an.batching.norm_test(0.5, "exact", start=1)
    run = an.simulate(
        an.problems.quadratic(np.geomspace(1.0, 0.1, 20)), an.optimizers.adagrad_norm(1.0, eps=0.1, preset="nonconvex"),
        noise=an.noises.gaussian(20**-0.5), start=1.0, steps=10_000, batch_size=rule, replicas=40, seed=0,
    )  # fmt: skip
    late = run.steps >= 1_000
    slopes = [np.polyfit(np.log(run.steps[late]), np.log(values[late]), 1)[0] for values in run.gradient_l2_squared]
    return an.intervals.mean_interval(np.array(slopes), 0.05)


if __name__ == "__main__":
    print(finding())
