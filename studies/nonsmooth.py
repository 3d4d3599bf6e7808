"""Where is the linear slowdown of large batches real? On sum_j c_j |x_j|, against the same function rounded off.

Without smoothness every gradient is as long as c_j however large the batch: the steps to a target stop falling, and the
samples grow linearly with M. The control is the pseudo-Huber function with the same slopes and width 0.1.
d = 20, c_j = 1/j, sigma_j = 2 c_j, box [-1, 1], minimizer 0.9, start 0.
"""

import numpy as np

import anisotropic as an

DIM, STEPS, TARGET, MAX_STEPS = 20, 1000, 0.1, 20_000
SLOPE = 1 / np.arange(1.0, DIM + 1)
WIDTH = 0.1
METHODS = ("sgd", "adagrad", "adagrad_norm")
AXES = {
    "objective": ["absolute", "rounded"],
    "batch": [1, 4, 16, 64, 256, 1024, 4096],
    "optimizer": list(METHODS),
    "step": ["theorem", "tuned"],
    "replicas": [128],
}
QUICK = {"batch": [16, 4096], "replicas": [16]}
MAKE = {m: getattr(an.optimizers, m) for m in METHODS}
GRIDS = {"sgd": 2.0 ** np.arange(-8, 3), "adagrad": 2.0 ** np.arange(-7, 4), "adagrad_norm": 2.0 ** np.arange(-5, 6)}


def problem(name):
    where = dict(minimizer=0.9, box=(-1, 1))
    if name == "absolute":
        return an.problems.absolute(SLOPE, **where)
    return an.problems.pseudo_huber(SLOPE / WIDTH, WIDTH, **where)


def theorem_step(method, batch):
    """The nonsmooth steps: R / (|G| sqrt(T)) for SGD, D_j / sqrt(2) for AdaGrad, |D|_2 / sqrt(2) for AdaGrad-Norm."""
    second_moment = SLOPE * np.sqrt(1 + 4 / batch)
    return {
        "sgd": np.sqrt(DIM) * 0.9 / (np.linalg.norm(second_moment) * np.sqrt(STEPS)),
        "adagrad": 2 / np.sqrt(2),
        "adagrad_norm": 2 * np.sqrt(DIM) / np.sqrt(2),
    }[method]


def cell(objective, batch, optimizer, step, replicas, seed):
    f, make = problem(objective), MAKE[optimizer]
    common = dict(noise=an.noises.gaussian(2 * SLOPE), start=0.0, batch_size=batch, replicas=replicas, threads=1)
    tuned = an.tune(f, make, GRIDS[optimizer], steps=STEPS, seed=seed ^ 1, **common) if step == "tuned" else None
    method = make(tuned.best if tuned else theorem_step(optimizer, batch))
    run = an.simulate(f, method, steps=STEPS, seed=seed, **common)
    reach = an.steps_to_target(f, method, target=TARGET, max_steps=MAX_STEPS, seed=seed, **common)
    result = {"gap": run.mean_gap[:, -1], "reach": np.array(reach), "at_edge": bool(tuned and tuned.at_edge)}
    bounds = {"sgd": ["convex_sgd_nonsmooth"], "adagrad": ["convex_adagrad_nonsmooth", "convex_adagrad"], "adagrad_norm": []}
    if step == "theorem":
        for name in bounds[optimizer]:
            verdict = an.verify(an.bounds[name], run)
            result |= {name: verdict}
    return result


def plot(results):
    batches = np.array(results.axes["batch"], dtype=float)
    with an.plotting.style("page"):
        figure, axes = an.plotting.subplots("page", 2, 2, height=4.8, sharex=True)
        for j, objective in enumerate(results.axes["objective"]):
            gaps, samples = {}, {}
            for method in METHODS:
                chosen = dict(objective=objective, step="tuned", optimizer=method)
                gaps[method] = an.intervals.t_limits(results.array("gap", **chosen).T, 0.05)
                samples[method] = an.intervals.Limits(*(results.array("reach", **chosen).T * batches))
            an.plotting.curves(batches, gaps, xlabel="", ylabel=f"mean gap after {STEPS:,} steps", ax=axes[0, j])
            an.plotting.curves(batches, samples, xlabel="batch size M", ylabel=f"samples to mean gap {TARGET}", ax=axes[1, j])
            axes[0, j].set_title({"absolute": "absolute values: nonsmooth", "rounded": "rounded off: smooth"}[objective])
        for row in axes:
            row[1].set_ylabel("")
            limits = [ax.get_ylim() for ax in row]
            for ax in row:
                ax.set_ylim(min(v[0] for v in limits), max(v[1] for v in limits))
        for ax in axes.flat:
            if ax is not axes[0, 0] and ax.get_legend():
                ax.get_legend().remove()
        axes[0, 0].legend(loc="upper right")
    results.save_figure(figure, "linear_slowdown")
    results.save_csv("gaps", [dict(c.point, gap=float(np.mean(c.arrays["gap"])), steps_to_target=float(c.arrays["reach"][0]))
                              for c in results.cells()])  # fmt: skip
    report(results, batches)


def report(results, batches):
    names = ("convex_sgd_nonsmooth", "convex_adagrad_nonsmooth", "convex_adagrad")
    results.verdicts(
        [(f"{c.point['objective']}, M={c.point['batch']}", c.arrays[n]) for c in results.cells(step="theorem") for n in names
         if n in c.arrays and c.point["batch"] in (batches[0], batches[-1]) and c.arrays[n].status != "not applicable"],
    )  # fmt: skip
    for objective in results.axes["objective"]:
        for method in METHODS:
            reach = results.array("reach", objective=objective, step="tuned", optimizer=method)
            first, last = reach[0], reach[-1]
            growth = batches[-1] / batches[0]
            name = an.plotting.title(method)
            if not (np.isfinite(first).all() and np.isfinite(last).all()):
                results.say(f"{objective}: tuned {name} did not reach {TARGET} in {MAX_STEPS:,} steps at one of the ends of M.")
                continue
            low, high = first[1] / last[2], first[2] / last[1]
            results.say(
                f"{objective}: from M=1 to M={batches[-1]:.0f} the steps of tuned {name} fall by {first[0] / last[0]:.1f} "
                f"[{low:.1f}, {high:.1f}], so its samples grow by {growth * last[0] / first[0]:.0f}."
            )
    for objective in results.axes["objective"]:
        for M in (results.axes["batch"][0], results.axes["batch"][-1]):
            gap = {m: results.one(objective=objective, batch=M, step="tuned", optimizer=m)["gap"] for m in METHODS}
            for other in ("sgd", "adagrad_norm"):
                ratio = an.intervals.ratio_interval(gap[other], gap["adagrad"], level=0.01)
                results.say(f"{objective}, M={M}, tuned: gap of {an.plotting.title(other)} over AdaGrad's after {STEPS:,} steps "
                            f"= {ratio.estimate:.2f} [{ratio.low:.2f}, {ratio.high:.2f}].")  # fmt: skip
    edges = [c.point for c in results.cells(step="tuned") if c.arrays["at_edge"]]
    for p in edges:
        results.say(f"Grid edge: the best step of {p['optimizer']} on {p['objective']} at M={p['batch']} lies at an end.")


if __name__ == "__main__":
    raise SystemExit(an.study.main())
