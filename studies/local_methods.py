"""How much communication do adaptive batch sizes and local steps save?

Local SGD and local AdaGrad: rounds, bytes and samples to a target. Quadratic of 20 coordinates with noise of trace 1;
four workers; step size 0.3 for SGD and 1 for the others, not tuned; AdaGrad-Norm is the control. Homogeneous data, and
one heterogeneous control on a sum of pseudo-Huber functions, where averages of local minimizers are not the minimizer.
A round sends 8 d bytes to and from each worker, and AdaGrad's accumulator again as much.

Exact facts of local SGD: the floor at a fixed batch does not depend on the local steps; under the exact norm test a
round contracts by a known factor. Both are measured beside their formulas.
"""

import numpy as np

import anisotropic as an
from anisotropic.bounds import batch_facts as facts

DIM, WORKERS, TARGET = 20, 4, 1e-5
RULES = {
    "fixed 16": 16,
    "across workers": an.batching.norm_test(0.9, "unbiased", start=16),
    "within samples": an.batching.norm_test(0.9, start=16),
}
FLOORS = [(0.05, 1, 2), (0.5, 1, 2), (1.5, 4, 2), (0.5, 4, 8)]  # step size, batch, workers
ROUNDS = [(0.1, 0.5, 4, 8), (0.3, 0.9, 4, 8), (0.5, 0.5, 2, 8), (0.5, 0.5, 2, 16)]  # step size, eta, workers, H
AXES = {
    "part": ["target", "floor", "contraction"],
    "data": ["homogeneous", "heterogeneous"],
    "optimizer": ["sgd", "adagrad", "adagrad_norm"],
    "local": [1, 4, 16],
    "rule": list(RULES),
    "replicas": [64],
}
QUICK = {
    "part": ["target", "floor"], "data": ["homogeneous"], "optimizer": ["sgd"], "local": [1, 16],
    "rule": ["fixed 16", "across workers"], "replicas": [4],
}  # fmt: skip
UNPAIRED = ("optimizer", "rule")


def include(part, data, optimizer, local, rule, replicas):
    plain = data == "homogeneous" and optimizer == "sgd" and rule == "fixed 16"
    return part == "target" or (plain and (part == "floor" or local == 1))


def cell(part, data, optimizer, local, rule, replicas, seed):
    if part != "target":
        found = np.array(
            [floor(*setting, local, replicas, seed) for setting in FLOORS] if part == "floor"
            else [contraction(*setting, 100 * replicas, seed) for setting in ROUNDS]
        )  # fmt: skip
        return {"measured": found[:, 0], "error": found[:, 1], "formula": found[:, 2]}
    h = np.geomspace(1.0, 0.1, DIM)
    apart = data == "heterogeneous"
    f = an.problems.pseudo_huber(h, 0.5) if apart else an.problems.quadratic(h)
    make = getattr(an.optimizers, optimizer)
    run = an.simulate_local(
        f, make(0.3) if optimizer == "sgd" else make(1.0, eps=0.1, preset="nonconvex"),
        noise=an.noises.gaussian(np.full(DIM, DIM**-0.5)), start=1.0, rounds=4000 // local + 100, local_steps=local,
        workers=WORKERS, batch_size=RULES[rule], test="samples" if rule == "within samples" else "workers",
        offsets=np.outer([1.0, -1.0, 0.5, -0.5], 0.3 * h) if apart else None, replicas=replicas, seed=seed,
        records=200, threads=1,
    )  # fmt: skip
    size = np.median(run.last_gradient_l2_squared, axis=0)
    hit = np.flatnonzero(size <= TARGET)
    rounds, samples = (run.steps[hit[0]], np.median(run.samples[:, hit[0]])) if hit.size else (np.inf, np.inf)
    sent = rounds * 2 * WORKERS * DIM * 8 * (1 if optimizer == "sgd" else 2)
    return {"rounds": run.steps, "size": size, "samples": np.median(run.samples, axis=0), "status": run.status,
            "reach": np.array([rounds, sent, samples])}  # fmt: skip


def floor(step_size, batch, workers, local, replicas, seed):
    """Mean gap at the common point over the last four fifths of the rounds, its error, and the formula."""
    h = np.array([1.0, 0.7, 0.5, 0.3, 0.2])
    run = an.simulate_local(
        an.problems.quadratic(h), an.optimizers.sgd(step_size), noise=an.noises.gaussian(1.0), start=0.0,
        rounds=40_000 // local, local_steps=local, workers=workers, batch_size=batch, replicas=replicas, seed=seed,
        records=60, threads=1,
    )  # fmt: skip
    k = np.searchsorted(run.steps, run.steps[-1] / 5)
    t, total = run.steps, run.mean_gap * run.steps
    means = (total[:, -1] - total[:, k]) / (t[-1] - t[k])
    exact = facts.local_sgd_floor(h, 1.0, step_size=step_size, batch_size=batch, workers=workers)
    return means.mean(), means.std(ddof=1) / np.sqrt(replicas), 0.5 * np.sum(h * exact)


def contraction(step_size, eta, workers, local, replicas, seed, dim=64):
    """E xbar^2 after one round from 1, when the noise of every local gradient is eta times that gradient."""
    run = an.simulate_local(
        an.problems.quadratic(np.ones(dim)), an.optimizers.sgd(step_size), noise=an.noises.affine(0.0, eta**2),
        start=1.0, rounds=1, local_steps=local, workers=workers, replicas=replicas, seed=seed, records=1, threads=1,
    )  # fmt: skip
    left = 2 * run.gap[:, -1] / dim
    exact = facts.local_norm_test_contraction(1.0, step_size=step_size, eta=eta, workers=workers, local_steps=local)
    return left.mean(), left.std(ddof=1) / np.sqrt(replicas), exact[0]


def plot(results):
    for part, told in {"target": (targets, draw), "floor": (floors,), "contraction": (contractions,)}.items():
        for tell in told if part in results.axes["part"] else ():
            tell(results)


def targets(results):
    rows = []
    for c in results.cells(part="target"):
        rounds, sent, samples = c.arrays["reach"]
        point = {k: c.point[k] for k in ("data", "optimizer", "local", "rule")}
        rows.append({**point, "rounds": rounds, "bytes": sent, "samples": samples, "last": c.arrays["size"][-1]})
    results.save_csv("targets", rows)
    best = []
    for data, method in dict.fromkeys((r["data"], r["optimizer"]) for r in rows):
        found = [r for r in rows if (r["data"], r["optimizer"]) == (data, method)]
        name = f"local {an.plotting.title(method)}, {data} data"
        shown = [{k: v for k, v in r.items() if k not in ("data", "optimizer")} for r in found]
        results.table(shown, title=f"To a squared gradient of {TARGET:g}: {name}")
        for least in ("rounds", "samples"):
            first = min(found, key=lambda r: r[least])
            with_rule = f"{first['rule']}, H = {first['local']}" if np.isfinite(first[least]) else "not reached"
            best.append({"method": name, "fewest": least, "with": with_rule, **{k: first[k] for k in
                         ("rounds", "samples")}})  # fmt: skip
    results.table(best, title="Fewest rounds and fewest samples (H local steps)")


def floors(results):
    rows = []
    for c in results.cells(part="floor"):
        settings = [{"step_size": s, "batch": b, "workers": m, "H": c.point["local"]} for s, b, m in FLOORS]
        rows += beside_formula(settings, c.arrays)
    rows.sort(key=lambda r: (r["step_size"], r["workers"], r["H"]))
    results.save_csv("floors", rows)
    results.table(rows, title="Floor of local SGD at a fixed batch size: mean gap")
    worst = max(abs(r["ratio"] - 1) for r in rows)
    z = max(abs(r["measured"] - r["formula"]) / r["+-"] for r in rows)
    results.say(
        f"Floor independent of H: {'holds' if worst < 0.05 else 'fails'} here, {len(rows)} settings within {worst:.1%} "
        f"of the formula (at most {z:.1f} standard errors)."
    )


def contractions(results):
    settings = [{"step_size": s, "eta": eta, "workers": m, "H": h} for s, eta, m, h in ROUNDS]
    rows = beside_formula(settings, results.one(part="contraction"))
    results.save_csv("contraction", rows)
    results.table(rows, title="Exact norm test: factor of E xbar^2 in one round")


def beside_formula(settings, arrays):
    """Rows of measured values with their standard errors beside the formulas."""
    found = zip(settings, arrays["measured"], arrays["error"], arrays["formula"], strict=True)
    return [{**setting, "measured": m, "+-": e, "formula": f, "ratio": m / f} for setting, m, e, f in found]


def draw(results):
    """Local SGD with the fewest and the most local steps."""
    lines = {"fixed 16": "-", "across workers": "--", "within samples": ":"}
    ends = [results.axes["local"][0], results.axes["local"][-1]]

    def panel(ax, data, x):
        for c in results.cells(part="target", data=data, optimizer="sgd", local=ends):
            last = c.point["local"] == ends[-1]
            ax.plot(
                c.arrays[x], np.maximum(c.arrays["size"], 1e-13), lines[c.point["rule"]], color=f"C{int(last)}",
                marker="s" if last else "o", markersize=3, markevery=(5, 30),
                label=f"H = {c.point['local']}, {c.point['rule']}",
            )  # fmt: skip
        ax.set(xscale="log", yscale="log", xlabel=x, ylabel="squared gradient", title=f"local SGD, {data} data")
        if x == "samples":
            ax.set_xlim(None, 1e9)

    data = results.axes["data"]
    height = 0.6 + 2.2 * len(data)
    figure = an.plotting.page(data, ["rounds", "samples"], panel, height=height, share="row", legend_columns=3)
    results.save_figure(figure, "rounds_and_samples")


if __name__ == "__main__":
    raise SystemExit(an.study.main())
