"""Where does the best step of a sign method fall again as the batch grows? Where coordinates are coupled.

One step: the exact formula of arXiv 2405.14578 against Monte Carlo, for three Hessians; the axis-aligned one is the
control. Several steps: the tuned step of sign descent, Adam and, as a control, AdaGrad-Norm on digits against the
batch, at three training losses: is there a peak, and does it move to larger batches as the loss falls?
"""

import numpy as np

import anisotropic as an

DIM, DRAWS = 50, 4000
GRID = 2.0 ** np.arange(-12, 1)
LOSSES = (0.45, 0.40, 0.36)
CASES = ["axis aligned", "rotated", "coupled by ones", "digits"]
AXES = {
    "case": CASES,
    "optimizer": ["sign_sgd", "adam", "adagrad_norm"],
    "batch": [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024],
    "replicas": [8],
}
QUICK = {"optimizer": ["sign_sgd"], "batch": [4, 32, 256], "replicas": [2]}
BATCHES = np.unique(np.round(np.geomspace(1, 31623, 26)).astype(int))


def include(case, optimizer, batch, replicas):
    return case == "digits" or (optimizer == "sign_sgd" and batch == 32)


def hessian(case, rng):
    h = np.geomspace(1.0, 0.01, DIM)
    if case == "rotated":
        q = np.linalg.qr(rng.normal(size=(DIM, DIM)))[0]
        return q @ np.diag(h) @ q.T
    return np.diag(h) + (0.2 if case == "coupled by ones" else 0.0)


def one_step(case, seed):
    """Best steps over 24 batches: exact, small-batch form, and the minimum of the simulated quadratic in the step."""
    rng = np.random.default_rng(seed)
    H = hessian(case, rng)
    mean = 0.02 * np.abs(rng.normal(size=DIM)) if case == "coupled by ones" else 0.02 * rng.normal(size=DIM)
    sigma = np.ones(DIM)
    measured = []
    for B in BATCHES:
        s = np.sign(mean + sigma / np.sqrt(B) * rng.normal(size=(DRAWS, DIM)))
        measured.append((s @ mean).mean() / np.einsum("ni,ij,nj->n", s, H, s).mean())
    exact = an.surge.optimal_step(BATCHES, mean, sigma, H)
    noise = an.surge.noise_batch_size(mean, sigma, H)
    return {"measured": np.array(measured), "exact": np.asarray(exact), "noise_batch": noise}


def cell(case, optimizer, batch, replicas, seed):
    if case != "digits":
        return one_step(case, seed)
    f = an.problems.logistic_regression(*an.datasets.load("digits"), l2=1e-3)
    make = {"adam": an.optimizers.adam, "sign_sgd": an.optimizers.sign_sgd}.get(optimizer, an.optimizers.adagrad_norm)
    first = np.full((GRID.size, len(LOSSES)), np.inf)
    for i, step in enumerate(GRID):
        run = an.simulate(
            f,
            make(float(step)),
            noise=an.noises.minibatch(replace=True),
            start=0.0,
            steps=200,
            records=200,
            batch_size=batch,
            replicas=replicas,
            seed=seed,
            running_means=False,
            threads=1,
        )
        mean = np.nan_to_num(run.value.mean(axis=0), nan=np.inf)
        for k, loss in enumerate(LOSSES):
            hit = np.flatnonzero(mean <= loss)
            if hit.size:
                first[i, k] = run.steps[hit[0]]
    best = np.argmin(first, axis=0)
    return {
        "first": first,
        "step": np.where(np.isfinite(first.min(axis=0)), GRID[best], np.nan),
        "at_edge": (best == 0) | (best == GRID.size - 1),
    }


def plot(results):
    with an.plotting.style("page"):
        figure, axes = an.plotting.subplots("page", 1, 2, height=2.8)
        for case, line in zip(CASES[:3], ("-", "--", ":"), strict=True):
            if case not in results.axes["case"]:
                continue
            found = results.cells(case=case)[0].arrays
            axes.flat[0].plot(BATCHES, found["exact"], line, label=case)
            axes.flat[0].plot(BATCHES, found["measured"], ".", color=axes.flat[0].lines[-1].get_color(), markersize=3)
            score = 1 - np.var(found["measured"] - found["exact"]) / np.var(found["measured"])
            fall = found["exact"][-1] / found["exact"].max()
            results.say(
                f"{case}: B_noise = {float(found['noise_batch']):.4g}, exact formula R^2 = {score:.4f}, best step at "
                f"the "
                f"largest batch over its peak = {fall:.3f}."
            )
        axes.flat[0].set(xscale="log", yscale="log", xlabel="batch size", ylabel="best single step")
        axes.flat[0].legend(fontsize="x-small")
        batches = np.array(results.axes["batch"])
        for method in results.axes["optimizer"]:
            steps = results.array("step", case="digits", optimizer=method)
            edges = results.array("at_edge", case="digits", optimizer=method)
            for k, loss in enumerate(LOSSES):
                axes.flat[1].plot(
                    batches, steps[:, k], ("-o", "--s", ":^")[k], markersize=3, label=f"{method}, {loss:g}"
                )
                if np.isfinite(steps[:, k]).any():
                    peak = int(np.nanargmax(steps[:, k]))
                    inside = 0 < peak < batches.size - 1 and np.nanmax(steps[peak + 1 :, k]) < steps[peak, k]
                    results.say(
                        f"digits, {method}, loss {loss:g}: tuned step largest at B = {batches[peak]}"
                        f"{' (a peak inside the grid)' if inside else ', no peak inside the grid'}"
                        f"{'; some best steps lie at the edge of the step grid' if edges[:, k].any() else ''}."
                    )
        axes.flat[1].set(xscale="log", yscale="log", xlabel="batch size", ylabel="tuned step to a loss")
        axes.flat[1].legend(fontsize="xx-small")
    results.save_figure(figure, "surge")
    results.save_csv(
        "tuned",
        [
            dict(c.point, **{f"step to {v:g}": float(c.arrays["step"][k]) for k, v in enumerate(LOSSES)})
            for c in results.cells(case="digits")
        ],
    )


if __name__ == "__main__":
    raise SystemExit(an.study.main())
