"""How does the gap grow with the dimension, and does AdaGrad escape it when smoothness and noise are sparse?

Quadratics in [-1, 1]^d with L_j = sigma_j = j^-a, minimizer 0.9, start 0: the distance grows like sqrt(d) for every a.
Mean gap after T steps with M samples each (equal steps are equal samples), at the theorems' and at tuned steps. Local
exponents in d between the last two dimensions stand beside those of the bounds at the same constants; a bound's
exponent is that of its value, not a claim that the method is as slow. AdaGrad-Norm is the control.
"""

import numpy as np

import anisotropic as an

STEPS = 500
METHODS = ("sgd", "adagrad", "adagrad_norm")
AXES = {
    "alpha": [0.0, 1.0, 2.0],
    "dim": [4, 16, 64, 256, 1024],
    "batch": [4],
    "optimizer": list(METHODS),
    "step_size": ["theorem", "tuned"],
    "replicas": [64],
}
QUICK = {"alpha": [0.0, 2.0], "dim": [16, 256], "replicas": [16]}
BOUNDS = {m: f"convex_{m}" for m in METHODS}
GRIDS = {"sgd": 2.0 ** np.arange(-8, 7), "adagrad": 2.0 ** np.arange(-8, 3), "adagrad_norm": 2.0 ** np.arange(-6, 8)}
LEVEL = 0.01


def constants(alpha, dim, batch):
    profile = an.bounds.power_law(dim, alpha)
    return {"L": profile, "sigma": profile, "R": np.full(dim, 0.9), "D": 2.0, "T": STEPS, "M": batch, "d": dim}


def cell(alpha, dim, batch, optimizer, step_size, replicas, seed):
    known = constants(alpha, dim, batch)
    f = an.problems.quadratic(known["L"], center=0.9, box=(-1, 1))
    make, bound = getattr(an.optimizers, optimizer), an.bounds[BOUNDS[optimizer]]
    common = dict(noise=an.noises.gaussian(known["sigma"]), start=0.0, batch_size=batch, steps=STEPS, threads=1)
    if step_size == "tuned":
        few = max(8, replicas // 4)
        tuning = an.tune(f, make, GRIDS[optimizer], seed=seed ^ 1, replicas=few, **common)
        run = an.simulate(f, make(tuning.best), seed=seed, records=1, replicas=replicas, **common)
        return {"gap": run.mean_gap[:, -1], "at_edge": tuning.at_edge, "best": tuning.best}
    usable = {k: v for k, v in known.items() if k in bound.constants}
    run = an.simulate(f, make(bound.tuned_step_size(**usable)), seed=seed, records=5, replicas=replicas, **common)
    return {"gap": run.mean_gap[:, -1], "at_edge": False, "verdict": an.verify(bound, run),
            "bound": bound(bound.forms[-1], **usable)}  # fmt: skip


def plot(results):
    dims, alphas, batch = np.array(results.axes["dim"]), results.axes["alpha"], results.axes["batch"][0]
    rows = []
    with an.plotting.style("page"):
        figure, axes = an.plotting.subplots("page", 2, len(alphas), height=4.8, sharex=True, squeeze=False)
        for i, step_size in enumerate(("theorem", "tuned")):
            for ax, alpha in zip(axes[i], alphas, strict=True):
                draw(ax, results, dims, dict(alpha=alpha, batch=batch, step_size=step_size), rows)
                ax.set_title(rf"$L_j = \sigma_j = j^{{-{alpha:g}}}$" if i == 0 else "")
            axes[i, 0].set_ylabel(f"mean gap after {STEPS:,} steps\n({step_size} steps)")
        for ax in axes[1]:
            ax.set_xlabel("dimension d")
        for column in axes.T:
            limits = [ax.get_ylim() for ax in column]
            for ax in column:
                ax.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
        an.plotting.shared_legend(figure, 3)
    results.save_figure(figure, "dimension")
    results.save_csv("gaps", rows)
    report(results, alphas, batch)


def draw(ax, results, dims, chosen, rows):
    series, looks = {}, an.plotting.method_styles(METHODS)
    for method in METHODS:
        limits = series[method] = an.intervals.t_limits(results.array("gap", optimizer=method, **chosen).T, 0.05)
        for k, d in enumerate(dims):
            rows.append({**chosen, "method": method, "dim": int(d), "estimate": limits.estimate[k],
                         "low": limits.low[k], "high": limits.high[k]})  # fmt: skip
    an.plotting.curves(dims, series, ax=ax)
    if chosen["step_size"] == "theorem":
        for method in METHODS:
            look = looks[method] | {"marker": "", "linewidth": 0.8, "alpha": 0.7}
            bound = results.array("bound", optimizer=method, **chosen)
            ax.plot(dims, bound, **look, label=f"bound, {an.plotting.title(method)}")


def report(results, alphas, batch):
    results.verdicts(
        ((f"a={c.point['alpha']:g}, d={c.point['dim']}", c.arrays["verdict"])
         for c in results.cells(step_size="theorem", dim=results.axes["dim"][-1])),
        title="Verdicts at the largest dimension",
    )  # fmt: skip
    judged = results.cells(step_size="theorem")
    wrong = [str(c.point) for c in judged if c.arrays["verdict"].status == "violated"]
    results.say(f"Of {len(judged)} verdicts {len(wrong)} contradict a bound: {'; '.join(wrong) or 'none'}.")
    first, last = results.axes["dim"][-2:]
    rows = []
    for alpha in alphas:
        for method in METHODS:
            row = {"a": alpha, "method": an.plotting.title(method)}
            for step_size in ("theorem", "tuned"):
                chosen = dict(alpha=alpha, batch=batch, optimizer=method, step_size=step_size)
                low, high = (results.one(dim=d, **chosen)["gap"] for d in (first, last))
                ratio = an.intervals.ratio_interval(high, low, level=LEVEL, paired=False)
                exponent = np.log([ratio.estimate, ratio.low, ratio.high]) / np.log(last / first)
                row[f"{step_size} steps"] = "{:.2f} [{:.2f}, {:.2f}]".format(*exponent)
            ends = [results.one(dim=d, **chosen | {"step_size": "theorem"})["bound"] for d in (first, last)]
            row["bound"] = f"{np.log(ends[1] / ends[0]) / np.log(last / first):.2f}"
            rows.append(row)
    results.table(rows, title=f"Exponent of the mean gap in d between {first} and {last} (level {LEVEL})")
    for alpha in alphas:
        for other in ("sgd", "adagrad_norm"):
            parts = []
            for d in (results.axes["dim"][0], last):
                chosen = dict(alpha=alpha, dim=d, batch=batch, step_size="tuned")
                theirs, ours = (results.one(optimizer=m, **chosen)["gap"] for m in (other, "adagrad"))
                ratio = an.intervals.ratio_interval(theirs, ours, level=LEVEL)
                parts.append(f"{ratio.estimate:.2f} [{ratio.low:.2f}, {ratio.high:.2f}] at d = {d:,}")
            results.say(f"a = {alpha:g}, tuned: gap of {an.plotting.title(other)} over AdaGrad's: {', '.join(parts)}.")
    edges = [
        f"{c.point['optimizer']} a={c.point['alpha']:g} d={c.point['dim']}"
        for c in results.cells(step_size="tuned") if c.arrays["at_edge"]
    ]  # fmt: skip
    results.say(f"The best tuned step lies at an end of the grid in {len(edges)} cells: {'; '.join(edges) or 'none'}.")


if __name__ == "__main__":
    raise SystemExit(an.study.main())
