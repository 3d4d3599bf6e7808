"""What is the best step size of one iteration on a quadratic? Monte Carlo beside the formulas, sign descent and SGD."""

import numpy as np

import anisotropic as an

DIM, DRAWS = 50, 4000
BATCHES = np.unique(np.round(np.geomspace(1, 31623, 24)).astype(int))


def hessian(case, rng):
    h = np.geomspace(1.0, 0.01, DIM)
    if case.startswith("rotated"):
        q = np.linalg.qr(rng.normal(size=(DIM, DIM)))[0]
        return q @ np.diag(h) @ q.T
    return np.diag(h) + (0.2 if case == "coupled by ones" else 0.0)


def place(case, H, rng):
    """The gradient H w, with w normal, of covariance H^-1, or of positive entries."""
    w = rng.normal(size=DIM)
    if case.endswith("H^-1/2"):
        values, vectors = np.linalg.eigh(H)
        w = vectors @ (values**-0.5 * w)
    gradient = H @ (np.abs(w) if case == "coupled by ones" else w)
    return 0.02 * gradient / np.sqrt(np.mean(gradient**2))


def one_step(case, seed):
    """Best step sizes and gains over 24 batches: minima of the simulated quadratic, and the formulas."""
    rng = np.random.default_rng(seed)
    H = hessian(case, rng)
    mean = place(case, H, rng)
    measured, gain = np.empty((2, BATCHES.size))
    for i, B in enumerate(BATCHES):
        s = np.sign(mean + rng.normal(size=(DRAWS, DIM)) / np.sqrt(B))
        slope, curvature = (s @ mean).mean(), np.einsum("ni,ij,nj->n", s, H, s, optimize=True).mean()
        measured[i], gain[i] = slope / curvature, slope**2 / (2 * curvature)
    model = (mean, np.ones(DIM), H)
    try:
        small = an.surge.optimal_step_size(BATCHES, *model, form="small_batch")
    except ValueError:  # a negative B_noise: beyond it the form has no best step size
        small = np.full(BATCHES.size, np.nan)
    return {
        "measured": measured, "gain": gain, "exact": an.surge.optimal_step_size(BATCHES, *model), "small": small,
        "exact gain": an.surge.best_gain(BATCHES, *model), "noise batch": an.surge.noise_batch_size(*model),
        "limit": an.surge.optimal_step_size(1.0, *model, form="large_batch"),
        "small range": 0.1 * np.median(np.pi / (2 * mean**2)),
    }  # fmt: skip


def sgd_step_size(seed):
    """The law of SGD on the rotated quadratic, with normal gradients."""
    rng = np.random.default_rng(seed)
    H = hessian("rotated", rng)
    mean, measured = place("rotated", H, rng), np.empty(BATCHES.size)
    for i, B in enumerate(BATCHES):
        g = mean + rng.normal(size=(5 * DRAWS, DIM)) / np.sqrt(B)
        measured[i] = (g @ mean).mean() / np.einsum("ni,ij,nj->n", g, H, g, optimize=True).mean()
    return {
        "measured": measured, "exact": an.surge.sgd_optimal_step_size(BATCHES, mean, 1.0, H),
        "noise batch": an.surge.sgd_noise_batch_size(mean, 1.0, H), "simple": DIM / np.sum(mean**2),
    }  # fmt: skip
