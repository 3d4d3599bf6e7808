"""How do the last values of runs at several horizons fall with T, and how does the bound? One line each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..intervals import Limits, t_limits
from ..records import Run, Verdict
from .figures import title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..bounds import Bound


def grouped(runs: list[Run]) -> list[list[Run]]:
    """The runs, together where they differ in T alone (and in what a method chooses for it), in order of T.

    Empty unless every run has a partner: then they are experiments at several horizons.
    """
    from ..evidence.horizons import differences

    groups: list[list[Run]] = []
    for run in runs:
        for group in groups:
            ends = {int(other.steps[-1]) for other in group}
            if int(run.steps[-1]) not in ends and not differences(group[0], run):
                group.append(run)
                break
        else:
            groups.append([run])
    if any(len(group) < 2 for group in groups):
        return []
    return [sorted(group, key=lambda run: int(run.steps[-1])) for group in groups]


def draw_group(
    ax: Axes, group: list[Run], name: str, measure: str, level: float, look: dict[str, Any], x: str
) -> Limits:
    """The mean over replicas after the last iteration of each run, with its interval and the fitted exponent."""
    found = last_values(group, measure, level)
    lost = sum(int(np.sum(run.status != "ok")) for run in group)
    left_out = f" ({lost} diverged left out)" if lost else ""
    sizes = sorted({int(np.sum(run.status == "ok")) for run in group})
    many = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    label = f"{title(name)}: mean of {many} runs{left_out}, {1 - level:.0%} interval{fitted(group, measure, level)}"
    at = positions(group, x)
    ax.plot(at, found.estimate, label=label, **look)
    ax.fill_between(at, np.maximum(found.low, 1e-300), found.high, color=look["color"], alpha=0.25, linewidth=0)
    return found


def last_values(group: list[Run], measure: str, level: float) -> Limits:
    """Mean and t interval after the last iteration of each run, diverged replicas left out."""
    from ..bounds.measures import observe

    limits = []
    for run in group:
        values = np.asarray(observe(measure, run))[run.status == "ok", -1:]
        if values.shape[0] < 2 or not np.isfinite(values).all():
            raise ValueError(f"{run} has no finite {measure!r} in two replicas; expected a run that records it")
        limits.append(t_limits(values, level))
    return Limits(*(np.concatenate(sides) for sides in zip(*limits, strict=True)))


def positions(group: list[Run], x: str) -> np.ndarray:
    """T, or the samples used, at the end of each run."""
    ends = [run.steps[-1] if x == "steps" else np.nanmean(run.samples[:, -1]) for run in group]
    return np.asarray(ends, dtype=np.float64)


def fitted(group: list[Run], measure: str, level: float) -> str:
    """``, T^-0.50`` where the last values follow a power law."""
    from ..evidence.rates import fit_rate

    try:
        fit = fit_rate(group, measure, level)
    except ValueError:
        return ""
    return rf", $T^{{{fit.slope:.2f}}}$"


def draw_claim(
    ax: Axes, group: list[Run], bound: Bound, verdict: Verdict, constants: dict[str, Any], line: dict[str, Any], x: str
) -> list[float]:
    """The bound at each horizon with the constants of that run, the exponent of this line, and the smallest slack."""
    from ..evidence.horizons import claims_at
    from ..evidence.rates import exponent

    values = claims_at(bound, verdict.form or None, group, constants)
    slope = exponent(np.array([run.steps[-1] for run in group], dtype=np.float64), values)
    at = positions(group, x)
    label = rf"{line['label']}, $T^{{{slope:.2f}}}$: slack ×{verdict.slack:.3g}"
    ax.plot(at, values, **(line | {"label": label}))
    return list(values)
