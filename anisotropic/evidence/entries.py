"""What did a race find? One entry per method and kind of step size, ratios, and what to know before believing them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._support.names import nearest
from ..intervals import Interval, ratio_interval, t_limits
from ..records import FloatArray, Run, Verdict

if TYPE_CHECKING:
    from ..simulation.steps_to_target import StepsToTarget

TUNED, THEOREM = "tuned", "theorem"


@dataclass(frozen=True, eq=False)
class Entry:
    """What one method did with one kind of step size.

    Attributes
    ----------
    method, kind : str
        Name in the race; "tuned" or "theorem".
    step_size : float or array ``(d,)``
        NaN where every step size of the grid diverged or none reached the target. With a target and a theorem that
        depends on the horizon: the step size for the number of iterations that were needed.
    values : array ``(replicas,)``
        The measure after the last iteration; NaN for a replica that diverged, and in a race to a target.
    reach : StepsToTarget or None
        Iterations to the target, each limit at half of the level of the race, so that ratios hold at its level.
    at_edge : bool
        Whether the best step size is at the edge of its grid.
    tried, diverged : int
        Step sizes on the grid, and those of them that diverged.
    claim : float
        The bound in its tightest form at the last iteration; NaN without one.
    verdict : Verdict or None
    run : Run or None
        The reported run; not stored.
    """

    method: str
    kind: str
    step_size: Any
    values: FloatArray
    reach: StepsToTarget | None = None
    at_edge: bool = False
    tried: int = 0
    diverged: int = 0
    claim: float = float("nan")
    verdict: Verdict | None = None
    run: Run | None = None


@dataclass(frozen=True, eq=False)
class Race:
    """The result of `race`: one entry per method and kind of step size.

    `tuned` and `theorem` map names to entries. Printed as a table; `ratio` and `steps_ratio` compare two methods;
    `arrays` and `from_arrays` go to what a study stores and back.
    """

    entries: tuple[Entry, ...]
    reference: str
    measure: str
    steps: int
    batch_size: int
    replicas: int
    target: float | None
    level: float

    @property
    def tuned(self) -> dict[str, Entry]:
        """Entries with tuned step sizes by method."""
        return {e.method: e for e in self.entries if e.kind == TUNED}

    @property
    def theorem(self) -> dict[str, Entry]:
        """Entries with the step sizes of theorems by method."""
        return {e.method: e for e in self.entries if e.kind == THEOREM}

    def of(self, kind: str) -> dict[str, Entry]:
        """Entries of one kind, "tuned" or "theorem", by method."""
        if kind not in (TUNED, THEOREM):
            raise ValueError(f"kind = {kind!r}; expected 'tuned' or 'theorem'")
        return self.tuned if kind == TUNED else self.theorem

    def ratio(self, method: str, reference: str | None = None, kind: str = TUNED) -> Interval:
        """Mean measure of `method` over that of `reference`, paired by replica; NaN where a replica diverged."""
        first, second = self._pair(method, reference, kind)
        if first.reach is not None:
            raise ValueError("this race was run to a target; compare iterations with steps_ratio")
        if not (np.isfinite(first.values).all() and np.isfinite(second.values).all()) or self.replicas < 2:
            return Interval(np.nan, np.nan, np.nan, "t", self.level)
        return ratio_interval(first.values, second.values, self.level)

    def steps_ratio(self, method: str, reference: str | None = None, kind: str = TUNED) -> Interval:
        """Iterations to the target of `method` over those of `reference`; NaN where one of them did not reach it.

        Each reach has its limits at half of the level, so the quotients of the limits hold at the level (Bonferroni).
        """
        first, second = (e.reach for e in self._pair(method, reference, kind))
        if first is None or second is None:
            raise ValueError("this race has no target; pass target= to `race`")
        estimate, low, high = first.steps / second.steps, first.low / second.high, first.high / second.low
        return Interval(float(estimate), float(low), float(high), "t", self.level)

    def _pair(self, method: str, reference: str | None, kind: str) -> tuple[Entry, Entry]:
        entries = self.of(kind)
        for name in (method, reference or self.reference):
            if name not in entries:
                has = f"it has {', '.join(entries) or 'none'}{nearest(name, entries)}"
                raise ValueError(f"this race has no {kind} entry of {name!r}; {has}")
        return entries[method], entries[reference or self.reference]

    def edges(self) -> list[str]:
        """Methods whose best step size is at the edge of its grid."""
        return [e.method for e in self.entries if e.at_edge]

    def misranked(self, method: str, reference: str | None = None) -> bool | None:
        """Whether the two bounds order two methods against the measurement at the theorems' step sizes.

        None where the measurement does not decide, or the bounds are equal. A comparison of two upper bounds proves
        nothing about who wins.
        """
        first, second = self._pair(method, reference, THEOREM)
        measured = self.ratio(method, reference, THEOREM)
        if not (measured.low > 1 or measured.high < 1) or not np.isfinite(first.claim / second.claim):
            return None
        return None if np.isclose(first.claim, second.claim) else (measured.low > 1) != (first.claim > second.claim)

    def notes(self) -> list[str]:
        """What a reader should know before believing the table, one sentence each."""
        found = []
        names = {e.method for e in self.entries}
        if {"sgd", "adagrad"} <= names and "adagrad_norm" not in names:
            found.append(
                "AdaGrad-Norm, the control, is not in this race: an advantage over SGD may come from decaying step "
                "sizes and not from adapting coordinates."
            )
        for e in self.entries:
            if e.kind == TUNED and e.diverged == e.tried:
                found.append(f"Every step size on the grid of {e.method} diverged; try smaller ones.")
            elif e.reach is not None and not np.isfinite(e.reach.steps):
                found.append(f"No {e.kind} step size of {e.method} reached the target in {self.steps:,} iterations.")
            elif e.at_edge and e.tried == 1:
                found.append(f"The grid of {e.method} has one step size, so nothing was tuned.")
            elif e.at_edge:
                found.append(f"The best step size of {e.method} lies at an edge of its grid; widen the grid.")
        return found

    def rows(self) -> list[dict[str, Any]]:
        """The table that is printed, one dict per entry, as texts."""
        rows = []
        for row in self.measurements():
            for name, value in row.items():
                if isinstance(value, Interval):
                    missing = "not reached" if self.target is not None else "diverged"
                    digits = ".2f" if name.startswith("over ") else ".0f" if name == "iterations" else ".3g"
                    row[name] = f"{value:{digits}}" if np.isfinite(value.estimate) else missing
            rows.append(row)
        return rows

    def measurements(self) -> list[dict[str, Any]]:
        """The table as values, one dict per entry: texts, and an `Interval` for each measurement and ratio."""
        rows = []
        for e in self.entries:
            row: dict[str, Any] = {"method": e.method, "step size": f"{e.kind} {_size(e.step_size)}"}
            finite = np.isfinite(e.values).all() and self.replicas > 1
            mean, low, high = t_limits(e.values[:, None], self.level) if finite else (np.array([np.nan]),) * 3
            if e.reach is None:
                row[self.measure] = Interval(float(mean[0]), float(low[0]), float(high[0]), "t", self.level)
            if self.reference in self.of(e.kind):
                compare = self.ratio if e.reach is None else self.steps_ratio
                same = e.method == self.reference
                row[f"over {self.reference}"] = "1" if same else compare(e.method, kind=e.kind)
            if e.reach is not None:
                row["iterations"] = Interval(e.reach.steps, e.reach.low, e.reach.high, "t", self.level)
            if self.theorem:
                row["verdict"] = e.verdict.status if e.verdict else ""
            rows.append(row)
        return rows

    def to_latex(self, caption: str = "", label: str = "") -> str:
        """The table for a paper: values with intervals, to the digits that the intervals support (package booktabs)."""
        from .._support.paper import latex_table

        return latex_table(self.measurements(), caption, label)

    def _repr_html_(self) -> str:
        from .._support.html import html_block

        return html_block(self._head(), *self.notes(), rows=self.rows())

    def _head(self) -> str:
        target = "" if self.target is None else f", target {self.target:g}"
        return (
            f"{self.steps:,} iterations with batch size {self.batch_size:,} ({self.steps * self.batch_size:,} samples"
            f"{target}), {self.replicas} replicas, level {self.level:g}"
        )

    def __str__(self) -> str:
        rows = self.rows()
        columns = list(dict.fromkeys(k for row in rows for k in row))
        cells = [columns, *[[str(row.get(c, "")) for c in columns] for row in rows]]
        widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
        lines = ["  ".join(text.ljust(w) for text, w in zip(line, widths, strict=True)).rstrip() for line in cells]
        return "\n".join([self._head(), *lines, *self.notes()])

    def arrays(self) -> dict[str, Any]:
        """Numbers, arrays and verdicts by name, as the cell of a study returns them."""
        entries = [[e.method, e.kind, bool(e.at_edge), e.tried, e.diverged] for e in self.entries]
        names = ("reference", "measure", "steps", "batch_size", "replicas", "target", "level")
        about = {name: getattr(self, name) for name in names}
        found: dict[str, Any] = {"race": json.dumps(about | {"entries": entries})}
        for e in self.entries:
            at = f"{e.kind} {e.method} "
            found |= {f"{at}values": e.values, f"{at}step size": np.asarray(e.step_size), f"{at}claim": float(e.claim)}
            found |= {} if e.reach is None else {f"{at}reach": np.array(e.reach)}
            found |= {} if e.verdict is None else {f"{at}verdict": e.verdict}
        return found

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Race:
        """The race that `arrays` was made from, without its runs."""
        from ..simulation.steps_to_target import StepsToTarget

        about = json.loads(str(arrays["race"]))
        entries = []
        for method, kind, at_edge, tried, diverged in about.pop("entries"):
            at = f"{kind} {method} "
            reach = arrays.get(f"{at}reach")
            size = np.asarray(arrays[f"{at}step size"])
            entries.append(Entry(
                method, kind, size if size.ndim else float(size), arrays[f"{at}values"],
                None if reach is None else StepsToTarget(*map(float, reach)), at_edge, tried, diverged,
                float(arrays[f"{at}claim"]), arrays.get(f"{at}verdict"),
            ))  # fmt: skip
        return cls(tuple(entries), **about)


def _size(step_size: Any) -> str:
    low, high = np.min(step_size), np.max(step_size)
    return f"{low:.3g}" if low == high or np.isnan(low) else f"{low:.3g}..{high:.3g}"
