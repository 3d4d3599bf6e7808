"""What does a rate gain that watches the loss? Halving on a plateau converges, searching does not, constant rates stay.

Quadratic with h = (1, 0.7, 0.5), start at ones, noise of size 1, batch 4: SGD with every rule; Adam, RMSProp and, as
the control, AdaGrad-Norm with a few; the first step of a method is the same for all its rules, not tuned. An evaluation
with n samples errs like the mean of n losses sum_j h_j (w_j - X_j)^2 / 2. The spread at constant rates is measured,
with the formula for SGD beside it. One network (extra torch): Poisson's equation on the unit square by the deep Ritz
method, 2-32-32-1, tanh, penalty 100, Adam.
"""

import threading

import numpy as np
from _rate_rules import BATCH, CURVATURE, halving, undone_search

import anisotropic as an
from anisotropic.bounds import batch_facts as facts

LOCK = threading.Lock()  # cells run in threads, and PyTorch draws initial weights from one generator


@an.leaf
def square(w, gradient, params):
    """|w|^2."""
    return np.sum(w * w)


RATES = {
    "constant": lambda step_size: step_size,
    "constant / 5": lambda step_size: step_size / 5,
    "halve, 100 samples": halving(samples=100),
    "halve, 1e5 samples": halving(samples=100_000),
    "halve always": halving(),
    "halve on plateau": an.schedules.halve_on_plateau,
    "1/t": lambda step_size: an.schedules.inverse_time(2 * step_size, 10.0),
    "search": an.schedules.restarted_search,
    **{f"phases of {n}": halving(length=n) for n in (5, 10, 20, 50)},
}
SEARCHES = {f"search undone, {n:.0e} samples": undone_search(n) for n in (100, 10_000, 1_000_000, 10**12)}
GENERAL = ("constant", "constant / 5", "halve on plateau", "search")
AXES = {
    "problem": ["quadratic", "poisson"],
    "optimizer": ["sgd", "adam", "rmsprop", "adagrad_norm"],
    "rate": [*RATES, *SEARCHES],
    "steps": [300_000],
    "replicas": [50],
}
QUICK = {"optimizer": ["sgd", "adam"], "rate": ["constant", "halve, 100 samples", "phases of 5"], "steps": [20_000],
         "replicas": [8]}  # fmt: skip
UNPAIRED = ("optimizer", "rate")
MAKE = {
    "sgd": an.optimizers.sgd,
    "adam": an.optimizers.adam,
    "rmsprop": lambda step_size: an.optimizers.rmsprop(step_size, 0.99, eps=1e-8),
    "adagrad_norm": lambda step_size: an.optimizers.adagrad_norm(step_size, eps=0.1, preset="nonconvex"),
}
STEP = {"sgd": 0.2, "adam": 0.05, "rmsprop": 0.05, "adagrad_norm": 1.0}


def include(problem, optimizer, rate, steps, replicas):
    if problem == "poisson":
        return optimizer == "adam" and rate in ("constant", "halve on plateau", "search")
    few = {"adam": GENERAL, "rmsprop": ("constant", "constant / 5"), "adagrad_norm": ("constant",)}
    return optimizer == "sgd" or rate in few[optimizer]


def cell(problem, optimizer, rate, steps, replicas, seed):
    if problem == "poisson":
        return poisson(rate, max(steps // 100, 200), seed)
    if rate in SEARCHES:
        method, replicas = SEARCHES[rate](STEP[optimizer]), max(replicas // 3, 2)
    else:
        method = MAKE[optimizer](RATES[rate](STEP[optimizer]))
    run = an.simulate(
        an.problems.quadratic(CURVATURE), method, noise=an.noises.gaussian(1.0), start=1.0, batch_size=BATCH,
        steps=steps // 10 if rate.startswith("phases") else steps, replicas=replicas, seed=seed, records=120,
        measures={"square": square}, threads=1,
    )  # fmt: skip
    last = np.median(run.accumulator[:, -1]) if rate in SEARCHES else np.nan
    late = run.steps >= run.steps[-1] / 10**1.5
    means = run.square.mean(axis=0)
    error = np.std(run.square[:, late].mean(axis=1), ddof=1) / np.sqrt(replicas)
    return {"steps": run.steps, "square": means, "late": means[late].mean(), "error": error, "last rate": last,
            "status": run.status}  # fmt: skip


def poisson(rate, steps, seed):
    """Deep Ritz: the mean of |grad u|^2/2 - f u over random points, plus 100 u^2 on the boundary; L2 error of u."""
    torch = an.extras.require("torch", "torch")
    torch.set_num_threads(1)
    draw, nn = torch.Generator().manual_seed(seed % 2**31), torch.nn
    with LOCK:
        torch.manual_seed(seed % 2**31)
        net = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)

    def exact(x):
        return torch.prod(torch.sin(torch.pi * x), dim=1, keepdim=True)

    def loss(n=256):
        x = torch.rand(n, 2, generator=draw).requires_grad_()
        edge = torch.rand(n, 2, generator=draw)
        side, end = torch.randint(0, 2, (2, n), generator=draw)
        edge[torch.arange(n), side] = end.float()
        u = net(x)
        (slope,) = torch.autograd.grad(u.sum(), x, create_graph=True)
        inside = 0.5 * slope.square().sum(dim=1, keepdim=True) - 2 * torch.pi**2 * exact(x).detach() * u
        return inside.mean() + 100 * net(edge).square().mean()

    def train(number):
        found = []
        for _ in range(number):
            optimizer.zero_grad()
            value = loss()
            value.backward()
            optimizer.step()
            found.append(value.item())
        return found

    def set_rate(value):
        optimizer.param_groups[0]["lr"] = value

    def searched(rate_now):
        """The source's search: each candidate from the same state, judged on fresh points, then undone."""
        import copy

        start, scores = copy.deepcopy((net.state_dict(), optimizer.state_dict())), []
        for candidate in rate_now * 4.0 ** np.arange(-1.0, 2.0):
            net.load_state_dict(start[0]), optimizer.load_state_dict(start[1])
            set_rate(float(candidate))
            train(10)
            scores.append((loss(2048).item(), float(candidate)))
        net.load_state_dict(start[0]), optimizer.load_state_dict(start[1])
        return min(scores)[1]

    points = torch.rand(4096, 2, generator=draw)
    done, taken, errors, current, before = 0, [], [], 3e-3, np.inf
    while done < steps:
        if rate == "search":
            current, done = searched(current), done + 30
            set_rate(current)
        mean = float(np.mean(train(100)))
        done += 100
        if rate == "halve on plateau" and mean >= before:
            current /= 2
            set_rate(current)
        before = mean
        with torch.no_grad():
            errors.append(float((net(points) - exact(points)).square().mean().sqrt()))
        taken.append(done)
    return {"steps": np.array(taken), "error": np.array(errors), "rate": current}


def plot(results):
    rows = []
    for c in results.cells(problem="quadratic"):
        a, late = c.arrays, c.arrays["steps"] >= c.arrays["steps"][-1] / 10**1.5
        rows.append({
            "method": c.point["optimizer"], "rate": c.point["rate"], "final |w|^2": a["square"][-1],
            "slope": np.polyfit(np.log(a["steps"][late]), np.log(a["square"][late]), 1)[0], "late mean": a["late"],
            "+-": float(a["error"]), "last rate": float(a["last rate"]),
        })  # fmt: skip
    results.save_csv("rates", rows)
    plain = ("method", "rate", "last rate")
    results.table([{k: v if k in plain else f"{v:.3g}" for k, v in row.items()} for row in rows],
                  title="Mean squared distance; slope over the last 1.5 decades")  # fmt: skip
    for row in rows:
        say_rate(results, row)
    spread(results, [r for r in rows if r["rate"].startswith("constant") and r["method"] != "adagrad_norm"])
    for c in results.cells(problem="poisson") if "poisson" in results.axes["problem"] else []:
        results.say(
            f"Poisson, Adam, {c.point['rate']}: error {c.arrays['error'][-1]:.3g} after {c.arrays['steps'][-1]} "
            f"steps, trial steps included; last rate {float(c.arrays['rate']):.2g}."
        )
    draw(results)


def say_rate(results, row):
    """Does the rule converge like 1/N, and what is left of the start under phases of fixed length?"""
    rule, slope = row["rate"], row["slope"]
    if rule.startswith("phases"):
        n = int(rule.split()[-1])
        left = facts.remaining_bias(CURVATURE, [STEP["sgd"] / 2**j for j in range(60)], [n] * 60)
        results.say(
            f"SGD, {rule} steps: |w|^2 stalls at {row['final |w|^2']:.3g}, of which {np.sum(left**2):.3g} is bias by "
            "the formula and the rest frozen noise."
        )
    elif not rule.startswith("constant"):
        kind = "like 1/N" if -1.25 < slope < -0.8 else "slower than 1/N" if slope > -0.8 else "faster than 1/N"
        kind = "diverges" if row["final |w|^2"] > 3 else kind
        rate = f"; median last rate {row['last rate']:.1g}" if np.isfinite(row["last rate"]) else ""
        results.say(
            f"{an.plotting.title(row['method'])}, {rule}: final |w|^2 {row['final |w|^2']:.3g}, slope {slope:+.2f} "
            f"({kind}){rate}."
        )


def spread(results, rows):
    """Stationary |w|^2 at constant rates beside SGD's formula at the same rate and at step / sqrt(E g^2)."""
    table = []
    for row in rows:
        step_size = STEP[row["method"]] / (5 if row["rate"].endswith("5") else 1)
        same, effective = (
            np.sum(facts.stationary_variance(CURVATURE, 1.0, step_size=s, batch_size=BATCH))
            for s in (step_size, step_size if row["method"] == "sgd" else step_size * np.sqrt(BATCH))
        )
        table.append({"method": row["method"], "rate": step_size, "measured": row["late mean"], "+-": row["+-"],
                      "SGD's formula": same, "at step/sqrt(v)": effective})  # fmt: skip
        ratio = row["late mean"] / effective
        results.say(
            f"{an.plotting.title(row['method'])} at the constant rate {step_size:g}: |w|^2 = {row['late mean']:.4g} +- "
            f"{row['+-']:.1g}, {ratio:.3f} of SGD's formula"
            f"{'' if row['method'] == 'sgd' else ' at the rate step / sqrt(sigma^2 / b), where noise rules v'}."
        )
    if table:
        results.save_csv("spread", table)
        results.table([{k: f"{v:.4g}" if isinstance(v, float) else v for k, v in r.items()} for r in table],
                      title="Stationary |w|^2")  # fmt: skip


def draw(results):
    rules = ("constant", "halve, 100 samples", "halve always", "1/t", "search undone, 1e+04 samples", "phases of 10")
    looks = ("-", "--", ":", "-.", (0, (8, 2)), (0, (5, 1, 1, 1, 1, 1)))
    panels = ["SGD, quadratic", "constant rates, quadratic"]
    panels += ["Adam, Poisson"] if "poisson" in results.axes["problem"] else []
    with an.plotting.style("page"):
        figure, axes = an.plotting.subplots("page", 1, len(panels), height=3.4)
        for c in results.cells(problem="quadratic"):
            method, rate = c.point["optimizer"], c.point["rate"]
            curve = c.arrays["steps"], c.arrays["square"]
            if method == "sgd" and rate in rules:
                k = rules.index(rate)
                axes[0].plot(*curve, linestyle=looks[k], color=f"C{k}", label=rate)
            if rate == "constant":
                look = an.plotting.method_styles([method])[method] | {"markersize": 3, "markevery": 12}
                axes[1].plot(*curve, **look, label=an.plotting.title(method))
        for c in results.cells(problem="poisson") if len(panels) > 2 else []:
            k = GENERAL.index(c.point["rate"])
            axes[2].plot(c.arrays["steps"], c.arrays["error"], linestyle=looks[k], color=f"C{k}", label=c.point["rate"])
        for ax, name in zip(axes, panels, strict=True):
            label = "error of u" if "Poisson" in name else "mean squared distance"
            ax.set(xscale="linear" if "Poisson" in name else "log", yscale="log", xlabel="steps", ylabel=label)
            an.plotting.legend_above(ax, title=name, title_fontsize="small", fontsize="x-small")
    results.save_figure(figure, "rates")


if __name__ == "__main__":
    raise SystemExit(an.study.main())
