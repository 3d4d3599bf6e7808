"""How are PyTorch models raced? torch.optim on replicas that differ in initial weights and in the order of the data.

Replicas of one model are stacked and trained together (`torch.func`), since SGD, AdaGrad and Adam act on each number by
itself and AdaGrad-Norm here keeps one accumulator a replica. A model that cannot be stacked (buffers that change, as in
batch normalization) is trained one replica after another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch.func import functional_call, stack_module_state

from ..records import FloatArray
from .grids import search

if TYPE_CHECKING:
    from ..evidence.race import Method

MEASURES = ("training_loss", "held_out_loss")
CHUNK = 1024  # rows of one evaluation
TRIAL = 20  # iterations of the range test
START = {"sgd": 0.1, "sgd decaying": 0.1, "adagrad": 0.01, "adagrad_norm": 1.0, "adam": 1e-3}

Pair = tuple[torch.Tensor, torch.Tensor]


class Model(NamedTuple):
    """What is trained: a factory, a loss, and the rows to train on and to hold out."""

    factory: Callable[[], torch.nn.Module]
    loss: Callable[[Any, torch.Tensor], torch.Tensor]
    train: Pair
    held_out: Pair
    stacked: bool


class AdaGradNorm(torch.optim.Optimizer):
    """One step size for all numbers of a replica, lr / sqrt(sum of squared gradient norms so far).

    With `replicas` the first dimension of every parameter counts them, and each has its own accumulator.
    """

    def __init__(self, params: Iterable[torch.Tensor], lr: float, *, replicas: int | None = None) -> None:
        super().__init__(params, {"lr": lr})
        self._replicas, self._total = replicas, torch.zeros(replicas or 1)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Add the squared norms, then move."""
        given = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        rows = [p.grad.reshape(self._replicas or 1, -1) for p in given]
        self._total = self._total.to(given[0]) + torch.stack([(r * r).sum(dim=1) for r in rows]).sum(dim=0)
        root = self._total.sqrt()
        scale = torch.where(root > 0, 1.0 / root, torch.zeros_like(root))
        for p, r in zip(given, rows, strict=True):
            p.sub_(self.param_groups[0]["lr"] * (scale[:, None] * r).reshape(p.shape))


def optimizer(
    method: str, own: Mapping[str, Method], params: list[torch.Tensor], lr: float, replicas: int | None
) -> torch.optim.Optimizer:
    """The optimizer of a method."""
    if method in own:
        return own[method].make(lr)(params)  # type: ignore[operator]
    if method == "adagrad_norm":
        return AdaGradNorm(params, lr, replicas=replicas)
    kind = {"adagrad": torch.optim.Adagrad, "adam": torch.optim.Adam}.get(method, torch.optim.SGD)
    return kind(params, lr=lr)


def model(factory: Any, loss: Any, data: Any, device: str | None, seed: int) -> Model:
    """Check what the user gave, hold out rows, and find out whether replicas can be stacked.

    Raises
    ------
    TypeError, ValueError
        On what is not ``(x, y)``, rows that disagree or are not finite, a factory that returns no new module, a loss
        that is not one number.
    """
    with torch.random.fork_rng():
        first, second = factory(), factory()
    if not isinstance(first, torch.nn.Module):
        raise TypeError(f"model_factory() returned {type(first).__name__}; expected a new torch.nn.Module at each call")
    if second is first:
        raise ValueError("model_factory returned the same model twice; make a new one at each call")
    kind = next((p.dtype for p in first.parameters() if p.requires_grad), None)
    if kind is None:
        raise ValueError(f"{type(first).__name__} has no parameter to train")
    both = data if _is_pair_of_pairs(data) else _split(_pair(data, "data", kind, device), seed)
    train, held_out = _pair(both[0], "training data", kind, device), _pair(both[1], "held-out data", kind, device)
    made = Model(factory, loss, train, held_out, False)
    value = loss(_fresh(made, [0])[0].train()(train[0][:2]), train[1][:2])
    if not isinstance(value, torch.Tensor) or value.numel() != 1:
        shape = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
        raise ValueError(f"loss(model(x), y) returned {shape}; expected one number, e.g. with reduction='mean'")
    return made._replace(stacked=_stackable(made))


def facts(m: Model) -> dict[str, Any]:
    """Name, rows and parameters, for the answer."""
    one = _fresh(m, [0])[0]
    sizes = {"rows": len(m.train[0]), "held_out": len(m.held_out[0])}
    return {"name": type(one).__name__, **sizes, "parameters": sum(p.numel() for p in one.parameters())}


def _is_pair_of_pairs(data: Any) -> bool:
    return isinstance(data, (tuple, list)) and len(data) == 2 and all(isinstance(p, (tuple, list)) for p in data)


def _pair(data: Any, what: str, kind: torch.dtype, device: str | None) -> Pair:
    """Tensors on the device; numbers with a fraction in the precision of the model."""
    if not (isinstance(data, (tuple, list)) and len(data) == 2):
        raise TypeError(f"{what} is {type(data).__name__}; expected tensors (x, y), or ((x, y), (x, y)) to hold out")
    x, y = (t.to(device, kind if t.is_floating_point() else t.dtype) for t in map(torch.as_tensor, data))
    if len(x) != len(y) or len(x) < 2:
        raise ValueError(f"{what}: x has {len(x)} rows and y has {len(y)}; expected the same number, at least 2")
    for name, t in (("x", x), ("y", y)):
        if t.is_floating_point() and not torch.isfinite(t).all():
            row = int((~torch.isfinite(t).reshape(len(t), -1).all(dim=1)).nonzero()[0])
            raise ValueError(f"{what}: {name} has a number that is not finite in row {row}; drop such rows first")
    return x, y


def _split(data: Pair, seed: int) -> tuple[Pair, Pair]:
    """A random fifth is held out, the same for all methods and replicas."""
    x, y = data
    order = torch.from_numpy(np.random.default_rng([seed, 1]).permutation(len(x)))
    cut = max(1, len(x) // 5)
    return (x[order[cut:]], y[order[cut:]]), (x[order[:cut]], y[order[:cut]])


def _fresh(m: Model, seeds: Iterable[int]) -> list[torch.nn.Module]:
    """New models with the weights that each seed draws; the caller's random state stays."""
    found = []
    with torch.random.fork_rng():
        for seed in seeds:
            torch.manual_seed(seed)
            found.append(m.factory().to(m.train[0].device))
    return found


def _stackable(m: Model) -> bool:
    """Whether two stacked replicas can be trained: no buffers that change, nothing that `torch.func` refuses."""
    models = _fresh(m, [0, 1])
    if any(True for _ in models[0].buffers()):
        return False
    try:
        with torch.random.fork_rng():
            losses = _Stack(m, models).losses(torch.arange(2).expand(2, 2))
            losses.sum().backward()
    except (RuntimeError, ValueError, TypeError, NotImplementedError):
        return False
    return tuple(losses.shape) == (2,)


class _Stack:
    """Replicas side by side: every parameter has them as its first dimension."""

    def __init__(self, m: Model, models: list[torch.nn.Module]) -> None:
        self._m, self.base = m, models[0]
        found, _ = stack_module_state(models)
        frozen = {name for name, p in models[0].named_parameters() if not p.requires_grad}
        self.params = {k: v.detach().clone().requires_grad_(k not in frozen) for k, v in found.items()}

    def _loss(self, params: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self._m.loss(functional_call(self.base, params, (x,)), y).reshape(())

    def losses(self, rows: torch.Tensor) -> torch.Tensor:
        """Training loss ``(replicas,)`` of the rows ``(replicas, batch)`` of each."""
        x, y = (t[rows] for t in self._m.train)
        return torch.vmap(self._loss, randomness="different")(self.params, x, y)

    def evaluate(self, data: Pair) -> FloatArray:
        """Loss over many rows, of each replica, without dropout."""
        self.base.eval()
        call = torch.vmap(self._loss, in_dims=(0, None, None))
        with torch.no_grad():
            found = _mean_loss(data, lambda x, y: call(self.params, x, y))
        self.base.train()
        return found


class _Single:
    """One replica, as it is."""

    def __init__(self, m: Model, module: torch.nn.Module) -> None:
        self._m, self.base = m, module
        self.params = dict(module.named_parameters())

    def losses(self, rows: torch.Tensor) -> torch.Tensor:
        x, y = (t[rows[0]] for t in self._m.train)
        return self._m.loss(self.base(x), y).reshape(1)

    def evaluate(self, data: Pair) -> FloatArray:
        self.base.eval()
        with torch.no_grad():
            found = _mean_loss(data, lambda x, y: self._m.loss(self.base(x), y).reshape(1))
        self.base.train()
        return found


def _mean_loss(data: Pair, loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> FloatArray:
    x, y = data
    parts = [(loss(x[a : a + CHUNK], y[a : a + CHUNK]), len(x[a : a + CHUNK])) for a in range(0, len(x), CHUNK)]
    return (sum(value.double() * n for value, n in parts) / len(x)).cpu().numpy()  # type: ignore[union-attr]


def orders(replicas: int, steps: int, batch_size: int, n: int, seed: int) -> torch.Tensor:
    """Rows of each iteration ``(replicas, steps, batch)``: passes in random order, another one for each replica."""
    found = np.empty((replicas, steps * batch_size), dtype=np.int64)
    for r in range(replicas):
        generator = np.random.default_rng([seed, r])
        passes = [generator.permutation(n) for _ in range(-(-steps * batch_size // n))]
        found[r] = np.concatenate(passes)[: steps * batch_size]
    return torch.from_numpy(found.reshape(replicas, steps, batch_size))


def run(
    m: Model, own: Mapping[str, Method], samples: int, method: str, batch_size: int, step_size: float, replicas: int,
    seed: int, steps: int | None = None,
) -> dict[str, FloatArray]:  # fmt: skip
    """Losses of each replica after the budget; NaN where it diverged."""
    steps = samples // batch_size if steps is None else steps
    rows = orders(replicas, steps, batch_size, len(m.train[0]), seed).to(m.train[0].device)
    models = _fresh(m, [seed * 1_000_003 + r & 2**63 - 1 for r in range(replicas)])
    with torch.random.fork_rng():
        torch.manual_seed(seed & 2**63 - 1)  # dropout: the same draws for every method
        if m.stacked and method not in own:
            return _train(m, own, _Stack(m, models), method, step_size, rows, replicas)
        parts = [
            _train(m, own, _Single(m, one), method, step_size, rows[r : r + 1], None) for r, one in enumerate(models)
        ]
    return {name: np.concatenate([p[name] for p in parts]) for name in MEASURES}


def _train(
    m: Model, own: Mapping[str, Method], group: _Stack | _Single, method: str, step_size: float, rows: torch.Tensor,
    replicas: int | None,
) -> dict[str, FloatArray]:  # fmt: skip
    trained = [p for p in group.params.values() if p.requires_grad]
    rule, steps = optimizer(method, own, trained, step_size, replicas), rows.shape[1]
    group.base.train()
    for t in range(steps):
        if method == "sgd decaying":
            rule.param_groups[0]["lr"] = step_size * (1.0 - t / steps)
        rule.zero_grad()
        group.losses(rows[:, t]).sum().backward()
        rule.step()
    found = {name: group.evaluate(d) for name, d in zip(MEASURES, (m.train, m.held_out), strict=True)}
    lost = ~np.isfinite(np.stack(list(found.values()))).all(axis=0)
    return {name: np.where(lost, np.nan, values) for name, values in found.items()}


def centre(m: Model, own: Mapping[str, Method], seed: int, method: str, batch_size: int) -> float:
    """A range test: the step size after which the training loss is lowest in some twenty iterations of two replicas."""
    if method in own:
        return float(np.exp(np.log(np.asarray(own[method].grid, dtype=np.float64)).mean()))

    def short(step_size: float) -> dict[str, FloatArray]:
        return run(m, own, 0, method, batch_size, step_size, 2, seed ^ 1, TRIAL)

    found = search(short, START[method], MEASURES[:1])
    return found.best[MEASURES[0]] if np.isfinite(found.best[MEASURES[0]]) else START[method]
