"""Does AdaGrad's advantage over SGD survive large batches when a language model is fine-tuned on instructions?

A small transformer is pretrained on text, then fine-tuned on instruction pairs with SGD, AdaGrad and, as control,
AdaGrad-Norm: one budget of samples, three batch sizes, step sizes tuned on another seed, equal budgets. Along the way:
(L0, L1) smoothness per coordinate by secants, sigma_j, the ratios that compare AdaGrad's bound with SGD's, and R_med.
Pairs: the first sentences of Python's own documentation, or --data FILE, a JSON list (plain or xz) of objects with
instruction, input and output. Larger: --device cuda --width 512 --layers 8, or --model PATH for a saved causal model.
"""

from functools import cache
from threading import Lock

import numpy as np
from _tuning import best_of, say_edges

import anisotropic as an

GRIDS = {"sgd": (0.03, 0.1, 0.3, 1.0, 3.0, 10.0), "adagrad": (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1),
         "adagrad_norm": (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)}  # fmt: skip
SECANTS, TUNING_SEED, TUNING = 8, 20_000_000, Lock()
GEOMETRY = {"r_med": r"$R_{\mathrm{med}}$", "smoothness ratio": r"$|H_{jj}|$, mean over max",
            "noise ratio": "noise ratio", "noise": r"$\sum_j \sigma_j$ of one sample"}  # fmt: skip
AXES = {
    "optimizer": list(GRIDS), "batch": [8, 32, 128], "repeat": [0, 1, 2, 3, 4, 5],
    "budget": [2048], "pretraining": [600], "width": [64], "layers": [2], "context": [40], "vocabulary": [2048],
    "entries": [40], "tuning": ["grid"], "data": ["documentation"], "text": ["topics"], "model": ["small"],
    "device": ["cpu"],
}  # fmt: skip
QUICK = {"batch": [16, 64], "repeat": [0, 1], "budget": [128], "pretraining": [30], "width": [32], "context": [24],
         "vocabulary": [512], "entries": [0], "tuning": ["middle"]}  # fmt: skip
UNPAIRED = ("optimizer", "batch")


@cache
def best_step_size(optimizer, batch, budget, pretraining, tuning, **where):
    """That with the smallest final training loss on a seed of its own: of the grid, then beside its best point."""
    from _instructions import Tuner

    if tuning == "middle":
        return GRIDS[optimizer][2], False
    tuner = Tuner(TUNING_SEED, pretraining, **where)

    def final(step_size):
        return tuner.run(optimizer, step_size, batch, budget)[0]

    best, at_edge, values = best_of(GRIDS[optimizer], final)
    losses = {best: np.nanmin(values)} | {size: final(size) for size in (best * 10**-0.25, best * 10**0.25)}
    return min(losses, key=losses.get), at_edge


def cell(optimizer, batch, repeat, budget, pretraining, entries, tuning, seed, **where):
    import _transformer as lm
    from _instructions import Tuner

    lm.torch.set_num_threads(1)
    with TUNING:
        step_size, at_edge = best_step_size(optimizer, batch, budget, pretraining, tuning, **where)
    tuner, secants, measured = Tuner(seed % 2**31, pretraining, **where), [], []

    def look(t, steps):
        if t % max(1, steps // SECANTS) == 0:
            secants.append(tuner.secant(t))
        if entries and t in (max(1, steps // 2), steps):
            measured.append(tuner.geometry(entries))
        return False

    train_loss, held_out = tuner.run(optimizer, step_size, batch, budget, look)
    found = {"train": train_loss, "held out": held_out, "step_size": step_size, "at_edge": at_edge, **along(secants),
             "parameters": sum(p.numel() for p in tuner.net.parameters()), "pairs": len(tuner.pool),
             "answer tokens": int((tuner.y[tuner.pool] != -100).sum())}  # fmt: skip
    if measured and np.isfinite(train_loss):
        found |= {name: np.array([m[name] for m in measured]) for name in GEOMETRY}
    return found


def along(path):
    """(L0, L1) by least squares, coordinate by coordinate, of the secants on |g_j| along the run: medians."""
    if len(path) < 4:
        return {"L0": np.nan, "L1": np.nan, "rising": np.nan}
    size, secant = (np.array([p[k] for p in path]) for k in (0, 1))
    x = size - size.mean(axis=0)
    used = (x**2).sum(axis=0) > 0
    slope = (x * secant).sum(axis=0)[used] / (x**2).sum(axis=0)[used]
    intercept = secant.mean(axis=0)[used] - slope * size.mean(axis=0)[used]
    return {"L0": float(np.median(intercept)), "L1": float(np.median(slope)), "rising": float(np.mean(slope > 0))}


def by_seed(results, batch, name, optimizer):
    """One number a seed, in the order of the seeds."""
    return np.array([float(c.arrays[name]) for c in results.cells(batch=batch, optimizer=optimizer)])


def layer_mean(results, batch, name, optimizer, moment=-1):
    """Geometric mean over layers, seed by seed, halfway (0) or at the end (-1); empty where nothing was measured."""
    cells = [c.arrays for c in results.cells(batch=batch, optimizer=optimizer)]
    return np.array([np.exp(np.nanmean(np.log(a[name][moment]))) for a in cells if name in a])


def draw(results, names, value, name):
    """A figure with one panel for each of `names`, two a row, over the batch size; `value` gives one number a seed."""
    batches, methods, keys = results.axes["batch"], results.axes["optimizer"], list(names)

    def panel(ax, row, column):
        key = keys[2 * row + column]
        series = {m: np.array([value(results, M, key, m) for M in batches]).T for m in methods}
        log = "x" if "loss" in names[key] else "xy"
        an.plotting.curves(batches, series, xlabel="batch size M", ylabel=names[key], log=log, ax=ax)

    rows = range(len(keys) // 2)
    figure = an.plotting.page(rows, range(2), panel, height=2.8 * len(rows) + 0.4, share="")
    for ax in figure.axes:
        ax.set_xticks(batches, [str(M) for M in batches])
    results.save_figure(figure, name)


def plot(results):
    methods, batches = results.axes["optimizer"], results.axes["batch"]
    if results.complete and len(results.axes["repeat"]) >= 2:
        losses = {name: f"{name} loss (nats a token)" for name in ("train", "held out")}
        draw(results, losses, by_seed, "instruction_tuning")
        if results.axes["entries"] != [0]:
            draw(results, GEOMETRY, layer_mean, "instruction_geometry")
    measured = [(m, M) for m in methods for M in batches if layer_mean(results, M, "r_med", m).size]
    results.table((along_table(results, *pair) for pair in measured),
                  title="Geometric means over layers and seeds; R_med halfway, the rest at the end")  # fmt: skip
    rows = [compare(results, M, other, name) for M in batches for other in ("sgd", "adagrad_norm")
            for name in ("train", "held out") if {other, "adagrad"} <= set(methods)]  # fmt: skip
    chosen = "tuned step sizes" if results.axes["tuning"] == ["grid"] else "step sizes in the middle of the grids"
    results.table(rows, title=f"Loss of the other method less AdaGrad's, equal samples, {chosen} (nats a token)")
    fitted = {m: [c.arrays for c in results.cells(optimizer=m) if np.isfinite(c.arrays["rising"])] for m in methods}
    results.table(({"method": an.plotting.title(m)} | {name: np.mean([float(a[k]) for a in cells]) for k, name in
                    (("rising", "smoothness rises with |g_j|"), ("L0", "median L0"), ("L1", "median L1"))}
                   for m, cells in fitted.items() if cells),
                  title="(L0, L1) smoothness: share of the coordinates where it rises (0.5 by chance)")  # fmt: skip
    for c in results.cells()[:1]:
        a = c.arrays
        results.say(
            f"{int(a['parameters']):,} parameters, {int(a['pairs']):,} pairs with {int(a['answer tokens']):,} answer "
            f"tokens, {c.point['budget']:,} samples a run; this says nothing about large models."
        )
    if results.axes["tuning"] == ["grid"]:
        edges = [c.point for c in results.cells() if c.arrays["at_edge"]]
        say_edges(results, (f"{an.plotting.title(p['optimizer'])} at M={p['batch']}" for p in edges))


def compare(results, batch, other, name):
    """Paired difference of the losses, seed by seed: a row of the table."""
    a, b = (by_seed(results, batch, name, m) for m in (other, "adagrad"))
    both = np.isfinite(a) & np.isfinite(b) if a.size == b.size else np.zeros(0, dtype=bool)
    row = {"batch": batch, "loss": name, "against": an.plotting.title(other)}
    if both.sum() < 2:
        return row | {"AdaGrad is": "not compared: fewer than two seeds in which both finished"}
    gain = an.intervals.difference_interval(a[both], b[both], 0.05)
    word = "ahead" if gain.low > 0 else "behind" if gain.high < 0 else "not distinguishable"
    return row | {"theirs": a[both].mean(), "AdaGrad": b[both].mean(), "gain": f"{gain:.3f}", "AdaGrad is": word}


def along_table(results, optimizer, batch):
    """What was measured along the runs of one method at one batch size: a row of the table."""
    halfway, end, smoothness, noise_ratio, noise = (
        np.exp(np.mean(np.log(layer_mean(results, batch, name, optimizer, moment))))
        for name, moment in (("r_med", 0), *((name, -1) for name in GEOMETRY))
    )
    return {"optimizer": optimizer, "batch": batch, "R_med half": halfway, "R_med": end, "mean/max L": smoothness,
            "noise ratio": noise_ratio, "sum sigma": noise}  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(an.study.main())
