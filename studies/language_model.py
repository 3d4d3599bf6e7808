"""Is R_med larger under SGD with momentum than under Adam when a small language model is trained to equal loss?

A two-block transformer on the help topics of CPython, by words (1,024 classes) or by characters; every matrix of the
blocks and the output layer; five methods with step sizes tuned on another seed, equal budgets. The seed is the unit:
one number a seed, the mean over layers and levels of ln(R_SGD+M / R_other), and a t interval over seeds. Model, grids,
levels and layers below were fixed before the first full run. Larger: --device cuda --width 512 --layers 8, or
--model PATH for a causal language model saved on disk (with --levels, the losses at which to compare).
"""

from functools import cache
from threading import Lock

import numpy as np
from _tuning import best_of, say_edges

import anisotropic as an

GRIDS = {
    "heavy_ball": (0.03, 0.1, 0.3, 1.0), "adam": (1e-3, 3e-3, 1e-2, 3e-2), "adagrad": (1e-2, 3e-2, 1e-1, 3e-1),
    "rmsprop": (3e-4, 1e-3, 3e-3, 1e-2), "adagrad_norm": (0.3, 1.0, 3.0, 10.0),
}  # fmt: skip
LEVELS = {"word": (4.4, 4.1, 3.8, 3.5), "char": (2.6, 2.25, 2.0)}
HESSIAN_SEQUENCES, LOSS_SEQUENCES, EVERY, MAX_STEPS, TUNING_SEED = 8, 64, 3, 3000, 20_000_000
BASE, OTHERS, TUNING = "heavy_ball", ("adam", "adagrad", "rmsprop", "adagrad_norm"), Lock()
AXES = {
    "unit": ["word", "char"], "optimizer": list(GRIDS), "repeat": [0, 1, 2, 3, 4, 5],
    "width": [32], "layers": [2], "context": [32], "vocabulary": [1024], "entries": [120], "tuning": [300],
    "levels": ["default"], "text": ["topics"], "model": ["small"], "device": ["cpu"],
}  # fmt: skip
QUICK = {"unit": ["word"], "optimizer": ["heavy_ball", "adam"], "repeat": [0, 1], "entries": [16], "tuning": [0],
         "levels": ["5.0/4.5"]}  # fmt: skip


def include(unit, optimizer, **rest):
    """Characters only for the pair of the claim."""
    return unit == "word" or optimizer in (BASE, "adam")


def setting(unit, width, layers, context, vocabulary, text, model, device, seed):
    """A model at its start, and a function that draws training batches."""
    import _transformer as lm

    ids, classes = lm.corpus(text, unit, vocabulary, model)
    net = lm.build(model, classes, width, layers, context, device, seed)
    return net, lm.batches(ids, np.random.default_rng(seed), context, device)


@cache
def tuned(optimizer, tuning, **where):
    """The best step size of the grid by the training loss after `tuning` iterations on a seed of its own."""
    import _transformer as lm

    if tuning == 0:
        return GRIDS[optimizer][1], False, np.full(len(GRIDS[optimizer]), np.nan)

    def final(step_size):
        net, draw = setting(seed=TUNING_SEED, **where)
        try:
            return lm.train(net, lm.optimizer(optimizer, net.parameters(), step_size), draw, tuning)[-20:].mean()
        except FloatingPointError:
            return np.inf

    return best_of(GRIDS[optimizer], final)


def cell(unit, optimizer, repeat, entries, tuning, levels, seed, **where):
    import _transformer as lm

    lm.torch.set_num_threads(1)
    wanted = LEVELS[unit] if levels == "default" else tuple(float(v) for v in levels.split("/"))
    with TUNING:
        step_size, at_edge, final = tuned(optimizer, tuning, unit=unit, **where)
    net, draw = setting(unit, seed=seed, **where)
    loss_batch = draw(LOSS_SEQUENCES)
    hessian_batch = tuple(side[:HESSIAN_SEQUENCES] for side in loss_batch)
    options = {"entries": entries, "probes": max(16, entries // 2), "exact": max(4, entries // 5), "seed": seed % 2**32}
    watch = an.geometry.torch.track(net, lm.loss, hessian_batch, lm.layer_names(net), every=EVERY, levels=wanted,
                                    loss_batch=loss_batch, **options)  # fmt: skip
    method = lm.optimizer(optimizer, net.parameters(), step_size)
    seen = lm.train(net, method, draw, MAX_STEPS, lambda t: (watch.step(), watch.finished)[1])
    found = watch.trajectory
    return {
        "loss": found.loss, "steps": found.steps, "r_med": found.r_med, "interval": found.interval,
        "layers": np.array(found.layers), "levels": np.array(wanted), "step_size": step_size, "tuning_losses": final,
        "at_edge": at_edge, "updates": len(seen), "parameters": sum(p.numel() for p in net.parameters()),
    }  # fmt: skip


def pairs(results, unit, other):
    """One list of matches a seed, SGD with momentum against `other`."""
    first, second = ({c.point["repeat"]: c.arrays for c in results.cells(unit=unit, optimizer=m)}
                     for m in (BASE, other))  # fmt: skip
    found = []
    for repeat in sorted(set(first) & set(second)):
        sides = [(run[repeat]["loss"], run[repeat]["r_med"]) for run in (first, second)]
        levels, recorded = first[repeat]["levels"], all(len(loss) for loss, _ in sides)
        found.append(an.geometry.match_by_loss(*sides, levels, strict=False) if recorded else [])
    return found


def seeds_log_ratio(matches):
    """Mean of ln(R_SGD+M / R_other) over layers and levels, seed by seed."""
    return np.array([np.nanmean([m.log_ratio for m in seed]) for seed in matches if seed])


def plot(results):
    chosen = [(u, m) for u in results.axes["unit"] for m in OTHERS if m in results.axes["optimizer"]]
    found = {key: p for key in chosen if sum(map(bool, p := pairs(results, *key))) >= 2}
    if units := [u for u, m in found if m == "adam"]:
        figure = an.plotting.page(
            [draw_levels, draw_layers], units, lambda ax, draw, unit: draw(ax, results, unit, found),
            height=7.0, share="", titles={"word": "words", "char": "characters"}.get,
        )  # fmt: skip
        results.save_figure(figure, "language_model")
    results.save_csv("r_med", table_rows(results))
    report(results, found)


def table_rows(results):
    """One row for each cell, record and layer."""
    for c, a in ((c, c.arrays) for c in results.cells()):
        for k, l in np.ndindex(a["r_med"].shape):
            yield {**{n: c.point[n] for n in ("unit", "optimizer", "repeat")}, "step": int(a["steps"][k]),
                   "loss": a["loss"][k], "layer": str(a["layers"][l]), "r_med": a["r_med"][k, l],
                   "low": a["interval"][k, l, 0], "high": a["interval"][k, l, 1]}  # fmt: skip


def draw_levels(ax, results, unit, found):
    """Geometric mean over layers against the training loss, with a t interval over seeds."""
    series = {}
    for method in results.axes["optimizer"]:
        full = [c.arrays for c in results.cells(unit=unit, optimizer=method)
                if len(c.arrays["loss"]) == len(c.arrays["levels"])]  # fmt: skip
        if len(full) >= 2:
            levels = full[0]["levels"]
            limits = an.intervals.t_limits(np.array([np.nanmean(np.log(a["r_med"]), axis=1) for a in full]), 0.05)
            series[method] = an.intervals.Limits(*(np.exp(v) for v in limits))
    if series:
        label = r"$R_{\mathrm{med}}$, geometric mean over layers"
        ax.axhline(an.geometry.noise_floor(1000), color="0.6", linestyle=":", linewidth=0.8, label="pure noise")
        an.plotting.curves(levels, series, xlabel="training loss (nats a token)", ylabel=label, log="y", ax=ax)
        ax.invert_xaxis()


def layer_table(results, unit, matches):
    """ln(R_SGD+M / R_Adam), mean over seeds, layers against loss."""
    arrays = results.cells(unit=unit, optimizer=BASE)[0].arrays
    return [[np.mean([m.log_ratio[k] for seed in matches for m in seed if m.level == level] or [np.nan])
             for level in arrays["levels"]] for k in range(len(arrays["layers"]))]  # fmt: skip


def draw_layers(ax, results, unit, found):
    """The table of one unit, in the colors of all."""
    arrays = results.cells(unit=unit, optimizer=BASE)[0].arrays
    tables = {u: layer_table(results, u, matches) for (u, method), matches in found.items() if method == "adam"}
    most = max(np.nanmax(np.abs(table)) for table in tables.values())
    names = [str(n).replace("blocks.", "").replace(".weight", "") for n in arrays["layers"]]
    levels, label = [f"{v:g}" for v in arrays["levels"]], r"$\ln(R_{\mathrm{SGD+M}} / R_{\mathrm{Adam}})$"
    an.plotting.heat_map(levels, names, tables[unit], label=label, limits=(-most, most), ax=ax)
    ax.set_xlabel("level of the training loss (nats a token)")


def report(results, found):
    rows = []
    for (unit, other), matches in found.items():
        cells = np.concatenate([m.log_ratio for seed in matches for m in seed])
        mean = an.intervals.mean_interval(seeds_log_ratio(matches), 0.05)
        ratio = mean._replace(**{k: np.exp(getattr(mean, k)) for k in ("estimate", "low", "high")})
        larger = "larger" if mean.low > 0 else "smaller" if mean.high < 0 else "not distinguishable"
        wanted = sum(len(c.arrays["levels"]) for c in results.cells(unit=unit, optimizer=BASE))
        rows.append({"unit": unit, "against": an.plotting.title(other), "seeds": sum(map(bool, matches)),
                     "ratio": f"{ratio:.2f}", "SGD+M's R_med is": larger,
                     "layers and levels above 1": f"{np.sum(cells > 0)}/{np.isfinite(cells).sum()}",
                     "levels missed or 2 % apart": wanted - sum(map(len, matches))})  # fmt: skip
    results.table(rows, title="R_SGD+M / R_other at equal loss: geometric mean over layers and levels, then over seeds")
    first = results.cells(repeat=results.axes["repeat"][0])
    results.table(({"unit": c.point["unit"], "method": an.plotting.title(c.point["optimizer"]),
                    "step size": float(c.arrays["step_size"]), "iterations": " ".join(map(str, c.arrays["steps"]))}
                   for c in first), title="First seed: iterations to the levels")  # fmt: skip
    if 0 not in results.axes["tuning"]:
        edges = [c.point for c in results.cells() if c.arrays["at_edge"]]
        say_edges(results, (f"{an.plotting.title(p['optimizer'])} by {p['unit']}s" for p in edges))


if __name__ == "__main__":
    raise SystemExit(an.study.main())
