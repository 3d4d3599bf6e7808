"""How does the gap grow with the dimension, and does AdaGrad escape it when smoothness and noise are sparse?

Quadratics in [-1, 1]^d with L_j = sigma_j = j^-a, minimizer 0.9, start 0: the distance grows like sqrt(d) for every a.
Mean gap after T iterations with M samples each (equal iterations are equal samples), with the theorems' and with tuned
step sizes. Local exponents in d between the last two dimensions stand beside those of the bounds at the same constants;
a bound's exponent is that of its value, not a claim that the method is as slow. AdaGrad-Norm is the control.
"""

import numpy as np

import anisotropic as an

STEPS, LEVEL = 500, 0.01
AXES = {"alpha": [0.0, 1.0, 2.0], "dim": [4, 16, 64, 256, 1024], "batch": [4], "replicas": [64]}
QUICK = {"alpha": [0.0, 2.0], "dim": [16, 256], "replicas": [16]}
GRIDS = {"sgd": 2.0 ** np.arange(-8, 7), "adagrad": 2.0 ** np.arange(-8, 3), "adagrad_norm": 2.0 ** np.arange(-6, 8)}
METHODS = {m: an.Method(getattr(an.optimizers, m), grid, an.bounds[f"convex_{m}"]) for m, grid in GRIDS.items()}


def cell(alpha, dim, batch, replicas, seed):
    profile = an.bounds.power_law(dim, alpha)
    f = an.problems.quadratic(profile, center=0.9, box=(-1, 1))
    return an.race(
        f, METHODS, noise=an.noises.gaussian(profile), start=0.0, batch_size=batch, steps=STEPS, replicas=replicas,
        seed=seed, reference="adagrad", level=LEVEL, records=5, threads=1,
    ).arrays()  # fmt: skip


def plot(results):
    dims, alphas = np.array(results.axes["dim"]), results.axes["alpha"]

    def draw(ax, kind, alpha):
        races = results.races(alpha=alpha)
        label = f"mean gap after {STEPS:,} iterations"
        an.plotting.curves(dims, races.values(kind), xlabel="dimension d", ylabel=label, ax=ax)
        if kind == "theorem":
            for method, look in an.plotting.method_styles(METHODS).items():
                look |= {"marker": "", "linewidth": 0.8, "alpha": 0.7}
                ax.plot(dims, races.claims()[method], **look, label=f"bound, {an.plotting.title(method)}")

    figure = an.plotting.page(
        ["theorem", "tuned"], alphas, draw, height=4.8, legend_columns=3,
        titles=lambda a: rf"$L_j = \sigma_j = j^{{-{a:g}}}$", row_labels=lambda kind: f"({kind} step sizes)",
    )  # fmt: skip
    results.save_figure(figure, "dimension")
    results.save_csv("gaps", results.races().rows())
    races = results.races("a={alpha:g}, d={dim}")
    races.verdicts()
    first, last = results.axes["dim"][-2:]
    results.table(
        [exponents(results, alpha, method, first, last) for alpha in alphas for method in METHODS],
        title=f"Exponent of the mean gap in d between {first} and {last} (level {LEVEL})",
    )
    results.races("a={alpha:g}, d={dim}", dim=[results.axes["dim"][0], last]).compare(["sgd", "adagrad_norm"])
    races.edges()


def exponents(results, alpha, method, first, last):
    """Local exponents in d of the measured gap, with limits, and of the bound; the two dimensions are independent."""
    (_, small), (_, large) = results.races(alpha=alpha, dim=[first, last])
    row = {"a": alpha, "method": an.plotting.title(method)}
    for kind in ("theorem", "tuned"):
        values = (race.of(kind)[method].values for race in (large, small))
        ratio = an.intervals.ratio_interval(*values, level=LEVEL, paired=False)
        local = np.log([ratio.estimate, ratio.low, ratio.high]) / np.log(last / first)
        row[f"{kind} step sizes"] = "{:.2f} [{:.2f}, {:.2f}]".format(*local)
    claims = large.theorem[method].claim / small.theorem[method].claim
    return row | {"bound": f"{np.log(claims) / np.log(last / first):.2f}"}


if __name__ == "__main__":
    raise SystemExit(an.study.main())
