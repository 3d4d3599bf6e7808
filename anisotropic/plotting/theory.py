"""Does the measured mean respect the bound, and by how much? The picture that belongs to a verdict."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..intervals import Limits, t_limits
from ..records import Run, Verdict
from .figures import DASHES, drawn_in_style, inches, legend_above, method_styles, plain_ticks, title
from .horizons import draw_claim, draw_group, grouped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..bounds import Bound

NAMES = {
    "mean_gap": "mean gap (units of f)",
    "mean_gap_after": "mean gap (units of f)",
    "average_gap": "gap of the average (units of f)",
    "gap": "last gap (units of f)",
    "gradient_l1": r"mean of $\|\nabla f\|_1$ (f per unit of w)",
    "gradient_l2": r"mean of $\|\nabla f\|_2$ (f per unit of w)",
    "gradient_l2_squared": r"mean of $\|\nabla f\|_2^2$ (squared)",
}
#: Points at which a bound is evaluated.
POINTS = 40


@drawn_in_style
def empirical_vs_theory(
    runs: Run | Iterable[Run],
    bounds: Bound | Iterable[Bound],
    *,
    level: float = 0.05,
    x: str = "steps",
    labels: Iterable[str] | None = None,
    ax: Axes | None = None,
    style: str = "column",
    **constants: Any,
) -> Axes:
    """The mean over replicas with its interval, and each bound that applies, against the number of iterations T.

    Measured means are solid lines with markers, bounds are dashed lines without. An arrow marks where a bound is
    closest; its slack there, bound / estimate, stands in the legend. A bound is drawn for the runs to which it applies;
    where it applies to none, the first reason stands below the axis.

    Runs that differ in T alone (and in the step size, batch size or epsilon that a method chooses for T) are one
    experiment at several horizons: one line shows their last values against T, one line the bound at each T, and the
    fitted exponent stands beside that of the bound.

    Parameters
    ----------
    runs : Run or several
        Their mean is drawn with a t interval at each record; diverged replicas are left out, and the legend says so.
    bounds : Bound or several
        In their tightest form, which the legend names where there are several. All bound quantities of one unit.
    level : float
        Probability that the interval misses the mean at one record.
    x : "steps" or "samples"
    labels : one name for each run, optional
        By default the name of the optimizer.
    ax : Axes, optional
    style : "column" or "page"
    **constants
        Constants that a run cannot know, such as delta.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        No run, a run without a finite value of a measure, bounds on quantities of different units, or, over several
        horizons, on different quantities.
    """
    assert ax is not None
    runs = [runs] if isinstance(runs, Run) else list(runs)
    bounds = list(bounds) if isinstance(bounds, Iterable) else [bounds]
    if not runs:
        raise ValueError("no run to draw; expected a Run or a list of them")
    if x not in ("steps", "samples"):
        raise ValueError(f"x = {x!r}; expected 'steps' or 'samples'")
    measures = _measures(bounds)
    groups = grouped(runs)
    if groups:
        return _several_horizons(ax, groups, bounds, measures, level, x, labels, constants)
    return _one_horizon(ax, runs, bounds, measures, level, x, labels, constants)


def _measures(bounds: list[Bound]) -> list[str]:
    """What the bounds speak of; refuse quantities that one axis cannot show."""
    measures = list(dict.fromkeys(b.measure for b in bounds)) or ["mean_gap"]
    units = {NAMES.get(m, m).rpartition("(")[2] for m in measures}
    if len(units) > 1:
        raise ValueError(f"{' and '.join(measures)} have different units; draw one figure for each measure")
    return measures


def _several_horizons(
    ax: Axes, groups: list[list[Run]], bounds: list[Bound], measures: list[str], level: float, x: str,
    labels: Iterable[str] | None, constants: dict[str, Any],
) -> Axes:  # fmt: skip
    """Last values and bounds against T, one line for each method and each of its bounds."""
    from ..evidence.verdicts import verify

    if len(measures) > 1:
        raise ValueError(f"{' and '.join(measures)} over several horizons; draw one figure for each measure")
    names = list(labels) if labels is not None else _labels([group[0] for group in groups])
    if len(names) != len(groups):
        raise ValueError(f"{len(names)} labels for {len(groups)} experiments at several horizons; give one for each")
    looks, heights, notes = method_styles(names), list[float](), list[str]()
    dashes = {id(b): DASHES[k % len(DASHES)] for k, b in enumerate(bounds)}
    for group, name in zip(groups, names, strict=True):
        found = draw_group(ax, group, name, measures[0], level, looks[name] | {"linestyle": "-"}, x)
        heights += list(found.estimate)
        for bound in bounds:
            verdict = verify(bound, group, **constants)
            if verdict.status == "not applicable":
                notes.append(f"{bound.name} does not apply to {title(name)}: {verdict.reason.partition(';')[0]}")
                continue
            label = _named(bound, verdict) if len(groups) == 1 else f"{_named(bound, verdict)}, {title(name)}"
            line = {"color": looks[name]["color"], "linestyle": dashes[id(bound)], "label": label}
            heights += draw_claim(ax, group, bound, verdict, constants, line, x)
    _finish(ax, heights, measures, x, notes)
    return ax


def _named(bound: Bound, verdict: Verdict) -> str:
    """The bound, with its form where it has several."""
    return f"{bound.name} ({verdict.form})" if len(bound.forms) > 1 else bound.name


def _one_horizon(
    ax: Axes, runs: list[Run], bounds: list[Bound], measures: list[str], level: float, x: str,
    labels: Iterable[str] | None, constants: dict[str, Any],
) -> Axes:  # fmt: skip
    """Each run along its records, with the bounds that apply to it."""
    from ..evidence.verdicts import verify

    names = list(labels) if labels is not None else _labels(runs)
    looks = method_styles(names)
    dashes = {id(b): DASHES[k % len(DASHES)] for k, b in enumerate(bounds)}
    reasons: dict[str, list[str]] = {bound.name: [] for bound in bounds}
    heights: list[float] = []
    for run, name in zip(runs, names, strict=True):
        at = _positions(run, x)
        look = looks[name]
        for k, measure in enumerate(measures):
            found = _draw_run(ax, run, measure, at, level, look | _shade(k), _text(run, name, measure, measures, level))
            heights += list(found.estimate)
        for bound in bounds:
            verdict = verify(bound, run, **constants)
            if verdict.status == "not applicable":
                reasons[bound.name].append(verdict.reason.partition(";")[0])
                continue
            label = _named(bound, verdict) if len(runs) == 1 else f"{_named(bound, verdict)}, {title(name)}"
            line = {"color": look["color"], "linestyle": dashes[id(bound)], "label": label}
            heights += _draw_bound(ax, run, bound, verdict, at, constants, line)
    notes = [f"{name} does not apply: {found[0]}" for name, found in reasons.items() if len(found) == len(runs)]
    _finish(ax, heights, measures, x, notes)
    return ax


def _labels(runs: list[Run]) -> list[str]:
    """Optimizer names, with the batch size or a number where two runs share one."""
    names = [(run.facts.optimizer or "run") for run in runs]
    if len(set(names)) < len(names):
        names = [f"{n}, M={run.known['M']:g}" if run.known.get("M") else n for n, run in zip(names, runs, strict=True)]
    return [n if names.count(n) == 1 else f"{n} ({k + 1})" for k, n in enumerate(names)]


def _text(run: Run, name: str, measure: str, measures: list[str], level: float) -> str:
    lost = int(np.sum(run.status != "ok"))
    what = f", {measure}" if len(measures) > 1 else ""
    left_out = f" ({lost} diverged left out)" if lost else ""
    return f"{title(name)}{what}: mean of {run.replicas - lost} runs{left_out}, {1 - level:.0%} interval"


def _shade(k: int) -> dict[str, Any]:
    """The k-th measure of one run: filled markers first, then open ones, then none."""
    return {"linestyle": "-"} | [{}, {"markerfacecolor": "white"}, {"marker": ""}][min(k, 2)]


def _positions(run: Run, x: str) -> np.ndarray:
    return np.asarray(run.steps, dtype=np.float64) if x == "steps" else np.nanmean(run.samples, axis=0)


def _draw_run(
    ax: Axes, run: Run, measure: str, at: np.ndarray, level: float, look: dict[str, Any], label: str
) -> Limits:
    from ..bounds.measures import observe

    values = observe(measure, run)[run.status == "ok"]
    if values.shape[0] < 2 or not np.isfinite(values).any():
        raise ValueError(f"{run} has no finite {measure!r} in two replicas; expected a run that records it")
    found = t_limits(values, level)
    every = max(1, at.size // 12)
    ax.plot(at, found.estimate, label=label, markevery=every, **look)
    ax.fill_between(at, np.maximum(found.low, 1e-300), found.high, color=look["color"], alpha=0.25, linewidth=0)
    return found


def _draw_bound(
    ax: Axes,
    run: Run,
    bound: Bound,
    verdict: Verdict,
    at: np.ndarray,
    constants: dict[str, Any],
    line: dict[str, Any],
) -> list[float]:
    from ..bounds.iterations import cut
    from ..evidence.hypotheses import known_constants

    judged = np.flatnonzero(np.isin(run.steps, verdict.horizons)) if verdict.horizons else np.arange(at.size)
    chosen = judged[np.unique(np.linspace(0, judged.size - 1, POINTS).astype(int))]
    chosen = np.unique(np.append(chosen, max(verdict.record, 0)))
    known = known_constants(bound, run) | constants
    values = np.array([bound(verdict.form or None, **cut(known, run.steps[k])) for k in chosen])
    word = {"lower": " (lower bound)", "equality": " (equality)"}.get(bound.kind, "")
    line = line | {"marker": "_", "markersize": 14} if chosen.size == 1 else line
    ax.plot(at[chosen], values, **(line | {"label": f"{line['label']}{word}: slack ×{verdict.slack:.3g}"}))
    if bound.kind != "equality" and np.isfinite(verdict.estimate) and verdict.estimate > 0 and verdict.record >= 0:
        place, ends = at[verdict.record], (verdict.estimate, verdict.bound)
        if abs(np.log(ends[1] / ends[0])) > 0.25:
            arrow = {"arrowstyle": "<->", "color": line["color"], "shrinkA": 0, "shrinkB": 0, "linewidth": 0.8}
            ax.annotate("", (place, ends[1]), (place, ends[0]), arrowprops=arrow)
    return list(values)


def _finish(ax: Axes, heights: list[float], measures: list[str], x: str, notes: list[str]) -> None:
    positive = np.array([h for h in heights if np.isfinite(h) and h > 0])
    ax.set_xscale("log")
    ax.set_yscale("log", nonpositive="clip")
    if positive.size:
        ax.set_ylim(positive.min() / 1.6, positive.max() * 1.6)
    plain_ticks(ax.xaxis)
    plain_ticks(ax.yaxis)
    ax.set_xlabel("iterations T" if x == "steps" else "samples M T")
    ax.set_ylabel(NAMES.get(measures[0], measures[0]) if len(measures) == 1 else "measures, see the legend")
    if notes:
        told = "\n".join(line for note in notes for line in textwrap.wrap(note, int(18 * inches(ax))))
        ax.annotate(
            told, (0, 0), (0, -28), xycoords="axes fraction", textcoords="offset points", va="top", fontsize="x-small"
        )
    legend_above(ax)
