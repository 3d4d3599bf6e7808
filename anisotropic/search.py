"""On which instance is a bound tightest, or false? And which of its terms does any instance need?

Differential evolution maximises measured / bound over a family of instances inside the assumptions. All candidates
share their random numbers; the best few are compared again on a second seed, and the winner is measured on a third, so
that the ratio reported is not the luck of the search.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import bounds
from .bounds.measures import observe
from .bounds.theorem import Bound
from .instances import HUBER, Family, Instance, instance_from, load_instance
from .intervals import Interval, Limits, quantile_limits, t_limits
from .records import FloatArray, Run, count
from .verify import known_constants, tightest, unmet

__all__ = ["Instance", "TermNeed", "WorstCase", "load_instance", "mutation_table", "search_worst_case"]

POPULATION = 24
FINALISTS = 6
REPLICAS = 256
FINAL_REPLICAS = 16_384
#: Level of the limits that guide the search: with the mean alone it would chase rare events of skewed noise.
CAUTION = 0.01
NOTHING = -1e6
EVERYTHING = 1e6


class WorstCase(NamedTuple):
    """The instance found, measured / bound on fresh random numbers (above 1: the bound is false), and its interval."""

    instance: Instance
    ratio: float
    interval: Interval


class TermNeed(NamedTuple):
    """How much of a term any instance found needs: the bound with `factor` times the term is not contradicted by it.

    `factor` is 0 where no instance found needs the term. `level` is that of the interval behind it.
    """

    bound: str
    form: str
    term: str
    factor: float
    level: float
    instance: Instance | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return self._asdict() | {"instance": self.instance.to_dict() if self.instance else None}


class NoInstance(ValueError):
    """No instance tried lies inside the hypotheses."""


class _Score(NamedTuple):
    """A lower limit to maximise, the horizon at which it is reached, and estimate, lower and upper limit there."""

    value: float
    steps: int
    limits: tuple[float, float, float]


def _scores(
    bound: Bound, run: Run, constants: Mapping[str, Any], terms: Iterable[str], level: float
) -> dict[str, _Score]:
    """For "" measured / bound, for a term the factor it needs: the record with the largest lower limit."""
    known = known_constants(bound, run) | dict(constants)
    if unmet(bound, run, known):
        return {term: _Score(NOTHING, 0, (NOTHING,) * 3) for term in terms}
    values = np.asarray(observe(bound.measure, run), dtype=np.float64)
    at = [known | {"T": int(t)} for t in run.steps]
    form = tightest(bound, at[-1])
    parts = [bound.terms(form, **c) for c in at]
    whole = np.isfinite(values).all(axis=0)
    limits = _limits(bound, np.where(whole, values, 0.0), known, run, level)
    found = {}
    for term in terms:
        scaled = [np.where(whole, _scaled(side, parts, bound.kind, term), EVERYTHING) for side in limits]
        k = int(np.argmax(scaled[1]))
        estimate, low, high = (float(side[k]) for side in scaled)
        found[term] = _Score(low, int(run.steps[k]), (estimate, low, high))
    return found


def _measured(instance: Instance, terms: Iterable[str], replicas: int, seed: int, level: float) -> dict[str, _Score]:
    run = instance(replicas=replicas, seed=seed)
    return _scores(instance.bound, run, instance.setup().constants, terms, level)


def _limits(bound: Bound, values: FloatArray, known: dict[str, Any], run: Run, level: float) -> Limits:
    if bound.probability:
        return quantile_limits(values, 1 - known["delta"], level)
    if run.facts.get("law") == "none" or run.replicas < 2:
        mean = values.mean(axis=0)
        return Limits(mean, mean, mean)
    limits = t_limits(values, level)
    return Limits(limits.estimate, limits.high, limits.low) if bound.kind == "lower" else limits


def _scaled(side: FloatArray, parts: list[dict[str, float]], kind: str, term: str) -> FloatArray:
    """measured / bound, or the factor of `term` at which the bound equals what was measured."""
    claims = np.array([sum(p.values()) for p in parts])
    if not term:
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = claims / side if kind == "lower" else side / claims
        return np.where(np.isfinite(ratio), ratio, NOTHING)
    part = np.array([p.get(term, 0.0) for p in parts])
    large = part > 1e-6 * claims
    return np.where(large, 1 - (claims - side) / np.where(large, part, 1.0), NOTHING)


def _searched(bound: Bound, family: Family, budget: int, seed: int, term: str) -> Instance:
    """The best instance of a search on `seed`, among the finalists compared again on the next seed."""
    from scipy.optimize import differential_evolution

    axes = family.axes(bound)
    names = list(axes)
    tried: list[tuple[float, int, tuple[float, ...]]] = []

    def cost(x: FloatArray) -> float:
        setup = family.build(bound, dict(zip(names, map(float, x), strict=True)))
        run = setup(replicas=REPLICAS, seed=seed, threads=1)
        score = _scores(bound, run, setup.constants, [term], CAUTION)[term]
        tried.append((score.value, score.steps, tuple(map(float, x))))
        return -score.value

    low, high = np.array(list(axes.values())).T
    family.build(bound, dict(zip(names, (low + high) / 2, strict=True)))  # here a family that cannot serve says so
    generator = np.random.default_rng(seed)
    first = low + (high - low) * generator.random((min(POPULATION, budget), len(names)))
    if budget >= 5:
        rounds = max(0, budget // len(first) - 1)
        differential_evolution(
            cost, list(axes.values()), init=first, maxiter=rounds, tol=0.0, polish=False, seed=generator,
            mutation=(0.4, 1.0), recombination=0.8,
        )  # fmt: skip
    else:
        for x in first:
            cost(x)
    finalists = [t for t in sorted(set(tried), reverse=True)[:FINALISTS] if t[0] > NOTHING]
    if not finalists:
        raise NoInstance(
            f"none of {len(tried)} instances of family {family.name!r} satisfies the hypotheses of {bound.name}; "
            "raise the budget, or pass a family of your own"
        )
    rivals = [Instance(bound, family, dict(zip(names, x, strict=True)), steps) for _, steps, x in finalists]
    return max(rivals, key=lambda i: _measured(i, [term], 4 * REPLICAS, seed + 1, CAUTION)[term].value)


def search_worst_case(
    bound: Bound,
    family: Family | None = None,
    budget: int = 2000,
    seed: int = 0,
    *,
    path: str | Path | None = None,
    level: float = 1e-3,
) -> WorstCase:
    """Search the instance on which measured / bound is largest; above 1 the bound is refuted.

    Parameters
    ----------
    bound : Bound
    family : Family or None
        Where to search; None takes pseudo-Huber functions with two-point noise: profiles of curvature, noise and
        start, width, skewness, T, M, step.
    budget : int
        Simulations in the search; the finalists come on top.
    seed : int
        The search uses this seed, the finalists the next one, the winner the one after.
    path : path or None
        Where to write the instance, as JSON that `load_instance` reads back.
    level : float
        Of the interval for the ratio, over `FINAL_REPLICAS` fresh replicas.

    Returns
    -------
    WorstCase
        ``instance, ratio, interval``. A ratio below 1 is the worst **found**, never a proof.

    Raises
    ------
    ValueError
        No instance tried satisfies the hypotheses.

    Examples
    --------
    >>> import anisotropic as an
    >>> instance, ratio, interval = an.search_worst_case(an.bounds.convex_sgd, budget=20)
    >>> 0 < ratio < 1 and interval.low <= ratio <= interval.high
    True
    """
    instance = _searched(bound, family or HUBER, count(budget, "budget"), seed, "")
    score = _measured(instance, [""], FINAL_REPLICAS, seed + 2, level)[""]
    if path is not None:
        instance.save(path)
    estimate, low, high = score.limits
    kind = "Clopper-Pearson" if bound.probability else "t"
    return WorstCase(instance, estimate, Interval(estimate, low, high, kind, level))


def mutation_table(
    names: Iterable[str] | None = None,
    budget: int = 2000,
    seed: int = 0,
    *,
    path: str | Path | None = None,
    level: float = 1e-3,
) -> list[TermNeed]:
    """For each bound, and each term of its tightest form: the smallest factor that no instance found contradicts.

    The row of term "" is for all terms together. A factor c means that the instance refutes the bound with any factor
    clearly below c, since c is taken at the lower limit. With a `path` every row is written as soon as it is known, and
    rows that are there already are kept: a long search can be interrupted. The rows "" of all bounds come first.
    """
    rows = {(r.bound, r.term): r for r in (read_mutation_table(path) if path and Path(path).exists() else [])}
    ids = list(names or [row["id"] for row in bounds.table()])
    wanted = [(name, term) for part in (_whole, _terms) for name in ids for term in part(name)]
    for name, term in wanted:
        if (name, term) in rows:
            continue
        rows[name, term] = _need(name, term, budget, seed, level)
        if path is not None:
            _write(path, rows.values())
    table = [row for name in ids for row in _shared([rows[w] for w in wanted if w[0] == name], seed)]
    if path is not None:
        _write(path, table + [row for row in rows.values() if row.bound not in ids])
    return table


def _need(name: str, term: str, budget: int, seed: int, level: float) -> TermNeed:
    bound = bounds[name]  # type: ignore[index]
    try:
        instance = _searched(bound, HUBER, budget, seed, term)
    except NoInstance:
        return TermNeed(name, "", term, 0.0, level, None)
    return _row(instance, term, _measured(instance, [term], FINAL_REPLICAS, seed + 2, level)[term].value, level)


def _row(instance: Instance, term: str, factor: float, level: float) -> TermNeed:
    setup = instance.setup()
    known = known_constants(instance.bound, setup(replicas=1)) | dict(setup.constants)
    form = tightest(instance.bound, known)
    return TermNeed(instance.bound.name, form, term, max(factor, 0.0), level, instance if factor > 0 else None)


def _shared(rows: list[TermNeed], seed: int) -> list[TermNeed]:
    """What was found for one term of a bound may serve another one better than its own search did."""
    best = {row.term: row for row in rows}
    for instance in [row.instance for row in rows if row.instance is not None]:
        scores = _measured(instance, list(best), FINAL_REPLICAS, seed + 2, rows[0].level)
        for term, score in scores.items():
            if score.value > best[term].factor:
                best[term] = _row(instance, term, score.value, rows[0].level)
    return list(best.values())


def _write(path: str | Path, rows: Iterable[TermNeed]) -> None:
    Path(path).write_text(json.dumps([row.to_dict() for row in rows], indent=1) + "\n")


def read_mutation_table(path: str | Path) -> list[TermNeed]:
    """The rows that `mutation_table` wrote."""
    return [
        TermNeed(**row | {"instance": instance_from(row["instance"]) if row["instance"] else None})
        for row in json.loads(Path(path).read_text())
    ]


def _whole(name: str) -> list[str]:
    return [""]


def _terms(name: str) -> list[str]:
    """Names of the terms of the tightest form, where there are several."""
    from .setups import for_bound

    setup = for_bound(name)
    bound, run = setup.bound, setup(replicas=2, records=1)
    known = known_constants(bound, run) | dict(setup.constants)
    terms = list(bound.terms(tightest(bound, known), **known))
    return terms if len(terms) > 1 else []


def main(arguments: list[str]) -> int:
    """``python -m anisotropic.search FILE [BUDGET [ID ...]]``: the mutation table, written and resumed in FILE."""
    path, budget, *names = arguments if len(arguments) > 1 else [*arguments, "2000"]
    for row in mutation_table(names or None, int(budget), path=path):
        print(f"{row.bound:<28}{row.form:<10}{row.term or 'all terms':<14}{row.factor:>8.3f}")
    return 0


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))
