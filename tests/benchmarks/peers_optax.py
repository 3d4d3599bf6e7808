"""optax on a cell: all of a run under one jit, steps by fori_loop between records; AdaGrad-Norm by hand."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from cells import ADAGRAD_EPS, ADAM, CENTRE, SEED, STEP, Cell

jax.config.update("jax_enable_x64", True)


def adagrad_norm(step):
    """optax has none: one accumulator per replica (row)."""

    def init(w):
        return jnp.zeros((w.shape[0], 1), w.dtype)

    def update(g, total, params=None):
        total = total + (g * g).sum(axis=1, keepdims=True)
        return -step * g / jnp.sqrt(total), total

    return optax.GradientTransformation(init, update)


def transformation(method):
    """The method with the constants that all peers use; optax adds eps inside AdaGrad's root."""
    step = STEP[method]
    return {
        "sgd": lambda: optax.sgd(step),
        "adagrad": lambda: optax.adagrad(step, initial_accumulator_value=0.0, eps=ADAGRAD_EPS**2),
        "adam": lambda: optax.adam(step, *ADAM),
        "adagrad_norm": lambda: adagrad_norm(step),
    }[method]()


def prepare(dtype, cell: Cell):
    """See `cells.Peer`."""
    h, scale = (jnp.asarray(x, dtype) for x in (cell.curvature, cell.scale))
    shape = (cell.replicas, cell.dim)
    table = jnp.asarray(cell.normals()[:, : cell.replicas], dtype) if cell.drawn else jnp.zeros((4, 1, 1), dtype)
    method, key = transformation(cell.method), jax.random.key(SEED)
    begin, end = jnp.asarray(np.concatenate([[0], cell.record[:-1]])), jnp.asarray(cell.record)

    def step(t, carry, table):
        w, total, state, sums = carry
        u = w - CENTRE
        g = h * u
        if cell.theory:
            sums = sums + jnp.stack([0.5 * (g * u).sum(axis=1), jnp.abs(g).sum(axis=1), (g * g).sum(axis=1)])
        z = table[t & 3] if cell.drawn else jax.random.normal(jax.random.fold_in(key, t), shape, dtype)
        updates, state = method.update(g + scale * z, state, w)
        w = jnp.clip(optax.apply_updates(w, updates), -1.0, 1.0)
        return w, total + w, state, sums

    @jax.jit
    def compute(table):
        def segment(carry, ends):
            carry = jax.lax.fori_loop(ends[0], ends[1], lambda t, c: step(t, c, table), carry)
            w, total, _, sums = carry
            u, average = w - CENTRE, (total - w) / ends[1].astype(dtype) - CENTRE
            nan = jnp.full(cell.replicas, jnp.nan, dtype)
            means = sums / ends[1].astype(dtype) if cell.theory else jnp.stack([nan] * 3)
            row = [0.5 * (u * u) @ h, means[0], 0.5 * (average * average) @ h, means[1], means[2], (u * u) @ (h * h)]
            return carry, jnp.stack(row, axis=1)

        w = jnp.zeros(shape, dtype)
        start = w, w, method.init(w), jnp.zeros((3, cell.replicas), dtype)
        return jax.lax.scan(segment, start, (begin, end))[1][-1]

    return lambda: np.asarray(compute(table))


float64, float32 = partial(prepare, jnp.float64), partial(prepare, jnp.float32)
