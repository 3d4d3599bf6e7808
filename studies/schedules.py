"""Which schedule of step sizes ends lowest at which batch size, and does the bound on the last iterate know before?

SGD without a box on quadratics in 100 coordinates, 400 iterations, gap of the last iterate; curvature j^-2, 1/j or 1
and noise of variance L_j. Predicted: the bound at its own step size, `convex_sgd_last`. Measured: step sizes tuned up
to 1/L, where the bound holds, or freely, and those of the bound; ratios paired by replica. What the bound ranks wrongly
is listed beside what it ranks right. AdaGrad-Norm is the control: it decays by itself.
"""

from itertools import combinations

import numpy as np

import anisotropic as an

DIM, STEPS, LEVEL = 100, 400, 0.01
AXES = {
    "curvature": [2.0, 1.0, 0.0],
    "batch": [1, 4, 16, 64, 256, 1024, 4096],
    "largest": [1.0, 4.0],  # step size on the grid, in units of 1/L
    "replicas": [128],
}
QUICK = {"curvature": [2.0, 0.0], "batch": [1, 256], "largest": [1.0], "replicas": [16]}
SHARES = {"wsd, share 0.05": 0.05, "wsd, share 0.2": 0.2, "wsd, share 0.5": 0.5, "linear": 1.0}
GRID = 2.0 ** np.arange(-7, 2.5, 0.5)
LAST = an.bounds.convex_sgd_last


def schedules():
    """Name -> schedule of a largest step size."""
    s = an.schedules
    cooled = {name: lambda size, c=c: s.wsd(size, STEPS, share=c) for name, c in SHARES.items() if c < 1}
    return {
        "linear": lambda size: s.linear(size, STEPS),
        "cosine": lambda size: s.cosine(size, STEPS),
        **cooled,
        "constant": s.constant,
        "1/sqrt(t)": s.inverse_sqrt,
    }


def setting(curvature, batch):
    """Objective, noise and the constants of the bound."""
    L = an.bounds.power_law(DIM, curvature)
    known = {"L": L, "sigma": np.sqrt(L), "R": 1.0, "M": batch}
    return an.problems.quadratic(L), an.noises.gaussian(np.sqrt(L)), known


def cell(curvature, batch, largest, replicas, seed):
    f, noise, known = setting(curvature, batch)
    best = an.schedules.optimal(LAST, T=STEPS, **known).params.values
    makers = schedules() | {"the bound's best": lambda size: an.schedules.from_vector(best, step_size=size)}
    grid = GRID[largest >= GRID]
    methods = {name: an.Method(lambda size, m=m: an.optimizers.sgd(m(size)), grid, LAST) for name, m in makers.items()}
    methods["adagrad_norm"] = an.Method(an.optimizers.adagrad_norm, GRID * 4)
    with np.errstate(over="ignore"):  # step sizes that diverge are on the grid, and counted
        return an.race(
            f, methods, noise=noise, start=1.0, batch_size=batch, steps=STEPS, replicas=replicas, seed=seed,
            measure="gap", reference="linear", level=LEVEL, records=12, threads=1,
        ).arrays()


def pairs(race, kind):
    """For two schedules whose measured ratio is decided: names, ratio, ratio of the bounds, whether these agree."""
    for first, second in combinations(schedules(), 2):
        measured = race.ratio(first, second, kind=kind)
        predicted = race.theorem[first].claim / race.theorem[second].claim
        if measured.low > 1 or measured.high < 1:
            yield first, second, measured, predicted, (measured.estimate > 1) == (predicted > 1)


def told(largest):
    """How the step sizes were tuned, in words."""
    return "tuned up to 1/L" if largest == 1 else "tuned freely"


def ranking(results, kind, largest):
    """How many decided pairs the bound ranks right and wrong, and the clearest of either sort, in one table."""
    words = f"Step sizes {told(largest) if kind == 'tuned' else 'of the bound'}"
    found = [
        {"case": f"L_j = j^-{p['curvature']:g}, M = {p['batch']}", "schedules": f"{a} over {b}", "measured": f"{m:.2f}",
         "bounds": f"{q:.2f}", "the bound is": "right" if right else "wrong", "far": abs(np.log(m.estimate))}
        for p, race in results.races(largest=largest) for a, b, m, q, right in pairs(race, kind)
    ]  # fmt: skip
    for curvature in results.axes["curvature"]:
        here = [r for r in found if r["case"].startswith(f"L_j = j^-{curvature:g},")]
        wrong = sum(r["the bound is"] == "wrong" for r in here)
        results.say(
            f"{words}, L_j = j^-{curvature:g}: of {len(here)} decided pairs of schedules the bound ranks "
            f"{len(here) - wrong} right and {wrong} wrong."
        )
    clearest = []
    for word in ("right", "wrong"):
        clearest += sorted((r for r in found if r["the bound is"] == word), key=lambda r: -r["far"])[:8]
    rows = [{k: v for k, v in r.items() if k != "far"} for r in clearest]
    results.table(rows, f"{words}: the clearest predictions, right and wrong (last gap, level {LEVEL})")


def cool_down(results, largest):
    """The best share of the cool-down, measured and of the bound, and what following the bound costs."""
    rows, flips = [], {}
    for point, race in results.races(largest=largest):
        guess = min(SHARES, key=lambda m: race.theorem[m].claim)
        best = min(SHARES, key=lambda m: np.mean(race.tuned[m].values))
        flips.setdefault(point["curvature"], []).append((point["batch"], SHARES[best], SHARES[guess]))
        cost = "1" if guess == best else f"{race.ratio(guess, best):.2f}"
        rows.append({"curvature": f"j^-{point['curvature']:g}", "M": point["batch"], "share, bound": SHARES[guess],
                     "share, measured": SHARES[best], "cost of the bound's": cost})  # fmt: skip
    words = f"step sizes {told(largest)}"
    results.table(rows, f"Share of the iterations in which the step size falls ({words}, level {LEVEL})")
    for curvature, found in flips.items():
        (low, first, early), (high, last, late) = min(found), max(found)
        results.say(
            f"With {words}, L_j = j^-{curvature:g}: the best share is {first:g} at M = {low} and {last:g} "
            f"at M = {high}; the bound says {early:g} and {late:g}."
        )


def draw_all(results, largest):
    """Last gaps and their ratios to linear decay's, one column a profile of curvature."""
    batches = np.array(results.axes["batch"], dtype=float)

    def draw(ax, kind, curvature):
        """Measured last gaps; the bounds as thin lines beside the step sizes that they name."""
        races = results.races(curvature=curvature, largest=largest)
        series = races.values(kind)
        looks = an.plotting.method_styles(series)
        if kind == "theorem":
            for method in series:
                thin = {"marker": "", "linewidth": 0.7, "alpha": 0.6}
                ax.plot(batches, races.claims()[method], **looks[method] | thin)
        an.plotting.curves(batches, series, xlabel="batch size M", ylabel="last gap", ax=ax)

    def draw_ratio(ax, kind, curvature):
        """Last gap over that of linear decay: measured with limits, and the ratio of the bounds."""
        races = results.races(curvature=curvature, largest=largest)
        looks = an.plotting.method_styles(schedules())
        for method, look in looks.items():
            if method == "linear":
                continue
            found = races.ratios(method, kind) if kind != "bound" else None
            if found is None:
                ax.plot(batches, races.claims()[method] / races.claims()["linear"], **look, label=method)
                continue
            centre, low, high = (np.array([getattr(r, n) for r in found]) for n in ("estimate", "low", "high"))
            ax.errorbar(batches, centre, [centre - low, high - centre], **look, label=method)
        ax.axhline(1.0, color="black", linewidth=0.8)
        ax.set(xscale="log", yscale="log", xlabel="batch size M", ylabel="last gap over linear decay's")

    curvatures = results.axes["curvature"]
    for name, kinds, each in (
        ("last_gap", ["theorem", "tuned"], draw), ("over_linear", ["bound", "tuned"], draw_ratio),
    ):  # fmt: skip
        figure = an.plotting.page(
            kinds, curvatures, each, height=4.8, titles=lambda a: f"L = j^-{a:g}",
            row_labels=lambda k: "ratio of bounds" if k == "bound" else f"({k} step sizes)",
        )  # fmt: skip
        results.save_figure(figure, name + ("_up_to_the_cap" if largest == 1 else ""))


def plot(results):
    results.save_csv("last_gaps", results.races().rows())
    label = "L_j = j^-{curvature:g}, M = {batch}"
    races = results.races(label, largest=results.axes["largest"][-1])
    races.verdicts()
    ranking(results, "theorem", results.axes["largest"][-1])
    for largest in results.axes["largest"]:
        draw_all(results, largest)
        ranking(results, "tuned", largest)
        cool_down(results, largest)
    races.compare(["the bound's best", "adagrad_norm"], what="last gap")
    races.edges()


if __name__ == "__main__":
    raise SystemExit(an.study.main())
