"""What do batches that grow by a test buy, and where do the tests go blind? At equal iterations and at equal samples.

The claim (arXiv 2402.11215): with a norm test the accumulator stays bounded and the mean squared gradient falls like
1/K; at a fixed batch the accumulator grows like K. Quadratic with h from 1 to 0.1, sums of h x^2/(1 + x^2); noise of
trace 1, isotropic or with standard deviation 0.95 in one coordinate (effective rank 1.23). AdaGrad-Norm is the control
of AdaGrad; both with step size 1 and v_0 = 0.01, SGD with step size 0.5: the theorems allow these step sizes, nobody
tuned them. Work to a target ends at the first of all iterations whose true squared gradient is at most the target;
medians over replicas.
"""

import warnings

import numpy as np

import anisotropic as an

TARGETS, SHORT, LONG_REPLICAS = (1e-2, 1e-3, 1e-4, 1e-5), 30_000, 9
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


@an.leaf
def square(gradient):
    return np.sum(gradient * gradient)


@an.leaf
def first(w, gradient, params):
    return 1.0 if square(gradient) <= TARGETS[0] else 0.0


@an.leaf
def second(w, gradient, params):
    return 1.0 if square(gradient) <= TARGETS[1] else 0.0


@an.leaf
def third(w, gradient, params):
    return 1.0 if square(gradient) <= TARGETS[2] else 0.0


@an.leaf
def fourth(w, gradient, params):
    return 1.0 if square(gradient) <= TARGETS[3] else 0.0


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
            measures={"first": first, "second": second, "third": third, "fourth": fourth},
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


def passages(run):
    """Median steps and samples to each target: the running mean of "reached" says whether any step before was there."""
    rows = []
    for name in ("first", "second", "third", "fourth"):
        reached = run[f"mean_{name}"] > 0
        k, ever = reached.argmax(axis=1), reached.any(axis=1)
        rows.append([np.median(np.where(ever, run.steps[k], np.inf)),
                     np.median(np.where(ever, run.samples[np.arange(len(k)), k], np.inf))])  # fmt: skip
    return np.array(rows)


def slope(found, values):
    """Over K in [1e3, 3e4]."""
    use = found["steps"] >= 1000
    return float(np.polyfit(np.log(found["steps"][use]), np.log(np.maximum(values[use], 1e-300)), 1)[0])


def brief(value):
    """Two digits in few letters: 8.2e6."""
    return f"{value:.2g}" if value < 100 else f"{value:.1e}".replace("e+0", "e").replace("e+", "e")


def short(rule):
    return rule.replace("inner product", "ip").replace(", average of 10", " avg")


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
        name = f"{problem}, {an.plotting.title(method)}"
        for listed, told in ((rows, "slopes over K in [1e3, 3e4]"), (work, "samples | steps to |G|^2 of")):
            chosen = [r for r in listed if (r["problem"], r["method"]) == (problem, method)]
            results.table([{k: shown(k, v, r) for k, v in r.items() if k not in ("problem", "method")} for r in chosen],
                          title=f"{name}: {told}")  # fmt: skip
    say_rates(results, rows)
    say_work(results)
    draw(results)


def shown(name, value, row):
    if name == "last |G|^2" and row["final |G|^2"] < 1e-10:
        return "flat at the cap"
    if name == "last b":
        return brief(value)
    if name in ("mean |G|^2", "last |G|^2", "root v"):
        return f"{value:.3f}" if np.isfinite(value) else "-"
    return short(value) if name == "rule" else value


def say_rates(results, rows):
    """The accumulator, and O(1/K) where the theorem speaks."""
    judged = [r for r in rows if np.isfinite(r["root v"])]
    tested = [r for r in judged if not r["rule"].startswith("fixed")]
    growing = [r for r in tested if r["root v"] > 0.02]
    names = "; ".join(f"{short(r['rule'])}, {r['problem']} (K^{r['root v']:.2f})" for r in growing)
    results.say(
        f"Root of the accumulator bounded (slope at most 0.02) in {len(tested) - len(growing)} of {len(tested)} cells "
        f"with a test; it grows under: {names or 'none'}."
    )
    fixed = [r["root v"] for r in judged if r["rule"].startswith("fixed")]
    if fixed:
        results.say(f"At fixed batches it grows in all {len(fixed)}: K^{min(fixed):.2f} to K^{max(fixed):.2f}.")
    exact = [r for r in rows if "exact" in r["rule"]]
    holds = [abs(r["mean |G|^2"] + 1) < 0.02 and r["root v"] <= 0.02 for r in exact]
    if exact:
        results.say(f"O(1/K) with exact tests holds here in {sum(holds)} of {len(exact)} cells (slope -1 +- 0.02).")


def say_work(results):
    """AdaGrad-Norm: fixed batch 16 against the norm test at each target, and the price of a decade."""
    for problem in results.axes["problem"]:
        found = {c.point["rule"]: c.arrays for c in results.cells(problem=problem, optimizer="adagrad_norm")
                 if c.point["dim"] == 20}  # fmt: skip
        if {"fixed 16", "norm 0.9"} <= set(found):
            fixed, test, told = found["fixed 16"], found["norm 0.9"], []
            for target, (steps, samples), (fewer, less) in zip(TARGETS, fixed["reach"], test["reach"], strict=True):
                known = np.isfinite(steps)
                steps, samples = (steps, samples) if known else (fixed["longest"], 16 * fixed["longest"])
                more = "" if known else "more than "
                told.append(f"to {target:g} {more}{samples / less:.2g} ({brief(steps / fewer)})")
            results.say(
                f"{problem}, batch 16 over the plug-in norm test with eta 0.9, samples (steps) to the first step that "
                f"is there: {', '.join(told)}."
            )
            level = fixed["last_gradient_l2_squared"][-1]
            k = np.flatnonzero(test["last_gradient_l2_squared"] <= level)[0]
            results.say(
                f"{problem}, in the mean over replicas: batch 16 is at {level:.1e} after {SHORT} steps; the test is "
                f"there with {brief(fixed['samples'][-1] / test['samples'][k])} times fewer samples and "
                f"{brief(SHORT / test['steps'][k])} times fewer iterations."
            )
        decades = []
        for rule in (r for r in FEW if r in found):
            spent = found[rule]["reach"][np.isfinite(found[rule]["reach"][:, 1]), 1]
            decades.append(f"{short(rule)} {', '.join(f'{x:.2g}' for x in spent[1:] / spent[:-1])}")
        results.say(f"{problem}, factors of samples from decade to decade: {'; '.join(decades)}.")


def draw(results):
    """AdaGrad-Norm, d = 20: squared gradient over steps and over samples, and the root of the accumulator."""
    looks = {"fixed 16": "-", "norm 0.9": "--", FEW[2]: ":", FEW[3]: "-."}
    problems = results.axes["problem"]
    with an.plotting.style("page"):
        figure, axes = an.plotting.subplots("page", len(problems), 3, height=0.7 + 2.0 * len(problems), squeeze=False)
        for row, problem in zip(axes, problems, strict=True):
            for i, (rule, line) in enumerate(looks.items()):
                for c in results.cells(problem=problem, optimizer="adagrad_norm", dim=20):
                    if c.point["rule"] == rule:
                        a = c.arrays
                        size = np.maximum(a["last_gradient_l2_squared"], 1e-14)
                        for ax, x, y in ((row[0], "steps", size), (row[1], "samples", size),
                                         (row[2], "steps", a["root v"])):  # fmt: skip
                            ax.plot(a[x], y, line, color=f"C{i}", label=rule)
            for ax, x in zip(row, ("steps", "samples", "steps"), strict=True):
                ax.set(xscale="log", yscale="log", xlabel=x, title=problem)
            row[1].set_xlim(8, 1e9)
            row[0].set_ylabel("mean squared gradient")
            row[2].set_ylabel("root of the accumulator")
        an.plotting.shared_legend(figure, columns=2)
    results.save_figure(figure, "adagrad_norm")


if __name__ == "__main__":
    raise SystemExit(an.study.main())
