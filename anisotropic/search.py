"""On which instance is a bound tightest, or false? And which of its terms does any instance need?

Differential evolution maximises measured / bound over a family of instances inside the assumptions. All candidates
share their random numbers; the best few are compared again on a second seed, and the winner is measured on a third, so
that the ratio reported is not the luck of the search.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
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


class _Score(NamedTuple):
    value: float
    steps: int
    limits: tuple[float, float, float]


def _score(bound: Bound, run: Run, constants: dict[str, Any], term: str | None, level: float) -> _Score:
    """The largest lower limit over the records of measured / bound, or of the factor that `term` needs."""
    known = known_constants(bound, run) | constants
    if unmet(bound, run, known):
        return _Score(NOTHING, 0, (NOTHING,) * 3)
    values = np.asarray(observe(bound.measure, run), dtype=np.float64)
    at = [known | {"T": int(t)} for t in run.steps]
    form = tightest(bound, at[-1])
    parts = [bound.terms(form, **c) for c in at]
    claims = np.array([sum(p.values()) for p in parts])
    whole = np.isfinite(values).all(axis=0)
    limits = _limits(bound, np.where(whole, values, 0.0), known, run, level)
    scaled = [_scaled(side, claims, parts, bound.kind, term) for side in limits]
    estimate, low, high = (np.where(whole, side, EVERYTHING) for side in scaled)
    k = int(np.argmax(low))
    return _Score(float(low[k]), int(run.steps[k]), (float(estimate[k]), float(low[k]), float(high[k])))


def _limits(bound: Bound, values: FloatArray, known: dict[str, Any], run: Run, level: float) -> Limits:
    if bound.probability:
        return quantile_limits(values, 1 - known["delta"], level)
    if run.facts.get("law") == "none" or run.replicas < 2:
        mean = values.mean(axis=0)
        return Limits(mean, mean, mean)
    limits = t_limits(values, level)
    return Limits(limits.estimate, limits.high, limits.low) if bound.kind == "lower" else limits


def _scaled(
    side: FloatArray, claims: FloatArray, parts: list[dict[str, float]], kind: str, term: str | None
) -> FloatArray:
    """measured / bound, or the factor of `term` at which the bound equals what was measured."""
    if term is None:
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = claims / side if kind == "lower" else side / claims
        return np.where(np.isfinite(ratio), ratio, NOTHING)
    part = np.array([p[term] for p in parts])
    large = part > 1e-6 * claims
    return np.where(large, 1 - (claims - side) / np.where(large, part, 1.0), NOTHING)


def _best(
    bound: Bound, family: Family, budget: int, seed: int, term: str | None, level: float
) -> tuple[Instance, _Score]:
    """Search, compare the finalists on a second seed, measure the winner on a third."""
    from scipy.optimize import differential_evolution

    axes = family.axes(bound)
    names = list(axes)
    tried: list[tuple[float, int, tuple[float, ...]]] = []

    def cost(x: FloatArray) -> float:
        setup = family.build(bound, dict(zip(names, map(float, x), strict=True)))
        run = setup(replicas=REPLICAS, seed=seed, threads=1)
        score = _score(bound, run, dict(setup.constants), term, CAUTION)
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
    finalists = sorted(set(tried), reverse=True)[:FINALISTS]
    if finalists[0][0] == NOTHING:
        raise ValueError(
            f"none of {len(tried)} instances of family {family.name!r} satisfies the hypotheses of {bound.name}; "
            "raise the budget, or pass a family of your own"
        )

    def again(steps: int, x: tuple[float, ...], replicas: int, seed: int, level: float) -> tuple[_Score, Instance]:
        instance = Instance(bound, family, dict(zip(names, x, strict=True)), steps)
        run = instance(replicas=replicas, seed=seed)
        return _score(bound, run, dict(instance.setup().constants), term, level), instance

    rivals = [again(steps, x, 4 * REPLICAS, seed + 1, CAUTION) for value, steps, x in finalists if value > NOTHING]
    winner = max(rivals, key=lambda r: r[0].value)[1]
    x = tuple(winner.point[n] for n in names)
    score, winner = again(winner.steps, x, FINAL_REPLICAS, seed + 2, level)
    return winner, score


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
    instance, score = _best(bound, family or HUBER, count(budget, "budget"), seed, None, level)
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
    rows that are there already are kept: a long search can be interrupted.
    """
    done = read_mutation_table(path) if path is not None and Path(path).exists() else []
    rows = {(row.bound, row.term): row for row in done}
    for name in names or [row["id"] for row in bounds.table()]:
        bound = bounds[name]  # type: ignore[index]
        for term in ("", *_terms(bound)):
            if (name, term) in rows:
                continue
            rows[name, term] = _need(bound, term, budget, seed, level)
            if path is not None:
                Path(path).write_text(json.dumps([row.to_dict() for row in rows.values()], indent=1) + "\n")
    return list(rows.values())


def read_mutation_table(path: str | Path) -> list[TermNeed]:
    """The rows that `mutation_table` wrote."""
    return [
        TermNeed(**row | {"instance": instance_from(row["instance"]) if row["instance"] else None})
        for row in json.loads(Path(path).read_text())
    ]


def _terms(bound: Bound) -> list[str]:
    """Names of the terms of the tightest form, where there are several."""
    from .setups import for_bound

    setup = for_bound(bound.name)
    run = setup(replicas=2, records=1)
    known = known_constants(bound, run) | dict(setup.constants)
    names = list(bound.terms(tightest(bound, known), **known))
    return names if len(names) > 1 else []


def _need(bound: Bound, term: str, budget: int, seed: int, level: float) -> TermNeed:
    instance, score = _best(bound, HUBER, budget, seed, term or None, level)
    known = known_constants(bound, instance(replicas=2)) | dict(instance.setup().constants)
    form = tightest(bound, known)
    needed = score.value > 0
    return TermNeed(bound.name, form, term, max(score.value, 0.0), level, instance if needed else None)


def main(arguments: list[str]) -> int:
    """``python -m anisotropic.search FILE [BUDGET [ID ...]]``: the mutation table, written and resumed in FILE."""
    path, budget, *names = arguments if len(arguments) > 1 else [*arguments, "2000"]
    for row in mutation_table(names or None, int(budget), path=path):
        print(f"{row.bound:<28}{row.form:<10}{row.term or 'all terms':<14}{row.factor:>8.3f}")
    return 0


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))
