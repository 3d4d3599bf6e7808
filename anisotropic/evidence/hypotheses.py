"""May this run be held against this theorem? What the run knows, and every reason why it says nothing.

Nothing is guessed in favor of a comparison: a constant is certified by the run, passed by the reader, or unknown.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from ..bounds import symbols as s
from ..bounds.constants import KNOWN, scalar_from_coordinates
from ..bounds.iterations import cut
from ..bounds.measures import MEASURES, observe
from ..bounds.theorem import Bound
from ..records import FloatArray, Run

#: Relative error that floating-point sums may have; a claim is not refuted by less.
ROUNDING = 1e-10
#: What double precision resolves, in units of the value at the start: iterates stall at the last digit of their center.
RESOLUTION = 1e-12

_MEANINGS = {
    "L": "smoothness",
    "sigma": "noise level",
    "rho": "relative noise",
    "D": "box",
    "R": "distance of the start from a minimizer",
    "G": "gradient bound",
    "G_star": "gradient at the minimizer",
    "L0": "generalized smoothness",
    "L1": "generalized smoothness",
    "Delta": "initial gap",
    "mu": "Polyak-Lojasiewicz constant",
    "M": "batch size",
    "step_size": "step_size",
    "eps": "epsilon",
}
#: Update rules without an epsilon: for them, and them alone, an epsilon that is not known is zero.
_WITHOUT_EPS = ("sgd", "heavy_ball", "nesterov", "sign_sgd", "signum", "lion")


def known_constants(bound: Bound, run: Run) -> dict[str, Any]:
    """What the run knows under the names that bounds use.

    A constant with one number per coordinate is left out where the bound takes it for a single number.
    """
    singles = {x.name for x in bound.symbols if not isinstance(x, s.Coordinate)} if run.start.size > 1 else set()
    refused = {n for n in singles if n in KNOWN and KNOWN[n].per_coordinate}
    usable = {*KNOWN, *bound.constants} - refused
    found = {k: v for k, v in run.constants().items() if v is not None and k in usable}
    if "schedule" not in bound.constants and found.pop("schedule", None) is not None:
        found.pop("step_size", None)  # it is that of no iteration
    if "schedule" in bound.constants and run.facts.schedule == "constant":
        found["schedule"] = np.ones(int(run.steps[-1]))
    return found | {"d": run.start.size, "T": int(run.steps[-1])}


def lacking(bound: Bound, form: str, known: Mapping[str, Any], run: Run) -> list[str]:
    """Names of constants that a form or its conditions use and nobody knows.

    The theorem's own step size never stands in for the run's, and a default never for a fact about the run.
    """
    used = set(bound.summands[form].needs).union(*(c.free_symbols for c in bound.conditions_of(form)))
    names = bound.missing(form, **known) + _unstated_step_size(s.names(used), known)
    if "rho" in s.names(used) and not {"rho", "sigma"} & {*known, *names} and run.facts.law != "none":
        names.append("rho")
    if "eps" in s.names(used) and "eps" not in known and run.facts.optimizer not in _WITHOUT_EPS:
        names.append("eps")
    return list(dict.fromkeys(names))


def _unstated_step_size(used: Collection[str], known: Mapping[str, Any]) -> list[str]:
    if "schedule" in used:
        return [] if "schedule" in known else ["schedule"]
    return ["step_size"] if "step_size" in used and "step_size" not in known else []


def open_records(bound: Bound, form: str, known: Mapping[str, Any], steps: Any) -> tuple[np.ndarray, list[str]]:
    """Indices of the records at which every condition of a form holds, and the broken ones at the last record.

    A theorem on the last iteration alone is looked at there alone.
    """
    chosen = np.arange(len(steps))[-1:] if bound.horizon else np.arange(len(steps))
    try:
        if not any(c.has(s.T) for c in bound.conditions_of(form)):
            found = bound.broken_conditions(form, **known)
            return chosen[:0] if found else chosen, found
        broken = [bound.broken_conditions(form, **cut(known, steps[k])) for k in chosen]
    except ValueError as error:  # a constant that is no usable number
        return chosen[:0], [str(error)]
    return chosen[[not b for b in broken]], broken[-1]


def applicable(bound: Bound, run: Run, known: Mapping[str, Any], form: str | None = None) -> dict[str, np.ndarray]:
    """The forms whose constants are known and whose conditions hold, each with the records where they do."""
    forms = [f for f in ([form] if form else bound.forms) if not lacking(bound, f, known, run)]
    records = {f: open_records(bound, f, known, run.steps)[0] for f in forms}
    return {f: k for f, k in records.items() if k.size}


def unmet(bound: Bound, run: Run, known: Mapping[str, Any], form: str | None = None) -> list[str]:
    """Every hypothesis that is not met, as sentences."""
    found = list(bound.requires.unmet(run.facts)) + _constants(bound, run, known, form)
    try:
        values = np.asarray(observe(bound.measure, run), dtype=np.float64)
    except KeyError as error:
        return [*found, f"{error.args[0]}; record it with measures="]
    return found + _measured(bound.measure, run, values)


def _constants(bound: Bound, run: Run, known: Mapping[str, Any], form: str | None) -> list[str]:
    """What keeps every form from being evaluated: unknown constants, or conditions that do not hold."""
    if applicable(bound, run, known, form):
        return []
    forms = [form] if form else list(bound.forms)
    first = next((f for f in forms if not lacking(bound, f, known, run)), forms[0])
    told = [_unknown(name, run) for name in lacking(bound, first, known, run)]
    return list(dict.fromkeys(told)) + open_records(bound, first, known, run.steps)[1]


def _unknown(name: str, run: Run) -> str:
    if name == "step_size" and run.facts.schedule != "constant":
        return f"the step size follows the schedule {run.facts.schedule!r}, and the theorem is about a constant one"
    if name == "schedule" and run.facts.schedule_watches_loss:
        return f"the step sizes of schedule {run.facts.schedule!r} depend on the loss, so that no vector holds them"
    if name in KNOWN and KNOWN[name].per_coordinate and run.constants().get(name) is not None:
        return scalar_from_coordinates(name)
    return f"{_MEANINGS.get(name, name)} unknown"


def _measured(measure: str, run: Run, values: FloatArray) -> list[str]:
    """What is wrong with the measured numbers themselves."""
    found = []
    sound = values[run.status == "ok"]
    if np.isnan(sound).any():
        gap = run.statistics.get("gap", values)
        cause = "the minimum of the objective is unknown" if np.isnan(gap).all() else "running means were switched off"
        found.append(f"{cause}, so {measure} is not measured")
    lowest = float(np.min(sound[np.isfinite(sound)], initial=np.inf))
    if measure in MEASURES and lowest < -_allowance(run, values):
        found.append(
            f"{measure} falls to {lowest:.4g}, below zero: the minimum that this objective states is not one"
        )
    support = measured_range(measure, run)
    if support is not None and np.nanmax(values) > support[1] * (1 + ROUNDING):
        found.append(
            f"{measure} reaches {np.nanmax(values):.4g}, where smoothness and box allow {support[1]:.4g}: "
            "the constants of this objective are not certified"
        )
    return found


def _allowance(run: Run, values: FloatArray) -> float:
    """How far below zero the rounding of f(w) - f* may carry a gap."""
    level = run.statistics.get("value")
    size = np.abs(level[np.isfinite(level)]).max(initial=0.0) if level is not None else 0.0
    return 10 * RESOLUTION * size + resolution(run, values)


def resolution(run: Run, values: FloatArray) -> float:
    """A size below which differences of this statistic are rounding: a fraction of where it starts."""
    first = np.abs(values[:, 0][np.isfinite(values[:, 0])]).max(initial=0.0)
    start = run.initial_gap if np.isfinite(run.initial_gap) else 0.0
    return RESOLUTION * max(float(first), abs(start))


def measured_range(measure: str, run: Run) -> tuple[float, float] | None:
    r"""Where every value of a statistic lies for certain, or None: it takes a box and a smooth objective.

    With w* the minimizer over the box, stationary where it is "interior": f(w) - f* <= sum_j L_j D_j^2 / 2 by
    smoothness, and \|grad f(w)\| in the norm of 1/L is at most \|w - w*\| in that of L, hence
    sum_j \|f_j\| <= sqrt(sum_j L_j * sum_j L_j D_j^2), and \|grad f\|_2^2 <= max_j L_j * sum_j L_j D_j^2.
    """
    known = run.constants()
    smoothness, width = known.get("L"), known.get("D")
    if smoothness is None or width is None or "interior minimizer" not in run.facts.properties:
        return None
    smoothness, width = np.broadcast_arrays(np.atleast_1d(smoothness), np.atleast_1d(width))
    d = max(int(run.start.size), smoothness.size)
    smoothness, width = np.broadcast_to(smoothness, d), np.broadcast_to(width, d)
    energy = float(np.sum(smoothness * width**2))
    highest = {
        "gap": energy / 2,
        "mean_gap": energy / 2,
        "mean_gap_after": energy / 2,
        "average_gap": energy / 2,
        "gradient_l1": float(np.sqrt(np.sum(smoothness) * energy)),
        "gradient_l2": float(np.sqrt(np.max(smoothness) * energy)),
        "gradient_l2_squared": float(np.max(smoothness) * energy),
        "last_gradient_l2_squared": float(np.max(smoothness) * energy),
    }
    return (0.0, highest[measure]) if measure in highest else None
