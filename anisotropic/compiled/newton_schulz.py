"""What does a Newton-Schulz iteration do to singular values? Coefficient sets, and two certified numbers of each.

An iteration maps X / |X|_F = sum x_i u_i v_i' to sum phi(x_i) u_i v_i', with phi a composition of odd polynomials
a x + b x^3 + c x^5. Two numbers say what it is worth: phi_max, the largest value on [0, 1], and alpha(r), a lower
bound of <X, O(X)> / |X|_* over all matrices of rank at most r; both are 1 for the exact polar factor.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._support.names import nearest

OUTWARD = 1e-12  # room for the rounding of the intervals
_JORDAN = (3.4445, -4.7750, 2.0315)
#: Rows (a, b, c), one an iteration.
COEFFICIENTS: dict[str, tuple[tuple[float, float, float], ...]] = {
    "jordan": (_JORDAN,) * 5,
    "quintic": (
        (4.0848, -6.8946, 2.9270), (3.9505, -6.3029, 2.6377), (3.7418, -5.5913, 2.3037), (2.8769, -3.1427, 1.2046),
        (2.8366, -3.0525, 1.2012),
    ),
    "classical": ((1.875, -1.25, 0.375),) * 5,
    "cubic": ((1.5, -0.5, 0.0),) * 5,
}  # fmt: skip


class Certified(NamedTuple):
    """alpha <= <X, O(X)> / |X|_* and |O(X)|_op <= phi for every X of rank at most r."""

    alpha: float
    phi: float


def coefficients_of(given: Any) -> NDArray[np.float64]:
    """Rows (a, b, c) of a named set, or of one's own."""
    if isinstance(given, str):
        if given not in COEFFICIENTS:
            names = ", ".join(map(repr, COEFFICIENTS))
            raise ValueError(f"newton_schulz = {given!r}; expected one of {names}{nearest(given, COEFFICIENTS)}")
        given = COEFFICIENTS[given]
    try:
        rows = np.array(given, dtype=np.float64)
    except (TypeError, ValueError):
        rows = np.empty(0)
    if rows.ndim != 2 or rows.shape[1] != 3 or not len(rows) or not np.isfinite(rows).all():
        raise ValueError(
            f"newton_schulz = {given!r}; expected a name or rows (a, b, c) of finite numbers, one for each iteration "
            "x <- a x + b x^3 + c x^5"
        )
    return rows


def image(low: Any, high: Any, row: Any) -> tuple[Any, Any]:
    """The exact image of intervals under a x + b x^3 + c x^5: ends and critical points decide."""
    a, b, c = row

    def p(x: Any) -> Any:
        return x * (a + x * x * (b + x * x * c))

    bottom, top = np.minimum(p(low), p(high)), np.maximum(p(low), p(high))
    roots = np.roots([5.0 * c, 3.0 * b, a]) if c != 0.0 else np.roots([3.0 * b, a])
    for square in roots:
        if abs(square.imag) == 0.0 and square.real > 0.0:
            for x in (np.sqrt(square.real), -np.sqrt(square.real)):
                inside = (low <= x) & (x <= high)
                bottom = np.where(inside, np.minimum(bottom, p(x)), bottom)
                top = np.where(inside, np.maximum(top, p(x)), top)
    return bottom, top


@lru_cache(maxsize=64)
def _certified(rows: tuple[tuple[float, float, float], ...], rank: int) -> Certified:
    ends = np.concatenate([[0.0], np.geomspace(1e-9, 1.0, 20_001)])
    low, high = ends[:-1], ends[1:]
    bottom, top = low, high
    for row in rows:
        bottom, top = image(bottom, top, row)
    multipliers = np.concatenate([-np.geomspace(1e-4, 2, 60)[::-1], [0.0], np.geomspace(1e-4, 2, 60)])
    squares = np.where(multipliers[:, None] >= 0.0, multipliers[:, None] * low**2, multipliers[:, None] * high**2)

    def holds(alpha: float) -> bool:
        """Weak duality on sum x_i^2 = 1: r min_x [x (phi(x) - alpha) + lambda x^2] >= lambda for some lambda."""
        base = np.minimum(low * (bottom - alpha), high * (bottom - alpha))
        return bool((rank * (base + squares).min(axis=1) >= multipliers).any())

    phi = float(np.abs([bottom, top]).max()) * (1.0 + OUTWARD)
    below, above = 0.0, 1.5
    if not holds(below):
        return Certified(0.0, phi)
    for _ in range(18):
        middle = 0.5 * (below + above)
        below, above = (middle, above) if holds(middle) else (below, middle)
    return Certified(below * (1.0 - OUTWARD), phi)


def certified(given: Any, rank: int) -> Certified:
    """alpha(r) and phi_max of a coefficient set, by interval arithmetic and weak duality (about a tenth of a second).

    Parameters
    ----------
    given : str or rows (a, b, c), or None for the exact polar factor
    rank : int
        r, at most min(m, n).

    Returns
    -------
    Certified
        alpha is 0 where none is certified: no theorem speaks about such coefficients.

    Examples
    --------
    Five iterations of the coefficients that PyTorch ships, for matrices of rank 4:

    >>> found = certified("jordan", 4)
    >>> bool(0.680 < found.alpha < 0.682), bool(1.2023 < found.phi < 1.2030)
    (True, True)
    """
    if given is None:
        return Certified(1.0, 1.0)
    return _certified(tuple(map(tuple, coefficients_of(given).tolist())), int(rank))
