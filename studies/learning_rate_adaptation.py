"""Do loss-driven learning rates help?

Halving on a plateau converges, searching does not, constant rates stay at their floor. Quadratic with h = (1, 0.7,
0.5), start at ones, noise of size 1, batch 4: SGD with every rule; Adam, RMSProp and, as the control, AdaGrad-Norm with
a few; the first step size of a method is the same for all its rules, not tuned. An evaluation with n samples errs like
the mean of n losses sum_j h_j (w_j - X_j)^2 / 2. The spread at constant rates is measured, with the formula for SGD
beside it. One network (extra torch): Poisson's equation on the unit square by the deep Ritz method, 2-32-32-1, tanh,
penalty 100, Adam.
"""

import numpy as np
from _deep_ritz import poisson
from _rate_rules import BATCH, CURVATURE, halving, undone_search

import anisotropic as an
from anisotropic.bounds import batch_facts as facts


@an.leaf
def square(w, gradient, params):
    """|w|^2."""
    return np.sum(w * w)


RATES = {
    "constant": lambda step_size: step_size,
    "constant / 5": lambda step_size: step_size / 5,
    "halve, 100 samples": halving(samples=100),
    "halve, 1e5 samples": halving(samples=100_000),
    "halve always": halving(),
    "halve on plateau": an.schedules.halve_on_plateau,
    "1/t": lambda step_size: an.schedules.inverse_time(2 * step_size, 10.0),
    "search": an.schedules.restarted_search,
    **{f"phases of {n}": halving(length=n) for n in (5, 10, 20, 50)},
}
SEARCHES = {f"search undone, {n:.0e} samples": undone_search(n) for n in (100, 10_000, 1_000_000, 10**12)}
GENERAL = ("constant", "constant / 5", "halve on plateau", "search")
AXES = {
    "problem": ["quadratic", "poisson"],
    "optimizer": ["sgd", "adam", "rmsprop", "adagrad_norm"],
    "rate": [*RATES, *SEARCHES],
    "steps": [300_000],
    "replicas": [50],
}
QUICK = {"optimizer": ["sgd", "adam"], "rate": ["constant", "halve, 100 samples", "phases of 5"], "steps": [20_000],
         "replicas": [8]}  # fmt: skip
UNPAIRED = ("optimizer", "rate")
MAKE = {
    "sgd": an.optimizers.sgd,
    "adam": an.optimizers.adam,
    "rmsprop": lambda step_size: an.optimizers.rmsprop(step_size, 0.99, eps=1e-8),
    "adagrad_norm": lambda step_size: an.optimizers.adagrad_norm(step_size, eps=0.1, preset="nonconvex"),
}
STEP = {"sgd": 0.2, "adam": 0.05, "rmsprop": 0.05, "adagrad_norm": 1.0}


def include(problem, optimizer, rate, steps, replicas):
    if problem == "poisson":
        return optimizer == "adam" and rate in ("constant", "halve on plateau", "search")
    few = {"adam": GENERAL, "rmsprop": ("constant", "constant / 5"), "adagrad_norm": ("constant",)}
    return optimizer == "sgd" or rate in few[optimizer]


def cell(problem, optimizer, rate, steps, replicas, seed):
    if problem == "poisson":
        return poisson(rate, max(steps // 100, 200), seed)
    if rate in SEARCHES:
        method, replicas = SEARCHES[rate](STEP[optimizer]), max(replicas // 3, 2)
    else:
        method = MAKE[optimizer](RATES[rate](STEP[optimizer]))
    run = an.simulate(
        an.problems.quadratic(CURVATURE), method, noise=an.noises.gaussian(1.0), start=1.0, batch_size=BATCH,
        steps=steps // 10 if rate.startswith("phases") else steps, replicas=replicas, seed=seed, records=120,
        measures={"square": square}, threads=1,
    )  # fmt: skip
    last = np.median(run.accumulator[:, -1]) if rate in SEARCHES else np.nan
    late = run.steps >= run.steps[-1] / 10**1.5
    means = run.square.mean(axis=0)
    error = np.std(run.square[:, late].mean(axis=1), ddof=1) / np.sqrt(replicas)
    return {"steps": run.steps, "square": means, "late": means[late].mean(), "error": error, "last rate": last,
            "status": run.status}  # fmt: skip


def plot(results):
    rows, spread = [], []
    for c in results.cells(problem="quadratic"):
        a, method, rate = c.arrays, c.point["optimizer"], c.point["rate"]
        late = a["steps"] >= a["steps"][-1] / 10**1.5
        rows.append({
            "method": method, "rate": rate, "final |w|^2": a["square"][-1],
            "slope": np.polyfit(np.log(a["steps"][late]), np.log(a["square"][late]), 1)[0], "late mean": a["late"],
            "+-": float(a["error"]), "last rate": float(a["last rate"]),
        })  # fmt: skip
        if rate.startswith("constant") and method != "adagrad_norm":
            spread.append(stationary(method, STEP[method] / (5 if rate.endswith("5") else 1), a))
    results.save_csv("rates", rows)
    shown = ("method", "rate", "final |w|^2", "slope", "last rate")
    results.table([{k: row[k] for k in shown} | {"converges": verdict(row)} for row in rows],
                  title="Mean squared distance; slope over the last 1.5 decades")  # fmt: skip
    if spread:
        results.save_csv("spread", spread)
        results.table([row | {"over formula": row["measured"] / row["at step size/sqrt(v)"]} for row in spread],
                      title="Stationary |w|^2 beside SGD's at the same rate and where noise rules v")  # fmt: skip
    for rule in dict.fromkeys(r["rate"] for r in rows if r["rate"].startswith("phases")):
        n = int(rule.split()[-1])
        left = facts.remaining_bias(CURVATURE, [STEP["sgd"] / 2**j for j in range(60)], [n] * 60)
        results.say(f"SGD, {rule} iterations: by the formula {np.sum(left**2):.3g} of |w|^2 is bias, the rest noise.")
    if "poisson" in results.axes["problem"]:
        results.table([{"rate": c.point["rate"], "iterations, trials included": c.arrays["steps"][-1],
                        "error": c.arrays["error"][-1], "last rate": float(c.arrays["rate"])}
                       for c in results.cells(problem="poisson")], title="Poisson, Adam")  # fmt: skip
    draw(results)


def verdict(row):
    """Does the rule converge like 1/N?"""
    if row["rate"].startswith("constant"):
        return "no, by design"
    if row["final |w|^2"] > 3:
        return "diverges"
    return "like 1/N" if -1.25 < row["slope"] < -0.8 else "slower" if row["slope"] > -0.8 else "faster"


def stationary(method, step_size, arrays):
    """|w|^2 at a constant rate beside SGD's formula at the same rate; where noise rules v, at step size / sqrt(v)."""
    rates = {"SGD's formula": step_size, "at step size/sqrt(v)": step_size * (1 if method == "sgd" else np.sqrt(BATCH))}
    exact = {name: np.sum(facts.stationary_variance(CURVATURE, 1.0, step_size=rate, batch_size=BATCH))
             for name, rate in rates.items()}  # fmt: skip
    return {"method": method, "rate": step_size, "measured": arrays["late"], "+-": float(arrays["error"]), **exact}


def draw(results):
    rules = ("constant", "halve, 100 samples", "halve always", "1/t", "search undone, 1e+04 samples", "phases of 10")
    looks = ("-", "--", ":", "-.", (0, (8, 2)), (0, (5, 1, 1, 1, 1, 1)))

    def panel(ax, row, name):
        label = "error of u" if "Poisson" in name else "mean squared distance"
        for c in results.cells(problem="poisson" if "Poisson" in name else "quadratic"):
            method, rate, a = c.point["optimizer"], c.point["rate"], c.arrays
            if "Poisson" in name:
                k = GENERAL.index(rate)
                ax.plot(a["steps"], a["error"], linestyle=looks[k], color=f"C{k}", label=rate)
            elif name.startswith("SGD") and method == "sgd" and rate in rules:
                k = rules.index(rate)
                ax.plot(a["steps"], a["square"], linestyle=looks[k], color=f"C{k}", label=rate)
            elif name.startswith("constant") and rate == "constant":
                look = an.plotting.method_styles([method])[method] | {"markersize": 3, "markevery": 12}
                ax.plot(a["steps"], a["square"], **look, label=an.plotting.title(method))
        xscale = "linear" if "Poisson" in name else "log"
        ax.set(xscale=xscale, yscale="log", xlabel="iterations", ylabel=label)

    names = ["SGD", "constant rates", *(["Poisson, Adam"] if "poisson" in results.axes["problem"] else [])]
    figure = an.plotting.page([""], names, panel, height=3.4, share="", titles=str)
    results.save_figure(figure, "rates")


if __name__ == "__main__":
    raise SystemExit(an.study.main())
