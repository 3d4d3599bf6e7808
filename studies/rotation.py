"""Does AdaGrad's advantage survive a rotation of the coordinates?

Rotation of smoothness, of the noise, and of both. Curvature and noise j^-2 along the axes, turned by exp(angle S), S a
random skew matrix with a root mean square eigenvalue of 1: the root mean square angle is `angle`. Start at 0.9 along
every axis of the curvature, box wide enough never to bind SGD. SGD knows no axes: where both turn, its path only turns
with them and its gaps stay as they are. Beside the gaps: the smallest valid diagonal L (what AdaGrad's theorem pays),
Gershgorin's, and the isotropic one. Tuned step sizes, chosen on other seeds; equal iterations are equal samples.
AdaGrad-Norm, which knows no axes either, is the control. The rotated noise is a record of this study's own, with a
matrix among its parameters.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
from scipy.linalg import expm

import anisotropic as an

DIM, STEPS, BATCH, HALF_WIDTH = 24, 400, 4, 6.0
PROFILE = an.bounds.power_law(DIM, 2.0)
AXES = {
    "turned": ["smoothness", "noise", "both"],
    "angle": [0.0, 0.03, 0.1, 0.3, 1.0, 3.0],
    "draw": [0, 1, 2],
    "replicas": [64],
}
QUICK = {"turned": ["noise", "both"], "angle": [0.0, 0.3, 3.0], "draw": [0], "replicas": [16]}
UNPAIRED = ("turned", "angle", "draw")
GRIDS = {"sgd": 2.0 ** np.arange(-8, 4), "adagrad": 2.0 ** np.arange(-8, 4), "adagrad_norm": 2.0 ** np.arange(-7, 5)}
METHODS = {m: an.Method(getattr(an.optimizers, m), grid) for m, grid in GRIDS.items()}
THEOREMS = {m: an.Method(getattr(an.optimizers, m), bound=an.bounds[f"convex_{m}"]) for m in GRIDS}
OTHERS, LEVEL = ("sgd", "adagrad_norm"), 0.01


class Turned(NamedTuple):
    """Rows sigma_k q_k, where q_k are the axes of the noise."""

    scaled: np.ndarray


@an.leaf
def add_turned(gradient, normals, batch_size, stream, params):
    """Add the sum over k of sigma_k q_k times a normal, over sqrt(M)."""
    scale = 1.0 / np.sqrt(batch_size)
    for k in range(gradient.size):
        length = scale * normals[k]
        for j in range(gradient.size):
            gradient[j] += length * params.scaled[k, j]


def turned_gaussian(sigma, rotation):
    """Gaussian noise of standard deviation sigma_k along row k of `rotation`; sigma_j of a coordinate follows."""
    scaled = np.ascontiguousarray(sigma[:, None] * rotation)
    return an.Noise("turned gaussian", add_turned, Turned(scaled), sigma=np.linalg.norm(scaled, axis=0))


def rotation(angle, draw):
    normal = np.random.default_rng(draw).standard_normal((DIM, DIM))
    skew = (normal - normal.T) / np.sqrt(2 * DIM)
    return expm(angle * skew)


def problem(turned, angle, draw):
    """Objective with the optimal diagonal as its smoothness, noise and start."""
    turn, still = rotation(angle, draw), np.eye(DIM)
    q_smooth = still if turned == "noise" else turn
    box = (-HALF_WIDTH, HALF_WIDTH)
    f = an.problems.quadratic(PROFILE, box=box, rotation=q_smooth)
    optimal = an.smoothness.optimal_diagonal(f.params.matrix)
    noise = turned_gaussian(PROFILE, still if turned == "smoothness" else turn)
    return dataclasses.replace(f, smoothness=optimal.L), noise, q_smooth.T @ np.full(DIM, 0.9), f.smoothness


def include(turned, angle, draw, replicas):
    """Without a turn the three cases and all draws are one."""
    return angle > 0 or draw == 0


def cell(turned, angle, draw, replicas, seed):
    f, noise, start, gershgorin = problem(turned, angle, draw)
    common = dict(noise=noise, start=start, batch_size=BATCH, steps=STEPS, replicas=replicas, seed=seed, level=LEVEL,
                  threads=1)  # fmt: skip
    race = an.race(f, METHODS, reference="adagrad", **common)
    isotropic = dataclasses.replace(f, smoothness=np.full(DIM, PROFILE[0]))  # only the largest curvature counts
    judged = an.race(f, {"adagrad": THEOREMS["adagrad"]}, reference="adagrad", records=5, **common).theorem
    judged |= an.race(isotropic, {m: THEOREMS[m] for m in OTHERS}, records=5, **common).theorem
    return race.arrays() | {
        "optimal": f.smoothness.sum() / PROFILE.sum(), "gershgorin": gershgorin.sum() / PROFILE.sum(),
    } | {f"verdict {m}": e.verdict for m, e in judged.items()}  # fmt: skip


def gaps(results, **chosen):
    """Gaps of each method, ``(replicas,)``: averaged over the random rotations, replica by replica."""
    return {m: values.mean(axis=1) for m, values in results.races(**chosen).values().items()}


def plot(results):
    cases, angles = results.axes["turned"], np.array(results.axes["angle"])

    def draw(ax, _, turned):
        if turned == "diagonals":
            draw_diagonals(ax, results, angles, "both" if "both" in cases else cases[0])
        else:
            each = [gaps(results, turned=turned, angle=a) for a in angles]
            series = {m: np.stack([found[m] for found in each], axis=1) for m in METHODS}
            label = f"mean gap, {STEPS} iterations, tuned"
            an.plotting.curves(np.arange(angles.size), series, log="y", ylabel=label, ax=ax)
            ax.set_title(f"turned: {turned}")
        ax.set_xticks(np.arange(angles.size), [f"{a:g}" for a in angles])
        ax.set_xlabel("angle (radians, rms)")

    figure = an.plotting.page([""], [*cases, "diagonals"], draw, height=3.1, share="", legend_columns=3)
    limits = [ax.get_ylim() for ax in figure.axes[:-1]]
    for ax in figure.axes[:-1]:
        ax.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
    results.save_figure(figure, "rotation")
    results.save_csv("gaps", results.races().rows())
    report(results, cases)


def draw_diagonals(ax, results, angles, turned):
    """Sum of the diagonal over the trace, averaged over the random rotations."""
    for name, marker, dashes, label in (
        ("optimal", "o", "-", "optimal diagonal"), ("gershgorin", "^", "--", "Gershgorin's"),
    ):  # fmt: skip
        values = [np.mean([c.arrays[name] for c in results.cells(turned=turned, angle=a)]) for a in angles]
        ax.plot(np.arange(angles.size), values, color="black", marker=marker, linestyle=dashes, label=label)
    ax.axhline(DIM * PROFILE[0] / PROFILE.sum(), color="0.5", linestyle=":", label="isotropic")
    ax.set(yscale="log", ylabel="sum of L / trace", title="diagonals")


def report(results, cases):
    judged = [
        (f"{c.point['turned']}, angle {c.point['angle']:g}, draw {c.point['draw']}", c.arrays[f"verdict {m}"])
        for c in results.cells() for m in METHODS
    ]  # fmt: skip
    results.verdicts(an.study.tightest(judged), title="Each bound where it is tightest, with the optimal diagonal")
    results.say(f"{len(judged)} verdicts, {sum(v.status == 'violated' for _, v in judged)} of them contradict a bound.")
    straight, most = results.axes["angle"][0], results.axes["angle"][-1]
    rows, turns = [], []
    for turned in cases:
        before, after = (gaps(results, turned=turned, angle=a) for a in (straight, most))
        for angle, gap in ((straight, before), (most, after)):
            ratios = {m: an.intervals.ratio_interval(gap[m], gap["adagrad"], level=LEVEL) for m in OTHERS}
            rows.append({"turned": turned, "angle": angle, **written(ratios)})
        ratios = {m: an.intervals.ratio_interval(after[m], before[m], level=LEVEL) for m in METHODS}
        turns.append({"turned": turned, **written(ratios)})
    count = len(results.axes["draw"])
    draws = f"{count} random rotation{'s' if count != 1 else ''}, level {LEVEL}"
    results.table(rows, title=f"Tuned step sizes: mean gap over AdaGrad's ({draws})")
    results.table(turns, title=f"Mean gap at angle {most:g} over that at {straight:g}, tuned")
    if "both" in cases:
        races = results.races(turned="both")
        base, *others = [race.tuned["sgd"].values for _, race in races]
        worst = max(np.max(np.abs(values / base - 1)) for values in others)
        results.say(f"Both turned: SGD's gap is the same replica by replica; largest relative difference {worst:.1e}.")
    results.races("{turned}, angle {angle:g}, draw {draw}").edges()


def written(ratios):
    return {an.plotting.title(m): f"{ratio:.2f}" for m, ratio in ratios.items()}


if __name__ == "__main__":
    raise SystemExit(an.study.main())
