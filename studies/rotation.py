"""Does AdaGrad's advantage survive a rotation of the coordinates? Rotation of smoothness, of the noise, and of both.

Curvature and noise j^-2 along the axes, turned by exp(angle S), S a random skew matrix with a root mean square
eigenvalue of 1: the root mean square angle is `angle`. Start at 0.9 along every axis of the curvature, box wide enough
never to bind SGD. SGD knows no axes: where both turn, its path only turns with them and its gaps stay as they are.
Beside the gaps: the smallest valid diagonal L (what AdaGrad's theorem pays), Gershgorin's, and the isotropic one.
Tuned steps, chosen on other seeds; equal steps are equal samples. AdaGrad-Norm, which knows no axes either, is the
control. The rotated noise is a record of this study's own, with a matrix among its parameters.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
from scipy.linalg import expm

import anisotropic as an

DIM, STEPS, BATCH, HALF_WIDTH = 24, 400, 4, 6.0
PROFILE = an.bounds.power_law(DIM, 2.0)
METHODS = ("sgd", "adagrad", "adagrad_norm")
AXES = {
    "turned": ["smoothness", "noise", "both"],
    "angle": [0.0, 0.03, 0.1, 0.3, 1.0, 3.0],
    "draw": [0, 1, 2],
    "optimizer": list(METHODS),
    "step_size": ["theorem", "tuned"],
    "replicas": [64],
}
QUICK = {"turned": ["noise", "both"], "angle": [0.0, 0.3, 3.0], "draw": [0], "replicas": [16]}
UNPAIRED = ("turned", "angle", "draw", "optimizer", "step_size")
GRIDS = {"sgd": 2.0 ** np.arange(-8, 4), "adagrad": 2.0 ** np.arange(-8, 4), "adagrad_norm": 2.0 ** np.arange(-7, 5)}
BOUNDS = {m: f"convex_{m}" for m in METHODS}
LEVEL = 0.01


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


def include(turned, angle, draw, optimizer, step_size, replicas):
    """Without a turn the three cases and all draws are one."""
    return angle > 0 or draw == 0


def cell(turned, angle, draw, optimizer, step_size, replicas, seed):
    f, noise, start, gershgorin = problem(turned, angle, draw)
    make, bound = getattr(an.optimizers, optimizer), an.bounds[BOUNDS[optimizer]]
    common = dict(noise=noise, start=start, batch_size=BATCH, steps=STEPS, threads=1)
    if step_size == "tuned":
        tuning = an.tune(f, make, GRIDS[optimizer], seed=seed ^ 1, replicas=max(8, replicas // 4), **common)
        run = an.simulate(f, make(tuning.best), seed=seed, records=1, replicas=replicas, **common)
        return {"gap": run.mean_gap[:, -1], "at_edge": tuning.at_edge, "optimal": f.smoothness.sum() / PROFILE.sum(),
                "gershgorin": gershgorin.sum() / PROFILE.sum()}  # fmt: skip
    known = {"L": PROFILE[:1] if optimizer != "adagrad" else f.smoothness, "sigma": noise.sigma, "R": np.abs(start),
             "D": 2 * HALF_WIDTH, "T": STEPS, "M": BATCH, "d": DIM}  # fmt: skip
    if optimizer != "adagrad":
        f = dataclasses.replace(f, smoothness=np.full(DIM, PROFILE[0]))  # only the largest curvature counts
    theorem = bound.tuned_step_size(**{k: v for k, v in known.items() if k in bound.constants})
    run = an.simulate(f, make(theorem), seed=seed,
                      records=5, replicas=replicas, **common)  # fmt: skip
    return {"gap": run.mean_gap[:, -1], "at_edge": False, "verdict": an.verify(bound, run)}


def gaps(results, **chosen):
    """All gaps at one angle, ``(replicas,)``: averaged over the random rotations, replica by replica."""
    return np.mean([c.arrays["gap"] for c in results.cells(**chosen)], axis=0)


def plot(results):
    cases, angles = results.axes["turned"], np.array(results.axes["angle"])
    rows = []
    with an.plotting.style("page"):
        figure, axes = an.plotting.subplots("page", 1, len(cases) + 1, height=3.1)
        for ax, turned in zip(axes, cases, strict=False):
            series = {}
            for method in METHODS:
                each = [gaps(results, turned=turned, angle=a, optimizer=method, step_size="tuned") for a in angles]
                limits = series[method] = an.intervals.t_limits(np.array(each).T, 0.05)
                for k, angle in enumerate(angles):
                    rows.append({"turned": turned, "angle": angle, "method": method, "gap": limits.estimate[k],
                                 "low": limits.low[k], "high": limits.high[k]})  # fmt: skip
            an.plotting.curves(np.arange(angles.size), series, log="y", ax=ax)
            ax.set_title(f"turned: {turned}")
        limits = [ax.get_ylim() for ax in axes[:-1]]
        for ax in axes[:-1]:
            ax.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
        axes[0].set_ylabel(f"mean gap, {STEPS} tuned steps")
        draw_diagonals(axes[-1], results, angles, "both" if "both" in cases else cases[0])
        for ax in axes:
            ax.set_xticks(np.arange(angles.size), [f"{a:g}" for a in angles])
            ax.set_xlabel("angle (radians, rms)")
        an.plotting.shared_legend(figure, 3)
    results.save_figure(figure, "rotation")
    results.save_csv("gaps", rows)
    report(results, cases)


def draw_diagonals(ax, results, angles, turned):
    """Sum of the diagonal over the trace, averaged over the random rotations."""
    cells = [results.cells(turned=turned, angle=a, optimizer="sgd", step_size="tuned") for a in angles]
    for name, marker, dashes, label in (
        ("optimal", "o", "-", "optimal diagonal"), ("gershgorin", "^", "--", "Gershgorin's"),
    ):  # fmt: skip
        values = [np.mean([c.arrays[name] for c in found]) for found in cells]
        ax.plot(np.arange(angles.size), values, color="black", marker=marker, linestyle=dashes, label=label)
    ax.axhline(DIM * PROFILE[0] / PROFILE.sum(), color="0.5", linestyle=":", label="isotropic")
    ax.set(yscale="log", ylabel="sum of L / trace", title="diagonals")


def report(results, cases):
    judged = [
        (f"{c.point['turned']}, angle {c.point['angle']:g}, draw {c.point['draw']}", c.arrays["verdict"])
        for c in results.cells(step_size="theorem")
    ]
    tightest = {}
    for where, verdict in judged:
        if verdict.theorem not in tightest or verdict.slack < tightest[verdict.theorem][1].slack:
            tightest[verdict.theorem] = where, verdict
    results.verdicts(tightest.values(), title="Each bound where it is tightest, with the optimal diagonal")
    violated = [where for where, v in judged if v.status == "violated"]
    results.say(f"Of {len(judged)} verdicts {len(violated)} contradict a bound: {'; '.join(violated) or 'none'}.")
    straight, turned_most = results.axes["angle"][0], results.axes["angle"][-1]
    draws = len(results.axes["draw"])
    for turned in cases:
        gap = {
            (m, a): gaps(results, turned=turned, angle=a, optimizer=m, step_size="tuned")
            for m in METHODS for a in (straight, turned_most)
        }  # fmt: skip
        for other in ("sgd", "adagrad_norm"):
            parts = []
            for angle in (straight, turned_most):
                ratio = an.intervals.ratio_interval(gap[other, angle], gap["adagrad", angle], level=LEVEL)
                parts.append(f"{ratio.estimate:.2f} [{ratio.low:.2f}, {ratio.high:.2f}] at angle {angle:g}")
            results.say(
                f"Turned: {turned}; tuned, gap of {an.plotting.title(other)} over AdaGrad's: {', '.join(parts)} "
                f"(level {LEVEL}, {draws} random rotation{'s' * (draws > 1)})."
            )
        for method in METHODS:
            ratio = an.intervals.ratio_interval(gap[method, turned_most], gap[method, straight], level=LEVEL)
            results.say(
                f"Turned: {turned}; gap of tuned {an.plotting.title(method)} at angle {turned_most:g} over that at "
                f"{straight:g}: {ratio.estimate:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]."
            )
    if "both" in cases:
        base = results.one(
            turned="both", angle=straight, draw=results.axes["draw"][0], optimizer="sgd", step_size="tuned"
        )
        worst = max(
            np.max(np.abs(c.arrays["gap"] / base["gap"] - 1))
            for c in results.cells(turned="both", optimizer="sgd", step_size="tuned")
        )
        results.say(f"Both turned: SGD's gap is the same replica by replica; largest relative difference {worst:.1e}.")
    edges = [f"{c.point['optimizer']} {c.point['turned']} {c.point['angle']:g}"
             for c in results.cells(step_size="tuned") if c.arrays["at_edge"]]  # fmt: skip
    results.say(f"The best tuned step lies at an end of the grid in {len(edges)} cells: {'; '.join(edges) or 'none'}.")


if __name__ == "__main__":
    raise SystemExit(an.study.main())
