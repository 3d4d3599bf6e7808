"""Does the best step size of a sign method fall again at large batches?

The exact law for one iteration on an axis-aligned quadratic in 50 coordinates with curvatures from 1 to 0.01. The value
is the best step size at a batch of ten million over the largest one at any smaller batch; 1 means that it never falls.
On the same quadratic with a common term 11^T/50 added to its Hessian, which couples all coordinates, it does.
"""

import numpy as np

import anisotropic as an

BATCHES = np.geomspace(1, 1e7, 200)


def limit_over_peak(hessian):
    mean = hessian @ np.full(50, 0.02)
    sizes = an.surge.optimal_step_size(BATCHES, mean, 1.0, hessian)
    return float(sizes[-1] / sizes.max())


def finding():
    diagonal = np.diag(np.geomspace(1.0, 0.01, 50))
    value = limit_over_peak(diagonal)
    assert limit_over_peak(diagonal + np.ones((50, 50)) / 50) < 0.9
    return an.intervals.Interval(value, value, value, "exact", 0.0)


if __name__ == "__main__":
    print(finding())
