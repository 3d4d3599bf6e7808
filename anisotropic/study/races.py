"""What do the races of a study say together? Series to draw, rows to store, and the sentences that every study owes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..evidence.entries import THEOREM, TUNED, Race
from ..intervals import Interval, Limits, t_limits
from ..plotting import title
from ..records import Verdict
from .errors import StudyError

if TYPE_CHECKING:
    from .results import Results

Label = Callable[[dict[str, Any]], str]


class Races:
    """The races of some cells, in grid order, with a short label for each.

    Made by `Results.races`. `label` is a format string over the axes such as "M={batch}", or a function of the point.
    """

    def __init__(self, results: Results, found: Sequence[tuple[dict[str, Any], Race]], label: str | Label) -> None:
        if not found:
            raise StudyError("no finished cell holds a race; return {**race.arrays()} from the cell")
        self._results, self._found = results, list(found)
        self._label: Label = label if callable(label) else lambda point: label.format(**point)

    def __iter__(self) -> Iterator[tuple[dict[str, Any], Race]]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    @property
    def methods(self) -> list[str]:
        """Names of all methods, in the order of the races."""
        return list(dict.fromkeys(e.method for _, race in self for e in race.entries))

    # ---- to draw ----------------------------------------------------------------------------------------------------

    def values(self, kind: str = TUNED) -> dict[str, np.ndarray]:
        """The measure of each method, arrays ``(replicas, races)``; methods without an entry of this kind left out."""
        return {m: np.stack([race.of(kind)[m].values for _, race in self], axis=1) for m in self._of(kind)}

    def iterations(self, kind: str = TUNED) -> dict[str, Limits]:
        """Iterations to the target of each method with their limits, NaN where it was not reached."""
        reached = {m: np.array([race.of(kind)[m].reach for _, race in self], dtype=float) for m in self._of(kind)}
        return {m: Limits(*found.T) for m, found in reached.items()}

    def claims(self) -> dict[str, np.ndarray]:
        """The bounds in their tightest forms, arrays ``(races,)``."""
        return {m: np.array([race.theorem[m].claim for _, race in self]) for m in self._of(THEOREM)}

    def ratios(self, method: str, kind: str = TUNED, reference: str | None = None) -> list[Interval]:
        """Mean measure of a method over that of the reference, one interval a race."""
        return [race.ratio(method, reference, kind) for _, race in self]

    def _of(self, kind: str) -> list[str]:
        return [m for m in self.methods if all(m in race.of(kind) for _, race in self)]

    # ---- to store ---------------------------------------------------------------------------------------------------

    def rows(self, level: float = 0.05) -> list[dict[str, Any]]:
        """One row per race and entry, for a CSV file: the point, step size, estimate and limits."""
        rows = []
        for point, race in self:
            for e in race.entries:
                if e.reach is not None:
                    estimate, low, high = e.reach
                elif np.isfinite(e.values).all() and race.replicas > 1:
                    estimate, low, high = (float(v[0]) for v in t_limits(e.values[:, None], level))
                else:
                    estimate = low = high = float("nan")
                size = float(e.step_size) if np.ndim(e.step_size) == 0 else float("nan")
                row = {"method": e.method, "kind": e.kind, "step_size": size, "at_edge": e.at_edge}
                rows.append({**point, **row, "estimate": estimate, "low": low, "high": high})
        return rows

    # ---- to say -----------------------------------------------------------------------------------------------------

    def verdicts(self, heading: str = "Each bound where it is tightest") -> None:
        """The verdict of each bound on the race where its slack is smallest, and how many verdicts contradict one."""
        judged = [
            (self._label(point), e.verdict)
            for point, race in self for e in race.entries
            if e.verdict is not None and e.verdict.status != "not applicable"
        ]  # fmt: skip
        shortest = tightest(judged)
        violated = [f"{v.theorem} at {label}" for label, v in judged if v.status == "violated"]
        self._results.verdicts(shortest, title=heading)
        if more := [(label, v) for label, v in judged if v.status == "violated" and (label, v) not in shortest]:
            self._results.verdicts(more, title="Violated as well")
        wrong = f"{len(violated)} contradict a bound: {'; '.join(violated)}" if violated else "none contradicts a bound"
        self._results.say(f"{len(judged)} verdicts, {wrong}.")

    def compare(self, others: Sequence[str], *, kind: str = TUNED, what: str = "mean gap") -> None:
        """A table of by how much others trail the reference, one row per race; above 1 the reference is ahead."""
        rows = []
        for point, race in self:
            ratio = race.ratio if race.target is None else race.steps_ratio
            shares = {title(m): shown(ratio(m, kind=kind)) for m in others if m in race.of(kind)}
            rows.append({"case": self._label(point), **shares})
        first = self._found[0][1]
        measured = what if first.target is None else f"iterations to {what} {first.target:g}"
        ours = title(first.reference)
        self._results.table(rows, f"{kind.capitalize()} step sizes: {measured} over {ours}'s (level {first.level:g})")

    def winners(self, other: str, *, kind: str = TUNED, what: str = "mean gap") -> None:
        """How often the reference is ahead of another method, and from where to where the ratio goes."""
        found = []
        for point, race in self:
            if other in race.of(kind):
                ratio = race.ratio if race.target is None else race.steps_ratio
                found.append((self._label(point), ratio(other, kind=kind)))
        known = [(label, ratio) for label, ratio in found if np.isfinite(ratio.estimate)]
        first = self._found[0][1]
        ours, theirs = title(first.reference), title(other)
        measured = what if first.target is None else f"number of iterations to {what} {first.target:g}"
        ahead, behind = sum(r.low > 1 for _, r in known), sum(r.high < 1 for _, r in known)
        head = f"{kind.capitalize()} step sizes: {ours} has the smaller {measured} in {ahead} of {len(found)} cells, "
        head += f"{theirs} in {behind}"
        if lost := len(found) - len(known):
            head += f"; {lost} {'has' if lost == 1 else 'have'} no ratio, since a method diverged or missed the target"
        if known:
            ends = [f"{shown(r)} ({label})" for label, r in (min(known, key=_estimate), max(known, key=_estimate))]
            head += f"; {theirs}'s is {' to '.join(dict.fromkeys(ends))} times {ours}'s"
        self._results.say(f"{head}.")

    def edges(self) -> None:
        """Which tuned step sizes lie at the edge of their grids, and which grids diverged throughout."""
        found = [f"{title(m)} at {self._label(point)}" for point, race in self for m in race.edges()]
        lost = [
            f"{title(e.method)} at {self._label(point)}"
            for point, race in self for e in race.entries
            if e.kind == TUNED and e.tried == e.diverged
        ]  # fmt: skip
        self._results.say(
            f"{len(found)} tuned step sizes lie at the edge of their grids: {'; '.join(found)}." if found
            else "No tuned step size lies at the edge of its grid."
        )
        if lost:
            self._results.say(f"Every step size on the grid diverged: {'; '.join(lost)}.")

    def misranked(self, method: str = "sgd", reference: str | None = None) -> None:
        """Where two upper bounds order two methods against the measurement at the theorems' step sizes."""
        ranked = [(self._label(point), race.misranked(method, reference)) for point, race in self]
        decided = [label for label, wrong in ranked if wrong is not None]
        wrong = [label for label, answer in ranked if answer]
        names = f"{title(method)} and {title(reference or self._found[0][1].reference)}"
        self._results.say(
            f"In {len(wrong)} of {len(decided)} decided cells the bounds rank {names} wrongly: {'; '.join(wrong)}."
            if wrong else f"The bounds never rank {names} wrongly ({len(decided)} decided cells of {len(ranked)})."
        )


def tightest(judged: Iterable[tuple[str, Verdict]]) -> list[tuple[str, Verdict]]:
    """Of labeled verdicts that apply, the one with the smallest slack of each bound."""
    found: dict[str, tuple[str, Verdict]] = {}
    for label, verdict in judged:
        known = found.get(verdict.theorem)
        if verdict.status != "not applicable" and (known is None or verdict.slack < known[1].slack):
            found[verdict.theorem] = label, verdict
    return [*found.values()]


def _estimate(entry: tuple[str, Interval]) -> float:
    return entry[1].estimate


def shown(ratio: Interval) -> str:
    """A ratio with its limits in a few characters."""
    return f"{ratio:.2f}" if np.isfinite(ratio.estimate) else "not reached"
