"""Which constant step size reaches a loss first, and does it peak at some batch size?"""

import numpy as np

import anisotropic as an

TIES = 0.05


def fastest(losses, grid, levels):
    """Iterations to each level for every step size, `losses(step_size)` giving iterations and losses; the best ones."""
    curves = [losses(step_size) for step_size in grid]
    first = np.array([[passage(*curve, level) for level in levels] for curve in curves])
    best = [minimum(np.log2(grid), np.log(column)) for column in first.T]
    return {"first": first, "step_size": np.array([2.0**x for x, _ in best]), "edge": np.array([e for _, e in best])}


def passage(steps, loss, level):
    """Iterations to the level, interpolated between records."""
    hit = np.flatnonzero(loss <= level)
    if not hit.size:
        return np.inf
    k = hit[0]
    if k == 0 or not np.isfinite(loss[k - 1]):
        return float(steps[k])
    share = (loss[k - 1] - level) / (loss[k - 1] - loss[k])
    return float(steps[k - 1] + share * (steps[k] - steps[k - 1]))


def minimum(x, y):
    """Place of the smallest value by a parabola through its neighbors, and whether it lies at the grid's edge."""
    if not np.isfinite(y).any():
        return np.nan, False
    k = int(np.argmin(y))
    if k in (0, x.size - 1):
        return x[k], True
    bend = y[k - 1] - 2 * y[k] + y[k + 1]
    if not np.isfinite(bend) or bend <= 0:
        return x[k], False
    return x[k] + 0.5 * (x[1] - x[0]) * (y[k - 1] - y[k + 1]) / bend, False


def peak(batches, column):
    """The batch with the largest step size, where smaller and larger batches want smaller ones by more than ties."""
    if not np.isfinite(column).any():
        return None
    top = int(np.nanargmax(column))
    sides = (column[:top], column[top + 1 :])
    low = (1 - TIES) * column[top]
    return int(batches[top]) if all(np.any(side[np.isfinite(side)] < low) for side in sides) else None


def report(results, found, levels):
    """Is there a peak that stands out of the rest by more than ties, and where is it at each loss?"""
    rows, peaks, batches = [], [], np.array(results.axes["batch"])
    for (problem, method), a in found.items():
        seen = [peak(batches, column) for column in a["step_size"].T]
        for level, column in zip(levels[problem], a["step_size"].T, strict=True):
            rows.append({"problem": problem, "method": method, "loss": level}
                        | {f"B={B}": float(s) for B, s in zip(batches, column, strict=True)})  # fmt: skip
        known = [p for p in seen if p is not None]
        moves = "unknown" if len(known) < 2 else "yes" if known == sorted(known) and known[0] < known[-1] else "no"
        peaks.append({"problem": problem, "method": an.plotting.title(method)}
                     | {f"{name} loss": "none" if p is None else f"B = {p}"
                        for name, p in zip(("largest", "middle", "smallest"), seen, strict=True)}
                     | {"moves": moves, "at edge": int(np.nansum(a["edge"]))})  # fmt: skip
    results.save_csv("tuned", rows)
    results.table(rows, title="Step size that reaches a loss first")
    results.table(peaks, title="Where it peaks; does the peak move to larger batches as the loss falls?")
