"""When does the best step size of a sign method fall again as the batch grows?

One iteration: the exact formula of arXiv 2405.14578 and its small-batch form against Monte Carlo for four quadratics in
50 coordinates with curvatures from 1 to 0.01, sigma = 1 and a gradient H w of root mean square 0.02; the axis-aligned
one is the control, and the law of SGD stands beside them. Several iterations: the constant step size that reaches a
loss first, against the batch, at three losses: sign descent on two of the quadratics (shares of the first gap, gradient
0.05), and sign descent, Adam and, as a control, AdaGrad-Norm on digits. Is there a peak, and does it move to larger
batches as the loss falls?
"""

import numpy as np
from _first_passage import TIES, fastest, report
from _one_step import BATCHES, hessian, one_step, place, sgd_step_size
from scipy.optimize import least_squares

import anisotropic as an

ONE_STEP = ["axis aligned", "rotated", "rotated and w ~ H^-1/2", "coupled by ones"]
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


def tuned(problem, optimizer, batch, replicas, seed):
    """The constant step size that reaches each loss first."""
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

    def losses(step_size):
        run = an.simulate(
            f, getattr(an.optimizers, optimizer)(float(step_size)), noise=noise, start=start, steps=steps, records=60,
            batch_size=batch, replicas=replicas, seed=seed, running_means=False, threads=1,
        )  # fmt: skip
        return run.steps, np.nan_to_num(run.value.mean(axis=0), nan=np.inf)

    return fastest(losses, grid, np.array(LEVELS[problem]) * unit)


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
    rows = [{"draw": c.point["draw"]} | one_step_row(c.point["case"], c.arrays) for c in results.cells(case=cases)]
    results.save_csv("one_step", rows)
    spans = [span(case, [row for row in rows if row["case"] == case]) for case in cases]
    for columns in (("case", "B_noise", "limit / peak", "surge"),
                    ("case", "R2 exact", "R2 small B", "R2 all B", "R2 SGD law 1", "R2 SGD law .5")):  # fmt: skip
        results.table([{k: row[k] for k in columns} for row in spans], title="One iteration, over all points drawn")
    if "SGD" in results.axes["case"]:
        a = results.one(case="SGD")
        results.say(
            f"SGD, rotated: eps_max/(1 + B_noise/B) has R^2 = {score(a['measured'], a['exact']):.6f}; B_noise = "
            f"{float(a['noise batch']):.4g} against tr(Sigma)/|G|^2 = {float(a['simple']):.4g}: not interchangeable."
        )
    runs = [(c.removeprefix("steps: "), m) for c in results.axes["case"] if c.startswith("steps")
            for m in results.axes["optimizer"] if f"{c.removeprefix('steps: ')} {m}" in GRIDS]  # fmt: skip
    found = {run: {k: results.array(k, case=f"steps: {run[0]}", optimizer=run[1], draw=results.axes["draw"][0])
                   for k in ("step_size", "edge")} for run in runs}  # fmt: skip
    report(results, found, LEVELS)
    draw(results, cases, found)


def one_step_row(case, a):
    found, low = a["measured"], a["small range"] >= BATCHES
    inside = 0 < np.argmax(found) < found.size - 1
    return {
        "case": case, "B_noise": float(a["noise batch"]),
        "peak B": int(BATCHES[np.argmax(found)]) if inside else "none (edge of the grid)",
        "limit / peak": float(a["limit"]) / a["exact"].max(), "R2 exact": score(found, a["exact"]),
        "R2 gain": score(a["gain"], a["exact gain"]), "R2 small B": score(found[low], a["small"][low]),
        "R2 all B": score(found, a["small"]), "R2 SGD law 1": fitted(found, 1), "R2 SGD law .5": fitted(found, 0.5),
    }  # fmt: skip


def span(case, rows):
    """Smallest and largest values over the places; a surge where the best step size ends below its peak."""
    told = {}
    for name in rows[0].keys() - {"case", "peak B"}:
        low, high = min(r[name] for r in rows), max(r[name] for r in rows)
        told[name] = f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
    return {**told, "case": case, "surge": f"{sum(r['limit / peak'] < 1 - TIES for r in rows)} of {len(rows)}"}


def draw(results, cases, found):
    looks = ("-o", "--s", "-.^", ":D")
    panels = [None, *found]

    def panel(ax, row, column):
        chosen = panels[3 * row + column :][:1]
        if not chosen:
            ax.set_axis_off()
        elif chosen[0] is None:
            for i, case in enumerate(cases):
                a = results.one(case=case, draw=results.axes["draw"][0])
                ax.plot(BATCHES, a["exact"], looks[i][:-1], color=f"C{i}", label=case)
                ax.plot(BATCHES, a["measured"], looks[i][-1], color=f"C{i}", markersize=3)
            ax.set(ylabel="best step size", title="one iteration (dots: measured)")
        else:
            problem, method = chosen[0]
            for k, values in enumerate(found[chosen[0]]["step_size"].T):
                ax.plot(results.axes["batch"], values, looks[k], color=f"C{k}", markersize=3,
                        label=("largest", "middle", "smallest")[k] + " loss")  # fmt: skip
            ax.set(ylabel="tuned step size", title=f"{problem}, {an.plotting.title(method)}")
        ax.set(xscale="log", yscale="log", xlabel="batch size")

    rows = range(-(-len(panels) // 3))
    figure = an.plotting.page(rows, range(3), panel, height=2.3 * len(rows) + 0.8, share="", legend_columns=4)
    results.save_figure(figure, "surge")


if __name__ == "__main__":
    raise SystemExit(an.study.main())
