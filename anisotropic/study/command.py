"""How is a study called? The command line that every study script and ``anisotropic study`` share."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from .._support.output import SCHEMA
from .driver import Interrupted, run
from .grid import Axes
from .manifest import MANIFEST, conditions, differences
from .results import Results
from .store import Store, StudyError
from .study import Study

COMPLETE, UNEXPECTED, USAGE, INCOMPLETE, VIOLATED, EXTRA = range(6)


def main(
    study: Study | str | Path | ModuleType | None = None, argv: Sequence[str] | None = None, prog: str = ""
) -> int:
    """Run a study as a command; returns the exit code.

    Parameters
    ----------
    study : Study, path or module, optional
        By default the script that is running.
    argv : sequence of str, optional
        By default the words of the command line.
    prog : str, optional
        What the user typed before `argv`, for the line that resumes.
    """
    from .._support.extras import MissingExtra

    argv = list(sys.argv[1:] if argv is None else argv)
    prog = prog or f"python {shlex.quote(sys.argv[0])}"
    try:
        if not isinstance(study, Study):
            study = Study.load(sys.modules["__main__"] if study is None else study)
        command = _command(study, f"{prog} {shlex.join(argv)}".strip())
        with command.make_context(prog, list(argv)) as context:
            code = command.invoke(context)
        sys.stdout.flush()
        return code or COMPLETE
    except click.exceptions.Exit as error:
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return COMPLETE
    except click.ClickException as error:
        error.show(sys.stderr)
        return USAGE
    except StudyError as error:
        print(f"Error: {error}", file=sys.stderr)
        return USAGE
    except MissingExtra as error:
        print(f"Error: {error}", file=sys.stderr)
        return EXTRA


def _command(study: Study, line: str) -> click.Command:
    """The click command of one study, with an option for each of its axes."""
    options: list[click.Parameter] = [
        click.Argument(["word"], type=click.Choice(["run", "plot", "status"]), required=False),
        click.Option(["--quick"], is_flag=True, help="The small grid, for a first look."),
        click.Option(["--results"], type=click.Path(path_type=Path), metavar="DIR", help="Default: results/NAME."),
        click.Option(["--executor"], default="threads", help="threads, processes, serial, dask or dask:ADDRESS."),
        click.Option(["--workers"], type=click.IntRange(1), help="Of threads or processes. Default: all cores."),
        click.Option(["--json", "as_json"], is_flag=True, help="The summary as JSON, alone on stdout."),
        click.Option(["--quiet"], is_flag=True, help="No progress."),
        click.Option(
            ["--from-manifest"],
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="Repeat the run that this manifest records, and compare.",
        ),
    ]
    for axis, values in study.axes.items():
        flags = list(dict.fromkeys([f"--{axis.replace('_', '-')}", f"--{axis}"]))
        shown = ",".join(str(v) for v in values)
        text = f"Axis; default {shown if len(shown) < 60 else shown[:56] + ' ...'}"
        options.append(click.Option([*flags, f"axis_{axis}"], metavar="V[,V...]", help=text))

    def callback(**chosen: Any) -> int:
        axes = {k: _values(study, k, chosen[f"axis_{k}"]) for k in study.axes if chosen[f"axis_{k}"] is not None}
        return _dispatch(study, line, axes, chosen)

    plain = "No word: run what is missing, then plot. A second run computes only what is missing."
    return click.Command(study.name, params=options, callback=callback, help=f"{study.document}\n\n{plain}")


def _values(study: Study, axis: str, text: str) -> list[Any]:
    """The values of ``--axis 1,2``: numbers where the axis holds numbers, else texts."""
    known = study.axes[axis]
    named = {str(v): v for v in known}
    values: list[Any] = []
    for word in (w.strip() for w in text.split(",")):
        if word in named:
            values.append(named[word])
        elif all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in known):
            try:
                exact = float(word)
            except ValueError:
                raise StudyError(f"axis {axis!r} got {word!r}; expected numbers such as {known[0]}") from None
            whole = exact.is_integer() and all(isinstance(v, int) for v in known)
            values.append(int(exact) if whole else exact)
        elif all(isinstance(v, str) for v in known):
            values.append(word)
        else:
            raise StudyError(f"axis {axis!r} got {word!r}; expected one of {', '.join(named)}")
    return values


def _dispatch(study: Study, line: str, overrides: Axes, chosen: dict[str, Any]) -> int:
    manifest = None
    if chosen["from_manifest"] is not None:
        if overrides or chosen["quick"]:
            raise StudyError("--from-manifest repeats the recorded axes; leave out --quick and the axes")
        manifest = _read_manifest(chosen["from_manifest"], study)
        overrides = manifest["config"]["axes"]
    axes = study.grid(chosen["quick"], **overrides)
    suffix = "-repeat" if manifest else "-quick" if chosen["quick"] else ""
    folder = chosen["results"] or Path("results") / f"{study.name}{suffix}"
    if chosen["word"] == "status":
        return _status(study, folder, axes, chosen["as_json"])
    if chosen["word"] == "plot":
        results = Results(study, folder, axes, quiet=chosen["as_json"])
    else:
        try:
            results = run(
                study,
                folder,
                axes,
                executor=chosen["executor"],
                workers=chosen["workers"],
                quiet=chosen["quiet"] or chosen["as_json"],
                command=line,
            )
        except Interrupted as stop:
            done, total = len(stop.results.points), stop.results.summary["cells"]
            print(f"stopped: {done} of {total} cells are stored. To go on:\n  {line}", file=sys.stderr, flush=True)
            if stop.dropped:
                os._exit(INCOMPLETE)
            return INCOMPLETE
        results.quiet = chosen["as_json"]
    return _conclude(study, results, line, chosen, manifest)


def _conclude(
    study: Study, results: Results, line: str, chosen: dict[str, Any], manifest: dict[str, Any] | None
) -> int:
    total, done = results.summary["cells"], len(results.points)
    if not results.complete:
        what = f"{len(results.failed)} failed, {len(results.missing)} not computed"
        what += f", {results.outdated} of them only by other code" if results.outdated else ""
        results.summary["sentences"].append(f"Incomplete: {done} of {total} cells ({what}).")
        words = shlex.split(line)
        if chosen["word"] == "plot":
            words.remove("plot")
        resume = shlex.join(words)
        print(f"incomplete: {done} of {total} cells ({what}). To go on:\n  {resume}", file=sys.stderr)
    drawn = chosen["word"] != "run" and study.plot is not None and (results.complete or chosen["word"] == "plot")
    if drawn and study.plot is not None:
        if not results.points:
            raise StudyError(f"{results.folder} has no finished cell to plot; run the study first")
        try:
            study.plot(results)
        except StudyError as error:
            raise StudyError(
                f"the cells are stored, but the figures and tables of {study.name} need more of the grid: {error}"
            ) from None
    same = _compare(results, manifest) if manifest else True
    path = results.write_summary()
    if chosen["as_json"]:
        print(path.read_text(encoding="utf-8"), end="")
    elif drawn and not chosen["quiet"]:
        print(f"figures, tables and manifest: {results.folder}", file=sys.stderr)
    if not results.complete:
        return INCOMPLETE
    return VIOLATED if results.violated else COMPLETE if same else UNEXPECTED


def _read_manifest(path: Path, study: Study) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        name, _ = manifest["study"], manifest["config"]["axes"]
    except (OSError, ValueError, KeyError, TypeError):
        raise StudyError(f"{path} is not the manifest of a study; expected {MANIFEST} of a results folder") from None
    if name != study.name:
        raise StudyError(f"{path} records the study {name!r}; this is {study.name!r}")
    return manifest


def _compare(results: Results, manifest: dict[str, Any]) -> bool:
    """Say whether the repeat gave the recorded numbers, and if not what has changed since."""
    digests = json.loads((results.folder / MANIFEST).read_text(encoding="utf-8"))["digests"]
    recorded = manifest.get("digests", {})
    shared = [k for k in recorded if k in digests]
    different = [k for k in shared if recorded[k] != digests[k]]
    if not different:
        results.say(f"Repeated: {len(shared)} of {len(recorded)} recorded cells, all identical bit for bit.")
        return len(shared) == len(recorded)
    changed = differences(manifest, conditions(results.study))
    reason = "; ".join(changed) or "nothing that the manifest records has changed"
    results.say(f"Repeated: {len(different)} of {len(shared)} cells differ from the manifest ({reason}).")
    return False


def _status(study: Study, folder: Path, axes: Axes, as_json: bool) -> int:
    points = study.points(axes)
    store = Store(folder)
    states = store.states()
    mine = [states.get(study.key(p), "missing") for p in points]
    counts = {state: mine.count(state) for state in ("done", "diverged", "failed", "missing")}
    old = store.outdated(p for p, state in zip(points, mine, strict=True) if state == "missing")
    left = counts["failed"] + counts["missing"]
    seconds = left * store.mean_seconds() if left and states else 0.0 if not left else None
    if as_json:
        data = {"schema": SCHEMA, "study": study.name, "cells": len(points), **counts, "outdated": old}
        print(json.dumps(data | {"cell_seconds_left": seconds}))
    else:
        parts = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        estimate = f"; about {seconds:.0f} s of one core left" if seconds else ""
        print(f"{study.name}: {len(points)} cells: {parts}{estimate}")
        if old:
            print(f"{old} of the missing cells are stored, computed by other code; a run computes them anew")
    return INCOMPLETE if left else COMPLETE
