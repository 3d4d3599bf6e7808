"""Do adaptive methods move to regions of small R_med, and SGD to regions of large R_med, on linear networks?

R_med = largest over median absolute Hessian entry of a layer, exact here (W2 W1 x, squared loss), at equal loss. Growth
with the width, the way along the run, seven optimizers, the rank of the target, gradient noise, anisotropic inputs, and
the ordinary start where the effect disappears; predictions are drawn beside. Steps are small and fixed, none is tuned.
"""

import numpy as np

import anisotropic as an

g, o = an.geometry, an.optimizers
LEVELS = np.array([0.9, 0.7, 0.5, 0.3, 0.1, 0.03])
AT = 4  # index of the loss fraction 0.1, where runs are compared
MAX_STEPS = 4000
METHODS = ("sgd", "heavy_ball", "adam", "rmsprop", "adagrad", "amsgrad", "sign_sgd", "adagrad_norm")
AXES = {
    "setting": ["small start", "ordinary start", "rank 2", "rank 8", "rank 64", "noise 0.01", "noise 0.1",
                "uneven inputs"],
    "width": [32, 64, 128, 256],
    "optimizer": list(METHODS),
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
    """Steps so small that halving them changes nothing; sign-like methods move every entry by a tenth of d^(-3/2)."""
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
    r_med, reached, predicted, floors = [], [], [], []
    for k in range(repeats):
        rng = np.random.default_rng([seed, k])
        own = int(rng.integers(2**62))
        S = rng.lognormal(size=width) if setting == "uneven inputs" else None
        A = g.linear_target(width, rank, seed=own)
        start = g.initial_weights([width, width, rank], scales, seed=own)
        run = g.train_linear_network(
            start, A, method, S=S, gradient_noise=noise, levels=LEVELS, max_steps=MAX_STEPS, seed=own
        )
        r_med.append(run.r_med)
        reached.append(run.loss)
        frozen = g.frozen_start(*start, A).value
        grown = [g.equal_growth(start[1], A, v).value for v in LEVELS] if rank == 1 else [np.nan] * LEVELS.size
        predicted.append([frozen] * LEVELS.size if optimizer in ("sgd", "heavy_ball", "adagrad_norm") else grown)
        floors.append(1.0 if S is None else g.data_floor(S))
    found = {"r_med": r_med, "loss": reached, "predicted": predicted, "floor": floors}
    return {name: np.array(values) for name, values in found.items()}


def plot(results):
    wide = 128 if 128 in results.axes["width"] else max(results.axes["width"])
    with an.plotting.style("page"):
        figure, axes = an.plotting.subplots("page", 2, 2, height=5.6)
        draw_growth(axes[0, 0], results)
        draw_run(axes[0, 1], results, wide)
        draw_rank(axes[1, 0], results, wide)
        draw_settings(axes[1, 1], results, wide)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        for ax in axes.flat[:3]:
            ax.get_legend().remove()
        note = "median and its 95 % interval; dashed: predicted"
        figure.legend(handles, labels, loc="outside upper center", ncols=2, title=note)
    results.save_figure(figure, "local_geometry")
    rows = [dict(c.point, loss_fraction=v, layer=l + 1, median=float(np.nanmedian(c.arrays["r_med"][:, k, l])))
            for c in results.cells() for k, v in enumerate(LEVELS) for l in range(2)
            if np.isfinite(c.arrays["r_med"][:, k, l]).any()]  # fmt: skip
    results.save_csv("r_med", rows)
    report(results, wide)


def band(values):
    """Median over repeats with its distribution-free 95 % limits, one row of `values` for each point."""
    return an.intervals.Limits(*np.array([an.intervals.quantile_interval(v, 0.5)[:3] for v in values]).T)


def first_layer(results, method, **chosen):
    """R_med of the first layer, (repeats, levels)."""
    return results.one(optimizer=method, **chosen)["r_med"][:, :, 0]


def draw(ax, x, series, predicted, xlabel, title):
    """Curves of the pair, with its predictions dashed in the same colours."""
    an.plotting.curves(x, series, xlabel=xlabel, ylabel="R_med, first layer", ax=ax)
    for method, values in predicted.items():
        ax.plot(x, values, "--", color=an.plotting.method_styles(PAIR)[method]["color"], alpha=0.6)
    ax.set_title(title)


def draw_growth(ax, results):
    """First layer against the width at loss fraction 0.1."""
    alpha, widths = max(results.axes["alpha"]), results.axes["width"]
    chosen = {"setting": "small start", "alpha": alpha}
    series = {m: band([first_layer(results, m, width=w, **chosen)[:, AT] for w in widths]) for m in PAIR}
    target = [g.linear_target(w) for w in widths]
    predicted = {
        "heavy_ball": [g.predict_r_med_sgd(w) for w in widths],
        "adam": [g.predict_r_med_adam(w, output_scale=w**-alpha, target=A, loss_fraction=LEVELS[AT])
                 for w, A in zip(widths, target, strict=True)],
    }  # fmt: skip
    draw(ax, widths, series, predicted, "width d", f"growth with the width, start d^-{alpha:g}")


def draw_run(ax, results, wide):
    """First layer along the run, from left to right."""
    alpha = min(results.axes["alpha"])
    chosen = {"setting": "small start", "width": wide, "alpha": alpha}
    series = {m: band(first_layer(results, m, **chosen).T) for m in PAIR}
    predicted = {m: np.median(results.one(optimizer=m, **chosen)["predicted"], axis=0) for m in PAIR}
    xlabel = "loss / initial loss (dotted: R_med of pure noise)"
    draw(ax, LEVELS, series, predicted, xlabel, f"along the run, start d^-{alpha:g}")
    ax.axhline(g.noise_floor(wide * wide), color="0.6", linestyle=":", linewidth=0.8)
    ax.invert_xaxis()


def draw_rank(ax, results, wide):
    """First layer against the rank of the target."""
    names = ["small start", *(s for s in results.axes["setting"] if s.startswith("rank"))]
    ranks = [1, *(int(s.split()[1]) for s in names[1:])]
    series = {m: band([first_layer(results, m, setting=n, width=wide, alpha=1.5)[:, AT] for n in names]) for m in PAIR}
    predicted = {"heavy_ball": [g.predict_r_med_sgd(wide, r) for r in ranks]}
    draw(ax, ranks, series, predicted, "rank of the target", "low rank makes it large")


def draw_settings(ax, results, wide):
    """R_med over the data floor, by setting and method."""
    chosen = {"width": wide, "alpha": 1.5}
    names = [s for s in results.axes["setting"] if len(results.cells(setting=s, optimizer=list(PAIR), **chosen)) == 2]
    found = [[results.one(setting=s, optimizer=m, **chosen) for m in PAIR] for s in names]
    table = [[np.median(over_floor(arrays, layer)) for arrays in row for layer in (0, 1)] for row in found]
    labels = [f"{an.plotting.title(m)} R_{layer}" for m in PAIR for layer in (1, 2)]
    an.plotting.heat_map(labels, names, table, label="R_med over its data floor", log=True, ax=ax)
    ax.tick_params(axis="x", rotation=30)


def over_floor(arrays, layer, level=AT):
    """First-layer values divided by the data floor, second-layer values as they are."""
    return arrays["r_med"][:, level, layer] / (arrays["floor"] if layer == 0 else 1.0)


def compare(cells, setting, layer):
    """Heavy ball against Adam, seed by seed, at loss fraction 0.1 or the last one that every run of both reaches."""
    common = [k for k in range(AT + 1) if all(np.isfinite(cells[m]["loss"][:, k]).all() for m in PAIR)]
    if not common:
        return None
    sgd, adam = (over_floor(cells[m], layer, common[-1]) for m in PAIR)
    log = np.log(sgd / adam)
    ratio = an.intervals.mean_interval(log, 0.05)
    return {
        "setting": setting, "loss": LEVELS[common[-1]], "layer": layer + 1, "heavy ball": np.median(sgd),
        "adam": np.median(adam), "ratio": np.exp(ratio.estimate), "low": np.exp(ratio.low), "high": np.exp(ratio.high),
        "seeds": f"{int(np.sum(log > 0))}/{log.size}",
    }  # fmt: skip


def report(results, wide):
    rows = []
    for setting in results.axes["setting"]:
        cells = {c.point["optimizer"]: c.arrays for c in results.cells(setting=setting, width=wide, alpha=1.5)}
        if set(PAIR) <= set(cells):
            found = [compare(cells, setting, layer) for layer in (0, 1)]
            rows += [row for row in found if row is not None]
            if None in found:
                runs = {m: int(np.isfinite(cells[m]["loss"][:, 0]).sum()) for m in PAIR}
                results.say(f"{setting}: no comparison; {runs['heavy_ball']} runs of heavy ball and {runs['adam']} of "
                            f"Adam reach even the loss fraction {LEVELS[0]} in {MAX_STEPS:,} iterations.")  # fmt: skip
    results.table(rows, title=f"R_med over its data floor at equal loss, d = {wide}")
    for row in rows:
        holds = "holds" if row["low"] > 1 else "is reversed" if row["high"] < 1 else "is not seen"
        results.say(f"{row['setting']}, layer {row['layer']}: heavy ball over Adam = {row['ratio']:.2f} "
                    f"[{row['low']:.2f}, {row['high']:.2f}]; the claim {holds}.")  # fmt: skip
    for cell in results.cells(setting="small start", width=wide, alpha=1.5):
        found, predicted = cell.arrays["r_med"][:, AT, 0], cell.arrays["predicted"][:, AT]
        error, name = np.nanmax(np.abs(found / predicted - 1)), an.plotting.title(cell.point["optimizer"])
        results.say(f"{name}, small start: median R_1 {np.nanmedian(found):.3g}; its seed-by-seed prediction is wrong "
                    f"by {error:.2g} at most.")  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(an.study.main())
