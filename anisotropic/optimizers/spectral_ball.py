"""How is an iterate brought back into a ball of the spectral norm, in the metric of an accumulator, with a proof?

In the metric of Lambda the projection onto {X : |X|_op <= rho} is not the clipping of singular values. What the regret
of ASGO needs is less than a projection: no point of the ball may be farther from X than from Y. The largest increase of
the squared distance over the whole ball is

    delta(X) = |X|^2_Lambda - |Y|^2_Lambda + 2 rho |Lambda (Y - X)|_*,

so that clipping is right where delta <= 0. Else Y moves onto the half-space that Z = Y - clip(Y) spans, which holds the
ball, by a projection in the metric (it brings Y nearer to every point of the ball), and the test is made again. All
of it happens in the eigenbasis of Lambda, which changes no singular value.
"""

from __future__ import annotations

import math

import numpy as np

from ..compiled.leaf import leaf
from ..compiled.matrices import multiply, multiply_transposed, orthogonal_rows, row_lengths, square_norm

ROUNDS = 20_000
PROVED = 1e-13  # of the squared length of Y: rounding of delta


@leaf
def project(Y, inverse, radius, X):
    """X <- a point of the ball that is, in the metric diag(1/inverse), no farther from any of its points than Y.

    Y is overwritten. An entry 0 of `inverse` says that the metric is 0 there. Returns the number of cuts.
    """
    k, other = Y.shape
    first, room, R, lengths = np.empty((k, other)), np.empty((2, k, other)), np.empty((k, k)), np.empty(k)
    length = 0.0
    for i in range(k):
        for j in range(other):
            first[i, j] = Y[i, j]
            length += Y[i, j] * Y[i, j] / inverse[i] if inverse[i] > 0.0 else 0.0
    for cuts in range(ROUNDS):
        delta, numerator, norm = -length, 0.0, 0.0
        for half in range(2):
            U = room[half]
            for i in range(k):
                weight = 1.0 / inverse[i] if inverse[i] > 0.0 else 0.0
                for j in range(other):
                    U[i, j] = Y[i, j] if half == 0 else weight * (first[i, j] - X[i, j])
            orthogonal_rows(U, R)
            row_lengths(U, lengths)
            if half == 1:
                for i in range(k):
                    delta += 2.0 * radius * lengths[i]
                continue
            for i in range(k):
                for j in range(other):
                    X[i, j] = 0.0
            for p in range(k):
                over = max(lengths[p] - radius, 0.0)
                numerator += over * over
                factor = radius / lengths[p] if over > 0.0 else 1.0
                for i in range(k):
                    r = R[p, i] * factor
                    for j in range(other):
                        X[i, j] += r * U[p, j]
            if not numerator > 0.0:
                return cuts
            for i in range(k):
                for j in range(other):
                    delta += X[i, j] * X[i, j] / inverse[i] if inverse[i] > 0.0 else 0.0
        for i in range(k):
            for j in range(other):
                norm += inverse[i] * (Y[i, j] - X[i, j]) * (Y[i, j] - X[i, j])
        if not delta > PROVED * length or not norm > 0.0:
            return cuts
        for i in range(k):
            for j in range(other):
                Y[i, j] -= numerator / norm * inverse[i] * (Y[i, j] - X[i, j])
    return ROUNDS


@leaf
def into_ball(W, Q, inverse, centre, radius, right):
    """W <- its projection onto the ball of this centre in the metric Q diag(1/inverse) Q'; with `right`, of W'."""
    m, n = W.shape
    k, other = (n, m) if right else (m, n)
    Y, X = np.empty((k, other)), np.empty((k, other))
    tall, wide = centre.shape[0] > 1, centre.shape[1] > 1
    for i in range(m):
        for j in range(n):
            difference = W[i, j] - centre[i if tall else 0, j if wide else 0]
            X[j if right else i, i if right else j] = difference
    if math.sqrt(square_norm(X)) > radius:
        multiply_transposed(Q, X, Y)
        project(Y, inverse, radius, X)
        multiply(Q, X, Y)
        for i in range(m):
            for j in range(n):
                W[i, j] = centre[i if tall else 0, j if wide else 0] + Y[j if right else i, i if right else j]
