"""How do learning rates follow the batch without fighting a scheduler? They are scaled inside `optimizer.step()` only.

Some schedulers multiply the rate that they find (StepLR, CosineAnnealingLR), others write one of their own (LambdaLR,
OneCycleLR, SequentialLR), and many loops assign it by hand. What stands in ``param_groups`` is therefore left to them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

LearningRate = str | Callable[[int, int], float]
FACTORS: dict[str, Callable[[int, int], float]] = {
    "keep": lambda batch, start: 1.0,
    "linear": lambda batch, start: batch / start,
    "sqrt": lambda batch, start: math.sqrt(batch / start),
}


class ScaledRates:
    """Multiplies each group's learning rate by ``factor(batch)`` for the time of one `optimizer.step()`.

    The batch is that of the gradients in hand, also where the next batch is decided before the optimizer has stepped.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, factor: Callable[[int], float], batch: int) -> None:
        self.optimizer, self.factor = optimizer, factor
        self.resume(batch)
        try:
            optimizer.register_step_pre_hook(self._before_step)
            optimizer.register_step_post_hook(self._after_step)
        except AttributeError as error:
            raise TypeError(
                f"{type(optimizer).__name__} takes no hooks around its step, so learning rates cannot follow the "
                "batch; pass the torch.optim optimizer that it wraps, or learning_rate='keep'"
            ) from error

    @property
    def effective(self) -> list[float]:
        """What the next step uses, one number a group."""
        return [float(group["lr"]) * self.factor(self._batch) for group in self.optimizer.param_groups]

    def resume(self, batch: int) -> None:
        """Start with this batch."""
        self._batch = self._next = batch
        self._stepped = False
        self._own: list[Any] | None = None

    def gradients_seen(self) -> None:
        """There are gradients in hand that the optimizer has not used yet."""
        self._stepped = False

    def next_batch(self, batch: int) -> None:
        """The next gradients are those of `batch` samples; those in hand may still wait for the optimizer."""
        self._next = batch
        if self._stepped:
            self._batch = batch

    def _before_step(self, *_: Any) -> None:
        self._restore()  # an optimizer that failed in the middle of a step left its groups scaled
        self._own = [group["lr"] for group in self.optimizer.param_groups]
        factor = self.factor(self._batch)
        for group in self.optimizer.param_groups:
            group["lr"] = group["lr"] * factor

    def _after_step(self, *_: Any) -> None:
        self._restore()
        self._batch, self._stepped = self._next, True

    def _restore(self) -> None:
        if self._own is not None:
            for group, rate in zip(self.optimizer.param_groups, self._own, strict=True):
                group["lr"] = rate
        self._own = None


def factor_of(learning_rate: LearningRate, start: int) -> Callable[[int], float]:
    """``batch -> factor``, 1 at the start."""
    if not callable(learning_rate) and learning_rate not in FACTORS:
        raise ValueError(f"learning_rate = {learning_rate!r}; expected one of {', '.join(FACTORS)} or a function")
    function = learning_rate if callable(learning_rate) else FACTORS[learning_rate]
    return lambda batch: function(batch, start) / function(start, start)
