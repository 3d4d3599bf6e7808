"""A small causal language model, its text, its optimizers: what the studies on language models share."""

import json
import lzma
import re
from collections import Counter
from functools import cache
from pathlib import Path
from threading import Lock

import numpy as np

import anisotropic as an

torch = an.extras.require("torch", "torch")
nn, F = torch.nn, torch.nn.functional


class Block(nn.Module):
    """Pre-LayerNorm block with causal attention; every matrix a linear module of its own."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.q, self.k, self.v, self.o = (nn.Linear(width, width) for _ in range(4))
        self.f1, self.f2 = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x):
        batch, length, width = x.shape
        y = self.before_attention(x)
        q, k, v = (f(y).view(batch, length, self.heads, -1).transpose(1, 2) for f in (self.q, self.k, self.v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.o(y.transpose(1, 2).reshape(batch, length, width))
        return x + self.f2(F.gelu(self.f1(self.before_mlp(x))))


class Transformer(nn.Module):
    """Token and position embedding, blocks, LayerNorm, output layer; PyTorch's default starting values."""

    def __init__(self, vocabulary, width, layers, heads, context):
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)

    def forward(self, x):
        h = self.tokens(x) + self.places(torch.arange(x.shape[1], device=x.device))
        for block in self.blocks:
            h = block(h)
        return self.head(self.norm(h))


READING = Lock()


def saved(part, folder):
    """The "model" or the "tokenizer" of a causal language model saved on disk by the `transformers` library."""
    with READING:                                     # its lazy import is not safe in threads
        try:
            from transformers import AutoModelForCausalLM, AutoTokenizer
        except ImportError as error:
            raise ImportError("--model PATH needs the transformers library: run pip install transformers") from error
        if part == "tokenizer":
            return AutoTokenizer.from_pretrained(folder)
        return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").float()


class Pretrained(nn.Module):
    """A causal language model saved on disk, as ids -> logits, in evaluation mode."""

    def __init__(self, folder):
        super().__init__()
        self.inner = saved("model", folder)
        self.eval()

    def forward(self, x):
        return self.inner(x, use_cache=False).logits


BUILDING = Lock()


def build(model, vocabulary, width, layers, context, device, seed):
    """A fresh transformer (`model` "small") from its own seed, or the one saved at the path `model`."""
    if model != "small":
        return Pretrained(model).to(device)
    with BUILDING:                                    # PyTorch's starting values come from one global generator
        torch.manual_seed(seed % 2**63)
        return Transformer(vocabulary, width, layers, max(2, width // 64), context).to(device)


def layer_names(model):
    """Every matrix of the blocks and the output layer; embeddings have rows that no batch touches."""
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    return [n for n, p in model.named_parameters() if p.ndim == 2 and id(p) not in embeddings]


def read_text(source):
    """CPython's own help topics, or a text file (plain or xz)."""
    if source == "topics":
        from pydoc_data.topics import topics

        return "\n".join(topics[key] for key in sorted(topics))
    raw = Path(source).read_bytes()
    return (lzma.decompress(raw) if source.endswith(".xz") else raw).decode("utf-8")


def split(text, unit):
    """Words and punctuation marks, or characters."""
    return re.findall(r"\w+|[^\w\s]", text) if unit == "word" else list(text)


@cache
def corpus(source, unit, vocabulary, model="small"):
    """Token ids and the number of different ids: the rarest words share one; a saved model brings its own tokens."""
    if model != "small":
        tokenizer = saved("tokenizer", model)
        return torch.tensor(tokenizer(read_text(source)).input_ids), len(tokenizer)
    parts = split(read_text(source), unit)
    kept = [word for word, _ in Counter(parts).most_common(vocabulary - 1)]
    number = {word: i for i, word in enumerate(kept)}
    ids = torch.tensor([number.get(part, len(kept)) for part in parts])
    return ids, int(ids.max()) + 1


def sequences(ids, starts, context):
    """Inputs and targets, one token later, of the sequences that begin at `starts`."""
    rows = torch.as_tensor(starts)[:, None] + torch.arange(context + 1)
    return ids[rows[:, :-1]], ids[rows[:, 1:]]


def batches(ids, order, context, device):
    """A function that draws inputs and targets of `count` random sequences."""

    def draw(count=16):
        x, y = sequences(ids, order.integers(0, len(ids) - context - 1, count), context)
        return x.to(device), y.to(device)

    return draw


def loss(logits, y):
    """Mean cross-entropy in nats a token; targets of -100 do not count."""
    return F.cross_entropy(logits.flatten(0, 1), y.flatten(), ignore_index=-100)


class AdaGradNorm(torch.optim.Optimizer):
    """SGD with step size / sqrt(sum of squared gradient norms): step-size decay, nothing per coordinate."""

    def __init__(self, parameters, lr, total=0.0):
        super().__init__(parameters, {"lr": lr})
        self.total = total

    @torch.no_grad()
    def step(self, closure=None):
        group = self.param_groups[0]
        used = [p for p in group["params"] if p.grad is not None]
        self.total += sum(float(p.grad.square().sum()) for p in used)
        for p in used:
            p.add_(p.grad, alpha=-group["lr"] / self.total**0.5)


def optimizer(name, parameters, step_size):
    """The methods of the studies, by their names in the package."""
    make = {
        "sgd": lambda p: torch.optim.SGD(p, step_size),
        "heavy_ball": lambda p: torch.optim.SGD(p, step_size, momentum=0.9),
        "adam": lambda p: torch.optim.Adam(p, step_size),
        "rmsprop": lambda p: torch.optim.RMSprop(p, step_size),
        "adagrad": lambda p: torch.optim.Adagrad(p, step_size),
        "adagrad_norm": lambda p: AdaGradNorm(p, step_size),
        "sign_sgd": lambda p: SignDescent(p, step_size),
    }[name]
    return make([p for p in parameters if p.requires_grad])


class SignDescent(torch.optim.Optimizer):
    """w <- w - step_size sign(g)."""

    def __init__(self, parameters, lr):
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for p in self.param_groups[0]["params"]:
            if p.grad is not None:
                p.add_(p.grad.sign(), alpha=-self.param_groups[0]["lr"])


def train(model, method, draw, steps, after=lambda t: False):
    """`steps` updates on the batches that `draw()` gives, stopping early where `after(t)` is true; the losses seen."""
    seen = []
    for t in range(1, steps + 1):
        x, y = draw()
        method.zero_grad()
        value = loss(model(x), y)
        if not torch.isfinite(value):
            raise FloatingPointError(f"the training loss is {float(value.detach())} after {t - 1} iterations")
        value.backward()
        method.step()
        seen.append(float(value.detach()))
        if after(t):
            break
    return np.array(seen)


def read_pairs(path):
    """Instruction pairs of a JSON file (plain or xz): a list of objects with instruction, input and output."""
    raw = Path(path).read_bytes()
    rows = json.loads(lzma.decompress(raw) if str(path).endswith(".xz") else raw)
    return [(f"{r['instruction']} {r.get('input', '')}".strip(), r["output"]) for r in rows]
