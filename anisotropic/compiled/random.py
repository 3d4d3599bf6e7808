"""Where does every random number come from? From Philox4x32-10, a pure function of its seed and its place.

key = the 64-bit seed, counter = (coordinate, replica, step or block of four steps, stream). So a number depends on
what it is for and on nothing else: not on threads, chunks, order, or which optimizer asks. Normals come by a
branch-free Box-Muller transform that LLVM vectorises; binomials, Student-t and chi-squares by rejection on streams of
their own, at a cost that does not grow with the batch.

References
----------
Salmon, Moraes, Dror, Shaw, Parallel random numbers: as easy as 1, 2, 3, SC 2011 (Philox, known answers).
Hörmann, The generation of binomial random variates, J. Stat. Comput. Simul. 46, 1993 (transformed rejection).
Bailey, Polar generation of random variates with the t-distribution, Math. Comp. 62, 1994.
Marsaglia, Tsang, A simple method for generating gamma variables, ACM TOMS 26, 2000.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from .elementary import as_bits, as_float, fit
from .leaf import EXACT_ORDER, leaf

u64, i64, f64 = np.uint64, np.int64, np.float64

#: Streams in use: the fourth counter word, one per purpose.
NOISE, DRAWS, ROWS, VARIANCE, START = 0, 1, 2, 3, 4


class Stream(NamedTuple):
    """The place of a step in the random numbers: key words, replica and step (t = 0 before the first update)."""

    key0: np.uint64
    key1: np.uint64
    replica: int
    step: int


def key_words(seed: int) -> tuple[np.uint64, np.uint64]:
    """The two 32-bit key words of a seed, 0 <= seed < 2**64."""
    if isinstance(seed, bool) or int(seed) != seed or not 0 <= seed < 2**64:
        raise ValueError(f"seed = {seed!r}; expected a whole number from 0 to 2**64 - 1")
    return u64(int(seed) & 0xFFFFFFFF), u64(int(seed) >> 32)


A0, A1, A2, A3, A4, A5, A6, A7, A8, A9, A10 = fit(lambda t: np.log1p(t) / t, -0.25, 0.5, 10)
LN2, PI4 = math.log(2.0), math.pi / 4 * 2.0**-23
MASK, S32, S26, S14, S11, S52 = (u64(v) for v in (0xFFFFFFFF, 32, 26, 14, 11, 52))
ONE_BITS, INTEGER_BITS, PHASE_MASK, SIGN = (u64(v) for v in (0x3FF << 52, 0x433 << 52, 0xFFFFFF, 1 << 63))
SPLIT = u64((0x3FE8 << 48) - (64 << 52))  # mantissas split at 3/4, exponents counted from -64
M0, M1, W0, W1 = u64(0xD2511F53), u64(0xCD9E8D57), u64(0x9E3779B9), u64(0xBB67AE85)


@njit(inline="always")
def philox(c0, c1, c2, c3, k0, k1):
    """Ten rounds of Philox4x32 on 32-bit words held in uint64; two 64-bit words, first word in the high half."""
    for _ in range(10):
        p0, p1 = (c0 & MASK) * M0, (c2 & MASK) * M1
        c0, c1, c2, c3 = (p1 >> S32) ^ c1 ^ k0, p1, (p0 >> S32) ^ c3 ^ k1, p0
        k0, k1 = (k0 + W0) & MASK, (k1 + W1) & MASK
    return (c0 << S32) | (c1 & MASK), (c2 << S32) | (c3 & MASK)


@njit(inline="always")
def normal_pair(r):
    """Two standard normals from one 64-bit word: 38 bits of radius (tail to 7.35 sigma), 26 bits of angle."""
    b = as_bits(as_float(((r >> S26) << S14) | ONE_BITS) - (1.0 - 2.0**-39))
    e = (b - SPLIT) >> S52
    t = as_float(b - (e << S52) + (u64(64) << S52)) - 1.0
    exponent = as_float(e | INTEGER_BITS) - (2.0**52 + 64.0)
    t2 = t * t
    t4 = t2 * t2
    low = (A0 + A1 * t) + t2 * (A2 + A3 * t)
    high = ((A4 + A5 * t) + t2 * (A6 + A7 * t)) + t4 * ((A8 + A9 * t) + t2 * A10)
    radius = math.sqrt(-(exponent * LN2 + (low + t4 * high) * t))
    phi = (as_float((r & PHASE_MASK) | INTEGER_BITS) - (2.0**52 + 2.0**23)) * PI4
    q = phi * phi
    c = 1.0 + q * (-1 / 2 + q * (1 / 24 + q * (-1 / 720 + q * (1 / 40320))))
    s = phi * (1.0 + q * (-1 / 6 + q * (1 / 120 + q * (-1 / 5040 + q * (1 / 362880)))))
    sign = (r << u64(38)) & SIGN, (r << u64(39)) & SIGN
    return as_float(as_bits((c - s) * radius) ^ sign[0]), as_float(as_bits((c + s) * radius) ^ sign[1])


@njit(fastmath=EXACT_ORDER, error_model="numpy", nogil=True, forceinline=True)
def fill_normals(key0, key1, replica, group, coordinate, replicas, groups, z0, z1, z2, z3):
    """Normals of the steps 4 G + 1, ..., 4 G + 4 of replica R at each lane i: R = replica + replicas[i], G likewise.

    Bits first, then normals: one loop for both needs more vector registers than there are, and 1.6 times as long.
    """
    for i in range(z0.size):
        r, q = u64(replica) + replicas[i], u64(group) + groups[i]
        x0, x1 = philox(coordinate[i], r, q, u64(NOISE), key0, key1)
        z0[i], z2[i] = as_float(x0), as_float(x1)
    for i in range(z0.size):
        z0[i], z1[i] = normal_pair(as_bits(z0[i]))
    for i in range(z0.size):
        z2[i], z3[i] = normal_pair(as_bits(z2[i]))


@leaf
def uniform_pair(stream, coordinate, draw, purpose):
    """Two independent uniforms on (0, 1), number `draw` of this coordinate, step and purpose."""
    place = (u64(draw) << u64(3)) | u64(purpose)
    x0, x1 = philox(u64(coordinate), u64(stream.replica), u64(stream.step), place, stream.key0, stream.key1)
    return (f64(i64(x0 >> S11)) + 0.5) * 2.0**-53, (f64(i64(x1 >> S11)) + 0.5) * 2.0**-53


@leaf
def _stirling(k):
    """log(k!) minus its Stirling approximation, to 1e-10 for k >= 0 (a table is exact below 10)."""
    if k < 10.0:
        return math.lgamma(k + 1.0) - ((k + 0.5) * math.log(k + 1.0) - (k + 1.0) + 0.9189385332046727)
    x = 1.0 / (k + 1.0)
    return x * (1 / 12 - x * x * (1 / 360 - x * x * (1 / 1260 - x * x / 1680)))


@leaf
def _inversion(n, p, stream, coordinate, first):
    """Binomial by sequential search; expected cost 1 + n p."""
    u, _ = uniform_pair(stream, coordinate, first, DRAWS)
    odds = p / (1.0 - p)
    mass, k = math.exp(n * math.log1p(-p)), 0
    while u > mass and k < n:
        u -= mass
        k += 1
        mass *= odds * (n - k + 1) / k
    return k


@leaf
def _transformed_rejection(n, p, stream, coordinate, first):
    """Binomial for n p >= 10, p <= 1/2; about 1.15 to 1.5 draws."""
    spread = math.sqrt(n * p * (1.0 - p))
    b = 1.15 + 2.53 * spread
    a = -0.0873 + 0.0248 * b + 0.01 * p
    centre, alpha, accept = n * p + 0.5, (2.83 + 5.1 / b) * spread, 0.92 - 4.2 / b
    odds, mode = p / (1.0 - p), math.floor((n + 1) * p)
    at_mode = (mode + 0.5) * math.log((mode + 1) / (odds * (n - mode + 1))) + _stirling(mode) + _stirling(n - mode)
    draw = first
    while True:
        u, v = uniform_pair(stream, coordinate, draw, DRAWS)
        draw += 1
        u -= 0.5
        us = 0.5 - abs(u)
        k = math.floor((2.0 * a / us + b) * u + centre)
        if us >= 0.07 and v <= accept:
            return k
        if k < 0 or k > n:
            continue
        v = math.log(v * alpha / (a / (us * us) + b))
        limit = at_mode + (n + 1) * math.log((n - mode + 1) / (n - k + 1))
        limit += (k + 0.5) * math.log(odds * (n - k + 1) / (k + 1)) - _stirling(k) - _stirling(n - k)
        if v <= limit:
            return k


@leaf
def binomial(n, p, stream, coordinate, first=0):
    """Binomial(n, p) at a cost that does not grow with n; above n = 1e9 the rounded normal limit.

    `first` is the number of the first draw it may use; leave 2**20 between two binomials of one coordinate and step.
    """
    if n <= 0 or p <= 0.0:
        return i64(0)
    if p >= 1.0:
        return i64(n)
    q = min(p, 1.0 - p)
    if n > 1_000_000_000:
        u, v = uniform_pair(stream, coordinate, first, DRAWS)
        z = math.sqrt(-2.0 * math.log(u)) * math.cos(2.0 * math.pi * v)
        k = i64(min(max(math.floor(n * q + math.sqrt(n * q * (1.0 - q)) * z + 0.5), 0), n))
    elif n * q < 10.0:
        k = i64(_inversion(n, q, stream, coordinate, first))
    else:
        k = i64(_transformed_rejection(n, q, stream, coordinate, first))
    return k if p <= 0.5 else i64(n) - k


@leaf
def student_t(df, stream, coordinate, draw):
    """One Student-t variate with `df` degrees of freedom (polar method)."""
    u, v = uniform_pair(stream, coordinate, draw, DRAWS)
    return math.sqrt(df * math.expm1(-2.0 / df * math.log(u))) * math.cos(2.0 * math.pi * v)


@leaf
def chi_square(df, stream, coordinate):
    """One chi-square variate with `df` > 0 degrees of freedom, by rejection; cost does not grow with `df`."""
    shape = 0.5 * df
    boost = 1.0
    draw = 0
    if shape < 1.0:
        u, _ = uniform_pair(stream, coordinate, draw, VARIANCE)
        boost = u ** (1.0 / shape)
        shape += 1.0
        draw += 1
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        u, v = uniform_pair(stream, coordinate, draw, VARIANCE)
        w, _ = uniform_pair(stream, coordinate, draw + 1, VARIANCE)
        draw += 2
        z = math.sqrt(-2.0 * math.log(u)) * math.cos(2.0 * math.pi * v)
        cube = (1.0 + c * z) ** 3
        if cube > 0.0 and math.log(w) < 0.5 * z * z + d * (1.0 - cube + math.log(cube)):
            return 2.0 * d * cube * boost


@leaf
def draw_rows(rows, order, total, batch_size, replace, stream):
    """Write `batch_size` row numbers into `rows`; without replacement by a partial shuffle of `order`."""
    for i in range(batch_size):
        u, _ = uniform_pair(stream, i, 0, ROWS)
        if replace:
            rows[i] = min(i64(u * total), total - 1)
        else:
            k = min(i + i64(u * (total - i)), total - 1)
            order[i], order[k] = order[k], order[i]
            rows[i] = order[i]
