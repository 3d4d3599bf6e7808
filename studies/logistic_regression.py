"""On real data, is AdaGrad faster than SGD at equal samples, and at which batch size?

Logistic regression. Breast cancer and digits from scikit-learn, or any LIBSVM file by ``--data PATH``. Box of 1.5 times
the largest weight of the certified minimizer, l2 = 1/n, rows drawn with replacement. Tuned step sizes are chosen on
other seeds; the number of samples is the same for every method and batch size. At one batch size each bound gets its
verdict, with the step size of its theorem.
"""

import functools

import numpy as np

import anisotropic as an

VERDICT_BATCH, LEVEL = 256, 0.01
AXES = {"data": ["breast_cancer", "digits"], "batch": [4, 16, 64, 256], "epochs": [20], "replicas": [32]}
QUICK = {"data": ["breast_cancer"], "batch": [16, 256], "epochs": [5], "replicas": [16]}
GRIDS = {"sgd": 2.0 ** np.arange(-6, 6), "adagrad": 2.0 ** np.arange(-8, 4), "adagrad_norm": 2.0 ** np.arange(-6, 6),
         "adam": 2.0 ** np.arange(-12, 0)}  # fmt: skip
METHODS = {m: an.Method(getattr(an.optimizers, m), grid) for m, grid in GRIDS.items()}
THEOREMS = {m: an.Method(METHODS[m].make, bound=an.bounds[f"convex_{m}"]) for m in GRIDS if m != "adam"}


@functools.cache
def problem(data):
    X, y = an.datasets.load(data)
    n = X.shape[0]
    free = an.problems.logistic_regression(X, y, l2=1 / n)
    half = 1.5 * np.abs(free.minimizer).max()
    return an.problems.logistic_regression(X, y, l2=1 / n, box=(-half, half))


def cell(data, batch, epochs, replicas, seed):
    f = problem(data)
    common = dict(noise=an.noises.minibatch(), start=0.0, batch_size=batch, samples=max(batch, epochs * f.samples),
                  replicas=replicas, seed=seed, reference="adagrad", level=LEVEL, threads=1)  # fmt: skip
    race = an.race(f, METHODS, measure="average_gap", records=24, running_means=False, **common)
    found = race.arrays() | {"samples": race.tuned["sgd"].run.samples[0]}
    found |= {f"curve {m}": e.run.average_gap for m, e in race.tuned.items()}
    if batch == VERDICT_BATCH:
        judged = an.race(f, THEOREMS, records=100, **common).theorem
        found |= {f"verdict {m}": e.verdict for m, e in judged.items()}
    return found


def short(data):
    """The name of a data set, or of its file."""
    return str(data).rsplit("/", 1)[-1]


def plot(results):
    batches = np.array(results.axes["batch"], dtype=float)
    middle = results.axes["batch"][len(batches) // 2]

    def draw(ax, what, data):
        gap = "gap at the average iterate"
        if what == "end":
            f, series = problem(data), results.races(data=data).values()
            an.plotting.curves(batches, series, xlabel="batch size M", ylabel=gap, ax=ax)
            ax.set_title(f"{short(data).replace('_', ' ')}: n = {f.samples:,}, d = {f.dim}")
        else:
            arrays = results.one(data=data, batch=middle)
            curves = {m: arrays[f"curve {m}"] for m in METHODS}
            an.plotting.curves(arrays["samples"], curves, xlabel=f"samples (M = {middle})", ylabel=gap, ax=ax)

    results.save_figure(an.plotting.page(["end", "curve"], results.axes["data"], draw, height=4.8, share=""),
                        "equal_samples")  # fmt: skip
    results.save_csv("gaps", results.races().rows())
    results.verdicts(
        (f"{short(c.point['data'])}, M={c.point['batch']}", c.arrays[f"verdict {m}"])
        for c in results.cells(batch=[b for b in results.axes["batch"] if b == VERDICT_BATCH]) for m in THEOREMS
    )  # fmt: skip
    races = results.races(lambda point: f"{short(point['data'])}, M={point['batch']}")
    races.compare([m for m in METHODS if m != "adagrad"], what="gap at the average iterate, equal samples,")
    races.edges()


if __name__ == "__main__":
    raise SystemExit(an.study.main())
