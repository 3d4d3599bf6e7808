"""Does a simulation contradict a theorem? ``anisotropic verify``."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from .common import DONE, VIOLATED, emit, find_bound, output_options, unknown, usage
from .own import Own, is_own, own

if TYPE_CHECKING:
    from ..evidence.families import Instance
    from ..evidence.setups import Setup
    from ..records import Verdict

#: Replicas of a bound of one's own.
REPLICAS = 4096


@click.command()
@click.argument("name", metavar="ID|FILE.py:NAME", required=False)
@click.option("--all", "everything", is_flag=True, help="Every bound that has a setup.")
@click.option("--level", type=click.FloatRange(0, 1, True, True), default=1e-3, help="Chance of a false alarm.")
@click.option("--form", help="Which form; by default the tightest.")
@click.option("--replicas", type=click.IntRange(2), help="Independent runs; by default those of the setup.")
@click.option("--seed", type=click.IntRange(0), default=0)
@click.option("--threads", type=click.IntRange(1))
@click.option("--budget", type=click.IntRange(1), default=200, show_default=True, help="Instances for FILE.py:NAME.")
@click.option("--figure", type=click.Path(path_type=Path), help="Also draw the mean against the bound: FILE.pdf.")
@output_options
def verify(
    name: str | None,
    everything: bool,
    form: str | None,
    as_json: bool,
    quiet: bool,
    figure: Path | None,
    budget: int,
    **options: Any,
) -> int:
    """Simulate the setup of a bound and compare; exit code 4 where the bound is violated.

    A bound of your own, FILE.py:NAME, is simulated on the worst of some instances that satisfy its hypotheses; a
    function make_optimizer in the file makes the optimizer from a dict of constants.
    """
    from ..evidence import setups

    if everything == (name is not None):
        raise click.UsageError("give either the ID of a bound or --all")
    if everything and (figure or form):
        raise click.UsageError("--figure and --form are for a single bound; leave out --all")
    mine = own(name) if name is not None and is_own(name) else None
    if name is not None:
        bound = mine.bound if mine else find_bound(name)
        if mine is None and name not in setups.names():
            raise click.UsageError(f"{name} has no setup yet, so that nothing can be simulated for it")
        if form is not None and form not in bound.forms:
            raise click.UsageError(unknown("form", form, bound.forms))
    verdicts: dict[str, Verdict] = {}
    seconds: dict[str, float] = {}
    instance = None
    for k, one in enumerate(setups.names() if everything else [str(name)]):
        started = time.perf_counter()
        note = f"{k + 1} of {len(setups.names())}: {one}" if everything else f"simulating the setup of {one}"
        if mine:
            note = f"searching the worst of {budget:,} instances for {one}"
        if not quiet:
            print(note, file=sys.stderr, flush=True)
        if mine:
            instance = worst_instance(mine, budget, options["seed"])
            options |= {"seed": options["seed"] + 2, "replicas": options["replicas"] or REPLICAS}
        setup = instance.setup() if instance else setups.for_bound(one)
        verdicts[one] = simulate_and_verify(setup, form, figure, **options)
        seconds[one] = round(time.perf_counter() - started, 3)
    report_verdicts(verdicts, seconds, as_json, quiet, instance)
    return VIOLATED if any(v.status == "violated" for v in verdicts.values()) else DONE


def worst_instance(mine: Own, budget: int, seed: int) -> Instance:
    """The instance on which a bound of one's own is tightest, of those that a short search tries."""
    from ..evidence.search import search_worst_case

    with usage():
        return search_worst_case(mine.bound, budget=budget, seed=seed, make_optimizer=mine.make_optimizer).instance


def simulate_and_verify(
    setup: Setup, form: str | None, figure: Path | None, level: float, seed: int, **changes: int | None
) -> Verdict:
    """The verdict on one setup."""
    run = setup(seed=seed, **{k: v for k, v in changes.items() if v is not None})
    verdict = setup.verify(run=run, level=level, form=form)
    if figure is not None:
        from ..plotting import empirical_vs_theory, save

        ax = empirical_vs_theory(run, setup.bound, **setup.constants)
        with usage():
            save(cast(Any, ax.figure), figure.with_suffix(""), [figure.suffix.lstrip(".") or "pdf"])
    return verdict


def report_verdicts(
    verdicts: dict[str, Verdict], seconds: dict[str, float], as_json: bool, quiet: bool, instance: Instance | None
) -> None:
    """Verdicts as JSON, as one line each, as a report (one) or as a table (several)."""
    from .._support.output import say, show
    from ..study.screen import SEES, verdict_row

    if as_json:
        found = {"instance": instance.to_dict()} if instance else {}
        emit(verdicts=[v.to_dict() | {"bound_id": k, "seconds": seconds[k]} | found for k, v in verdicts.items()])
    elif quiet:
        print("\n".join(f"{k}\t{v.status}" for k, v in verdicts.items()))
    elif len(verdicts) == 1:
        print(next(iter(verdicts.values())))
        if instance:
            print(f"  on {instance}")
    else:
        rows = [verdict_row({"label": k, **v.to_dict()}) for k, v in verdicts.items()]
        show([{k: v for k, v in row.items() if k != "case"} for row in rows], "Verdicts")
        say(SEES)
