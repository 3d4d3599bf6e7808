"""What is certified about a run whose parameter is a matrix? The constants of theorems on matrices, and what fits."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..compiled.newton_schulz import certified
from ..records import FloatArray, Noise, Objective, Optimizer, float_vector

#: How far beyond the radius of a ball a point may lie by rounding.
ROUNDING = 1e-12


def _ball(optimizer: Optimizer) -> tuple[float, FloatArray] | None:
    """Radius and centre of the ball that the optimizer keeps its iterates in."""
    if optimizer.settings.get("ball") is None:
        return None
    return float(optimizer.params.radius), optimizer.params.centre


def check_matrices(objective: Objective, optimizer: Optimizer, noise: Noise, start: FloatArray) -> None:
    """Refuse matrices that do not fit each other, and a start outside of the optimizer's ball."""
    shape = objective.shape
    if noise.left_noise is not None:
        if shape is None:
            raise ValueError(
                f"{noise.name} noise is made of matrices, and {objective.name} has no shape; give it shape=(m, n)"
            )
        if len(noise.left_noise) != shape[0]:
            size = len(noise.left_noise)
            raise ValueError(
                f"left_noise has shape ({size}, {size}), and the parameter {shape[0]} rows; expected "
                f"({shape[0]}, {shape[0]})"
            )
    if "ball" not in optimizer.settings or shape is None:
        return
    if objective.box is not None:
        raise ValueError(
            "asgo has a ball of its own, ball=; clipping its iterates to a box is a projection in another metric, "
            "which no theorem covers: give the objective no box"
        )
    ball = _ball(optimizer)
    if ball is None:
        return
    radius, centre = ball
    if centre.shape not in ((1, 1), shape):
        raise ValueError(f"the ball's center has shape {centre.shape}; expected a number or {shape}, as the parameter")
    distance = float(np.linalg.norm(start.reshape(shape) - centre, 2))
    if distance > radius * (1.0 + ROUNDING):
        raise ValueError(
            f"the start lies {distance:g} from the ball's center in the spectral norm, outside of the radius "
            f"{radius:g}; start inside it, or take a larger ball"
        )


def _left_noise(objective: Objective, noise: Noise) -> FloatArray | None:
    """Sigma where it is known: stated, or of errors that are independent between the coordinates."""
    if noise.left_noise is not None:
        return noise.left_noise
    independent = noise.ours and noise.law != "rows" and noise.rho == 0.0 and noise.sigma is not None
    if not independent or objective.shape is None:
        return None
    sigma = float_vector(noise.sigma, objective.dim, "sigma", low=0.0).reshape(objective.shape)
    return np.diag(np.sqrt((sigma**2).sum(axis=1)))


def matrix_constants(objective: Objective, optimizer: Optimizer, noise: Noise, start: FloatArray) -> dict[str, Any]:
    """What is known of matrices, under the names that bounds use; nothing where the parameter is a vector."""
    shape = objective.shape
    if shape is None:
        return {}
    known: dict[str, Any] = {}
    if objective.left_smoothness is not None:
        known["left_smoothness"] = objective.left_smoothness
    if objective.spectral_smoothness is not None:
        known["L_op"] = objective.spectral_smoothness
    left = _left_noise(objective, noise)
    if left is not None:
        known["left_noise"] = left
        known["rho"] = noise.rho
    if objective.minimizer is not None:
        away = (start - objective.minimizer).reshape(shape)
        known["left_distance"] = away @ away.T
        ball = _ball(optimizer)
        if ball is not None:
            radius, centre = ball
            off = float(np.linalg.norm(objective.minimizer.reshape(shape) - centre, 2))
            if off <= radius * (1.0 + ROUNDING):
                known["D_op"] = radius + off
    if "newton_schulz" in optimizer.settings:
        rows = optimizer.params.coefficients
        alpha, phi = certified(rows if len(rows) else None, min(shape))
        if alpha > 0.0:
            known["alignment"], known["gain"] = alpha, phi
        known["momentum"] = optimizer.settings["momentum"]
        known["nesterov"] = float(optimizer.settings["nesterov"])
        known["decay"] = optimizer.settings["decay"]
    if hasattr(optimizer.params, "preconditioner"):
        known["preconditioner"] = optimizer.params.preconditioner
    return known
