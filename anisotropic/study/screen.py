"""What does a terminal show of a study? One table and at most six sentences; the report holds the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .._support.output import number, say, show

SENTENCES = 6
ROWS = 12
SEES = '"sees": a larger error in the constant would have been detected; "off": how far a violated bound was off'


def first_screen(summary: Mapping[str, Any]) -> None:
    """Print what matters most: violated bounds, else the first table, and the first sentences.

    A study puts first what its reader should see first. Without a table of its own, its first verdicts are shown.
    """
    real = [v for table in summary["verdicts"] if not table["planted"] for v in table["verdicts"]]
    if violated := [v for v in real if v["status"] == "violated"]:
        show_verdicts(violated[:ROWS], f"Violated: {len(violated)} of {len(real)} verdicts")
    elif summary["tables"]:
        show_table(summary["tables"][0]["rows"], summary["tables"][0]["title"])
    elif summary["verdicts"]:
        show_verdicts(summary["verdicts"][0]["verdicts"][:ROWS], summary["verdicts"][0]["title"])
    for sentence in summary["sentences"][:SENTENCES]:
        say(sentence)


def show_table(rows: Sequence[Mapping[str, Any]], title: str) -> None:
    """Print the first rows of a table, and how many there are where that is not all."""
    if rows:
        show(rows[:ROWS], title)
        if len(rows) > ROWS:
            say(f"The first {ROWS} of {len(rows)} rows.")


def show_verdicts(verdicts: Sequence[Mapping[str, Any]], title: str) -> None:
    """Print verdicts, each a dict with a label, as a table with slack, power and untested terms."""
    if verdicts:
        show([verdict_row(v) for v in verdicts], title)
        say(SEES)


def verdict_row(v: Mapping[str, Any]) -> dict[str, Any]:
    """One line of a verdict table; "sees" is the factor of error in the constant that the run would have seen."""
    applies = v["status"] != "not applicable"
    power, excess = (f"x{number(float('nan') if v[name] is None else v[name])}" for name in ("power", "excess"))
    sees = f"off {excess}" if v["status"] == "violated" else power
    return {
        "case": v["label"],
        "bound": f"{v['theorem']} ({v['form']})" if v["form"] else v["theorem"],
        "verdict": v["status"] if applies else v["summary"],
        "slack": ("-" if v["slack"] is None else v["slack"]) if applies else "",
        "sees": sees if applies else "",
        "untested": ", ".join(t["name"] for t in v["terms"] if not t["exercised"]),
    }


def rest(summary: Mapping[str, Any], report: Path) -> str:
    """Where everything else is, and what it is."""
    counts = {"table": len(summary["tables"]), "verdict": sum(len(t["verdicts"]) for t in summary["verdicts"]),
              "sentence": len(summary["sentences"]), "figure": len(summary["figures"])}  # fmt: skip
    told = ", ".join(f"{n} {what}{'s' if n != 1 else ''}" for what, n in counts.items() if n)
    return f"the whole report ({told or 'how it was computed'}): {report}"
