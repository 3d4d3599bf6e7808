"""On which instances are the bounds on matrices shown to hold? One certified setup each, and a family to search."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from .. import bounds, noises, optimizers, problems
from ..compiled.matrices import gradient_nuclear
from ..records import FloatArray
from .cells import Setup


def _rotation(size: int, seed: int) -> FloatArray:
    """An orthogonal matrix, the same for the same seed."""
    found, upper = np.linalg.qr(np.random.default_rng(seed).standard_normal((size, size)))
    return found * np.sign(np.diag(upper))


def _rotated(eigenvalues: FloatArray, seed: int = 0) -> FloatArray:
    """A matrix with these eigenvalues in a basis that is not the coordinates'."""
    Q = _rotation(eigenvalues.size, seed)
    return (Q * eigenvalues) @ Q.T


def _convex(name: str) -> Setup:
    """A rotated quadratic with eigenvalues 1/j^2, noise of the same profile, and an orthogonal displacement."""
    m, steps, batch = 6, 400, 16
    spectrum = np.arange(1.0, m + 1) ** -2
    A, noise, orthogonal = _rotated(spectrum), _rotated(np.sqrt(spectrum) / 4), _rotation(m, 1)
    f = problems.kronecker(A, center=0.5 * orthogonal)
    start = -0.5 * orthogonal.ravel()
    if name == "convex_asgo":
        method = optimizers.asgo(1.0 / np.sqrt(2), ball=0.5)
    else:
        P = np.linalg.inv(A + np.sqrt(steps / batch) * noise)
        known = {"left_smoothness": A, "left_noise": noise, "left_distance": np.eye(m), "preconditioner": P}
        method = optimizers.left_sgd(bounds[name].tuned_step_size(**known, T=steps, M=batch), P)  # type: ignore[index]
    return Setup(bounds[name], f, method, noises.left_gaussian(noise, m), start, steps, batch, 128)  # type: ignore[index]


def _nonconvex_muon() -> Setup:
    """Muon with momentum on a function that is quadratic in its singular values near the center, linear beyond."""
    m, n, steps, batch = 4, 6, 400, 256
    A, noise = _rotated(np.arange(1.0, m + 1) ** -1), 0.2 * np.eye(m)
    f = problems.spectral_pseudo_huber(A, 0.5, center=np.zeros((m, n)))
    start = np.ones(m * n)
    gap = float(f.value(start, f.params))
    known = {"L_op": f.spectral_smoothness, "Delta": gap, "momentum": 0.5}
    method = optimizers.muon(bounds.nonconvex_muon.tuned_step_size(**known, T=steps), momentum=0.5)
    return Setup(
        bounds.nonconvex_muon, f, method, noises.left_gaussian(noise, n), start, steps, batch, 64,
        measures={"gradient_nuclear": gradient_nuclear},
    )  # fmt: skip


MATRIX_SETUPS: dict[str, Callable[[], Setup]] = {
    "convex_asgo": partial(_convex, "convex_asgo"),
    "convex_left_sgd": partial(_convex, "convex_left_sgd"),
    "nonconvex_muon": _nonconvex_muon,
}
