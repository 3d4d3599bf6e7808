"""On real data, is AdaGrad faster than SGD at equal samples, and at which batch size? Logistic regression.

Breast cancer and digits from scikit-learn, or any LIBSVM file by ``--data PATH``. Box of 1.5 times the largest weight
of the certified minimizer, l2 = 1/n, rows drawn with replacement. Tuned steps are chosen on other seeds; the number of
samples is the same for every method and batch size. Theorem steps at one batch size give each bound its verdict.
"""

import functools

import numpy as np

import anisotropic as an

METHODS = ("sgd", "adagrad", "adagrad_norm", "adam")
BOUNDS = {"sgd": "convex_sgd", "adagrad": "convex_adagrad", "adagrad_norm": "convex_adagrad_norm"}
AXES = {
    "data": ["breast_cancer", "digits"],
    "batch": [4, 16, 64, 256],
    "optimizer": list(METHODS),
    "step_size": ["theorem", "tuned"],
    "epochs": [20],
    "replicas": [32],
}
QUICK = {"data": ["breast_cancer"], "batch": [16, 256], "epochs": [5], "replicas": [16]}
VERDICT_BATCH = 256
GRIDS = {"sgd": 2.0 ** np.arange(-6, 6), "adagrad": 2.0 ** np.arange(-8, 4), "adagrad_norm": 2.0 ** np.arange(-6, 6),
         "adam": 2.0 ** np.arange(-12, 0)}  # fmt: skip


def include(data, batch, optimizer, step_size, epochs, replicas):
    """Theorem steps where there is a theorem, at the batch size of the verdicts."""
    return step_size == "tuned" or (optimizer in BOUNDS and batch == VERDICT_BATCH)


@functools.cache
def problem(data):
    X, y = an.datasets.load(data)
    n = X.shape[0]
    free = an.problems.logistic_regression(X, y, l2=1 / n)
    half = 1.5 * np.abs(free.minimizer).max()
    return an.problems.logistic_regression(X, y, l2=1 / n, box=(-half, half))


def cell(data, batch, optimizer, step_size, epochs, replicas, seed):
    f, make = problem(data), getattr(an.optimizers, optimizer)
    steps = max(1, epochs * f.samples // batch)
    common = dict(noise=an.noises.minibatch(), start=0.0, batch_size=batch, replicas=replicas, steps=steps, threads=1)
    if step_size == "theorem":
        bound = an.bounds[BOUNDS[optimizer]]
        known = {"L": f.smoothness, "sigma": f.sample_sigma, "D": f.box[1] - f.box[0], "R": np.abs(f.minimizer),
                 "T": steps, "M": batch, "d": f.dim}  # fmt: skip
        run = an.simulate(f, make(bound.tuned_step_size(**known)), seed=seed, **common)
        return {"gap": run.average_gap[:, -1], "at_edge": False, "verdict": an.verify(bound, run)}
    tuning = an.tune(f, make, GRIDS[optimizer], seed=seed ^ 1, measure="average_gap", **common)
    run = an.simulate(f, make(tuning.best), seed=seed, running_means=False, records=24, **common)
    return {
        "gap": run.average_gap[:, -1], "last_gap": run.gap[:, -1], "at_edge": tuning.at_edge, "best": tuning.best,
        "curve": run.average_gap, "samples": run.samples[0],
    }  # fmt: skip


def short(data):
    """The name of a data set, or of its file."""
    return str(data).rsplit("/", 1)[-1]


def plot(results):
    sets, methods = results.axes["data"], results.axes["optimizer"]
    batches = np.array(results.axes["batch"], dtype=float)
    middle = results.axes["batch"][len(batches) // 2]
    with an.plotting.style("page"):
        figure, axes = an.plotting.subplots("page", 2, len(sets), height=4.8, squeeze=False)
        for (upper, lower), data in zip(axes.T, sets, strict=True):
            end = {m: results.array("gap", data=data, step_size="tuned", optimizer=m).T for m in methods}
            an.plotting.curves(batches, end, xlabel="batch size M", ylabel="gap at the average iterate", ax=upper)
            runs = {m: results.one(data=data, batch=middle, step_size="tuned", optimizer=m) for m in methods}
            curves = {m: run["curve"] for m, run in runs.items()}
            label = f"samples (M = {middle})"
            samples = runs[methods[0]]["samples"]
            an.plotting.curves(samples, curves, xlabel=label, ylabel="gap at the average iterate", ax=lower)
            f = problem(data)
            upper.set_title(f"{short(data).replace('_', ' ')}: n = {f.samples:,}, d = {f.dim}")
        an.plotting.shared_legend(figure)
    results.save_figure(figure, "equal_samples")
    results.save_csv("gaps", [dict(c.point, gap=float(np.mean(c.arrays["gap"]))) for c in results.cells()])
    results.verdicts(
        (f"{short(c.point['data'])}, M={c.point['batch']}", c.arrays["verdict"])
        for c in results.cells(step_size="theorem")
    )
    for data in sets:
        for batch in results.axes["batch"]:
            gap = {m: results.one(data=data, batch=batch, step_size="tuned", optimizer=m)["gap"] for m in methods}
            ours, parts = gap.pop("adagrad", None), []
            for other, theirs in gap.items() if ours is not None else ():
                ratio = an.intervals.ratio_interval(theirs, ours, level=0.01)
                parts.append(f"{an.plotting.title(other)} {ratio.estimate:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]")
            if parts:
                results.say(
                    f"{short(data)}, M={batch}, equal samples, tuned: gap over AdaGrad's (above 1: AdaGrad wins): "
                    f"{', '.join(parts)}."
                )
    for c in results.cells(step_size="tuned"):
        if c.arrays["at_edge"]:
            p = c.point
            where = f"{short(p['data'])}, M={p['batch']}"
            results.say(f"Grid edge: the best step of {p['optimizer']} lies at an end ({where}).")


if __name__ == "__main__":
    raise SystemExit(an.study.main())
