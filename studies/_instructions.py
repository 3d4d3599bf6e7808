"""A small language model fine-tuned on instruction pairs: texts, tokens, pretraining, runs and what is measured."""

import inspect
from collections import Counter
from functools import cache
from importlib import import_module
from threading import Lock

import _transformer as lm
import numpy as np

import anisotropic as an

HELD_OUT, MEASURED, PRETRAINING_STEP_SIZE = 128, 64, 3e-3
MODULES = ("builtins", "math", "itertools", "statistics", "random", "os.path", "string", "textwrap", "collections",
           "datetime", "json", "re", "functools", "operator", "shutil", "pathlib", "time", "copy")  # fmt: skip
LOCK = Lock()


@cache
def pairs(data):
    """(instruction, answer) texts, sorted."""
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
    ids, _, _, classes = tokens(data, text, vocabulary, context, model)
    net, order = lm.build(model, classes, width, layers, context, device, seed), np.random.default_rng(seed)
    if model == "small":
        draw = lm.batches(ids, order, context, device)
        lm.train(net, lm.optimizer("adam", net.parameters(), PRETRAINING_STEP_SIZE), draw, pretraining)
    return {name: value.clone() for name, value in net.state_dict().items()}


class Tuner:
    """Fine-tuning of one pretrained model, on a split of the pairs that is the same for every seed."""

    def __init__(self, seed, pretraining, **where):
        self.seed = seed
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
        net, order = self.net, np.random.default_rng(self.seed)
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
        lm.loss(net(x), y).backward()
        return np.concatenate([p.grad.double().cpu().numpy().ravel() for p in net.parameters() if p.grad is not None])

    def secant(self, t):
        """|g_j| here, and |g_j(w + r s) - g_j(w)| / r for random signs s: what the smoothness of coordinate j feels."""
        net = self.net
        here, kept = self.gradient(), [p.detach().clone() for p in net.parameters()]
        r = 1e-3 * float(lm.torch.cat([p.flatten() for p in kept]).square().mean().sqrt())
        signs = lm.torch.Generator().manual_seed(t)
        with lm.torch.no_grad():
            for p in net.parameters():
                p.add_(((lm.torch.randint(0, 2, p.shape, generator=signs) * 2 - 1) * r).to(p))
        there = self.gradient()
        with lm.torch.no_grad():
            for p, value in zip(net.parameters(), kept, strict=True):
                p.copy_(value)
        net.zero_grad()
        return np.abs(here), np.abs(there - here) / r

    def geometry(self, entries):
        """R_med, the ratios that compare AdaGrad's bound with SGD's, and sum_j sigma_j: one number a layer each."""
        batches = [self.rows(self.pool[8 * k : 8 * k + 8]) for k in range(12)]
        options = {"entries": entries, "probes": max(16, entries), "exact": max(4, entries // 4)}
        names = lm.layer_names(self.net)
        layers = an.geometry.torch.anisotropy(self.net, lm.loss, batches, names, **options).layers.values()
        return {"r_med": np.array([a.r_med.value for a in layers]),
                "smoothness ratio": np.array([a.smoothness_ratio for a in layers]),
                "noise ratio": np.array([a.noise_ratio for a in layers]),
                "noise": np.array([a.noise_l1 for a in layers])}  # fmt: skip
