"""Does this run contradict this theorem, and how large an error in the theorem would it have detected?

Hypotheses come first: where one is not met, the inequality is not looked at. Then the bound is evaluated at every
record, and at each one the interval of the measured mean is compared with it; the level is shared among the records
(Bonferroni), so that all intervals hold together. Nothing here simulates.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from ..bounds import symbols as s
from ..bounds.completion import STEP_SIZES
from ..bounds.constants import entry
from ..bounds.iterations import cut, with_schedule
from ..bounds.measures import MEASURES, observe
from ..bounds.theorem import Bound
from ..intervals import Limits, bounded_limits, checked_level, quantile_limits, t_limits
from ..records import FloatArray, Run, TermCheck, Verdict
from .horizons import checked_runs
from .hypotheses import ROUNDING, applicable, known_constants, measured_range, resolution, unmet
from .rates import NotAPowerLaw, RateFit, fit_rate

__all__ = ["NotAPowerLaw", "RateFit", "fit_rate", "known_constants", "measured_range", "unmet", "verify"]

INTERVALS = ("auto", "t", "bounded")
EQUALITY_REPLICAS = 4000
EQUALITY_RECORDS = 5
#: Constants whose vanishing may be what makes a single term vanish, in the order in which they are tried.
_CAUSES = ("sigma", "eps", "rho", "G_star", "L", "L0", "Delta", "R", "G")


class _Claim(NamedTuple):
    """A bound, evaluated at every record of a run that is looked at, and what was measured there."""

    bound: Bound
    form: str
    run: Run
    records: np.ndarray
    constants: list[dict[str, Any]]
    values: FloatArray

    @property
    def measured(self) -> FloatArray:
        """The statistic, ``(replicas, records)``."""
        return np.asarray(observe(self.bound.measure, self.run), dtype=np.float64)[:, self.records]

    @property
    def steps(self) -> np.ndarray:
        """T at each record."""
        return self.run.steps[self.records]


class _NoClaim(ValueError):
    """The bound is not a number, so nothing can be compared with it."""


def verify(
    bound: Bound,
    run: Run | Iterable[Run],
    level: float = 1e-3,
    form: str | None = None,
    interval: str = "auto",
    **constants: Any,
) -> Verdict:
    """Compare a theorem with a run, or with runs at several horizons.

    Parameters
    ----------
    bound : Bound
    run : Run, or several that differ in T and in what the method chooses for T (step size, batch, epsilon)
        A claim about every T is looked at at every record, a claim about the horizon (``Bound(horizon=True)``) at the
        last record of each run.
    level : float
        Probability of a false "violated", over all records and runs together.
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
        Records where a condition on T does not hold are left out, and those at which a lower bound claims nothing (0).

    Raises
    ------
    ValueError
        A level outside (0, 1), an unknown form or interval, "bounded" where no range is known, a constant that is no
        usable number, runs that differ in more than T.

    Examples
    --------
    A claim that the gap after T iterations is at most 2/T, and two replicas where it is 1/T:

    >>> from anisotropic.bounds.symbols import T
    >>> from anisotropic.records import Facts
    >>> claim = Bound("mine", "gap", "upper", {"bias": 2 / T})
    >>> run = Run(steps=np.array([10, 100]), start=np.zeros(1), statistics={"gap": np.array([[0.1, 0.01]] * 2)},
    ...           status=np.array(["ok", "ok"]), initial_gap=1.0, facts=Facts(law="none"))
    >>> print(verify(claim, run))
    mine (simple): not contradicted
      gap after 10 iterations: 0.1 in [0.1, 0.1] (exact; level 0.001, 2 replicas)
      claim <= 0.2, slack 2, power 2: an error in the constant by a factor over 2
        would be seen
        bias                    0.2  100.0%   tested
    """
    if not isinstance(bound, Bound):
        hint = f"write an.bounds.{bound}" if isinstance(bound, str) else "expected one such as an.bounds.convex_sgd"
        raise TypeError(f"{bound!r} is not a Bound; {hint}")
    level = checked_level(level)
    if interval not in INTERVALS:
        raise ValueError(f"interval = {interval!r}; expected one of {', '.join(map(repr, INTERVALS))}")
    if form is not None and form not in bound.forms:
        raise ValueError(f"{bound.name} has no form {form!r}; it has {', '.join(bound.forms)}")
    runs = checked_runs(run)
    for name, value in constants.items():
        if name in bound.constants and value is not None and name != "schedule":
            entry(name, value)
    known = [known_constants(bound, one) | constants for one in runs]
    if "schedule" in constants:
        known = [with_schedule(bound.constants, one) for one in known]
    replicas = min(one.replicas for one in runs)
    noisy = any(one.facts.law != "none" for one in runs)

    def answer(status: str, reason: str = "", **found: Any) -> Verdict:
        return Verdict(status, bound.name, bound.measure, bound.kind, reason=reason, level=level, replicas=replicas,
                       **found)  # fmt: skip

    missed = list(dict.fromkeys(x for one, c in zip(runs, known, strict=True) for x in unmet(bound, one, c, form)))
    if missed:
        return answer("not applicable", "; ".join(missed), conditions=tuple(missed))
    try:
        claims = _claims(bound, runs, known, form)
    except ValueError as error:
        return answer("not applicable", str(error), conditions=(str(error),))
    if replicas < 2 and noisy:
        return answer("inconclusive", "a confidence interval needs at least 2 replicas", form=claims[0].form)
    if bound.kind == "equality" and replicas < EQUALITY_REPLICAS and noisy:
        return answer(
            "inconclusive",
            f"an equality is judged on at least {EQUALITY_REPLICAS:,} replicas, since skewed gaps mislead with fewer; "
            f"this run has {replicas:,}",
            form=claims[0].form,
        )
    return answer(**_judge(claims, level, interval))


def _claims(bound: Bound, runs: list[Run], known: list[dict[str, Any]], form: str | None) -> list[_Claim]:
    """The claim of the theorem on every run, in the form asked for or the one that is tightest at the last horizon."""
    open_to = [applicable(bound, run, c, form) for run, c in zip(runs, known, strict=True)]
    shared = [f for f in bound.forms if all(f in records for records in open_to)]
    if not shared:
        raise _NoClaim(f"no form of {bound.name} applies to all of these runs; verify them one by one")
    last, at = runs[-1], open_to[-1]
    values: dict[str, float] = {}
    refused: ValueError | None = None
    for name in reversed(shared):
        try:
            values[name] = bound(form=name, **cut(known[-1], last.steps[at[name][-1]]))
        except ValueError as error:
            refused = error
    if not values:
        raise refused or _NoClaim(f"{bound.name} has no value")
    numbers = {name: v for name, v in values.items() if np.isfinite(v)} or values
    chosen = (max if bound.kind == "lower" else min)(numbers, key=lambda name: numbers[name])
    return [
        _claim(bound, chosen, run, records[chosen], c, len(runs))
        for run, records, c in zip(runs, open_to, known, strict=True)
    ]


def _claim(bound: Bound, form: str, run: Run, records: np.ndarray, known: dict[str, Any], runs: int) -> _Claim:
    """The claim on one run, at the records where it says something; refuse one that is not a usable number."""
    most = max(1, EQUALITY_RECORDS // runs)
    if bound.kind == "equality" and records.size > most:
        shares = np.arange(1, most + 1) / most
        records = records[np.unique(np.round(shares * (records.size - 1)).astype(int))]
    at = [cut(known, run.steps[k]) for k in records]
    values = np.array([bound(form=form, **c) for c in at])
    if bound.kind == "lower" and bound.measure in MEASURES and (empty := values <= 0).any():
        if empty.all():
            raise _NoClaim(
                f"the bound (form {form}) is not above zero at any T looked at, and the quantity is never below zero, "
                "so it claims nothing that could be compared"
            )
        records, at, values = records[~empty], [c for c, no in zip(at, empty, strict=True) if not no], values[~empty]
    for odd, word in ((np.isnan(values), "NaN"), (values < 0, "negative"), (np.isinf(values), "infinite")):
        if word == "negative" and bound.measure not in MEASURES:
            continue
        if word == "infinite" and bound.kind == "upper" and not odd.all():
            records, at, values = records[~odd], [c for c, no in zip(at, odd, strict=True) if not no], values[~odd]
        elif odd.any():
            k = int(np.argmax(odd))
            raise _NoClaim(
                f"the bound (form {form}) is {word} at T = {at[k]['T']:,}"
                + (f" ({values[k]:.4g}, for a quantity that is never below zero)" if word == "negative" else "")
                + ", so it claims nothing that could be compared"
            )
    return _Claim(bound, form, run, records, at, values)


def _judge(claims: list[_Claim], level: float, interval: str) -> dict[str, Any]:
    """Fields of a verdict on claims whose hypotheses hold."""
    bound, kind = claims[0].bound, claims[0].bound.kind
    count = sum(claim.records.size for claim in claims)
    pieces = [_limits(claim, level / count, interval) for claim in claims]
    limits = Limits(*(np.concatenate(sides) for sides in zip(*(piece for piece, _ in pieces), strict=True)))
    guarantee = [name for _, names in pieces for name in names]
    values = np.concatenate([claim.values for claim in claims])
    steps = np.concatenate([claim.steps for claim in claims])
    owner = np.repeat(np.arange(len(claims)), [claim.records.size for claim in claims])
    fuzz = np.concatenate([np.full(c.records.size, resolution(c.run, observe(bound.measure, c.run))) for c in claims])
    exceeded = limits.low > values * (1 + ROUNDING) + fuzz
    undercut = limits.high < values * (1 - ROUNDING) - fuzz
    with np.errstate(divide="ignore", invalid="ignore"):
        slacks = limits.estimate / values if kind == "lower" else values / limits.estimate
        slacks = np.where(limits.estimate == values, 1.0, slacks)
        tension = -slacks
        if kind == "equality":
            tension = np.nan_to_num(np.maximum(limits.low - values, values - limits.high) / values, nan=0.0)
    if kind == "upper":
        wrong, fine = exceeded, limits.high <= values * (1 + ROUNDING) + fuzz
    elif kind == "lower":
        wrong, fine = undercut, limits.low >= values * (1 - ROUNDING) - fuzz
    else:
        wrong, fine = exceeded | undercut, ~(exceeded | undercut)
    status = "violated" if wrong.any() else "not contradicted" if fine.all() else "inconclusive"
    telling = wrong if wrong.any() else ~fine if not fine.all() else np.ones_like(fine)
    k = int(np.argmax(np.where(telling, tension, -np.inf)))
    reason = ""
    if status == "violated":
        reason = _lost(claims)
        last = np.isin(np.arange(count), np.cumsum([c.records.size for c in claims]) - 1)
        if not (wrong & last).any() and names_no_step_size(bound) and not reason:
            status = "inconclusive"
            reason = (
                f"it fails at {int(wrong.sum())} early T but not at T = N, and it names no step size: if that is "
                "chosen for the horizon, make the bound with horizon=True; if the claim is about every T, with "
                "horizon=False"
            )
    elif status == "inconclusive":
        reason = (
            f"the confidence interval contains the bound at {int(np.sum(~fine))} of {fine.size} records; take more "
            "replicas"
        )
    low, high, value = float(limits.low[k]), float(limits.high[k]), float(values[k])
    if kind == "lower":
        power = high / value if value > 0 else np.inf
    else:
        power = value / low if low > 0 else np.inf
    over = value / high if undercut[k] and kind != "upper" else low / value if value > 0 else np.inf
    claim = claims[owner[k]]
    return {
        "status": status,
        "reason": reason,
        "form": claim.form,
        "statistic": f"{1 - claim.constants[0]['delta']:g} quantile" if bound.probability else "mean",
        "estimate": float(limits.estimate[k]),
        "interval": (low, high),
        "interval_kind": guarantee[k],
        "bound": value,
        "slack": float(slacks[k]),
        "power": float(power),
        "excess": float(over) if status == "violated" else np.nan,
        "record": int(np.concatenate([c.records for c in claims])[k]),
        "steps": int(steps[k]),
        "slacks": tuple(float(x) for x in slacks),
        "horizons": tuple(int(t) for t in steps),
        "runs": len(claims),
        "terms": () if kind == "lower" else _terms(claims, limits, k),
    }


def names_no_step_size(bound: Bound) -> bool:
    """Whether a bound may be one for a step size chosen for the horizon, though it does not say so."""
    return bound.horizon is None and s.T in bound.symbols and not bound.symbols & STEP_SIZES


def _lost(claims: list[_Claim]) -> str:
    """The sentence on diverged replicas, if there are any."""
    lost = sum(int(np.sum(np.isnan(claim.measured).any(axis=1))) for claim in claims)
    whole = sum(claim.run.replicas for claim in claims)
    return f"{lost} of {whole} replicas diverged, with every hypothesis met" if lost else ""


def _limits(claim: _Claim, level: float, interval: str) -> tuple[Limits, list[str]]:
    """Limits at every record and the name of their guarantee; a diverged replica counts as infinite."""
    bound, run, count, values = claim.bound, claim.run, claim.records.size, claim.measured
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


def _terms(claims: list[_Claim], limits: Limits, k: int) -> tuple[TermCheck, ...]:
    """Each term at record k of all, and whether the verdict would be "violated" without it."""
    bound, form = claims[0].bound, claims[0].form
    parts = [[bound.terms(form, **c) for c in claim.constants] for claim in claims]
    here = [p for of_run in parts for p in of_run][k]
    whole = sum(here.values())
    checks = []
    for name, value in here.items():
        without = np.concatenate([_without(claim, name, of_run) for claim, of_run in zip(claims, parts, strict=True)])
        exercised = limits.low > without * (1 + ROUNDING)
        if bound.kind == "equality":
            exercised |= limits.high < without * (1 - ROUNDING)
        share = value / whole if whole else np.nan
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
