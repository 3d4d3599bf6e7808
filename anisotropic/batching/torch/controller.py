"""How large should the next batch of a training loop be? The rules of `anisotropic.batching`, fed in three ways."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...records import BatchRule
from ..rules import Coordinates, InnerProduct, bounded
from .gradients import (
    Seen,
    from_workers,
    moments,
    per_sample_gradients,
    total_gradients,
    worst_coordinate,
)
from .learning_rates import LearningRate, ScaledRates, factor_of
from .micro_batches import MicroBatches
from .ranks import WatchedAverage, average_in_place, decided_by_first, rank, rank_count, sum_over_ranks

#: Where a rule sets no cap, the batch ends at this multiple of its start.
DEFAULT_CAP = 1024
#: Overflows in a row that a GradScaler can cure: 40 halvings take its first scale to the smallest float16.
ROUTINE_OVERFLOWS = 40


class NonFiniteGradient(FloatingPointError):
    """A gradient that is not finite; `state` is the controller's state before the step, `step` the step's number."""

    def __init__(self, step: int, state: dict[str, Any], saved: Path | None, overflows: int) -> None:
        where = f"; model, optimizer and controller are saved in {saved}" if saved else ""
        scaled = (
            f", like those of the {overflows} steps before it: no loss scale cures that"
            if overflows
            else " (if a GradScaler skips such steps, pass scaler= to the controller)"
        )
        super().__init__(
            f"the gradient of step {step} is not finite{where}; the optimizer must not take this step: lower the "
            f"learning rate and resume from the state before it{scaled}"
        )
        self.step, self.state = step, state


class BatchSizeController:
    """Watches gradients and says how many samples the next step should average.

    Feed it in every step, before clipping and before ``optimizer.step()``, in the cheapest way the loop allows:

    * ``norms(local, average)``: norms of the workers' (or micro-batches') gradients and of their average;
    * ``micro_batch()`` after the backward pass of each micro-batch, the loss divided by their number;
    * ``per_sample(loss, (x, y))`` in place of the backward pass: single gradients by torch.func, exact variances;
    * ``average_gradients()`` under data parallelism: averages the gradients over ranks and takes the two norms. A
      ``DistributedDataParallel`` model needs no call: its own averaging is watched by a communication hook.

    Then ``step()``, before or after clipping and ``optimizer.step()``, returns the batch size of the next step. Rank 0
    decides and broadcasts, so that every rank has the same batch at the same step.

    Parameters
    ----------
    model : torch.nn.Module
    optimizer : torch.optim.Optimizer
    rule : BatchRule
        From `anisotropic.batching`, plug-in or unbiased. Inner-product and coordinate tests need `per_sample`. Without
        `max_batch` the cap is 1024 times the rule's start, and a warning says when it is reached.
    learning_rate : {"keep", "linear", "sqrt"} or callable ``(batch_size, first batch) -> factor``
        How the learning rates follow the batch. Each ``optimizer.step()`` uses the group's rate times the factor, and
        ``param_groups`` keep their own rates: a scheduler, or a loop that assigns them, goes on undisturbed.
    max_growth : float, optional
        The next batch is at most this many times the present one (or one sample larger); 2 is a cautious choice.
    scaler : torch.amp.GradScaler, optional
        The scaler of the loop. It skips the update where float16 gradients overflow, as is routine; the batch then
        stays as it is. Without a scaler, and after 40 overflows in a row, `NonFiniteGradient` is raised.
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
        Steps done, overflows included, and samples (or tokens) used.
    overflows : int
        Steps whose update the `scaler` skipped.

    Raises
    ------
    ValueError, TypeError
        On an exact rule, a rule with a backup, an unknown way to change learning rates or unit, a growth limit of 1
        or less, or an optimizer around whose step learning rates cannot be changed.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        rule: BatchRule,
        *,
        learning_rate: LearningRate = "keep",
        max_growth: float | None = None,
        scaler: torch.amp.GradScaler | None = None,
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
        if max_growth is not None and not max_growth > 1:
            raise ValueError(f"max_growth = {max_growth!r}; expected a factor above 1, such as 2")
        if unit not in ("samples", "tokens"):
            raise ValueError(f"unit = {unit!r}; expected 'samples' or 'tokens'")
        self.model, self.optimizer, self.rule, self.unit = model, optimizer, rule, unit
        self.checkpoint = Path(checkpoint) if checkpoint is not None else None
        self.max_growth, self.scaler = max_growth, scaler
        self.population, self.cap = 0, rule.max_batch or DEFAULT_CAP * rule.start
        self.steps, self.samples, self.overflows = 0, 0, 0
        self.batch_size = self._shared(rule.start)
        factor = factor_of(learning_rate, rule.start)
        self._rates = None if learning_rate == "keep" else ScaledRates(optimizer, factor, self.batch_size)
        self._overflows_in_a_row = 0
        self._seen: Seen | None = None
        self._window = MicroBatches()
        self._several = False
        self._watched: WatchedAverage | None = None
        if isinstance(model, torch.nn.parallel.DistributedDataParallel):
            self._watched = WatchedAverage(model, self._gradients_seen)

    # ---- what is seen -----------------------------------------------------------------------------------------------

    @property
    def workers(self) -> int:
        """Number of ranks, 1 without data parallelism."""
        return rank_count()

    @property
    def local_batch_size(self) -> int:
        """Samples of this rank in the next step."""
        return self.batch_size // self.workers

    @property
    def learning_rates(self) -> list[float]:
        """What the next ``optimizer.step()`` uses, one number a parameter group."""
        return self._rates.effective if self._rates else [float(g["lr"]) for g in self.optimizer.param_groups]

    def norms(self, local: float | Sequence[float], average: float, *, count: int | None = None) -> None:
        """Two kinds of norms: of the gradient of each worker or micro-batch, and of the average of all.

        Under data parallelism `local` is this rank's own norm, one number.
        """
        own = (local,) if isinstance(local, (int, float)) else tuple(local)
        square, parts = math.fsum(float(v) ** 2 for v in own), len(own)
        if self.workers > 1:
            square, summed = sum_over_ranks(torch.tensor([square, float(parts)], dtype=torch.float64)).tolist()
            parts = int(summed)
        self._gradients_seen()
        self._across(square / parts, float(average) ** 2, count, parts)

    def micro_batch(self, *, count: int | None = None) -> None:
        """Look at the gradients after one micro-batch's backward pass; `loss` was divided by their number.

        Parameters
        ----------
        count : int, optional
            Samples (or tokens) of this micro-batch. Without it all are taken to be equal and to make up `batch_size`;
            give it where they differ or a window may be incomplete.

        Raises
        ------
        RuntimeError
            Before the backward pass, and where gradients were set to None between the micro-batches of a step.
        """
        self._window.add(self._parameters, count)
        self._gradients_seen()

    def average_gradients(self, *, count: int | None = None) -> None:
        """Average the gradients over all ranks and take the norms before and after."""
        self._need_workers(self.workers)
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        if not gradients:
            raise RuntimeError("no parameter has a gradient; call this after the backward pass")
        self._across(*average_in_place(gradients), count, self.workers)
        self._gradients_seen()

    def per_sample(self, loss: Callable[..., Tensor], batch: Any, *, count: int | None = None) -> Tensor:
        """Mean loss of the batch; writes its gradient, averaged over ranks, and keeps the variances of single samples.

        Takes the place of the backward pass. `loss` is called as ``loss(model(x), y)`` on batches of one; of a
        dictionary as ``loss(model(**batch), batch)``. Memory: one gradient a sample, in float32.
        """
        module = getattr(self.model, "module", self.model) if self.workers > 1 else self.model
        found = per_sample_gradients(module, loss, batch)
        own = found.losses.numel()
        n = int(sum_over_ranks(torch.tensor(float(own))).item())
        if n < 2:
            raise ValueError("the variance of a batch of one is not defined; use at least 2 samples a step")
        mean = [sum_over_ranks(g) / n for g in total_gradients(found.gradients)]
        for p, m in zip(self._parameters, mean, strict=True):
            p.grad = m.to(p.dtype)
        if isinstance(self.rule.params, Coordinates):
            square, variance = worst_coordinate(found.gradients, mean, n, sum_over_ranks, self.rule)
            projected = 0.0
        else:
            needs = isinstance(self.rule.params, InnerProduct)
            square, variance, projected = moments(found.gradients, mean, n, sum_over_ranks, needs)
        used = self._count(count) if self.unit == "tokens" else n
        self._seen = Seen(square, variance * used / n, projected * used / n, used)
        self._gradients_seen()
        return found.losses.mean()

    # ---- what follows -----------------------------------------------------------------------------------------------

    def step(self, *, count: int | None = None) -> int:
        """Decide; returns the batch size of the next step.

        Raises
        ------
        NonFiniteGradient
            With the number of the step; the state before it is kept in the error, and saved where asked.
        RuntimeError
            Where nothing was shown in this step, or DistributedDataParallel averaged more than once in it.
        """
        used = self._gather(count)
        if self._seen is None:
            raise RuntimeError("step() needs to see gradients first: norms, micro_batch, per_sample, average_gradients")
        seen, number, batch = self._seen, self.steps + 1, self.batch_size
        if not (math.isfinite(seen.square) and math.isfinite(seen.variance)):
            self._overflow(number)
        else:
            self._overflows_in_a_row = 0
            if seen.spread_known:
                batch = self._decide(seen, number)
        self.steps, self.samples = number, self.samples + used
        self.batch_size = self._shared(decided_by_first(batch))
        self._next_step()
        return self.batch_size

    def skip(self, *, count: int | None = None) -> int:
        """Count a step whose gradients were not looked at, as between the tests of a rule with an interval."""
        self.steps, self.samples = self.steps + 1, self.samples + self._count(count)
        self._next_step()
        return self.batch_size

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers; independent of the number of ranks."""
        numbers = {"batch_size": self.batch_size, "steps": self.steps, "samples": self.samples}
        return {**numbers, "overflows": self.overflows, "rule": self.rule.name}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken, also on another number of ranks; the factor of the rates follows."""
        if state["rule"] != self.rule.name:
            raise ValueError(f"the state is that of a {state['rule']}, this controller has a {self.rule.name}")
        self.batch_size = self._shared(state["batch_size"])
        self.steps, self.samples, self.overflows = state["steps"], state["samples"], state["overflows"]
        if self._rates:
            self._rates.resume(self.batch_size)
        self._forget()

    # ---- inside -----------------------------------------------------------------------------------------------------

    def _gradients_seen(self) -> None:
        if self._rates:
            self._rates.gradients_seen()

    def _next_step(self) -> None:
        if self._rates:
            self._rates.next_batch(self.batch_size)
        self._forget()

    def _forget(self) -> None:
        self._seen, self._window = None, MicroBatches()
        if self._watched:
            self._watched.clear()

    @property
    def _parameters(self) -> list[torch.nn.Parameter]:
        return [p for p in self.model.parameters() if p.requires_grad]

    def _count(self, count: int | None) -> int:
        if count is None and self.unit == "tokens":
            raise ValueError("unit = 'tokens' needs count=, the number of tokens in this step over all ranks")
        return self.batch_size if count is None else count

    def _need_workers(self, workers: int) -> None:
        if workers < 2:
            raise ValueError("the test across workers needs at least 2 of them (ranks or micro-batches); with one, "
                             "use per_sample")  # fmt: skip

    def _need_norms_only(self) -> None:
        if isinstance(self.rule.params, (InnerProduct, Coordinates)):
            raise ValueError(f"the {self.rule.name} needs more than norms; use per_sample, or the norm test")

    def _across(self, mean_square: float, average_square: float, count: int | None, workers: int) -> None:
        self._need_workers(workers)
        self._need_norms_only()
        self._seen = from_workers(mean_square, average_square, self._count(count), workers)

    def _gather(self, count: int | None) -> int:
        """Put together what was seen; returns the samples used."""
        averaged = self._watched.squares() if self._watched else None
        if averaged:
            self._across(*averaged, count, self.workers)
        if self._window.squares:
            return self._finish_micro_batches(count)
        return int(self._seen.used) if self._seen else 0

    def _finish_micro_batches(self, count: int | None) -> int:
        if self.workers > 1:
            raise RuntimeError("micro_batch is for one process; under data parallelism use average_gradients")
        self._need_norms_only()
        used = self._window.used or self._count(count)
        self._seen = self._window.seen(used)
        if self._seen.spread_known:
            self._several = True
        elif not self._several:
            warnings.warn(
                "a step of one micro-batch shows no spread, so the batch stays as it is; use at least 2 micro-batches "
                "a step, or per_sample",
                stacklevel=4,
            )
        return used

    def _overflow(self, number: int) -> None:
        routine = self.scaler is not None and self.scaler.is_enabled()
        if not routine or self._overflows_in_a_row >= ROUTINE_OVERFLOWS:
            raise NonFiniteGradient(number, self.state_dict(), self._save(), self._overflows_in_a_row)
        self.overflows, self._overflows_in_a_row = self.overflows + 1, self._overflows_in_a_row + 1

    def _decide(self, seen: Seen, number: int) -> int:
        if number % self.rule.interval or (self.batch_size >= self.cap and not self.rule.shrink):
            return self.batch_size
        g, V = np.array([math.sqrt(seen.square)]), np.array([seen.variance])
        history = np.zeros((0, 1))
        projected = 0.0 if math.isnan(seen.projected_variance) else seen.projected_variance
        wanted = self.rule.decide(seen.used, g, V, projected, self.population, number, history, self.rule.params)
        batch = bounded(self.batch_size, wanted, self.rule.shrink, self._limit())
        if batch > self.batch_size and self.rule.max_batch is None and batch == DEFAULT_CAP * self.rule.start:
            warnings.warn(
                f"the batch has reached its default cap of {batch}, {DEFAULT_CAP} times its start; give the rule a "
                "max_batch= to say how far it may grow",
                stacklevel=3,
            )
        return batch

    def _limit(self) -> int:
        if self.max_growth is None:
            return self.cap
        return min(self.cap, max(self.batch_size + 1, int(self.max_growth * self.batch_size)))

    def _shared(self, batch: int) -> int:
        """Rounded up to a multiple of the ranks."""
        return -(-int(batch) // self.workers) * self.workers

    def _save(self) -> Path | None:
        if self.checkpoint is None or rank():
            return self.checkpoint
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        torch.save(state | {"controller": self.state_dict()}, self.checkpoint)
        return self.checkpoint
