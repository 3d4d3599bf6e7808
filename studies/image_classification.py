"""Do batch sizes that grow by a test help on images?

AdaGrad, logistic regression and a small network. Digits (1,797 images, split 1,400/397) and the 10,000 MNIST test
images, where the data folder has them (8,000/2,000). Equal samples; at least five seeds, paired: the same split, start
and order. Step sizes are the same for all batches, not tuned. Reported: test accuracy, and the generalization gap (test
minus train loss) at equal samples and at equal train loss. AdaGrad-Norm is the control. Extra torch.
"""

import gzip
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
QUICK = {"data": ["digits"], "optimizer": ["adagrad"], "rule": ["fixed 16", "norm .9"], "epochs": [3], "repeat": [0, 1]}
UNPAIRED = ("optimizer", "rule")
SETTING = ("data", "model", "optimizer", "rule")
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
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16 * side * side, 10),
    )  # fmt: skip


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


MEASURES = {
    "accuracy": lambda curve: curve[-1, 4],
    "gap": lambda curve: curve[-1, 3] - curve[-1, 2],
    "gap at level": at_level,
}


def plot(results):
    found = {}
    for c in results.cells():
        found.setdefault(tuple(c.point[name] for name in SETTING), {})[c.point["repeat"]] = c.arrays
    draw(results, found)
    rows = [dict(zip(SETTING, key, strict=True)) | means(cells) for key, cells in found.items()]
    results.save_csv("accuracy", rows)
    results.table([{k: v for k, v in r.items() if k not in ("seeds", "batch")} for r in rows],
                  title=f"Equal samples; gap = test - train loss, also at train loss {LEVEL:g}")  # fmt: skip
    compared = [compare(key, cells, found[*key[:3], "fixed 16"]) for key, cells in found.items()
                if key[3] != "fixed 16" and (*key[:3], "fixed 16") in found]  # fmt: skip
    title = "Difference from fixed 16, paired by seed; half an interval's width would have been detected"
    results.table(compared, title=title)


def means(cells):
    """Means over the seeds of one setting."""
    found = {name: np.mean([measure(a["curve"]) for a in cells.values()]) for name, measure in MEASURES.items()}
    steps, batch = (np.mean([a[name][-1] for a in cells.values()], axis=0) for name in ("curve", "batch"))
    return {"seeds": len(cells), **found, "steps": steps[1], "batch": batch}


def compare(key, cells, base):
    """Paired differences to the fixed small batch over the seeds that both have."""
    row = {"data": key[0], "model": key[1], "method": an.plotting.title(key[2]), "batch": key[3]}
    for name, measure in MEASURES.items():
        both = [measure(cells[k]["curve"]) - measure(base[k]["curve"]) for k in cells if k in base]
        both = np.array([v for v in both if np.isfinite(v)])
        row[name] = f"{an.intervals.mean_interval(both):+.3f}" if both.size >= 2 else "-"
    return row


def draw(results, found):
    """Train loss against samples and against iterations, a row for each data set and model; the first seed."""
    looks = dict(zip(results.axes["rule"], ("-", "--", "-.", ":", (0, (5, 1))), strict=False))
    first = results.axes["optimizer"][0]

    def panel(ax, row, column):
        for rule, look in looks.items():
            for a in list(found.get((*row, first, rule), {}).values())[:1]:
                ax.plot(a["curve"][:, column], a["curve"][:, 2], linestyle=look, label=rule)
        ax.set(xscale=("linear", "log")[column], yscale="log", xlabel=("samples", "iterations")[column],
               ylabel="train loss (nats)")  # fmt: skip

    rows = list(dict.fromkeys(key[:2] for key in found))
    figure = an.plotting.page(rows, [0, 1], panel, height=2.1 * len(rows) + 0.6, share="row", row_labels=" ".join,
                              legend_columns=3)  # fmt: skip
    results.save_figure(figure, "train_loss")


if __name__ == "__main__":
    raise SystemExit(an.study.main())
