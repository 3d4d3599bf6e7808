"""Which step size is best for a method? A search from a centre by factors, widened until the best is not at an end.

Every method gets the same factors and the same seeds. The score is the geometric mean of a measure over the replicas,
infinite where one of them diverged; several measures share one search, since one run gives them all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from ..records import FloatArray

COARSE = 4.0
FINE = 2.0
REACH = 2  # coarse factors to each side of the centre
FARTHEST = 12  # coarse factors from the centre at which widening ends

Values = Mapping[str, FloatArray]


class Search(NamedTuple):
    """The best step size for each measure, whether it lies at an end, and how many were tried and diverged."""

    best: dict[str, float]
    at_edge: dict[str, bool]
    tried: int
    diverged: int


def score(values: FloatArray) -> float:
    """Geometric mean of positive values; infinite where one is not finite.

    >>> score(np.array([1.0, 4.0])), score(np.array([1.0, np.nan]))
    (2.0, inf)
    """
    if not np.isfinite(values).all():
        return np.inf
    return float(np.exp(np.log(np.maximum(values, 1e-300)).mean()))


def search(
    evaluate: Callable[[float], Values], centre: float, measures: tuple[str, ...], *, reach: int = REACH
) -> Search:
    """Find the step size with the smallest score of each measure.

    Parameters
    ----------
    evaluate : callable ``step size -> {measure: values over replicas}``
    centre : float
        Step sizes centre * 4^k, k = -reach..reach, are tried first; then farther ones while the best is the first or
        the last; then those a factor of 2 to both sides of the best.
    measures : tuple of str
    reach : int

    Examples
    --------
    >>> found = search(lambda s: {"loss": np.array([1 + np.log(s / 32) ** 2])}, 1.0, ("loss",))
    >>> found.best, found.at_edge, found.tried
    ({'loss': 32.0}, {'loss': False}, 8)
    """
    if not (np.isfinite(centre) and centre > 0.0):
        raise ValueError(f"the centre of a grid is {centre:g}; expected a positive number")
    seen: dict[int, Values] = {}  # by the power of FINE
    wide = round(np.log(COARSE) / np.log(FINE))

    def look(k: int) -> None:
        if k not in seen:
            seen[k] = evaluate(centre * FINE**k)

    def best(measure: str) -> int:
        return min(sorted(seen), key=lambda k: score(seen[k][measure]))

    for k in range(-reach, reach + 1):
        look(k * wide)
    for measure in measures:
        while (k := best(measure)) in (min(seen), max(seen)) and abs(k) < FARTHEST * wide:
            look(k - wide if k == min(seen) else k + wide)  # where all diverged, the smallest counts as the best
    for measure in measures:
        k = best(measure)
        look(k - 1)
        look(k + 1)
    lost = sum(any(not np.isfinite(score(v[m])) for m in measures) for v in seen.values())
    chosen = {m: best(m) for m in measures}
    return Search(
        {m: centre * FINE**k if np.isfinite(score(seen[k][m])) else np.nan for m, k in chosen.items()},
        {m: k in (min(seen), max(seen)) for m, k in chosen.items()},
        len(seen),
        lost,
    )
