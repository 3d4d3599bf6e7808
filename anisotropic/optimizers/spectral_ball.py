"""How is an iterate brought back into a ball of the spectral norm, in the metric of an accumulator, with a proof?

In the metric of Lambda the projection onto {X : |X|_op <= rho} is not the clipping of singular values. What the regret of
ASGO needs is less than a projection: no point of the ball may be farther from X than from Y. The largest increase of the
squared distance over the whole ball is

    delta(X) = |X|^2_Lambda - |Y|^2_Lambda + 2 rho |Lambda (Y - X)|_*,

so that clipping is right where delta <= 0. Else Y moves onto the half-space that Z = Y - clip(Y) spans, which holds the
ball, by a projection in the metric (it brings Y nearer to every point of the ball), and the test is made again.
"""

from __future__ import annotations

import math

import numpy as np

from ..compiled.leaf import leaf
from ..compiled.matrices import apply_function, copy_to, orthogonal_rows, row_lengths, square_norm

ROUNDS = 20_000
PROVED = 1e-13  # of the squared length of Y: rounding of delta


@leaf
def _inner(X, Y):
    """tr X' Y."""
    total = 0.0
    for i in range(X.shape[0]):
        for j in range(X.shape[1]):
            total += X[i, j] * Y[i, j]
    return total


@leaf
def _scaled_rows(U, R, factors, out):
    """out <- R' diag(factors) U."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = 0.0
    for p in range(U.shape[0]):
        for i in range(out.shape[0]):
            r = R[p, i] * factors[p]
            for j in range(out.shape[1]):
                out[i, j] += r * U[p, j]


@leaf
def project(Y, Q, inverse, radius, X):
    """X <- a point of the ball that is, in the metric Lambda = Q diag(1/inverse) Q', no farther from any of its points.

    Y is overwritten. An entry 0 of `inverse` says that Lambda has that eigenvalue 0. Returns the number of cuts.
    """
    k, other = Y.shape
    U, R, Z, room = np.empty((k, other)), np.empty((k, k)), np.empty((k, other)), np.empty((k, other))
    first, lengths, factors = np.empty((k, other)), np.empty(k), np.empty(k)
    roots, rows = np.empty(k), np.empty(k)
    for i in range(k):
        roots[i] = 1.0 / inverse[i] if inverse[i] > 0.0 else 0.0
    copy_to(Y, first)
    apply_function(Q, roots, Y, room, Z)
    length = _inner(Y, Z)
    for cuts in range(ROUNDS):
        copy_to(Y, U)
        orthogonal_rows(U, R)
        row_lengths(U, lengths)
        excess = 0.0
        for i in range(k):
            factors[i] = min(1.0, radius / lengths[i]) if lengths[i] > 0.0 else 1.0
            excess = max(excess, lengths[i] - radius)
        _scaled_rows(U, R, factors, X)
        if not excess > 0.0:
            return cuts
        apply_function(Q, roots, X, room, Z)
        delta = _inner(X, Z) - length
        for i in range(k):
            for j in range(other):
                U[i, j] = first[i, j] - X[i, j]
        apply_function(Q, roots, U, room, Z)
        orthogonal_rows(Z, R)
        row_lengths(Z, rows)
        for i in range(k):
            delta += 2.0 * radius * rows[i]
        if not delta > PROVED * length:
            return cuts
        numerator = 0.0
        for i in range(k):
            over = max(lengths[i] - radius, 0.0)
            numerator += over * over
        for i in range(k):
            for j in range(other):
                U[i, j] = Y[i, j] - X[i, j]
        apply_function(Q, inverse, U, room, Z)
        norm = _inner(U, Z)
        if not norm > 0.0:
            return cuts
        for i in range(k):
            for j in range(other):
                Y[i, j] -= numerator / norm * Z[i, j]
    return ROUNDS


@leaf
def into_ball(W, Q, inverse, centre, radius, right):
    """W <- the projection of W onto the ball of this centre; with `right`, of W'."""
    m, n = W.shape
    k, other = (n, m) if right else (m, n)
    Y, X = np.empty((k, other)), np.empty((k, other))
    tall, wide = centre.shape[0] > 1, centre.shape[1] > 1
    for i in range(m):
        for j in range(n):
            difference = W[i, j] - centre[i if tall else 0, j if wide else 0]
            Y[j if right else i, i if right else j] = difference
    if math.sqrt(square_norm(Y)) > radius:
        project(Y, Q, inverse, radius, X)
        for i in range(m):
            for j in range(n):
                c = centre[i if tall else 0, j if wide else 0]
                W[i, j] = c + X[j if right else i, i if right else j]
