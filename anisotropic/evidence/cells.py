"""What is a certified setup, and over which grids of them is the catalogue checked?

A setup is data until it is called: an objective whose constants are known exactly, a noise, an optimizer with the step
size that the theorem is about, a start, and how long and how often to run. Quadratics in a box and sums of cosines,
with constants that fall as powers of the coordinate, make most of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .. import bounds, noises, optimizers, problems
from ..bounds.comparison import power_law
from ..records import BatchRule, FloatArray, Noise, Objective, Optimizer, Run, Verdict
from ..simulation.run import simulate
from .verdicts import verify

DENSE, SPARSE = 0.0, 2.0
PROFILES = {"dense": DENSE, "sparse": SPARSE}
BOX = (-1.0, 1.0)
NONCONVEX = (
    "nonconvex_sgd",
    "nonconvex_diag_sgd",
    "nonconvex_signsgd",
    "nonconvex_adagrad",
    "nonconvex_adagrad_norm",
    "nonconvex_rmsprop",
)


@dataclass(frozen=True)
class Setup:
    """A simulation that is ready to run and satisfies every hypothesis of its bound.

    `constants` are what the bound needs and a run cannot know. Calling the setup simulates; keywords replace those of
    `anisotropic.simulate`.
    """

    bound: Any
    objective: Objective
    optimizer: Optimizer
    noise: Noise
    start: Any
    steps: int
    batch_size: int | BatchRule = 1
    replicas: int = 256
    seed: int = 0
    records: int = 40
    constants: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""

    def __call__(self, **changes: Any) -> Run:
        """Simulate."""
        options: dict[str, Any] = {
            name: getattr(self, name) for name in ("start", "steps", "batch_size", "replicas", "seed", "records")
        }
        return simulate(self.objective, self.optimizer, noise=self.noise, **options | changes)

    def verify(self, bound: Any = None, run: Run | None = None, **options: Any) -> Verdict:
        """Simulate, unless a run is given, and verify the bound of this setup, or another one on the same run."""
        return verify(bound or self.bound, run or self(), **dict(self.constants) | options)

    def with_(self, **changes: Any) -> Setup:
        """The same setup with other fields."""
        return replace(self, **changes)


def tuned(name: str, **constants: Any) -> Any:
    """The tuned step size of bound `name`."""
    return bounds[name].tuned_step_size(**constants)  # type: ignore[index]


def sgd_cell(name: str, curvature: FloatArray, sigma: FloatArray, steps: int, batch: int, **options: Any) -> Setup:
    """SGD with the tuned step size of bound `name` on a quadratic in [-1, 1]^d with |w*_j| = 0.9 and w_1 = 0."""
    step_size = tuned(name, L=curvature, sigma=sigma, R=0.9, T=steps, M=batch)
    f = problems.quadratic(curvature, center=0.9, box=BOX)
    return Setup(
        bounds[name], f, optimizers.sgd(step_size), noises.gaussian(sigma), 0.0, steps, batch, **options  # type: ignore[index]
    )


def adagrad_cell(name: str, curvature: FloatArray, sigma: FloatArray, steps: int, batch: int, **options: Any) -> Setup:
    """AdaGrad, or AdaGrad-Norm, with the step size of its theorem on the same quadratic."""
    f = problems.quadratic(curvature, center=0.9, box=BOX)
    if name == "convex_adagrad_norm":
        optimizer = optimizers.adagrad_norm(2.0 * np.sqrt(curvature.size / 2), eps=1e-8)
    else:
        optimizer = optimizers.adagrad(2.0 / np.sqrt(2), eps=1e-8)
    return Setup(bounds[name], f, optimizer, noises.gaussian(sigma), 0.0, steps, batch, **options)  # type: ignore[index]


def cosine_cell(name: str, dim: int, exponent: float, steps: int, batch: int, **options: Any) -> Setup:
    """Sums of cosines c_j (1 - cos w_j) with c_j = j^-a, started at w = 2, noise c_j / 2, eps = 1e-3."""
    c = power_law(dim, exponent)
    f = problems.cosine(c, 1.0)
    gap = float(np.sum(c)) * (1 - np.cos(2.0))
    known = {"L": c, "sigma": c / 2, "Delta": gap, "T": steps, "M": batch}
    balanced = np.sqrt(gap / np.sum(c))
    if name in ("nonconvex_sgd", "nonconvex_signsgd", "nonconvex_signsgd_gaussian"):
        step_size = tuned(name, **known)
        optimizer = optimizers.sgd(step_size) if name == "nonconvex_sgd" else optimizers.sign_sgd(step_size)
    elif name == "nonconvex_diag_sgd":
        noise = np.sqrt(gap * batch / (steps * np.sum(c * (c / 2) ** 2)))
        optimizer = optimizers.sgd(np.minimum(1 / c, noise))
    elif name == "nonconvex_rmsprop":
        optimizer = optimizers.rmsprop(balanced / np.sqrt(steps), beta=1 - steps**-0.5, eps=1e-3)
    elif name == "nonconvex_adagrad_norm":
        optimizer = optimizers.adagrad_norm(np.sqrt(gap / np.max(c)), eps=1e-3, preset="nonconvex")
    else:
        optimizer = optimizers.adagrad(balanced, eps=1e-3, preset="nonconvex")
    noise_law = noises.none() if name == "nonconvex_adagrad_det" else noises.gaussian(c / 2)
    return Setup(bounds[name], f, optimizer, noise_law, 2.0, steps, batch, **options)  # type: ignore[index]


def convex_grid(replicas: int = 100) -> Iterator[Setup]:
    """The convex catalogue over 128 cells.

    Quadratics in [-1, 1]^d with |w*_j| = 0.9, w_1 = 0, Gaussian noise; d in {10, 100}, T in {100, 1000}, M in {1, 64},
    four profiles of (L, sigma); SGD with one step size and with one per coordinate, both tuned, AdaGrad and
    AdaGrad-Norm with the step sizes of their theorems. Every cell has a seed of its own, so that its errors are its
    own.
    """
    makers = {
        "convex_sgd": sgd_cell,
        "convex_diag_sgd": sgd_cell,
        "convex_adagrad": adagrad_cell,
        "convex_adagrad_norm": adagrad_cell,
    }
    cells = [
        (name, d, T, M, curvature, sigma)
        for name in makers
        for d in (10, 100)
        for T in (100, 1000)
        for M in (1, 64)
        for curvature in PROFILES
        for sigma in PROFILES
    ]
    for seed, (name, d, T, M, curvature, sigma) in enumerate(cells):
        profile = power_law(d, PROFILES[curvature]), power_law(d, PROFILES[sigma])
        label = f"{name} d={d} T={T} M={M} {curvature}/{sigma}"
        yield makers[name](name, *profile, T, M, replicas=replicas, seed=seed, records=10, label=label)


def nonconvex_grid(replicas: int = 16) -> Iterator[Setup]:
    """The nonconvex catalogue over 144 cells: six methods, d in {10, 100}, T in {300, 3000}, M in {1, 64, 4096}.

    Sums of cosines, dense and sparse; step sizes tuned by the theorem for SGD and signSGD, balanced for the others.
    """
    cells = [
        (name, d, profile, T, M)
        for name in NONCONVEX
        for d in (10, 100)
        for profile in PROFILES
        for T in (300, 3000)
        for M in (1, 64, 4096)
    ]
    for seed, (name, d, profile, T, M) in enumerate(cells):
        label = f"{name} d={d} T={T} M={M} {profile}"
        yield cosine_cell(name, d, PROFILES[profile], T, M, replicas=replicas, seed=seed, records=10, label=label)


def exact_grid(replicas: int = 4000) -> Iterator[Setup]:
    """SGD on unconstrained quadratics, where the expected gaps are known exactly: 24 cells for equalities.

    Step sizes 0.1, 0.8 and 1.9 over max L, M in {1, 16}, dense and sparse curvature, Gaussian noise (d = 20, T = 300)
    and Rademacher noise (d = 5, T = 100). The bound of a cell is the equality for its `gap`; `exact_bound` has those
    for the other measures.
    """
    cells = [
        (law, d, T, curvature, step_size, M)
        for law, d, T in ((noises.gaussian, 20, 300), (noises.rademacher, 5, 100))
        for curvature in PROFILES
        for step_size in (0.1, 0.8, 1.9)
        for M in (1, 16)
    ]
    for seed, (law, d, T, curvature, step_size, M) in enumerate(cells):
        f = problems.quadratic(power_law(d, PROFILES[curvature]))
        yield Setup(
            exact_bound("gap"), f, optimizers.sgd(step_size), law(power_law(d, 0.5)), 1.0, T, M, replicas, seed,
            records=10,
            label=f"{law.__name__} {curvature} step_size={step_size} M={M}",
        )  # fmt: skip


def exact_bound(measure: str) -> bounds.Bound:
    """The exact value of "gap", "mean_gap" or "average_gap" for SGD on a diagonal quadratic, as an equality."""
    from ..bounds import symbols as s
    from . import exact

    which = {"gap": "last", "mean_gap": "mean", "average_gap": "average"}[measure]

    def solve(values: dict[str, Any]) -> dict[str, float]:
        result = exact.sgd_quadratic(
            values["L"], values["sigma"], step_size=values["step_size"], start=values["R"],
            steps=int(values["T"]), batch_size=int(values["M"]),
        )  # fmt: skip
        return {"exact": float(getattr(result, which))}

    return bounds.Bound(
        f"exact_{measure}",
        measure,
        "equality",
        forms={"solved": bounds.Solver(solve, (s.L, s.sigma, s.R, s.step_size, s.T, s.M))},
        requires=bounds.Requires(optimizers="sgd", properties={"separable"}, box=False),
        title="SGD on a diagonal quadratic, exact",
        assumptions=["the objective is 1/2 sum_j L_j (w_j - w*_j)^2"],
    )
