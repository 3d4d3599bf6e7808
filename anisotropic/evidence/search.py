"""On which instance is a bound tightest, or false? And which of its terms and constants does any instance need?

Differential evolution maximizes measured / bound over a family of instances inside the assumptions, and then, from the
best seen, the factor that each term or constant needs: every simulation is scored for all terms. All candidates share
their random numbers; the best few are compared again on a second seed, and the winner is measured on a third, so that
the ratio reported is not the luck of the search.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..bounds.theorem import Bound
from ..intervals import Interval
from ..records import FloatArray, count
from .cells import Setup
from .families import HUBER, Family, Instance, affordable, load_instance, own_method
from .huber import MakeOptimizer
from .scores import CAUSES, NOTHING, WHOLE, Need, Score, scores
from .verdicts import ROUNDING, known_constants, unmet

__all__ = ["Instance", "WorstCase", "load_instance", "search_worst_case"]

POPULATION = 24
FINALISTS = 6
REPLICAS = 256
FINAL_REPLICAS = 16_384
#: Level of the limits that guide the search: with the mean alone it would chase luck and rare events of skewed noise.
CAUTION = 1e-4


class WorstCase(NamedTuple):
    """The instance found, measured / bound on fresh random numbers (above 1: the bound is false), and its interval."""

    instance: Instance
    ratio: float
    interval: Interval

    @property
    def refuted(self) -> bool:
        """Whether the instance contradicts the bound."""
        return self.interval.low > 1 + ROUNDING


def measured(
    instance: Instance, replicas: int, seed: int, level: float, causes: Collection[str] = CAUSES
) -> dict[Need, Score]:
    """The scores of an instance, on a full set of this many replicas."""
    setup = instance.setup()
    run = setup(replicas=affordable(setup, replicas), seed=seed)
    return scores(instance.bound, run, setup.constants, level, causes)


class Search:
    """What was tried on a bound, with the scores of every point."""

    def __init__(self, bound: Bound, family: Family, seed: int, known: Iterable[Mapping[str, float]] = ()) -> None:
        axes = family.axes(bound)
        self.bound, self.family, self.seed = bound, family, seed
        self.names, self.box = list(axes), list(axes.values())
        self.generator = np.random.default_rng(seed)
        self.tried: dict[tuple[float, ...], dict[Need, Score]] = {}
        inside = [low + 0.7 * (high - low) for low, high in self.box]
        family.build(bound, self.point(inside))  # or it says why it cannot
        self.known = [x for at in (*family.anchors(bound), *known) if (x := self._placed(at)) is not None]

    def point(self, x: Iterable[float]) -> dict[str, float]:
        """The numbers of a point by the names of the axes."""
        return dict(zip(self.names, map(float, x), strict=True))

    def _placed(self, at: Mapping[str, float]) -> FloatArray | None:
        """A point that was known before, in this box; None where it lacks an axis that has no neutral place."""
        full = {**self.family.neutral, **at}
        if not set(self.names) <= set(full):
            return None
        return np.array([np.clip(full[name], *side) for name, side in zip(self.names, self.box, strict=True)])

    def score(self, x: FloatArray, need: Need) -> float:
        """Simulate a point and score it for all terms, and for the constant where the need is one."""
        place = tuple(map(float, x))
        if need not in self.tried.get(place, {}):
            self._simulate(place, [need.cause] if need.cause else [])
        return self.tried[place][need].value if need in self.tried[place] else NOTHING

    def look_at(self, points: Iterable[Iterable[float]]) -> None:
        """Score points for everything."""
        for x in points:
            self._simulate(tuple(map(float, x)), CAUSES)

    def _simulate(self, place: tuple[float, ...], causes: Collection[str]) -> None:
        found: dict[Need, Score] = {}
        if (setup := self._setup(place)) is not None:
            run = setup(replicas=affordable(setup, REPLICAS), seed=self.seed, threads=1)
            found = scores(self.bound, run, setup.constants, CAUTION, causes)
        self.tried[place] = self.tried.get(place, {}) | found

    def _setup(self, x: Iterable[float]) -> Setup | None:
        """The setup of a point, None where the method is none there: a step size R/(G sqrt T) with R = 0, say."""
        try:
            return self.family.build(self.bound, self.point(x))
        except ValueError:
            return None

    def leaders(self, need: Need, most: int) -> list[tuple[float, ...]]:
        """The best points seen for a need."""
        fit = [x for x, found in self.tried.items() if need in found and found[need].value > NOTHING]
        return sorted(fit, key=lambda x: (self.tried[x][need].value, x), reverse=True)[:most]

    def climb(self, need: Need, budget: int) -> None:
        """Differential evolution from the best half population seen for this need, and random points."""
        from scipy.optimize import differential_evolution

        low, high = np.array(self.box).T
        first = low + (high - low) * self.generator.random((min(POPULATION, budget), low.size))
        seen = self.leaders(need, len(first) // 2)
        first[: len(seen)] = np.reshape(seen, (-1, low.size))
        if len(first) < 5:
            for x in first:
                self.score(x, need)
            return
        differential_evolution(
            lambda x: -self.score(x, need), self.box, init=first, maxiter=max(0, budget // len(first) - 1), tol=0.0,
            polish=False, seed=self.generator, mutation=(0.4, 1.0), recombination=0.8,
        )  # fmt: skip

    def best(self, need: Need) -> Instance | None:
        """The best instance for a need among the finalists compared again on the next seed."""
        rivals = [
            Instance(self.bound, self.family, self.point(x), self.tried[x][need].steps)
            for x in self.leaders(need, FINALISTS)
        ]

        def again(instance: Instance) -> float:
            found = measured(instance, 4 * REPLICAS, self.seed + 1, CAUTION, [need.cause] if need.cause else [])
            return found[need].value if need in found else NOTHING

        return max(rivals, key=again, default=None)

    def worst(self, budget: int) -> Instance:
        """The instance on which measured / bound is largest; points known before are looked at first."""
        self.look_at(self.known)
        self.climb(WHOLE, budget)
        instance = self.best(WHOLE)
        if instance is None:
            raise ValueError(
                f"none of {len(self.tried)} instances of family {self.family.name!r} satisfies the hypotheses of "
                f"{self.bound.name} (the last one: {self._reason()}); raise the budget, or pass a family of your own"
            )
        return instance

    def further(self, need: Need, budget: int) -> list[Instance]:
        """The best instance for a term or constant after a search for it; empty where none needs it."""
        self.climb(need, budget)
        found = self.best(need)
        return [] if found is None else [found]

    def _reason(self) -> str:
        """Why the last setup that was tried says nothing."""
        setup = next(setup for x in reversed(self.tried) if (setup := self._setup(x)) is not None)
        run = setup(replicas=2, seed=self.seed, threads=1)
        missed = unmet(self.bound, run, known_constants(self.bound, run) | dict(setup.constants))
        return "; ".join(missed) or "its numbers are not finite"


def search_worst_case(
    bound: Bound,
    family: Family | None = None,
    budget: int = 2000,
    seed: int = 0,
    *,
    make_optimizer: MakeOptimizer | None = None,
    path: str | Path | None = None,
    level: float = 1e-3,
) -> WorstCase:
    """Search the instance on which measured / bound is largest; above 1 the bound is refuted.

    Parameters
    ----------
    bound : Bound
    family : Family or None
        Where to search; None takes pseudo-Huber functions, in [-1, 1]^d where the bound has a box (corners may be
        active), with profiles of curvature, noise and start; two-point noise with p down to 1e-6, random signs, both
        in two phases, or affine Gaussian noise; up to 10^5 updates.
    budget : int
        Simulations in the search; a few instances known from theory and the finalists come on top.
    seed : int
        The search uses this seed, the finalists the next one, the winner the one after.
    make_optimizer : function of a dict of constants, optional
        For a method of one's own: it gets the constants of an instance (L, sigma, R, T, M, ... and a trial
        ``step_size``, which it may use or not) and returns the optimizer.
    path : path or None
        Where to write the instance, as JSON that `load_instance` reads back.
    level : float
        Of the interval for the ratio, over `FINAL_REPLICAS` fresh replicas, fewer where T exceeds a few thousand.

    Returns
    -------
    WorstCase
        ``instance, ratio, interval``. A ratio below 1 is the worst **found**, never a proof.

    Raises
    ------
    ValueError
        No instance tried satisfies the hypotheses, or the path cannot be written; that is noticed before the search.
    TypeError
        Both a family and `make_optimizer`, or a `make_optimizer` that returns no optimizer.

    Examples
    --------
    >>> import anisotropic as an
    >>> instance, ratio, interval = an.search_worst_case(an.bounds.convex_sgd, budget=20)
    >>> 0 < ratio < 1 and interval.low <= ratio <= interval.high
    True

    A method of one's own, and a false claim about it. The mean of the gap over the first T iterates is the initial gap
    where T = 1 and falls afterwards, so that a claim of half the initial gap is wrong by a factor of 2, no more:

    >>> from anisotropic.bounds.symbols import Delta, L_max, uniform_step_size
    >>> claim = an.Bound("claim", "mean_gap", "upper", Delta / 2, conditions=[uniform_step_size <= 0.1 / L_max],
    ...                  requires=an.Requires(optimizers="heavy_ball", noises="none", box=False))
    >>> def heavy_ball(known):
    ...     return an.optimizers.heavy_ball(known["step_size"], 0.5)
    >>> found = an.search_worst_case(claim, make_optimizer=heavy_ball, budget=30)
    >>> found.refuted, round(found.ratio, 9), found.instance.steps
    (True, 2.0, 1)
    """
    check_writable(path)
    if make_optimizer is not None:
        if family is not None:
            raise TypeError("give either a family or make_optimizer; a family builds its own optimizers")
        family = own_method(make_optimizer)
    instance = Search(bound, family or HUBER, seed).worst(count(budget, "budget"))
    score = measured(instance, FINAL_REPLICAS, seed + 2, level, causes=())[WHOLE]
    if path is not None:
        instance.save(path)
    estimate, low, high = score.limits
    kind = "Clopper-Pearson" if bound.probability else "t"
    return WorstCase(instance, estimate, Interval(estimate, low, high, kind, level))


def check_writable(path: str | Path | None) -> None:
    """Refuse a path that cannot be written, before anything is computed."""
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
