"""How large should the next batch of a training loop be? The rules of `anisotropic.batching`, fed in three ways."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as distributed
from torch import Tensor

from ...records import BatchRule
from ..rules import Coordinates, InnerProduct, bounded
from .gradients import (
    Seen,
    from_workers,
    moments,
    per_sample_gradients,
    squared_norm,
    total_gradients,
    worst_coordinate,
)

LearningRate = str | Callable[[int, int], float]
FACTORS: dict[str, Callable[[int, int], float]] = {
    "keep": lambda batch, start: 1.0,
    "linear": lambda batch, start: batch / start,
    "sqrt": lambda batch, start: math.sqrt(batch / start),
}
NO_CAP = 2**62


class NonFiniteGradient(FloatingPointError):
    """A gradient that is not finite; `state` is the controller's state before the step, `step` the step's number."""

    def __init__(self, step: int, state: dict[str, Any], saved: Path | None) -> None:
        where = f"; model, optimizer and controller are saved in {saved}" if saved else ""
        super().__init__(
            f"the gradient of step {step} is not finite{where}; the optimizer must not take this step: lower the "
            "learning rate and resume from the state before it"
        )
        self.step, self.state = step, state


class BatchSizeController:
    """Watches gradients and says how many samples the next step should average.

    Feed it once a step, before clipping and before ``optimizer.step()``, in the cheapest way the loop allows:

    * ``norms(local, average)``: norms of the workers' (or micro-batches') gradients and of their average;
    * ``micro_batch()`` after the backward pass of each micro-batch, the loss divided by their number;
    * ``per_sample(loss, (x, y))`` in place of the backward pass: single gradients by torch.func, exact variances;
    * ``average_gradients()`` under data parallelism: averages the gradients over ranks and takes the two norms. A
      ``DistributedDataParallel`` model needs no call: its own averaging is watched by a communication hook.

    Then ``step()``, before or after ``optimizer.step()``, returns the batch size of the next step. Rank 0 decides and
    broadcasts, so that every rank has the same batch at the same step.

    Parameters
    ----------
    model : torch.nn.Module
    optimizer : torch.optim.Optimizer
    rule : BatchRule
        From `anisotropic.batching`, plug-in or unbiased. Inner-product and coordinate tests need `per_sample`.
    learning_rate : {"keep", "linear", "sqrt"} or callable ``(batch_size, first batch) -> factor``
        How the learning rates follow the batch; every parameter group is multiplied by the change of the factor, so
        that a scheduler may go on beside it.
    unit : {"samples", "tokens"}
        What the batch counts. With tokens, pass `count` to each call: the number of tokens in the step, of all ranks.
    checkpoint : path, optional
        Where model, optimizer and controller are saved when a gradient is not finite.

    Attributes
    ----------
    batch_size : int
        Of the next step, over all ranks; a multiple of their number.
    local_batch_size : int
        Share of this rank.
    steps, samples : int
        Steps taken and samples (or tokens) used.

    Raises
    ------
    ValueError, TypeError
        On an exact rule, a rule with a backup, an unknown way to change learning rates or unit.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        rule: BatchRule,
        *,
        learning_rate: LearningRate = "keep",
        unit: str = "samples",
        checkpoint: str | Path | None = None,
    ) -> None:
        if not isinstance(rule, BatchRule):
            raise TypeError(f"rule = {rule!r}; expected a batch rule such as anisotropic.batching.norm_test(0.5)")
        if rule.exact:
            raise ValueError(f"the exact form of the {rule.name} needs the true gradient; use 'plug_in' or 'unbiased'")
        if rule.slots:
            raise ValueError(f"the {rule.name} keeps {rule.slots} past gradients, which no training loop can afford; "
                             "pass backup=0")  # fmt: skip
        if not callable(learning_rate) and learning_rate not in FACTORS:
            raise ValueError(f"learning_rate = {learning_rate!r}; expected one of {', '.join(FACTORS)} or a function")
        if unit not in ("samples", "tokens"):
            raise ValueError(f"unit = {unit!r}; expected 'samples' or 'tokens'")
        self.model, self.optimizer, self.rule, self.unit = model, optimizer, rule, unit
        self.checkpoint = Path(checkpoint) if checkpoint is not None else None
        self._factor = learning_rate if callable(learning_rate) else FACTORS[learning_rate]
        self.population, self.cap = 0, rule.max_batch or NO_CAP
        self.steps, self.samples = 0, 0
        self.batch_size = self._shared(rule.start)
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self._seen: Seen | None = None
        self._before: list[Tensor] | None = None
        self._squares: list[Tensor] = []
        self._hooked: tuple[list[Tensor], list[Tensor]] = [], []
        if isinstance(model, torch.nn.parallel.DistributedDataParallel):
            model.register_comm_hook(self, _watched_average)

    # ---- what is seen -----------------------------------------------------------------------------------------------

    @property
    def workers(self) -> int:
        """Number of ranks, 1 without data parallelism."""
        return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1

    @property
    def local_batch_size(self) -> int:
        """Samples of this rank in the next step."""
        return self.batch_size // self.workers

    def norms(self, local: float | Sequence[float], average: float, *, count: int | None = None) -> None:
        """Two kinds of norms: of the gradient of each worker or micro-batch, and of the average of all.

        Under data parallelism `local` is this rank's own norm, one number.
        """
        own = (local,) if isinstance(local, (int, float)) else tuple(local)
        square, parts = math.fsum(float(v) ** 2 for v in own), len(own)
        if self.workers > 1:
            square, summed = self._sum(torch.tensor([square, float(parts)], dtype=torch.float64)).tolist()
            parts = int(summed)
        self._across(square / parts, float(average) ** 2, count, parts)

    def micro_batch(self) -> None:
        """Look at the gradients after one micro-batch's backward pass; `loss` was divided by their number."""
        gradients = self._gradients()
        if self._before is None:
            self._before = [torch.zeros_like(g) for g in gradients]
        difference = torch._foreach_sub(gradients, self._before)
        self._squares.append(squared_norm(difference))
        self._before = [g.clone() for g in gradients]

    def average_gradients(self, *, count: int | None = None) -> None:
        """Average the gradients over all ranks and take the norms before and after."""
        self._need_workers(self.workers)
        gradients = self._gradients()
        local = squared_norm(gradients)
        flat = torch.cat([g.flatten() for g in gradients])
        distributed.all_reduce(flat)
        flat /= self.workers
        for g, piece in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            g.copy_(piece.view_as(g))
        mean_square = self._sum(local.double()).item() / self.workers
        self._across(mean_square, squared_norm(gradients).item(), count, self.workers)

    def per_sample(self, loss: Callable[..., Tensor], batch: tuple[Any, ...], *, count: int | None = None) -> Tensor:
        """Mean loss of the batch; writes its gradient, averaged over ranks, and keeps the variances of single samples.

        Takes the place of the backward pass. `loss` is called as ``loss(model(x), y)`` on batches of one. Memory: one
        gradient a sample, in float32.
        """
        module = getattr(self.model, "module", self.model) if self.workers > 1 else self.model
        found = per_sample_gradients(module, loss, batch)
        own = found.losses.numel()
        n = int(self._sum(torch.tensor(float(own))).item())
        if n < 2:
            raise ValueError("the variance of a batch of one is not defined; use at least 2 samples a step")
        mean = [self._sum(g) / n for g in total_gradients(found.gradients)]
        for p, m in zip(self._parameters, mean, strict=True):
            p.grad = m.to(p.dtype)
        if isinstance(self.rule.params, Coordinates):
            (square, variance), along = worst_coordinate(found.gradients, mean, n, self._sum, self.rule), 0.0
        else:
            needs = isinstance(self.rule.params, InnerProduct)
            square, variance, along = moments(found.gradients, mean, n, self._sum, needs)
        used = self._count(count) if self.unit == "tokens" else n
        self._seen = Seen(square, variance * used / n, along * used / n, used)
        return found.losses.mean()

    # ---- what follows -----------------------------------------------------------------------------------------------

    def step(self, *, count: int | None = None) -> int:
        """Decide; returns the batch size of the next step.

        Raises
        ------
        NonFiniteGradient
            With the number of the step; the state before it is kept in the error, and saved where asked.
        RuntimeError
            Where nothing was shown in this step.
        """
        if self._hooked[0]:
            local, average = (torch.stack(parts).double().sum() for parts in self._hooked)
            self._across(self._sum(local).item() / self.workers, average.item(), count, self.workers)
        if self._squares:
            self._finish_micro_batches(count)
        if self._seen is None:
            raise RuntimeError("step() needs to see gradients first: norms, micro_batch, per_sample, average_gradients")
        seen, number = self._seen, self.steps + 1
        if not (math.isfinite(seen.square) and math.isfinite(seen.variance)):
            raise NonFiniteGradient(number, self.state_dict(), self._save())
        batch = self._decide(seen, number)
        if self.workers > 1:
            decided = torch.tensor([batch], dtype=torch.int64)
            distributed.broadcast(decided, src=0)
            batch = int(decided.item())
        self.steps, self.samples = number, self.samples + int(seen.used)
        self._resize(batch)
        self._forget()
        return self.batch_size

    def skip(self, *, count: int | None = None) -> int:
        """Count a step whose gradients were not looked at, as between the tests of a rule with an interval."""
        self.steps, self.samples = self.steps + 1, self.samples + self._count(count)
        self._forget()
        return self.batch_size

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers; independent of the number of ranks."""
        return {"batch_size": self.batch_size, "steps": self.steps, "samples": self.samples, "rule": self.rule.name}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken, also on another number of ranks. Learning rates are the optimizer's."""
        if state["rule"] != self.rule.name:
            raise ValueError(f"the state is that of a {state['rule']}, this controller has a {self.rule.name}")
        self.batch_size = self._shared(state["batch_size"])
        self.steps, self.samples = state["steps"], state["samples"]
        self._forget()

    # ---- inside -----------------------------------------------------------------------------------------------------

    def _forget(self) -> None:
        self._seen, self._before = None, None
        self._squares, self._hooked = [], ([], [])

    def _gradients(self) -> list[Tensor]:
        found = [p.grad for p in self._parameters if p.grad is not None]
        if not found:
            raise RuntimeError("no parameter has a gradient; call this after the backward pass")
        return found

    def _sum(self, value: Tensor) -> Tensor:
        if self.workers > 1:
            value = value.clone()
            distributed.all_reduce(value)
        return value

    def _count(self, count: int | None) -> int:
        if count is None and self.unit == "tokens":
            raise ValueError("unit = 'tokens' needs count=, the number of tokens in this step over all ranks")
        return self.batch_size if count is None else count

    def _need_workers(self, workers: int) -> None:
        if workers < 2:
            raise ValueError("the test across workers needs at least 2 of them (ranks or micro-batches); with one, "
                             "use per_sample")  # fmt: skip

    def _across(self, mean_square: float, average_square: float, count: int | None, workers: int) -> None:
        self._need_workers(workers)
        if isinstance(self.rule.params, (InnerProduct, Coordinates)):
            raise ValueError(f"the {self.rule.name} needs more than norms; use per_sample, or the norm test")
        self._seen = from_workers(mean_square, average_square, self._count(count), workers)

    def _finish_micro_batches(self, count: int | None) -> None:
        own = len(self._squares)
        total = torch.stack(self._squares).double().sum() * own**2
        if self.workers > 1:
            raise RuntimeError("micro_batch is for one process; under data parallelism use average_gradients")
        self._across(total.item() / own, squared_norm(self._gradients()).item(), count, own)

    def _decide(self, seen: Seen, number: int) -> int:
        if number % self.rule.interval or (self.batch_size >= self.cap and not self.rule.shrink):
            return self.batch_size
        g, V = np.array([math.sqrt(seen.square)]), np.array([seen.variance])
        history = np.zeros((0, 1))
        along = 0.0 if math.isnan(seen.along) else seen.along
        wanted = self.rule.decide(seen.used, g, V, along, self.population, number, history, self.rule.params)
        return bounded(self.batch_size, wanted, self.rule.shrink, self.cap)

    def _shared(self, batch: int) -> int:
        """Rounded up to a multiple of the ranks."""
        return -(-int(batch) // self.workers) * self.workers

    def _resize(self, batch: int) -> None:
        before, self.batch_size = self.batch_size, self._shared(batch)
        change = self._factor(self.batch_size, self.rule.start) / self._factor(before, self.rule.start)
        if change != 1.0:
            for group in self.optimizer.param_groups:
                group["lr"] = group["lr"] * change

    def _save(self) -> Path | None:
        if self.checkpoint is None or (self.workers > 1 and distributed.get_rank()):
            return self.checkpoint
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        torch.save(state | {"controller": self.state_dict()}, self.checkpoint)
        return self.checkpoint


def _watched_average(controller, bucket):  # PyTorch compares annotations as objects: none here
    """DistributedDataParallel's own averaging, with the norms of each bucket before and after."""
    flat = bucket.buffer()
    controller._hooked[0].append(squared_norm([flat]))

    def finish(future: torch.futures.Future[Any]) -> Tensor:
        reduced = future.value()[0].div_(controller.workers)
        controller._hooked[1].append(squared_norm([reduced]))
        return reduced

    return distributed.all_reduce(flat, async_op=True).get_future().then(finish)
