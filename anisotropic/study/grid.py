"""Which points does a study ask about? Axes and their product, what is left out, and the seed of each point."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._support.names import nearest
from .errors import StudyError
from .files import canonical

UNPAIRED = ("optimizer", "step_size")
RESERVED = (
    "seed", "quick", "results", "executor", "workers", "timeout", "json", "quiet", "from_manifest", "help", "word",
)  # fmt: skip
#: Points of a product of axes; a grid that is larger is a slip.
LARGEST = 10_000_000
Axes = dict[str, list[Any]]


@dataclass(frozen=True, eq=False)
class Grid:
    """A product of axes.

    Parameters
    ----------
    name : str
    axes : mapping of str to list
        Values are numbers, texts, booleans or None.
    quick : mapping, optional
        Axes replaced by ``--quick``.
    unpaired : sequence of str
        Axes that do not change the seed.
    include : function ``(**point) -> bool``, optional
        False drops a point of the product.
    """

    name: str
    axes: Mapping[str, Sequence[Any]]
    quick: Mapping[str, Sequence[Any]] = field(default_factory=dict, kw_only=True)
    unpaired: Sequence[str] = field(default=UNPAIRED, kw_only=True)
    include: Callable[..., bool] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not self.axes:
            raise StudyError(f"study {self.name} has no axes; expected AXES = {{'name': [values]}}")
        for reserved in set(self.axes) & set(RESERVED):
            hint = "; it is the hash of the point: repeat with an axis such as 'repeat'" if reserved == "seed" else ""
            raise StudyError(f"study {self.name} has an axis {reserved!r}, a word that studies use themselves{hint}")
        object.__setattr__(self, "axes", self._checked(self.axes))
        object.__setattr__(self, "unpaired", self._checked_names(self.unpaired))
        object.__setattr__(self, "quick", self._checked(self.quick))

    def _checked(self, axes: Mapping[str, Sequence[Any]]) -> Axes:
        """Axes as lists of plain JSON values, known by name, without repeats."""
        checked: Axes = {}
        for name, values in axes.items():
            if name not in self.axes:
                has = f"it has {', '.join(self.axes)}{nearest(name, self.axes)}"
                raise StudyError(f"study {self.name} has no axis {name!r}; {has}")
            if isinstance(values, str) or not isinstance(values, (Sequence, np.ndarray)) or not len(values):
                raise StudyError(f"axis {name!r} is {values!r}; expected a list with at least one value")
            plain = [v.item() if isinstance(v, np.generic) else v for v in values]
            for value in plain:
                if not isinstance(value, (int, float, str, bool, type(None))):
                    raise StudyError(f"axis {name!r} holds {value!r}; expected numbers, texts, booleans or None")
                if isinstance(value, float) and not np.isfinite(value):
                    raise StudyError(f"axis {name!r} holds {value!r}; expected finite numbers")
            checked[name] = list(dict.fromkeys(plain))
        return checked

    def _checked_names(self, unpaired: Sequence[str]) -> tuple[str, ...]:
        """Unpaired axes; a text, or a name that only nearly is that of an axis, would lose the pairing in silence."""
        if isinstance(unpaired, str) or not all(isinstance(name, str) for name in unpaired):
            raise StudyError(
                f"UNPAIRED of study {self.name} is {unpaired!r}; expected a tuple of names of axes, "
                f"such as UNPAIRED = ({unpaired!r},)"
                if isinstance(unpaired, str)
                else f"UNPAIRED of study {self.name} is {unpaired!r}; expected names of axes"
            )
        for name in unpaired:
            if name not in self.axes and name not in UNPAIRED and (hint := nearest(name, self.axes)):
                raise StudyError(f"UNPAIRED of study {self.name} names {name!r}, which is not an axis{hint}")
        return tuple(unpaired)

    def grid(self, quick: bool = False, **overrides: Sequence[Any]) -> Axes:
        """The axes in force."""
        return self._checked({**self.axes, **(self.quick if quick else {}), **overrides})

    def points(self, axes: Axes) -> list[dict[str, Any]]:
        """All points of a grid, last axis fastest, less those that `include` drops."""
        size = math.prod(len(values) for values in axes.values())
        if size > LARGEST:
            lengths = " x ".join(f"{name}: {len(values)}" for name, values in axes.items())
            raise StudyError(f"study {self.name} has {size:,} points ({lengths}); expected at most {LARGEST:,}")
        product = (dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values()))
        return [p for p in product if self.include is None or self.include(**p)]

    def seed(self, point: Mapping[str, Any]) -> int:
        """63-bit hash of the point without the unpaired axes.

        >>> grid = Grid("s", {"optimizer": ["sgd", "adagrad"], "batch": [1, 2]})
        >>> same = [grid.seed({"optimizer": o, "batch": 1}) for o in ("sgd", "adagrad")]
        >>> same[0] == same[1] != grid.seed({"optimizer": "sgd", "batch": 2})
        True
        """
        paired = {k: v for k, v in point.items() if k not in self.unpaired}
        return int.from_bytes(hashlib.sha256(canonical(paired).encode()).digest()[:8], "big") >> 1
