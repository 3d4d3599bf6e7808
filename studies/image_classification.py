"""Do batches that grow by a test help on images? AdaGrad on digits and MNIST, logistic regression and a small network.

Digits (1,797 images, split 1,400/397) and the 10,000 MNIST test images, where the data folder has them (8,000/2,000).
Equal samples; at least five seeds, paired: the same split, start and order. Steps are the same for all batches, not
tuned. Reported: test accuracy, and the generalization gap (test minus train loss) at equal samples and at equal train
loss. AdaGrad-Norm is the control. Extra torch.
"""

import gzip
import itertools
import os
import threading
from pathlib import Path

import numpy as np

import anisotropic as an

RULES = {
    "fixed 16": 16,
    "fixed 256": 256,
    "norm .5": an.batching.norm_test(0.5, start=16, interval=5),
    "norm .9": an.batching.norm_test(0.9, start=16, interval=5),
    "inner product .5/1": an.batching.inner_product_test(0.5, 1.0, start=16, interval=5),
}
AXES = {
    "data": ["digits", "mnist"],
    "model": ["logistic", "network"],
    "optimizer": ["adagrad", "adagrad_norm"],
    "rule": list(RULES),
    "epochs": [20],
    "repeat": [0, 1, 2, 3, 4],
}
QUICK = {
    "data": ["digits"],
    "model": ["logistic", "network"],
    "optimizer": ["adagrad"],
    "rule": ["fixed 16", "norm .9"],
    "epochs": [3],
    "repeat": [0, 1],
}
UNPAIRED = ("optimizer", "rule")
LEVEL = 0.5
LOCK = threading.Lock()  # cells run in threads, and PyTorch draws initial weights from one generator


def mnist():
    """Images and labels from ``$ANISOTROPIC_DATA_HOME/mnist``, or None."""
    folder = Path(os.environ.get("ANISOTROPIC_DATA_HOME", ".")) / "mnist"
    images, labels = (folder / f"t10k-{part}.gz" for part in ("images-idx3-ubyte", "labels-idx1-ubyte"))
    if not (images.is_file() and labels.is_file()):
        return None
    x = np.frombuffer(gzip.decompress(images.read_bytes()), np.uint8, offset=16).reshape(-1, 1, 28, 28) / 255.0
    return x, np.frombuffer(gzip.decompress(labels.read_bytes()), np.uint8, offset=8), 8000


def digits():
    found = an.extras.require("sklearn.datasets", "data").load_digits()
    return found.images[:, None] / 16.0, found.target, 1400


def include(data, model, optimizer, rule, epochs, repeat):
    return data == "digits" or mnist() is not None


def network(torch, model, shape):
    nn = torch.nn
    if model == "logistic":
        return nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shape)), 10))
    side = shape[-1] // 4
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * side * side, 10),
    )


def cell(data, model, optimizer, rule, epochs, repeat, seed):
    from _transformer import AdaGradNorm

    torch = an.extras.require("torch", "torch")
    torch.set_num_threads(1)
    images, labels, n = digits() if data == "digits" else mnist()
    order = np.random.default_rng(seed).permutation(len(labels))
    x, y = torch.tensor(images[order], dtype=torch.float32), torch.tensor(labels[order].astype(np.int64))
    with LOCK:
        torch.manual_seed(seed % 2**31)
        net = network(torch, model, x.shape[1:])
    loss = torch.nn.functional.cross_entropy
    parameters = list(net.parameters())
    method = (
        torch.optim.Adagrad(parameters, lr=0.03) if optimizer == "adagrad" else AdaGradNorm(parameters, 1.0, total=0.01)
    )
    chosen = RULES[rule]
    watched = an.batching.norm_test(0.5, start=chosen) if isinstance(chosen, int) else chosen
    controller = an.batching.torch.BatchSizeController(net, method, watched)
    sampler = an.batching.torch.BatchSampler(controller, n, seed=seed % 2**31)
    steps, used, every, rows, sizes = 0, 0, max(n // 4, 1), [], []
    while used < epochs * n:
        for chosen_rows in sampler:
            method.zero_grad()
            batch = x[:n][chosen_rows], y[:n][chosen_rows]
            if isinstance(chosen, int) or (steps + 1) % watched.interval:
                loss(net(batch[0]), batch[1]).backward()
                if not isinstance(chosen, int):
                    controller.skip()
            else:
                controller.per_sample(loss, batch)
                controller.step()
            method.step()
            steps, before, used = steps + 1, used, used + len(chosen_rows)
            if used // every > before // every:
                with torch.no_grad():
                    train, test = net(x[:n]), net(x[n:])
                    right = (test.argmax(dim=1) == y[n:]).float().mean()
                    rows.append([used, steps, float(loss(train, y[:n])), float(loss(test, y[n:])), float(right)])
                sizes.append(controller.batch_size)
            if used >= epochs * n:
                break
    return {"curve": np.array(rows), "batch": np.array(sizes)}


def at_level(curve):
    """Generalization gap at the first time the train loss is at most LEVEL, NaN if never."""
    hit = np.flatnonzero(curve[:, 2] <= LEVEL)
    return curve[hit[0], 3] - curve[hit[0], 2] if hit.size else np.nan


def plot(results):
    draw(results)
    rows = [row_of(p, cells) for p, cells in groups(results)]
    results.save_csv("accuracy", rows)
    shown = [{"data": r["data"], "model": r["model"], "method": an.plotting.title(r["optimizer"]), "batch": r["rule"],
              **{name: f"{r[name]:.3f}" for name in ("accuracy", "gap")}, f"at {LEVEL:g}": f"{r['gap at level']:.3f}",
              "steps": f"{r['steps']:.0f}"} for r in rows]  # fmt: skip
    results.table(shown, title=f"Equal samples; gap = test - train loss, also at train loss {LEVEL:g}")
    compare(results)


def groups(results):
    """(point without seed, cells of all seeds) for every setting that has cells."""
    names = ("data", "model", "optimizer", "rule")
    for values in itertools.product(*(results.axes[n] for n in names)):
        point = dict(zip(names, values, strict=True))
        if cells := results.cells(**point):
            yield point, [c.arrays for c in cells]


def row_of(point, cells):
    """Means over the seeds of one setting."""
    ends = np.array([a["curve"][-1] for a in cells])
    return {**point, "seeds": len(cells), "accuracy": ends[:, 4].mean(), "gap": (ends[:, 3] - ends[:, 2]).mean(),
            "gap at level": np.mean([at_level(a["curve"]) for a in cells]), "steps": ends[:, 1].mean(),
            "batch": np.mean([a["batch"][-1] for a in cells])}  # fmt: skip


def draw(results):
    """Train loss against samples and against steps, a row of panels for each data set and model; the first seed."""
    first = results.axes["optimizer"][0]
    found = [(p, cells[0]["curve"]) for p, cells in groups(results) if p["optimizer"] == first]
    rows = list(dict.fromkeys((p["data"], p["model"]) for p, _ in found))
    with an.plotting.style("page"):
        figure, axes = an.plotting.subplots("page", len(rows), 2, height=2.1 * len(rows) + 0.6, squeeze=False)
        for panels, row in zip(axes, rows, strict=True):
            curves = [(p["rule"], curve) for p, curve in found if (p["data"], p["model"]) == row]
            for column, (ax, name) in enumerate(zip(panels, ("samples", "steps"), strict=True)):
                for rule, curve in curves:
                    look = ("-", "--", "-.", ":", (0, (5, 1)))[results.axes["rule"].index(rule)]
                    ax.plot(curve[:, column], curve[:, 2], linestyle=look, label=rule)
                ax.set(xscale=("linear", "log")[column], yscale="log", xlabel=name)
                an.plotting.plain_ticks(ax.xaxis)
                an.plotting.plain_ticks(ax.yaxis)
                ax.set_title(" ".join(row))
                ax.legend()
            panels[0].set_ylabel("train loss (nats)")
        an.plotting.shared_legend(figure, 3)
    results.save_figure(figure, "train_loss")


def compare(results):
    """Paired differences to the fixed small batch, after the difference that could have been seen."""
    measures = {
        "test accuracy": lambda curve: curve[-1, 4],
        "the generalization gap at equal samples": lambda curve: curve[-1, 3] - curve[-1, 2],
        f"the generalization gap at train loss {LEVEL:g}": at_level,
    }
    if "adagrad" not in results.axes["optimizer"] or "fixed 16" not in results.axes["rule"]:
        return
    for data in results.axes["data"]:
        for model in results.axes["model"]:
            base = results.cells(data=data, model=model, optimizer="adagrad", rule="fixed 16")
            for rule in [r for r in results.axes["rule"] if r != "fixed 16"]:
                other = results.cells(data=data, model=model, optimizer="adagrad", rule=rule)
                for name, measure in measures.items() if len(other) == len(base) else ():
                    pairs = [(measure(b.arrays["curve"]), measure(a.arrays["curve"]))
                             for a, b in zip(base, other, strict=True)]  # fmt: skip
                    difference = np.subtract(*np.array(pairs).T) if pairs else np.empty(0)
                    difference = difference[np.isfinite(difference)]
                    if difference.size < 2:
                        continue
                    found = an.intervals.mean_interval(difference)
                    results.say(
                        f"{data}, {model}, AdaGrad, {rule} against fixed 16, {difference.size} paired seeds: a "
                        f"difference of {(found.high - found.low) / 2:.3f} in {name} could be seen; found "
                        f"{found.estimate:+.4f} [{found.low:+.4f}, {found.high:+.4f}]."
                    )


if __name__ == "__main__":
    raise SystemExit(an.study.main())
