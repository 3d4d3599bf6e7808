"""Is decoupled weight decay as strong as L2 decay under momentum 0.9? Exact stationary means on a quadratic.

The value is the L2 coefficient that shifts the mean as far as a decoupled coefficient of 1, inverted.
"""

import anisotropic as an


def finding():
    setting = {"step_size": 0.1, "minimizer": 1.0, "momentum": 0.9, "weight_decay": 1.0}
    mean = float(an.exact.stationary_law("heavy_ball", 1.0, 1.0, decay="decoupled", **setting).mean[0])
    value = 1 / (1 / mean - 1)  # mean = h / (h + l2) at h = 1
    return an.intervals.Interval(value, value, value, "exact", 0.0)


if __name__ == "__main__":
    print(finding())
