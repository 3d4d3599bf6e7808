"""How does R_med move while a PyTorch model trains? Measurements on fixed data, every few steps or at loss levels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from ..._support.calling import arguments_for
from ..matching import Trajectory
from ..statistic import RMed
from .graph import Loss, layer_names
from .inputs import inputs_and_targets
from .measure import r_med


class Tracker:
    """Records of a run; made by `track`. Call `step()` after each optimizer step, read `trajectory` at the end."""

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        batch: Any,
        layers: list[str],
        every: int,
        levels: Sequence[float] | None,
        loss_batch: Any,
        smooth: int,
        options: dict[str, Any],
    ) -> None:
        self.model, self.loss, self.batch, self.layers = model, loss, batch, layers
        self.every, self.smooth, self.options = every, smooth, options
        self.loss_batch = batch if loss_batch is None else loss_batch
        self.waiting = None if levels is None else sorted((float(v) for v in levels), reverse=True)
        self.steps = 0
        self.recent: list[float] = []
        self.points: list[tuple[int, float, dict[str, RMed]]] = []

    def step(self) -> dict[str, RMed] | None:
        """Count one update of the weights; measure if it is time, and return what was measured."""
        self.steps += 1
        return self.measure() if self.steps % self.every == 0 else None

    def measure(self) -> dict[str, RMed] | None:
        """Evaluate the loss now, and R_med unless levels were given and none has just been reached."""
        with evaluation_mode(self.model):
            with torch.no_grad():
                x, y = inputs_and_targets(self.loss_batch)
                args, named = arguments_for(self.model.forward, x)
                value = float(self.loss(self.model(*args, **named), y))
            self.recent = [*self.recent, value][-self.smooth :]
            smoothed = float(np.mean(self.recent))
            if self.waiting is not None:
                below = [v for v in self.waiting if smoothed <= v]
                if not below or len(self.recent) < self.smooth:
                    return None
                self.waiting = [v for v in self.waiting if v not in below]
            found = r_med(self.model, self.loss, self.batch, self.layers, **self.options)
        self.points.append((self.steps, smoothed, found))
        return found

    @property
    def finished(self) -> bool:
        """Whether every level has been reached."""
        return self.waiting == []

    @property
    def trajectory(self) -> Trajectory:
        """What was recorded, ready for `anisotropic.geometry.match_by_loss`."""
        values = [[p[2][name].value for name in self.layers] for p in self.points]
        ends = [[p[2][name].interval for name in self.layers] for p in self.points]
        return Trajectory(
            np.array([p[0] for p in self.points], dtype=np.int64),
            np.array([p[1] for p in self.points]),
            np.array(values, dtype=np.float64).reshape(-1, len(self.layers)),
            tuple(self.layers),
            np.array(ends, dtype=np.float64).reshape(-1, len(self.layers), 2),
        )


def track(
    model: nn.Module,
    loss: Loss,
    batch: Any,
    layers: Iterable[str] | str | None = None,
    *,
    every: int = 10,
    levels: Sequence[float] | None = None,
    loss_batch: Any = None,
    smooth: int = 1,
    **options: Any,
) -> Tracker:
    """Watch R_med while a model trains, so that two runs can be compared at equal training loss.

    The model is measured in evaluation mode (dropout off, running statistics of batch norm frozen) and put back.

    Parameters
    ----------
    model, loss, batch, layers
        As for `r_med`; keep `batch` the same for the runs to be compared.
    every : int
        Steps between two evaluations.
    levels : sequence of numbers, optional
        Measure R_med only where the loss first falls to each of these; by default at every evaluation.
    loss_batch : like `batch`, optional
        Training data on which the loss is evaluated; `batch` by default, often a larger part of the data.
    smooth : int
        Average the loss over this many evaluations (3 with minibatch noise: a first crossing comes too early).
    **options
        Passed to `r_med`.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> batch = torch.tensor([[1.0, 0.0], [0.0, 3.0]]), torch.ones(2, 1)
    >>> watch = track(model, torch.nn.functional.mse_loss, batch, every=1)
    >>> for _ in range(2):
    ...     optimizer.zero_grad()
    ...     torch.nn.functional.mse_loss(model(batch[0]), batch[1]).backward()
    ...     optimizer.step()
    ...     _ = watch.step()
    >>> watch.trajectory.steps, watch.trajectory.r_med.round(6).tolist()      # a quadratic: the same everywhere
    (array([1, 2]), [[1.8], [1.8]])
    """
    if every < 1 or smooth < 1:
        raise ValueError(f"every = {every}, smooth = {smooth}; expected whole numbers of at least 1")
    return Tracker(model, loss, batch, layer_names(model, layers), every, levels, loss_batch, smooth, options)


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put every module into evaluation mode, and back as it was."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
