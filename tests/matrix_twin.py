"""Matrix methods along given gradients, and the functions of matrices in NumPy that they are compared with."""

import numpy as np

from anisotropic.records import initial_state, spread, with_shape


def walk(optimizer, gradients, start, step_size=None):
    """Iterates (T + 1, m, n) of an update rule along given gradients, or along gradient(W, t)."""
    m, n = start.shape
    w, state = start.ravel().copy(), initial_state(optimizer, m * n, (m, n))
    params = spread(with_shape(optimizer.params, (m, n)), m * n)
    eta = np.full(m * n, float(optimizer.step_size if step_size is None else step_size))
    points = [start.copy()]
    for t, g in enumerate(gradients, 1):
        gradient = g(points[-1]) if callable(g) else g
        optimizer.update(w, np.ascontiguousarray(gradient).ravel(), state, eta, t, params)
        points.append(w.reshape(m, n).copy())
    return np.array(points)


def polar(G):
    U, s, Vt = np.linalg.svd(G, full_matrices=False)
    return (U * (s > 1e-14 * s[0])) @ Vt


def function(V, f):
    values, Q = np.linalg.eigh(V)
    return (Q * f(np.maximum(values, 0.0))) @ Q.T


def inverse_root(V, power=-0.5, eps=0.0):
    top = np.linalg.eigvalsh(V)[-1]
    return function(V, lambda x: 1 / (x**-power + eps) if eps else np.where(x > 1e-14 * top, x, np.inf) ** power)
