"""Do batch sizes chosen by a test pay on real data?

Logistic regression with a ridge, equal epochs, rows without replacement. Digits (five and above against the rest, 1797
rows, 65 columns) and breast cancer (569 rows, 31 columns), both standardized with a column of ones, l2 = 0.01, start 0,
tests from batch 8. AdaGrad with step size 0.3, AdaGrad-Norm, the control, with step size 1, v_0 = 1e-4 for both: one
step size per method and data, not tuned per rule. The measure is f - f*, the mean over seeds, after 1, 10, 50 and 200
epochs; f* is certified.
"""

import numpy as np

import anisotropic as an
from anisotropic.bounds import batch_facts as facts

EPOCHS, START = (1, 10, 50, 200), 8
RULES = {
    "fixed 8": 8,
    "fixed 64": 64,
    "full": None,
    "norm .5": an.batching.norm_test(0.5, start=START),
    "norm .9": an.batching.norm_test(0.9, start=START),
    "norm .9 corrected": an.batching.norm_test(0.9, start=START, finite_population=True),
    "inner product .9/5.84": an.batching.inner_product_test(0.9, 5.84, start=START),
}
AXES = {"data": ["digits", "breast cancer"], "optimizer": ["adagrad", "adagrad_norm"], "rule": list(RULES),
        "replicas": [8]}  # fmt: skip
QUICK = {"data": ["breast cancer"], "optimizer": ["adagrad"], "rule": ["fixed 64", "norm .5", "norm .9 corrected"],
         "replicas": [2]}  # fmt: skip
UNPAIRED = ("optimizer", "rule")


def load(data):
    """Signed rows and labels."""
    if data == "breast cancer":
        return an.datasets.load("breast_cancer")
    digits = an.extras.require("sklearn.datasets", "data").load_digits()
    spread = digits.data.std(axis=0)
    X = (digits.data - digits.data.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return np.hstack([X, np.ones((len(X), 1))]), np.where(digits.target >= 5, 1.0, -1.0)


def cell(data, optimizer, rule, replicas, seed):
    X, y = load(data)
    f = an.problems.logistic_regression(X, y, l2=1e-2)
    n, method = f.samples, getattr(an.optimizers, optimizer)(
        0.3 if optimizer == "adagrad" else 1.0, eps=0.01, preset="nonconvex")  # fmt: skip
    batch = RULES[rule] or n
    steps = -(-EPOCHS[-1] * n // batch) if isinstance(batch, int) else 256
    while True:
        run = an.simulate(
            f, method, noise=an.noises.minibatch(replace=False), start=0.0, steps=steps, batch_size=batch,
            replicas=replicas, seed=seed, records=400, running_means=False, threads=1,
        )  # fmt: skip
        if run.samples[:, -1].min() >= EPOCHS[-1] * n:
            break
        steps *= 2
    grid = np.geomspace(0.05, EPOCHS[-1], 80)
    curves = np.array([np.interp(grid * n, s, np.log(np.maximum(g, 1e-16))) for s, g in zip(run.samples, run.gap,
                                                                                            strict=True)])  # fmt: skip
    last = [[np.flatnonzero(s <= e * n)[-1] for e in EPOCHS] for s in run.samples]
    whole = run.batch_size >= n
    reach = np.where(whole.any(axis=1), run.samples[np.arange(replicas), whole.argmax(axis=1)] / n, np.inf)
    stop = np.array([k[-1] for k in last])
    return {
        "epochs": grid, "curve": np.exp(curves).mean(axis=0), "status": run.status,
        "gap": np.array([run.gap[r, k] for r, k in enumerate(last)]), "full at": np.median(reach),
        "used": np.median(run.steps[stop]), "batch": np.median(run.batch_size[np.arange(replicas), stop]),
        "rank": rank(f, X, y), "rows": n,
    }  # fmt: skip


def rank(f, X, y):
    """Effective rank of the gradient noise of one row at the minimizer, over all directions."""
    X = np.asarray(X.todense() if hasattr(X, "todense") else X)
    weight = -y / (1 + np.exp(y * (X @ f.minimizer)))
    variances = np.linalg.eigvalsh(np.cov(X * weight[:, None], rowvar=False))
    return facts.effective_rank(np.sqrt(np.maximum(variances, 0.0)))


def plot(results):
    rows = []
    for c in results.cells():
        a = c.arrays
        means = {str(e): m for e, m in zip(EPOCHS, a["gap"].mean(axis=0), strict=True)}
        rows.append({**{k: c.point[k] for k in ("data", "optimizer", "rule")}, **means, "full at": float(a["full at"]),
                     "last b": float(a["batch"]), "steps": float(a["used"])})  # fmt: skip
    results.save_csv("epochs", rows)
    for data in results.axes["data"]:
        found = results.cells(data=data)[0].arrays
        results.say(
            f"{data}: {int(found['rows'])} rows; effective rank of the noise at the minimizer "
            f"{float(found['rank']):.3g} (the inner-product test with theta = 0.9 sees noise below {1 / 0.81:.3g})."
        )
        for method in results.axes["optimizer"]:
            chosen = [r for r in rows if (r["data"], r["optimizer"]) == (data, method)]
            texts = [{k: shown(k, v) for k, v in r.items() if k not in ("data", "optimizer")} for r in chosen]
            place = f"{data}, {an.plotting.title(method)}"
            results.table(texts, title=f"{place}: f - f* after 1 to 200 epochs; epoch of b = n")
            compare(results, data, method, {r["rule"]: r for r in chosen})
    draw(results)


def shown(name, value):
    if name == "full at":
        return f"{value:.3g}" if np.isfinite(value) else "never"
    return (f"{value:.1e}" if name.isdigit() else f"{value:,.0f}") if isinstance(value, float) else value


def compare(results, data, method, rows):
    """Who leads when; the norm test against the fixed batch of 64; what the finite-population correction gains."""
    place = f"{data}, {an.plotting.title(method)}"
    leaders = ", ".join(f"{min(rows, key=lambda rule: rows[rule][str(e)])} ({e})" for e in EPOCHS)
    results.say(f"{place}, smallest gap after so many epochs: {leaders}.")
    for rule in ("norm .5", "norm .9", "inner product .9/5.84"):
        if {rule, "fixed 64"} <= set(rows):
            told = ", ".join(f"{rows['fixed 64'][str(e)] / rows[rule][str(e)]:.2g}" for e in EPOCHS)
            results.say(
                f"{place}: gap of fixed 64 over that of {rule} after {', '.join(map(str, EPOCHS))} epochs: {told}; "
                f"{rows[rule]['steps']:,.0f} iterations against {rows['fixed 64']['steps']:,.0f}."
            )
    if {"norm .9", "norm .9 corrected"} <= set(rows):
        told = ", ".join(f"{rows['norm .9'][str(e)] / rows['norm .9 corrected'][str(e)]:.2g}" for e in EPOCHS)
        results.say(f"{place}: the finite-population correction divides the gap of norm .9 by {told}.")


def draw(results):
    looks = dict(zip(RULES, (":", "-", (0, (8, 2)), "--", "-.", (0, (5, 1, 1, 1, 1, 1)), "-"), strict=True))
    data, methods = results.axes["data"], results.axes["optimizer"]
    with an.plotting.style("page"):
        figure, axes = an.plotting.subplots(
            "page", len(data), len(methods), height=0.8 + 2.2 * len(data), squeeze=False
        )
        for c in results.cells():
            ax = axes[data.index(c.point["data"]), methods.index(c.point["optimizer"])]
            rule, k = c.point["rule"], list(RULES).index(c.point["rule"])
            look = {"color": "k", "marker": "o"} if "inner" in rule else {"color": f"C{k}"}
            ax.plot(c.arrays["epochs"], c.arrays["curve"], **look, linestyle=looks[rule], label=rule, markersize=3,
                    linewidth=1.0 if k < 3 else 1.6, markevery=8)  # fmt: skip
            ax.set(xscale="log", yscale="log", xlabel="epochs", ylabel="f - f*",
                   title=f"{c.point['data']}, {an.plotting.title(c.point['optimizer'])}")  # fmt: skip
        an.plotting.shared_legend(figure)
    results.save_figure(figure, "epochs")


if __name__ == "__main__":
    raise SystemExit(an.study.main())
