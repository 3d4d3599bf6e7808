"""Does an objective keep its promises? Its functions on checked arrays, and what is certified, at a few random points.

A function is judged where a simulation may go: in the box, or around the start and the minimizer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext

import numpy as np

from ...records import FloatArray, Objective, spread
from .certified import at_the_minimizer, curvature, lowest
from .findings import Finding, shown
from .guarded import Fault, Guarded, entries, promised
from .slopes import compare, rounding

#: Up to this many array entries an objective is looked at in every point, else in one; above the second number its
#: functions are compiled, since interpreting would take longer.
SMALL, LARGE = 64, 4096


class Landscape:
    """The functions of an objective on guarded arrays, and the points where they are asked."""

    def __init__(self, objective: Objective, points: int | FloatArray, start: FloatArray | None, seed: int) -> None:
        self.objective, self.rng = objective, np.random.default_rng(seed)
        self.size = max(objective.dim, entries(objective.params))
        large = self.size > LARGE
        self.guarded_value = Guarded(objective.value, "value", large=large)
        self.guarded_gradient = Guarded(objective.gradient, "gradient", ("out",), large=large)
        self.centre, self.scale = _region(objective, start)
        self.values: dict[bytes, float] = {}
        self.gradients: dict[bytes, FloatArray] = {}
        self.points = self._points(points, start)

    def _points(self, points: int | FloatArray, start: FloatArray | None) -> list[FloatArray]:
        if not isinstance(points, int):
            given = np.atleast_2d(np.asarray(points, dtype=np.float64))
            if given.shape[1:] != (self.objective.dim,):
                wanted = f"a number or shape (k, {self.objective.dim})"
                raise ValueError(f"points has shape {given.shape}; expected {wanted}")
            return [np.ascontiguousarray(w) for w in given]
        spreads = (1.0, 0.1, 3.0, 0.3)
        drawn = [self.draw(spreads[i % 4]) for i in range(points if self.size <= SMALL else 1)]
        return [*([start.copy()] if start is not None else []), *drawn]

    def draw(self, spread: float = 1.0) -> FloatArray:
        """A random point, inside the box by a margin."""
        return self.inside(self.centre + spread * self.scale * self.rng.uniform(-1.0, 1.0, self.objective.dim))

    def inside(self, w: FloatArray) -> FloatArray:
        """The point moved into the box."""
        box = self.objective.box
        return w if box is None else np.clip(w, *box)

    def value(self, w: FloatArray) -> float:
        """f(w), asked once a point."""
        key = w.tobytes()
        if key not in self.values:
            self.values[key] = self.guarded_value.number(w=w, params=self.objective.params)
        return self.values[key]

    def gradient(self, w: FloatArray) -> FloatArray:
        """The gradient at w, NaN where it is not written; asked once a point."""
        key = w.tobytes()
        if key not in self.gradients:
            out = np.full(self.objective.dim, np.nan)
            self.guarded_gradient(w=w, params=self.objective.params, out=out)
            self.gradients[key] = out
        return self.gradients[key]


def _region(objective: Objective, start: FloatArray | None) -> tuple[FloatArray, FloatArray]:
    """Middle and half width, per coordinate, of where points are drawn."""
    d = objective.dim
    anchors = [a for a in (objective.minimizer, start) if a is not None]
    centre = np.mean(anchors, axis=0) if anchors else np.zeros(d)
    scale = 2.0 * np.abs(anchors[0] - centre) if len(anchors) == 2 else np.ones(d)
    scale[scale == 0.0] = 1.0
    if objective.box is not None:
        lo, hi = objective.box
        finite = np.isfinite(hi - lo)
        centre = np.where(finite, (lo + hi) / 2, np.clip(centre, lo, hi))
        scale = np.where(finite, 0.49 * (hi - lo), scale)
    return centre, scale


def check_objective(
    objective: Objective, points: int | FloatArray = 4, start: FloatArray | None = None, seed: int = 0,
    functions: bool = True,
) -> Iterator[Finding]:  # fmt: skip
    """Everything found wrong with an objective; `functions` False looks at the certified constants only."""
    land = Landscape(objective, points, start, seed)
    name = f"objective '{objective.name}'"
    checks: list[Callable[[Landscape], Iterator[tuple[str, str]]]] = [usable_points]
    if functions:
        checks += [slopes, joined]
        if objective.sample_gradient is not None:
            checks += [rows]
    checks += [curvature, at_the_minimizer, lowest]
    for check in checks:
        try:
            with np.errstate(all="ignore"), promised("coordinatewise") if check is joined else nullcontext():
                found = list(check(land))
        except Fault as fault:
            found = [(fault.rule, fault.sentence)]
        yield from (Finding(name, rule, sentence) for rule, sentence in found)
        if found and check is usable_points:
            return


def usable_points(land: Landscape) -> Iterator[tuple[str, str]]:
    """Value and gradient are numbers; a point where they overflow is left out."""
    f, kept = land.objective, []
    for w in land.points:
        value, gradient = land.value(w), land.gradient(w)
        bad = np.flatnonzero(np.isnan(gradient))
        if np.isfinite(value) and bad.size:
            untouched = "is not written" if _untouched(land, w, bad[0]) else "is NaN"
            yield "gradient", (
                f"gradient[{bad[0]}] {untouched} at w = {shown(w)}; the gradient function must write every entry of "
                "`out`, which holds whatever was there before"
            )
            return
        if np.isfinite(value) and np.isfinite(gradient).all():
            kept.append(w)
        elif np.isnan(value):
            where = "inside the box" if f.box is not None else "where a simulation may go"
            yield "finite", f"value = {value:g} at w = {shown(w)}, {where}; expected a number"
            return
    if not kept and land.points:
        yield "finite", (
            f"value or gradient is infinite at every point tried, such as w = {shown(land.points[0])}; "
            "pass points= where they are finite"
        )
    land.points = kept


def _untouched(land: Landscape, w: FloatArray, j: int) -> bool:
    out = np.full(land.objective.dim, 0.125)
    land.guarded_gradient(w=w, params=land.objective.params, out=out)
    return out[j] == 0.125


def slopes(land: Landscape) -> Iterator[tuple[str, str]]:
    """The gradient against differences of the value: single coordinates, then random directions."""
    d, small = land.objective.dim, land.size <= SMALL
    for w in land.points if small else land.points[:1]:
        if land.objective.box is not None:  # differences stay in the box
            w = land.centre + (1.0 - 2.0**-8) * (w - land.centre)
        g = land.gradient(w)
        noise = rounding(land.value, w, land.scale)
        if not (np.isfinite(g).all() and np.isfinite(noise)):
            continue
        chosen = land.rng.permutation(d)[: 4 if small else 1]
        for j in (*chosen, None):
            v = land.scale * land.rng.choice([-1.0, 1.0], d)
            if j is not None:
                v = np.where(np.arange(d) == j, land.scale, 0.0)
            answer = compare(land.value, w, v, float(g @ v), noise)
            if answer.right is False:
                size = land.scale[j] if j is not None else 1.0
                what = f"gradient[{j}]" if j is not None else f"the gradient along v = {shown(v)}"
                yield "gradient", (
                    f"{what} = {float(g @ v) / size:.6g} at w = {shown(w)}, but differences of the value give "
                    f"{answer.low / size:.6g} to {answer.high / size:.6g}; value and gradient belong to different "
                    "functions: correct one of them"
                )
                return


def joined(land: Landscape) -> Iterator[tuple[str, str]]:
    """A coordinatewise objective gives the same numbers when replicas are joined and when blocks are cut out."""
    f, d = land.objective, land.objective.dim
    if not f.coordinatewise or not land.points:
        return
    a, b = land.points[0], land.points[-1]
    blocks = [slice(0, d // 2), slice(d // 2, d)] if d > 1 else [slice(0, d)]
    ways = {
        "two replicas are joined": [(np.concatenate([a, b]), spread(f.params, d, 2))],
        "two blocks of coordinates are cut out": [(a[s].copy(), spread(f.params, d, 1, s)) for s in blocks],
    }
    for way, parts in ways.items():
        points = (a, b) if "replicas" in way else (a,)
        expected, total = np.concatenate([land.gradient(w) for w in points]), sum(land.value(w) for w in points)
        found, value = np.full(expected.size, np.nan), 0.0
        at = 0
        for w, params in parts:
            land.guarded_gradient(w=w, params=params, out=found[at : at + w.size])
            value += land.guarded_value.number(w=w, params=params)
            at += w.size
        if not np.allclose(found, expected, rtol=1e-9, atol=1e-12 * np.abs(expected).max(initial=0.0)):
            j = int(np.argmax(np.abs(found - expected)))
            yield "coordinatewise", (
                f"coordinatewise=True, but gradient[{j}] is {expected[j]:.9g} alone and {found[j]:.9g} when {way}. "
                + _ADVICE
            )
            return
        noise = rounding(land.value, a, land.scale)
        if np.isfinite(noise) and not np.isclose(value, total, rtol=1e-9, atol=2.0 * noise):
            yield "coordinatewise", (
                f"coordinatewise=True, but the values add up to {total:.9g} alone and to {value:.9g} when {way}. "
                + _ADVICE
            )
            return


_ADVICE = (
    "Leave coordinatewise=False unless the value is a plain sum over coordinates and neither function uses w.size, an "
    "index into w or an array of params other than by its own coordinate"
)


def rows(land: Landscape) -> Iterator[tuple[str, str]]:
    """The mean over all rows is the gradient, and the spread of single rows is at most `sample_sigma`."""
    f, d = land.objective, land.objective.dim
    if f.samples is None or not land.points:
        return
    sample = Guarded(f.sample_gradient, "sample_gradient", ("out",), large=land.size > LARGE)  # type: ignore[arg-type]

    def mean(numbers: np.ndarray, w: FloatArray) -> FloatArray:
        out = np.full(d, np.nan)
        sample(w=w, params=f.params, rows=numbers, out=out)
        return out

    w = land.points[0]
    whole, g = mean(np.arange(f.samples), w), land.gradient(w)
    noise = 1e-9 * np.abs(g).max(initial=0.0) + 1e-12
    if not np.allclose(whole, g, rtol=1e-9, atol=noise):
        j = int(np.argmax(np.abs(whole - g)))
        yield "rows", (
            f"the mean of sample_gradient over all {f.samples} rows has entry [{j}] = {whole[j]:.9g} at w = "
            f"{shown(w)}, and gradient[{j}] = {g[j]:.9g}; minibatch noise would be biased: make them agree"
        )
        return
    chosen = np.arange(f.samples) if f.samples <= 64 else land.rng.choice(f.samples, 64, replace=False)
    each = np.array([mean(np.array([i]), w) for i in chosen])
    together = mean(chosen, w)
    if not np.allclose(each.mean(axis=0), together, rtol=1e-9, atol=1e-9 * np.abs(each).max() + 1e-300):
        yield "rows", "sample_gradient over several rows is not the mean over single rows; divide by rows.size"
    elif f.sample_sigma is not None and f.samples <= 64:
        over = each.std(axis=0) > f.sample_sigma * (1.0 + 1e-6) + noise
        if over.any():
            j = int(np.argmax(over))
            yield "sample_sigma", (
                f"sample_sigma[{j}] = {f.sample_sigma[j]:.6g}, but the rows' gradients at w = {shown(w)} have standard "
                f"deviation {each.std(axis=0)[j]:.6g}; state an upper bound over the box"
            )
