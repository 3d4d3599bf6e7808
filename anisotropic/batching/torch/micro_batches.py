"""What do the micro-batches of one step show of its samples? Their gradients, read off the sums that backward leaves.

Everything is kept at the time of each backward pass: what clipping, a `GradScaler` or the optimizer do to the gradients
later changes nothing. A loss scale multiplies variance and squared norm alike, so that their ratio is that of the
gradients themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ...records import count as whole
from .gradients import Seen, from_workers, squared_norm


class MicroBatches:
    """Squared norms of the gradients of one step's micro-batches, as they are accumulated."""

    def __init__(self) -> None:
        self.squares: list[Tensor] = []
        self.counts: list[int | None] = []
        self._total: dict[Tensor, Tensor] = {}
        self._kept: dict[Tensor, Tensor] = {}

    def add(self, parameters: Sequence[Tensor], count: int | None) -> None:
        """Read the gradients after one more backward pass."""
        now = {p: p.grad for p in parameters if p.grad is not None}
        if not now:
            raise RuntimeError("no parameter has a gradient; call this after the backward pass")
        if any(now.get(p) is not kept for p, kept in self._kept.items()):
            raise RuntimeError(
                "the gradients were replaced since the last micro-batch; micro_batch reads sums, so set them to zero "
                "only once a step, before its first micro-batch"
            )
        before = [p for p in now if p in self._total]
        new = [g for p, g in now.items() if p not in self._total]
        if before:
            new += torch._foreach_sub([now[p] for p in before], [self._total[p] for p in before])
        if self.counts and (self.counts[0] is None) != (count is None):
            raise ValueError("count was given for some micro-batches of this step only; give it for all or for none")
        self.squares.append(squared_norm(new))
        self.counts.append(None if count is None else whole(count, "count"))
        self._kept, self._total = now, {p: g.clone() for p, g in now.items()}

    @property
    def used(self) -> int | None:
        """Samples of all micro-batches, None where no counts were given."""
        counts = [n for n in self.counts if n is not None]
        return sum(counts) if counts else None

    def seen(self, used: int) -> Seen:
        """Variance of one sample and squared norm of the mean, from `used` samples in all where no counts were given.

        With k micro-batches of n_1, .., n_k samples, h their harmonic mean, the spread mean |g_m|^2 - |gbar|^2 has the
        mean V (k-1) / (k h), and gbar has the variance V / (k h). One micro-batch has no spread.
        """
        k = len(self.squares)
        mean_square = float(torch.stack(self.squares).double().sum()) * k
        square = float(squared_norm(list(self._total.values())))
        inverse = math.fsum(1 / n for n in self.counts if n is not None)
        effective = k * k / inverse if inverse else float(used)
        if k == 1:
            return Seen(square, mean_square - square, math.nan, effective, spread_known=False)
        return from_workers(mean_square, square, effective, k)
