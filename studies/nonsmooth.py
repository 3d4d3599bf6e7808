"""Where is the linear slowdown of large batches real?

On sum_j c_j |x_j|, against the same function rounded off. Without smoothness every gradient is as long as c_j however
large the batch: the iterations to a target stop falling, and the samples grow linearly with M. The control is the
pseudo-Huber function with the same slopes and width 0.1. d = 20, c_j = 1/j, sigma_j = 2 c_j, box [-1, 1], minimizer
0.9, start 0.
"""

import numpy as np

import anisotropic as an

DIM, STEPS, TARGET, MAX_STEPS, LEVEL = 20, 1000, 0.1, 20_000, 0.01
SLOPE, WIDTH = 1 / np.arange(1.0, DIM + 1), 0.1
AXES = {"objective": ["absolute", "rounded"], "batch": [1, 4, 16, 64, 256, 1024, 4096], "replicas": [128]}
QUICK = {"batch": [16, 4096], "replicas": [16]}
GRIDS = {"sgd": 2.0 ** np.arange(-8, 3), "adagrad": 2.0 ** np.arange(-7, 4), "adagrad_norm": 2.0 ** np.arange(-5, 6)}
METHODS = {m: an.Method(getattr(an.optimizers, m), grid) for m, grid in GRIDS.items()}
TITLES = {"absolute": "absolute values: nonsmooth", "rounded": "rounded off: smooth"}


def problem(name):
    where = dict(center=0.9, box=(-1, 1))
    if name == "absolute":
        return an.problems.absolute(SLOPE, **where)
    return an.problems.pseudo_huber(SLOPE / WIDTH, WIDTH, **where)


def judged(f, batch, **common):
    """The nonsmooth theorems at their own step sizes: R / (|G| sqrt T) for SGD, D_j / sqrt 2 for AdaGrad."""
    second_moment = np.linalg.norm(SLOPE * np.sqrt(1 + 4 / batch))
    sgd = an.optimizers.sgd(np.sqrt(DIM) * 0.9 / (second_moment * np.sqrt(STEPS)))
    runs = {"sgd": sgd, "adagrad": an.optimizers.adagrad(2 / np.sqrt(2))}
    runs = {m: an.simulate(f, method, steps=STEPS, **common) for m, method in runs.items()}
    return {
        "convex_sgd_nonsmooth": an.verify(an.bounds.convex_sgd_nonsmooth, runs["sgd"]),
        "convex_adagrad_nonsmooth": an.verify(an.bounds.convex_adagrad_nonsmooth, runs["adagrad"]),
        "convex_adagrad": an.verify(an.bounds.convex_adagrad, runs["adagrad"]),
    }


def cell(objective, batch, replicas, seed):
    f = problem(objective)
    common = dict(noise=an.noises.gaussian(2 * SLOPE), start=0.0, batch_size=batch, replicas=replicas, seed=seed,
                  threads=1)  # fmt: skip
    race = an.race(f, METHODS, steps=STEPS, reference="adagrad", level=LEVEL, **common)
    reach = {
        f"reach {m}": np.array(an.steps_to_target(
            f, METHODS[m].make(e.step_size), target=TARGET, max_steps=MAX_STEPS, level=LEVEL / 2, **common
        )) for m, e in race.tuned.items()
    }  # fmt: skip
    return race.arrays() | reach | judged(f, batch, **common)


def plot(results):
    batches = np.array(results.axes["batch"], dtype=float)

    def draw(ax, what, objective):
        if what == "gap":
            series = results.races(objective=objective).values()
            label = f"mean gap after {STEPS:,} iterations"
        else:
            reached = {m: results.array(f"reach {m}", objective=objective, batch=list(results.axes["batch"]))
                       for m in METHODS}  # fmt: skip
            series = {m: an.intervals.Limits(*(found.T * batches)) for m, found in reached.items()}
            label = f"samples to mean gap {TARGET}"
        an.plotting.curves(batches, series, xlabel="batch size M", ylabel=label, ax=ax)

    rows, objectives = ["gap", "samples"], results.axes["objective"]
    figure = an.plotting.page(rows, objectives, draw, height=4.8, share="row", titles=TITLES.get)
    results.save_figure(figure, "linear_slowdown")
    results.save_csv("gaps", results.races().rows())
    ends = [results.axes["batch"][0], results.axes["batch"][-1]]
    results.verdicts(
        (f"{c.point['objective']}, M={c.point['batch']}", v)
        for c in results.cells(batch=ends) for v in c.arrays.values()
        if isinstance(v, an.Verdict) and v.status != "not applicable"
    )  # fmt: skip
    results.table(
        [slowdown(results, objective, m, ends) for objective in results.axes["objective"] for m in METHODS],
        title=f"Tuned step sizes, mean gap {TARGET}: iterations at M = {ends[0]} over those at M = {ends[1]}",
    )
    results.races("{objective}, M={batch}", batch=ends).compare(["sgd", "adagrad_norm"])
    results.races("{objective}, M={batch}").edges()


def slowdown(results, objective, method, ends):
    """By how much the iterations fall and the samples grow between the two ends of the batch sizes."""
    first, last = (results.one(objective=objective, batch=batch)[f"reach {method}"] for batch in ends)
    fall = an.intervals.Interval(first[0] / last[0], first[1] / last[2], first[2] / last[1], "t", LEVEL)
    reached = np.isfinite(fall.estimate)
    return {
        "objective": objective, "method": an.plotting.title(method),
        "iterations fall by": f"{fall:.1f}" if reached else "not reached",
        "samples grow by": f"{ends[1] / ends[0] / fall.estimate:.0f}" if reached else "",
    }  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(an.study.main())
