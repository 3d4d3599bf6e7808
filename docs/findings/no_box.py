"""Can the mean gap of AdaGrad without a box be bounded by the variance of the noise alone?

One coordinate, start at the minimizer, noise that rarely jumps, 10,000 iterations, step size and sigma 1. The value is
the measured mean gap; a bound from variance, start and smoothness that tends to zero with T would have to be above it.
SGD with the step size of its theorem, sigma^-1 T^-1/2, has a bound that tends to zero on the same problem.
"""

import anisotropic as an


def finding(T=10_000):
    known = an.bounds.drift_instance(T)
    (L,), (slope,) = known["L"], known["gradient_bound"]
    f = an.problems.huber(L, slope / L)
    run = an.simulate(f, an.optimizers.adagrad(1.0), noise=an.noises.two_point(1.0, known["jump_probability"]),
                      start=0.0, steps=T, replicas=2_000, seed=0)  # fmt: skip
    return an.intervals.mean_interval(run.mean_gap[:, -1], 0.05)


if __name__ == "__main__":
    print(finding())
