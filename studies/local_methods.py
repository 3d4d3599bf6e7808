"""How much communication do adaptive batches and local steps save? Local SGD and local AdaGrad, rounds, bytes, samples.

Quadratic of 20 coordinates with noise of trace 1; four workers; step 0.3 for SGD and 1 for the others, not tuned;
AdaGrad-Norm is the control. Homogeneous data, and one heterogeneous control on a sum of pseudo-Huber functions, where
averages of local minimizers are not the minimizer. A round sends 8 d bytes to and from each worker, and AdaGrad's
accumulator again as much.
"""

import numpy as np

import anisotropic as an

DIM, WORKERS, TARGET = 20, 4, 1e-5
RULES = {
    "fixed 16": 16,
    "across workers": an.batching.norm_test(0.9, "unbiased", start=16),
    "within samples": an.batching.norm_test(0.9, start=16),
}
AXES = {
    "data": ["homogeneous", "heterogeneous"],
    "optimizer": ["sgd", "adagrad", "adagrad_norm"],
    "local": [1, 4, 16],
    "rule": list(RULES),
    "replicas": [64],
}
QUICK = {"data": ["homogeneous"], "optimizer": ["sgd"], "local": [1, 16], "replicas": [16]}
UNPAIRED = ("optimizer", "rule")


def cell(data, optimizer, local, rule, replicas, seed):
    h = np.geomspace(1.0, 0.1, DIM)
    apart = data == "heterogeneous"
    f = an.problems.pseudo_huber(h, 0.5) if apart else an.problems.quadratic(h)
    offsets = np.outer([1.0, -1.0, 0.5, -0.5], 0.3 * h) if apart else None
    make = getattr(an.optimizers, optimizer)
    method = make(0.3) if optimizer == "sgd" else make(1.0, eps=0.1, preset="nonconvex")
    test = "samples" if rule == "within samples" else "workers"
    run = an.simulate_local(
        f,
        method,
        noise=an.noises.gaussian(np.full(DIM, DIM**-0.5)),
        start=1.0,
        rounds=4000 // local + 100,
        local_steps=local,
        workers=WORKERS,
        batch_size=RULES[rule],
        test=test,
        offsets=offsets,
        replicas=replicas,
        seed=seed,
        records=200,
        threads=1,
    )
    size = np.median(run.last_gradient_l2_squared, axis=0)
    hit = np.flatnonzero(size <= TARGET)
    copies = 1 if optimizer == "sgd" else 2
    rounds = float(run.steps[hit[0]]) if hit.size else np.inf
    return {
        "rounds": run.steps,
        "size": size,
        "samples": np.median(run.samples, axis=0),
        "status": run.status,
        "reach": np.array(
            [rounds, rounds * 2 * WORKERS * DIM * 8 * copies, np.median(run.samples[:, hit[0]]) if hit.size else np.inf]
        ),
    }


def plot(results):
    lines = {"fixed 16": "-", "across workers": "--", "within samples": ":"}
    with an.plotting.style("page"):
        figure, axes = an.plotting.subplots(
            "page", len(results.axes["data"]), 2, height=2.6 * len(results.axes["data"])
        )
        axes = np.atleast_2d(axes)
        for i, data in enumerate(results.axes["data"]):
            for c in results.cells(data=data, optimizer="sgd"):
                colour = f"C{results.axes['local'].index(c.point['local'])}"
                label = f"H={c.point['local']}, {c.point['rule']}"
                for ax, x in zip(axes[i], ("rounds", "samples"), strict=True):
                    ax.plot(
                        c.arrays[x],
                        np.maximum(c.arrays["size"], 1e-13),
                        lines[c.point["rule"]],
                        color=colour,
                        label=label,
                    )
                    ax.set(xscale="log", yscale="log", xlabel=f"{x}, {data} data", ylabel="squared gradient")
        axes[0, 0].legend(fontsize="xx-small")
    results.save_figure(figure, "rounds_and_samples")
    rows = [
        {
            **{k: c.point[k] for k in ("data", "optimizer", "local", "rule")},
            "rounds": c.arrays["reach"][0],
            "bytes": c.arrays["reach"][1],
            "samples": c.arrays["reach"][2],
            "last": c.arrays["size"][-1],
        }
        for c in results.cells()
    ]
    results.save_csv("targets", rows)
    shown = [{k: f"{v:.3g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows]
    results.table(shown, title=f"To a squared gradient of {TARGET:g}")
    for row in rows:
        if row["rule"] == "across workers" and np.isfinite(row["rounds"]):
            results.say(
                f"{row['data']}, local {row['optimizer']}, H = {row['local']}: {row['rounds']:.0f} rounds, "
                f"{row['samples']:.3g} samples to {TARGET:g}."
            )


if __name__ == "__main__":
    raise SystemExit(an.study.main())
