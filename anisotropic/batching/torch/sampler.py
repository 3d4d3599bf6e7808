"""Which rows come next, when the number of rows changes from step to step and the same data is shared among ranks?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.distributed as distributed

from ...records import count as whole
from .controller import BatchSizeController


class BatchSampler(torch.utils.data.Sampler[list[int]]):
    """Yields lists of indices, as many as the controller asks for at that moment; pass it as ``batch_sampler=``.

    All ranks walk through one permutation of the data, and each takes its own part of every step. The batch never
    exceeds the data. What is left of an epoch and smaller than a batch is dropped, except where it is all there is.
    A ``DataLoader`` with worker processes draws batches ahead: sizes then lag by its prefetch factor. The state is that
    of the batches whose steps the controller has counted (`step` or `skip`), so that a resumed run, or a loop that
    starts anew after a ``break``, gets the batches drawn ahead again. ``len()`` is the number of batches of an epoch at
    the present batch size; fewer come as it grows.

    Parameters
    ----------
    controller : BatchSizeController
    size : int
        Number of samples in the data.
    lengths : sequence of int, optional
        Tokens of each sample; needed where the controller counts tokens, and then batches hold about that many.
    shuffle : bool
    seed : int
    """

    def __init__(
        self, controller: BatchSizeController, size: int, *, lengths: Sequence[int] | None = None,
        shuffle: bool = True, seed: int = 0,
    ) -> None:  # fmt: skip
        self.controller, self.size, self.shuffle, self.seed = controller, whole(size, "size"), shuffle, int(seed)
        if controller.unit == "tokens" and lengths is None:
            raise ValueError("the controller counts tokens; pass lengths=, the tokens of each sample")
        if lengths is not None and len(lengths) != size:
            raise ValueError(f"lengths has {len(lengths)} entries for {size} samples; expected one for each")
        self.lengths = list(lengths) if lengths is not None and controller.unit == "tokens" else None
        whole_data = sum(self.lengths) if self.lengths else self.size // controller.workers * controller.workers
        if controller.batch_size > whole_data:
            raise ValueError(
                f"the controller starts with {controller.batch_size} {controller.unit} a step, the data has "
                f"{whole_data}; without replacement a batch cannot be larger: start lower"
            )
        controller.cap = min(controller.cap, whole_data)
        controller.population = 0 if self.lengths else self.size
        self.epoch, self.position = 0, 0
        self._drawn: list[tuple[int, int]] = []
        self._steps_before, self._exhausted = controller.steps, False

    def _order(self) -> list[int]:
        if not self.shuffle:
            return list(range(self.size))
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        return torch.randperm(self.size, generator=generator).tolist()

    def _take(self, order: list[int], position: int) -> int:
        """How many samples the step that begins there has, over all ranks."""
        workers, wanted = self.controller.workers, self.controller.batch_size
        if self.lengths is None:
            return wanted
        taken = tokens = 0
        for index in order[position:]:
            if taken and tokens + self.lengths[index] > wanted:
                break
            taken, tokens = taken + 1, tokens + self.lengths[index]
        return max(taken // workers, 1) * workers

    def __iter__(self) -> Iterator[list[int]]:
        rank = distributed.get_rank() if self.controller.workers > 1 else 0
        self._settle()
        order, position = self._order(), self.position
        while (n := self._take(order, position)) and position + n <= self.size:
            part = n // self.controller.workers
            first = position + rank * part
            position += n
            self._drawn.append((self.epoch, position))
            yield order[first : first + part]
        self._drawn[-1:] = [(self.epoch + 1, 0)]
        self._exhausted = True

    def __len__(self) -> int:
        if self.lengths is None:
            return self.size // self.controller.batch_size
        order, position, batches = self._order(), 0, 0
        while (n := self._take(order, position)) and position + n <= self.size:
            position, batches = position + n, batches + 1
        return batches

    def _settled(self) -> tuple[int, int]:
        """Epoch and position behind the batches whose steps are done.

        Where a whole epoch was drawn and no step counted, nobody counts, and the epoch is over.
        """
        done = min(self.controller.steps - self._steps_before, len(self._drawn))
        if done <= 0:
            return self._drawn[-1] if self._exhausted and self._drawn else (self.epoch, self.position)
        return self._drawn[done - 1]

    def _settle(self) -> None:
        self.epoch, self.position = self._settled()
        self._drawn, self._steps_before, self._exhausted = [], self.controller.steps, False

    def state_dict(self) -> dict[str, Any]:
        """Epoch and position in it, independent of the number of ranks and of what was drawn ahead."""
        epoch, position = self._settled()
        return {"epoch": epoch, "position": position, "seed": self.seed}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on in the middle of an epoch."""
        self.epoch, self.position, self.seed = state["epoch"], state["position"], state["seed"]
        self._drawn, self._steps_before, self._exhausted = [], self.controller.steps, False
