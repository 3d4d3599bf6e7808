"""This package's kernel on a cell, on one thread."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from cells import ADAGRAD_EPS, ADAM, BATCH, CENTRE, SEED, STEP, Cell

import anisotropic as an
from anisotropic.compiled.random import fill_normals
from anisotropic.simulation import loop
from anisotropic.simulation.layout import make_plan


class Drawn(NamedTuple):
    """Standard deviations, normals of four steps in a flat row each, and d."""

    sigma: np.ndarray
    normals: np.ndarray
    dim: int


@an.leaf
def add_drawn(gradient, normals, batch_size, stream, params):
    """Add normals that were drawn beforehand."""
    start = stream.replica * params.dim
    row = params.normals[(stream.step - 1) & 3, start : start + gradient.size]
    scale = 1.0 / np.sqrt(batch_size)
    for j in range(gradient.size):
        gradient[j] += scale * params.sigma[j] * row[j]


def optimizer(method):
    """The method with the constants that all peers use."""
    if method == "adagrad":
        return an.optimizers.adagrad(STEP[method], eps=ADAGRAD_EPS, preset="torch")
    if method == "adam":
        return an.optimizers.adam(STEP[method], beta1=ADAM[0], beta2=ADAM[1], eps=ADAM[2])
    return getattr(an.optimizers, method)(STEP[method])


def prepare(cell: Cell):
    """See `cells.Peer`."""
    objective = an.problems.quadratic(cell.curvature, center=CENTRE, box=(-1.0, 1.0))
    sigma = np.sqrt(cell.curvature)
    noise = an.noises.gaussian(sigma)
    if cell.drawn:
        table = cell.normals().reshape(4, -1)
        noise = an.Noise("drawn", add_drawn, Drawn(sigma, table, cell.dim), sigma=sigma, coordinatewise=True)
    start = np.zeros(cell.dim)
    plan = make_plan(objective, optimizer(cell.method), noise, start, cell.record, BATCH, SEED, {}, cell.theory)
    parameters, arrays, sizes, switches, key, record = plan.arguments
    out = np.empty((cell.replicas, record.size, plan.columns))
    columns = [loop.COLUMNS.index(n) for n in (
        "value", "mean_value", "average_value", "gradient_l1", "gradient_l2_squared", "last_gradient_l2_squared"
    )]  # fmt: skip

    functions = tuple(None if cell.drawn and f is fill_normals else f for f in plan.functions)

    def run():
        loop.trajectories(*functions, parameters, arrays, sizes, switches, key, record, 0, cell.replicas, out)
        return out[:, -1, columns]

    return run
