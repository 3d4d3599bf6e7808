"""What is a setup? An objective, a noise and a method on which a bound can be shown to hold, ready to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..records import BatchRule, Noise, Objective, Optimizer, Run, Verdict
from ..simulation.run import simulate
from .verdicts import verify


@dataclass(frozen=True)
class Setup:
    """A simulation that is ready to run and satisfies every hypothesis of its bound.

    `constants` are what the bound needs and a run cannot know. Calling the setup simulates; keywords replace those of
    `anisotropic.simulate`.
    """

    bound: Any
    objective: Objective
    optimizer: Optimizer
    noise: Noise
    start: Any
    steps: int
    batch_size: int | BatchRule = 1
    replicas: int = 256
    seed: int = 0
    records: int = 40
    constants: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""
    measures: Mapping[str, Any] | None = None

    def __call__(self, **changes: Any) -> Run:
        """Simulate."""
        options: dict[str, Any] = {
            name: getattr(self, name) for name in ("start", "steps", "batch_size", "replicas", "seed", "records")
        }
        options["measures"] = self.measures
        return simulate(self.objective, self.optimizer, noise=self.noise, **options | changes)

    def verify(self, bound: Any = None, run: Run | None = None, **options: Any) -> Verdict:
        """Simulate, unless a run is given, and verify the bound of this setup, or another one on the same run."""
        return verify(bound or self.bound, run or self(), **dict(self.constants) | options)

    def with_(self, **changes: Any) -> Setup:
        """The same setup with other fields."""
        return replace(self, **changes)
