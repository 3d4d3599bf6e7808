"""What do batches that grow by a test buy, and where do the tests go blind? At equal steps and at equal samples.

The claim (arXiv 2402.11215): with a norm test the accumulator stays bounded and the mean squared gradient falls like
1/K; at a fixed batch the accumulator grows like K. Quadratic with h from 1 to 0.1, sums of cosines, and logistic
regression on digits; noise of trace 1, isotropic or nearly all in one coordinate. AdaGrad-Norm is the control of
AdaGrad; both with step 1, which the theorem allows and nobody tuned, and eps 0.1.
"""

import warnings

import numpy as np

import anisotropic as an

TARGET, LONG, SHORT = 1e-5, 1_000_000, 30_000
RULES = {
    "fixed 1": 1,
    "fixed 16": 16,
    "fixed 256": 256,
    "norm .5": an.batching.norm_test(0.5, start=8),
    "norm .9": an.batching.norm_test(0.9, start=8),
    "norm .9 unbiased": an.batching.norm_test(0.9, "unbiased", start=8),
    "inner product .9/5.84": an.batching.inner_product_test(0.9, 5.84, start=8),
    "inner product .5/1": an.batching.inner_product_test(0.5, 1.0, start=8),
    "coordinate .5": an.batching.coordinate_norm_test(0.5, 1e-8, start=8),
}
AXES = {
    "problem": ["quadratic", "spiked noise", "cosines", "digits"],
    "dim": [20, 100],
    "optimizer": ["adagrad_norm", "adagrad"],
    "rule": list(RULES),
    "replicas": [16],
}
QUICK = {
    "problem": ["quadratic"],
    "dim": [20],
    "optimizer": ["adagrad_norm"],
    "rule": ["fixed 16", "norm .9", "inner product .9/5.84"],
    "replicas": [6],
}
UNPAIRED = ("optimizer", "rule")


def include(problem, dim, optimizer, rule, replicas):
    return dim == 20 or problem == "quadratic"


def setup(problem, dim):
    """Objective, noise, start."""
    if problem == "digits":
        f = an.problems.logistic_regression(*an.datasets.load("digits"), l2=1e-2)
        return f, an.noises.minibatch(replace=False), 0.0
    h = np.geomspace(1.0, 0.1, dim)
    sigma = np.full(dim, dim**-0.5)
    if problem == "spiked noise":
        sigma[:], sigma[0] = 0.05 / (dim - 1), 0.95
    f = an.problems.cosine(h, 1.0) if problem == "cosines" else an.problems.quadratic(h)
    return f, an.noises.gaussian(sigma / np.linalg.norm(sigma)), 1.0


def cell(problem, dim, optimizer, rule, replicas, seed):
    f, noise, start = setup(problem, dim)
    make, batch = getattr(an.optimizers, optimizer), RULES[rule]
    if problem == "digits" and not isinstance(batch, int):
        batch = type(batch)(**{**vars(batch), "max_batch": f.samples})
    steps = {"digits": 5000}.get(problem, LONG if rule == "fixed 16" else SHORT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the blind ones are shown on purpose
        run = an.simulate(
            f,
            make(1.0, eps=0.1, preset="nonconvex"),
            noise=noise,
            start=start,
            steps=steps,
            batch_size=batch,
            replicas=replicas,
            seed=seed,
            records=400,
            running_means=problem != "digits",
            threads=1,
        )
    kept = ("last_gradient_l2_squared", "gradient_l2_squared", "accumulator", "samples", "batch_size", "gap")
    return {"steps": run.steps, "status": run.status} | {name: np.median(run[name], axis=0) for name in kept}


def reach(found, target):
    """First record whose median squared gradient is at most `target`: steps and samples, or infinity."""
    hit = np.flatnonzero(found["last_gradient_l2_squared"] <= target)
    return (found["steps"][hit[0]], found["samples"][hit[0]]) if hit.size else (np.inf, np.inf)


def slope(found, name):
    use = (found["steps"] >= 1000) & (found["steps"] <= SHORT) & (found[name] > 1e-25)
    return float(np.polyfit(np.log(found["steps"][use]), np.log(found[name][use]), 1)[0]) if use.sum() > 5 else np.nan


def plot(results):
    chosen = [r for r in results.axes["rule"] if r in ("fixed 16", "norm .9", "inner product .9/5.84", "coordinate .5")]
    for problem in results.axes["problem"]:
        for method in results.axes["optimizer"]:
            with an.plotting.style("page"):
                figure, axes = an.plotting.subplots("page", 1, 3, height=2.6)
                panels = (
                    ("steps", "last_gradient_l2_squared"),
                    ("samples", "last_gradient_l2_squared"),
                    ("steps", "batch_size"),
                )
                for ax, (x, y) in zip(axes.flat, panels, strict=True):
                    for rule in chosen:
                        found = results.one(problem=problem, dim=results.axes["dim"][0], optimizer=method, rule=rule)
                        seen = found[y] > 1e-14
                        ax.plot(
                            found[x][seen],
                            found[y][seen],
                            label=rule,
                            linestyle=("-", "--", "-.", ":")[chosen.index(rule)],
                        )
                    ax.set(
                        xscale="log",
                        yscale="log",
                        xlabel=x,
                        ylabel="batch size" if y == "batch_size" else "squared gradient",
                    )
                axes.flat[0].legend(loc="lower left", fontsize="x-small")
            results.save_figure(figure, f"{problem.replace(' ', '_')}_{method}")
    rows = []
    for c in results.cells():
        steps, samples = reach(c.arrays, TARGET)
        rows.append(
            {
                **{k: c.point[k] for k in ("problem", "dim", "optimizer", "rule")},
                "steps": steps,
                "samples": samples,
                "last": slope(c.arrays, "last_gradient_l2_squared"),
                "mean": slope(c.arrays, "gradient_l2_squared"),
                "root v": slope(c.arrays, "accumulator") / 2,
                "final b": c.arrays["batch_size"][-1],
            }
        )
    results.save_csv("targets", rows)
    results.table(
        [
            {k: f"{v:.3g}" if isinstance(v, float) else v for k, v in row.items() if k != "problem"}
            for row in rows
            if row["problem"] == results.axes["problem"][0]
        ],
        title=f"To |G|^2 = {TARGET:g}; slopes over K in [1e3, 3e4]",
    )
    at = {
        r["rule"]: r
        for r in rows
        if r["problem"] == "quadratic" and r["dim"] == 20 and r["optimizer"] == "adagrad_norm"
    }
    if {"fixed 16", "norm .9"} <= set(at):
        fixed, test = at["fixed 16"], at["norm .9"]
        reached = np.isfinite(fixed["steps"])
        steps, samples = (fixed["steps"], fixed["samples"]) if reached else (LONG, 16 * LONG)
        results.say(
            f"AdaGrad-Norm, d = 20, to {TARGET:g}: batch 16 needs {'' if reached else 'more than '}"
            f"{samples / test['samples']:.1f} times the samples and {steps / test['steps']:.0f} times the steps of the "
            f"plug-in "
            f"norm test with eta = 0.9 ({test['samples']:.3g} samples, {test['steps']:.0f} steps)."
        )
    for row in rows:
        if row["rule"].startswith("inner product .9") and row["final b"] <= 8:
            results.say(
                f"Blind: {row['rule']} never moved from 8 on {row['problem']}, d = {row['dim']}, {row['optimizer']}."
            )


if __name__ == "__main__":
    raise SystemExit(an.study.main())
