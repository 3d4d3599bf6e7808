"""Does AdaGrad keep its advantage over SGD at large batch size when smoothness and noise are anisotropic?

(a) Steps to a mean gap of 0.02 against the batch size M, with the step sizes of the theorems and with tuned ones.
(b) One budget of N = M T samples, spread over M: the measured mean gap beside every bound that applies.
Quadratics in the box [-1, 1]^50, minimizer 0.9, start 0; four profiles of smoothness and noise, dense 1 or sparse j^-2.
"""

import numpy as np

import anisotropic as an

DIM, TARGET, MAX_STEPS, BUDGET = 50, 0.02, 25_000, 2**16
METHODS = ("sgd", "adagrad", "adagrad_norm")
AXES = {
    "part": ["target", "budget"],
    "profile": ["dense-dense", "dense-sparse", "sparse-dense", "sparse-sparse"],  # smoothness-noise
    "batch": [1, 4, 16, 64, 256, 1024, 4096],
    "optimizer": [*METHODS, "diagonal_sgd"],
    "step_size": ["theorem", "tuned"],
    "replicas": [64],
}
QUICK = {"profile": ["dense-dense", "sparse-sparse"], "batch": [16, 256, 4096], "replicas": [32]}
SHAPES = {"dense": np.ones(DIM), "sparse": np.arange(1.0, DIM + 1) ** -2}
BOUNDS = {
    "sgd": ("convex_sgd", "convex_sgd_proj"), "diagonal_sgd": ("convex_diag_sgd",), "adagrad": ("convex_adagrad",),
    "adagrad_norm": ("convex_adagrad_norm",),
}  # fmt: skip
MAKE = {"sgd": an.optimizers.sgd, "diagonal_sgd": an.optimizers.sgd, "adagrad": an.optimizers.adagrad,
        "adagrad_norm": an.optimizers.adagrad_norm}  # fmt: skip
GRIDS = {"sgd": 2.0 ** np.arange(-9, 3), "adagrad": 2.0 ** np.arange(-6, 6), "adagrad_norm": 2.0 ** np.arange(-6, 6)}


def include(part, profile, batch, optimizer, step_size, replicas):
    """The oracle's diagonal steps are a yardstick for bounds only; equal budgets are compared at both kinds of step."""
    return not (optimizer == "diagonal_sgd" and (part == "target" or step_size == "tuned"))


def problem(profile):
    """Objective, noise and the constants of the theorems."""
    smoothness, sigma = (SHAPES[name] for name in profile.split("-"))
    f = an.problems.quadratic(smoothness, center=0.9, box=(-1, 1))
    return f, an.noises.gaussian(sigma), {"L": smoothness, "sigma": sigma, "D": 2.0, "R": 0.9, "d": DIM}


def cell(part, profile, batch, optimizer, step_size, replicas, seed):
    f, noise, constants = problem(profile)
    bound, make = an.bounds[BOUNDS[optimizer][0]], MAKE[optimizer]
    common = dict(noise=noise, start=0.0, batch_size=batch, replicas=replicas, threads=1)

    def theorem(steps):
        return make(bound.tuned_step_size(T=steps, M=batch, **constants))

    if part == "target":
        goal = dict(target=TARGET, max_steps=MAX_STEPS)
        if step_size == "theorem":
            anytime = optimizer != "sgd"  # the theorem's step of SGD depends on the horizon, AdaGrad's does not
            reach = an.steps_to_target(f, theorem(1) if anytime else theorem, seed=seed, **goal, **common)
            return {"reach": np.array(reach), "at_edge": False}
        tuned = an.tuned_steps_to_target(f, make, GRIDS[optimizer], seed=seed, **goal, **common)
        return {"reach": np.array(tuned.reach), "at_edge": tuned.at_edge, "best": tuned.best}
    steps = BUDGET // batch
    if step_size == "tuned":
        few = {**common, "replicas": max(8, replicas // 4)}
        tuning = an.tune(f, make, GRIDS[optimizer], steps=steps, seed=seed ^ 1, **few)
        run = an.simulate(f, make(tuning.best), steps=steps, seed=seed, **common)
        return {"gap": run.mean_gap[:, -1], "at_edge": tuning.at_edge, "best": tuning.best}
    run = an.simulate(f, theorem(steps), steps=steps, seed=seed, **common)
    verdicts = {name: an.verify(an.bounds[name], run) for name in BOUNDS[optimizer]}
    known = {**constants, "T": steps, "M": batch}
    values = {f"bound {n}": an.bounds[n](form=an.bounds[n].forms[-1], **known) for n in BOUNDS[optimizer]}
    return {"gap": run.mean_gap[:, -1], "at_edge": False, **verdicts, **values}


def plot(results):
    rows, profiles, batches = [], results.axes["profile"], np.array(results.axes["batch"], dtype=float)
    for name, draw in (("steps_to_target", draw_target), ("equal_samples", draw_budget)):
        with an.plotting.style("page"):
            figure, axes = an.plotting.subplots(
                "page", 2, len(profiles), height=4.6, sharex=True, squeeze=False
            )
            for i, step_size in enumerate(("theorem", "tuned")):
                for j, profile in enumerate(profiles):
                    draw(axes[i, j], results, profile, step_size, batches, rows)
                    axes[i, j].set_title(profile.replace("-", " L, ") + " noise" if i == 0 else "")
            for i, step_size in enumerate(("theorem steps", "tuned steps")):
                axes[i, 0].set_ylabel(f"{axes[i, 0].get_ylabel()}\n({step_size})")
            for column in axes.T:
                limits = [ax.get_ylim() for ax in column]
                for ax in column:
                    ax.set_yscale("log")
                    ax.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
                    ax.set_xlim(batches[0] / 1.6, batches[-1] * 1.6)
                    ax.set_xlabel("batch size M")
            tidy(figure, axes)
        results.save_figure(figure, name)
    results.save_csv("curves", rows)
    report(results, profiles)


def tidy(figure, axes):
    """Labels at the outer panels only, one legend for all."""
    for ax in axes[:, 1:].flat:
        ax.set_ylabel("")
    for ax in axes[:-1].flat:
        ax.set_xlabel("")
    an.plotting.shared_legend(figure)


def draw_target(ax, results, profile, step_size, batches, rows):
    """Steps to the target against M, with the critical batch sizes derived from the bounds."""
    _, _, constants = problem(profile)
    series, critical = {}, {}
    for method in METHODS:
        reach = results.array("reach", part="target", profile=profile, step_size=step_size, optimizer=method)
        series[method] = an.intervals.Limits(*reach.T)
        if step_size == "theorem":
            critical[method] = an.bounds[BOUNDS[method][0]].critical_batch_size(gap=TARGET, **constants)
        for M, (steps, low, high) in zip(batches, reach, strict=True):
            rows.append({"part": "target", "profile": profile, "step_size": step_size, "method": method,
                         "batch": int(M),
                         "estimate": steps, "low": low, "high": high})  # fmt: skip
    an.plotting.speed_up(batches, series, critical=critical, target=f"mean gap {TARGET}", ax=ax)


def draw_budget(ax, results, profile, step_size, batches, rows):
    """Mean gap after N samples against M; the bounds beside theorem steps."""
    series = {}
    looks = an.plotting.method_styles([*METHODS, "sgd, diagonal steps"])
    for method in (*METHODS, "diagonal_sgd") if step_size == "theorem" else METHODS:
        chosen = dict(part="budget", profile=profile, step_size=step_size, optimizer=method)
        limits = an.intervals.t_limits(results.array("gap", **chosen).T, 0.05)
        label = "sgd, diagonal steps" if method == "diagonal_sgd" else method
        series[label] = limits
        for k, M in enumerate(batches):
            rows.append({"part": "budget", "profile": profile, "step_size": step_size, "method": method,
                         "batch": int(M),
                         "estimate": limits.estimate[k], "low": limits.low[k], "high": limits.high[k]})  # fmt: skip
        if step_size == "theorem":
            look = looks[label] | {"marker": "", "linewidth": 0.8, "alpha": 0.7}
            bound = results.array(f"bound {BOUNDS[method][0]}", **chosen)
            ax.plot(batches, bound, **look, label=f"bound, {an.plotting.title(label)}")
    an.plotting.curves(batches, series, xlabel="batch size M", ylabel=f"mean gap, {BUDGET:,} samples", ax=ax)


def report(results, profiles):
    """Verdicts, then who wins by how much, then where the bounds rank the methods wrongly."""
    judged = [
        (f"{c.point['profile']}, M={c.point['batch']}", c.arrays[name])
        for method, names in BOUNDS.items()
        for name in names
        for c in results.cells(part="budget", step_size="theorem", optimizer=method)
    ]
    judged = [(label, verdict) for label, verdict in judged if verdict.status != "not applicable"]
    tightest = {}
    for label, verdict in judged:
        if verdict.theorem not in tightest or verdict.slack < tightest[verdict.theorem][1].slack:
            tightest[verdict.theorem] = label, verdict
    results.verdicts(tightest.values(), title="Each bound where it is tightest")
    violated = [label for label, verdict in judged if verdict.status == "violated"]
    results.say(f"{len(judged)} verdicts; contradicted bounds: {'; '.join(violated) or 'none'}.")
    ends = (results.axes["batch"][0], results.axes["batch"][-1])
    for profile in profiles:
        for batch in ends:
            for other in ("sgd", "adagrad_norm"):
                results.say(compare(results, profile, batch, other))
    for c in results.cells(step_size="tuned", optimizer=list(METHODS)):
        if c.arrays["at_edge"]:
            p = c.point
            where = f"{p['profile']}, M={p['batch']}, {p['part']}"
            results.say(f"Grid edge: the best tuned step of {p['optimizer']} lies at an end ({where}).")
    wrong = misranked(results, profiles)
    found = f"In {len(wrong)} of {len(profiles) * len(results.axes['batch'])} cells of equal samples"
    results.say(f"{found} the bounds rank SGD and AdaGrad against the measurement: {'; '.join(wrong) or 'none'}.")


def compare(results, profile, batch, other):
    """AdaGrad against `other` with tuned steps: steps to the target, and the gap at equal samples."""
    chosen = dict(profile=profile, batch=batch, step_size="tuned")
    ours, theirs = (
        results.one(part="target", optimizer=m, **chosen)["reach"] for m in ("adagrad", other)
    )
    gap, other_gap = (results.one(part="budget", optimizer=m, **chosen)["gap"] for m in ("adagrad", other))
    name = an.plotting.title(other)
    ratio = an.intervals.ratio_interval(other_gap, gap, level=0.01)
    verdict = "smaller" if ratio.low > 1 else "larger" if ratio.high < 1 else "not distinguishable"
    missing = [n for n, reach in (("AdaGrad", ours), (name, theirs)) if not np.isfinite(reach[0])]
    if missing:
        steps = f"{' and '.join(missing)} did not reach the target in {MAX_STEPS:,} steps"
    else:
        low, high = theirs[1] / ours[2], theirs[2] / ours[1]
        steps = f"{name} needs {theirs[0] / ours[0]:.2f} [{low:.2f}, {high:.2f}] times AdaGrad's steps"
    return (
        f"{profile}, M={batch}, tuned: {steps}; at equal samples AdaGrad's mean gap is {verdict} "
        f"({name} / AdaGrad = {ratio.estimate:.2f} [{ratio.low:.2f}, {ratio.high:.2f}], level 0.01)."
    )


def misranked(results, profiles):
    """Cells with theorem steps in which bound and measurement order SGD and AdaGrad differently, beyond noise."""
    found = []
    for profile in profiles:
        for batch in results.axes["batch"]:
            chosen = dict(part="budget", profile=profile, batch=batch, step_size="theorem")
            sgd, adagrad = (results.one(optimizer=m, **chosen) for m in METHODS[:2])
            measured = an.intervals.ratio_interval(sgd["gap"], adagrad["gap"], level=0.01)
            sgd_by_bound = float(sgd["bound convex_sgd"]) < float(adagrad["bound convex_adagrad"])
            if (measured.low > 1 and sgd_by_bound) or (measured.high < 1 and not sgd_by_bound):
                found.append(f"{profile} M={batch}")
    return found


if __name__ == "__main__":
    raise SystemExit(an.study.main())
