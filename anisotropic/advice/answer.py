"""What is the advice? Races by batch size and measure, what stands beside them, and the way out: text, table, JSON."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._support.output import SCHEMA, plain
from ..evidence.entries import Race
from ..plotting.figures import title
from .compare import LABELS, decide, pair_level
from .critical import Critical
from .figure import draw
from .prediction import RECORD, Prediction
from .words import sentences

if TYPE_CHECKING:
    from matplotlib.axes import Axes

@dataclass(frozen=True, eq=False)
class Advice:
    """What `advise` found; print it, `to_json` it, or `plot` it.

    Attributes
    ----------
    problem : dict
        Facts about it: name, rows, columns, ...
    races : mapping of (batch size, measure) to Race
        Tuned entries; `advice.races[64, "gap"].tuned["adam"].step_size`.
    settings : dict
        samples, replicas, tuning replicas, seed, level.
    seconds : mapping of batch size to float
        What one more replica of every method took here.
    critical : Critical or None
        The measured critical batch size of SGD, and the gradient noise scale.
    predictions : tuple of Prediction
        What a comparison of bounds says, one for each batch size.
    """

    problem: dict[str, Any]
    races: Mapping[tuple[int, str], Race]
    settings: dict[str, Any]
    seconds: Mapping[int, float]
    critical: Critical | None = None
    predictions: tuple[Prediction, ...] = ()

    @property
    def batch_sizes(self) -> list[int]:
        """The batch sizes that were raced."""
        return sorted({b for b, _ in self.races})

    @property
    def measures(self) -> list[str]:
        """What was compared, the first one first."""
        return list(dict.fromkeys(m for _, m in self.races))

    @property
    def sentences(self) -> list[str]:
        """The answer, at most six sentences."""
        return sentences(self)

    def more_replicas(self, batch_size: int, seconds: float = 60.0) -> int:
        """How many more replicas of every method so many seconds buy."""
        return int(seconds / max(self.seconds[batch_size], 1e-9))

    def rows(self) -> list[dict[str, Any]]:
        """The table that is printed: one dict for each batch size, measure and method."""
        found = []
        for (batch, measure), race in self.races.items():
            decision = decide(race)
            for e in race.tuned.values():
                r = decision.ratios.get(e.method)
                sound = np.isfinite(e.values).all()
                found.append({
                    "batch": batch,
                    "measure": LABELS.get(measure, measure),
                    "method": title(e.method),
                    "step size": f"{e.step_size:.3g}" + ("*" if e.at_edge else ""),
                    "mean": f"{e.values.mean():.3g}" if sound else "diverged",
                    f"over {title('sgd')}": "1" if r is None else f"{r:.3g}" if np.isfinite(r.estimate) else "-",
                    "verdict": _verdict(e.method, race.reference, decision),
                })  # fmt: skip
        return found

    def __str__(self) -> str:
        text = textwrap.fill(" ".join(self.sentences), 100)
        rows = self.rows()
        columns = list(rows[0])
        cells = [columns, *[[str(row[c]) for c in columns] for row in rows]]
        widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
        table = ["  ".join(t.ljust(w) for t, w in zip(line, widths, strict=True)).rstrip() for line in cells]
        return "\n".join([text, "", *table, *self.notes()])

    def notes(self) -> list[str]:
        """What a reader should know before believing the table, one sentence each."""
        s = self.settings
        level = pair_level(next(iter(self.races.values())))
        found = [
            f"{s['samples']:,} samples a run; step sizes searched with {s['tuning_replicas']} seeds, results of "
            f"{s['replicas']} others; ratios are paired by seed, and all pairs of one batch size and measure hold "
            f"together at level {s['level']:g} ({level:.2g} each)."
        ]
        if any(e.method.endswith(" decaying") for race in self.races.values() for e in race.entries):
            found.append("Only SGD is offered a step size that falls; a schedule may help the others as well.")
        edges = sorted({title(m) for race in self.races.values() for m in race.edges()})
        if edges:
            found.append(f"* The best step size of {', '.join(edges)} lies at an end of a grid that was widened twelve "
                         "times.")  # fmt: skip
        for (batch, measure), race in self.races.items():
            for method, n in decide(race).diverged.items():
                where = f"at batch size {batch:,} ({LABELS.get(measure, measure)})"
                found.append(f"{title(method)} diverged {where} on {n} of {race.replicas} seeds; it is not ranked.")
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain data: the answer, each race with ratios and step sizes, and what stands beside them."""
        races = []
        for (batch, measure), race in self.races.items():
            decision = decide(race)
            races.append({
                "batch_size": batch, "measure": measure, "iterations": race.steps, "reference": race.reference,
                "winner": decision.winner, "open": decision.open, "ahead_of_reference": decision.ahead,
                "behind_reference": decision.behind, "diverged": decision.diverged,
                "methods": {
                    e.method: {
                        "step_size": e.step_size, "at_edge": e.at_edge, "tried": e.tried,
                        "mean": float(e.values.mean()), "values": e.values,
                        "ratio": None if (r := decision.ratios.get(e.method)) is None else r._asdict(),
                    }
                    for e in race.tuned.values()
                },
            })  # fmt: skip
        critical = None
        if self.critical is not None:
            c = self.critical
            critical = {
                "value": c.value, "interval": [c.low, c.high], "sizes": c.sizes, "decrease": c.decrease,
                "noise_scale": c.noise_scale.value, "noise_scale_interval": c.noise_scale.interval,
                "noise_scale_over_rows": c.over_rows, "gap": c.gap,
            }  # fmt: skip
        predictions = [p._asdict() | {"favored": p.favored} for p in self.predictions]
        return {
            "problem": self.problem, "settings": self.settings, "answer": self.sentences, "races": races,
            "critical_batch_size": critical,
            "theory": {"record": RECORD, "predictions": predictions},
            "notes": self.notes(),
        }  # fmt: skip

    def to_json(self) -> str:
        """`to_dict` as JSON, NaN and infinities as null."""
        return json.dumps(plain({"schema": SCHEMA, **self.to_dict()}), allow_nan=False)

    def plot(self, measure: str | None = None, *, ax: Axes | None = None) -> Axes:
        """Ratios to SGD against the batch size; see `anisotropic.plotting` for what to do with the Axes."""
        return draw(self, measure or self.measures[0], ax=ax)


def _verdict(method: str, reference: str, decision: Any) -> str:
    if method in decision.diverged:
        return "diverged"
    if method == decision.winner:
        return "winner"
    if method == reference:
        return "reference"
    if method in decision.ahead:
        return "ahead"
    return "behind" if method in decision.behind else "not resolved"
