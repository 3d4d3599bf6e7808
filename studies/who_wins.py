"""Who wins where: AdaGrad or SGD, over the sparsity of smoothness, noise and start? And do the bounds predict it?

L_j = j^-a, sigma_j = j^-b, |w_1 - w*|_j = 0.9 j^-c in the box [-1, 1]^50, minimizer 0.9; mean gap after T steps with M
samples each, so equal steps are equal samples. Predicted: the ratio of the two upper bounds, which proves nothing about
who wins; measured at the steps of the theorems and at tuned steps. AdaGrad-Norm is the control.
"""

import numpy as np

import anisotropic as an

DIM, STEPS = 50, 500
METHODS = ("sgd", "adagrad", "adagrad_norm")
AXES = {
    "smoothness": [0.0, 0.5, 1.0, 1.5, 2.0],
    "noise": [0.0, 0.5, 1.0, 1.5, 2.0],
    "start": [0.0, 1.0, 2.0],
    "batch": [4],
    "optimizer": list(METHODS),
    "step_size": ["theorem", "tuned"],
    "replicas": [64],
}
QUICK = {"smoothness": [0.0, 2.0], "noise": [0.0, 2.0], "start": [0.0, 2.0], "replicas": [16]}
BOUNDS = {m: f"convex_{m}" for m in METHODS}
GRIDS = {"sgd": 2.0 ** np.arange(-9, 7), "adagrad": 2.0 ** np.arange(-9, 4), "adagrad_norm": 2.0 ** np.arange(-8, 6)}
LEVEL = 0.01


def constants(smoothness, noise, start, batch):
    power_law = an.bounds.power_law
    return {"L": power_law(DIM, smoothness), "sigma": power_law(DIM, noise), "R": 0.9 * power_law(DIM, start),
            "D": 2.0, "T": STEPS, "M": batch, "d": DIM}  # fmt: skip


def cell(smoothness, noise, start, batch, optimizer, step_size, replicas, seed):
    known = constants(smoothness, noise, start, batch)
    f = an.problems.quadratic(known["L"], center=0.9, box=(-1, 1))
    make, bound = getattr(an.optimizers, optimizer), an.bounds[BOUNDS[optimizer]]
    common = dict(noise=an.noises.gaussian(known["sigma"]), start=0.9 - known["R"], batch_size=batch, steps=STEPS,
                  replicas=replicas, threads=1)  # fmt: skip
    if step_size == "tuned":
        tuning = an.tune(f, make, GRIDS[optimizer], seed=seed ^ 1, **common)
        run = an.simulate(f, make(tuning.best), seed=seed, records=1, **common)
        return {"gap": run.mean_gap[:, -1], "at_edge": tuning.at_edge}
    usable = {k: v for k, v in known.items() if k in bound.constants}
    run = an.simulate(f, make(bound.tuned_step_size(**usable)), seed=seed, records=5, **common)
    return {"gap": run.mean_gap[:, -1], "at_edge": False, "verdict": an.verify(bound, run),
            "bound": bound(bound.forms[-1], **usable)}  # fmt: skip


def ratios(results, other, step_size, start, batch):
    """Gap of `other` over AdaGrad's: estimates and where 1 lies inside the interval, one row for each smoothness."""
    chosen = dict(start=start, batch=batch, step_size=step_size)
    shape = [len(results.axes[k]) for k in ("smoothness", "noise")]
    estimate, undecided = np.empty(shape), np.empty(shape, bool)
    for i, a in enumerate(results.axes["smoothness"]):
        for j, b in enumerate(results.axes["noise"]):
            gap = {m: results.one(smoothness=a, noise=b, optimizer=m, **chosen)["gap"] for m in (other, "adagrad")}
            found = an.intervals.ratio_interval(gap[other], gap["adagrad"], level=LEVEL)
            estimate[i, j], undecided[i, j] = found.estimate, found.low <= 1 <= found.high
    return estimate, undecided


def predicted(results, other, start, batch):
    """Ratio of the upper bounds at the same points."""
    chosen = dict(start=start, batch=batch, step_size="theorem")
    shape = [len(results.axes[k]) for k in ("smoothness", "noise")]
    values = [results.array("bound", optimizer=m, **chosen).reshape(shape) for m in (other, "adagrad")]
    return values[0] / values[1]


def plot(results):
    rows = []
    for batch in results.axes["batch"]:
        for other in ("sgd", "adagrad_norm"):
            draw(results, other, batch, rows)
    results.save_csv("ratios", rows)
    report(results, rows)


def draw(results, other, batch, rows):
    """Three maps for each start: predicted, measured at theorem steps, measured at tuned steps; failures framed."""
    starts, smoothness, noise = (results.axes[k] for k in ("start", "smoothness", "noise"))
    with an.plotting.style("page"):
        figure, axes = an.plotting.subplots("page", 3, len(starts), height=7.2, squeeze=False)
        for column, start in zip(axes.T, starts, strict=True):
            guess = predicted(results, other, start, batch)
            theorem, tuned = (ratios(results, other, step_size, start, batch) for step_size in ("theorem", "tuned"))
            maps = {"predicted": (guess, None), "theorem": theorem, "tuned": tuned}
            for ax, (kind, (ratio, undecided)) in zip(column, maps.items(), strict=True):
                an.plotting.phase_diagram(noise, smoothness, ratio, winner="adagrad", loser=other, undecided=undecided,
                                          xlabel="noise exponent b", ylabel="smoothness exponent a", ax=ax)  # fmt: skip
                title = {"predicted": "ratio of bounds", "theorem": "theorem steps", "tuned": "tuned steps"}[kind]
                ax.set_title(f"{title}, start c = {start:g}")
                for (i, j), value in np.ndenumerate(ratio):
                    open_ = undecided is None or bool(undecided[i, j])
                    wrong = not (open_ or np.isclose(guess[i, j], 1)) and (value > 1) != (guess[i, j] > 1)
                    if wrong:
                        ax.plot([j + 0.06, j + 0.94, j + 0.94, j + 0.06, j + 0.06],
                                [i + 0.06, i + 0.06, i + 0.94, i + 0.94, i + 0.06],
                                color="black", linewidth=1.6, label="bounds predict the other")  # fmt: skip
                    rows.append({"batch": batch, "other": other, "kind": kind, "start": start,
                                 "smoothness": smoothness[i], "noise": noise[j], "ratio": value,
                                 "undecided": kind != "predicted" and open_, "wrong": wrong})  # fmt: skip
        tidy(figure, axes)
    results.save_figure(figure, f"{other}_over_adagrad_M{batch}")


def tidy(figure, axes):
    """Labels at the outer panels; one legend, with the marks that occur."""
    for ax in axes[:, 1:].flat:
        ax.set_ylabel("")
    for ax in axes[:-1].flat:
        ax.set_xlabel("")
    entries = {}
    for ax in axes.flat:
        legend = ax.get_legend()
        marks = {t.get_text(): h for h, t in zip(legend.legend_handles, legend.get_texts(), strict=True)}
        lines, labels = ax.get_legend_handles_labels()
        entries |= marks | dict(zip(labels, lines, strict=True))
        legend.remove()
    figure.legend(list(entries.values()), list(entries), loc="outside upper center", ncols=3)


def report(results, rows):
    judged = [(label(c.point), c.arrays["verdict"]) for c in results.cells(step_size="theorem")]
    tightest = {}
    for where, verdict in judged:
        if verdict.theorem not in tightest or verdict.slack < tightest[verdict.theorem][1].slack:
            tightest[verdict.theorem] = where, verdict
    results.verdicts(tightest.values(), title="Each bound where it is tightest (exponents a, b, c)")
    violated = [where for where, v in judged if v.status == "violated"]
    results.say(f"Of {len(judged)} verdicts {len(violated)} contradict a bound: {'; '.join(violated) or 'none'}.")
    for other in ("sgd", "adagrad_norm"):
        name = an.plotting.title(other)
        for kind in ("theorem", "tuned"):
            found = [r for r in rows if r["other"] == other and r["kind"] == kind]
            wins = [r for r in found if r["ratio"] > 1 and not r["undecided"]]
            open_ = [r for r in found if r["undecided"]]
            wrong = [r for r in found if r["wrong"]]
            best, worst = (pick(found, key=lambda r: r["ratio"]) for pick in (max, min))
            results.say(
                f"{kind} steps: AdaGrad has the smaller gap than {name} in {len(wins)} of {len(found)} cells "
                f"({len(open_)} undecided at level {LEVEL}); {name} / AdaGrad from {worst['ratio']:.2f} at "
                f"{label(worst)} to {best['ratio']:.2f} at {label(best)}."
            )
            optimistic = sum(r["ratio"] < 1 for r in wrong)
            results.say(
                f"{kind} steps: the ratio of the bounds names the wrong winner against {name} in {len(wrong)} of "
                f"{len(found) - len(open_)} decided cells ({optimistic} times it favours AdaGrad, "
                f"{len(wrong) - optimistic} times {name})."
            )
    tuned = results.cells(step_size="tuned")
    edges = [f"{c.point['optimizer']} at {label(c.point)}" for c in tuned if c.arrays["at_edge"]]
    results.say(f"The best tuned step lies at an end of the grid in {len(edges)} cells: {'; '.join(edges) or 'none'}.")


def label(point):
    return f"a={point['smoothness']:g} b={point['noise']:g} c={point['start']:g}"


if __name__ == "__main__":
    raise SystemExit(an.study.main())
