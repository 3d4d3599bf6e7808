"""How far off is the sum of squares of a Hutchinson estimate of a diagonal?

A symmetric matrix with known entries, 40 Rademacher probes an estimate, 400 estimates. The value is the mean of the
sum of squared estimates over the true sum of squares. Products of two independent halves are unbiased.
"""

import numpy as np

import anisotropic as an

rng = np.random.default_rng(0)
A = rng.standard_normal((60, 60))
A = A + A.T
TRUE = float(np.sum(np.diag(A) ** 2))


def estimates(seed, probes=40):
    """The diagonal estimated from each half of the probes."""
    v = np.random.default_rng([1, seed]).choice([-1.0, 1.0], size=(probes, 60))
    samples = v * (v @ A)
    return samples[: probes // 2].mean(axis=0), samples[probes // 2 :].mean(axis=0)


def finding():
    halves = [estimates(seed) for seed in range(400)]
    naive = np.array([np.sum(((a + b) / 2) ** 2) for a, b in halves]) / TRUE
    crossed = an.intervals.mean_interval(np.array([np.sum(a * b) for a, b in halves]) / TRUE, 0.05)
    assert crossed.low <= 1 <= crossed.high
    return an.intervals.mean_interval(naive, 0.05)


if __name__ == "__main__":
    print(finding())
