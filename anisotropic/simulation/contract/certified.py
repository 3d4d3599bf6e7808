r"""Do the constants of an objective hold? Smoothness, convexity, bounds and the minimum, at random points and pairs.

Between two points the averaged Hessian H satisfies g(b) - g(a) = H (b - a) and the same limits as everywhere,
-diag(L) <= H <= diag(L), so that sum_j (dg_j)^2 / L_j <= sum_j L_j (dw_j)^2 at any distance. The direction is turned
toward the largest curvature, which single coordinates would miss, by a few power iterations dw <- dg / L.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from ...records import FloatArray, Objective
from .findings import shown
from .slopes import EPS, JITTER, rounding

MARGIN = 1e-6  # relative excess over a certified constant that is taken for rounding
TIGHT = 1e-9  # the same for values, which a minimum must match


class Land(Protocol):
    """What is asked of `objective.Landscape` here."""

    objective: Objective
    points: list[FloatArray]
    scale: FloatArray
    rng: np.random.Generator

    def value(self, w: FloatArray) -> float: ...
    def gradient(self, w: FloatArray) -> FloatArray: ...
    def inside(self, w: FloatArray) -> FloatArray: ...
    def draw(self, spread: float = 1.0) -> FloatArray: ...


def gradient_rounding(land: Land, w: FloatArray) -> FloatArray:
    """How far rounding moves each entry of the gradient near w."""
    g = land.gradient(w)
    near = land.gradient(w + JITTER * land.scale)
    return 8.0 * np.abs(near - g) + 64.0 * EPS * (np.abs(g) + np.abs(g).max(initial=0.0))


def pairs(land: Land) -> Iterator[tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]]:
    """Points a and b with their gradients and the rounding of the difference, at three distances."""
    L = land.objective.smoothness
    for a in land.points:
        ga, noise = land.gradient(a), gradient_rounding(land, a)
        v = land.scale * land.rng.standard_normal(land.objective.dim)
        for reach in (1.0, 0.03, 0.03, 1e-3):
            longest = np.abs(v / land.scale).max()
            if not longest > 0.0:
                break
            b = land.inside(a + reach / longest * v)
            gb = land.gradient(b)
            if not np.isfinite(gb).all():
                continue
            yield a, b, ga, gb, noise
            change = (gb - ga) if L is None else np.divide(gb - ga, L, out=np.zeros_like(gb), where=L > 0.0)
            v = change if np.abs(change).max() > 0.0 else v


def curvature(land: Land) -> Iterator[tuple[str, str]]:
    """Smoothness in all directions, convexity, generalized smoothness and separability."""
    f = land.objective
    for a, b, ga, gb, noise in pairs(land):
        dw, dg = b - a, gb - ga
        if f.smoothness is not None and (sentence := _too_steep(f.smoothness, dw, dg, noise, a)):
            yield "smoothness", sentence
            break
        turn = float(dg @ dw)
        if "convex" in f.properties and turn < -float(noise @ np.abs(dw)) - MARGIN * float(np.abs(dg) @ np.abs(dw)):
            yield "convex", (
                f"properties say 'convex', but along b - a the gradient falls: (g(b) - g(a)).(b - a) = {turn:.6g} at "
                f"a = {shown(a)}, b = {shown(b)}; leave the property out, or correct the gradient"
            )
            break
    yield from _generalized(land)
    yield from _separable(land)
    yield from _left(land)


def _too_steep(L: FloatArray, dw: FloatArray, dg: FloatArray, noise: FloatArray, a: FloatArray) -> str:
    flat = L == 0.0
    if (np.abs(dg[flat]) > noise[flat]).any():
        j = int(np.flatnonzero(flat)[np.argmax(np.abs(dg[flat]))])
        return f"smoothness[{j}] = 0, but gradient[{j}] changes by {dg[j]:.6g} near w = {shown(a)}; state a larger L"
    right = float(L @ dw**2)
    excess = np.maximum(np.abs(dg[~flat]) - noise[~flat], 0.0)
    left = float((excess**2 / L[~flat]).sum())
    if left <= right * (1.0 + MARGIN) ** 2 or right == 0.0:
        return ""
    factor = np.sqrt(left / right)
    return (
        f"smoothness = {shown(L)} is too small: near w = {shown(a)} the curvature along {shown(dw / np.abs(dw).max())} "
        f"is {factor:.6g} times what it allows. L must satisfy -diag(L) <= Hessian <= diag(L) in all directions, "
        "not one coordinate at a time; see an.smoothness.gershgorin"
    )


def _left(land: Land) -> Iterator[tuple[str, str]]:
    """tr(dG' L^+ dG) <= tr(dW' L dW) between two points, with directions turned toward the largest curvature."""
    f = land.objective
    if f.left_smoothness is None or f.shape is None:
        return
    values, vectors = np.linalg.eigh(f.left_smoothness)
    inverse = np.divide(1.0, values, out=np.zeros_like(values), where=values > 1e-12 * max(values[-1], 0.0))
    flat = vectors[:, inverse == 0.0]
    for a in land.points:
        ga, noise = land.gradient(a).reshape(f.shape), gradient_rounding(land, a).reshape(f.shape)
        v = (land.scale * land.rng.standard_normal(f.dim)).reshape(f.shape)
        for reach in (1.0, 0.03, 0.03, 1e-3):
            b = land.inside(a + reach / np.abs(v).max() * (land.scale.max() * v).ravel())
            dg, dw = land.gradient(b).reshape(f.shape) - ga, (b - a).reshape(f.shape)
            if not np.isfinite(dg).all():
                continue
            turned, room = vectors.T @ dg, np.abs(vectors.T) @ noise
            left = float((inverse[:, None] * np.maximum(np.abs(turned) - room, 0.0) ** 2).sum())
            right = float((np.maximum(values, 0.0)[:, None] * (vectors.T @ dw) ** 2).sum())
            outside = flat.size > 0 and bool((np.abs(flat.T @ dg) > np.abs(flat.T) @ noise).any())
            if left > right * (1.0 + MARGIN) ** 2 or outside:
                factor = "infinitely many" if outside or right == 0.0 else f"{np.sqrt(left / right):.6g}"
                yield "left_smoothness", (
                    f"left_smoothness is too small: near w = {shown(a)} the curvature along one direction is {factor} "
                    "times what it allows. L must satisfy -tr(X' L X) <= Hessian(X, X) <= tr(X' L X) for every X; see "
                    "an.smoothness.left"
                )
                return
            change = (vectors * inverse) @ turned
            v = change if np.abs(change).max() > 0.0 else v


def _generalized(land: Land) -> Iterator[tuple[str, str]]:
    """|f_jj| <= L0_j + L1_j |f_j|, on short steps along single coordinates."""
    f = land.objective
    if f.generalized_smoothness is None or f.smoothness is not None:
        return
    L0, L1 = f.generalized_smoothness
    for a in land.points:
        ga, noise = land.gradient(a), gradient_rounding(land, a)
        for j in land.rng.permutation(f.dim)[:3]:
            b = a.copy()
            b[j] += 1e-5 * land.scale[j]
            b = land.inside(b)
            gb = land.gradient(b)
            h = b[j] - a[j]
            if h == 0.0 or not np.isfinite(gb[j]):
                continue
            found = (abs(gb[j] - ga[j]) - noise[j]) / h
            allowed = L0[j] + L1[j] * (max(abs(ga[j]), abs(gb[j])) + abs(gb[j] - ga[j]))
            if found > allowed * (1.0 + MARGIN):
                yield "generalized_smoothness", (
                    f"the second derivative in coordinate {j} is {found:.6g} at w = {shown(a)}, above L0 + L1 "
                    f"|gradient| = {allowed:.6g}; state larger constants"
                )
                return


def _separable(land: Land) -> Iterator[tuple[str, str]]:
    """A separable gradient does not change in one coordinate when the others move."""
    f = land.objective
    if "separable" not in f.properties or f.dim == 1 or not land.points:
        return
    a, other = land.points[0], land.draw()
    kept = land.rng.permutation(f.dim) < (f.dim + 1) // 2
    b = np.where(kept, a, other)
    ga, gb = land.gradient(a), land.gradient(b)
    off = kept & (np.abs(ga - gb) > 1e-9 * (np.abs(ga) + np.abs(gb)) + gradient_rounding(land, a))
    if off.any():
        j = int(np.argmax(off))
        yield "separable", (
            f"properties say 'separable', but gradient[{j}] goes from {ga[j]:.9g} to {gb[j]:.9g} when only other "
            f"coordinates move, at w = {shown(a)}; leave the property out"
        )


def lowest(land: Land) -> Iterator[tuple[str, str]]:
    """No point lies below the minimum, no gradient is above its bound, and the PL inequality holds."""
    f = land.objective
    for w in land.points:
        g = land.gradient(w)
        if f.gradient_bound is not None and (np.abs(g) > f.gradient_bound * (1.0 + MARGIN) + 1e-300).any():
            j = int(np.argmax(np.abs(g) - f.gradient_bound))
            yield "gradient_bound", (
                f"gradient_bound[{j}] = {f.gradient_bound[j]:.6g}, but gradient[{j}] = {g[j]:.6g} at w = {shown(w)}; "
                "state a bound over the whole box"
            )
            return
        if f.minimum is None:
            continue
        value, noise = land.value(w), rounding(land.value, w, land.scale)
        step = g / f.smoothness if f.smoothness is not None and (f.smoothness > 0.0).all() else None
        for at in [w] if step is None else [w, land.inside(w - step)]:
            if land.value(at) < f.minimum - noise - TIGHT * abs(f.minimum):
                yield "minimum", _below(f, at, land.value(at))
                return
        if f.pl_constant is not None and float(g @ g) < 2 * f.pl_constant * (value - f.minimum - noise) * (1 - MARGIN):
            yield "pl_constant", (
                f"pl_constant = {f.pl_constant:g} is too large: at w = {shown(w)} |gradient|^2 = {float(g @ g):.6g}, "
                f"below 2 mu (f - minimum) = {2 * f.pl_constant * (value - f.minimum):.6g}"
            )
            return


def _below(f: Objective, at: FloatArray, value: float) -> str:
    return (
        f"minimum = {f.minimum:.9g}, but the value is {value:.9g} at w = {shown(at)}; state the infimum over the "
        f"{'box' if f.box is not None else 'whole space'}, or None where it is unknown"
    )


def at_the_minimizer(land: Land) -> Iterator[tuple[str, str]]:
    """The declared minimizer has the declared minimum, and no descent direction that stays in the box."""
    f = land.objective
    w = f.minimizer
    if w is None:
        return
    value, g, noise = land.value(w), land.gradient(w), rounding(land.value, w, land.scale)
    if not np.isfinite(value):
        yield "minimizer", f"the value at the declared minimizer {shown(w)} is {value:g}; expected a finite number"
        return
    if f.minimum is not None and abs(value - f.minimum) > noise + TIGHT * max(abs(f.minimum), abs(value)):
        yield "minimizer", (
            f"the value at the declared minimizer {shown(w)} is {value:.9g}, but minimum = {f.minimum:.9g}; "
            "correct one of them"
        )
        return
    inner = np.full(f.dim, True) if f.box is None else (w > f.box[0]) & (w < f.box[1])
    if "interior minimizer" in f.properties and not inner.all():
        j = int(np.argmin(inner))
        yield "minimizer", (
            f"properties say 'interior minimizer', but minimizer[{j}] = {w[j]:g} lies on the edge of the box; "
            "leave the property out"
        )
    if "interior minimizer" in f.properties:
        drop = g
    else:
        drop = w - land.inside(w - g) if f.box is not None else g
    if not np.isfinite(drop).all() or not np.abs(drop).max(initial=0.0) > 0.0:
        return
    unit = drop * (land.scale.max() / np.abs(drop).max())
    for reach in 4.0 ** -np.arange(0.0, 20.0, 2.0):
        at = land.inside(w - reach * unit)
        lower = land.value(at)
        if lower < value - noise - TIGHT * abs(value):
            j = int(np.argmax(np.abs(drop)))
            yield "minimizer", (
                f"the declared minimizer {shown(w)} is none: gradient[{j}] = {g[j]:.6g} there, and the value falls "
                f"from {value:.9g} to {lower:.9g} at w = {shown(at)}; correct it, or give None"
            )
            return
