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
    "step_size": ["theorem", "tuned"],
    "replicas": [128],
}
QUICK = {"batch": [16, 4096], "replicas": [16]}
BOUNDS = {
    "sgd": ["convex_sgd_nonsmooth"], "adagrad": ["convex_adagrad_nonsmooth", "convex_adagrad"], "adagrad_norm": [],
}  # fmt: skip
MAKE = {m: getattr(an.optimizers, m) for m in METHODS}
GRIDS = {"sgd": 2.0 ** np.arange(-8, 3), "adagrad": 2.0 ** np.arange(-7, 4), "adagrad_norm": 2.0 ** np.arange(-5, 6)}


def problem(name):
    where = dict(center=0.9, box=(-1, 1))
    if name == "absolute":
        return an.problems.absolute(SLOPE, **where)
    return an.problems.pseudo_huber(SLOPE / WIDTH, WIDTH, **where)


def theorem_step_size(method, batch):
    """The nonsmooth steps: R / (|G| sqrt(T)) for SGD, D_j / sqrt(2) for AdaGrad, |D|_2 / sqrt(2) for AdaGrad-Norm."""
    second_moment = SLOPE * np.sqrt(1 + 4 / batch)
    return {
        "sgd": np.sqrt(DIM) * 0.9 / (np.linalg.norm(second_moment) * np.sqrt(STEPS)),
        "adagrad": 2 / np.sqrt(2),
        "adagrad_norm": 2 * np.sqrt(DIM) / np.sqrt(2),
    }[method]


def cell(objective, batch, optimizer, step_size, replicas, seed):
    f, make = problem(objective), MAKE[optimizer]
    common = dict(noise=an.noises.gaussian(2 * SLOPE), start=0.0, batch_size=batch, replicas=replicas, threads=1)
    tuned = an.tune(f, make, GRIDS[optimizer], steps=STEPS, seed=seed ^ 1, **common) if step_size == "tuned" else None
    method = make(tuned.best if tuned else theorem_step_size(optimizer, batch))
    run = an.simulate(f, method, steps=STEPS, seed=seed, **common)
    reach = an.steps_to_target(f, method, target=TARGET, max_steps=MAX_STEPS, seed=seed, **common)
    result = {"gap": run.mean_gap[:, -1], "reach": np.array(reach), "at_edge": bool(tuned and tuned.at_edge)}
    if step_size == "theorem":
        result |= {name: an.verify(an.bounds[name], run) for name in BOUNDS[optimizer]}
    return result


def plot(results):
    batches = np.array(results.axes["batch"], dtype=float)
    with an.plotting.style("page"):
        columns = len(results.axes["objective"])
        figure, axes = an.plotting.subplots("page", 2, columns, height=4.8, sharex=True, squeeze=False)
        for j, objective in enumerate(results.axes["objective"]):
            gaps, samples = {}, {}
            for method in results.axes["optimizer"]:
                chosen = dict(objective=objective, step_size="tuned", optimizer=method)
                gaps[method] = an.intervals.t_limits(results.array("gap", **chosen).T, 0.05)
                samples[method] = an.intervals.Limits(*(results.array("reach", **chosen).T * batches))
            upper, lower = axes[:, j]
            an.plotting.curves(batches, gaps, ylabel=f"mean gap after {STEPS:,} steps", ax=upper)
            label = f"samples to mean gap {TARGET}"
            an.plotting.curves(batches, samples, xlabel="batch size M", ylabel=label, ax=lower)
            upper.set_title({"absolute": "absolute values: nonsmooth", "rounded": "rounded off: smooth"}[objective])
        for row in axes:
            for ax in row[1:]:
                ax.set_ylabel("")
            limits = [ax.get_ylim() for ax in row]
            for ax in row:
                ax.set_ylim(min(v[0] for v in limits), max(v[1] for v in limits))
        an.plotting.shared_legend(figure)
    results.save_figure(figure, "linear_slowdown")
    cells = ((c.point, c.arrays) for c in results.cells())
    results.save_csv("gaps", [{**p, "gap": np.mean(a["gap"]), "steps": a["reach"][0]} for p, a in cells])
    report(results, batches)


def report(results, batches):
    ends = [results.axes["batch"][0], results.axes["batch"][-1]]
    results.verdicts(
        (f"{c.point['objective']}, M={c.point['batch']}", c.arrays[name])
        for c in results.cells(step_size="theorem", batch=ends)
        for name in BOUNDS[c.point["optimizer"]]
        if c.arrays[name].status != "not applicable"
    )
    for objective in results.axes["objective"]:
        for method in results.axes["optimizer"]:
            reach = results.array("reach", objective=objective, step_size="tuned", optimizer=method)
            first, last, name = reach[0], reach[-1], an.plotting.title(method)
            if not (np.isfinite(first).all() and np.isfinite(last).all()):
                results.say(f"{objective}: tuned {name} missed {TARGET} in {MAX_STEPS:,} steps at one end of M.")
                continue
            results.say(
                f"{objective}: from M={ends[0]} to M={ends[1]} the steps of tuned {name} fall by "
                f"{first[0] / last[0]:.1f} [{first[1] / last[2]:.1f}, {first[2] / last[1]:.1f}], "
                f"so its samples grow by {batches[-1] / batches[0] * last[0] / first[0]:.0f}."
            )
        for batch in ends:
            chosen = dict(objective=objective, batch=batch, step_size="tuned")
            gap = {m: results.one(optimizer=m, **chosen)["gap"] for m in results.axes["optimizer"]}
            ours = gap.pop("adagrad", None)
            for other, theirs in gap.items() if ours is not None else ():
                ratio = an.intervals.ratio_interval(theirs, ours, level=0.01)
                results.say(
                    f"{objective}, M={batch}, tuned: gap of {an.plotting.title(other)} over AdaGrad's after {STEPS:,} "
                    f"steps = {ratio.estimate:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]."
                )
    for c in results.cells(step_size="tuned"):
        if c.arrays["at_edge"]:
            p = c.point
            where = f"{p['objective']}, M={p['batch']}"
            results.say(f"Grid edge: the best step of {p['optimizer']} lies at an end ({where}).")


if __name__ == "__main__":
    raise SystemExit(an.study.main())
