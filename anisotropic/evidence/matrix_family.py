"""Which instances may a search for bounds on matrices try? Functions of singular values, and noise in every entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import noises, optimizers, problems
from ..bounds.comparison import power_law
from ..bounds.matrices import MatrixConstant
from ..bounds.theorem import Bound
from ..compiled.matrices import gradient_nuclear
from .cells import Setup
from .huber import SHARED_AXES, Axes


def about_matrices(bound: Bound) -> bool:
    """Whether a bound takes a matrix."""
    return any(isinstance(x, MatrixConstant) for x in bound.symbols)


def matrix_axes(bound: Bound) -> Axes:
    """What may vary for a bound on matrices; the ball has radius 1 about the origin, and L its first eigenvalue 1."""
    axes = {"rows": (1.0, 3.99), "columns": (1.0, 3.99), "log2_steps": (0.0, 8.0)} | SHARED_AXES
    if "eps" in bound.constants:
        axes["log10_eps"] = (-4.0, 2.0)
    if "momentum" in bound.constants:
        axes |= {"log10_forgetting": (-2.0, 0.0), "log10_start": (-2.0, 1.0)}
        del axes["centre"]
    return axes


def matrix_setup(bound: Bound, at: Mapping[str, float]) -> Setup:
    """The setup of a point: pseudo-Huber functions of singular values, and skewed two-point noise in every entry."""
    m, n = int(at["rows"]), int(at["columns"])
    profile, few = power_law(m, at["curvature_decay"]), power_law(min(m, n), at["start_decay"])
    centre, displaced = np.zeros((m, n)), np.zeros((m, n))
    np.fill_diagonal(centre, at.get("centre", 0.0))
    away = (at["start"] - at.get("centre", 0.0)) * 10 ** at.get("log10_start", 0.0)
    np.fill_diagonal(displaced, away * few)
    f = problems.spectral_pseudo_huber(np.diag(profile), 10 ** at["log10_width"], center=centre)
    sigma = np.repeat(10 ** at["log10_sigma"] * power_law(m, at["sigma_decay"]), n) / np.sqrt(n)
    step_size, options = 10 ** at["log10_step"], dict[str, Any]()
    if "asgo" in bound.requires.optimizers:
        method = optimizers.asgo(step_size, eps=10 ** at.get("log10_eps", -np.inf), ball=1.0)
    elif "left_sgd" in bound.requires.optimizers:
        method = optimizers.left_sgd(step_size, np.eye(m))
    else:
        method = optimizers.muon(step_size, momentum=1.0 - 10 ** at["log10_forgetting"])
        options["measures"] = {"gradient_nuclear": gradient_nuclear}
    steps, batch = round(2 ** at["log2_steps"]), round(2 ** at["log2_batch"])
    noise = noises.two_point(sigma, at["skew"])
    return Setup(bound, f, method, noise, (centre + displaced).ravel(), steps, batch, 64, records=8, **options)
