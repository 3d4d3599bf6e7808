"""What do several ranks show of one step? Sums over all of them, and the average that DistributedDataParallel takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as distributed
from torch import Tensor

from .gradients import squared_norm


def rank_count() -> int:
    """Number of ranks, 1 without data parallelism."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def rank() -> int:
    """This rank, 0 without data parallelism."""
    return distributed.get_rank() if rank_count() > 1 else 0


def sum_over_ranks(value: Tensor) -> Tensor:
    """The sum of a tensor over all ranks; itself where there is one."""
    if rank_count() > 1:
        value = value.clone()
        distributed.all_reduce(value)
    return value


def decided_by_first(number: int) -> int:
    """Rank 0's number, on every rank."""
    if rank_count() == 1:
        return number
    decided = torch.tensor([number], dtype=torch.int64)
    distributed.broadcast(decided, src=0)
    return int(decided.item())


def average_in_place(gradients: list[Tensor]) -> tuple[float, float]:
    """Average gradients over all ranks; returns the mean of their squared norms before, and that of the average."""
    local = squared_norm(gradients)
    flat = torch.cat([g.flatten() for g in gradients])
    distributed.all_reduce(flat)
    flat /= rank_count()
    for g, piece in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        g.copy_(piece.view_as(g))
    return sum_over_ranks(local.double()).item() / rank_count(), squared_norm(gradients).item()


class WatchedAverage:
    """Norms of DistributedDataParallel's buckets before and after its own averaging, by a communication hook."""

    def __init__(self, model: torch.nn.parallel.DistributedDataParallel, seen: Callable[[], None]) -> None:
        self.seen = seen
        self.clear()
        model.register_comm_hook(self, _average)

    def clear(self) -> None:
        """Forget the step."""
        self.norms: dict[int, list[Tensor]] = {}
        self.twice = False

    def squares(self) -> tuple[float, float] | None:
        """Mean of the ranks' squared norms and that of the average, over all buckets; None if nothing was averaged."""
        if self.twice:
            raise RuntimeError(
                "DistributedDataParallel averaged gradients more than once since the last step(); run all "
                "micro-batches but the last under model.no_sync(), and call skip() for steps that are not looked at"
            )
        if not self.norms:
            return None
        local, average = (torch.stack(parts).double().sum() for parts in zip(*self.norms.values(), strict=True))
        return sum_over_ranks(local).item() / rank_count(), average.item()


def _average(watched, bucket):  # PyTorch compares annotations as objects: none here
    """All-reduce of one bucket, as DistributedDataParallel itself does it, with the norms before and after."""
    flat, seen = bucket.buffer(), [squared_norm([bucket.buffer()])]
    watched.twice |= bucket.index() in watched.norms
    watched.norms[bucket.index()] = seen
    watched.seen()

    def finish(future: torch.futures.Future[Any]) -> Tensor:
        reduced = future.value()[0].div_(rank_count())
        seen.append(squared_norm([reduced]))
        return reduced

    return distributed.all_reduce(flat, async_op=True).get_future().then(finish)
