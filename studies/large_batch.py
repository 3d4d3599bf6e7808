"""Does AdaGrad keep its advantage over SGD at large batch size when smoothness and noise are anisotropic?

(a) Iterations to a mean gap of 0.02 against the batch size M. (b) One budget of N = M T samples, spread over M: the
measured mean gap beside every bound that applies. Both with the step sizes of the theorems and with tuned ones.
Quadratics in the box [-1, 1]^50, minimizer 0.9, start 0; four profiles of smoothness and noise, dense 1 or sparse j^-2.
"""

import numpy as np

import anisotropic as an

DIM, TARGET, MAX_STEPS, BUDGET, LEVEL = 50, 0.02, 25_000, 2**16, 0.01
AXES = {
    "part": ["target", "budget"],
    "profile": ["dense-dense", "dense-sparse", "sparse-dense", "sparse-sparse"],  # smoothness-noise
    "batch": [1, 4, 16, 64, 256, 1024, 4096],
    "replicas": [64],
}
QUICK = {"profile": ["dense-dense", "sparse-sparse"], "batch": [16, 256, 4096], "replicas": [32]}
SHAPES = {"dense": np.ones(DIM), "sparse": np.arange(1.0, DIM + 1) ** -2}
GRIDS = {"sgd": 2.0 ** np.arange(-9, 3), "adagrad": 2.0 ** np.arange(-6, 6), "adagrad_norm": 2.0 ** np.arange(-6, 6)}
METHODS = {m: an.Method(getattr(an.optimizers, m), grid, an.bounds[f"convex_{m}"]) for m, grid in GRIDS.items()}
#: Judged at theorem step sizes only: a second bound on SGD, and the oracle's diagonal step sizes.
BOUNDS_ALONE = {
    "sgd, projected": an.Method(an.optimizers.sgd, bound=an.bounds.convex_sgd_proj),
    "sgd, diagonal step sizes": an.Method(an.optimizers.sgd, bound=an.bounds.convex_diag_sgd),
}


def problem(profile):
    """Objective, noise and the constants of the theorems."""
    smoothness, sigma = (SHAPES[name] for name in profile.split("-"))
    f = an.problems.quadratic(smoothness, center=0.9, box=(-1, 1))
    return f, an.noises.gaussian(sigma), {"L": smoothness, "sigma": sigma, "D": 2.0, "R": 0.9, "d": DIM}


def cell(part, profile, batch, replicas, seed):
    f, noise, _ = problem(profile)
    common = dict(noise=noise, start=0.0, batch_size=batch, replicas=replicas, seed=seed, reference="adagrad",
                  level=LEVEL, threads=1)  # fmt: skip
    if part == "target":
        return an.race(f, METHODS, steps=MAX_STEPS, target=TARGET, **common).arrays()
    return an.race(f, METHODS | BOUNDS_ALONE, samples=BUDGET, records=100, **common).arrays()


def plot(results):
    profiles, batches = results.axes["profile"], np.array(results.axes["batch"], dtype=float)

    def draw_target(ax, kind, profile):
        """Iterations to the target against M, with the critical batch sizes derived from the bounds."""
        critical = {}
        if kind == "theorem":
            _, _, known = problem(profile)
            critical = {m: method.bound.critical_batch_size(gap=TARGET, **known) for m, method in METHODS.items()}
        found = results.races(part="target", profile=profile).iterations(kind)
        an.plotting.speed_up(batches, found, critical=critical, target=f"mean gap {TARGET}", ax=ax)

    def draw_budget(ax, kind, profile):
        """Mean gap after N samples against M; the bounds beside theorem step sizes."""
        races = results.races(part="budget", profile=profile)
        series = {m: v for m, v in races.values(kind).items() if m != "sgd, projected"}
        if kind == "theorem":
            for method, look in an.plotting.method_styles(series).items():
                look |= {"marker": "", "linewidth": 0.8, "alpha": 0.7}
                ax.plot(batches, races.claims()[method], **look, label=f"bound, {an.plotting.title(method)}")
        an.plotting.curves(batches, series, xlabel="batch size M", ylabel=f"mean gap, {BUDGET:,} samples", ax=ax)

    for name, draw in (("steps_to_target", draw_target), ("equal_samples", draw_budget)):
        figure = an.plotting.page(
            ["theorem", "tuned"], profiles, draw, height=4.6,
            titles=lambda p: p.replace("-", " L, ") + " noise", row_labels=lambda kind: f"({kind} step sizes)",
        )  # fmt: skip
        results.save_figure(figure, name)
    results.save_csv("curves", results.races().rows())

    ends = [results.axes["batch"][0], results.axes["batch"][-1]]
    label, others = "{profile}, M={batch}", ["sgd", "adagrad_norm"]
    target, budget = (results.races(label, part=part) for part in ("target", "budget"))
    results.races(label, part="target", batch=ends).compare(others, what="mean gap")
    results.races(label, part="budget", batch=ends).compare(others, what="mean gap at equal samples")
    for other in others:
        target.winners(other)
    budget.winners("sgd", what="mean gap at equal samples")
    budget.misranked("sgd")
    budget.verdicts()
    results.races("{profile}, M={batch}, {part}").edges()


if __name__ == "__main__":
    raise SystemExit(an.study.main())
