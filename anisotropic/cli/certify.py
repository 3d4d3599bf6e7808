"""Do the machine's proofs of the steps of a theorem close? ``anisotropic certify``."""

from __future__ import annotations

import sys
from typing import Any

import click

from .common import DONE, UNEXPECTED, bound_ids, emit, output_options, unknown


@click.command()
@click.argument("name", metavar="[ID]", required=False)
@click.option("--all", "everything", is_flag=True, help="Every inequality that has a proof by machine.")
@click.option("--budget", type=click.IntRange(1), default=20_000, show_default=True, help="Boxes for one proof.")
@output_options
def certify(name: str | None, everything: bool, budget: int, as_json: bool, quiet: bool) -> int:
    """Prove steps of the derivations by machine; exit code 1 where a proof does not close.

    \b
    ID is an inequality (sign-gaussian) or a bound (convex_adagrad: all steps that its proof uses).
    """
    from ..evidence import certified

    if everything == (name is not None):
        raise click.UsageError("give either the ID of an inequality or bound, or --all")
    chosen = certified.CATALOGUE if name is None else select(name)
    rows = []
    for k, entry in enumerate(chosen):
        if not quiet and len(chosen) > 1:
            print(f"{k + 1} of {len(chosen)}: {entry.name}", file=sys.stderr, flush=True)
        rows.append(certified.row(entry, budget))
    report(rows, as_json, quiet)
    return DONE if all(row["proved"] for row in rows) else UNEXPECTED


def select(name: str) -> Any:
    """One inequality, or those that a bound rests on."""
    from ..evidence import certified

    if name in certified.names():
        return [certified.inequality(name)]
    if name not in bound_ids():
        raise click.UsageError(unknown("inequality or bound", name, [*certified.names(), *bound_ids()]))
    if not (found := certified.resting_on(name)):
        rest = "'anisotropic certify --all' shows what a machine proves"
        raise click.UsageError(f"every step of {name} is proved by hand only; {rest}")
    return found


def report(rows: list[dict[str, Any]], as_json: bool, quiet: bool) -> None:
    """Rows as JSON, as one line each, or as a table with the reasons of failures below."""
    from .._support.output import show

    if as_json:
        emit(inequalities=rows)
    elif quiet:
        print("\n".join(f"{row['name']}\t{row['how'] or 'not proved'}" for row in rows))
    else:
        show([line(row) for row in rows], "Inequalities")
        for row in rows:
            if not row["proved"]:
                print(f"{row['name']} is not proved: {row['reason']}")


def line(row: dict[str, Any]) -> dict[str, Any]:
    """The columns that fit a terminal; --json has the statements."""
    known = {"inequality": row["name"], "how": row["how"] or "not proved"}
    return known | ({"boxes": row["boxes"], "CPU s": f"{row['seconds']:.2f}"} if row["proved"] else {})
