"""How far may rounding move a number? Tolerances counted from operations, not from the processor that was at hand.

Vector width, fused multiply-adds, threads and the BLAS kernel choose the order in which terms are added; a test that is
to pass everywhere allows every order.
"""

from __future__ import annotations

import numpy as np

EPS = 2.0**-52  # relative spacing of float64
EPS32 = 2.0**-23  # of float32


def sums_apart(terms, axis=0):
    """How far two sums of the same n terms may lie apart: n EPS sum |terms|, whatever their order."""
    size = np.abs(np.asarray(terms, dtype=float))
    return size.shape[axis] * EPS * size.sum(axis=axis)
