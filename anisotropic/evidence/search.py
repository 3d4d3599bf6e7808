"""On which instance is a bound tightest, or false? And which of its terms does any instance need?

Differential evolution maximises measured / bound over a family of instances inside the assumptions, and then, from the
best seen, the factor that each term needs: every simulation is scored for the bound as a whole and for all its terms.
All candidates share their random numbers; the best few are compared again on a second seed, and the winner is measured
on a third, so that the ratio reported is not the luck of the search.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import bounds
from ..bounds.measures import observe
from ..bounds.theorem import Bound
from ..intervals import Interval, Limits, quantile_limits, t_limits
from ..records import FloatArray, Run, count
from .families import HUBER, Family, Instance, instance_from, load_instance
from .verdicts import ROUNDING, known_constants, unmet

__all__ = ["Instance", "TermNeed", "WorstCase", "load_instance", "mutation_table", "search_worst_case"]

POPULATION = 24
FINALISTS = 6
#: Part of the budget that the search for each single term adds to that for the bound as a whole.
TERM_SHARE = 0.25
REPLICAS = 256
FINAL_REPLICAS = 16_384
#: Level of the limits that guide the search: with the mean alone it would chase luck and rare events of skewed noise.
CAUTION = 1e-4
#: Share of the bound below which a term is not looked at: what is left for it would be mostly luck.
LEAST_SHARE = 0.01
NOTHING = -1e6
EVERYTHING = 1e6


class WorstCase(NamedTuple):
    """The instance found, measured / bound on fresh random numbers (above 1: the bound is false), and its interval."""

    instance: Instance
    ratio: float
    interval: Interval

    @property
    def refuted(self) -> bool:
        """Whether the instance contradicts the bound."""
        return self.interval.low > 1 + ROUNDING


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
    """A lower limit to maximize, the horizon and the form of the bound that belong to it, and all limits there."""

    value: float
    steps: int
    form: str
    limits: tuple[float, float, float]  # estimate, lower, upper


def _scores(bound: Bound, run: Run, constants: Mapping[str, Any], level: float) -> dict[str, _Score]:
    """For "" measured / bound, for each term the factor it needs: the record with the largest lower limit.

    Empty where a hypothesis is not met.
    """
    known = known_constants(bound, run) | dict(constants)
    if unmet(bound, run, known):
        return {}
    values = np.asarray(observe(bound.measure, run), dtype=np.float64)
    at = [known | {"T": int(t)} for t in run.steps]
    form = bound.tightest(**at[-1]).form
    parts = [bound.terms(form, **c) for c in at]
    whole = np.isfinite(values).all(axis=0)
    limits = _limits(bound, np.where(whole, values, 0.0), known, run, level)
    found = {}
    terms = () if bound.kind == "lower" or len(parts[-1]) < 2 else parts[-1]
    for term in ["", *terms]:
        lost = NOTHING if bound.kind == "lower" else EVERYTHING  # what a diverged replica says of the bound
        scaled = [np.where(whole, _scaled(side, parts, bound.kind, term), lost) for side in limits]
        k = int(np.argmax(scaled[1]))
        estimate, low, high = (float(side[k]) for side in scaled)
        found[term] = _Score(low, int(run.steps[k]), form, (estimate, low, high))
    return found


def _measured(instance: Instance, replicas: int, seed: int, level: float) -> dict[str, _Score]:
    run = instance(replicas=replicas, seed=seed)
    return _scores(instance.bound, run, instance.setup().constants, level)


def _limits(bound: Bound, values: FloatArray, known: dict[str, Any], run: Run, level: float) -> Limits:
    if bound.probability:
        return quantile_limits(values, 1 - known["delta"], level)
    if run.facts.law == "none" or run.replicas < 2:
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
    large = part > LEAST_SHARE * claims
    return np.where(large, 1 - (claims - side) / np.where(large, part, 1.0), NOTHING)


class _Search:
    """What was tried on a bound, with the scores of every point."""

    def __init__(self, bound: Bound, family: Family, seed: int) -> None:
        axes = family.axes(bound)
        self.bound, self.family, self.seed = bound, family, seed
        self.names, self.box = list(axes), list(axes.values())
        self.generator = np.random.default_rng(seed)
        self.tried: dict[tuple[float, ...], dict[str, _Score]] = {}
        family.build(bound, self.point([(low + high) / 2 for low, high in self.box]))  # or it says why it cannot

    def point(self, x: Iterable[float]) -> dict[str, float]:
        return dict(zip(self.names, map(float, x), strict=True))

    def score(self, x: FloatArray, term: str) -> float:
        setup = self.family.build(self.bound, self.point(x))
        run = setup(replicas=REPLICAS, seed=self.seed, threads=1)
        found = self.tried[tuple(map(float, x))] = _scores(self.bound, run, setup.constants, CAUTION)
        return found[term].value if term in found else NOTHING

    def leaders(self, term: str, most: int) -> list[tuple[float, ...]]:
        """The best points seen for a term."""
        fit = [x for x, found in self.tried.items() if term in found and found[term].value > NOTHING]
        return sorted(fit, key=lambda x: (self.tried[x][term].value, x), reverse=True)[:most]

    def climb(self, term: str, budget: int) -> None:
        """Differential evolution from the best half population seen for this term, and random points."""
        from scipy.optimize import differential_evolution

        low, high = np.array(self.box).T
        first = low + (high - low) * self.generator.random((min(POPULATION, budget), low.size))
        seen = self.leaders(term, len(first) // 2)
        first[: len(seen)] = np.reshape(seen, (-1, low.size))
        if len(first) < 5:
            for x in first:
                self.score(x, term)
            return
        differential_evolution(
            lambda x: -self.score(x, term), self.box, init=first, maxiter=max(0, budget // len(first) - 1), tol=0.0,
            polish=False, seed=self.generator, mutation=(0.4, 1.0), recombination=0.8,
        )  # fmt: skip

    def best(self, term: str) -> Instance | None:
        """The best instance for a term among the finalists compared again on the next seed."""
        rivals = [
            Instance(self.bound, self.family, self.point(x), self.tried[x][term].steps)
            for x in self.leaders(term, FINALISTS)
        ]

        def again(instance: Instance) -> float:
            found = _measured(instance, 4 * REPLICAS, self.seed + 1, CAUTION)
            return found[term].value if term in found else NOTHING

        return max(rivals, key=again, default=None)

    def worst(self, budget: int) -> Instance:
        """The instance on which measured / bound is largest."""
        self.climb("", budget)
        instance = self.best("")
        if instance is None:
            raise ValueError(
                f"none of {len(self.tried)} instances of family {self.family.name!r} satisfies the hypotheses of "
                f"{self.bound.name}; raise the budget, or pass a family of your own"
            )
        return instance


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
        start, width, skewness, T, M, step size.
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
        No instance tried satisfies the hypotheses, or the path cannot be written; that is noticed before the search.

    Examples
    --------
    >>> import anisotropic as an
    >>> instance, ratio, interval = an.search_worst_case(an.bounds.convex_sgd, budget=20)
    >>> 0 < ratio < 1 and interval.low <= ratio <= interval.high
    True
    """
    _check_writable(path)
    instance = _Search(bound, family or HUBER, seed).worst(count(budget, "budget"))
    score = _measured(instance, FINAL_REPLICAS, seed + 2, level)[""]
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
    """For each bound, and each of its terms: the smallest factor that no instance found contradicts.

    The row of term "" is for all terms together. A factor c means that the instance refutes the bound, in the form that
    is tightest there, with any factor clearly below c, since c is taken at the lower limit.

    Parameters
    ----------
    names : ids of bounds, or None for all
    budget : int
        Simulations in the search for a bound as a whole; each of its terms adds a quarter of them.
    seed : int
        As in `search_worst_case`.
    path : path or None
        Where to write the rows of a bound as soon as they are known; bounds that are there already are kept, so that a
        long search can be interrupted.
    level : float
        Of the interval for each factor, over `FINAL_REPLICAS` fresh replicas.
    """
    _check_writable(path)
    rows = read_mutation_table(path) if path is not None and Path(path).exists() else []
    ids = list(names or bounds)  # type: ignore[arg-type]
    for name in ids:
        if name not in {row.bound for row in rows}:
            rows += _needs(bounds[name], count(budget, "budget"), seed, level)  # type: ignore[index]
            if path is not None:
                _write(path, rows)
    return [row for row in rows if row.bound in ids]


def _needs(bound: Bound, budget: int, seed: int, level: float) -> list[TermNeed]:
    """Rows of a bound. What was found for one term may serve another one better than its own search did."""
    search = _Search(bound, HUBER, seed)
    found = [search.worst(budget)]
    terms = list(dict.fromkeys(term for scores in search.tried.values() for term in scores))
    for term in terms[1:]:
        search.climb(term, max(1, int(TERM_SHARE * budget)))
        found += [instance for instance in [search.best(term)] if instance is not None]
    best = {term: TermNeed(bound.name, "", term, 0.0, level, None) for term in terms}
    for instance in found:
        for term, score in _measured(instance, FINAL_REPLICAS, seed + 2, level).items():
            if score.value > best[term].factor:
                best[term] = TermNeed(bound.name, score.form, term, score.value, level, instance)
    return list(best.values())


def _check_writable(path: str | Path | None) -> None:
    if path is None:
        return
    place = Path(path)
    if place.is_dir() or not place.parent.is_dir():
        reason = "it is a folder" if place.is_dir() else f"there is no folder {place.parent}"
    elif not os.access(place if place.exists() else place.parent, os.W_OK):
        reason = "permission denied"
    else:
        return
    raise ValueError(f"cannot write {place}: {reason}; give a file in a folder that you may write to")


def _write(path: str | Path, rows: Iterable[TermNeed]) -> None:
    Path(path).write_text(json.dumps([row.to_dict() for row in rows], indent=1) + "\n")


def read_mutation_table(path: str | Path) -> list[TermNeed]:
    """The rows that `mutation_table` wrote."""
    return [
        TermNeed(**row | {"instance": instance_from(row["instance"]) if row["instance"] else None})
        for row in json.loads(Path(path).read_text())
    ]


def main(arguments: list[str]) -> int:
    """``python -m anisotropic.search FILE [BUDGET [ID ...]]``: the mutation table, written and resumed in FILE."""
    path, budget, *names = arguments if len(arguments) > 1 else [*arguments, "2000"]
    for row in mutation_table(names or None, int(budget), path=path):
        print(f"{row.bound:<28}{row.form:<10}{row.term or 'all terms':<14}{row.factor:>8.3f}")
    return 0


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))
