"""Does local geometry predict speed?

Short races from where SGD with momentum and Adam stand at equal training loss. On a cube the ratio that decides between
AdaGrad and SGD is the mean over the maximum of L, globally; R_med and R_mean are maximum over median and over mean of
the Hessian's diagonal, at one point. From both points of a pair, races of SGD, AdaGrad, sign descent and, as control,
AdaGrad-Norm start with fresh state, equal budgets and tuned step sizes. Which start is faster, for which method, and
which number predicts it: R_med, R_mean or the noise ratio? No outcome is assumed.
"""

import numpy as np
from _tuning import best_of, say_edges

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
        with np.errstate(invalid="ignore", over="ignore"):     # too large a step size diverges
            return 0.5 * np.sum((end[1] @ end[0] - A) ** 2)

    before = 0.5 * np.sum((here[1] @ here[0] - A) ** 2)
    for racer, grid in GRIDS.items():
        best, found[f"edge {racer}"], _ = best_of(grid, lambda step_size, r=racer: final(r, step_size, seed ^ 1))
        found[f"speed {racer}"] = np.log(before / final(racer, best, seed ^ 2))
    return found


def mean_log(values):
    """Mean of ln over the layers where R is defined."""
    return float(np.nanmean(np.log(values)))


def word_races(origin, level, steps, entries, seed):
    """The same on the word-level transformer of `language_model.py`."""
    import _transformer as lm
    from language_model import setting

    lm.torch.set_num_threads(1)
    net, draw = setting("word", 32, 2, 32, 1024, "topics", "small", "cpu", seed)
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
        best, found[f"edge {racer}"], _ = best_of(grid, lambda size, r=racer: max(final(r, size, k) for k in (0, 1)))
        found[f"speed {racer}"] = np.log(before / final(racer, best, 2))
    return found


def rank_correlation(x, y):
    """Spearman's coefficient with Fisher's asymptotic 95 % interval in words; a dash if one is constant or few."""
    from scipy.stats import rankdata

    a, b = rankdata(x), rankdata(y)
    if np.ptp(a) == 0 or np.ptp(b) == 0 or a.size < 5:
        return "-"
    rho = float(np.clip(np.corrcoef(a, b)[0, 1], -1 + 1e-9, 1 - 1e-9))
    half = 1.96 * 1.06 / np.sqrt(a.size - 3)
    low, high = (np.tanh(np.arctanh(rho) + sign * half) for sign in (-1, 1))
    return f"{an.intervals.Interval(rho, low, high, 'Fisher', 0.05):+.2f}"


def paired(results, task):
    """Cells of the seeds in which both origins stand at losses at most 2 % apart; how many were refused."""
    by_seed = {}
    for c in results.cells(task=task):
        by_seed.setdefault(c.point["repeat"], {})[c.point["origin"]] = c.arrays
    full = [pair for pair in by_seed.values() if len(pair) == 2]
    close = [p for p in full if abs(np.log(p["heavy_ball"]["loss"] / p["adam"]["loss"])) <= 0.02]
    return close, len(full) - len(close)


def plot(results):
    found = {t: p for t in results.axes["task"] if len((p := paired(results, t))[0]) >= 2}
    for task, (pairs, refused) in found.items():
        larger = sum(float(p["heavy_ball"]["ln R_med"]) > float(p["adam"]["ln R_med"]) for p in pairs)
        results.say(f"{task}: R_med is larger at the point of SGD with momentum in {larger} of {len(pairs)} seeds; "
                    f"{refused} pairs over 2 % apart in loss are left out.")  # fmt: skip
    judged = [judge(pairs, task, racer) for task, (pairs, _) in found.items() for racer in RACERS]
    results.save_csv("races", [row for _, rows, _ in judged for row in rows])
    results.table((row for row, _, _ in judged), "ln(loss before / after) of tuned races, by the method before them")
    results.table((row for _, _, row in judged), "Spearman correlation with the speed, over the starts of all seeds")
    say_edges(results, (f"{an.plotting.title(r)}, {task}" for task, (pairs, _) in found.items() for r in RACERS
                        for p in pairs for a in p.values() if a[f"edge {r}"]))  # fmt: skip
    if found:
        draw(results, {task: pairs for task, (pairs, _) in found.items()})


def judge(pairs, task, racer):
    """One race of one task: the difference between the starts, all speeds, and what correlates with them."""
    rows = [{"task": task, "race": racer, "origin": origin, "speed": float(a[f"speed {racer}"]),
             **{k: float(a[k]) for k in PREDICTORS}} for p in pairs for origin, a in p.items()]  # fmt: skip
    sgd, adam = (np.array([r["speed"] for r in rows if r["origin"] == origin]) for origin in AXES["origin"])
    gain = an.intervals.difference_interval(adam, sgd, 0.05)
    faster = "Adam" if gain.low > 0 else "SGD+M" if gain.high < 0 else "neither"
    name = {"task": task, "race": an.plotting.title(racer)}
    row = name | {"from SGD+M": sgd.mean(), "from Adam": adam.mean(), "difference": f"{gain:.3f}", "faster": faster}
    rho = {k: rank_correlation([r[k] for r in rows], [r["speed"] for r in rows]) for k in PREDICTORS}
    return row, rows, name | {"starts": len(rows)} | rho


def draw(results, found):
    """Speed against ln R_med, one panel a task."""
    looks = an.plotting.method_styles(RACERS)

    def panel(ax, row, task):
        for racer in RACERS:
            for origin, look in (("heavy_ball", {"label": an.plotting.title(racer)}), ("adam", {"mfc": "white"})):
                x, y = ([float(p[origin][k]) for p in found[task]] for k in ("ln R_med", f"speed {racer}"))
                ax.plot(x, y, **looks[racer] | {"linestyle": ""} | look)
        ax.set(xlabel="mean ln R_med at the start", ylabel="ln(loss before / after)")

    figure = an.plotting.page([""], list(found), panel, height=3.0, share="", titles="{} (open: from Adam)".format)
    results.save_figure(figure, "bridge")


if __name__ == "__main__":
    raise SystemExit(an.study.main())
