"""How does the advice look? Ratios to SGD against the batch size, with bands, a line at 1, and the noise scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..intervals import Limits
from ..plotting.figures import drawn_in_style, legend_above
from ..plotting.methods import curves
from .compare import LABELS, decide

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .answer import Advice


@drawn_in_style
def draw(advice: Advice, measure: str, *, ax: Axes | None = None) -> Axes:
    """One curve for each method but the reference; below 1 it is ahead of SGD."""
    if measure not in advice.measures:
        raise ValueError(f"measure = {measure!r}; expected one of {', '.join(advice.measures)}")
    sizes = advice.batch_sizes
    decisions = {b: decide(advice.races[b, measure]) for b in sizes}
    methods = list(dict.fromkeys(m for d in decisions.values() for m in d.ratios))
    series = {}
    for m in methods:
        sides = np.array([decisions[b].ratios[m][:3] if m in decisions[b].ratios else (1.0,) * 3 for b in sizes])
        series[m] = Limits(*sides.T)
    label = f"ratio to SGD ({LABELS.get(measure, measure)})"
    drawn = curves(sizes, series, xlabel="batch size M (samples per iteration)", ylabel=label, ax=ax)
    drawn.axhline(1.0, color="0.3", linewidth=0.8, label="the better SGD")
    c = advice.critical
    if c is not None:
        for value, dash, name in (
            (c.over_rows, ":", "noise scale"), (c.value, "-.", "critical batch size"),
        ):  # fmt: skip
            if np.isfinite(value):
                drawn.axvline(value, color="0.5", linewidth=0.9, linestyle=dash, label=name)
    legend_above(drawn, 2)
    return drawn
