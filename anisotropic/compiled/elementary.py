"""How do elementary functions run in a vectorized loop? Branch-free exp, log1p and sin for compiled leaves.

A call into the C library keeps LLVM from vectorizing the loop around it. These polynomials do not: no table, no
branch, no libm. Their errors (at most 4 ulps where stated) are tested against mpmath.

They are compiled without reassociation, which would undo their range reductions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, njit, types
from numba.extending import intrinsic
from numpy.polynomial import chebyshev, polynomial

from .leaf import EXACT_ORDER

_exact_order: Callable[..., Any] = njit(fastmath=EXACT_ORDER, error_model="numpy", nogil=True, forceinline=True)

if config.DISABLE_JIT:

    def as_bits(x: float) -> np.uint64:
        """Bits of a float64 as a uint64."""
        return np.float64(x).view(np.uint64)

    def as_float(x: int | np.uint64) -> np.float64:
        """The float64 whose bits are the uint64 `x`."""
        return np.uint64(x).view(np.float64)

else:

    @intrinsic
    def as_bits(typing_context: Any, x: Any) -> Any:
        """Bits of a float64 as a uint64."""
        return types.uint64(types.float64), lambda c, b, s, a: b.bitcast(a[0], ir.IntType(64))

    @intrinsic
    def as_float(typing_context: Any, x: Any) -> Any:
        """The float64 whose bits are the uint64 `x`."""
        return types.float64(types.uint64), lambda c, b, s, a: b.bitcast(a[0], ir.DoubleType())


def fit(function: Callable[[np.ndarray], np.ndarray], low: float, high: float, degree: int) -> tuple[float, ...]:
    """Coefficients, lowest first, of a near-minimax polynomial on [low, high] (interpolation in Chebyshev nodes)."""
    middle, half = (high + low) / 2, (high - low) / 2
    node = np.cos(np.pi * (np.arange(8 * degree) + 0.5) / (8 * degree))
    series = chebyshev.cheb2poly(chebyshev.chebfit(node, function(middle + half * node), degree))
    linear = np.array([-middle / half, 1 / half])
    out: Any = np.zeros(1)
    power: Any = np.ones(1)
    for coefficient in series:
        out = polynomial.polyadd(out, coefficient * power)
        power = polynomial.polymul(power, linear)
    return tuple(float(v) for v in out)


E0, E1, E2, E3, E4, E5, E6, E7, E8, E9, E10, E11, E12 = (1 / math.factorial(k) for k in range(13))
B0, B1, B2, B3, B4, B5, B6, B7, B8, B9, B10, B11, B12, B13, B14, B15, B16 = (2 / (2 * k + 1) for k in range(17))
S1, S2, S3, S4, S5, S6, S7, S8, S9, S10 = ((-1) ** k / math.factorial(2 * k + 1) for k in range(1, 11))
LOG2E, LN2_HIGH, LN2_LOW = 1 / math.log(2.0), 0.6931471805582987, 1.646594958289708e-12
INVERSE_PI, PI_1, PI_2, PI_3 = 1 / math.pi, 3.1415926534682512, 1.215420100718692e-10, 5.825464112186712e-20
SHIFT = 1.5 * 2.0**52  # adding it rounds to the nearest integer, whose low bits are then those of the sum
ONE, BIAS, S52, S63 = (np.uint64(v) for v in (1, 1023, 52, 63))
SHIFT_BITS = np.float64(SHIFT).view(np.uint64)
OFFSET = np.uint64(2048)


@_exact_order
def exp(x: float) -> float:
    """e^x to 3 ulps on [-708, 709.78]; 0 below, infinity above, NaN for NaN."""
    y = min(max(x, -708.0), 709.9)
    shifted = y * LOG2E + SHIFT
    k = shifted - SHIFT
    r = (y - k * LN2_HIGH) - k * LN2_LOW
    r2 = r * r
    r4 = r2 * r2
    low = (E0 + E1 * r) + r2 * (E2 + E3 * r)
    middle = (E4 + E5 * r) + r2 * (E6 + E7 * r)
    high = (E8 + E9 * r) + r2 * (E10 + E11 * r) + r4 * E12
    n = as_bits(shifted) - SHIFT_BITS + OFFSET
    half = n >> ONE
    p = (low + r4 * (middle + r4 * high)) * as_float((half - (OFFSET >> ONE) + BIAS) << S52)
    p *= as_float((n - half - (OFFSET >> ONE) + BIAS) << S52)
    return p if x >= -708.0 else (0.0 if x < -708.0 else x)


@_exact_order
def log1p_unit(x: float) -> float:
    """log(1 + x) to 4 ulps for 0 <= x <= 1, from 2 atanh(x / (2 + x))."""
    s = x / (2.0 + x)
    q = s * s
    q2 = q * q
    q4 = q2 * q2
    a = (B0 + B1 * q) + q2 * (B2 + B3 * q)
    b = (B4 + B5 * q) + q2 * (B6 + B7 * q)
    c = (B8 + B9 * q) + q2 * (B10 + B11 * q)
    d = (B12 + B13 * q) + q2 * (B14 + B15 * q) + q4 * B16
    return s * (a + q4 * (b + q4 * (c + q4 * d)))


@_exact_order
def sin(x: float) -> float:
    """sin(x) to 3e-16 absolute for abs(x) <= 1e5."""
    shifted = x * INVERSE_PI + SHIFT
    n = shifted - SHIFT
    r = ((x - n * PI_1) - n * PI_2) - n * PI_3
    q = r * r
    q2 = q * q
    q4 = q2 * q2
    low = (S1 + S2 * q) + q2 * (S3 + S4 * q)
    p = low + q4 * ((S5 + S6 * q) + q2 * (S7 + S8 * q) + q4 * (S9 + S10 * q))
    return as_float(as_bits(r + r * q * p) ^ (as_bits(shifted) << S63))


@_exact_order
def log1p_exp(x: float) -> float:
    """log(1 + e^x), the softplus, without overflow."""
    return max(x, 0.0) + log1p_unit(exp(-abs(x)))


@_exact_order
def sigmoid(x: float) -> float:
    """1 / (1 + e^-x) without overflow."""
    e = exp(-abs(x))
    p = 1.0 / (1.0 + e)
    return p if x >= 0.0 else e * p
