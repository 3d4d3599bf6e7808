"""Do the bounds predict where AdaGrad and where SGD wins, over the sparsity of smoothness, noise and start?

L_j = j^-a, sigma_j = j^-b, |w_1 - w*|_j = 0.9 j^-c in the box [-1, 1]^50, minimizer 0.9; mean gap after T iterations
with M samples each, so equal iterations are equal samples. Predicted: the ratio of the two upper bounds, which proves
nothing about who wins; measured with the step sizes of the theorems and with tuned ones. AdaGrad-Norm is the control.
"""

import numpy as np

import anisotropic as an

DIM, STEPS, LEVEL = 50, 500, 0.01
AXES = {
    "smoothness": [0.0, 0.5, 1.0, 1.5, 2.0],
    "noise": [0.0, 0.5, 1.0, 1.5, 2.0],
    "start": [0.0, 1.0, 2.0],
    "batch": [4],
    "replicas": [64],
}
QUICK = {"smoothness": [0.0, 2.0], "noise": [0.0, 2.0], "start": [0.0, 2.0], "replicas": [16]}
GRIDS = {"sgd": 2.0 ** np.arange(-9, 7), "adagrad": 2.0 ** np.arange(-9, 4), "adagrad_norm": 2.0 ** np.arange(-8, 6)}
METHODS = {m: an.Method(getattr(an.optimizers, m), grid, an.bounds[f"convex_{m}"]) for m, grid in GRIDS.items()}
OTHERS = ("sgd", "adagrad_norm")
KINDS = {"predicted": "ratio of bounds", "theorem": "theorem step sizes", "tuned": "tuned step sizes"}


def cell(smoothness, noise, start, batch, replicas, seed):
    profile = an.bounds.power_law
    f = an.problems.quadratic(profile(DIM, smoothness), center=0.9, box=(-1, 1))
    return an.race(
        f, METHODS, noise=an.noises.gaussian(profile(DIM, noise)), start=0.9 - 0.9 * profile(DIM, start),
        batch_size=batch, steps=STEPS, replicas=replicas, seed=seed, reference="adagrad", level=LEVEL, records=5,
        threads=1,
    ).arrays()  # fmt: skip


def compared(races, other, kind):
    """One row per race: the ratio to AdaGrad, whether it is open, and whether the bounds name the other winner."""
    for point, race in races:
        predicted = race.theorem[other].claim / race.theorem["adagrad"].claim
        found = {"ratio": predicted, "undecided": False, "wrong": False}
        if kind != "predicted":
            measured = race.ratio(other, kind=kind)
            undecided = measured.low <= 1 <= measured.high
            wrong = not undecided and not np.isclose(predicted, 1) and (measured.estimate > 1) != (predicted > 1)
            found = {"ratio": measured.estimate, "undecided": undecided, "wrong": wrong}
        yield {**point, "other": other, "kind": kind, **found}


def plot(results):
    smoothness, noise = results.axes["smoothness"], results.axes["noise"]
    races = results.races("a={smoothness:g} b={noise:g} c={start:g}")
    rows = [row for other in OTHERS for kind in KINDS for row in compared(races, other, kind)]

    def draw(ax, kind, start, other, batch):
        """A map of one kind; where the bounds predict the other winner, the cell is framed."""
        panel = [*compared(results.races(start=start, batch=batch), other, kind)]
        shape, largest = (len(smoothness), len(noise)), max(max(r["ratio"], 1 / r["ratio"]) for r in rows)
        ratio, undecided, wrong = (np.reshape([r[k] for r in panel], shape) for k in ("ratio", "undecided", "wrong"))
        an.plotting.phase_diagram(noise, smoothness, ratio, winner="adagrad", loser=other, undecided=undecided,
                                  largest=largest, xlabel="noise exponent b", ylabel="smoothness exponent a",
                                  ax=ax)  # fmt: skip
        ax.set_title(f"{KINDS[kind]}, start c = {start:g}")
        low, high = 0.06, 0.94
        for i, j in np.argwhere(wrong):
            ax.plot([j + low, j + high, j + high, j + low, j + low], [i + low, i + low, i + high, i + high, i + low],
                    color="black", linewidth=1.6, label="the bounds name the other winner")  # fmt: skip

    for batch in results.axes["batch"]:
        for other in OTHERS:
            figure = an.plotting.page(
                list(KINDS), results.axes["start"], lambda ax, k, c, o=other, b=batch: draw(ax, k, c, o, b),
                height=7.2, share="", legend_columns=3,
            )  # fmt: skip
            results.save_figure(figure, f"{other}_over_adagrad_M{batch}")
    results.save_csv("ratios", rows)
    groups = {(other, kind): [r for r in rows if (r["other"], r["kind"]) == (other, kind)]
              for other in OTHERS for kind in ("tuned", "theorem")}  # fmt: skip
    results.table(
        [row(other, kind, group) for (other, kind), group in groups.items()],
        title=f"Mean gap of a method over AdaGrad's (level {LEVEL})",
    )
    for other in OTHERS:
        say(results, other, groups[other, "tuned"])
    races.verdicts("Each bound where it is tightest (exponents a, b, c)")
    races.edges()


def row(other, kind, group):
    """How often AdaGrad wins and the bounds name the wrong winner, over all cells of one kind."""
    ratios = [r["ratio"] for r in group]
    decided = [r["ratio"] for r in group if not r["undecided"]]
    return {
        "method": an.plotting.title(other), "step sizes": kind, "cells": len(group),
        "AdaGrad ahead": sum(v > 1 for v in decided), "behind": sum(v < 1 for v in decided),
        "ratio": f"{min(ratios):.2f} to {max(ratios):.2f}", "misranked": sum(r["wrong"] for r in group),
    }  # fmt: skip


def say(results, other, group):
    """Who wins, by how much, and how often the bounds name the other method."""
    name, decided = an.plotting.title(other), [r for r in group if not r["undecided"]]
    best, wrong = max(group, key=lambda r: r["ratio"]), [r for r in decided if r["wrong"]]
    optimistic = sum(r["ratio"] < 1 for r in wrong)
    results.say(
        f"With tuned step sizes AdaGrad has a smaller mean gap than {name} in {sum(r['ratio'] > 1 for r in decided)} "
        f"of {len(group)} cells; {name}'s is at most {best['ratio']:.2f} times AdaGrad's (at a={best['smoothness']:g} "
        f"b={best['noise']:g} c={best['start']:g})."
    )
    results.say(
        f"There the ratio of the bounds names the wrong winner in {len(wrong)} of {len(decided)} decided cells "
        f"({optimistic} times AdaGrad, {len(wrong) - optimistic} times {name})."
    )


if __name__ == "__main__":
    raise SystemExit(an.study.main())
