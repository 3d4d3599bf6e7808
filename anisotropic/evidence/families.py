"""Which instances may a search try? Families of setups, each a box of numbers, and instances that can be written down.

A family turns a point of its box into a `Setup` inside the assumptions of a bound, or very nearly: what violates a
hypothesis is sorted out by the same check that `verify` makes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .. import bounds
from ..bounds.theorem import Bound
from ..records import Run
from . import huber
from .cells import Setup
from .huber import Axes, MakeOptimizer

#: Updates of single coordinates that every replica of a full set may make; of longer ones there are fewer replicas.
FULL = 3072
FEWEST = 16


def _numbers(bound: Bound, at: Mapping[str, float]) -> str:
    return ", ".join(f"{name} = {value:.3g}" for name, value in at.items())


@dataclass(frozen=True)
class Family:
    """A named box of numbers for each bound, and the setup that belongs to a point of it.

    `words` says a point in one line. `anchors` are points that a search looks at first, `neutral` says where an axis
    stands in a point that was written before the family had it.
    """

    name: str
    axes: Callable[[Bound], Axes]
    build: Callable[[Bound, Mapping[str, float]], Setup]
    words: Callable[[Bound, Mapping[str, float]], str] = _numbers
    anchors: Callable[[Bound], Iterable[Mapping[str, float]]] = lambda bound: ()
    neutral: Mapping[str, float] = field(default_factory=dict)


HUBER = Family("huber", huber.huber_axes, huber.huber_setup, huber.huber_words, huber.huber_anchors, huber.NEUTRAL)
FAMILIES: dict[str, Family] = {"huber": HUBER}


def own_method(make_optimizer: MakeOptimizer) -> Family:
    """The family "huber" with an optimizer of one's own, made from the constants of each instance.

    Examples
    --------
    >>> import anisotropic as an
    >>> own_method(lambda known: an.optimizers.heavy_ball(known["step_size"], 0.9)).name
    'huber with its own method'
    """
    if not callable(make_optimizer):
        raise TypeError(f"make_optimizer = {make_optimizer!r}; expected a function of a dict of constants")
    build = partial(huber.huber_setup, make_optimizer=make_optimizer)
    return replace(HUBER, name="huber with its own method", build=build)


def affordable(setup: Setup, most: int) -> int:
    """How many replicas of a setup are simulated where `most` is a full set: fewer of a long trajectory."""
    if setup.noise.law == "none":
        return min(most, 2)
    return int(np.clip(most * FULL // (setup.steps * setup.objective.dim), FEWEST, most))


@dataclass(frozen=True)
class Instance:
    """A point of a family at which a bound was looked at after `steps` updates; ``instance()`` simulates it again."""

    bound: Bound
    family: Family
    point: Mapping[str, float]
    steps: int

    def setup(self) -> Setup:
        """The setup, run to the horizon that counts."""
        return self.family.build(self.bound, self.point).with_(steps=self.steps, records=1)

    def __call__(self, *, replicas: int = 4096, seed: int = 0, **changes: Any) -> Run:
        """Simulate."""
        return self.setup()(replicas=replicas, seed=seed, **changes)

    def __str__(self) -> str:
        return f"T = {self.steps}, {self.family.words(self.bound, self.point)}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return {"bound": self.bound.name, "family": self.family.name, "steps": self.steps, "point": dict(self.point)}

    def save(self, path: str | Path) -> Path:
        """Write a JSON file that `load_instance` reads back."""
        path = Path(path)
        path.write_text(json.dumps(self.to_dict(), indent=2) + "\n")
        return path


def instance_from(content: Mapping[str, Any], bound: Bound | None = None, family: Family | None = None) -> Instance:
    """The instance that `Instance.to_dict` described; a bound or a family of one's own is given again."""
    bound = bounds[content["bound"]] if bound is None else bound  # type: ignore[index]
    family = FAMILIES.get(content["family"]) if family is None else family
    if family is None:
        raise ValueError(f"family {content['family']!r} is not one of {', '.join(FAMILIES)}; pass your own by family=")
    return Instance(bound, family, dict(content["point"]), int(content["steps"]))


def load_instance(path: str | Path, bound: Bound | None = None, family: Family | None = None) -> Instance:
    """Read an instance that `Instance.save` wrote."""
    return instance_from(json.loads(Path(path).read_text()), bound, family)
