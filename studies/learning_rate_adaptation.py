"""What does a rate gain that watches the loss? Halving on a plateau converges, searching does not, constant rates stay.

Quadratics with h = (1, 0.7, 0.5) and noise of size 1, batch 4: SGD and Adam, and AdaGrad-Norm as the control; the
first step is the same for all rates, not tuned. The spread of Adam and RMSProp at a constant rate is measured, with the
formula for SGD beside it. One network (extra torch): Poisson's equation on the unit square by the deep Ritz method,
2-32-32-1, tanh, penalty 100, Adam.
"""

import threading

import numpy as np

import anisotropic as an
from anisotropic.bounds import batch_facts as facts

CURVATURE = np.array([1.0, 0.7, 0.5])
RATES = {
    "constant": lambda step: step,
    "halving": an.schedules.halve_on_plateau,
    "search": an.schedules.search,
    "1/t": lambda step: an.schedules.inverse_time(step, 2 / (0.5 * step)),
}
AXES = {
    "problem": ["quadratic", "poisson"],
    "optimizer": ["sgd", "adam", "rmsprop", "adagrad_norm"],
    "rate": list(RATES),
    "steps": [200_000],
    "replicas": [32],
}
QUICK = {"optimizer": ["adam"], "rate": ["constant", "halving"], "steps": [20_000], "replicas": [8]}
UNPAIRED = ("optimizer", "rate")
LOCK = threading.Lock()  # cells run in threads, and PyTorch draws initial weights from one generator
MAKE = {
    "sgd": an.optimizers.sgd,
    "adam": an.optimizers.adam,
    "rmsprop": lambda step: an.optimizers.rmsprop(step, 0.99, eps=1e-8),
    "adagrad_norm": lambda step: an.optimizers.adagrad_norm(step, eps=0.1, preset="nonconvex"),
}
STEP = {"sgd": 0.2, "adam": 0.05, "rmsprop": 0.05, "adagrad_norm": 1.0}


def include(problem, optimizer, rate, steps, replicas):
    return problem == "quadratic" or (optimizer == "adam" and rate != "1/t")


def cell(problem, optimizer, rate, steps, replicas, seed):
    if problem == "poisson":
        return poisson(rate, max(steps // 100, 200), seed)
    method = MAKE[optimizer](RATES[rate](STEP[optimizer]))
    run = an.simulate(
        an.problems.quadratic(CURVATURE),
        method,
        noise=an.noises.gaussian(1.0),
        start=1.0,
        steps=steps,
        batch_size=4,
        replicas=replicas,
        seed=seed,
        records=120,
        threads=1,
    )
    return {"steps": run.steps, "gap": run.gap, "status": run.status}


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
        mean = float(np.mean(train(min(100, steps))))
        done += 100
        if rate == "halving" and mean >= before:
            current /= 2
            set_rate(current)
        before = mean
        with torch.no_grad():
            errors.append(float((net(points) - exact(points)).square().mean().sqrt()))
        taken.append(done)
    return {"steps": np.array(taken), "error": np.array(errors), "rate": current}


def plot(results):
    with an.plotting.style("page"):
        figure, axes = an.plotting.subplots("page", 1, 2, height=2.8)
        for c in results.cells():
            label = f"{an.plotting.title(c.point['optimizer'])}, {c.point['rate']}"
            style = ("-", "--", ":", "-.")[results.axes["rate"].index(c.point["rate"])]
            if c.point["problem"] == "poisson":
                axes.flat[1].plot(c.arrays["steps"], c.arrays["error"], style, label=c.point["rate"])
                results.say(
                    f"Poisson, Adam, {c.point['rate']}: error {c.arrays['error'][-1]:.3g} after "
                    f"{c.arrays['steps'][-1]} "
                    f"steps, trial steps included; last rate {float(c.arrays['rate']):.2g}."
                )
                continue
            colour = f"C{results.axes['optimizer'].index(c.point['optimizer'])}"
            axes.flat[0].plot(c.arrays["steps"], c.arrays["gap"].mean(axis=0), style, color=colour, label=label)
            report(results, c)
        axes.flat[0].set(xscale="log", yscale="log", xlabel="steps", ylabel="gap on the quadratic")
        axes.flat[1].set(yscale="log", xlabel="steps", ylabel="error on Poisson's equation")
        for ax in axes.flat:
            if ax.get_legend_handles_labels()[0]:
                ax.legend(fontsize="xx-small")
    results.save_figure(figure, "rates")


def report(results, c):
    steps, gap = c.arrays["steps"], c.arrays["gap"]
    late = steps >= steps[-1] / 30
    slope = np.polyfit(np.log(steps[late]), np.log(gap[:, late].mean(axis=0)), 1)[0]
    results.say(f"{c.point['optimizer']}, {c.point['rate']}: slope {slope:+.2f}, last gap {gap[:, -1].mean():.3g}.")
    if c.point["rate"] == "constant" and c.point["optimizer"] != "adagrad_norm":
        floor = 0.5 * np.sum(CURVATURE * facts.stationary_variance(CURVATURE, 1.0, step=0.2, batch_size=4))
        beside = f", by the formula {floor:.4g}" if c.point["optimizer"] == "sgd" else ": no formula, measured only"
        results.say(f"{c.point['optimizer']} at a constant rate: mean gap {gap[:, late].mean():.4g}{beside}.")


if __name__ == "__main__":
    raise SystemExit(an.study.main())
