"""What does AdaGrad need where curvature grows with the gradient?

No bound on the gradient; that is not the same as winning. cosh, x^4/4 and e^x in ten coordinates, all started at the
same distance, no box; curvature at most L0 + L1 |gradient|.
(a) Mean l1 norm of the gradient against the step size, for every method, beside AdaGrad's bound up to its largest one.
(b) The step size beyond which SGD explodes, by bisection without noise, beside its closed form, against the start.
Equal iterations are equal samples (M = 64 for all). All step sizes of a grid are shown; tuned ones are chosen on
another seed, with all replicas.
"""

import numpy as np

import anisotropic as an

DIM, STEPS, BATCH, SIGMA, EPS = 10, 1000, 64, 0.5, 1e-3
METHODS = ("sgd", "adagrad", "adagrad_norm")
AXES = {
    "part": ["steps", "threshold"],
    "objective": ["cosh", "quartic", "exponential"],
    "start": [1.0, 2.0, 3.0, 4.0],
    "optimizer": list(METHODS),
    "replicas": [64],
}
QUICK = {"objective": ["cosh"], "start": [2.0, 3.0], "replicas": [16]}
GRID = 2.0 ** np.arange(-12, 8.5, 0.5)
OBJECTIVES = {
    "cosh": an.problems.cosh(np.ones(DIM), 2.0),  # (L0, L1) = (1, 2)
    "quartic": an.problems.power(np.ones(DIM), 4.0, L1=2.0),  # (1, 2)
    "exponential": an.problems.exponential(np.ones(DIM), 1.0),  # (0, 1), infimum not attained
}
TITLES = {"cosh": "(cosh 2x - 1)/4", "quartic": r"$x^4/4$", "exponential": r"$e^x$"}
MAIN = 3.0  # the start of part (a)


def include(part, objective, start, optimizer, replicas):
    """Only SGD has a threshold, and none on e^x, where one update too far ends on the flat side."""
    if part == "steps":
        return start == MAIN
    return optimizer == "sgd" and objective != "exponential"


def threshold(objective, start):
    """The step size beyond which gradient descent moves away for ever: 2 x / f'(x) at the start."""
    return {"cosh": 4 * start / np.sinh(2 * start), "quartic": 2 / start**2}[objective]


def first_gradient(objective):
    """l1 norm of the gradient at the main start."""
    return DIM * {"cosh": np.sinh(2 * MAIN) / 2, "quartic": MAIN**3, "exponential": np.exp(MAIN)}[objective]


def optimizer_of(name, step_size):
    if name == "sgd":
        return an.optimizers.sgd(step_size)
    return getattr(an.optimizers, name)(step_size, eps=EPS, preset="nonconvex")


def cell(part, objective, start, optimizer, replicas, seed):
    f = OBJECTIVES[objective]

    def run(step_size, sigma=SIGMA, seed=seed, replicas=replicas):
        return an.simulate(
            f, optimizer_of(optimizer, step_size), noise=an.noises.gaussian(sigma), start=start, steps=STEPS,
            batch_size=BATCH, replicas=replicas, seed=seed, records=2, threads=1,
        )  # fmt: skip

    if part == "threshold":
        safe, lost = GRID[0], GRID[-1]
        while lost > safe * 1.0001:
            middle = np.sqrt(safe * lost)
            exploded = run(middle, sigma=0.0, replicas=1).status[0] == "diverged"
            safe, lost = (safe, middle) if exploded else (middle, lost)
        return {"safe": safe, "lost": lost}
    trial = np.array([run(step_size, seed=seed ^ 1).gradient_l1[:, -1].mean() for step_size in GRID])
    runs = [run(step_size) for step_size in GRID]
    found = {
        "l1": np.array([r.gradient_l1[:, -1] for r in runs]),
        "diverged": np.array([np.sum(r.status == "diverged") for r in runs]),
        "best": int(np.nanargmin(trial)),
    }
    if optimizer == "adagrad":
        bound = an.bounds.nonconvex_adagrad_gen
        verdicts = {step_size: an.verify(bound, r) for step_size, r in zip(GRID, runs, strict=True)}
        held = {step_size: v for step_size, v in verdicts.items() if v.status != "not applicable"}
        found["best allowed"] = int(np.nanargmin(np.where(np.isin(GRID, list(held)), trial, np.inf)))
        value = [bound("solved", **r.constants()) if s in held else np.nan for s, r in zip(GRID, runs, strict=True)]
        tight = min(held, key=lambda step_size: held[step_size].slack)
        loose = max(held)
        found |= {"bound": np.array(value), "tightest": held[tight], "tightest step": tight,
                  "largest": held[loose], "largest step": loose}  # fmt: skip
    return found


def plot(results):
    names, looks = results.axes["objective"], an.plotting.method_styles(METHODS)

    def draw(ax, row, column):
        k = 2 * row + column
        if k < len(names):
            draw_gradients(ax, results, names[k], looks)
        elif k == len(names):
            draw_thresholds(ax, results, [n for n in names if n != "exponential"])
        else:
            ax.set_axis_off()

    rows = range((len(names) + 2) // 2)
    figure = an.plotting.page(rows, range(2), draw, height=1.2 + 2.1 * len(rows), share="", legend_columns=3)
    results.save_figure(figure, "generalized_smoothness")
    report(results, names)


def draw_gradients(ax, results, name, looks):
    """Mean l1 norm against the step size, beside AdaGrad's bound and SGD's threshold."""
    bottom = np.inf
    for method in METHODS:
        found = results.one(part="steps", objective=name, start=MAIN, optimizer=method)
        limits = an.intervals.t_limits(found["l1"].T, 0.05)
        bottom = min(bottom, np.nanmin(limits.estimate) / 2)
        ax.plot(GRID, limits.estimate, label=an.plotting.title(method), markevery=3, **looks[method])
        ax.fill_between(GRID, limits.low, limits.high, color=looks[method]["color"], alpha=0.2, linewidth=0)
    bound = results.one(part="steps", objective=name, start=MAIN, optimizer="adagrad")["bound"]
    ax.plot(GRID, bound, color=looks["adagrad"]["color"], linestyle=":", linewidth=1.5, label="bound, AdaGrad")
    if name != "exponential":
        ax.axvline(threshold(name, MAIN), color="0.4", linewidth=0.9, label="SGD explodes beyond")
    ax.set(xscale="log", yscale="log", xlabel="step size", title=TITLES[name], ylim=(bottom, 3 * np.nanmax(bound)),
           ylabel=rf"mean of $\|\nabla f\|_1$, {STEPS:,} iterations")  # fmt: skip


def draw_thresholds(ax, results, names):
    starts = np.array(results.axes["start"])
    for name, marker, dashes in zip(names, "o^", ("-", "--"), strict=False):
        fine = np.linspace(starts[0], starts[-1], 100)
        ax.plot(fine, [threshold(name, x) for x in fine], color="0.3", linestyle=dashes, label=f"formula, {name}")
        found = results.array("lost", part="threshold", objective=name, optimizer="sgd", start=list(starts))
        ax.plot(starts, found, color="black", marker=marker, linestyle="none", label=f"bisection, {name}")
    ax.set(yscale="log", xlabel="start (distance to the minimizer)", ylabel="step size beyond which SGD explodes")
    ax.set_title("SGD's threshold")


def report(results, names):
    cells = {n: {m: results.one(part="steps", objective=n, optimizer=m, start=MAIN) for m in METHODS} for n in names}
    judged = [(f"{n}, step size {c['adagrad'][f'{w} step']:.3g}", c["adagrad"][w])
              for n, c in cells.items() for w in ("tightest", "largest")]  # fmt: skip
    results.verdicts(judged, title="AdaGrad where the bound is tightest, and at its largest step size")
    rows = [
        {"objective": n, "method": m, "step_size": step_size, "l1": np.mean(c["l1"][k]), "diverged": c["diverged"][k]}
        for n, methods in cells.items() for m, c in methods.items() for k, step_size in enumerate(GRID)
    ]  # fmt: skip
    results.save_csv("gradients", rows)
    tuned = [tuned_row(n, m, cells[n], best) for n in names for m, best in (
        ("sgd", "best"), ("adagrad_norm", "best"), ("adagrad", "best"), ("adagrad", "best allowed"))]  # fmt: skip
    results.table(tuned, title="Tuned step sizes, equal samples: mean l1 norm; its ratio to AdaGrad's, and to that of "
                               "AdaGrad within the theorem's cap (level 0.01)")  # fmt: skip
    starts = ", ".join(f"{n} {first_gradient(n) / STEPS:.3g}" for n in names)
    results.say(f"The gradient at the start alone contributes to each mean over {STEPS:,} iterations: {starts}.")
    errors = [abs(np.log(c.arrays["lost"] / threshold(c.point["objective"], c.point["start"])))
              for c in results.cells(part="threshold")]  # fmt: skip
    results.say(
        f"SGD's threshold by bisection to 0.01 % agrees with 2 x / f'(x) in {len(errors)} cases; largest relative "
        f"difference {max(errors):.2g}."
    )


def tuned_row(name, method, cells, best):
    """The tuned step size of a method, where replicas overflow, and by how much it trails AdaGrad."""
    found, ours = cells[method], cells["adagrad"]
    lost = GRID[found["diverged"] > 0]
    row = {"objective": name, "method": an.plotting.title(method) + ", capped" * (best != "best"),
           "overflow from": f"{lost[0]:.3g}" if lost.size else "never",
           "step size": f"{GRID[found[best]]:.3g}" + ", edge of its grid" * (found[best] in (0, GRID.size - 1)),
           "l1 norm": np.mean(found["l1"][found[best]])}  # fmt: skip
    for own, column in (("best", "over AdaGrad"), ("best allowed", "over capped")):
        ratio = an.intervals.ratio_interval(found["l1"][found[best]], ours["l1"][ours[own]], level=0.01)
        row[column] = f"{ratio:.3f}" if method != "adagrad" else ""
    return row


if __name__ == "__main__":
    raise SystemExit(an.study.main())
