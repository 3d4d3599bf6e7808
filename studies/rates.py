"""Which exponent stands beside a theorem's?

Not that of one instance, but that of the worst instance at each T. Three curves for each method: the bound; one fixed
instance, whose exponent is its own; and the upper envelope, the largest mean over a family of instances inside the
theorem's assumptions, a different one at each T if need be (chosen on other seeds). Three settings: the mean gap in a
box without noise and with noise (theorems: T^-1 and T^-1/2), and gradient norms without box and noise (T^-1 for the
square that SGD's theorem bounds, T^-1/2 for the norms of AdaGrad's, up to logarithms). Pseudo-Huber functions in ten
equal coordinates; all step sizes are the theorems', equal for the whole family; equal iterations are equal samples (M =
1). An envelope over this family is a lower estimate of the supremum. In equal coordinates without noise AdaGrad-Norm,
the control, and AdaGrad differ by their step sizes only.
"""

import numpy as np

import anisotropic as an

DIM, WIDE, DROP, EPS = 10, 30.0, 1.0, 1e-3
METHODS = ("sgd", "adagrad", "adagrad_norm")
AXES = {
    "setting": ["gap", "noisy gap", "gradient"],
    "steps": [64, 256, 1024, 4096, 16384],
    "optimizer": list(METHODS),
    "replicas": [32],
}
QUICK = {"setting": ["gap", "gradient"], "steps": [64, 256, 1024], "replicas": [4]}
BOUNDS = {
    "gap": {m: f"convex_{m}" for m in METHODS},
    "noisy gap": {m: f"convex_{m}" for m in METHODS},
    "gradient": {m: f"nonconvex_{m}" for m in METHODS},
}
SIGMA = {"gap": 0.0, "noisy gap": 1.0, "gradient": 0.0}
LEVEL = 0.01
SYMBOLS = {"mean_gap": "mean gap", "gradient_l1": r"$\|\nabla f\|_1$", "gradient_l2": r"$\|\nabla f\|_2$",
           "gradient_l2_squared": r"$\|\nabla f\|_2^2$"}  # fmt: skip


def family(setting):
    """(curvature, width, start) of instances with L <= 1; the first one is the fixed instance.

    In the box the minimizer is 0.9 and the start 0; without it the minimizer is 0 and the start is where each
    coordinate lies DROP above its minimum.
    """
    if setting == "gradient":
        widths = [1.0, *2.0 ** np.arange(-10, 2.5, 0.5)]
        return [(1.0, w, w * np.sqrt((1 + DROP / w**2) ** 2 - 1)) for w in widths]
    flat = [(c, WIDE, 0.0) for c in 2.0 ** np.arange(0, -15, -0.5)]
    bent = [(1.0, w, 0.0) for w in 2.0 ** np.arange(-7, 1, 0.5)]
    return [(0.5, WIDE, 0.0), *flat, *bent]


def known_constants(setting, steps):
    """What the theorems are given for the whole family."""
    return {"L": np.ones(DIM), "sigma": np.full(DIM, SIGMA[setting]), "R": np.full(DIM, 0.9), "D": np.full(DIM, 2.0),
            "T": steps, "M": 1, "d": DIM, "Delta": DIM * DROP}  # fmt: skip


def optimizer_of(setting, name, bound, known):
    """The method at the theorem's step size, and that size."""
    make = getattr(an.optimizers, name)
    if bound.step_rule is not None:
        step_size = np.max(bound.tuned_step_size(**known))
    else:  # the step size that balances bias and curvature but for logarithms
        step_size = np.sqrt(DROP * (DIM if name == "adagrad_norm" else 1))
    keywords = {"eps": EPS, "preset": "nonconvex"} if setting == "gradient" and name != "sgd" else {}
    return make(float(step_size), **keywords), float(step_size)


def cell(setting, steps, optimizer, replicas, seed):
    bound, known = an.bounds[BOUNDS[setting][optimizer]], known_constants(setting, steps)
    method, step_size = optimizer_of(setting, optimizer, bound, known)
    where = {"center": 0.0} if setting == "gradient" else {"center": 0.9, "box": (-1, 1)}

    def run(instance, seed, replicas):
        curvature, width, start = instance
        f = an.problems.pseudo_huber(np.full(DIM, curvature), width, **where)
        return an.simulate(f, method, noise=an.noises.gaussian(SIGMA[setting]), start=start, steps=steps,
                           replicas=replicas, seed=seed, records=1, threads=1)  # fmt: skip

    few = max(2, replicas // 4) if SIGMA[setting] else 2
    trial = [run(instance, seed ^ 1, few)[bound.measure][:, -1].mean() for instance in family(setting)]
    worst = int(np.argmax(trial))
    fixed, hardest = (run(family(setting)[k], seed, replicas) for k in (0, worst))
    extra = {"step_size": step_size, "eps": EPS if setting == "gradient" else 0.0}
    return {
        "bound": bound.tightest(**known | extra).value, "fixed": fixed[bound.measure][:, -1],
        "envelope": hardest[bound.measure][:, -1], "curvature": family(setting)[worst][0],
        "width": family(setting)[worst][1], "verdict": an.verify(bound, hardest),
    }  # fmt: skip


def fitted(curve, steps):
    """Exponent of a curve ``(T, replicas)`` in words, and its numbers (NaN where there is no exponent)."""
    runs = [
        an.Run(steps=np.array([T]), start=np.zeros(1), statistics={"value": values[:, None]},
               status=np.full(values.size, "ok"), initial_gap=np.nan)
        for T, values in zip(steps, curve, strict=True)
    ]  # fmt: skip
    refusal = ""
    for first in (0, len(runs) - 3):  # all horizons, else the last three
        try:
            fit = an.fit_rate(runs[first:], "value", LEVEL)
        except ValueError as error:
            refusal = str(error)
            continue
        numbers = (fit.slope, *fit.interval)
        since = f" from T = {steps[first]:,.0f} on" * (first > 0)
        return "{:.2f} [{:.2f}, {:.2f}]".format(*numbers) + " *" * (first > 0), numbers, since
    slopes = np.diff(np.log(curve.mean(axis=1))) / np.diff(np.log(steps))
    return f"none (local {slopes[0]:.2f} to {slopes[-1]:.2f})", (np.nan,) * 3, refusal


def plot(results):
    settings, steps = results.axes["setting"], np.array(results.axes["steps"], dtype=float)
    looks = {"bound": ("0.45", "--", ""), "envelope": ("black", "-", "o"), "fixed": ("#D55E00", ":", "x")}
    labels = {"bound": "bound", "envelope": "upper envelope: worst instance at each T", "fixed": "one fixed instance"}

    def panel(ax, setting, method):
        bound = an.bounds[BOUNDS[setting][method]]
        for name, (color, dashes, marker) in looks.items():
            values = results.array(name, setting=setting, optimizer=method)
            mean = values if values.ndim == 1 else values.mean(axis=1)
            ax.plot(steps, mean, color=color, linestyle=dashes, marker=marker, label=labels[name])
            if values.ndim == 2:
                limits = an.intervals.t_limits(values.T, 0.05)
                ax.fill_between(steps, np.maximum(limits.low, 1e-300), limits.high, color=color, alpha=0.2)
        noise = ", noise" if SIGMA[setting] > 0 else ""
        ax.set(xscale="log", yscale="log", xlabel="iterations T", ylabel="mean over runs",
               title=f"{an.plotting.title(method)}: {SYMBOLS[bound.measure]}{noise}")  # fmt: skip

    height = 1.2 + 1.9 * len(settings)
    figure = an.plotting.page(settings, METHODS, panel, height=height, share="", legend_columns=3)
    results.save_figure(figure, "rates")
    report(results, settings, steps)


def report(results, settings, steps):
    judged = [(f"{c.point['setting']}, T={c.point['steps']}", c.arrays["verdict"]) for c in results.cells()]
    last = results.cells(steps=results.axes["steps"][-1])
    results.verdicts(((c.point["setting"], c.arrays["verdict"]) for c in last), title="Worst instance, largest T")
    wrong = [where for where, v in judged if v.status == "violated"]
    results.say(f"{len(judged)} verdicts; contradicting a bound: {'; '.join(wrong) or 'none'}.")
    rows, table = [], []
    for setting in settings:
        for method in METHODS:
            chosen = dict(setting=setting, optimizer=method)
            bound = results.array("bound", **chosen)
            theorem = an.bounds[BOUNDS[setting][method]].rate(noise=SIGMA[setting] > 0)["T"]
            fixed, envelope = (fitted(results.array(name, **chosen), steps) for name in ("fixed", "envelope"))
            here = np.polyfit(np.log(steps), np.log(bound), 1)[0]
            table.append({"setting": setting, "method": an.plotting.title(method), "theorem": theorem,
                          "bound here": f"{here:.2f}", "envelope": envelope[0], "one instance": fixed[0]})  # fmt: skip
            for k, T in enumerate(steps):
                arrays = results.one(steps=int(T), **chosen)
                rows.append({**chosen, "steps": int(T), "bound": bound[k], "envelope": arrays["envelope"].mean(),
                             "fixed": arrays["fixed"].mean(), "worst curvature": arrays["curvature"],
                             "worst width": arrays["width"]})  # fmt: skip
            slack = [bound[k] / rows[k - steps.size]["envelope"] for k in (0, steps.size - 1)]
            slope, low, high = envelope[1]
            relation = (
                f"follows no single exponent: {envelope[2]}" if np.isnan(slope)
                else f"falls like T^{slope:.3f} [{low:.3f}, {high:.3f}]{envelope[2]}; theorem {theorem:g}"
            )  # fmt: skip
            results.say(
                f"{setting}, {an.plotting.title(method)}: the envelope {relation}; the bound is "
                f"{slack[0]:.3g} times the envelope at T = {steps[0]:,.0f} and {slack[1]:.3g} times at T = "
                f"{steps[-1]:,.0f}."
            )
    results.table(table, title=f"Exponents in T, level {LEVEL}; compare the theorem's with the envelope's only")
    results.say("Bound here: exponent of the bound's value over these T, logarithms included; star: last three T only.")
    results.save_csv("rates", rows)
    moved = sum(
        len({(r["worst curvature"], r["worst width"]) for r in rows if (r["setting"], r["optimizer"]) == pair}) > 1
        for pair in {(r["setting"], r["optimizer"]) for r in rows}
    )
    results.say(f"The worst instance depends on T in {moved} of {len(table)} envelopes.")


if __name__ == "__main__":
    raise SystemExit(an.study.main())
