"""What would theory have said? The ratio of two upper bounds, for several widths, with the term that decides.

A hint, and no more: comparing two upper bounds does not tell who wins, and its record is poor.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .. import bounds
from ..problems import noise_level
from ..records import FloatArray
from .rows import Rows

#: What became of this comparison where it was put to the test (studies/who_wins, tuned step sizes).
RECORD = "the same comparison ranked the two methods wrongly in 52 of 64 decided cells of studies/who_wins"


class Prediction(NamedTuple):
    """Ratios above 1 favor AdaGrad.

    By width D: `ratios`, SGD's bound over AdaGrad's; `smoothness`, max L |R|_2^2 / (sum L_j D^2), and `noise`,
    |sigma|_2 |R|_2 / (|sigma|_1 D), the same of single terms without their constants. `deciding`: the term that is the
    larger part of the larger bound at D = R.
    """

    batch_size: int
    ratios: dict[str, float]
    smoothness: dict[str, float]
    noise: dict[str, float]
    deciding: str

    @property
    def favored(self) -> str | None:
        """"adagrad" or "sgd" where all three widths agree, else None."""
        above = [r > 1.0 for r in self.ratios.values()]
        return "adagrad" if all(above) else None if any(above) else "sgd"


def predict(rows: Rows, batch_size: int, steps: int, farthest: FloatArray) -> Prediction:
    """Compare the bounds of SGD and of AdaGrad with one step size, each at its tuned step size.

    SGD's bound takes the largest eigenvalue and R = |w_1 - w*|; AdaGrad's takes the smoothness per coordinate and one
    width for all coordinates, D = max R, twice that, or the farthest that a run went from the minimizer.
    """
    f = rows.objective
    assert f.minimizer is not None and f.smoothness is not None
    R, sigma = np.abs(f.minimizer), noise_level(f, 0.0)
    common = {"sigma": sigma, "T": steps, "M": batch_size}
    sgd = bounds.convex_sgd.terms("simple", L=np.full(f.dim, rows.top), R=R, **common)
    largest = float(R.max())
    widths = {"R": largest, "2R": 2.0 * largest, "visited": float(farthest.max())}
    ours = {name: bounds.convex_adagrad.terms("simple", L=f.smoothness, D=D, **common) for name, D in widths.items()}
    total, totals = sum(sgd.values()), {name: sum(terms.values()) for name, terms in ours.items()}
    larger = sgd if total > totals["R"] else ours["R"]
    curvature, spread = rows.top * float(R @ R), float(np.linalg.norm(sigma) * np.linalg.norm(R))
    return Prediction(
        batch_size,
        {name: total / value for name, value in totals.items()},
        {name: curvature / (float(np.sum(f.smoothness)) * D**2) for name, D in widths.items()},
        {name: spread / (float(sigma.sum()) * D) for name, D in widths.items()},
        "smoothness" if larger["bias"] > larger["noise"] else "noise",
    )
