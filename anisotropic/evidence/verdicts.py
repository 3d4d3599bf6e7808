"""Does this run contradict this theorem, and which errors in the theorem would it have noticed?

Hypotheses come first: where one is not met, the inequality is not looked at. Then the bound is evaluated at every
record, and at each one the interval of the measured mean is compared with it; the level is shared among the records
(Bonferroni), so that all intervals hold together. Nothing here simulates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..bounds.constants import KNOWN
from ..bounds.measures import observe
from ..bounds.theorem import Bound
from ..intervals import Limits, bounded_limits, checked_level, quantile_limits, t_limits
from ..records import FloatArray, Run, TermCheck, Verdict
from .rates import NotAPowerLaw, RateFit, fit_rate

__all__ = ["NotAPowerLaw", "RateFit", "fit_rate", "known_constants", "measured_range", "unmet", "verify"]

INTERVALS = ("auto", "t", "bounded")
EQUALITY_REPLICAS = 4000
EQUALITY_RECORDS = 5
#: Relative error that floating-point sums may have; a claim is not refuted by less.
ROUNDING = 1e-10

_MEANINGS = {
    "L": "smoothness",
    "sigma": "noise level",
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
}
#: Constants whose vanishing may be what makes a single term vanish, in the order in which they are tried.
_CAUSES = ("sigma", "eps", "rho", "G_star", "L", "L0", "Delta", "R", "G")


class _Claim(NamedTuple):
    """A bound, evaluated at every record that is looked at."""

    bound: Bound
    form: str
    records: np.ndarray
    constants: list[dict[str, Any]]
    values: FloatArray


def verify(
    bound: Bound, run: Run, level: float = 1e-3, form: str | None = None, interval: str = "auto", **constants: Any
) -> Verdict:
    """Compare a theorem with a run.

    Parameters
    ----------
    bound : Bound
    run : Run
    level : float
        Probability of a false "violated", over all records together.
    form : str or None
        Form of the bound; None takes the tightest that the known constants allow.
    interval : "auto", "t" or "bounded"
        "bounded" limits hold for every number of replicas but need a box; "t" limits are asymptotic. "auto" takes for
        each limit the bounded one where it decides the comparison, else the asymptotic one, which lies inside it.
    **constants
        Constants that a run cannot know, such as delta, or those of your own bound.

    Returns
    -------
    Verdict
        "violated": a lower limit exceeds the bound, or a replica diverged although every hypothesis holds.
        "not contradicted": every upper limit is below the bound. "inconclusive": neither. "not applicable": a
        hypothesis is not met, and `conditions` lists all such. Mirrored for a lower bound; an equality is compared on
        both sides, with at least 4,000 replicas and at 5 records, since a skewed gap misleads otherwise. A bound that
        holds with probability 1 - delta is compared with the (1 - delta) quantile over replicas, by Clopper-Pearson.

    Raises
    ------
    ValueError
        A level outside (0, 1), an unknown form or interval, "bounded" where no range is known.

    Examples
    --------
    A claim that the gap after T steps is at most 2/T, and two replicas where it is 1/T:

    >>> from anisotropic.bounds.symbols import T
    >>> from anisotropic.records import Facts
    >>> claim = Bound("mine", "gap", "upper", {"bias": 2 / T})
    >>> run = Run(steps=np.array([10, 100]), start=np.zeros(1), statistics={"gap": np.array([[0.1, 0.01]] * 2)},
    ...           status=np.array(["ok", "ok"]), initial_gap=1.0, facts=Facts(law="none"))
    >>> print(verify(claim, run))
    mine (simple): not contradicted
      gap after 10 steps: 0.1 in [0.1, 0.1] (exact; level 0.001, 2 replicas)
      claim <= 0.2, slack 2, power 2: an error in the constant by a factor over 2
        would be seen
        bias                    0.2  100.0%   tested
    """
    level = checked_level(level)
    if interval not in INTERVALS:
        raise ValueError(f"interval = {interval!r}; expected one of {', '.join(map(repr, INTERVALS))}")
    if form is not None and form not in bound.forms:
        raise ValueError(f"{bound.name} has no form {form!r}; it has {', '.join(bound.forms)}")
    known = known_constants(bound, run) | constants

    def answer(status: str, reason: str = "", **found: Any) -> Verdict:
        return Verdict(
            status, bound.name, bound.measure, bound.kind, reason=reason, level=level, replicas=run.replicas, **found
        )

    missed = unmet(bound, run, known)
    if missed:
        return answer("not applicable", "; ".join(missed), conditions=tuple(missed))
    try:
        claim = _evaluated(bound, run, known, form)
    except ValueError as error:
        return answer("not applicable", str(error), conditions=(str(error),))
    values = np.asarray(observe(bound.measure, run), dtype=np.float64)[:, claim.records]
    if run.replicas < 2 and run.facts.law != "none":
        return answer("inconclusive", "one replica has no interval; simulate at least 2", form=claim.form)
    if bound.kind == "equality" and run.replicas < EQUALITY_REPLICAS and run.facts.law != "none":
        return answer(
            "inconclusive",
            f"an equality is judged on at least {EQUALITY_REPLICAS:,} replicas, since skewed gaps mislead with fewer; "
            f"this run has {run.replicas:,}",
            form=claim.form,
        )
    return answer(**_judge(claim, run, values, level, interval))


def known_constants(bound: Bound, run: Run) -> dict[str, Any]:
    """What the run knows under the names that bounds use."""
    usable = {*KNOWN, *bound.constants}
    found = {k: v for k, v in run.constants().items() if v is not None and k in usable}
    return found | {"d": run.start.size, "T": int(run.steps[-1])}


def unmet(bound: Bound, run: Run, known: Mapping[str, Any]) -> list[str]:
    """Every hypothesis that is not met, as sentences."""
    found = list(bound.requires.unmet(run.facts))
    found += dict.fromkeys(f"{_MEANINGS.get(n, n)} unknown" for n in bound.missing(**known))
    found += bound.broken_conditions(**known)
    try:
        values = np.asarray(observe(bound.measure, run))
    except KeyError as error:
        return [*found, f"{error.args[0]}; record it with measures="]
    if np.isnan(values[run.status == "ok"]).any():
        gap = run.statistics.get("gap", values)
        cause = "the minimum of the objective is unknown" if np.isnan(gap).all() else "running means were switched off"
        found.append(f"{cause}, so {bound.measure} is not measured")
    support = measured_range(bound.measure, run)
    if support is not None and np.nanmax(values) > support[1] * (1 + ROUNDING):
        found.append(
            f"{bound.measure} reaches {np.nanmax(values):.4g}, where smoothness and box allow {support[1]:.4g}: "
            "the constants of this objective are not certified"
        )
    return found


def _evaluated(bound: Bound, run: Run, known: Mapping[str, Any], form: str | None) -> _Claim:
    """The claim of the theorem at every record, in the form asked for or the tightest one."""
    records = np.arange(run.steps.size)
    if bound.kind == "equality" and records.size > EQUALITY_RECORDS:
        shares = np.arange(1, EQUALITY_RECORDS + 1) / EQUALITY_RECORDS
        records = np.unique(np.round(shares * (records.size - 1)).astype(int))
    at = [dict(known) | {"T": int(run.steps[k])} for k in records]
    chosen = form or bound.tightest(**at[-1]).form
    return _Claim(bound, chosen, records, at, np.array([bound(form=chosen, **c) for c in at]))


def _judge(claim: _Claim, run: Run, values: FloatArray, level: float, interval: str) -> dict[str, Any]:
    """Fields of a verdict from the measured values, ``(replicas, records)``, of a claim whose hypotheses hold."""
    kind = claim.bound.kind
    limits, guarantee = _limits(claim, run, values, level / claim.records.size, interval)
    low_claim, high_claim = claim.values * (1 - ROUNDING), claim.values * (1 + ROUNDING)
    exceeded = limits.low > high_claim
    undercut = limits.high < low_claim
    with np.errstate(divide="ignore", invalid="ignore"):
        slacks = limits.estimate / claim.values if kind == "lower" else claim.values / limits.estimate
        slacks = np.where(limits.estimate == claim.values, 1.0, slacks)
    if kind == "upper":
        wrong, fine, tension = exceeded, limits.high <= high_claim, -slacks
    elif kind == "lower":
        wrong, fine, tension = undercut, limits.low >= low_claim, -slacks
    else:
        wrong, fine = exceeded | undercut, ~(exceeded | undercut)
        tension = np.maximum(limits.low - claim.values, claim.values - limits.high) / claim.values
    status = "violated" if wrong.any() else "not contradicted" if fine.all() else "inconclusive"
    telling = wrong if wrong.any() else ~fine if not fine.all() else np.ones_like(fine)
    tension = np.where(telling, tension, -np.inf)
    k = int(np.argmax(tension))
    lost = int(np.sum(np.isnan(values).any(axis=1)))
    reason = f"{lost} of {run.replicas} replicas diverged, with every hypothesis met" if lost and wrong.any() else ""
    if status == "inconclusive":
        reason = f"the interval holds the claim at {int(np.sum(~fine))} of {fine.size} records; take more replicas"
    low, high = float(limits.low[k]), float(limits.high[k])
    if kind == "lower":
        power = high / claim.values[k] if claim.values[k] > 0 else np.inf
    else:
        power = claim.values[k] / low if low > 0 else np.inf
    return {
        "status": status,
        "reason": reason,
        "form": claim.form,
        "statistic": f"{1 - claim.constants[0]['delta']:g} quantile" if claim.bound.probability else "mean",
        "estimate": float(limits.estimate[k]),
        "interval": (low, high),
        "interval_kind": guarantee[k],
        "bound": float(claim.values[k]),
        "slack": float(slacks[k]),
        "power": float(power),
        "record": int(claim.records[k]),
        "steps": int(run.steps[claim.records[k]]),
        "slacks": tuple(float(s) for s in slacks),
        "terms": () if kind == "lower" else _terms(claim, limits, k),
    }


def _limits(claim: _Claim, run: Run, values: FloatArray, level: float, interval: str) -> tuple[Limits, list[str]]:
    """Limits at every record and the name of their guarantee; a diverged replica counts as infinite."""
    bound, count = claim.bound, claim.records.size
    filled = np.where(np.isnan(values), np.inf, values)
    if bound.probability:
        delta = float(claim.constants[0]["delta"])
        return quantile_limits(filled, 1 - delta, level), ["Clopper-Pearson"] * count
    whole = np.isfinite(filled).all(axis=0)
    if run.facts.law == "none":
        mean = filled.mean(axis=0)
        return Limits(mean, mean, mean), ["exact"] * count
    finite = np.where(whole, filled, 0.0)
    asymptotic = Limits(*(np.where(whole, side, np.inf) for side in t_limits(finite, level)))
    support = measured_range(bound.measure, run)
    if interval == "bounded" and support is None:
        raise ValueError(
            f"no range of {bound.measure} is known for this run, so it has no finite-sample interval; "
            'give the objective a box, or pass interval="t"'
        )
    if interval == "t" or support is None or not whole.all() or (interval == "auto" and bound.kind == "equality"):
        return asymptotic, ["t"] * count
    finite_sample = bounded_limits(finite, level, support)
    if interval == "bounded":
        return finite_sample, ["bounded"] * count
    below, above = finite_sample.low > claim.values, finite_sample.high < claim.values
    names = {(True, True): "bounded", (False, False): "t", (False, True): "bounded above, t below"}
    names[True, False] = "bounded below, t above"
    return (
        Limits(
            asymptotic.estimate,
            np.where(below, finite_sample.low, asymptotic.low),
            np.where(above, finite_sample.high, asymptotic.high),
        ),
        [names[bool(b), bool(a)] for b, a in zip(below, above, strict=True)],
    )


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


def _terms(claim: _Claim, limits: Limits, k: int) -> tuple[TermCheck, ...]:
    """Each term at record k, and whether the verdict would be "violated" without it."""
    parts = [claim.bound.terms(claim.form, **c) for c in claim.constants]
    checks = []
    for name, value in parts[k].items():
        without = _without(claim, name, parts)
        exercised = limits.low > without * (1 + ROUNDING)
        if claim.bound.kind == "equality":
            exercised |= limits.high < without * (1 - ROUNDING)
        share = value / claim.values[k] if claim.values[k] else np.nan
        checks.append(TermCheck(name, float(value), float(share), bool(exercised.any())))
    return tuple(checks)


def _without(claim: _Claim, term: str, parts: list[dict[str, float]]) -> FloatArray:
    """The bound at every record without one term: what a theorem that forgot its cause would claim.

    The cause is the constant whose vanishing makes this term vanish and no other: sigma for a noise term. In an
    additive form that leaves the other terms as they are; in a form that is solved for, a term lives on inside the
    others, and setting its cause to zero takes it out of them too. Without such a constant the term is taken off.
    """
    cause = _cause(claim, term, parts[-1])
    if cause is None:
        return np.array([sum(v for k, v in p.items() if k != term) for p in parts])
    nothing = np.zeros_like(claim.constants[-1][cause], dtype=float)
    return np.array([claim.bound(form=claim.form, **c | {cause: nothing}) for c in claim.constants])


def _cause(claim: _Claim, term: str, parts: dict[str, float]) -> str | None:
    constants = claim.constants[-1]
    others = [k for k in parts if k != term and parts[k] > 0]
    for name in _CAUSES:
        if name not in claim.bound.constants or constants.get(name) is None or not np.any(constants[name]):
            continue
        try:
            left = claim.bound.terms(claim.form, **constants | {name: np.zeros_like(constants[name], dtype=float)})
        except (ValueError, ZeroDivisionError):
            continue
        if left[term] == 0 and all(left[k] > 0 for k in others):
            return name
    return None
