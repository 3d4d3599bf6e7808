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
    record with the smallest slack (index `record`, after `steps` updates): of all records, or of the violating or
    undecided ones where there are such. `slacks` are bound / estimate at all records that were looked at (for a lower
    bound estimate / bound). `interval_kind` names the guarantee of the two limits: "bounded" and "Clopper-Pearson" hold
    for every number of replicas, "t" asymptotically, "exact" without randomness. `power` = bound / lower limit: an
    error in the constant by more than this factor would have been seen. `statistic` is what is estimated over the
    replicas: the mean, or for a bound that holds with probability 1 - delta that quantile.
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
        lo, hi = self.interval
        relation = {"upper": "<=", "lower": ">="}.get(self.kind, "=")
        what = self.measure if self.statistic == "mean" else f"{self.statistic} of {self.measure}"
        after = f"after {self.steps:,} step{'s' if self.steps != 1 else ''}"
        measured = (
            f"{what} {after}: {self.estimate:.4g} in [{lo:.4g}, {hi:.4g}] "
            f"({self.interval_kind}; level {self.level:g}, {self.replicas:,} replicas)"
        )
        against = f"claim {relation} {self.bound:.4g}, slack {self.slack:.3g}, power {self.power:.3g}: "
        sees = "no error in the constant would be seen" if not np.isfinite(self.power) else (
            f"an error in the constant by a factor over {self.power:.3g} would be seen"
        )
        lines += [fill(text, 78, initial_indent="  ", subsequent_indent="    ") for text in (measured, against + sees)]
        for t in self.terms:
            tested = "tested" if t.exercised else "not tested"
            lines.append(f"    {t.name:<16}{t.value:>11.4g}{t.share:>8.1%}   {tested}")
        return "\n".join(lines)
