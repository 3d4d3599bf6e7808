"""Does the augmented inner-product test with theta = 0.9 and nu = 5.84 grow the batch?

AdaGrad-Norm on a quadratic in 20 coordinates with isotropic noise, 5,000 iterations from batch 8. The value is the
median final batch size over 40 runs, with its interval.
"""

import warnings

import numpy as np

import anisotropic as an


def final_batches(rule, replicas=40):
    run = an.simulate(
        an.problems.quadratic(np.geomspace(1.0, 0.1, 20)), an.optimizers.adagrad_norm(1.0, eps=0.1, preset="nonconvex"),
        noise=an.noises.gaussian(20**-0.5), start=1.0, steps=5_000, batch_size=rule, replicas=replicas, seed=0,
    )  # fmt: skip
    return run.batch_size[:, -1]


def finding():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package warns that this test may be blind
        rule = an.batching.inner_product_test(0.9, 5.84, start=8)
        return an.intervals.quantile_interval(final_batches(rule), 0.5)


if __name__ == "__main__":
    print(finding())
