"""NumPy on a cell: all replicas at once, in-place ufuncs, normals by SFC64 (the fastest of its generators)."""

from __future__ import annotations

import numpy as np
from cells import ADAGRAD_EPS, ADAM, CENTRE, SEED, STEP, Cell


def update(method, w, g, a, b, buffer, t):
    """One step in place; a and b are the method's moments."""
    step = STEP[method]
    if method == "sgd":
        np.multiply(g, step, out=g)
    elif method == "adagrad":
        np.multiply(g, g, out=buffer)
        a += buffer
        np.sqrt(a, out=buffer)
        buffer += ADAGRAD_EPS
        g /= buffer
        g *= step
    elif method == "adam":
        beta1, beta2, eps = ADAM
        a *= beta1
        np.multiply(g, 1 - beta1, out=buffer)
        a += buffer
        np.multiply(g, g, out=g)
        g *= 1 - beta2
        b *= beta2
        b += g
        np.sqrt(b, out=buffer)
        buffer *= 1 / np.sqrt(1 - beta2**t)
        buffer += eps
        np.divide(a, buffer, out=g)
        g *= step / (1 - beta1**t)
    else:
        a[:, 0] += np.einsum("rd,rd->r", g, g)
        g *= (step / np.sqrt(a[:, 0]))[:, None]
    w -= g


def prepare(cell: Cell):
    """See `cells.Peer`."""
    h, scale, shape = cell.curvature, cell.scale, (cell.replicas, cell.dim)
    table = cell.normals()[:, : cell.replicas].copy() if cell.drawn else None
    recorded = set(cell.record.tolist())
    rng = np.random.Generator(np.random.SFC64(SEED))

    def run():
        w, total, a, b = (np.zeros(shape) for _ in range(4))
        g, u, z, buffer = (np.empty(shape) for _ in range(4))
        sums, out = np.zeros((3, cell.replicas)), np.full((cell.replicas, 6), np.nan)
        for t in range(1, cell.steps + 2):
            recording = t - 1 in recorded
            np.subtract(w, CENTRE, out=u)
            np.multiply(u, h, out=g)
            if cell.theory or recording:
                f = 0.5 * np.einsum("rd,rd->r", g, u)
                l2 = np.einsum("rd,rd->r", g, g)
            if recording:
                out[:, 0], out[:, 5] = f, l2
                average = (total - w) / (t - 1) - CENTRE
                out[:, 2] = 0.5 * np.einsum("rd,d,rd->r", average, h, average)
                if cell.theory:
                    out[:, 1], out[:, 3], out[:, 4] = sums / (t - 1)
                if t == cell.steps + 1:
                    return out
            if cell.theory:
                np.abs(g, out=buffer)
                sums[0] += f
                sums[1] += buffer.sum(axis=1)
                sums[2] += l2
            if table is None:
                rng.standard_normal(out=z)
                z *= scale
            else:
                np.multiply(table[(t - 1) & 3], scale, out=z)
            g += z
            update(cell.method, w, g, a, b, buffer, t)
            np.clip(w, -1.0, 1.0, out=w)
            total += w

    return run
