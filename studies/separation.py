"""Who wins, and is it proved? Three quadratics on which one method's upper bound lies below another's lower bound.

Steep: one steep coordinate caps the step size of gradient descent, d - 1 flat ones wait for it; no noise, a corner of
the box [-1, 1]^d as start. AdaGrad at its theorem's step size against gradient descent, every constant one up to 2/L.
Overshoot: equal curvature, one coordinate far away and d - 1 next to the minimizer; no noise, no box. SGD with the step
size 1/L against AdaGrad with every uniform one. Noisy: all noise in one coordinate and all distance in the others.
AdaGrad in the box [-1, 1]^d at its theorem's step size against SGD with every constant one, without a box.
On the steep instance gradient descent is judged by the gap of its average iterate, which is never above its mean gap.
Equal iterations are equal samples (M = 1). AdaGrad-Norm is the control: one decaying step size for all coordinates.
"""

import numpy as np

import anisotropic as an

AXES = {
    "instance": ["steep", "overshoot", "noisy"],
    "dim": [8, 30, 100, 300, 1000],
    "optimizer": ["sgd", "adagrad", "adagrad_norm"],
    "steps": [10_000],
    "replicas": [32],
}
QUICK = {"dim": [30, 300], "steps": [1000], "replicas": [16]}
METHODS = tuple(AXES["optimizer"])
#: (upper bound of the winner, lower bound of the loser), and the loser's gap that the lower bound is about.
CLAIMS = {
    "steep": {"adagrad": "convex_adagrad", "sgd": "sgd_separation_lower"},
    "overshoot": {"sgd": "convex_sgd", "adagrad": "adagrad_every_step_lower"},
    "noisy": {"adagrad": "convex_adagrad", "sgd": "sgd_every_step_lower"},
}
WINNERS = {"steep": "adagrad", "overshoot": "sgd", "noisy": "adagrad"}
MEASURES = {("steep", "sgd"): "average_gap"}
LEVEL = 0.05
JUDGED = 2  # under noise the lower bound of SGD is nearly met at the best step size, where no interval can decide


def loser(instance):
    return "adagrad" if WINNERS[instance] == "sgd" else "sgd"


def instance_of(name, dim, steps):
    """Constants of an instance."""
    make = {"steep": an.bounds.separation_instance, "overshoot": an.bounds.overshoot_instance,
            "noisy": an.bounds.quick_or_quiet_instance}[name]  # fmt: skip
    return make(dim, steps)


def theorem_step_size(name, optimizer, known):
    """The step size of the upper bound; 2/L for gradient descent on the steep instance; None where any will do."""
    if optimizer == "sgd":
        return {"steep": 2.0, "overshoot": 1.0}.get(name)
    if "D" not in known:
        return None
    return float(np.max(an.bounds[f"convex_{optimizer}"].tuned_step_size(**known)))


def grid_of(name, optimizer, dim, steps):
    """Step sizes to try: around what balances the two kinds of coordinates, to both sides far beyond it."""
    if optimizer == "sgd":
        if name == "noisy":
            return np.sqrt((dim - 1) / steps) * np.geomspace(0.01, 6.6, 33)
        return np.unique([*np.geomspace(0.01, 3160, 64), 2.0]) if name == "steep" else np.geomspace(0.01, 1.9, 33)
    if optimizer == "adagrad":
        return np.geomspace(0.01, 30, 33)
    return np.geomspace(0.01, 3160, 64)


def cell(instance, dim, optimizer, steps, replicas, seed):
    known = instance_of(instance, dim, steps)
    boxed = instance == "steep" or (instance == "noisy" and optimizer != "sgd")
    f = an.problems.quadratic(known["L"], box=(-1, 1) if boxed else None)
    noisy, make = instance == "noisy", getattr(an.optimizers, optimizer)
    noise = an.noises.gaussian(known["sigma"]) if noisy else an.noises.none()

    def run(step_size):
        return an.simulate(f, make(step_size), noise=noise, start=known["R"], steps=steps, records=1,
                           replicas=replicas if noisy else 2, seed=seed, threads=1)  # fmt: skip

    statistic = MEASURES.get((instance, optimizer), "mean_gap")
    theorem = theorem_step_size(instance, optimizer, known)
    grid = grid_of(instance, optimizer, dim, steps)
    values = np.array([run(step_size)[statistic][:, -1] for step_size in grid])
    means = np.where(np.isnan(values).any(axis=1), np.inf, values.mean(axis=1))
    allowed = means if statistic == "mean_gap" else np.where(grid <= theorem, means, np.inf)
    best = int(np.argmin(allowed))
    found = {"grid": grid, "grid gap": means, "best": values[best], "best step_size": grid[best],
             "at edge": best in (0, int(np.sum(np.isfinite(allowed))) - 1)}  # fmt: skip
    at_theorem = None if theorem is None else run(theorem)
    if at_theorem is not None:
        found |= {"gap": at_theorem.mean_gap[:, -1], "theorem": theorem}
    if optimizer in CLAIMS[instance]:
        bound = an.bounds[CLAIMS[instance][optimizer]]
        judged = theorem or grid[best] * (JUDGED if noisy else 1)
        found["bound"] = bound.tightest(**known | {"step_size": judged}).value
        found["verdict"] = an.verify(bound, at_theorem or run(judged))
    return found


def plot(results):
    for steps in results.axes["steps"]:
        names = results.axes["instance"]
        figure = an.plotting.page([steps], names, lambda ax, t, name: draw(results, ax, name, t), height=3.8, share="",
                                  titles=lambda n: f"{n}: {an.plotting.title(WINNERS[n])} wins",
                                  legend_columns=3)  # fmt: skip
        results.save_figure(figure, f"separation_{steps}")
        rows = [row for name in names for row in table(results, name, steps)]
        results.save_csv(f"separation_{steps}", rows)
        for name in names:
            report(results, name, steps, [row for row in rows if row["instance"] == name])
        checks = [
            (f"{c.point['instance']} d={c.point['dim']}", c.arrays["verdict"])
            for c in results.cells(steps=steps) if "verdict" in c.arrays
        ]  # fmt: skip
        results.verdicts(checks, f"T = {steps}")


def draw(results, ax, name, steps):
    """Proven limits as broad lines, measured gaps at the best step size as thin ones."""
    dims, looks = np.array(results.axes["dim"]), an.plotting.method_styles(METHODS)
    best = {f"{m}, best step size": results.array("best", instance=name, optimizer=m, steps=steps,
                                                  dim=list(dims)).mean(axis=-1) for m in METHODS}  # fmt: skip
    an.plotting.curves(dims, best, xlabel="dimension d", ylabel=f"gap after {steps:,} iterations", ax=ax)
    for method, dashes, words in ((loser(name), "-", "is above this"), (WINNERS[name], "--", "is below this")):
        values = results.array("bound", instance=name, optimizer=method, steps=steps, dim=list(dims))
        ax.plot(dims, values, color=looks[method]["color"], linestyle=dashes, linewidth=2.4, alpha=0.6,
                label=f"proved: {an.plotting.title(method)} {words}")  # fmt: skip
    ax.set(xscale="log", yscale="log")


def table(results, name, steps):
    rows = []
    for dim in results.axes["dim"]:
        wins, loses, norm = (
            results.one(instance=name, optimizer=m, dim=dim, steps=steps)
            for m in (WINNERS[name], loser(name), "adagrad_norm")
        )
        rows.append({
            "instance": name, "d": dim, "winner <=": float(wins["bound"]), "loser >=": float(loses["bound"]),
            "factor": float(loses["bound"] / wins["bound"]), "winner": float(np.mean(wins["gap"])),
            "loser, best": float(np.mean(loses["best"])), "Norm, best": float(np.mean(norm["best"])),
        })  # fmt: skip
    return rows


def report(results, name, steps, rows):
    short = [{k: f"{v:.3g}" if isinstance(v, float) else v for k, v in row.items() if k != "instance"} for row in rows]
    results.table(short, title=f"{name}, T = {steps:,}: proved (<=, >=), their ratio, and measured gaps")
    proved, last = [row["d"] for row in rows if row["factor"] > 1], rows[-1]
    winner, other = an.plotting.title(WINNERS[name]), an.plotting.title(loser(name))
    allowed = {"steep": "constant step size up to 2/L", "overshoot": "uniform step size",
               "noisy": "constant step size"}[name]  # fmt: skip
    results.say(
        f"{name}, T = {steps:,}: {winner} is proved better than {other} with every {allowed} at d = "
        f"{', '.join(map(str, proved)) or 'no value of the grid'}; at d = {last['d']:,} by a factor of at least "
        f"{last['factor']:.3g}."
    )
    at = {"instance": name, "dim": last["d"], "steps": steps}
    wins, loses, norm = (results.one(optimizer=m, **at) for m in (WINNERS[name], loser(name), "adagrad_norm"))
    ratio = an.intervals.ratio_interval(loses["best"], wins["gap"], LEVEL)
    exact = "without noise this is exact" if ratio.low == ratio.high else f"{ratio.low:.3g} to {ratio.high:.3g}"
    results.say(
        f"Measured there: {other} at the best of {loses['grid'].size} step sizes ({loses['best step_size']:.3g}"
        f"{', the edge of the grid' * bool(loses['at edge'])}) has {ratio.estimate:.3g} times the gap of {winner} at "
        f"its theorem's step size ({exact}). AdaGrad-Norm at its best ({norm['best step_size']:.3g}"
        f"{', the edge of the grid' * bool(norm['at edge'])}) has {np.mean(norm['best']) / np.mean(wins['gap']):.3g} "
        "times."
    )
    if name == "steep":
        anywhere = float(np.min(results.one(optimizer="sgd", **at)["grid gap"]))
        results.say(
            f"The box keeps step sizes beyond 2/L from diverging, and no lower bound is claimed for them: over the "
            f"whole grid the smallest gap of gradient descent's average iterate is {anywhere:.3g}."
        )


if __name__ == "__main__":
    raise SystemExit(an.study.main())
