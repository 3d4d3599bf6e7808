"""Does local geometry predict speed? Short races from where SGD with momentum and Adam stand at equal training loss.

On a cube the ratio that decides between AdaGrad and SGD is the mean over the maximum of L, globally; R_med and R_mean
are maximum over median and over mean of the Hessian's diagonal, at one point. From both points of a pair, races of SGD,
AdaGrad, sign descent and, as control, AdaGrad-Norm start with fresh state, equal budgets and tuned step sizes. Which
start is faster, for which method, and which number tells: R_med, R_mean or the noise ratio? No outcome is assumed.
"""

import numpy as np

import anisotropic as an

g, o = an.geometry, an.optimizers
RACERS = {"sgd": o.sgd, "adagrad": o.adagrad, "sign_sgd": o.sign_sgd, "adagrad_norm": o.adagrad_norm}
GRIDS = {"sgd": np.geomspace(1e-3, 10, 17), "adagrad": np.geomspace(1e-4, 1, 17),
         "sign_sgd": np.geomspace(1e-5, 0.1, 17), "adagrad_norm": np.geomspace(1e-3, 10, 17)}  # fmt: skip
WIDTH, LINEAR_LEVEL, LINEAR_STEPS, NOISE = 64, 0.5, 8, 1e-3
TRAINING = {"heavy_ball": 0.1, "adam": 3e-3}
WORD_GRIDS = {name: 10.0 ** np.arange(low, low + 4, 0.5) for name, low in
              {"sgd": -2.5, "adagrad": -4.5, "sign_sgd": -4.5, "adagrad_norm": -2.5}.items()}  # fmt: skip
PREDICTORS = ("ln R_med", "ln R_mean", "noise ratio")
AXES = {
    "task": ["linear, small start", "linear, ordinary start", "words"],
    "origin": ["heavy_ball", "adam"],
    "repeat": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
    "word_level": [4.1],
    "word_steps": [40],
    "entries": [120],
}
QUICK = {"task": ["linear, small start", "linear, ordinary start"], "repeat": [0, 1, 2, 3, 4, 5]}
UNPAIRED = ("origin",)


def include(task, repeat, **rest):
    """Six seeds for words."""
    return task != "words" or repeat < 6


def cell(task, origin, repeat, word_level, word_steps, entries, seed):
    if task == "words":
        return word_races(origin, word_level, word_steps, entries, seed)
    scales = [WIDTH**-3.0, WIDTH**-1.5] if "small" in task else WIDTH**-0.5
    A, start = g.linear_target(WIDTH, seed=seed), g.initial_weights([WIDTH, WIDTH, 1], scales, seed=seed)
    method = o.heavy_ball(0.0005, 0.9) if origin == "heavy_ball" else o.adam(0.02 * WIDTH**-1.5, beta2=0.95, eps=1e-12)
    run = g.train_linear_network(start, A, method, levels=[LINEAR_LEVEL])
    here = run.weights[0]
    diagonals = [g.r_med(h) for h in g.deep_linear_diagonals(here)]
    found = {"loss": float(run.loss[0]), "steps": int(run.steps[0]), "ln R_med": mean_log([d.value for d in diagonals]),
             "ln R_mean": mean_log([d.maximum / d.mean for d in diagonals]), "noise ratio": 1.0}  # fmt: skip

    def final(racer, step_size, which):
        options = {"gradient_noise": NOISE, "levels": [1e-12], "max_steps": LINEAR_STEPS, "seed": which}
        end = g.train_linear_network(here, A, RACERS[racer](step_size), **options).final
        with np.errstate(invalid="ignore", over="ignore"):     # too large a step diverges
            return 0.5 * np.sum((end[1] @ end[0] - A) ** 2)

    before = 0.5 * np.sum((here[1] @ here[0] - A) ** 2)
    for racer, grid in GRIDS.items():
        tuning = [final(racer, step_size, seed ^ 1) for step_size in grid]
        best = int(np.nanargmin(np.where(np.isfinite(tuning), tuning, np.inf)))
        found[f"speed {racer}"] = np.log(before / final(racer, grid[best], seed ^ 2))
        found[f"edge {racer}"] = best in (0, len(grid) - 1)
    return found


def mean_log(values):
    """Mean of ln over the layers where R is defined."""
    return float(np.nanmean(np.log(values)))


def word_races(origin, level, steps, entries, seed):
    """The same on the word-level transformer of `language_model.py`."""
    import _transformer as lm
    from language_model import setting

    lm.torch.set_num_threads(1)
    size = {"width": 32, "layers": 2, "context": 32, "vocabulary": 1024}
    net, draw = setting("word", seed=seed, text="topics", model="small", device="cpu", **size)
    held = draw(64)

    def evaluate():
        with lm.torch.no_grad():
            return float(lm.loss(net(held[0]), held[1]))

    seen = lm.train(net, lm.optimizer(origin, net.parameters(), TRAINING[origin]), draw, 2000,
                    lambda t: t % 2 == 0 and evaluate() <= level)  # fmt: skip
    before, here = evaluate(), {name: value.clone() for name, value in net.state_dict().items()}
    options = {"entries": entries, "probes": max(16, entries // 2), "exact": max(4, entries // 5)}
    batches = [draw(8) for _ in range(16)]
    layers = an.geometry.torch.anisotropy(net, lm.loss, batches, lm.layer_names(net), **options).layers
    found = {"loss": before, "steps": len(seen), "ln R_med": mean_log([a.r_med.value for a in layers.values()]),
             "ln R_mean": -mean_log([a.smoothness_ratio for a in layers.values()]),
             "noise ratio": float(np.mean([a.noise_ratio for a in layers.values()]))}  # fmt: skip
    batches = [[draw() for _ in range(steps)] for _ in range(3)]

    def final(racer, step_size, which):
        net.load_state_dict(here)
        order = iter(batches[which])
        try:
            lm.train(net, lm.optimizer(racer, net.parameters(), step_size), lambda: next(order), steps)
        except FloatingPointError:
            return np.inf
        return evaluate()

    for racer, grid in WORD_GRIDS.items():
        tuning = [max(final(racer, step_size, 0), final(racer, step_size, 1)) for step_size in grid]
        best = int(np.argmin(tuning))
        found[f"speed {racer}"] = np.log(before / final(racer, grid[best], 2))
        found[f"edge {racer}"] = best in (0, len(grid) - 1)
    return found


def rank_correlation(x, y):
    """Spearman's coefficient with Fisher's asymptotic 95 % interval; NaN where one of them is constant."""
    from scipy.stats import rankdata

    a, b = rankdata(x), rankdata(y)
    if np.ptp(a) == 0 or np.ptp(b) == 0 or a.size < 5:
        return np.nan, np.nan, np.nan
    rho = float(np.clip(np.corrcoef(a, b)[0, 1], -1 + 1e-9, 1 - 1e-9))
    half = 1.96 * 1.06 / np.sqrt(a.size - 3)
    return rho, np.tanh(np.arctanh(rho) - half), np.tanh(np.arctanh(rho) + half)


def paired(results, task):
    """Cells of the seeds in which both origins stand at losses at most 2 % apart; how many were refused."""
    by_seed = {}
    for c in results.cells(task=task):
        by_seed.setdefault(c.point["repeat"], {})[c.point["origin"]] = c.arrays
    full = [pair for pair in by_seed.values() if len(pair) == 2]
    close = [p for p in full if abs(np.log(p["heavy_ball"]["loss"] / p["adam"]["loss"])) <= 0.02]
    return close, len(full) - len(close)


def plot(results):
    tasks = [t for t in results.axes["task"] if len(paired(results, t)[0]) >= 2]
    differences, correlations, rows = [], [], []
    for task in tasks:
        pairs, refused = paired(results, task)
        if refused:
            results.say(f"{task}: {refused} pairs are over 2 % apart in loss and left out.")
        for racer in RACERS:
            row, more, found = judge(pairs, task, racer)
            differences.append(row)
            rows += more
            correlations += found
    results.save_csv("races", rows)
    results.table(differences, title="ln(loss before / after) of tuned races, by the method that led to the start")
    results.table(correlations, title="Spearman correlation with the speed, over the starts of all seeds")
    report(results, tasks, differences, correlations)
    if tasks:
        draw(results, tasks)


def judge(pairs, task, racer):
    """One race of one task: the difference between the starts, all speeds, and what correlates with them."""
    starts = [(origin, a) for p in pairs for origin, a in p.items()]
    speed = [float(a[f"speed {racer}"]) for _, a in starts]
    sgd, adam = (np.array([v for (m, _), v in zip(starts, speed, strict=True) if m == name]) for name in AXES["origin"])
    gain = an.intervals.difference_interval(adam, sgd, 0.05)
    name = an.plotting.title(racer)
    row = {"task": task, "race": name, "from SGD+M": sgd.mean(), "from Adam": adam.mean(), "difference": gain.estimate,
           "low": gain.low, "high": gain.high}  # fmt: skip
    rows = [{"task": task, "race": racer, "origin": m, "speed": v, **{k: float(a[k]) for k in PREDICTORS}}
            for (m, a), v in zip(starts, speed, strict=True)]  # fmt: skip
    found = []
    for number in PREDICTORS:
        rho, low, high = rank_correlation([float(a[number]) for _, a in starts], speed)
        if np.isfinite(rho):
            found.append({"task": task, "race": name, "number": number, "rho": rho, "low": low, "high": high,
                          "starts": len(starts)})  # fmt: skip
    return row, rows, found


def draw(results, tasks):
    """Speed against ln R_med, one panel a task."""
    with an.plotting.style("page"):
        figure, axes = an.plotting.subplots("page", 1, len(tasks), height=3.0, squeeze=False)
        looks = an.plotting.method_styles(RACERS)
        for ax, task in zip(axes[0], tasks, strict=True):
            for racer in RACERS:
                for origin, face in (("heavy_ball", None), ("adam", "white")):
                    cells = [p[origin] for p in paired(results, task)[0]]
                    x, y = ([float(a[k]) for a in cells] for k in ("ln R_med", f"speed {racer}"))
                    label = an.plotting.title(racer) if face is None else None
                    ax.plot(x, y, linestyle="", marker=looks[racer]["marker"], color=looks[racer]["color"], label=label,
                            markerfacecolor=face or looks[racer]["color"])  # fmt: skip
            ax.set_title(f"{task} (open: from Adam)", fontsize="small")
            ax.set_xlabel("mean ln R_med at the start")
        axes[0, 0].set_ylabel("ln(loss before / after)")
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    results.save_figure(figure, "bridge")


def report(results, tasks, differences, correlations):
    for task in tasks:
        pairs, _ = paired(results, task)
        larger = sum(float(p["heavy_ball"]["ln R_med"]) > float(p["adam"]["ln R_med"]) for p in pairs)
        results.say(f"{task}: R_med is larger where SGD with momentum stands in {larger} of {len(pairs)} seeds.")
        for row in (r for r in differences if r["task"] == task):
            sure = row["low"] > 0 or row["high"] < 0
            faster = f"from {'Adam' if row['low'] > 0 else 'SGD+M'}" if sure else "from neither"
            results.say(f"{task}: {row['race']} is faster {faster} (difference {row['difference']:.3f} "
                        f"[{row['low']:.3f}, {row['high']:.3f}]).")  # fmt: skip
        clear = [r for r in correlations if r["task"] == task and (r["low"] > 0 or r["high"] < 0)]
        named = "; ".join(f"{r['number']} for {r['race']} ({r['rho']:+.2f})" for r in clear) or "none"
        results.say(f"{task}: rank correlations with the speed that are clear of zero: {named}.")
        edges = {r for r in RACERS for p in pairs for a in p.values() if a[f"edge {r}"]}
        if edges:
            results.say(f"{task}: some best step sizes lie at the edge of the grid: {', '.join(sorted(edges))}.")


if __name__ == "__main__":
    raise SystemExit(an.study.main())
