"""How does a loop multiply, diagonalize and orthogonalize small matrices? Compiled leaves, reusable alone.

For the update rules, problems and measures whose parameter is a matrix. Everything is a plain loop: no call of LAPACK,
hence the same bits for any number of threads and kernels that can be kept on disk. The eigenvectors come from
Householder reflections and implicit QL (the algorithm of EISPACK's tred2 and tql2), the polar factor from one-sided
Jacobi rotations, which keep small singular values to their last digits where eigenvectors of G G' lose them below
1e-8 of the largest.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from .leaf import EXACT_ORDER, leaf
from .views import matrix

_exact_order: Callable[..., Any] = njit(fastmath=EXACT_ORDER, error_model="numpy", nogil=True, forceinline=True)

SWEEPS = 40
ORTHOGONAL = 1e-15  # cosine between two rows that counts as none
ABSENT = 1e-28  # square of a singular value, relative to the largest, that counts as zero
EPSILON = 2.0**-52


@leaf
def copy_to(X, out):
    """out <- X."""
    for i in range(X.shape[0]):
        for j in range(X.shape[1]):
            out[i, j] = X[i, j]


@leaf
def transpose_to(X, out):
    """out <- X'."""
    for i in range(X.shape[0]):
        for j in range(X.shape[1]):
            out[j, i] = X[i, j]


@leaf
def multiply(A, B, out):
    """out <- A B."""
    for i in range(A.shape[0]):
        for j in range(B.shape[1]):
            out[i, j] = 0.0
        for k in range(A.shape[1]):
            a = A[i, k]
            for j in range(B.shape[1]):
                out[i, j] += a * B[k, j]


@leaf
def multiply_transposed(A, B, out):
    """out <- A' B."""
    for i in range(A.shape[1]):
        for j in range(B.shape[1]):
            out[i, j] = 0.0
    for k in range(A.shape[0]):
        for i in range(A.shape[1]):
            a = A[k, i]
            for j in range(B.shape[1]):
                out[i, j] += a * B[k, j]


@leaf
def add_gram(X, out):
    """out <- out + X X'."""
    for i in range(X.shape[0]):
        for j in range(i + 1):
            total = 0.0
            for k in range(X.shape[1]):
                total += X[i, k] * X[j, k]
            out[i, j] += total
            if i != j:
                out[j, i] += total


@leaf
def square_norm(X):
    """Sum of the squares of the entries."""
    total = 0.0
    for i in range(X.shape[0]):
        for j in range(X.shape[1]):
            total += X[i, j] * X[i, j]
    return total


@_exact_order
def eigenvectors(V, d, e):
    """Diagonalize the symmetric V in place: eigenvectors in its columns, eigenvalues in d; e is room for m numbers."""
    n = V.shape[0]
    for j in range(n):
        d[j] = V[n - 1, j]
    for i in range(n - 1, 0, -1):
        scale, h = 0.0, 0.0
        for k in range(i):
            scale += abs(d[k])
        if scale == 0.0:
            e[i] = d[i - 1]
            for j in range(i):
                d[j] = V[i - 1, j]
                V[i, j] = 0.0
                V[j, i] = 0.0
        else:
            for k in range(i):
                d[k] /= scale
                h += d[k] * d[k]
            f = d[i - 1]
            g = -math.sqrt(h) if f > 0.0 else math.sqrt(h)
            e[i] = scale * g
            h -= f * g
            d[i - 1] = f - g
            for j in range(i):
                e[j] = 0.0
            for j in range(i):
                f = d[j]
                V[j, i] = f
                g = e[j] + V[j, j] * f
                for k in range(j + 1, i):
                    g += V[k, j] * d[k]
                    e[k] += V[k, j] * f
                e[j] = g
            f = 0.0
            for j in range(i):
                e[j] /= h
                f += e[j] * d[j]
            half = f / (h + h)
            for j in range(i):
                e[j] -= half * d[j]
            for j in range(i):
                f, g = d[j], e[j]
                for k in range(j, i):
                    V[k, j] -= f * e[k] + g * d[k]
                d[j] = V[i - 1, j]
                V[i, j] = 0.0
        d[i] = h
    for i in range(n - 1):
        V[n - 1, i] = V[i, i]
        V[i, i] = 1.0
        h = d[i + 1]
        if h != 0.0:
            for k in range(i + 1):
                d[k] = V[k, i + 1] / h
            for j in range(i + 1):
                g = 0.0
                for k in range(i + 1):
                    g += V[k, i + 1] * V[k, j]
                for k in range(i + 1):
                    V[k, j] -= g * d[k]
        for k in range(i + 1):
            V[k, i + 1] = 0.0
    for j in range(n):
        d[j] = V[n - 1, j]
        V[n - 1, j] = 0.0
    V[n - 1, n - 1] = 1.0
    _implicit_ql(V, d, e)


@_exact_order
def _implicit_ql(V, d, e):
    """Eigenvalues of the tridiagonal (d, e) into d, rotations into the columns of V; NaN ends the iteration."""
    n = V.shape[0]
    for i in range(1, n):
        e[i - 1] = e[i]
    e[n - 1] = 0.0
    f, size = 0.0, 0.0
    for k in range(n):
        size = max(size, abs(d[k]) + abs(e[k]))
        m = k
        while m < n - 1 and abs(e[m]) > EPSILON * size:
            m += 1
        for _ in range(60 if m > k else 0):
            g = d[k]
            p = (d[k + 1] - g) / (2.0 * e[k])
            r = math.sqrt(p * p + 1.0)
            if p < 0.0:
                r = -r
            d[k] = e[k] / (p + r)
            d[k + 1] = e[k] * (p + r)
            behind = d[k + 1]
            h = g - d[k]
            for i in range(k + 2, n):
                d[i] -= h
            f += h
            p = d[m]
            c, c2, c3 = 1.0, 1.0, 1.0
            start, s, s2 = e[k + 1], 0.0, 0.0
            for i in range(m - 1, k - 1, -1):
                c3, c2, s2 = c2, c, s
                g = c * e[i]
                h = c * p
                r = math.sqrt(p * p + e[i] * e[i])
                e[i + 1] = s * r
                s = e[i] / r
                c = p / r
                p = c * d[i] - s * g
                d[i + 1] = h + s * (c * g + s * d[i])
                for j in range(n):
                    h = V[j, i + 1]
                    V[j, i + 1] = s * V[j, i] + c * h
                    V[j, i] = c * V[j, i] - s * h
            p = -s * s2 * c3 * start * e[k] / behind
            e[k] = s * p
            d[k] = c * p
            if not abs(e[k]) > EPSILON * size:
                break
        d[k] += f
        e[k] = 0.0


@leaf
def apply_function(Q, f, X, room, out):
    """out <- Q diag(f) Q' X, with `room` of the shape of X; X and out may be the same."""
    multiply_transposed(Q, X, room)
    for i in range(room.shape[0]):
        for j in range(room.shape[1]):
            room[i, j] *= f[i]
    multiply(Q, room, out)


@leaf
def orthogonal_rows(U, R):
    """Rotate the rows of U in place until they are orthogonal, and write into R the R with R U(before) = U(after).

    The lengths of the rows are then the singular values, in no order. Rows shorter than 1e-14 of the longest are left.
    Squared lengths are followed through a sweep and taken anew before the next.
    """
    m, n = U.shape
    lengths = np.empty(m)
    for i in range(m):
        for j in range(m):
            R[i, j] = 1.0 if i == j else 0.0
    for _ in range(SWEEPS):
        turned, top = False, 0.0
        for i in range(m):
            length = 0.0
            for k in range(n):
                length += U[i, k] * U[i, k]
            lengths[i] = length
            top = max(top, length)
        for p in range(m - 1):
            for q in range(p + 1, m):
                a, b, c = lengths[p], lengths[q], 0.0
                if a <= ABSENT * top or b <= ABSENT * top:
                    continue
                for k in range(n):
                    c += U[p, k] * U[q, k]
                cosine = c * (c / a)  # its square, times b
                if not cosine > ORTHOGONAL * ORTHOGONAL * b:
                    continue
                turned = turned or cosine > 16.0 * ORTHOGONAL * ORTHOGONAL * b
                x = (b - a) / (2.0 * c)
                t = 1.0 / (abs(x) + math.sqrt(x * x + 1.0))
                if x < 0.0:
                    t = -t
                cos = 1.0 / math.sqrt(t * t + 1.0)
                sin = cos * t
                lengths[p], lengths[q] = a - t * c, b + t * c
                for k in range(n):
                    u, v = U[p, k], U[q, k]
                    U[p, k] = cos * u - sin * v
                    U[q, k] = sin * u + cos * v
                for k in range(m):
                    u, v = R[p, k], R[q, k]
                    R[p, k] = cos * u - sin * v
                    R[q, k] = sin * u + cos * v
        if not turned:
            break


@leaf
def row_lengths(U, out):
    """out <- lengths of the rows; one that counts as zero is 0."""
    top = 0.0
    for i in range(U.shape[0]):
        total = 0.0
        for k in range(U.shape[1]):
            total += U[i, k] * U[i, k]
        out[i] = total
        top = max(top, total)
    for i in range(U.shape[0]):
        out[i] = math.sqrt(out[i]) if out[i] > ABSENT * top else 0.0


@leaf
def polar_rows(U, R, room, out):
    """out <- polar factor of X, at most as many rows as columns; U holds X and is overwritten, R (m, m) is room."""
    m, n = U.shape
    orthogonal_rows(U, R)
    row_lengths(U, room)
    for i in range(m):
        for j in range(n):
            out[i, j] = 0.0
    for p in range(m):
        if room[p] > 0.0:
            for i in range(m):
                r = R[p, i] / room[p]
                for j in range(n):
                    out[i, j] += r * U[p, j]


@leaf
def iterate_polynomials(X, coefficients, A, B, room):
    """X <- a X + b (X X') X + c (X X')^2 X for each row (a, b, c), from X / |X|_F; 0 stays 0.

    A and B are room for (m, m), `room` for the shape of X, which has at most as many rows as columns.
    """
    m, n = X.shape
    size = math.sqrt(square_norm(X))
    if size > 0.0:
        for i in range(m):
            for j in range(n):
                X[i, j] /= size
    for s in range(coefficients.shape[0]):
        for i in range(m):
            for j in range(m):
                A[i, j] = 0.0
        add_gram(X, A)
        multiply(A, A, B)
        for i in range(m):
            for j in range(m):
                B[i, j] = coefficients[s, 1] * A[i, j] + coefficients[s, 2] * B[i, j]
        multiply(B, X, room)
        for i in range(m):
            for j in range(n):
                X[i, j] = coefficients[s, 0] * X[i, j] + room[i, j]


@leaf
def singular_rows(Y):
    """U and R with R Y = U, or R Y' = U where Y is taller than wide: orthogonal rows of U, and their lengths.

    The lengths are the singular values, in no order.
    """
    m, n = Y.shape
    few, many = min(m, n), max(m, n)
    U, R, lengths = np.empty((few, many)), np.empty((few, few)), np.empty(few)
    if m <= n:
        copy_to(Y, U)
    else:
        transpose_to(Y, U)
    orthogonal_rows(U, R)
    row_lengths(U, lengths)
    return U, R, lengths


@leaf
def gradient_nuclear(w, gradient, params, shape):
    """A measure: the nuclear norm of the gradient, the sum of its singular values."""
    total = 0.0
    _, _, lengths = singular_rows(matrix(gradient, 0, shape[0], shape[1]))
    for i in range(lengths.size):
        total += lengths[i]
    return total


@leaf
def spectral_distance(w, gradient, params, shape):
    """A measure: the largest singular value of W - C, where the objective has a field `centre` in its params."""
    difference = np.empty(w.size)
    m, n = shape
    for i in range(m):
        for j in range(n):
            difference[i * n + j] = w[i * n + j] - params.centre[i, j]
    largest = 0.0
    _, _, lengths = singular_rows(matrix(difference, 0, m, n))
    for i in range(lengths.size):
        largest = max(largest, lengths[i])
    return largest
