"""What do batch sizes chosen by a test gain, at equal iterations and at equal samples, and when are the tests blind?

The claim (arXiv 2402.11215): with a norm test the accumulator stays bounded and the mean squared gradient falls like
1/K; at a fixed batch size the accumulator grows like K. Quadratic with h from 1 to 0.1, sums of h x^2/(1 + x^2); noise
of trace 1, isotropic or with standard deviation 0.95 in one coordinate (effective rank 1.23). AdaGrad-Norm is the
control of AdaGrad; both with step size 1 and v_0 = 0.01, SGD with step size 0.5: the theorems allow these step sizes,
nobody tuned them. Work to a target ends at the first of all iterations whose true squared gradient is at most the
target; medians over replicas.
"""

import warnings

import numpy as np
from _targets import MEASURES, TARGETS, passages

import anisotropic as an

SHORT, LONG_REPLICAS = 30_000, 9
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the blind tests are shown on purpose
    RULES = {
        "fixed 1": 1,
        "fixed 16": 16,
        "fixed 256": 256,
        **{f"exact norm {eta:g}": an.batching.norm_test(eta, "exact", start=1) for eta in (0.25, 0.5, 0.9)},
        **{f"norm {eta:g}": an.batching.norm_test(eta, start=8) for eta in (0.25, 0.5, 0.9, 1.2)},
        "norm 0.9 unbiased": an.batching.norm_test(0.9, "unbiased", start=8),
        "inner product .9": an.batching.inner_product_test(0.9, np.inf, start=8),
        "inner product .9/5.84": an.batching.inner_product_test(0.9, 5.84, start=8),
        "inner product .9/5.84, average of 10": an.batching.inner_product_test(0.9, 5.84, start=8, backup=10),
        "inner product .5/1": an.batching.inner_product_test(0.5, 1.0, start=8),
        "exact coordinate .5": an.batching.coordinate_norm_test(0.5, 1e-12, "exact", start=1),
        "coordinate .5": an.batching.coordinate_norm_test(0.5, 1e-12, start=8),
    }
LONG = {"fixed 1": 2_000_000, "fixed 16": 1_000_000, "fixed 256": 250_000, "inner product .9/5.84": 600_000}
FEW = ("fixed 16", "norm 0.9", "inner product .9/5.84", "inner product .9/5.84, average of 10")
CHOSEN = {
    ("quadratic", 20, "adagrad_norm"): [name for name in RULES if "coordinate" not in name],
    ("quadratic", 20, "adagrad"): ["fixed 16", "norm 0.5", "exact coordinate .5", "coordinate .5"],
    ("quadratic", 20, "sgd"): ["fixed 16", "norm 0.9"],
    ("quadratic", 100, "adagrad_norm"): ["norm 0.9", "inner product .9/5.84, average of 10"],
    ("spiked noise", 20, "adagrad_norm"): FEW,
    ("nonconvex", 20, "adagrad_norm"): ["fixed 1", "fixed 16", "exact norm 0.5", "norm 0.5", "norm 0.9"],
}
AXES = {
    "problem": ["quadratic", "spiked noise", "nonconvex"],
    "dim": [20, 100],
    "optimizer": ["adagrad_norm", "adagrad", "sgd"],
    "rule": list(RULES),
    "replicas": [64],
}
QUICK = {
    "problem": ["quadratic"], "dim": [20], "optimizer": ["adagrad_norm"], "rule": ["fixed 16", "norm 0.9"],
    "replicas": [5],
}  # fmt: skip
UNPAIRED = ("optimizer", "rule")


def include(problem, dim, optimizer, rule, replicas):
    return rule in CHOSEN.get((problem, dim, optimizer), ())


def simulate(problem, dim, optimizer, rule, replicas, seed, steps):
    h, sigma = np.geomspace(1.0, 0.1, dim), np.full(dim, dim**-0.5)
    if problem == "spiked noise":
        sigma[:], sigma[0] = np.sqrt((1 - 0.95**2) / (dim - 1)), 0.95
    f = an.problems.geman_mcclure(h) if problem == "nonconvex" else an.problems.quadratic(h)
    method = an.optimizers.sgd(0.5)
    if optimizer != "sgd":
        method = getattr(an.optimizers, optimizer)(1.0, eps=0.1, preset="nonconvex")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return an.simulate(
            f, method, noise=an.noises.gaussian(sigma), start=1.0, steps=steps,
            batch_size=RULES[rule], replicas=replicas, seed=seed, records=1000, threads=1,
            measures=MEASURES,
        )  # fmt: skip


def cell(problem, dim, optimizer, rule, replicas, seed):
    point = (problem, dim, optimizer, rule)
    run = simulate(*point, replicas, seed, SHORT)
    found = {"reach": passages(run)}
    if rule in LONG and replicas >= LONG_REPLICAS and optimizer == "adagrad_norm" and problem != "nonconvex":
        longer = simulate(*point, LONG_REPLICAS, seed, LONG[rule])
        found = {"reach": passages(longer), "longest": LONG[rule]}
    means = {name: run[name].mean(axis=0) for name in ("last_gradient_l2_squared", "gradient_l2_squared")}
    medians = {name: np.median(run[name], axis=0) for name in ("samples", "batch_size")}
    root = np.sqrt(run.accumulator).mean(axis=0)
    return {"steps": run.steps, "root v": root, "status": run.status, "longest": SHORT} | found | means | medians


def slope(found, values):
    """Over K in [1e3, 3e4]."""
    use = found["steps"] >= 1000
    return float(np.polyfit(np.log(found["steps"][use]), np.log(np.maximum(values[use], 1e-300)), 1)[0])


def brief(value):
    """Two digits in few letters: 8.2e6."""
    return f"{value:.2g}" if value < 100 else f"{value:.1e}".replace("e+0", "e").replace("e+", "e")


def plot(results):
    rows, work = [], []
    for c in results.cells():
        a, (problem, dim, optimizer, rule, _) = c.arrays, c.point.values()
        place = {"problem": problem if dim == 20 else f"{problem}, d = {dim}", "method": optimizer, "rule": rule}
        rows.append(place | {
            "mean |G|^2": slope(a, a["gradient_l2_squared"]), "last |G|^2": slope(a, a["last_gradient_l2_squared"]),
            "root v": slope(a, a["root v"]) if optimizer != "sgd" else np.nan, "last b": a["batch_size"][-1],
            "final |G|^2": a["last_gradient_l2_squared"][-1],
        })  # fmt: skip
        texts = [f"{brief(n)} | {brief(s)}" if np.isfinite(s) else "-" for s, n in a["reach"]]
        work.append(place | {f"{t:g}": text for t, text in zip(TARGETS, texts, strict=True)})
    results.save_csv("slopes", rows)
    results.save_csv("work", work)
    for problem, method in dict.fromkeys((r["problem"], r["method"]) for r in rows):
        for listed, told in ((rows, "slopes over K in [1e3, 3e4]"), (work, "samples | iterations to |G|^2 of")):
            chosen = [r for r in listed if (r["problem"], r["method"]) == (problem, method)]
            results.table([{k: v for k, v in r.items() if k not in ("problem", "method")} for r in chosen],
                          title=f"{problem}, {an.plotting.title(method)}: {told}")  # fmt: skip
    judged = [r for r in rows if np.isfinite(r["root v"])]
    tested, fixed = ([r for r in judged if r["rule"].startswith("fixed") == is_fixed] for is_fixed in (False, True))
    growing = "; ".join(f"{r['rule']}, {r['problem']}" for r in tested if r["root v"] > 0.02)
    results.say(f"The accumulator grows (its root faster than K^0.02) in {sum(r['root v'] > 0.02 for r in fixed)} of "
                f"{len(fixed)} cells at fixed batch sizes, and under these tests: {growing or 'none'}.")  # fmt: skip
    exact = [r for r in rows if "exact" in r["rule"]]
    holds = [abs(r["mean |G|^2"] + 1) < 0.02 and r["root v"] <= 0.02 for r in exact]
    if exact:
        results.say(f"O(1/K) with exact tests holds here in {sum(holds)} of {len(exact)} cells (slope -1 +- 0.02).")
    gains = [gain(results, problem) for problem in results.axes["problem"]]
    results.table([row for row in gains if row], title="AdaGrad-Norm, batch 16 over norm .9: samples (iterations)")
    draw(results)


def gain(results, problem):
    """Work of the fixed batch 16 over that of the norm test to each target, and to its own mean at the end."""
    found = {c.point["rule"]: c.arrays for c in results.cells(problem=problem, optimizer="adagrad_norm", dim=20)}
    if not {"fixed 16", "norm 0.9"} <= set(found):
        return {}
    fixed, test, row = found["fixed 16"], found["norm 0.9"], {"problem": problem}
    for target, (steps, samples), (fewer, less) in zip(TARGETS, fixed["reach"], test["reach"], strict=True):
        known = np.isfinite(steps)
        steps, samples = (steps, samples) if known else (fixed["longest"], 16 * fixed["longest"])
        row[f"{target:g}"] = f"{'' if known else 'over '}{samples / less:.2g} ({brief(steps / fewer)})"
    level = fixed["last_gradient_l2_squared"][-1]
    k = np.flatnonzero(test["last_gradient_l2_squared"] <= level)[0]
    ratios = fixed["samples"][-1] / test["samples"][k], SHORT / test["steps"][k]
    return row | {f"mean after {SHORT:,} iterations": "{} ({})".format(*map(brief, ratios))}


def draw(results):
    """AdaGrad-Norm, d = 20: squared gradient over iterations and samples, and the root of the accumulator."""
    columns = [("steps", "last_gradient_l2_squared", "mean squared gradient"),
               ("samples", "last_gradient_l2_squared", "mean squared gradient"),
               ("steps", "root v", "root of the accumulator")]  # fmt: skip

    def panel(ax, problem, column):
        x, y, label = column
        for i, (rule, line) in enumerate(zip(FEW, ("-", "--", ":", "-."), strict=True)):
            chosen = dict(problem=problem, optimizer="adagrad_norm", dim=20, rule=rule)
            for c in results.cells(**chosen) if rule in results.axes["rule"] else []:
                ax.plot(c.arrays[x], np.maximum(c.arrays[y], 1e-14), line, color=f"C{i}", label=rule)
        ax.set(xscale="log", yscale="log", xlabel=x.replace("steps", "iterations"), ylabel=label)
        if x == "samples":
            ax.set_xlim(8, 1e9)

    problems = results.axes["problem"]
    figure = an.plotting.page(problems, columns, panel, height=0.7 + 2.0 * len(problems), share="", row_labels=str,
                              legend_columns=2)  # fmt: skip
    results.save_figure(figure, "adagrad_norm")


if __name__ == "__main__":
    raise SystemExit(an.study.main())
