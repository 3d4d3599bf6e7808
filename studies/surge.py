"""Where does the best step size of a sign method fall again as the batch grows? Where coordinates are coupled.

One step: the exact formula of arXiv 2405.14578 and its small-batch form against Monte Carlo for four quadratics in 50
coordinates with curvatures from 1 to 0.01, sigma = 1 and a gradient H w of root mean square 0.02; the axis-aligned one
is the control, and the law of SGD stands beside them. Several steps: the constant step size that reaches a loss first,
against the batch, at three losses: sign descent on two of the quadratics (shares of the first gap, gradient 0.05), and
sign descent, Adam and, as a control, AdaGrad-Norm on digits. Is there a peak, does it move to larger batches as the
loss falls?
"""

import numpy as np
from scipy.optimize import least_squares

import anisotropic as an

DIM, DRAWS, TIES = 50, 4000, 0.05
ONE_STEP = ["axis aligned", "rotated", "rotated and w ~ H^-1/2", "coupled by ones"]
BATCHES = np.unique(np.round(np.geomspace(1, 31623, 24)).astype(int))
AXES = {
    "case": [*ONE_STEP, "SGD", "steps: axis aligned", "steps: coupled by ones", "steps: digits"],
    "optimizer": ["sign_sgd", "adam", "adagrad_norm"],
    "batch": [2, 8, 32, 128, 512, 2048, 8192],
    "draw": [1, 2, 3, 4, 5],
    "replicas": [8],
}
QUICK = {
    "case": [*ONE_STEP, "SGD", "steps: digits"], "optimizer": ["sign_sgd"], "batch": [8, 128, 2048], "draw": [1],
    "replicas": [2],
}  # fmt: skip
GRIDS = {
    "digits sign_sgd": 2.0 ** np.arange(-11, 2), "digits adam": 2.0 ** np.arange(-11, 2),
    "digits adagrad_norm": 2.0 ** np.arange(-5, 8), "axis aligned sign_sgd": 2.0 ** np.arange(-13, 0, 0.5),
    "coupled by ones sign_sgd": 2.0 ** np.arange(-13, 0, 0.5),
}  # fmt: skip
LEVELS = {"digits": (0.45, 0.40, 0.36), "axis aligned": (0.5, 0.25, 0.1), "coupled by ones": (0.5, 0.25, 0.1)}


def include(case, optimizer, batch, draw, replicas):
    if case.startswith("steps"):
        return draw == 1 and (case == "steps: digits" or optimizer == "sign_sgd")
    return optimizer == "sign_sgd" and batch == 8 and (draw == 1 or case in ONE_STEP)


def cell(case, optimizer, batch, draw, replicas, seed):
    if case in ONE_STEP:
        return one_step(case, seed)
    if case == "SGD":
        return sgd_step_size(seed)
    return tuned(case.removeprefix("steps: "), optimizer, batch, replicas, seed)


def hessian(case, rng):
    h = np.geomspace(1.0, 0.01, DIM)
    if case.startswith("rotated"):
        q = np.linalg.qr(rng.normal(size=(DIM, DIM)))[0]
        return q @ np.diag(h) @ q.T
    return np.diag(h) + (0.2 if case == "coupled by ones" else 0.0)


def place(case, H, rng):
    """The gradient H w, with w normal, of covariance H^-1, or of positive entries."""
    w = rng.normal(size=DIM)
    if case.endswith("H^-1/2"):
        values, vectors = np.linalg.eigh(H)
        w = vectors @ (values**-0.5 * w)
    gradient = H @ (np.abs(w) if case == "coupled by ones" else w)
    return 0.02 * gradient / np.sqrt(np.mean(gradient**2))


def one_step(case, seed):
    """Best steps and gains over 24 batches: minima of the simulated quadratic in the step, and the formulas."""
    rng = np.random.default_rng(seed)
    H = hessian(case, rng)
    mean = place(case, H, rng)
    measured, gain = np.empty((2, BATCHES.size))
    for i, B in enumerate(BATCHES):
        s = np.sign(mean + rng.normal(size=(DRAWS, DIM)) / np.sqrt(B))
        slope, curvature = (s @ mean).mean(), np.einsum("ni,ij,nj->n", s, H, s, optimize=True).mean()
        measured[i], gain[i] = slope / curvature, slope**2 / (2 * curvature)
    model = (mean, np.ones(DIM), H)
    try:
        small = an.surge.optimal_step_size(BATCHES, *model, form="small_batch")
    except ValueError:  # a negative B_noise: beyond it the form has no best step size
        small = np.full(BATCHES.size, np.nan)
    return {
        "measured": measured, "gain": gain, "exact": an.surge.optimal_step_size(BATCHES, *model), "small": small,
        "exact gain": an.surge.best_gain(BATCHES, *model), "noise batch": an.surge.noise_batch_size(*model),
        "limit": an.surge.optimal_step_size(1.0, *model, form="large_batch"),
        "small range": 0.1 * np.median(np.pi / (2 * mean**2)),
    }  # fmt: skip


def sgd_step_size(seed):
    """The law of SGD on the rotated quadratic, with normal gradients."""
    rng = np.random.default_rng(seed)
    H = hessian("rotated", rng)
    mean, measured = place("rotated", H, rng), np.empty(BATCHES.size)
    for i, B in enumerate(BATCHES):
        g = mean + rng.normal(size=(5 * DRAWS, DIM)) / np.sqrt(B)
        measured[i] = (g @ mean).mean() / np.einsum("ni,ij,nj->n", g, H, g, optimize=True).mean()
    return {
        "measured": measured, "exact": an.surge.sgd_optimal_step_size(BATCHES, mean, 1.0, H),
        "noise batch": an.surge.sgd_noise_batch_size(mean, 1.0, H), "simple": DIM / np.sum(mean**2),
    }  # fmt: skip


def tuned(problem, optimizer, batch, replicas, seed):
    """Steps to each loss for every constant step size of the grid; the best one, between grid points by a parabola."""
    grid, steps = GRIDS[f"{problem} {optimizer}"], 200 if problem == "digits" else 400
    if problem == "digits":
        f = an.problems.logistic_regression(*an.datasets.load("digits"), l2=1e-3)
        start, unit, noise = 0.0, 1.0, an.noises.minibatch(replace=True)
    else:
        rng = np.random.default_rng(0)  # one place for all batches
        H = hessian(problem, rng)
        values, vectors = np.linalg.eigh(H)
        f, noise = an.problems.quadratic(values, rotation=vectors.T), an.noises.gaussian(1.0)
        start = 2.5 * np.linalg.solve(H, place("w ~ H^-1/2", H, rng))
        unit = start @ H @ start / 2
    first = np.full((grid.size, 3), np.inf)
    for i, step_size in enumerate(grid):
        run = an.simulate(
            f, getattr(an.optimizers, optimizer)(float(step_size)), noise=noise, start=start, steps=steps, records=60,
            batch_size=batch, replicas=replicas, seed=seed, running_means=False, threads=1,
        )  # fmt: skip
        loss = np.nan_to_num(run.value.mean(axis=0), nan=np.inf)
        for k, level in enumerate(LEVELS[problem]):
            first[i, k] = passage(run.steps, loss, level * unit)
    best = [minimum(np.log2(grid), np.log(first[:, k])) for k in range(3)]
    edges = np.array([edge for _, edge in best])
    return {"first": first, "step_size": np.array([2.0**x for x, _ in best]), "edge": edges}


def passage(steps, loss, level):
    """Steps to the level, interpolated between records."""
    hit = np.flatnonzero(loss <= level)
    if not hit.size:
        return np.inf
    k = hit[0]
    if k == 0 or not np.isfinite(loss[k - 1]):
        return float(steps[k])
    share = (loss[k - 1] - level) / (loss[k - 1] - loss[k])
    return float(steps[k - 1] + share * (steps[k] - steps[k - 1]))


def minimum(x, y):
    """Place of the smallest value by a parabola through its neighbours, and whether it lies at the grid's edge."""
    if not np.isfinite(y).any():
        return np.nan, False
    k = int(np.argmin(y))
    if k in (0, x.size - 1):
        return x[k], True
    bend = y[k - 1] - 2 * y[k] + y[k + 1]
    if not np.isfinite(bend) or bend <= 0:
        return x[k], False
    return x[k] + 0.5 * (x[1] - x[0]) * (y[k - 1] - y[k + 1]) / bend, False


def score(found, model):
    """R^2."""
    return 1 - np.sum((found - model) ** 2) / np.sum((found - found.mean()) ** 2)


def fitted(found, power):
    """R^2 of the best eps_max/(1 + B_0/B)^power."""

    def law(p):
        return np.exp(p[0]) / (1 + np.exp(p[1]) / BATCHES) ** power

    starts = [least_squares(lambda p: (law(p) - found) / found.max(), [np.log(found.max()), b]) for b in (2, 5, 8)]
    return score(found, law(min(starts, key=lambda s: s.cost).x))


def plot(results):
    cases = [c for c in results.axes["case"] if c in ONE_STEP]
    every = [{"draw": c.point["draw"]} | one_step_row(c.point["case"], c.arrays) for c in results.cells(case=cases)]
    results.save_csv("one_step", every)
    rows = [row for row in every if row["draw"] == results.axes["draw"][0]]
    for columns in (("case", "B_noise", "peak B", "limit / peak", "R2 exact", "R2 gain"),
                    ("case", "R2 small B", "R2 all B", "R2 SGD law 1", "R2 SGD law .5")):  # fmt: skip
        results.table([{k: row[k] for k in columns} for row in rows], title="One step")
    for case in cases:
        say_one_step(results, case, [row for row in every if row["case"] == case])
    if "SGD" in results.axes["case"]:
        a = results.one(case="SGD")
        results.say(
            f"SGD, rotated: eps_max/(1 + B_noise/B) has R^2 = {score(a['measured'], a['exact']):.6f}; B_noise = "
            f"{float(a['noise batch']):.4g} against tr(Sigma)/|G|^2 = {float(a['simple']):.4g}: not interchangeable."
        )
    steps = [c.removeprefix("steps: ") for c in results.axes["case"] if c.startswith("steps")]
    report_tuned(results, steps)
    draw(results, cases, steps)


def say_one_step(results, case, rows):
    """The claims over all places drawn."""
    spans = {}
    for name in ("B_noise", "limit / peak", "R2 exact", "R2 small B", "R2 all B"):
        low, high = min(r[name] for r in rows), max(r[name] for r in rows)
        spans[name] = f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
    surge = [r["limit / peak"] < 1 - TIES for r in rows]
    results.say(
        f"{case}, {len(rows)} places: B_noise {spans['B_noise']}; R^2 of the exact formula {spans['R2 exact']}, of the "
        f"small-batch form {spans['R2 small B']} on small batches and {spans['R2 all B']} on all; with B the best step "
        f"size goes to {spans['limit / peak']} of its peak on the grid: a surge in {sum(surge)} of {len(rows)}."
    )


def one_step_row(case, a):
    found, low = a["measured"], a["small range"] >= BATCHES
    inside = 0 < np.argmax(found) < found.size - 1
    return {
        "case": case, "B_noise": float(a["noise batch"]),
        "peak B": int(BATCHES[np.argmax(found)]) if inside else "none (grid end)",
        "limit / peak": float(a["limit"]) / a["exact"].max(), "R2 exact": score(found, a["exact"]),
        "R2 gain": score(a["gain"], a["exact gain"]), "R2 small B": score(found[low], a["small"][low]),
        "R2 all B": score(found, a["small"]), "R2 SGD law 1": fitted(found, 1), "R2 SGD law .5": fitted(found, 0.5),
    }  # fmt: skip


def report_tuned(results, problems):
    """Is there a peak that stands out of the rest by more than ties, and where is it at each loss?"""
    rows, batches = [], np.array(results.axes["batch"])
    for problem in problems:
        for method in results.axes["optimizer"]:
            if f"{problem} {method}" not in GRIDS:
                continue
            chosen = dict(case=f"steps: {problem}", optimizer=method, draw=results.axes["draw"][0])
            steps, edges = results.array("step_size", **chosen), results.array("edge", **chosen)
            peaks = []
            for level, column in zip(LEVELS[problem], steps.T, strict=True):
                rows.append({"problem": problem, "method": method, "loss": level}
                            | {f"B={B}": float(s) for B, s in zip(batches, column, strict=True)})  # fmt: skip
                peaks.append(peak(batches, column))
            ends = [column[np.isfinite(column)][-1:] / np.nanmax(column, initial=0.0) for column in steps.T]
            told = ", ".join(f"{level:g}: {'none' if p is None else f'B = {p}'} (ends at {end[0]:.2f} of the largest)"
                             for level, p, end in zip(LEVELS[problem], peaks, ends, strict=True)
                             if end.size)  # fmt: skip
            seen = [p for p in peaks if p is not None]
            moves = "not answered (fewer than two peaks)" if len(seen) < 2 else (
                "yes" if seen == sorted(seen) and seen[0] < seen[-1] else "no")  # fmt: skip
            results.say(
                f"{problem}, {an.plotting.title(method)}, peak of the tuned step size by loss: {told}. Does it move to "
                f"larger batches as the loss falls? {moves}. Best steps at the grid's edge: {int(np.nansum(edges))}."
            )
            chosen = [r for r in rows if (r["problem"], r["method"]) == (problem, method)]
            results.table([{k: v for k, v in r.items() if k not in ("problem", "method")} for r in chosen],
                          title=f"Tuned step to a loss: {problem}, {an.plotting.title(method)}")  # fmt: skip
    results.save_csv("tuned", rows)


def peak(batches, column):
    """The batch with the largest step size, where smaller and larger batches want steps smaller by more than ties."""
    if not np.isfinite(column).any():
        return None
    top = int(np.nanargmax(column))
    sides = (column[:top], column[top + 1 :])
    low = (1 - TIES) * column[top]
    return int(batches[top]) if all(np.any(side[np.isfinite(side)] < low) for side in sides) else None


def draw(results, cases, problems):
    looks, panels = ("-o", "--s", "-.^", ":D"), [(p, m) for p in problems for m in results.axes["optimizer"]
                                                 if f"{p} {m}" in GRIDS]  # fmt: skip
    with an.plotting.style("page"):
        count = -(-(1 + len(panels)) // 3)
        figure, axes = an.plotting.subplots("page", count, 3, height=2.3 * count, squeeze=False)
        for i, case in enumerate(cases):
            a = results.one(case=case, draw=results.axes["draw"][0])
            axes[0, 0].plot(BATCHES, a["exact"], looks[i][:-1], color=f"C{i}", label=case)
            axes[0, 0].plot(BATCHES, a["measured"], looks[i][-1], color=f"C{i}", markersize=3)
        axes[0, 0].set(xscale="log", yscale="log", xlabel="batch size", ylabel="best single step",
                       title="one step: formula, dots measured")  # fmt: skip
        if cases:
            axes[0, 0].legend(fontsize="xx-small")
        batches = np.array(results.axes["batch"])
        for ax, (problem, method) in zip(axes.flat[1:], panels, strict=False):
            steps = results.array("step_size", case=f"steps: {problem}", optimizer=method, draw=results.axes["draw"][0])
            for k, level in enumerate(LEVELS[problem]):
                ax.plot(batches, steps[:, k], looks[k], color=f"C{k}", markersize=3, label=f"loss {level:g}")
            ax.set(xscale="log", yscale="log", xlabel="batch size", ylabel="tuned step size",
                   title=f"{problem}, {an.plotting.title(method)}")  # fmt: skip
            ax.legend(fontsize="xx-small")
        for ax in axes.flat[1 + len(panels) :]:
            ax.set_axis_off()
    results.save_figure(figure, "surge")


if __name__ == "__main__":
    raise SystemExit(an.study.main())
