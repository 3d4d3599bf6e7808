"""How was a run made? What a theorem may ask about beyond the values of constants, as a typed record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Facts:
    """How a run was made.

    Parameters
    ----------
    objective, optimizer, noise, law : str
        Names of the nouns, empty where unknown, and the law of the noise: "gaussian", "bounded", "heavy", "rows" or
        "none".
    dim : int
    properties : tuple of str
        Of the objective, sorted.
    box : bool
        Whether iterates were projected onto a box.
    settings : mapping
        Of the optimizer: "preset", "eps", "beta", ...
    schedule, batch : str
        "constant", or the name of the step-size schedule and of the batch rule.
    schedule_watches_loss : bool
        Whether the step sizes depend on the training loss, hence on the noise.
    rule : mapping
        Form and parameters of the batch rule, empty for a constant batch.
    batch_test_always_holds : bool
        Whether the inequality of the batch rule held at every iteration of every replica, with no floor in it: an exact
        rule that was asked at each and that no cap broke.
    seed : int or None
    local_steps, workers : int
        Of local methods; 1 otherwise.

    Examples
    --------
    >>> Facts(optimizer="sgd", law="none").batch
    'constant'
    """

    objective: str = ""
    dim: int = 0
    properties: tuple[str, ...] = ()
    box: bool = False
    optimizer: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    schedule: str = "constant"
    schedule_watches_loss: bool = False
    noise: str = ""
    law: str = ""
    batch: str = "constant"
    rule: Mapping[str, Any] = field(default_factory=dict)
    batch_test_always_holds: bool = False
    seed: int | None = None
    local_steps: int = 1
    workers: int = 1

    def asdict(self) -> dict[str, Any]:
        """A plain dictionary that JSON can hold."""
        return asdict(self) | {"properties": list(self.properties)}

    @classmethod
    def from_json(cls, text: str) -> Facts:
        """The record that ``json.dumps(facts.asdict())`` wrote; keys of another version are refused."""
        found = json.loads(text)
        known = {f.name for f in fields(cls)}
        if not isinstance(found, dict) or (unknown := sorted(set(found) - known)):
            what = f"the facts {', '.join(unknown)}" if isinstance(found, dict) else "no facts"
            raise ValueError(f"this run was saved with {what}, which this version does not know; simulate it again")
        return cls(**found | {"properties": tuple(found.get("properties", ()))})
