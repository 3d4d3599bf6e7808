"""This package's kernel on a cell, on one thread."""

from __future__ import annotations

import numpy as np
from cells import ADAGRAD_EPS, ADAM, BATCH, CENTRE, SEED, STEP, Cell

import anisotropic as an
from anisotropic.simulation import loop
from anisotropic.simulation.layout import make_layout


@an.leaf
def take_drawn(table, dim, replica, group, coordinate, replicas, groups, z0, z1, z2, z3):
    """Normals drawn beforehand in the place of the sampler, which gets the table in the place of the key."""
    lanes = z0.size // (groups[-1] + 1)
    start = replica * dim + coordinate[0]
    for first in range(0, z0.size, lanes):
        for i in range(lanes):
            z0[first + i], z1[first + i] = table[0, start + i], table[1, start + i]
            z2[first + i], z3[first + i] = table[2, start + i], table[3, start + i]


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
    noise = an.noises.gaussian(np.sqrt(cell.curvature))
    start, method = np.zeros(cell.dim), optimizer(cell.method)
    layout = make_layout(objective, method, noise, start, cell.record, BATCH, SEED, means=cell.theory)
    if cell.drawn:
        functions = (*layout.functions[:3], take_drawn, *layout.functions[4:])
        layout = layout._replace(functions=functions, key=(cell.normals().reshape(4, -1), cell.dim))
    names = loop.columns()
    columns = [names.index(n) for n in (
        "value", "mean_value", "average_value", "gradient_l1", "gradient_l2_squared", "last_gradient_l2_squared"
    )]  # fmt: skip
    out, signal = np.full((cell.replicas, cell.record.size, len(names)), np.nan), np.zeros(2, np.int64)

    def run():
        loop.trajectories(*layout.functions, *layout[1:], 0, cell.replicas, out, signal)
        return out[:, -1, columns]

    return run
