"""Does AdaGrad's advantage over SGD survive large batches when a language model is fine-tuned on instructions?

A small transformer is pretrained on text, then fine-tuned on instruction pairs with SGD, AdaGrad and, as control,
AdaGrad-Norm: one budget of samples, three batch sizes, steps tuned on another seed with equal budgets. Along the way:
(L0, L1) smoothness per coordinate by secants, sigma_j, the ratios that compare AdaGrad's bound with SGD's, and R_med.
Pairs: the first sentences of Python's own documentation, or --data FILE, a JSON list (plain or xz) of objects with
instruction, input and output. Larger: --device cuda --width 512 --layers 8, or --model PATH for a saved causal model.
"""

import inspect
from collections import Counter
from functools import cache
from importlib import import_module
from threading import Lock

import numpy as np

import anisotropic as an

GRIDS = {"sgd": (0.03, 0.1, 0.3, 1.0, 3.0, 10.0), "adagrad": (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1),
         "adagrad_norm": (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)}  # fmt: skip
HELD_OUT, MEASURED, SECANTS, TUNING_SEED, PRETRAINING_STEP = 128, 64, 8, 20_000_000, 3e-3
MODULES = ("builtins", "math", "itertools", "statistics", "random", "os.path", "string", "textwrap", "collections",
           "datetime", "json", "re", "functools", "operator", "shutil", "pathlib", "time", "copy")  # fmt: skip
GEOMETRY = {"r_med": r"$R_{\mathrm{med}}$", "smoothness ratio": r"$|H_{jj}|$, mean over max",
            "noise ratio": "noise ratio", "noise": r"$\sum_j \sigma_j$ of one sample"}  # fmt: skip
AXES = {
    "optimizer": list(GRIDS),
    "batch": [8, 32, 128],
    "repeat": [0, 1, 2, 3, 4, 5],
    "budget": [2048],
    "pretraining": [600],
    "width": [64],
    "layers": [2],
    "context": [40],
    "vocabulary": [2048],
    "entries": [40],
    "tuning": ["grid"],
    "data": ["documentation"],
    "text": ["topics"],
    "model": ["small"],
    "device": ["cpu"],
}
QUICK = {"batch": [16, 64], "repeat": [0, 1], "budget": [128], "pretraining": [30], "width": [32], "context": [24],
         "vocabulary": [512], "entries": [0], "tuning": ["middle"]}  # fmt: skip
UNPAIRED = ("optimizer", "batch")
LOCK = Lock()


@cache
def pairs(data):
    """(instruction, answer) texts, sorted."""
    import _transformer as lm

    if data != "documentation":
        return lm.read_pairs(data)
    found = {}
    for name in MODULES:
        things = {f"{name}.{n}": v for n, v in vars(import_module(name)).items() if n[0] != "_"}
        classes = {key: thing for key, thing in things.items() if inspect.isclass(thing)}
        members = {f"{key}.{n}": v for key, thing in classes.items() for n, v in vars(thing).items() if n[0] != "_"}
        for key, thing in (things | members).items():
            text = (inspect.getdoc(thing) or "").split("\n\n")[0] if callable(thing) else ""
            if len(text.split()) > 3:
                found[f"What does {key.replace('.', ' . ')} do ?"] = text
    return sorted(found.items())


@cache
def tokens(data, text, vocabulary, context, model):
    """Pretraining ids; inputs and targets of the pairs (targets of -100 where no answer stands); number of classes."""
    import _transformer as lm

    if model == "small":
        corpus = lm.split(lm.read_text(text), "word")
        asked = [(lm.split(q, "word"), lm.split(a, "word")) for q, a in pairs(data)]
        words = Counter(corpus + [w for q, a in asked for w in (*q, *a)]).most_common(vocabulary - 3)
        number = {word: i + 3 for i, (word, _) in enumerate(words)}            # 0 rare, 1 answer begins, 2 end
        ids, classes, begin, end = [number.get(w, 0) for w in corpus], vocabulary, 1, 2
        asked = [tuple([number.get(w, 0) for w in side] for side in pair) for pair in asked]
    else:
        tokenizer = lm.saved("tokenizer", model)
        asked = [(tokenizer(q + "\n").input_ids, tokenizer(a).input_ids) for q, a in pairs(data)]
        ids, classes = tokenizer(lm.read_text(text)).input_ids, len(tokenizer)
        begin = end = tokenizer.eos_token_id
    rows = np.full((len(asked), context + 1), end)
    target = np.full((len(asked), context), -100)
    for row, aim, (question, answer) in zip(rows, target, asked, strict=True):
        whole = [*question[: context // 2], begin, *answer, end][: context + 1]
        row[: len(whole)] = whole
        first = min(len(question), context // 2)
        aim[first : len(whole) - 1] = whole[first + 1 :]
    return lm.torch.tensor(ids), lm.torch.tensor(rows[:, :-1]), lm.torch.tensor(target), classes


@cache
def pretrained(seed, pretraining, data, text, vocabulary, context, width, layers, model, device):
    """Weights after pretraining with Adam."""
    import _transformer as lm

    ids, _, _, classes = tokens(data, text, vocabulary, context, model)
    net, order = lm.build(model, classes, width, layers, context, device, seed), np.random.default_rng(seed)
    if model == "small":
        def draw():
            x, y = lm.sequences(ids, order.integers(0, len(ids) - context - 1, 16), context)
            return x.to(device), y.to(device)

        lm.train(net, lm.optimizer("adam", net.parameters(), PRETRAINING_STEP), draw, pretraining)
    return {name: value.clone() for name, value in net.state_dict().items()}


class Tuner:
    """Fine-tuning of one pretrained model, on a split of the pairs that is the same for every seed."""

    def __init__(self, seed, pretraining, **where):
        import _transformer as lm

        self.lm, self.seed = lm, seed
        with LOCK:
            self.start = pretrained(seed, pretraining, **where)
            chosen = {k: where[k] for k in ("data", "text", "vocabulary", "context", "model")}
            _, x, y, classes = tokens(**chosen)
        self.x, self.y = x.to(where["device"]), y.to(where["device"])
        order = np.random.default_rng(0).permutation(len(x))
        self.test, self.pool = order[:HELD_OUT], order[HELD_OUT:]
        shape = (where[k] for k in ("width", "layers", "context", "device"))
        self.net = lm.build(where["model"], classes, *shape, seed=0)

    def rows(self, index):
        return self.x[index], self.y[index]

    def run(self, optimizer, step_size, batch, budget, look=None):
        """Final loss on training rows and on held-out rows; infinite where it diverges."""
        lm, net, order = self.lm, self.net, np.random.default_rng(self.seed)
        net.load_state_dict(self.start)
        method = lm.optimizer(optimizer, net.parameters(), step_size)
        steps = max(1, budget // batch)
        epochs = np.concatenate([order.permutation(self.pool) for _ in range(1 + budget // len(self.pool))])
        queue = iter(range(steps))
        try:
            lm.train(net, method, lambda: self.rows(epochs[(k := next(queue)) * batch : (k + 1) * batch]), steps,
                     (lambda t: look(t, steps)) if look else (lambda t: False))  # fmt: skip
        except FloatingPointError:
            return np.inf, np.inf
        with lm.torch.no_grad():
            return tuple(float(lm.loss(net(x), y)) for x, y in (self.rows(self.pool[:256]), self.rows(self.test)))

    def gradient(self):
        """Gradient on fixed training rows, as one flat array."""
        net = self.net
        net.zero_grad()
        x, y = self.rows(self.pool[:MEASURED])
        self.lm.loss(net(x), y).backward()
        return np.concatenate([p.grad.double().cpu().numpy().ravel() for p in net.parameters() if p.grad is not None])

    def secant(self, t):
        """|g_j| here, and |g_j(w + r s) - g_j(w)| / r for random signs s: what the smoothness of coordinate j feels."""
        torch, net = self.lm.torch, self.net
        here, kept = self.gradient(), [p.detach().clone() for p in net.parameters()]
        r = 1e-3 * float(torch.cat([p.flatten() for p in kept]).square().mean().sqrt())
        signs = torch.Generator().manual_seed(t)
        with torch.no_grad():
            for p in net.parameters():
                p.add_(((torch.randint(0, 2, p.shape, generator=signs) * 2 - 1) * r).to(p))
        there = self.gradient()
        with torch.no_grad():
            for p, value in zip(net.parameters(), kept, strict=True):
                p.copy_(value)
        net.zero_grad()
        return np.abs(here), np.abs(there - here) / r

    def geometry(self, entries):
        """R_med, the ratios that compare AdaGrad's bound with SGD's, and sum_j sigma_j: one number a layer each."""
        batches = [self.rows(self.pool[8 * k : 8 * k + 8]) for k in range(12)]
        options = {"entries": entries, "probes": max(16, entries), "exact": max(4, entries // 4)}
        names = self.lm.layer_names(self.net)
        layers = an.geometry.torch.anisotropy(self.net, self.lm.loss, batches, names, **options).layers.values()
        return {"r_med": np.array([a.r_med.value for a in layers]),
                "smoothness ratio": np.array([a.smoothness_ratio for a in layers]),
                "noise ratio": np.array([a.noise_ratio for a in layers]),
                "noise": np.array([a.noise_l1 for a in layers])}  # fmt: skip


@cache
def best_step_size(optimizer, batch, budget, pretraining, tuning, **where):
    """The step with the smallest final training loss on a seed of its own: of the grid, then beside its best point."""
    grid = GRIDS[optimizer]
    if tuning == "middle":
        return grid[2], False
    tuner = Tuner(TUNING_SEED, pretraining, **where)

    def final(step_size):
        return tuner.run(optimizer, step_size, batch, budget)[0]

    losses = {step_size: final(step_size) for step_size in grid}
    best = min(grid, key=losses.get)
    losses |= {step_size: final(step_size) for step_size in (best * 10**-0.25, best * 10**0.25)}
    return min(losses, key=losses.get), best in (grid[0], grid[-1])


TUNING = Lock()


def cell(optimizer, batch, repeat, budget, pretraining, entries, tuning, seed, **where):
    import _transformer as lm

    lm.torch.set_num_threads(1)
    with TUNING:
        step_size, at_edge = best_step_size(optimizer, batch, budget, pretraining, tuning, **where)
    tuner, secants, measured = Tuner(seed % 2**31, pretraining, **where), [], []

    def look(t, steps):
        if t % max(1, steps // SECANTS) == 0:
            secants.append(tuner.secant(t))
        if entries and t in (max(1, steps // 2), steps):
            measured.append(tuner.geometry(entries))
        return False

    train_loss, held_out = tuner.run(optimizer, step_size, batch, budget, look)
    found = {"train": train_loss, "held out": held_out, "step_size": step_size, "at_edge": at_edge, **along(secants),
             "parameters": sum(p.numel() for p in tuner.net.parameters()), "pairs": len(tuner.pool),
             "answer tokens": int((tuner.y[tuner.pool] != -100).sum())}  # fmt: skip
    if measured and np.isfinite(train_loss):
        found |= {name: np.array([m[name] for m in measured]) for name in GEOMETRY}
    return found


def along(path):
    """(L0, L1) by least squares, coordinate by coordinate, of the secants on |g_j| along the run: medians."""
    if len(path) < 4:
        return {"L0": np.nan, "L1": np.nan, "rising": np.nan}
    size, secant = (np.array([p[k] for p in path]) for k in (0, 1))
    x = size - size.mean(axis=0)
    used = (x**2).sum(axis=0) > 0
    slope = (x * secant).sum(axis=0)[used] / (x**2).sum(axis=0)[used]
    intercept = secant.mean(axis=0)[used] - slope * size.mean(axis=0)[used]
    return {"L0": float(np.median(intercept)), "L1": float(np.median(slope)), "rising": float(np.mean(slope > 0))}


def by_seed(results, batch, name, optimizer):
    """One number a seed, in the order of the seeds."""
    return np.array([float(c.arrays[name]) for c in results.cells(batch=batch, optimizer=optimizer)])


def layer_mean(results, batch, name, optimizer, moment=-1):
    """Geometric mean over layers, seed by seed, halfway (0) or at the end (-1); empty where nothing was measured."""
    cells = [c.arrays for c in results.cells(batch=batch, optimizer=optimizer)]
    return np.array([np.exp(np.nanmean(np.log(a[name][moment]))) for a in cells if name in a])


def panels(results, names, value, name):
    """A figure with one panel for each of `names`, two a row, over the batch size; `value` gives one number a seed."""
    batches, methods = results.axes["batch"], results.axes["optimizer"]
    with an.plotting.style("page"):
        figure, axes = an.plotting.subplots("page", len(names) // 2, 2, height=1.4 * len(names) + 0.4)
        for ax, key in zip(axes.flat, names, strict=True):
            series = {m: np.array([value(results, M, key, m) for M in batches]).T for m in methods}
            log = "x" if "loss" in names[key] else "xy"
            an.plotting.curves(batches, series, xlabel="batch size M", ylabel=names[key], log=log, ax=ax)
            ax.set_xticks(batches, [str(M) for M in batches])
        an.plotting.shared_legend(figure)
    results.save_figure(figure, name)


def plot(results):
    methods, seeds = results.axes["optimizer"], len(results.axes["repeat"])
    if results.complete and seeds >= 2:
        losses = {name: f"{name} loss (nats a token)" for name in ("train", "held out")}
        panels(results, losses, by_seed, "instruction_tuning")
        if results.axes["entries"] != [0]:
            panels(results, GEOMETRY, layer_mean, "instruction_geometry")
    rows = [compare(results, M, other, name) for M in results.axes["batch"] for other in ("sgd", "adagrad_norm")
            for name in ("train", "held out") if {other, "adagrad"} <= set(methods)]  # fmt: skip
    report(results, [row for row in rows if row])


def compare(results, batch, other, name):
    """Paired difference of the losses, seed by seed: a row of the table, or None with a sentence."""
    a, b = (by_seed(results, batch, name, m) for m in (other, "adagrad"))
    both = np.isfinite(a) & np.isfinite(b) if a.size == b.size else np.zeros(0, dtype=bool)
    if both.sum() < 2:
        results.say(f"M={batch}: fewer than two seeds in which both {other} and adagrad finished.")
        return None
    gain = an.intervals.difference_interval(a[both], b[both], 0.05)
    return {"batch": batch, "loss": name, "against": an.plotting.title(other), "theirs": a[both].mean(),
            "AdaGrad": b[both].mean(), "gain": gain.estimate, "low": gain.low, "high": gain.high}  # fmt: skip


def along_table(results, optimizer, batch):
    """What was measured along the runs of one method at one batch size: a row of the table."""
    halfway, end, smoothness, noise_ratio, noise = (
        np.exp(np.mean(np.log(layer_mean(results, batch, name, optimizer, moment))))
        for name, moment in (("r_med", 0), *((name, -1) for name in GEOMETRY))
    )
    return {"optimizer": optimizer, "batch": batch, "R_med half": halfway, "R_med": end, "mean/max L": smoothness,
            "noise ratio": noise_ratio, "sum sigma": noise}  # fmt: skip


def report(results, rows):
    geometry = [along_table(results, optimizer, M) for optimizer in results.axes["optimizer"]
                for M in results.axes["batch"] if layer_mean(results, M, "r_med", optimizer).size]  # fmt: skip
    results.table(geometry, title="Geometric means over layers and seeds; R_med halfway, the rest at the end")
    steps = "tuned step sizes" if results.axes["tuning"] == ["grid"] else "middle steps of the grids"
    results.table(rows, title=f"Loss of the other method less AdaGrad's, equal samples, {steps} (nats a token)")
    for row in rows:
        word = "an advantage" if row["low"] > 0 else "a disadvantage" if row["high"] < 0 else "no difference that shows"
        results.say(f"M={row['batch']}, {row['loss']} loss: AdaGrad has {word} over {row['against']} "
                    f"({row['gain']:.3f} [{row['low']:.3f}, {row['high']:.3f}]); a difference of "
                    f"{(row['high'] - row['low']) / 2:.3f} could have been seen.")  # fmt: skip
    for c in results.cells()[:1]:
        a = c.arrays
        results.say(f"{int(a['parameters']):,} parameters, {int(a['pairs']):,} pairs with {int(a['answer tokens']):,} "
                    f"answer tokens, {c.point['budget']:,} samples a run; nothing here speaks for large models.")
    for optimizer in results.axes["optimizer"]:
        cells, name = [c.arrays for c in results.cells(optimizer=optimizer)], an.plotting.title(optimizer)
        fitted = [a for a in cells if np.isfinite(float(a["rising"]))]
        if fitted:
            rising, zero, one = (np.mean([float(a[k]) for a in fitted]) for k in ("rising", "L0", "L1"))
            results.say(f"{name}: smoothness rises with |g_j| in {rising:.0%} of the coordinates (50 % by chance); "
                        f"median L0 {zero:.2g}, L1 {one:.2g}.")  # fmt: skip
    edges = {(c.point["optimizer"], c.point["batch"]) for c in results.cells() if c.arrays["at_edge"]}
    for optimizer, M in sorted(edges):
        results.say(f"Grid edge: the best step size of {an.plotting.title(optimizer)} at M={M} lies at an end.")


if __name__ == "__main__":
    raise SystemExit(an.study.main())
