"""Do adaptive methods reach regions of small R_med, and SGD regions of large R_med, on linear networks?

R_med = largest over median absolute Hessian entry of a layer, exact here (W2 W1 x, squared loss), at equal loss. Growth
with the width, the way along the run, seven optimizers, the rank of the target, gradient noise, anisotropic inputs, and
the ordinary start where the effect disappears; predictions are drawn beside. Step sizes are small and fixed, not tuned.
"""

import numpy as np

import anisotropic as an

g, o = an.geometry, an.optimizers
LEVELS = np.array([0.9, 0.7, 0.5, 0.3, 0.1, 0.03])
AT = 4  # index of the loss fraction 0.1, where runs are compared
MAX_STEPS = 4000
AXES = {
    "setting": ["small start", "ordinary start", *(f"rank {r}" for r in (2, 8, 64)), "noise 0.01", "noise 0.1",
                "uneven inputs"],
    "width": [32, 64, 128, 256],
    "optimizer": ["sgd", "heavy_ball", "adam", "rmsprop", "adagrad", "amsgrad", "sign_sgd", "adagrad_norm"],
    "alpha": [1.0, 1.5],
    "repeats": [20],
}
QUICK = {"setting": ["small start", "ordinary start", "rank 8", "uneven inputs"], "width": [32, 64], "repeats": [6],
         "optimizer": ["heavy_ball", "adam", "adagrad_norm"], "alpha": [1.5]}  # fmt: skip
PAIR = ("heavy_ball", "adam")


def include(setting, width, optimizer, alpha, repeats):
    """All widths for the pair from a small start; elsewhere width 128 (64 in the quick form), and the steeper start."""
    if setting == "small start":
        return optimizer in PAIR or (width in (64, 128) and alpha == 1.5)
    return width in (64, 128) and alpha == 1.5 and optimizer in (*PAIR, "adagrad_norm")


def make(optimizer, width, rank):
    """Halving these step sizes changes nothing; sign-like methods move every entry by a tenth of d^(-3/2)."""
    step_size = 0.1 * width**-1.5
    return {
        "sgd": lambda: o.sgd(0.02),
        "heavy_ball": lambda: o.heavy_ball(0.002, 0.9),
        "adam": lambda: o.adam(step_size, beta2=0.95, eps=1e-12),
        "rmsprop": lambda: o.rmsprop(step_size, 0.95, eps=1e-12),
        "adagrad": lambda: o.adagrad(10 * step_size),
        "amsgrad": lambda: o.amsgrad(step_size, beta2=0.95, eps=1e-12),
        "sign_sgd": lambda: o.sign_sgd(step_size),
        "adagrad_norm": lambda: o.adagrad_norm(0.2 * rank**0.5),
    }[optimizer]()


def cell(setting, width, optimizer, alpha, repeats, seed):
    rank = int(setting.split()[1]) if setting.startswith("rank") else 1
    noise = float(setting.split()[1]) if setting.startswith("noise") else 0.0
    scales = [width**-0.5] * 2 if setting == "ordinary start" else [width ** (-2 * alpha), width**-alpha]
    method = make(optimizer, width, rank)
    found = []
    for k in range(repeats):
        rng = np.random.default_rng([seed, k])
        own = int(rng.integers(2**62))
        S = rng.lognormal(size=width) if setting == "uneven inputs" else None
        A = g.linear_target(width, rank, seed=own)
        start = g.initial_weights([width, width, rank], scales, seed=own)
        run = g.train_linear_network(start, A, method, S=S, gradient_noise=noise, levels=LEVELS, max_steps=MAX_STEPS,
                                     seed=own)  # fmt: skip
        predicted = np.full(LEVELS.size, np.nan)
        if optimizer in ("sgd", "heavy_ball", "adagrad_norm"):
            predicted[:] = g.frozen_start(*start, A).value
        elif rank == 1:
            predicted[:] = [g.equal_growth(start[1], A, v).value for v in LEVELS]
        found.append((run.r_med, run.loss, predicted, 1.0 if S is None else g.data_floor(S)))
    return dict(zip(("r_med", "loss", "predicted", "floor"), map(np.array, zip(*found, strict=True)), strict=True))


def plot(results):
    wide = 128 if 128 in results.axes["width"] else max(results.axes["width"])
    panels = [[draw_growth, draw_run], [draw_rank, draw_settings]]
    figure = an.plotting.page(panels, [0, 1], lambda ax, row, k: row[k](ax, results, wide), height=5.6, share="",
                              legend_columns=2)  # fmt: skip
    results.save_figure(figure, "local_geometry")
    rows = [dict(c.point, loss_fraction=v, layer=l + 1, median=float(np.nanmedian(c.arrays["r_med"][:, k, l])))
            for c in results.cells() for k, v in enumerate(LEVELS) for l in range(2)
            if np.isfinite(c.arrays["r_med"][:, k, l]).any()]  # fmt: skip
    results.save_csv("r_med", rows)
    report(results, wide)


def first_layer(results, method, **chosen):
    """R_med of the first layer, (levels, repeats)."""
    return results.one(optimizer=method, **chosen)["r_med"][:, :, 0].T


def draw(ax, x, samples, predicted, xlabel, title):
    """Medians of the pair with distribution-free limits, and its predictions dashed in the same colors."""
    series = {m: an.intervals.Limits(*np.array([an.intervals.quantile_interval(v, 0.5)[:3] for v in values]).T)
              for m, values in samples.items()}  # fmt: skip
    an.plotting.curves(x, series, xlabel=xlabel, ylabel="R_med, first layer", ax=ax)
    ax.get_legend().set_title("median and its 95 % interval; dashed: predicted")
    for method, values in predicted.items():
        ax.plot(x, values, "--", color=an.plotting.method_styles(PAIR)[method]["color"], alpha=0.6)
    ax.set_title(title)


def draw_growth(ax, results, wide):
    """First layer against the width at loss fraction 0.1."""
    alpha, widths = max(results.axes["alpha"]), results.axes["width"]
    samples = {m: [first_layer(results, m, setting="small start", alpha=alpha, width=w)[AT] for w in widths]
               for m in PAIR}  # fmt: skip
    adam = [g.predict_r_med_adam(w, output_scale=w**-alpha, target=g.linear_target(w), loss_fraction=LEVELS[AT])
            for w in widths]  # fmt: skip
    predicted = {"heavy_ball": [g.predict_r_med_sgd(w) for w in widths], "adam": adam}
    draw(ax, widths, samples, predicted, "width d", f"growth with the width, start d^-{alpha:g}")


def draw_run(ax, results, wide):
    """First layer along the run, from left to right."""
    chosen = {"setting": "small start", "width": wide, "alpha": min(results.axes["alpha"])}
    samples = {m: first_layer(results, m, **chosen) for m in PAIR}
    predicted = {m: np.median(results.one(optimizer=m, **chosen)["predicted"], axis=0) for m in PAIR}
    xlabel = "loss / initial loss (dotted: R_med of pure noise)"
    draw(ax, LEVELS, samples, predicted, xlabel, f"along the run, start d^-{chosen['alpha']:g}")
    ax.axhline(g.noise_floor(wide * wide), color="0.6", linestyle=":", linewidth=0.8)
    ax.invert_xaxis()


def draw_rank(ax, results, wide):
    """First layer against the rank of the target."""
    settings = {1: "small start"} | {int(s[5:]): s for s in results.axes["setting"] if s.startswith("rank")}
    samples = {m: [first_layer(results, m, setting=s, width=wide, alpha=1.5)[AT] for s in settings.values()]
               for m in PAIR}  # fmt: skip
    predicted = {"heavy_ball": [g.predict_r_med_sgd(wide, r) for r in settings]}
    draw(ax, list(settings), samples, predicted, "rank of the target", "low rank makes it large")


def draw_settings(ax, results, wide):
    """R_med over the data floor, by setting and method."""
    found = dict(pairs(results, wide))
    table = [[np.median(cells[m][1][:, AT, layer]) for m in PAIR for layer in (0, 1)] for cells in found.values()]
    labels = [f"{an.plotting.title(m)} R_{layer}" for m in PAIR for layer in (1, 2)]
    an.plotting.heat_map(labels, list(found), table, label="R_med over its data floor", log=True, ax=ax)
    ax.tick_params(axis="x", rotation=30)


def pairs(results, wide):
    """Losses of the pair and R_med, that of the first layer over its data floor, for each setting that has both."""
    for setting in results.axes["setting"]:
        cells = {c.point["optimizer"]: c.arrays for c in results.cells(setting=setting, width=wide, alpha=1.5)}
        if set(PAIR) <= set(cells):
            yield setting, {m: (a["loss"], a["r_med"] / np.stack([a["floor"], np.ones_like(a["floor"])], 1)[:, None])
                            for m, a in cells.items()}  # fmt: skip


def compare(cells, setting, layer):
    """Heavy ball against Adam, seed by seed, at loss fraction 0.1 or the last one that every run of both reaches."""
    common = [k for k in range(AT + 1) if all(np.isfinite(cells[m][0][:, k]).all() for m in PAIR)]
    if not common:
        return {"setting": setting, "layer": layer + 1, "claim": f"some run misses even the loss {LEVELS[0]}"}
    sgd, adam = (cells[m][1][:, common[-1], layer] for m in PAIR)
    log = np.log(sgd / adam)
    mean = an.intervals.mean_interval(log, 0.05)
    ratio = mean._replace(estimate=np.exp(mean.estimate), low=np.exp(mean.low), high=np.exp(mean.high))
    claim = "holds" if ratio.low > 1 else "is reversed" if ratio.high < 1 else "is not seen"
    return {"setting": setting, "layer": layer + 1, "claim": claim, "ratio": f"{ratio:.2f}",
            "loss": LEVELS[common[-1]], "heavy ball": np.median(sgd), "Adam": np.median(adam),
            "seeds": f"{int(np.sum(log > 0))}/{log.size}"}  # fmt: skip


def report(results, wide):
    rows = [compare(cells, setting, layer) for setting, cells in pairs(results, wide) for layer in (0, 1)]
    results.table(rows, title=f"R_med of heavy ball over Adam's at equal loss, over the data floor, d = {wide}")
    rows = []
    for c in results.cells(setting="small start", width=wide, alpha=1.5):
        found, predicted = c.arrays["r_med"][:, AT, 0], c.arrays["predicted"][:, AT]
        rows.append({"method": an.plotting.title(c.point["optimizer"]), "median R_1": np.nanmedian(found),
                     "largest error": f"{np.nanmax(np.abs(found / predicted - 1)):.2g}"})  # fmt: skip
    results.table(rows, title="Small start: R_med of the first layer, and how far its prediction is off, seed by seed")


if __name__ == "__main__":
    raise SystemExit(an.study.main())
