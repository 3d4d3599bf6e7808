"""How do two optimizers compare at equal training loss? Pairs of points of two trajectories, and refusals.

R_med changes along a run, so a comparison at equal iterations compares a fast method late with a slow one early.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..records import FloatArray

Curve = tuple[FloatArray, NDArray[np.int64], FloatArray]


class Trajectory(NamedTuple):
    """R_med along a run.

    `steps`, `loss` (records,), the loss on fixed training data; `r_med` (records, layers) and `interval`
    (records, layers, 2); `layers`, their names.
    """

    steps: NDArray[np.int64]
    loss: FloatArray
    r_med: FloatArray
    layers: tuple[str, ...] = ()
    interval: FloatArray | None = None


class Match(NamedTuple):
    """Two runs where their training loss first falls to `level`.

    `log_ratio` = ln(R_a / R_b), one number per layer; `steps` and `loss` are pairs (a, b), steps
    -1 where a run has none.
    """

    level: float
    loss: tuple[float, float]
    steps: tuple[int, int]
    r_med_a: FloatArray
    r_med_b: FloatArray
    log_ratio: FloatArray


class _Point(NamedTuple):
    loss: float
    step: int
    values: FloatArray


def match_by_loss(
    a: Any,
    b: Any,
    levels: Sequence[float],
    *,
    tolerance: float = 0.02,
    interpolate: bool = False,
    smooth: int = 1,
    strict: bool = True,
) -> list[Match]:
    """Pair two runs at equal training loss, level by level.

    Each run is taken at the first record whose loss is at most the level. A pair whose losses differ by more than
    `tolerance` is refused, and so is a level that one of the runs never reaches.

    Parameters
    ----------
    a, b : Trajectory, LinearRun, or pairs (loss, r_med)
        Anything with `loss` (records,) and `r_med` (records,) or (records, layers), in the order of training.
    levels : sequence of numbers
        Training losses, on the scale of `loss`.
    tolerance : float
        Largest |ln(loss_a / loss_b)|.
    interpolate : bool
        Take ln R at the level itself, linear in the loss between the records around it.
    smooth : int
        Average the loss over this many consecutive records first (3 for minibatch noise, which makes a first crossing
        come too early).
    strict : bool
        If False, a refused level is left out; otherwise it is an error.

    Returns
    -------
    list of Match

    Raises
    ------
    ValueError
        On a refused level, with both losses; on curves of different lengths or numbers of layers.

    Examples
    --------
    >>> a = ([3.0, 2.0, 1.0], [8.0, 4.0, 2.0])
    >>> b = ([2.5, 2.0, 1.01], [2.0, 2.0, 1.0])
    >>> [float(np.exp(m.log_ratio[0]).round(9)) for m in match_by_loss(a, b, [2.0, 1.01])]
    [2.0, 2.0]
    """
    if not tolerance > 0 or smooth < 1:
        raise ValueError(f"tolerance = {tolerance:g}, smooth = {smooth}; expected a positive number and at least 1")
    first, second = _curve(a, "a", smooth), _curve(b, "b", smooth)
    if first[2].shape[1] != second[2].shape[1]:
        raise ValueError(f"a has {first[2].shape[1]} layers and b has {second[2].shape[1]}; expected the same layers")
    matches = []
    for level in levels:
        x, y = _at_level(first, level, interpolate), _at_level(second, level, interpolate)
        reason = _refusal(level, x, y, tolerance)
        if reason and strict:
            raise ValueError(reason)
        if not reason and x is not None and y is not None:
            ratio = np.log(x.values / y.values)
            matches.append(Match(float(level), (x.loss, y.loss), (x.step, y.step), x.values, y.values, ratio))
    return matches


def _refusal(level: float, x: _Point | None, y: _Point | None, tolerance: float) -> str:
    if x is None or y is None:
        who = " and ".join(name for name, point in (("a", x), ("b", y)) if point is None)
        return f"level {level:g} is never reached by {who}; train longer, choose a higher level, or pass strict=False"
    apart = abs(np.log(x.loss / y.loss)) if x.loss > 0 and y.loss > 0 else np.inf
    if apart > tolerance:
        return (
            f"at level {level:g} the losses are {x.loss:.6g} and {y.loss:.6g}, {apart:.1%} apart; expected at most "
            f"{tolerance:.1%}: record more often, pass interpolate=True, or strict=False to leave the level out"
        )
    return ""


def _curve(run: Any, name: str, smooth: int) -> Curve:
    loss, values = (run.loss, run.r_med) if hasattr(run, "r_med") else run
    loss = np.asarray(loss, dtype=np.float64)
    table = np.asarray(values, dtype=np.float64)
    table = table[:, None] if table.ndim == 1 else table
    if loss.ndim != 1 or table.ndim != 2 or table.shape[0] != loss.size or loss.size == 0:
        raise ValueError(
            f"{name} has {loss.shape} losses and {np.shape(values)} values of R_med; expected (records,) and "
            "(records,) or (records, layers), with at least one record"
        )
    steps = np.asarray(getattr(run, "steps", np.full(loss.size, -1)), dtype=np.int64)
    reached = np.isfinite(loss)
    loss, steps, table = loss[reached], steps[reached], table[reached]
    if smooth > 1 and loss.size >= smooth:
        loss = np.convolve(loss, np.full(smooth, 1 / smooth), mode="valid")
        cut = (smooth - 1) // 2
        steps, table = steps[cut : cut + loss.size], table[cut : cut + loss.size]
    return loss, steps, table


def _at_level(curve: Curve, level: float, interpolate: bool) -> _Point | None:
    loss, steps, table = curve
    below = np.flatnonzero(loss <= level)
    if below.size == 0:
        return None
    k = int(below[0])
    if not interpolate or k == 0 or loss[k] == level:
        return _Point(float(loss[k]), int(steps[k]), table[k])
    share = (loss[k - 1] - level) / (loss[k - 1] - loss[k])
    between = np.exp((1 - share) * np.log(table[k - 1]) + share * np.log(table[k]))
    return _Point(float(level), int(steps[k]), between)
