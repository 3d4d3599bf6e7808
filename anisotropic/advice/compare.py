"""Which method is ahead, by how much, and what would decide what is open? Paired ratios with limits that hold together.

A ratio is the geometric mean over replicas of one method's measure over another's, paired by the random numbers: the
exponential of a mean of differences of logarithms, with the asymptotic interval of `anisotropic.intervals`. All pairs
of one race share its level (Bonferroni), so that the winner may be picked after looking.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..evidence.entries import Entry, Race
from ..intervals import Interval, mean_interval

#: Below this a gap is rounding: minima are certified to about it.
FLOOR = 1e-12

#: How measures are written.
LABELS = {
    "gap": "last iterate", "average_gap": "average iterate", "training_loss": "training loss",
    "held_out_loss": "held-out loss",
}  # fmt: skip

#: Methods that have one step size for all coordinates; what starts with "sgd" is the baseline in one of its forms.
CONTROL = "adagrad_norm"


def is_sgd(method: str) -> bool:
    """Whether a method is the baseline, with whatever schedule.

    >>> is_sgd("sgd decaying"), is_sgd("adam")
    (True, False)
    """
    return method.split(" ")[0] == "sgd"


def adapts(method: str) -> bool:
    """Whether a method has a step size for each coordinate, as far as its name tells."""
    return not is_sgd(method) and method != CONTROL


def paired_ratio(x: ArrayLike, y: ArrayLike, level: float = 0.05, *, floor: float = FLOOR) -> Interval:
    """Geometric mean of x / y over replicas with an interval; NaN where a replica of either diverged.

    Parameters
    ----------
    x, y : arrays ``(replicas,)``
        Positive; what lies below `floor` counts as `floor`.
    level : float
        The interval misses with about this probability.

    Examples
    --------
    The logarithms of the ratios are 0 and log 4, hence the estimate 2; equal ratios leave no doubt.

    >>> paired_ratio([1.0, 4.0], [1.0, 1.0]).estimate, paired_ratio([1.0, 3.0], [2.0, 6.0])[:3]
    (2.0, (0.5, 0.5, 0.5))
    """
    first, second = (np.asarray(v, dtype=np.float64) for v in (x, y))
    if first.size < 2 or not (np.isfinite(first).all() and np.isfinite(second).all()):
        return Interval(np.nan, np.nan, np.nan, "t", level)
    logs = mean_interval(np.log(np.maximum(first, floor) / np.maximum(second, floor)), level)
    estimate, low, high = (math.exp(min(700.0, limit)) for limit in logs[:3])
    return Interval(estimate, low, high, "t", level)


class Decision(NamedTuple):
    """What one race says.

    `ratios` to the reference by method; `winner`, ahead of every other method beyond doubt, or None; `open`, the
    methods that may be the best; `ahead` and `behind`, those ahead of the reference or behind it beyond doubt;
    `diverged`, with the number of diverged replicas.
    """

    ratios: dict[str, Interval]
    winner: str | None
    open: tuple[str, ...]
    ahead: tuple[str, ...]
    behind: tuple[str, ...]
    diverged: dict[str, int]


def pair_level(race: Race) -> float:
    """The level of each pair of methods, so that all hold together."""
    methods = len(race.tuned)
    return race.level / max(1, methods * (methods - 1) // 2)


def ratio(race: Race, method: str, other: str) -> Interval:
    """The paired ratio of two methods of a race at its share of the level."""
    return paired_ratio(race.tuned[method].values, race.tuned[other].values, pair_level(race))


def decide(race: Race) -> Decision:
    """Who wins a race, who may, and who is ahead of the reference.

    Two forms of SGD are one method here: where only they may be the best, SGD wins.
    """
    entries = race.tuned
    diverged = {m: n for m, e in entries.items() if (n := int((~np.isfinite(e.values)).sum()))}
    sound = {m: e for m, e in entries.items() if m not in diverged}
    ratios = {m: ratio(race, m, race.reference) for m in entries if m != race.reference}
    contenders: tuple[str, ...] = ()
    if sound:
        best = min(sound, key=lambda m: _mean_log(sound[m]))
        contenders = tuple(m for m in sound if m == best or not ratio(race, m, best).low > 1.0)
    only = contenders[0] if len(contenders) == 1 else race.reference if all(map(is_sgd, contenders)) else None
    return Decision(
        ratios,
        only if contenders else None,
        contenders,
        tuple(m for m, r in ratios.items() if r.high < 1.0),
        tuple(m for m, r in ratios.items() if r.low > 1.0),
        diverged,
    )


def _mean_log(entry: Entry) -> float:
    return float(np.log(np.maximum(entry.values, FLOOR)).mean())


def resolvable(race: Race, more: int) -> float:
    """The smallest factor between two methods that the race would resolve with `more` more replicas.

    The median over the methods of the half-width of the logarithm of the ratio to the reference, shrunk by the root of
    the number of replicas; NaN where nothing can be said.
    """
    widths = [math.log(r.high / r.low) / 2.0 for r in decide(race).ratios.values() if r.low > 0.0]
    if not widths or race.replicas + more < 2:
        return math.nan
    return math.exp(float(np.median(widths)) * math.sqrt(race.replicas / (race.replicas + more)))


def still_open(race: Race, more: int) -> bool:
    """Whether the best would still be open with `more` replicas, if the estimates stay where they are."""
    found = decide(race)
    if found.winner is not None or len(found.open) < 2:
        return False
    shrink = math.sqrt(race.replicas / (race.replicas + more))
    best = min(found.open, key=lambda m: _mean_log(race.tuned[m]))
    for other in found.open:
        if other == best or (is_sgd(other) and is_sgd(best)):
            continue
        pair = ratio(race, other, best)
        middle, width = math.log(pair.estimate), math.log(pair.high / pair.low) / 2.0 if pair.low > 0 else math.inf
        if middle <= width * shrink:
            return True
    return False
