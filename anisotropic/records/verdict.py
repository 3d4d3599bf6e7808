"""What does a run say about a bound? A status with its evidence, printed as a short report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class TermCheck:
    """One term of a bound in a verdict: its share of the bound, and whether deleting it alone would be noticed."""

    name: str
    value: float
    share: float
    exercised: bool


@dataclass(frozen=True)
class Verdict:
    """What a run says about a bound; printed as a short report.

    `status` is "not contradicted", "violated", "inconclusive" or "not applicable"; `reason` says why where the numbers
    do not, and `conditions` lists every hypothesis that is not met. `estimate`, `interval` and `bound` are those of the
    record with the smallest slack (index `record` of its run, after `steps` updates): of all records, or of the
    violating or undecided ones where there are such. `slacks` are bound / estimate at all records that were looked at
    (for a lower bound estimate / bound), whose numbers of updates are `horizons`; `runs` says how many runs they come
    from. `interval_kind` names the guarantee of the two limits: "bounded" and "Clopper-Pearson" hold for every number
    of replicas, "t" asymptotically, "exact" without randomness. `power` = bound / lower limit: an error in the constant
    by more than this factor would have been seen. `excess`, of a violated bound alone, is the factor by which the limit
    next to it lies on the wrong side. `statistic` is what is estimated over the replicas: the mean, or for a bound that
    holds with probability 1 - delta that quantile.
    """

    status: str
    theorem: str
    measure: str
    kind: str = "upper"
    form: str = ""
    reason: str = ""
    estimate: float = np.nan
    interval: tuple[float, float] = (np.nan, np.nan)
    interval_kind: str = ""
    level: float = np.nan
    bound: float = np.nan
    slack: float = np.nan
    power: float = np.nan
    record: int = -1
    steps: int = 0
    slacks: tuple[float, ...] = ()
    terms: tuple[TermCheck, ...] = ()
    replicas: int = 0
    conditions: tuple[str, ...] = ()
    statistic: str = "mean"
    excess: float = np.nan
    horizons: tuple[int, ...] = ()
    runs: int = 1

    @property
    def summary(self) -> str:
        """One sentence: the status, and what was not tested."""
        idle = [t.name for t in self.terms if not t.exercised] if self.status == "not contradicted" else []
        if idle:
            names = " and ".join([", ".join(idle[:-1]), idle[-1]] if len(idle) > 1 else idle)
            return f"{self.status}; not tested: {names} term{'s' if len(idle) > 1 else ''}"
        return f"{self.status}: {self.reason}" if self.reason else self.status

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form; a number that is not finite becomes None."""
        from dataclasses import asdict

        def plain(value: Any) -> Any:
            if isinstance(value, dict):
                return {k: plain(v) for k, v in value.items()}
            if isinstance(value, (list, tuple)):
                return [plain(v) for v in value]
            return None if isinstance(value, float) and not np.isfinite(value) else value

        return plain(asdict(self) | {"summary": self.summary})

    def __str__(self) -> str:
        from textwrap import fill

        head = f"{self.theorem} ({self.form}): " if self.form else f"{self.theorem}: "
        if self.conditions:
            reasons = [fill(c, 78, initial_indent="  - ", subsequent_indent="    ") for c in self.conditions]
            return "\n".join([head + self.status, *reasons])
        lines = [fill(head + self.summary, 78, subsequent_indent="  ")]
        if self.record < 0:
            return lines[0]
        lines += [fill(text, 78, initial_indent="  ", subsequent_indent="    ") for text in self._sentences()]
        for t in self.terms:
            tested = "tested" if t.exercised else "not tested"
            lines.append(f"    {t.name:<16}{t.value:>11.4g}{t.share:>8.1%}   {tested}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from .._support.html import html_block

        head = f"{self.theorem} ({self.form}): " if self.form else f"{self.theorem}: "
        if self.conditions:
            return html_block(head + self.status, *self.conditions)
        terms = [
            {"term": t.name, "value": t.value, "share": f"{t.share:.1%}", "tested": t.exercised} for t in self.terms
        ]
        return html_block(head + self.summary, *(self._sentences() if self.record >= 0 else []), rows=terms)

    def _sentences(self) -> list[str]:
        """What was measured and what was claimed, with as many digits as it takes to tell them apart."""
        estimate, low, high, claim = distinct(self.estimate, *self.interval, self.bound)
        relation = {"upper": "<=", "lower": ">="}.get(self.kind, "=")
        what = self.measure if self.statistic == "mean" else f"{self.statistic} of {self.measure}"
        after = f"after {self.steps:,} iteration{'s' if self.steps != 1 else ''}"
        if self.runs > 1:
            ends = ", ".join(f"{t:,}" for t in self.horizons) if len(self.horizons) == self.runs else (
                f"{self.horizons[0]:,} to {self.horizons[-1]:,}"
            )  # fmt: skip
            after += f", of {self.runs} runs at T = {ends}"
        measured = (
            f"{what} {after}: {estimate} in [{low}, {high}] "
            f"({self.interval_kind}; level {self.level:g}, {self.replicas:,} replicas)"
        )
        against = f"claim {relation} {claim}, "
        if self.status == "violated":
            return [measured, against + self._excess()]
        slack, _ = distinct(self.slack, 1.0, least=3)
        against += f"slack {slack}, power {self.power:.3g}: "
        sees = "no error in the constant would be seen" if not np.isfinite(self.power) else (
            f"an error in the constant by a factor over {self.power:.3g} would be seen"
        )  # fmt: skip
        return [measured, against + sees]

    def _excess(self) -> str:
        low, high = self.interval
        under = self.kind != "upper" and high < self.bound
        verb = "undercut" if under else "exceeded"
        if not np.isfinite(self.excess):
            return f"{verb} by at least {(self.bound - high if under else low - self.bound):.4g}"
        factor, _ = distinct(self.excess, 1.0, least=3)
        limit = "upper" if under else "lower"
        return f"{verb} by a factor of at least {factor} (from the {limit} limit)"


def distinct(*numbers: float, least: int = 4) -> list[str]:
    """The numbers as text with so many digits that the last one differs from all that are not equal to it.

    Numbers that agree to ten digits count as equal: they differ by rounding.

    >>> distinct(0.30000001, 0.3), distinct(2.0, 1.0)
    (['0.30000001', '0.3'], ['2', '1'])
    """
    last = numbers[-1]
    apart = [abs(x - last) > 1e-10 * abs(last) for x in numbers]
    for digits in range(least, 13):
        texts = [f"{x:.{digits}g}" for x in numbers]
        if not any(text == texts[-1] for text, other in zip(texts, apart, strict=True) if other):
            break
    return texts
